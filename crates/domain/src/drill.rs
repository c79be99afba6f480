//! Load drills: what may be asked for, within which bounds, and how one ends.
//!
//! A drill loads the service on purpose, so that somebody can see that the alerts fire and that the
//! service goes on. Each bound keeps it from becoming the outage that it rehearses.

use serde::{Deserialize, Serialize};

use crate::status::words;

/// The most of the processor limit: all of it. From there on everybody waits, the service too.
pub const MAX_CPU: f64 = 1.0;
/// The most of the memory limit. At the limit itself the kernel ends the process.
pub const MAX_MEMORY: f64 = 0.95;
/// The longest that a request is kept waiting, in milliseconds: far above any alert's bound, and
/// short enough for a request that may itself wait for a minute to be answered in time.
pub const MAX_LATENCY_MS: u32 = 10_000;
/// The largest share of requests: all of them.
pub const MAX_SHARE: f64 = 1.0;
/// The shortest drill, in seconds.
pub const MIN_SECONDS: u64 = 1;
/// The longest drill, in seconds. An alert that looks at an average of 5 minutes and holds for 15
/// has fired by then.
pub const MAX_SECONDS: u64 = 30 * 60;

/// The processor load of a drill that says nothing: above the 90 % that alerts look for.
pub const DEFAULT_CPU: f64 = 0.95;
/// How long a drill takes that says nothing, in seconds.
pub const DEFAULT_SECONDS: u64 = 90;

/// What a drill does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillLoad {
    /// Share of the processor limit to use up, 0 to [`MAX_CPU`]; without a limit, of one core.
    pub cpu: f64,
    /// Share of the memory limit to fill, 0 to [`MAX_MEMORY`].
    pub memory: f64,
    /// How long requests are kept waiting, up to [`MAX_LATENCY_MS`].
    pub latency_ms: u32,
    /// Which share of the requests is kept waiting, 0 to [`MAX_SHARE`].
    pub latency_rate: f64,
    /// Which share of the requests is answered with an error, 0 to [`MAX_SHARE`].
    pub error_rate: f64,
    /// How long all of it takes, [`MIN_SECONDS`] to [`MAX_SECONDS`].
    pub duration_seconds: u64,
}

impl DrillLoad {
    /// Whether it does nothing at all.
    pub fn is_nothing(&self) -> bool {
        let waits = self.latency_ms > 0 && self.latency_rate > 0.0;
        self.cpu <= 0.0 && self.memory <= 0.0 && self.error_rate <= 0.0 && !waits
    }
}

impl Default for DrillLoad {
    /// What `/riseload` asks for.
    fn default() -> Self {
        Self {
            cpu: DEFAULT_CPU,
            memory: 0.0,
            latency_ms: 0,
            latency_rate: 0.0,
            error_rate: 0.0,
            duration_seconds: DEFAULT_SECONDS,
        }
    }
}

words! {
    /// How a drill ended.
    DrillEnd {
        /// Its time was over.
        Completed = "completed",
        /// Somebody ended it.
        Aborted = "aborted",
        /// The server stopped.
        Stopped = "stopped",
    }
}
