//! So many in a second: a network that comes back all at once is let in at a pace that the node can
//! keep up with, so that those who are in are served meanwhile.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::StationId;
use tokio::time::{Instant, sleep};

/// How long a charger waits in line before it is told to come back. A handshake that waits longer
/// is given up by the charger, and was for nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// What may go without waiting after a quiet time: this much time's worth.
const BURST: Duration = Duration::from_millis(200);
/// Those who are told to come back are spread over this many seconds.
const SPREAD_SECONDS: u64 = 10;

/// A line that moves at a steady pace.
#[derive(Debug)]
pub struct Pace {
    begun: Instant,
    /// Between one and the next, in nanoseconds.
    interval: u64,
    /// When the next one may go, in nanoseconds since the line began.
    next: AtomicU64,
}

/// Not now: when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComeBack {
    /// In so many seconds.
    pub seconds: u32,
}

impl ComeBack {
    /// After this time, and a little later for some than for others: those refused together do not
    /// come back together.
    pub fn after(time: Duration, identity: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        identity.hash(&mut hasher);
        let seconds = time.as_secs() + 1 + hasher.finish() % SPREAD_SECONDS;
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        Self { seconds }
    }
}

impl Pace {
    /// Lets so many through in a second.
    pub fn new(per_second: u32) -> Self {
        Self {
            begun: Instant::now(),
            interval: 1_000_000_000 / u64::from(per_second.max(1)),
            next: AtomicU64::new(0),
        }
    }

    /// Waits for this station's turn, or tells it when to come back.
    pub async fn wait(&self, station: &StationId) -> Result<(), ComeBack> {
        match self.take(nanos(self.begun.elapsed())) {
            Ok(Duration::ZERO) => Ok(()),
            Ok(wait) => {
                sleep(wait).await;
                Ok(())
            }
            Err(line) => Err(ComeBack::after(line, station.as_str())),
        }
    }

    /// Takes a place in line at a time, and tells how long it is from there; without taking one,
    /// how long the line is, when that is too long.
    fn take(&self, now: u64) -> Result<Duration, Duration> {
        let earliest = now.saturating_sub(nanos(BURST));
        let taken = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                let place = next.max(earliest);
                let waits = place.saturating_sub(now);
                (waits <= nanos(PATIENCE)).then(|| place + self.interval)
            });
        let line = |next: u64| Duration::from_nanos(next.max(earliest).saturating_sub(now));
        taken.map(line).map_err(line)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_a_pace() {
        let pace = Pace::new(100);
        let now = 10 * SECOND;
        let waits: Vec<_> = (0..60).map(|_| pace.take(now).unwrap()).collect();
        // A fifth of a second's worth, then one every ten milliseconds.
        assert_eq!(waits.iter().filter(|wait| wait.is_zero()).count(), 21);
        assert_eq!(waits[49] + Duration::from_millis(100), waits[59]);
    }

    #[test]
    fn who_would_wait_too_long_takes_no_place() {
        let pace = Pace::new(10);
        let now = SECOND;
        let taken = std::iter::from_fn(|| pace.take(now).ok()).count();
        assert_eq!(taken, 53, "two at once, then five seconds' worth");
        assert!(pace.take(now).is_err());
        // The line moves on, whoever was refused.
        assert!(pace.take(now + SECOND / 5).is_ok());
    }

    #[tokio::test]
    async fn those_who_are_refused_come_back_at_different_times() {
        let pace = Pace::new(1);
        let mut told = Vec::new();
        for number in 0..100 {
            let id = StationId::new(&format!("CP-{number}")).unwrap();
            let waited = tokio::time::timeout(Duration::ZERO, pace.wait(&id)).await;
            if let Ok(Err(ComeBack { seconds })) = waited {
                told.push(seconds);
            }
        }
        told.sort_unstable();
        assert!(told.len() > 90 && told[0] >= 5);
        told.dedup();
        assert_eq!(told.len() as u64, SPREAD_SECONDS);
    }
}
