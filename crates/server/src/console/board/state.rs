//! What the board knows: the stations in a few words, their totals, and what happened lately.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use domain::session::Problem;
use domain::{
    Cause, Counts, Event, EventKind, Outcome, SessionId, Station, StationId, StationStatus, Status,
    WattHours,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::console::phrases::Lang;
use crate::console::words;

/// Stations kept at most: more than anybody looks after with one console.
pub(super) const MAX_STATIONS: usize = 100_000;
/// Changes kept to be shown.
const MAX_RECENT: usize = 40;
/// Failed commands and sessions with problems kept, of each.
pub(super) const MAX_NOTED: usize = 100;
/// Sessions that are added up at most: of the day, and of those that run.
pub(super) const MAX_SESSIONS: usize = 20_000;
/// Stations that are gone, remembered for streams that resume.
const MAX_GONE: usize = 1_000;

/// A station in a few words.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its id.
    pub id: StationId,
    /// What people call it.
    pub name: String,
    /// Where it stands, in words.
    pub address: String,
    /// Where it stands: degrees north and east.
    pub place: Option<(f64, f64)>,
    /// Its derived status.
    pub status: StationStatus,
    /// Since when.
    pub since: Timestamp,
    /// Because of what.
    pub cause: Cause,
    /// Whether it can be used though not all of it works.
    pub degraded: bool,
    /// Its connectors by status.
    pub counts: Counts,
    /// What is searched: in small letters.
    search: String,
    /// At which event it last changed.
    changed: i64,
}

impl Row {
    fn new(station: &Station, changed: i64) -> Self {
        let location = station.location.as_ref();
        let address = location.and_then(|it| it.address.clone());
        let address = address.unwrap_or_default();
        Self {
            search: folded(&format!("{}\n{}\n{address}", station.id, station.name)),
            id: station.id.clone(),
            name: station.name.clone(),
            address,
            place: location.map(|it| (it.latitude, it.longitude)),
            status: station.status,
            since: station.status_since,
            cause: station.status_cause,
            degraded: station.degraded(),
            counts: station.counts(),
            changed,
        }
    }

    /// Whether it needs a person: it is broken, or in part, or not there.
    pub fn needs_a_person(&self) -> bool {
        matches!(self.status, StationStatus::Faulted | StationStatus::Offline)
            || self.counts.faulted > 0
    }

    /// How bad it is: the lower the worse.
    pub fn rank(&self) -> u8 {
        match self.status {
            StationStatus::Faulted => 0,
            StationStatus::Offline => 1,
            _ if self.counts.faulted > 0 => 2,
            StationStatus::Unavailable => 3,
            StationStatus::Unknown => 4,
            StationStatus::Reserved => 5,
            StationStatus::Occupied => 6,
            StationStatus::Available => 7,
        }
    }

    /// Whether a search finds it. The text is folded already.
    pub fn matches(&self, text: &str) -> bool {
        self.search.contains(text)
    }

    /// Why it has its status.
    pub fn why(&self, lang: &Lang) -> String {
        words::cause(*lang, &self.cause)
    }

    /// How many connectors it has.
    pub fn connectors(&self) -> u32 {
        Status::ALL.iter().map(|it| self.counts.of(*it)).sum()
    }
}

/// A text as it is searched.
pub fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct State {
    /// The last event that is taken in.
    pub seq: i64,
    /// Changes after this event are known; a stream that left off before cannot be resumed.
    pub since: i64,
    /// Every station.
    pub rows: HashMap<StationId, Arc<Row>>,
    /// What happened lately, newest first.
    pub recent: VecDeque<Event>,
    /// Commands that failed, newest first.
    pub failed: VecDeque<Event>,
    /// Sessions that ended with problems, newest first.
    pub unbilled: VecDeque<Unbilled>,
    /// Energy of the sessions that ended today (UTC).
    pub(super) delivered: HashMap<SessionId, i64>,
    pub(super) today: Option<jiff::civil::Date>,
    /// Stations by the event at which they last changed.
    order: BTreeSet<(i64, StationId)>,
    gone: HashMap<StationId, i64>,
    /// How many stations have each status.
    pub stations: HashMap<StationStatus, usize>,
    /// How many connectors have each status.
    pub connectors: Counts,
    /// How many stations need a person.
    pub trouble: usize,
}

/// A session that ended and cannot be billed.
#[derive(Clone, Debug)]
pub struct Unbilled {
    /// Which.
    pub id: SessionId,
    /// Where.
    pub station_id: Option<StationId>,
    /// Why.
    pub problem: Problem,
    /// When this side learned of its end.
    pub at: Timestamp,
}

/// What a station became.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is so now.
    Is(Arc<Row>),
    /// It is gone.
    Gone(StationId),
}

impl State {
    /// Nothing yet, as of an event.
    pub(super) fn after(seq: i64) -> Self {
        Self {
            seq,
            since: seq,
            ..Self::default()
        }
    }

    /// The stations that changed after an event, the longest ago first, at most so many; `None`
    /// when there are more, or when it is not known any longer.
    pub fn changes(&self, after: i64, most: usize) -> Option<Vec<Change>> {
        if after < self.since {
            return None;
        }
        let later = self.order.iter().rev().take_while(|(at, _)| *at > after);
        let later: Vec<_> = later.take(most + 1).collect();
        if later.len() > most {
            return None;
        }
        let change = |(_, id): &(i64, StationId)| match self.rows.get(id) {
            Some(row) => Change::Is(row.clone()),
            None => Change::Gone(id.clone()),
        };
        Some(later.into_iter().rev().map(change).collect())
    }

    /// Energy of the sessions that ended today.
    pub fn delivered(&self) -> WattHours {
        WattHours(
            self.delivered
                .values()
                .copied()
                .fold(0, i64::saturating_add),
        )
    }

    pub(super) fn put(&mut self, station: &Station, seq: i64) {
        if !self.rows.contains_key(&station.id) && self.rows.len() >= MAX_STATIONS {
            return;
        }
        self.remove(&station.id);
        let row = Arc::new(Row::new(station, seq));
        self.order.insert((seq, row.id.clone()));
        self.count(&row, 1);
        self.rows.insert(row.id.clone(), row);
    }

    pub(super) fn drop_station(&mut self, id: &StationId, seq: i64) {
        if !self.remove(id) {
            return;
        }
        self.order.insert((seq, id.clone()));
        self.gone.insert(id.clone(), seq);
        if self.gone.len() > MAX_GONE {
            // Whoever left off before cannot be told of them any longer.
            for (id, at) in self.gone.drain() {
                self.order.remove(&(at, id));
            }
            self.since = seq;
        }
    }

    /// Takes a station out, and tells whether it was there.
    fn remove(&mut self, id: &StationId) -> bool {
        if let Some(at) = self.gone.remove(id) {
            self.order.remove(&(at, id.clone()));
        }
        let Some(row) = self.rows.remove(id) else {
            return false;
        };
        self.order.remove(&(row.changed, id.clone()));
        self.count(&row, -1);
        true
    }

    fn count(&mut self, row: &Row, by: i8) {
        let step = |count: usize, size: usize| {
            if by < 0 {
                count.saturating_sub(size)
            } else {
                count + size
            }
        };
        let stations = self.stations.entry(row.status).or_default();
        *stations = step(*stations, 1);
        self.trouble = step(self.trouble, usize::from(row.needs_a_person()));
        let (all, one) = (&mut self.connectors, &row.counts);
        for (all, one) in [
            (&mut all.available, one.available),
            (&mut all.occupied, one.occupied),
            (&mut all.reserved, one.reserved),
            (&mut all.unavailable, one.unavailable),
            (&mut all.faulted, one.faulted),
            (&mut all.unknown, one.unknown),
        ] {
            *all = if by < 0 {
                all.saturating_sub(one)
            } else {
                *all + one
            };
        }
    }

    /// Takes in what an event tells by itself.
    pub(super) fn note(&mut self, event: &Event) {
        let inner = &event.event;
        self.begin_day(inner.at);
        if is_told(&inner.kind) {
            keep(&mut self.recent, event.clone(), MAX_RECENT);
        }
        match &inner.kind {
            EventKind::CommandEnded { outcome, .. } if *outcome != Outcome::Accepted => {
                keep(&mut self.failed, event.clone(), MAX_NOTED);
            }
            EventKind::SessionEnded {
                session_id,
                energy_wh,
                problems,
                ..
            } => {
                if let Some(energy) = energy_wh {
                    self.deliver(*session_id, *energy, problems);
                }
                self.unbilled.retain(|it| it.id != *session_id);
                if let Some(problem) = problems.first() {
                    let noted = Unbilled {
                        id: *session_id,
                        station_id: inner.station_id.clone(),
                        problem: *problem,
                        at: inner.at,
                    };
                    keep(&mut self.unbilled, noted, MAX_NOTED);
                }
            }
            _ => {}
        }
    }

    pub(super) fn deliver(&mut self, id: SessionId, energy: WattHours, problems: &[Problem]) {
        let believed = !problems.iter().any(|problem| problem.doubts_energy());
        if believed && self.delivered.len() < MAX_SESSIONS {
            self.delivered.insert(id, energy.0.max(0));
        }
    }

    pub(super) fn begin_day(&mut self, at: Timestamp) {
        let day = at.to_zoned(TimeZone::UTC).date();
        if self.today.is_none_or(|today| today < day) {
            self.today = Some(day);
            self.delivered.clear();
        }
    }
}

/// Keeps the newest.
fn keep<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    list.push_front(item);
    list.truncate(most);
}

/// What is worth telling of the whole network: not each connector, EVSE and reading.
fn is_told(kind: &EventKind) -> bool {
    !matches!(
        kind,
        EventKind::ConnectorStatusChanged { .. }
            | EventKind::EvseStatusChanged { .. }
            | EventKind::StationReported { .. }
            | EventKind::CommandCreated { .. }
            | EventKind::EvseCreated {}
            | EventKind::ConnectorCreated {}
            | EventKind::EvseDeleted {}
            | EventKind::ConnectorDeleted {}
            | EventKind::ConnectorUpdated {}
            | EventKind::TokenCreated { .. }
            | EventKind::TokenRevoked { .. }
            | EventKind::DataReceived { .. }
            | EventKind::StationConnected { .. }
            | EventKind::StationBooted { .. }
    )
}

#[cfg(test)]
mod tests {
    use domain::station::{EvseSpec, StationSpec};

    use super::*;

    fn station(id: &str) -> Station {
        let spec = StationSpec {
            id: StationId::new(id).expect("an id"),
            name: id.to_owned(),
            location: None,
            evses: vec![EvseSpec::simple()],
        };
        Station::register(spec, 0, Timestamp::UNIX_EPOCH)
            .expect("a station")
            .station
    }

    fn names(changes: Option<Vec<Change>>) -> Vec<String> {
        let name = |change| match change {
            Change::Is(row) => row.id.to_string(),
            Change::Gone(id) => format!("-{id}"),
        };
        let changes = changes.expect("they are known");
        changes.into_iter().map(name).collect()
    }

    #[test]
    fn what_changed_after_an_event_is_told_once_and_in_order() {
        let mut state = State {
            since: 10,
            ..State::default()
        };
        for (id, seq) in [("A", 10), ("B", 10), ("A", 12), ("C", 13)] {
            state.put(&station(id), seq);
        }
        assert_eq!(names(state.changes(10, 9)), ["A", "C"]);
        assert_eq!(names(state.changes(12, 9)), ["C"]);
        assert!(names(state.changes(13, 9)).is_empty());
        let gone = StationId::new("A").expect("an id");
        state.drop_station(&gone, 14);
        assert_eq!(names(state.changes(12, 9)), ["C", "-A"]);
        // Too many, or too long ago: everything is to be read anew.
        assert!(state.changes(10, 1).is_none());
        assert!(state.changes(9, 9).is_none());
        state.put(&station("A"), 15);
        assert_eq!(names(state.changes(13, 9)), ["A"]);
    }

    #[test]
    fn the_totals_follow_every_change() {
        let mut state = State::default();
        let mut one = station("A");
        state.put(&one, 1);
        state.put(&station("B"), 2);
        assert_eq!(state.stations[&StationStatus::Unknown], 2);
        assert_eq!((state.connectors.unknown, state.trouble), (2, 0));
        one.status = StationStatus::Faulted;
        state.put(&one, 3);
        assert_eq!(state.stations[&StationStatus::Faulted], 1);
        assert_eq!(state.trouble, 1);
        state.drop_station(&one.id, 4);
        state.drop_station(&one.id, 5);
        assert_eq!(state.trouble, 0);
        assert_eq!((state.rows.len(), state.connectors.unknown), (1, 1));
    }

    #[test]
    fn those_long_gone_are_forgotten_and_streams_from_before_begin_anew() {
        let mut state = State::default();
        let count = i64::try_from(MAX_GONE).expect("few") + 1;
        for number in 1..=count {
            let station = station(&format!("S-{number}"));
            state.put(&station, number);
            state.drop_station(&station.id, number);
        }
        assert_eq!((state.gone.len(), state.since), (0, count));
        assert!(state.changes(count - 1, 9).is_none());
        assert!(names(state.changes(count, 9)).is_empty());
    }
}
