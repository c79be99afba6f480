//! Holds a server to what it has acknowledged.
//!
//! The server's side is read over its REST API: the history of each station, its connectors as they
//! are now, its sessions with their meter values. What was never acknowledged may be there or not;
//! what was must be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use self::state::{State, acknowledged};
use super::journal::Entry;
use super::ledger::{Ledger, lines};
use super::stats::Action;
use crate::rest::{Api, Reader, RestError};

mod state;

/// Chargers that are looked at side by side.
const TOGETHER: usize = 16;

/// Entries in memory at a time, some 150 bytes each. A longer journal is read several times, a share
/// of the chargers each time.
const MAX_HELD: u64 = 500_000;

/// Missing things that are named; the rest is counted.
const MAX_NAMED: usize = 10;

/// What a server can be held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A state change, in the station's history.
    StateChange,
    /// The last state of a charger, as it is now.
    LastState,
    /// A session that began.
    Begin,
    /// A session that ended, with its energy.
    End,
    /// A meter value.
    MeterValue,
}

impl Kind {
    /// All, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::StateChange,
        Self::LastState,
        Self::Begin,
        Self::End,
        Self::MeterValue,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::StateChange => "state changes",
            Self::LastState => "last states",
            Self::Begin => "session begins",
            Self::End => "session ends",
            Self::MeterValue => "meter values",
        }
    }
}

/// How the server did. `Display` is the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// By kind, how many were acknowledged, and how many of those the server has.
    pub kinds: BTreeMap<Kind, Found>,
    /// Chargers that were told anything.
    pub chargers: usize,
    /// Ended sessions that can be billed.
    pub billable: u64,
    /// Sessions that the server has twice, and transactions it gave the same number.
    pub doubled: u64,
    /// Some of what is missing or doubled, in words.
    pub named: Vec<String>,
}

/// How many of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The server has said that it has them.
    pub acknowledged: u64,
    /// It does have them.
    pub found: u64,
}

impl Found {
    /// The rest. Must be none.
    pub fn missing(&self) -> u64 {
        self.acknowledged - self.found
    }
}

impl Verdict {
    /// Whether everything acknowledged is there, and once.
    pub fn is_good(&self) -> bool {
        self.doubled == 0 && self.missing() == 0
    }

    /// How many are missing, of all kinds.
    pub fn missing(&self) -> u64 {
        self.kinds.values().map(Found::missing).sum()
    }

    /// How many of a kind were acknowledged, and are there.
    pub fn of(&self, kind: Kind) -> Found {
        self.kinds.get(&kind).copied().unwrap_or_default()
    }

    fn count(&mut self, kind: Kind, found: bool, name: impl FnOnce() -> String) {
        let counts = self.kinds.entry(kind).or_default();
        counts.acknowledged += 1;
        counts.found += u64::from(found);
        if !found {
            self.name(name);
        }
    }

    fn doubled(&mut self, name: impl FnOnce() -> String) {
        self.doubled += 1;
        self.name(name);
    }

    fn name(&mut self, name: impl FnOnce() -> String) {
        if self.named.len() < MAX_NAMED {
            self.named.push(name());
        }
    }

    fn add(&mut self, other: Self) {
        for (kind, found) in other.kinds {
            let counts = self.kinds.entry(kind).or_default();
            counts.acknowledged += found.acknowledged;
            counts.found += found.found;
        }
        self.chargers += other.chargers;
        self.billable += other.billable;
        self.doubled += other.doubled;
        for name in other.named {
            self.name(|| name);
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:>12} {:>9} {:>8}",
            "", "acknowledged", "found", "missing"
        )?;
        for kind in Kind::ALL {
            let found = self.of(kind);
            writeln!(
                f,
                "{:<20} {:>12} {:>9} {:>8}",
                kind.as_str(),
                found.acknowledged,
                found.found,
                found.missing()
            )?;
        }
        writeln!(
            f,
            "\n{} chargers looked at; {} of the ended sessions can be billed; {} doubled",
            self.chargers, self.billable, self.doubled
        )?;
        for name in &self.named {
            writeln!(f, "  {name}")?;
        }
        Ok(())
    }
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A journal cannot be read.
    #[error("cannot read {path}: {error}")]
    Journal {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The server does not tell.
    #[error(transparent)]
    Rest(#[from] RestError),
}

/// Holds servers to journals. Several servers are one network: any of them may be asked. `progress`
/// is told how many chargers were looked at.
pub async fn verify_journals(
    journals: &[PathBuf],
    servers: &[Api],
    progress: impl Fn(usize) + Sync,
) -> Result<Verdict, VerifyError> {
    let failed = |path: &PathBuf| {
        let path = path.clone();
        |error| VerifyError::Journal { path, error }
    };
    let mut held = 0;
    for path in journals {
        held += lines(path).map_err(failed(path))?;
    }
    let shares = held.div_ceil(MAX_HELD).max(1);
    let mut verdict = Verdict::default();
    for share in 0..shares {
        let mut ledger = Ledger::default();
        for path in journals {
            ledger.read(path, share, shares).map_err(failed(path))?;
        }
        let before = verdict.chargers;
        let progress = |chargers| progress(before + chargers);
        verdict.add(verify(&ledger, servers, progress).await?);
    }
    Ok(verdict)
}

/// Holds servers to what is in a ledger.
pub async fn verify(
    ledger: &Ledger,
    servers: &[Api],
    progress: impl Fn(usize) + Sync,
) -> Result<Verdict, RestError> {
    let readers: Mutex<Vec<Reader>> = Mutex::default();
    let looked_at = AtomicUsize::new(0);
    let looks = stream::iter(ledger.chargers().enumerate()).map(async |(index, looked)| {
        let (charger, entries) = looked;
        let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = idle.unwrap_or_else(|| Reader::new(servers, index));
        let state = State::read(&mut reader, charger, entries).await?;
        readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reader);
        progress(looked_at.fetch_add(1, Relaxed) + 1);
        Ok::<_, RestError>(compare(charger, entries, &state))
    });
    let mut verdict = Verdict::default();
    for number in ledger.given_twice() {
        verdict.doubled(|| format!("transaction {number} was given twice"));
    }
    let mut looks = looks.buffer_unordered(TOGETHER);
    while let Some(part) = looks.try_next().await? {
        verdict.add(part);
    }
    Ok(verdict)
}

/// Holds what the server has of a charger against what it has acknowledged.
fn compare(charger: &str, entries: &[Entry], state: &State) -> Verdict {
    let mut verdict = Verdict {
        chargers: 1,
        ..Verdict::default()
    };
    let energy = |entry: &Entry| {
        entry
            .energy_wh
            .and_then(|energy| i64::try_from(energy).ok())
    };

    for entry in acknowledged(entries, Action::Status) {
        let found = state.marks.contains(&entry.mark());
        verdict.count(Kind::StateChange, found, || {
            let status = entry.status.as_deref().unwrap_or("a state");
            format!("{charger}: {status} of {} is lost", entry.timestamp)
        });
    }
    if let Some(last) = acknowledged(entries, Action::Status).next_back() {
        // One that was said later and not acknowledged may be the last one all the same.
        let later = entries.iter().filter(|entry| {
            !entry.acknowledged && entry.action == Action::Status && entry.order > last.order
        });
        let may_be: Vec<String> = std::iter::once(last)
            .chain(later)
            .map(Entry::mark)
            .collect();
        let is = state.last.get(&last.connector).cloned().flatten();
        let found = is.as_ref().is_some_and(|is| may_be.contains(is));
        verdict.count(Kind::LastState, found, || {
            format!("{charger}: the last state is {is:?} instead of {may_be:?}")
        });
    }
    for entry in acknowledged(entries, Action::Start) {
        let session = state.session(entry);
        let found = session.is_some_and(|session| {
            session.started_at == entry.timestamp && session.meter_start_wh == energy(entry)
        });
        verdict.count(Kind::Begin, found, || {
            format!("{charger}: no such begin: {entry:?}; there is {session:?}")
        });
    }
    for entry in acknowledged(entries, Action::Stop) {
        let session = state.session(entry);
        let begun = session.and_then(|session| session.meter_start_wh);
        let delivered = energy(entry).zip(begun).map(|(end, begin)| end - begin);
        let found = session.is_some_and(|session| {
            session.state == "ended"
                && session.meter_stop_wh == energy(entry)
                && (session.energy_wh == delivered || delivered.is_none())
        });
        verdict.billable += u64::from(session.is_some_and(|session| session.billing_ready));
        verdict.count(Kind::End, found, || {
            format!("{charger}: no such end: {entry:?}; there is {session:?}")
        });
    }
    for entry in acknowledged(entries, Action::Meter) {
        let session = state.session(entry);
        let found = session.is_some_and(|session| {
            let mut values = session.meter_values.iter();
            values.any(|value| value.at == entry.timestamp && value.energy_wh == energy(entry))
        });
        verdict.count(Kind::MeterValue, found, || {
            format!("{charger}: no such meter value: {entry:?}")
        });
    }
    let mut begins = BTreeSet::new();
    for session in &state.sessions {
        let place = (session.evse, session.connector);
        if !begins.insert((place, session.started_at, session.meter_start_wh)) {
            verdict.doubled(|| format!("{charger}: twice the same session: {session:?}"));
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::state::{MeterValue, Session};
    use super::*;

    fn entry(order: u64, action: Action, acknowledged: bool) -> Entry {
        let transactional = matches!(action, Action::Start | Action::Meter | Action::Stop);
        Entry {
            charger: "CP-1".to_owned(),
            order,
            acknowledged,
            action,
            connector: 1,
            timestamp: at(order),
            status: (action == Action::Status).then_some("Charging".into()),
            transaction_id: transactional.then_some(7),
            energy_wh: transactional.then_some(100 * order),
        }
    }

    fn at(order: u64) -> Timestamp {
        let second = i64::try_from(order).unwrap();
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A charge: begin, state, meter value, end, state.
    fn charge() -> Vec<Entry> {
        use Action::{Meter, Start, Status, Stop};
        let story = [Start, Status, Meter, Stop, Status];
        let told = (0..).zip(story);
        told.map(|(order, action)| entry(order, action, true))
            .collect()
    }

    /// A server that has all of it.
    fn state() -> State {
        let marks = [1, 4].map(|order| entry(order, Action::Status, true).mark());
        State {
            last: [(1, Some(marks[1].clone()))].into(),
            marks: marks.into(),
            sessions: vec![Session {
                id: "a".to_owned(),
                connector: Some(1),
                evse: Some(1),
                transaction_id: "7".to_owned(),
                state: "ended".to_owned(),
                started_at: at(0),
                meter_start_wh: Some(0),
                meter_stop_wh: Some(300),
                energy_wh: Some(300),
                billing_ready: true,
                meter_values: vec![MeterValue {
                    at: at(2),
                    energy_wh: Some(200),
                }],
            }],
        }
    }

    /// Something that a server loses.
    type Change = fn(&mut State);

    fn missing(entries: &[Entry], change: impl FnOnce(&mut State)) -> Vec<Kind> {
        let mut state = state();
        change(&mut state);
        let verdict = compare("CP-1", entries, &state);
        let kinds = Kind::ALL.into_iter();
        kinds
            .filter(|kind| verdict.of(*kind).missing() > 0)
            .collect()
    }

    #[test]
    fn whatever_is_taken_away_is_missed() {
        let told = charge();
        let verdict = compare("CP-1", &told, &state());
        assert!(verdict.is_good() && verdict.named.is_empty(), "{verdict}");
        let counts = Kind::ALL.map(|kind| verdict.of(kind).acknowledged);
        assert_eq!(counts, [2, 1, 1, 1, 1]);
        assert_eq!(verdict.billable, 1);

        let session = |state: &mut State| state.sessions.remove(0);
        let losses: [(Change, &[Kind]); 11] = [
            (|state| drop(state.marks.pop_first()), &[Kind::StateChange]),
            (|state| state.last.clear(), &[Kind::LastState]),
            (
                |state| state.last = [(1, Some("other".to_owned()))].into(),
                &[Kind::LastState],
            ),
            (
                |state| state.sessions.clear(),
                &[Kind::Begin, Kind::End, Kind::MeterValue],
            ),
            (|state| state.sessions[0].started_at = at(9), &[Kind::Begin]),
            (
                |state| state.sessions[0].state = "active".to_owned(),
                &[Kind::End],
            ),
            (
                |state| state.sessions[0].meter_stop_wh = Some(299),
                &[Kind::End],
            ),
            (|state| state.sessions[0].energy_wh = None, &[Kind::End]),
            (
                |state| state.sessions[0].meter_values[0].at = at(3),
                &[Kind::MeterValue],
            ),
            (
                |state| state.sessions[0].meter_values[0].energy_wh = None,
                &[Kind::MeterValue],
            ),
            (
                |state| state.sessions[0].meter_values.clear(),
                &[Kind::MeterValue],
            ),
        ];
        for (change, expect) in losses {
            assert_eq!(missing(&told, change), expect);
        }
        let mut twice = state();
        let mut again = session(&mut state());
        again.transaction_id = "8".to_owned();
        twice.sessions.push(again);
        let verdict = compare("CP-1", &told, &twice);
        assert_eq!((verdict.missing(), verdict.doubled), (0, 1), "{verdict}");
        assert!(!verdict.is_good());
    }

    #[test]
    fn what_was_not_acknowledged_may_be_there_or_not() {
        let mut told = charge();
        told.push(entry(5, Action::Start, false));
        told.push(entry(6, Action::Status, false));
        let unsure = entry(6, Action::Status, false).mark();
        assert_eq!(missing(&told, |_| ()), []);
        assert_eq!(
            missing(&told, |state| state.last = [(1, Some(unsure))].into()),
            []
        );
    }

    #[test]
    fn a_number_given_twice_is_seen_across_chargers_and_shares() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut lines = String::new();
        for charger in ["CP-1", "CP-2", "CP-3"] {
            let mut entry = entry(0, Action::Start, true);
            entry.charger = charger.to_owned();
            entry.transaction_id = Some(if charger == "CP-2" { 8 } else { 7 });
            lines += &(serde_json::to_string(&entry).unwrap() + "\n");
        }
        std::fs::write(&path, lines).unwrap();
        for shares in [1, 2, 5] {
            let (mut chargers, mut twice) = (0, Vec::new());
            for share in 0..shares {
                let mut ledger = Ledger::default();
                ledger.read(&path, share, shares).unwrap();
                chargers += ledger.chargers().len();
                twice.extend(ledger.given_twice().iter().copied());
            }
            assert_eq!((chargers, twice), (3, vec![7]), "{shares}");
        }
    }
}
