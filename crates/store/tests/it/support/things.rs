//! Stations, sessions and the rest, as short as they can be made.

use domain::command::{Ending, Outcome};
use domain::session::{MeterRecord, Reading, Start, Stop};
use domain::station::{EvseSpec, Place, Report, Source, StationSpec};
use domain::token::{IdTag, IdTagStatus, IdTagUid, Role, Token};
use domain::{
    Command, CommandId, CommandRecord, ConnectorNo, ConnectorStatus, Decided, EventKind, EvseNo,
    Hold, NewEvent, NodeId, Session, SessionId, Station, StationId, TokenId, WattHours,
};
use jiff::Timestamp;
use store::{Commit, NewToken, SessionWrite, StationWrite, Store};
use uuid::Uuid;

/// So many seconds after the beginning of the test's time.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_750_000_000 + seconds).unwrap()
}

/// Where the chargers of these tests are connected.
pub const NODE: NodeId = NodeId(Uuid::nil());

/// The claim of a station's latest connection.
pub fn hold(station: &Station) -> Hold {
    Hold {
        station_id: station.id.clone(),
        epoch: station.epoch,
    }
}

pub fn id(text: &str) -> StationId {
    StationId::new(text).unwrap()
}

/// A new station with one EVSE and one connector.
pub fn new_station(text: &str) -> Decided {
    named_station(text, text)
}

pub fn named_station(text: &str, name: &str) -> Decided {
    let spec = StationSpec {
        id: id(text),
        name: name.to_owned(),
        location: None,
        evses: vec![EvseSpec::simple()],
    };
    Station::register(spec, 1, at(0)).unwrap()
}

/// The commit that enters a station.
pub fn entering(decided: Decided) -> Commit {
    Commit {
        station: Some(StationWrite::Insert(decided.station)),
        events: decided.events,
        ..Commit::default()
    }
}

/// Enters stations, and gives them back.
pub async fn enter(store: &Store, ids: &[&str]) -> Vec<Station> {
    let mut stations = Vec::new();
    for text in ids {
        let decided = new_station(text);
        stations.push(decided.station.clone());
        store.commit(entering(decided)).await.unwrap();
    }
    stations
}

/// What its charger reports of its connector: in turn, so that the next is news.
pub fn status(turn: usize) -> ConnectorStatus {
    let all = [
        ConnectorStatus::Available,
        ConnectorStatus::Charging,
        ConnectorStatus::Faulted,
    ];
    all[turn % all.len()]
}

/// Its charger reports a status.
pub fn reported(station: Station, status: ConnectorStatus, seconds: i64) -> (Station, Commit) {
    let report = Report {
        status,
        since: at(seconds),
        error_code: None,
        info: None,
        vendor_error_code: None,
    };
    let expected = station.version;
    let place = Place::Connector(EvseNo::ONE, ConnectorNo::ONE);
    let decided = station
        .report(place, &report, Source::Charger, at(seconds))
        .unwrap();
    (decided.station.clone(), updating(decided, expected))
}

/// The commit that replaces a station of a version.
pub fn updating(decided: Decided, expected: i64) -> Commit {
    Commit {
        station: Some(StationWrite::Update {
            station: decided.station,
            expected,
        }),
        events: decided.events,
        ..Commit::default()
    }
}

/// An event that tells only of itself.
pub fn note(text: impl Into<String>) -> NewEvent {
    NewEvent {
        at: at(0),
        station_id: Some(id("NOTES")),
        evse: None,
        connector: None,
        kind: EventKind::FirmwareStatus {
            status: text.into(),
        },
    }
}

/// What a [`note`] says; other events say nothing.
pub fn said(event: &domain::Event) -> Option<&str> {
    match &event.event.kind {
        EventKind::FirmwareStatus { status } => Some(status),
        _ => None,
    }
}

pub fn session_id(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// A start on a station's only connector.
pub fn start(station: &str, transaction: &str, start_key: Option<&str>) -> Start {
    Start {
        station_id: id(station),
        place: Some((EvseNo::ONE, ConnectorNo::ONE)),
        transaction_id: transaction.to_owned(),
        start_key: start_key.map(ToOwned::to_owned),
        id_tag: Some("TAG".to_owned()),
        at: Some(at(0)),
        meter: Some(WattHours(1_000)),
    }
}

/// A session that began, in the commit that tells of it.
pub fn starting(number: u128, start: Start) -> (Session, Commit) {
    let (session, event) = Session::start(session_id(number), start, at(0));
    let commit = Commit {
        sessions: vec![SessionWrite::Insert(session.clone())],
        events: vec![event],
        ..Commit::default()
    };
    (session, commit)
}

/// The session's end, an hour later.
pub fn stopping(session: Session) -> (Session, Commit) {
    let stop = Stop {
        at: Some(at(3600)),
        meter: Some(WattHours(8_000)),
        reason: None,
    };
    let expected = session.version;
    let (session, event) = session
        .stop(&stop, &[], domain::session::Limits::default(), at(3600))
        .unwrap();
    let commit = Commit {
        sessions: vec![SessionWrite::Update {
            session: session.clone(),
            expected,
        }],
        events: vec![event],
        ..Commit::default()
    };
    (session, commit)
}

pub fn meter_record(session: SessionId, seconds: i64, energy: i64) -> MeterRecord {
    MeterRecord {
        session_id: Some(session),
        station_id: id("CP-1"),
        evse: Some(EvseNo::ONE),
        reading: Reading {
            at: at(seconds),
            energy: Some(WattHours(energy)),
            power: None,
        },
        samples: format!(r#"[{{"value":"{energy}"}}]"#),
    }
}

pub fn command(number: u128, station: &str) -> (CommandRecord, Commit) {
    let id_ = CommandId(Uuid::from_u128(number));
    let (record, event) = CommandRecord::new(id_, id(station), Command::ClearCache {}, NODE, at(0));
    let commit = Commit {
        new_command: Some(record.clone()),
        events: vec![event],
        ..Commit::default()
    };
    (record, commit)
}

pub fn ending(record: CommandRecord, outcome: Outcome) -> (CommandRecord, Commit) {
    let ending = Ending {
        outcome,
        detail: None,
        response: None,
        at: at(1),
    };
    let (record, event) = record.end(ending).unwrap();
    let commit = Commit {
        ended_command: Some(record.clone()),
        events: vec![event],
        ..Commit::default()
    };
    (record, commit)
}

pub fn tag(uid: &str, version: i64) -> IdTag {
    IdTag {
        uid: IdTagUid::new(uid).unwrap(),
        status: IdTagStatus::Accepted,
        expires_at: None,
        parent: None,
        version,
        created_at: at(0),
        updated_at: at(version),
    }
}

pub fn token(number: u128, hash: &str) -> NewToken {
    NewToken {
        token: Token {
            id: TokenId(Uuid::from_u128(number)),
            name: format!("Token {number}"),
            role: Role::Operator,
            created_at: at(0),
        },
        hash: hash.to_owned(),
    }
}
