//! Every event is told in JSON and understood again, under its own name.

use std::collections::BTreeSet;

use domain::command::{Command, CommandRecord, Ending, Outcome};
use domain::event::{Event, EventKind, NewEvent};
use domain::session::{Limits, Session, Stop, StopReason};
use domain::station::Location;
use domain::{
    CommandId, DrillEnd, DrillId, DrillLoad, EntryId, IdTagStatus, NodeId, Role, Sentiment,
    SessionId, StationId, TokenId, WattHours,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use crate::at;
use crate::sessions::start;
use crate::stations::{history, play};

#[test]
fn every_event_comes_back_from_json() {
    let mut told = of_stations();
    told.extend(of_a_session());
    told.extend(of_a_command());
    told.extend(of_the_rest());
    let names: BTreeSet<_> = told.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, EventKind::NAMES.iter().copied().collect());
    for event in told {
        let (seq, name) = (i64::MAX, event.kind.name());
        let event = Event { seq, event };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["type"], name);
        let back: Event = serde_json::from_str(&json.to_string()).unwrap();
        assert_eq!(back, event, "{json}");
    }
}

fn of_stations() -> Vec<NewEvent> {
    let mut random = TestRunner::deterministic();
    let mut told = Vec::new();
    for _ in 0..200 {
        let turns = play(&history().new_tree(&mut random).unwrap().current());
        let end = turns.last().map(|turn| turn.after.removal(at(99)));
        told.extend(turns.into_iter().flat_map(|turn| turn.events));
        told.extend(end.into_iter().flatten());
    }
    told
}

fn of_a_session() -> [NewEvent; 4] {
    let id = SessionId(Uuid::nil());
    let stop = Stop {
        at: Some(at(9)),
        meter: Some(WattHours(1)),
        reason: Some(StopReason::EvDisconnected),
    };
    let start = start(None, None, Some(WattHours(5)));
    let (_, refused) = Session::refuse(id, start.clone(), IdTagStatus::Expired, at(0));
    let (session, started) = Session::start(id, start, at(0));
    let (session, interrupted) = session.interrupt(at(1)).unwrap();
    let (_, ended) = session.stop(&stop, &[], Limits::default(), at(9)).unwrap();
    [refused, started, interrupted, ended]
}

fn of_a_command() -> [NewEvent; 2] {
    let (id, station) = (CommandId(Uuid::nil()), StationId::new("CP-1").unwrap());
    let node = NodeId(Uuid::nil());
    let (record, created) = CommandRecord::new(id, station, Command::ClearCache {}, node, at(0));
    let ending = Ending {
        outcome: Outcome::TimedOut,
        detail: None,
        response: None,
        at: at(1),
    };
    [created, record.end(ending).unwrap().1]
}

/// Those that are made where they happen: no rule of the domain tells them.
fn of_the_rest() -> Vec<NewEvent> {
    let text = || "\"ñ\"".to_owned();
    let (token_id, role) = (TokenId(Uuid::nil()), Role::Operator);
    let entry_id = EntryId(Uuid::nil());
    let kinds = [
        EventKind::StationCreated { name: text() },
        EventKind::StationUpdated {
            name: text(),
            location: Some(Location {
                latitude: 40.415_363,
                longitude: -3.707_398,
                address: Some(text()),
            }),
        },
        EventKind::FirmwareStatus { status: text() },
        EventKind::DiagnosticsStatus { status: text() },
        EventKind::DataReceived {
            vendor_id: text(),
            message_id: None,
            data: Some(text()),
        },
        EventKind::IdTagChanged {},
        EventKind::IdTagDeleted {},
        EventKind::TokenCreated { token_id, role },
        EventKind::TokenRevoked { token_id },
        EventKind::JournalEntryCreated { entry_id },
        EventKind::JournalEntryUpdated { entry_id },
        EventKind::JournalEntryDeleted { entry_id },
        EventKind::JournalEntryAnalyzed {
            entry_id,
            sentiment: Sentiment::Neutral,
            model: text(),
        },
        EventKind::JournalCleared {},
        EventKind::DrillStarted {
            drill_id: DrillId(Uuid::nil()),
            node: text(),
            load: DrillLoad {
                memory: 0.3,
                ..DrillLoad::default()
            },
        },
        EventKind::DrillEnded {
            drill_id: DrillId(Uuid::nil()),
            node: text(),
            outcome: DrillEnd::Aborted,
        },
    ];
    let event = |kind| NewEvent {
        at: at(0),
        station_id: None,
        evse: None,
        connector: None,
        kind,
    };
    kinds.map(event).to_vec()
}
