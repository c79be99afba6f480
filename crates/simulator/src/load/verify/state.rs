//! The server's side, read over its REST API.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use crate::load::journal::Entry;
use crate::load::stats::Action;
use crate::rest::{Reader, RestError};

/// What the server has of one charger.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The marks in its history.
    pub(super) marks: BTreeSet<String>,
    /// What its connectors were last reported with, by EVSE: OCPP 1.6 has one connector in each.
    pub(super) last: BTreeMap<u32, Option<String>>,
    pub(super) sessions: Vec<Session>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) connector: Option<u32>,
    pub(super) evse: Option<u32>,
    pub(super) transaction_id: String,
    pub(super) state: String,
    pub(super) started_at: Timestamp,
    pub(super) meter_start_wh: Option<i64>,
    pub(super) meter_stop_wh: Option<i64>,
    pub(super) energy_wh: Option<i64>,
    pub(super) billing_ready: bool,
    #[serde(default)]
    pub(super) meter_values: Vec<MeterValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MeterValue {
    pub(super) at: Timestamp,
    pub(super) energy_wh: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
struct Station {
    evses: Vec<Evse>,
}

#[derive(Debug, Deserialize)]
struct Evse {
    evse: u32,
    connectors: Vec<Connector>,
}

#[derive(Debug, Deserialize)]
struct Connector {
    reported: Reported,
}

#[derive(Debug, Default, Deserialize)]
struct Reported {
    info: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    data: Reported,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
struct Page<T> {
    #[serde(alias = "sessions", alias = "events")]
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl State {
    /// Reads as much as the entries ask for.
    pub(super) async fn read(
        reader: &mut Reader,
        charger: &str,
        entries: &[Entry],
    ) -> Result<Self, RestError> {
        let mut state = Self::default();
        let name = in_url(charger);
        let mut wanted: BTreeSet<String> = acknowledged(entries, Action::Status)
            .map(Entry::mark)
            .collect();
        if !wanted.is_empty() {
            let station: Option<Station> = reader.get(&format!("/stations/{name}")).await?;
            let evses = station.unwrap_or_default().evses;
            state.last = evses
                .into_iter()
                .filter_map(|evse| {
                    let connector = evse.connectors.into_iter().next()?;
                    Some((evse.evse, connector.reported.info))
                })
                .collect();
            // Newest first: it is enough to have seen all that is looked for.
            let history = format!("/stations/{name}/events?limit=500");
            let mut pages = Pages::new(history);
            while let Some(events) = pages.next::<Event>(reader).await? {
                for mark in events.into_iter().filter_map(|event| event.data.info) {
                    wanted.remove(&mark);
                    state.marks.insert(mark);
                }
                if wanted.is_empty() {
                    break;
                }
            }
        }
        let transactional = |entry: &Entry| entry.acknowledged && entry.action != Action::Status;
        if entries.iter().any(transactional) {
            let mut pages = Pages::new(format!("/sessions?station_id={name}&limit=500"));
            while let Some(sessions) = pages.next(reader).await? {
                state.sessions.extend::<Vec<Session>>(sessions);
            }
            let metered: BTreeSet<String> = acknowledged(entries, Action::Meter)
                .map(transaction)
                .collect();
            for session in &mut state.sessions {
                if metered.contains(&session.transaction_id) {
                    let detail: Option<Session> =
                        reader.get(&format!("/sessions/{}", session.id)).await?;
                    let values = detail.map(|detail| detail.meter_values);
                    session.meter_values = values.unwrap_or_default();
                }
            }
        }
        Ok(state)
    }

    /// The session of a transaction.
    pub(super) fn session(&self, entry: &Entry) -> Option<&Session> {
        let number = transaction(entry);
        self.sessions
            .iter()
            .find(|session| session.transaction_id == number)
    }
}

/// A station's identity in a path or a query. Of what it may be made of, these mean something else
/// there.
fn in_url(charger: &str) -> String {
    charger.replace('+', "%2B").replace('|', "%7C")
}

/// The pages of a list, one after the other.
struct Pages {
    path: String,
    cursor: Option<String>,
    over: bool,
}

impl Pages {
    fn new(path: String) -> Self {
        Self {
            path,
            cursor: None,
            over: false,
        }
    }

    async fn next<T>(&mut self, reader: &mut Reader) -> Result<Option<Vec<T>>, RestError>
    where
        T: for<'de> Deserialize<'de>,
    {
        if self.over {
            return Ok(None);
        }
        let path = match &self.cursor {
            Some(cursor) => format!("{}&cursor={cursor}", self.path),
            None => self.path.clone(),
        };
        let page: Option<Page<T>> = reader.get(&path).await?;
        let Some(page) = page else {
            self.over = true;
            return Ok(None);
        };
        self.over = page.next_cursor.is_none();
        self.cursor = page.next_cursor;
        Ok(Some(page.items))
    }
}

/// What was acknowledged of a kind, in order.
pub(super) fn acknowledged(
    entries: &[Entry],
    action: Action,
) -> impl DoubleEndedIterator<Item = &Entry> {
    entries
        .iter()
        .filter(move |entry| entry.acknowledged && entry.action == action)
}

/// The number as the API writes it. One that was never given is said as -1.
fn transaction(entry: &Entry) -> String {
    entry.transaction_id.unwrap_or(-1).to_string()
}
