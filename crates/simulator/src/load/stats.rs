//! What is counted while a load runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::tally::{Counted, Tally, Times, count_error};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Action {
    /// TCP and the upgrade.
    Connect,
    /// From a line that was lost to the next one that is accepted.
    Return,
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
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Return,
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
            Self::Return => "(reconnected)",
            Self::Boot => "BootNotification",
            Self::Heartbeat => "Heartbeat",
            Self::Status => "StatusNotification",
            Self::Start => "StartTransaction",
            Self::Meter => "MeterValues",
            Self::Stop => "StopTransaction",
        }
    }

    /// Whether it is a call, and not something that happens to the line.
    pub const fn is_call(self) -> bool {
        !matches!(self, Self::Connect | Self::Return)
    }
}

impl From<Action> for &'static str {
    fn from(action: Action) -> Self {
        action.as_str()
    }
}

impl TryFrom<String> for Action {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|action| action.as_str() == name);
        named.ok_or_else(|| format!("{name} is none of the actions"))
    }
}

/// Counters that many chargers share.
#[derive(Debug, Default)]
pub struct Stats {
    actions: [Counts; Action::ALL.len()],
    connected: AtomicUsize,
    booted: AtomicUsize,
    leaving: AtomicBool,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The 99th percentile of the slowest action but booting, in microseconds.
    pub p99_us: u64,
    /// Whether the run is over and chargers leave on purpose.
    pub leaving: bool,
}

impl Snapshot {
    /// Adds another part's.
    pub(super) fn add(&mut self, other: &Self) {
        self.connected += other.connected;
        self.booted += other.booted;
        self.sent += other.sent;
        self.answered += other.answered;
        self.errors += other.errors;
        self.p99_us = self.p99_us.max(other.p99_us);
        self.leaving |= other.leaving;
    }
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
        count_error(&mut errors, error, 1);
    }

    pub(super) fn connected(&self) -> &AtomicUsize {
        &self.connected
    }

    pub(super) fn booted(&self) -> &AtomicUsize {
        &self.booted
    }

    /// From now on chargers leave on purpose.
    pub(super) fn leave(&self) {
        self.leaving.store(true, SeqCst);
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
        let calls = || {
            let actions = Action::ALL.into_iter().filter(|action| action.is_call());
            actions.map(|action| (action, &self.actions[action as usize]))
        };
        let slowest = calls()
            .filter(|(action, _)| *action != Action::Boot)
            .map(|(_, counts)| counts.latency.quantile(990))
            .max();
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            connected: self.connected.load(Relaxed),
            booted: self.booted.load(Relaxed),
            sent: calls().map(|(_, counts)| counts.sent.load(Relaxed)).sum(),
            answered: calls()
                .map(|(_, counts)| counts.answered.load(Relaxed))
                .sum(),
            errors: errors.values().sum(),
            p99_us: u64::try_from(slowest.unwrap_or_default().as_micros()).unwrap_or(u64::MAX),
            // Read last: whoever counts fewer chargers because they leave also sees that they do.
            leaving: self.leaving.load(SeqCst),
        }
    }

    /// What came of it, to be added to what came of other parts of the run.
    pub(super) fn tally(&self, chargers: usize, times: Times) -> Tally {
        let count = |action: Action| {
            let counts = &self.actions[action as usize];
            Counted {
                action,
                sent: counts.sent.load(Relaxed),
                answered: counts.answered.load(Relaxed),
                refused: counts.refused.load(Relaxed),
                latency: counts.latency.latencies(),
            }
        };
        Tally {
            chargers,
            connected: self.connected.load(Relaxed),
            times,
            actions: Action::ALL.map(count).to_vec(),
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
