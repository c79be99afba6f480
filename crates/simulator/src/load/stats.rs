//! What is counted while a load runs, and the table at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::histogram::Histogram;

/// Different errors that are told apart; the rest is counted together.
const MAX_ERRORS: usize = 32;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// TCP and the upgrade.
    Connect,
    /// BootNotification.
    Boot,
    /// Heartbeat.
    Heartbeat,
    /// StatusNotification.
    Status,
    /// StartTransaction.
    Start,
    /// MeterValues.
    Meter,
    /// StopTransaction.
    Stop,
}

impl Action {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Boot,
        Self::Heartbeat,
        Self::Status,
        Self::Start,
        Self::Meter,
        Self::Stop,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "(connect)",
            Self::Boot => "BootNotification",
            Self::Heartbeat => "Heartbeat",
            Self::Status => "StatusNotification",
            Self::Start => "StartTransaction",
            Self::Meter => "MeterValues",
            Self::Stop => "StopTransaction",
        }
    }
}

/// Counters that many chargers share.
#[derive(Debug, Default)]
pub struct Stats {
    actions: [Counts; Action::ALL.len()],
    connected: AtomicUsize,
    booted: AtomicUsize,
    behind: AtomicU64,
    server_calls: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    latency: Histogram,
}

/// The counters at one moment, for a line of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Chargers with a line.
    pub connected: usize,
    /// Chargers with a line that the server has accepted.
    pub booted: usize,
    /// Calls made so far.
    pub sent: u64,
    /// Calls answered so far.
    pub answered: u64,
    /// Errors so far, refusals included.
    pub errors: u64,
}

impl Stats {
    pub(super) fn sent(&self, action: Action) {
        self.actions[action as usize].sent.fetch_add(1, Relaxed);
    }

    pub(super) fn answered(&self, action: Action, latency: Duration) {
        let counts = &self.actions[action as usize];
        counts.answered.fetch_add(1, Relaxed);
        counts.latency.record(latency);
    }

    pub(super) fn refused(&self, action: Action, error: &str) {
        self.actions[action as usize].refused.fetch_add(1, Relaxed);
        self.error(&format!("{}: {error}", action.as_str()));
    }

    pub(super) fn error(&self, error: &str) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let known = errors.contains_key(error) || errors.len() < MAX_ERRORS;
        let key = if known { error } else { "others" };
        *errors.entry(key.to_owned()).or_default() += 1;
    }

    pub(super) fn connected(&self) -> &AtomicUsize {
        &self.connected
    }

    pub(super) fn booted(&self) -> &AtomicUsize {
        &self.booted
    }

    pub(super) fn behind(&self) {
        self.behind.fetch_add(1, Relaxed);
    }

    pub(super) fn server_call(&self) {
        self.server_calls.fetch_add(1, Relaxed);
    }

    /// Forgets what was counted while everybody connected, so that the work stands for itself.
    pub(super) fn begin_work(&self) {
        for action in Action::ALL {
            let counts = &self.actions[action as usize];
            if !matches!(action, Action::Connect | Action::Boot) {
                counts.sent.store(0, Relaxed);
                counts.answered.store(0, Relaxed);
                counts.latency.clear();
            }
        }
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let calls = || self.actions.iter().skip(1);
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            connected: self.connected.load(Relaxed),
            booted: self.booted.load(Relaxed),
            sent: calls().map(|counts| counts.sent.load(Relaxed)).sum(),
            answered: calls().map(|counts| counts.answered.load(Relaxed)).sum(),
            errors: errors.values().sum(),
        }
    }

    /// The 99th percentile of one action's latency so far.
    pub fn p99(&self, action: Action) -> Duration {
        self.actions[action as usize].latency.quantile(990)
    }

    pub(super) fn report(&self, chargers: usize, times: Times) -> Report {
        let rows = Action::ALL.into_iter().filter_map(|action| {
            let counts = &self.actions[action as usize];
            let sent = counts.sent.load(Relaxed);
            let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
            let answered = counts.answered.load(Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
            let per_second = answered as f64 / times.work.as_secs_f64().max(1e-3);
            let part_of_work = !matches!(action, Action::Connect | Action::Boot);
            (sent > 0).then(|| Row {
                action: action.as_str(),
                sent,
                answered,
                refused: counts.refused.load(Relaxed),
                per_second: part_of_work.then_some(per_second),
                p50_ms: millis(counts.latency.quantile(500)),
                p99_ms: millis(counts.latency.quantile(990)),
                max_ms: millis(counts.latency.max()),
            })
        });
        Report {
            chargers,
            connected: self.connected.load(Relaxed),
            connect_seconds: times.gather.map(|took| took.as_secs_f64()),
            storm_seconds: times.storm.map(|took| took.as_secs_f64()),
            work_seconds: times.work.as_secs_f64(),
            actions: rows.collect(),
            behind: self.behind.load(Relaxed),
            server_calls: self.server_calls.load(Relaxed),
            errors: self
                .errors
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

/// How long the parts of a run took; nothing for a part that was not completed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) gather: Option<Duration>,
    pub(super) storm: Option<Duration>,
    pub(super) work: Duration,
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
        writeln!(f, "worked for {:.1} s\n", self.work_seconds)?;
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
