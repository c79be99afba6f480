//! What came of a run, or of the part of it that one process had, and the table at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::Latencies;
use super::stats::Action;

/// Different errors that are told apart; the rest is counted together.
const MAX_ERRORS: usize = 32;

/// What came of a part of a run. Parts are added up, then [reported](Tally::report).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    pub(super) chargers: usize,
    pub(super) connected: usize,
    pub(super) times: Times,
    pub(super) actions: Vec<Counted>,
    pub(super) behind: u64,
    pub(super) server_calls: u64,
    pub(super) errors: BTreeMap<String, u64>,
}

/// One action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) action: Action,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) latency: Latencies,
}

/// How long the stages of a run took; nothing for one that was not completed.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) gather: Option<Duration>,
    pub(super) storm: Option<Duration>,
    pub(super) work: Duration,
}

impl Tally {
    /// Adds up the parts of a run. A stage is completed when all have completed it.
    pub(super) fn sum(parts: &[Self]) -> Self {
        let slowest = |took: fn(&Self) -> Option<Duration>| {
            let each: Option<Vec<Duration>> = parts.iter().map(took).collect();
            each?.into_iter().max()
        };
        let mut sum = Self {
            times: Times {
                gather: slowest(|part| part.times.gather),
                storm: slowest(|part| part.times.storm),
                work: slowest(|part| Some(part.times.work)).unwrap_or_default(),
            },
            ..Self::default()
        };
        for part in parts {
            sum.chargers += part.chargers;
            sum.connected += part.connected;
            sum.behind += part.behind;
            sum.server_calls += part.server_calls;
            for (error, times) in &part.errors {
                count_error(&mut sum.errors, error, *times);
            }
            for counted in &part.actions {
                let known = sum.actions.iter_mut();
                match known.into_iter().find(|it| it.action == counted.action) {
                    Some(known) => known.add(counted),
                    None => sum.actions.push(counted.clone()),
                }
            }
        }
        sum
    }

    /// What it comes to.
    pub fn report(&self, longest_gap: Option<Gap>) -> Report {
        let seconds = self.times.work.as_secs_f64();
        let actions = self.actions.iter().filter(|counted| counted.sent > 0);
        Report {
            chargers: self.chargers,
            connected: self.connected,
            connect_seconds: self.times.gather.map(|took| took.as_secs_f64()),
            storm_seconds: self.times.storm.map(|took| took.as_secs_f64()),
            work_seconds: seconds,
            longest_gap,
            actions: actions.map(|counted| counted.row(seconds)).collect(),
            behind: self.behind,
            server_calls: self.server_calls,
            errors: self.errors.clone(),
        }
    }
}

impl Counted {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.refused += other.refused;
        self.latency.add(&other.latency);
    }

    fn row(&self, seconds: f64) -> Row {
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let per_second = self.answered as f64 / seconds.max(1e-3);
        let part_of_work = self.action.is_call() && self.action != Action::Boot;
        Row {
            action: self.action.as_str(),
            sent: self.sent,
            answered: self.answered,
            refused: self.refused,
            per_second: part_of_work.then_some(per_second),
            p50_ms: millis(self.latency.quantile(500)),
            p99_ms: millis(self.latency.quantile(990)),
            max_ms: millis(self.latency.max()),
        }
    }
}

/// Counts an error, under its own name while there are few.
pub(super) fn count_error(errors: &mut BTreeMap<String, u64>, error: &str, times: u64) {
    let known = errors.contains_key(error) || errors.len() < MAX_ERRORS;
    let key = if known { error } else { "others" };
    *errors.entry(key.to_owned()).or_default() += times;
}

/// What came of a run. `Display` is the table.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Chargers that were to take part.
    pub chargers: usize,
    /// Chargers with a line at the end of the work.
    pub connected: usize,
    /// Until all were connected and accepted; nothing if that never was.
    pub connect_seconds: Option<f64>,
    /// Until all were back after the storm; nothing if there was none, or they never were.
    pub storm_seconds: Option<f64>,
    /// How long the work lasted.
    pub work_seconds: f64,
    /// The longest time that not everybody had a line; nothing if everybody always had.
    pub longest_gap: Option<Gap>,
    /// One row an action. Connecting and booting count from the beginning, the rest from when the
    /// work began.
    pub actions: Vec<Row>,
    /// Calls made later than the rate asked for, because the answer before them was late.
    pub behind: u64,
    /// Calls of the server that were answered.
    pub server_calls: u64,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u64>,
}

/// A time in which not everybody had a line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// When it began, in seconds after the work did.
    pub after_seconds: f64,
    /// How long it lasted, or has lasted when the run ended.
    pub seconds: f64,
    /// How many were missing, at most.
    pub missing: usize,
    /// Whether all were back in the end.
    pub ended: bool,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            missing, seconds, ..
        } = self;
        if self.ended {
            write!(
                f,
                "at most {missing} were away; all were back after {seconds:.1} s"
            )
        } else {
            write!(
                f,
                "at most {missing} were away, and not all came back in {seconds:.1} s"
            )
        }
    }
}

/// One action.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub action: &'static str,
    /// How often.
    pub sent: u64,
    /// How often it was acknowledged.
    pub answered: u64,
    /// How often it was refused.
    pub refused: u64,
    /// Acknowledgements a second; none for what is not part of the work.
    pub per_second: Option<f64>,
    /// Half took no longer than this from call to answer.
    pub p50_ms: f64,
    /// 99 of a hundred took no longer than this.
    pub p99_ms: f64,
    /// None took longer than this.
    pub max_ms: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of {} chargers connected",
            self.connected, self.chargers
        )?;
        match self.connect_seconds {
            Some(seconds) => writeln!(f, "all connected and booted after {seconds:.1} s")?,
            None => writeln!(f, "never all connected and booted")?,
        }
        if let Some(seconds) = self.storm_seconds {
            writeln!(f, "all back after the storm in {seconds:.1} s")?;
        }
        writeln!(f, "worked for {:.1} s", self.work_seconds)?;
        if let Some(gap) = &self.longest_gap {
            writeln!(f, "{gap}")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:<20} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9}",
            "", "sent", "answered", "refused", "per s", "p50 ms", "p99 ms", "max ms"
        )?;
        for row in &self.actions {
            let per_second = row.per_second.map(|rate| format!("{rate:.1}"));
            writeln!(
                f,
                "{:<20} {:>9} {:>9} {:>8} {:>9} {:>9.2} {:>9.2} {:>9.2}",
                row.action,
                row.sent,
                row.answered,
                row.refused,
                per_second.as_deref().unwrap_or("-"),
                row.p50_ms,
                row.p99_ms,
                row.max_ms
            )?;
        }
        if self.behind > 0 {
            writeln!(
                f,
                "\n{} calls were later than the rate asked for",
                self.behind
            )?;
        }
        if self.server_calls > 0 {
            writeln!(f, "\n{} calls of the server answered", self.server_calls)?;
        }
        for (error, times) in &self.errors {
            writeln!(f, "\n{times:>9} × {error}")?;
        }
        Ok(())
    }
}
