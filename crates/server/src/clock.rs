//! The one place that reads the time of day.
//!
//! Everything else takes `now` as an argument or asks a [`Clock`], so a test can live at any hour
//! and move through a day in a microsecond.
//!
//! Nodes that share a database share its time: each asks for it again and again, and runs on its
//! own steady clock in between. A machine's clock that jumps moves nobody's time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// How far this clock may be from the one it follows before it is set: a clock that is set has
/// leaps.
const TOLERANCE: SignedDuration = SignedDuration::from_millis(200);

/// Tells the time: the network's, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Steady(Arc<Steady>),
    // Shared, so that every part of a server under test sees the same hand move.
    Manual(Arc<Mutex<Timestamp>>),
}

/// A clock that only runs, and knows what time it was when it began.
#[derive(Debug)]
struct Steady {
    begun: Instant,
    /// The time when it began, in microseconds since 1970.
    then: AtomicI64,
}

impl Clock {
    /// The machine's time, as it is now, going on steadily.
    pub fn system() -> Self {
        Self(Source::Steady(Arc::new(Steady {
            begun: Instant::now(),
            then: AtomicI64::new(machine_time().as_microsecond()),
        })))
    }

    /// A clock that stands at `start` until it is moved. Clones share the hand.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// The time now, in whole microseconds: what the store keeps, so that a time read back from a
    /// row equals the time that was written.
    pub fn now(&self) -> Timestamp {
        let micros = match &self.0 {
            Source::Steady(steady) => {
                let run = i64::try_from(steady.begun.elapsed().as_micros()).unwrap_or(i64::MAX);
                steady.then.load(Ordering::Relaxed).saturating_add(run)
            }
            Source::Manual(hand) => {
                let hand = hand.lock().unwrap_or_else(PoisonError::into_inner);
                hand.as_microsecond()
            }
        };
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }

    /// Sets the clock if it is off the time that was told, and tells by how much it was. The time
    /// was asked for `took` ago and read at any moment since: a slow answer makes no clock wrong.
    /// A manual clock follows nobody.
    pub fn follow(&self, told: Timestamp, took: Duration) -> Option<SignedDuration> {
        let Source::Steady(steady) = &self.0 else {
            return None;
        };
        let took = SignedDuration::try_from(took).unwrap_or(SignedDuration::MAX);
        let least = told.duration_since(self.now());
        let most = least.saturating_add(took);
        let off = if least > TOLERANCE {
            least
        } else if most < -TOLERANCE {
            most
        } else {
            return None;
        };
        let micros = i64::try_from(off.as_micros()).unwrap_or(0);
        steady.then.fetch_add(micros, Ordering::Relaxed);
        Some(off)
    }

    /// Moves a manual clock forward, or back. The network's clock is not ours to move: no effect.
    pub fn advance(&self, by: SignedDuration) {
        if let Source::Manual(hand) = &self.0 {
            let mut hand = hand.lock().unwrap_or_else(PoisonError::into_inner);
            *hand = hand.saturating_add(by).unwrap_or(*hand);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that may read the time"
)]
fn machine_time() -> Timestamp {
    Timestamp::now()
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
        assert_eq!(clock.follow(Timestamp::MAX, Duration::ZERO), None);
    }

    #[test]
    fn the_system_clock_tells_whole_microseconds() {
        let now = Clock::system().now();
        assert_eq!(now.as_nanosecond() % 1_000, 0);
        assert!(now.as_second() > 1_700_000_000);
    }

    #[test]
    fn a_clock_that_is_off_is_set_and_one_that_is_nearly_right_is_not() {
        let clock = Clock::system();
        let other = clock.clone();
        let near = clock.now() + SignedDuration::from_millis(50);
        assert_eq!(clock.follow(near, Duration::ZERO), None);
        for hours in [1, -30] {
            let told = clock.now() + SignedDuration::from_hours(hours);
            let off = clock.follow(told, Duration::ZERO).unwrap();
            assert_eq!(
                off.round(jiff::Unit::Second).unwrap().as_secs(),
                hours * 3600
            );
            assert!(other.now().duration_since(told).abs() < SignedDuration::from_secs(1));
        }
    }

    #[test]
    fn a_slow_answer_sets_no_clock_and_cannot_hide_one_that_is_off() {
        let clock = Clock::system();
        let took = Duration::from_secs(3);
        let before = clock.now();
        let just_asked = before - SignedDuration::from_secs(3);
        assert_eq!(clock.follow(just_asked, took), None);
        assert_eq!(clock.follow(before, took), None);
        let off = clock.follow(before - SignedDuration::from_secs(10), took);
        assert_eq!(off.map(|off| off.as_millis() / 1_000), Some(-7));
        let off = clock.follow(clock.now() + SignedDuration::from_secs(10), took);
        assert_eq!(off.map(|off| (off.as_millis() + 500) / 1_000), Some(10));
    }
}
