//! The one place that reads the time of day.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Now, on both scales: one to wait and measure by, one to write into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Never goes backwards.
    pub instant: Instant,
    /// The time of day.
    pub time: Timestamp,
}

impl Moment {
    /// The machine's present.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that may read the time"
    )]
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            time: Timestamp::now(),
        }
    }

    /// A moment later on, for tests that live through a day in a millisecond.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let by = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        Self {
            instant: self.instant + wait,
            time: self.time.saturating_add(by).unwrap_or(self.time),
        }
    }
}
