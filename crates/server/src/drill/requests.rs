//! Requests that a drill keeps waiting or answers with an error, for alerts that look at those.
//!
//! Which requests is not left to chance: each gets the next number of a sequence that fills its
//! range evenly, so a share is met after a few requests already and no pattern of requests falls
//! into step with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::DrillLoad;

use super::Over;

/// Steps through the 64-bit numbers that fill them evenly: the golden ratio's, and that of the
/// square root of 2, so that what is slow and what fails have nothing to do with each other.
const STEPS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909];

/// What a drill does to requests, and how often it did.
#[derive(Debug)]
pub(super) struct Trouble {
    over: Arc<Over>,
    latency: Duration,
    latency_rate: f64,
    error_rate: f64,
    asked: AtomicU64,
    delayed: AtomicU64,
    failed: AtomicU64,
}

/// What becomes of one request.
#[derive(Clone, Debug)]
pub struct Disturbance {
    over: Arc<Over>,
    waits_until: Option<Instant>,
    fails: bool,
}

impl Disturbance {
    /// Waits for as long as the request is kept back, and tells whether it is then to be answered
    /// with an error. When the drill is over, neither is so any more.
    pub async fn wait(&self) -> bool {
        if let Some(until) = self.waits_until {
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                () = self.over.asked.cancelled() => {}
            }
        }
        self.fails && !self.over.is()
    }
}

impl Trouble {
    pub(super) fn new(load: &DrillLoad, over: Arc<Over>) -> Self {
        Self {
            over,
            latency: Duration::from_millis(load.latency_ms.into()),
            latency_rate: load.latency_rate,
            error_rate: load.error_rate,
            asked: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Whether it does anything.
    pub(super) fn is_any(&self) -> bool {
        self.error_rate > 0.0 || (self.latency_rate > 0.0 && !self.latency.is_zero())
    }

    /// Delayed and failed so far.
    pub(super) fn measured(&self) -> (u64, u64) {
        (
            self.delayed.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        )
    }

    /// What becomes of the next request.
    pub(super) fn next(&self) -> Option<Disturbance> {
        if self.over.is() {
            return None;
        }
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let waits = !self.latency.is_zero() && is_chosen(number, STEPS[0], self.latency_rate);
        let fails = is_chosen(number, STEPS[1], self.error_rate);
        self.delayed.fetch_add(waits.into(), Ordering::Relaxed);
        self.failed.fetch_add(fails.into(), Ordering::Relaxed);
        let until = (Instant::now() + self.latency).min(self.over.deadline);
        (waits || fails).then(|| Disturbance {
            over: Arc::clone(&self.over),
            waits_until: waits.then_some(until),
            fails,
        })
    }
}

/// Whether the request with this number belongs to the share.
fn is_chosen(number: u64, step: u64, share: f64) -> bool {
    /// As many bits as a float has for a number's digits.
    const BITS: u32 = 53;
    let place = number.wrapping_mul(step) >> (u64::BITS - BITS);
    #[expect(clippy::cast_precision_loss, reason = "it has 53 bits")]
    let place = place as f64 / (1_u64 << BITS) as f64;
    place < share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(step: u64, share: f64, of: impl Iterator<Item = u64>) -> usize {
        of.filter(|number| is_chosen(*number, step, share)).count()
    }

    #[test]
    fn a_share_is_met_soon_and_whatever_the_pattern() {
        for step in STEPS {
            assert_eq!(chosen(step, 0.0, 0..1_000), 0);
            assert_eq!(chosen(step, 1.0, 0..1_000), 1_000);
            for (share, least, most) in [(0.5, 47, 53), (0.1, 7, 13), (0.9, 87, 93)] {
                for start in [0, 1_000, u64::MAX / 2] {
                    let hundred = chosen(step, share, start..start + 100);
                    assert!(
                        (least..=most).contains(&hundred),
                        "{step:x} {share} {hundred}"
                    );
                    // Every second and every tenth request, as a client may send them.
                    for every in [2, 10] {
                        let some = (start..).step_by(every).take(100);
                        let hundred = chosen(step, share, some);
                        let near = (least - 6..=most + 6).contains(&hundred);
                        assert!(near, "{step:x} {share} {every} {hundred}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_slow_and_what_fails_have_nothing_to_do_with_each_other() {
        let both = (0..10_000)
            .filter(|n| STEPS.iter().all(|step| is_chosen(*n, *step, 0.5)))
            .count();
        assert!((2_300..2_700).contains(&both), "{both}");
    }
}
