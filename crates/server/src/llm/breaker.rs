//! Leaves a server in peace that keeps failing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Questions that must fail in a row. One is chance; so many are an outage, in which each further
/// one would only keep somebody waiting.
pub(super) const FAILURES: u32 = 5;
/// How long the server is left in peace then.
pub(super) const REST: Duration = Duration::from_secs(30);

/// Counts failures in a row. After [`FAILURES`] nobody is let through for [`REST`]; then one is, and
/// what becomes of that one decides for the others.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    resting_until: Option<Instant>,
}

impl Breaker {
    /// Lets a question through, or tells how long to wait. `trial` is how long one may take: if
    /// nothing is heard of it by then, another is let through.
    pub(super) fn admit(&self, now: Instant, trial: Duration) -> Result<(), Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.resting_until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                state.resting_until = Some(now + trial);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The server answered, be it badly.
    pub(super) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// The server failed.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES {
            state.resting_until = Some(now + REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIAL: Duration = Duration::from_mins(1);

    fn broken(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(now, TRIAL), Ok(()));
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let now = Instant::now();
        assert_eq!(broken(now).admit(now, TRIAL), Err(REST));
        let breaker = Breaker::default();
        for _ in 0..3 * FAILURES {
            breaker.failed(now);
            breaker.answered();
        }
        assert_eq!(breaker.admit(now, TRIAL), Ok(()));
    }

    #[test]
    fn after_the_rest_one_tries_for_all() {
        let now = Instant::now();
        let breaker = broken(now);
        let rested = now + REST;
        assert_eq!(breaker.admit(rested, TRIAL), Ok(()));
        assert_eq!(breaker.admit(rested, TRIAL), Err(TRIAL));
        breaker.failed(rested);
        assert_eq!(breaker.admit(rested, TRIAL), Err(REST));

        let again = rested + REST;
        assert_eq!(breaker.admit(again, TRIAL), Ok(()));
        breaker.answered();
        assert_eq!(breaker.admit(again, TRIAL), Ok(()));
        assert_eq!(breaker.admit(again, TRIAL), Ok(()));
    }

    #[test]
    fn a_trial_that_is_never_heard_of_lets_another_one_through() {
        let now = Instant::now();
        let breaker = broken(now);
        assert_eq!(breaker.admit(now + REST, TRIAL), Ok(()));
        assert_eq!(breaker.admit(now + REST + TRIAL, TRIAL), Ok(()));
    }
}
