//! A station's story: what is known of its last days, and what is claimed of it.

use std::sync::Arc;

use domain::{Entry, EntryId, Event, EventKind, Session, SessionId, Station};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most claims of a kind. A story is read by somebody in a hurry.
pub const MAX_CLAIMS: usize = 6;
/// Most things a claim rests on.
pub const MAX_CITES: usize = 20;
/// Most events that a model is given: the newest. Some ten thousand tokens.
pub const MAX_EVENTS_TOLD: usize = 200;
/// Most charging sessions that a model is given: the newest. Some eight thousand tokens.
pub const MAX_SESSIONS_TOLD: usize = 100;

/// What is known of a station's last days.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The station as it is now.
    pub station: Arc<Station>,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// Its charging sessions, oldest first.
    pub sessions: Vec<Session>,
    /// What people wrote about it, oldest first.
    pub entries: Vec<Entry>,
}

/// What is claimed of a station, each claim with what it rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// What happened.
    pub what_happened: Vec<Claim>,
    /// Why, the likeliest first.
    pub likely_cause: Vec<Claim>,
    /// What to do, the most useful first.
    pub next_step: Vec<Claim>,
}

/// A sentence, and what it rests on: at least one thing that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The sentence.
    pub text: String,
    /// Sequence numbers of events.
    pub events: Vec<i64>,
    /// Charging sessions.
    pub sessions: Vec<SessionId>,
    /// Entries of the journal.
    pub entries: Vec<EntryId>,
}

impl Facts {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.sessions.is_empty() && self.entries.is_empty()
    }

    /// The events that a model is given.
    fn told(&self) -> &[Event] {
        newest(&self.events, MAX_EVENTS_TOLD)
    }

    /// The sessions that a model is given.
    fn sessions_told(&self) -> &[Session] {
        newest(&self.sessions, MAX_SESSIONS_TOLD)
    }

    /// Everything in one document, each thing with a short id that a claim can cite. Who charged
    /// is nobody's business here: sessions come without their tags.
    pub(super) fn for_a_model(&self) -> Value {
        let events: Vec<Value> = self.told().iter().map(event).collect();
        let sessions = (1..).zip(self.sessions_told()).map(|(number, session)| {
            json!({
                "id": format!("s{number}"),
                "evse": session.evse, "state": session.state,
                "started_at": session.started_at, "ended_at": session.ended_at,
                "energy_wh": session.energy(), "stop_reason": session.stop_reason,
                "problems": session.billing_problems(),
            })
        });
        let journal = (1..).zip(&self.entries).map(|(number, entry)| {
            json!({
                "id": format!("j{number}"), "at": entry.created_at,
                "work": entry.work, "struggle": entry.struggle, "intention": entry.intention,
            })
        });
        json!({
            "station": {
                "name": self.station.name, "status": self.station.status,
                "online": self.station.online, "evses": self.station.evses.len(),
            },
            "from": self.from, "to": self.to,
            // It must not take for quiet what it is not given.
            "older_events_left_out": self.events.len() - self.told().len(),
            "older_sessions_left_out": self.sessions.len() - self.sessions_told().len(),
            "events": events,
            "sessions": sessions.collect::<Vec<_>>(),
            "journal": journal.collect::<Vec<_>>(),
        })
    }

    /// Adds what a short id stands for to a claim; `None` when nothing of the kind was given.
    pub(super) fn resolve(&self, cite: &str, claim: &mut Claim) -> Option<()> {
        let kind = cite.chars().next()?;
        let number: i64 = cite[kind.len_utf8()..].parse().ok()?;
        let place = || usize::try_from(number).ok()?.checked_sub(1);
        match kind {
            'e' => {
                let known = self.told().iter().any(|event| event.seq == number);
                known.then(|| add(&mut claim.events, number))
            }
            's' => {
                let session = self.sessions_told().get(place()?)?;
                add(&mut claim.sessions, session.id);
                Some(())
            }
            'j' => {
                let entry = self.entries.get(place()?)?;
                add(&mut claim.entries, entry.id);
                Some(())
            }
            _ => None,
        }
    }
}

impl Story {
    /// Every claim.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        let lists = [&self.what_happened, &self.likely_cause, &self.next_step];
        lists.into_iter().flatten()
    }
}

/// The last so many of a list.
fn newest<T>(list: &[T], most: usize) -> &[T] {
    &list[list.len().saturating_sub(most)..]
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// An event for a model: flat, and with the short id.
fn event(event: &Event) -> Value {
    let inner = &event.event;
    let mut told =
        json!({"id": format!("e{}", event.seq), "at": inner.at, "type": inner.kind.name()});
    if let Some(evse) = inner.evse {
        told["evse"] = json!(evse);
    }
    if let Some(connector) = inner.connector {
        told["connector"] = json!(connector);
    }
    // What a maker's own message holds is long, and nobody but the maker can read it.
    if !matches!(inner.kind, EventKind::DataReceived { .. })
        && let Ok(mut kind) = serde_json::to_value(&inner.kind)
    {
        told["data"] = kind["data"].take();
    }
    told
}
