//! How busy this machine's cores are.

use std::fs;

use anyhow::{Context, Result};

/// Where the kernel counts what its cores do.
const STAT: &str = "/proc/stat";
/// Of the times in a line of it, in their order: those in which a core had nothing to do.
const IDLE: [usize; 2] = [3, 4];
/// As many times as are told apart here. What follows them, guests' time, is counted in them too.
const TIMES: usize = 8;

/// What all cores together have done since the machine started, in ticks.
pub struct Cores {
    idle: u64,
    all: u64,
}

impl Cores {
    /// Reads it.
    pub fn now() -> Result<Self> {
        Self::read(&fs::read_to_string(STAT)?).with_context(|| format!("{STAT} is not understood"))
    }

    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times = line.split_whitespace().take(TIMES).map(str::parse);
        let times: Vec<u64> = times.collect::<Result<_, _>>().ok()?;
        let idle = IDLE.iter().map(|index| times.get(*index).copied());
        Some(Self {
            idle: idle.sum::<Option<u64>>()?,
            all: times.iter().sum(),
        })
    }

    /// The share of the time since then in which they had something to do, from 0 to 1.
    pub fn busy_since(&self, before: &Self) -> f64 {
        let counts = [self.idle - before.idle, self.all - before.all];
        let [idle, all] = counts.map(|count| u32::try_from(count).map_or(f64::NAN, f64::from));
        1.0 - idle / all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_busy_machine_is_half_busy() {
        let read = |line: &str| Cores::read(&format!("{line}\ncpu0 1 2 3\n")).unwrap();
        let before = read("cpu  100 0 100 700 100 0 0 0 50 0");
        let after = read("cpu  120 0 120 730 110 0 0 0 70 0");
        assert!((after.busy_since(&before) - 0.5).abs() < 1e-9);
        assert!(Cores::read("cpu 1 x").is_none());
        assert!(Cores::read("intr 1").is_none());
    }
}
