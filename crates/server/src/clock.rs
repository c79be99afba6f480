//! The one place that reads the time of day.
//!
//! Everything else takes `now` as an argument or asks a [`Clock`], so a test can live at any hour
//! and move through a day in a microsecond.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Tells the time: the machine's, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    // Shared, so that every part of a server under test sees the same hand move.
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until it is moved. Clones share the hand.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// The time now, in whole microseconds: what the store keeps, so that a time read back from a
    /// row equals the time that was written.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that may read the time"
    )]
    pub fn now(&self) -> Timestamp {
        let exact = match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(hand) => *hand.lock().unwrap_or_else(PoisonError::into_inner),
        };
        Timestamp::from_microsecond(exact.as_microsecond()).unwrap_or(exact)
    }

    /// Moves a manual clock forward, or back. The system's clock is not ours to move: no effect.
    pub fn advance(&self, by: SignedDuration) {
        if let Source::Manual(hand) = &self.0 {
            let mut hand = hand.lock().unwrap_or_else(PoisonError::into_inner);
            *hand = hand.saturating_add(by).unwrap_or(*hand);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let other = clock.clone();
        clock.advance(SignedDuration::from_secs(90));
        assert_eq!(other.now().as_second(), 90);
    }

    #[test]
    fn the_system_clock_tells_whole_microseconds() {
        let now = Clock::system().now();
        assert_eq!(now.as_nanosecond() % 1_000, 0);
        assert!(now.as_second() > 1_700_000_000);
    }
}
