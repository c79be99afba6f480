//! Latencies, counted in buckets that grow with what they hold.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets per doubling: a quantile is off by 3 % at most.
const STEPS: u32 = 32;

/// Doublings above the exact part: up to 2³¹ µs, over half an hour.
const DOUBLINGS: usize = 26;

const BUCKETS: usize = STEPS as usize * (DOUBLINGS + 1);

/// Durations in microseconds. Many tasks record at once; nobody waits.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    longest: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            longest: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)].fetch_add(1, Relaxed);
        self.longest.fetch_max(micros, Relaxed);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.buckets
            .iter()
            .for_each(|bucket| bucket.store(0, Relaxed));
        self.longest.store(0, Relaxed);
    }

    /// What was recorded so far.
    pub fn latencies(&self) -> Latencies {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        Latencies {
            counts: (0..).zip(counts).filter(|(_, count)| *count > 0).collect(),
            longest_us: self.longest.load(Relaxed),
        }
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.longest.load(Relaxed))
    }

    /// The duration that `per_mille` of them do not exceed; nothing when there are none.
    pub fn quantile(&self, per_mille: u64) -> Duration {
        self.latencies().quantile(per_mille)
    }
}

/// What a [`Histogram`] has recorded, to be added to that of others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// How many, by bucket; empty ones are left out.
    counts: BTreeMap<usize, u64>,
    longest_us: u64,
}

impl Latencies {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        for (index, count) in &other.counts {
            *self.counts.entry(*index).or_default() += count;
        }
        self.longest_us = self.longest_us.max(other.longest_us);
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.longest_us)
    }

    /// The duration that `per_mille` of them do not exceed; nothing when there are none.
    pub fn quantile(&self, per_mille: u64) -> Duration {
        let total: u64 = self.counts.values().sum();
        let wanted = (total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in &self.counts {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(upper_end(*index)).min(self.max());
            }
        }
        Duration::ZERO
    }
}

/// Exact below [`STEPS`]; above, the leading bits decide.
fn bucket(micros: u64) -> usize {
    let steps = u64::from(STEPS);
    let index = match (micros / steps).checked_ilog2() {
        None => micros,
        Some(shift) => u64::from(shift) * steps + (micros >> shift),
    };
    usize::try_from(index)
        .unwrap_or(usize::MAX)
        .min(BUCKETS - 1)
}

fn upper_end(index: usize) -> u64 {
    let (index, steps) = (index as u64, u64::from(STEPS));
    match (index / steps).checked_sub(1) {
        None => index,
        Some(shift) => ((steps + index % steps + 1) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_a_bucket_close_to_it() {
        let mut last = 0;
        for micros in (0..3_000).chain((3_000..2_000_000_000).step_by(999_983)) {
            let index = bucket(micros);
            assert!(index >= last, "{micros}");
            last = index;
            let end = upper_end(index);
            assert!(
                end >= micros && (end - micros) * u64::from(STEPS) <= micros.max(1),
                "{micros} in {end}"
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_of_what_was_recorded() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), Duration::ZERO);
        (1..=1000).for_each(|millis| histogram.record(Duration::from_millis(millis)));
        let near = |per_mille, millis: u64| {
            let found = histogram.quantile(per_mille).as_micros();
            let expected = u128::from(millis) * 1000;
            assert!(
                found >= expected && found <= expected * 104 / 100,
                "{per_mille}: {found}"
            );
        };
        near(500, 500);
        near(990, 990);
        assert_eq!(histogram.quantile(1000), Duration::from_secs(1));
        assert_eq!(histogram.max(), Duration::from_secs(1));
        histogram.clear();
        assert_eq!(histogram.quantile(990), Duration::ZERO);
    }

    #[test]
    fn added_up_they_are_as_if_one_had_recorded_all() {
        let (all, parts) = (Histogram::default(), [(); 3].map(|()| Histogram::default()));
        for (number, part) in (0_u64..1000).zip(parts.iter().cycle()) {
            let duration = Duration::from_micros(number * number);
            all.record(duration);
            part.record(duration);
        }
        let mut sum = Latencies::default();
        for part in &parts {
            let text = serde_json::to_string(&part.latencies()).unwrap();
            sum.add(&serde_json::from_str(&text).unwrap());
        }
        assert_eq!(sum, all.latencies());
        assert_eq!(sum.quantile(990), all.quantile(990));
        assert_eq!(sum.max(), Duration::from_micros(999 * 999));
    }
}
