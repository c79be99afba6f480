//! Whatever happens to a station, in whatever order: its status is what its parts say.

use std::collections::HashMap;

use domain::event::{EventKind, NewEvent};
use domain::station::{
    ConnectorSpec, EvseSpec, Hardware, Place, Report, Reporting, Source, StationError, StationSpec,
};
use domain::status::{Level, Reason};
use domain::{
    Availability, Cause, Connector, ConnectorNo, ConnectorStatus, Decided, Evse, EvseNo, Hold,
    NodeId, Station, StationId, Status,
};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::{collection::vec, option::of, sample::select};
use uuid::Uuid;

use crate::{at, config};

/// Where every charger of these tests is connected.
const NODE: NodeId = NodeId(Uuid::nil());

/// What can happen to a station.
#[derive(Clone, Debug)]
pub enum Step {
    AddEvse(EvseSpec),
    AddConnector(EvseNo, ConnectorSpec),
    RemoveEvse(EvseNo),
    RemoveConnector(EvseNo, ConnectorNo),
    Report(Source, Place, Report),
    Decide(Place, Availability),
    Connect,
    /// The end of the connection so many epochs before the latest one.
    Disconnect(i64),
    Boot,
    Secure,
    Rename(String),
    Relabel(EvseNo, ConnectorNo, Option<String>),
}

/// A step that was taken: what was before, and what came of it.
pub struct Turn {
    step: Step,
    now: Timestamp,
    before: Station,
    pub after: Station,
    pub events: Vec<NewEvent>,
}

pub fn history() -> impl Strategy<Value = Vec<Step>> {
    let key = || (evse(), connector());
    let place = move || {
        let connector = key().prop_map(|(e, c)| Place::Connector(e, c));
        prop_oneof![1 => Just(Place::Station), 1 => evse().prop_map(Place::Evse), 3 => connector]
    };
    let source = prop_oneof![3 => Just(Source::Charger), 1 => Just(Source::Person)];
    let report = (select(ConnectorStatus::ALL), of("[ab]")).prop_map(|(s, e)| report(s, e));
    let step = prop_oneof![
        2 => evse_spec().prop_map(Step::AddEvse),
        2 => (evse(), connector_spec()).prop_map(|(e, spec)| Step::AddConnector(e, spec)),
        1 => evse().prop_map(Step::RemoveEvse),
        1 => key().prop_map(|(e, c)| Step::RemoveConnector(e, c)),
        12 => (source, place(), report).prop_map(|(s, p, r)| Step::Report(s, p, r)),
        4 => (place(), select(Availability::ALL)).prop_map(|(p, a)| Step::Decide(p, a)),
        2 => Just(Step::Connect),
        3 => (-1..3_i64).prop_map(Step::Disconnect),
        1 => Just(Step::Boot),
        1 => Just(Step::Secure),
        1 => "[ab]".prop_map(Step::Rename),
        1 => (key(), of("[ab]")).prop_map(|((e, c), kind)| Step::Relabel(e, c, kind)),
    ];
    vec(step, 1..40)
}

fn evse() -> impl Strategy<Value = EvseNo> {
    (1..=3_i64).prop_map(|n| EvseNo::try_from(n).unwrap())
}

fn connector() -> impl Strategy<Value = ConnectorNo> {
    (1..=3_i64).prop_map(|n| ConnectorNo::try_from(n).unwrap())
}

fn evse_spec() -> impl Strategy<Value = EvseSpec> {
    (of(evse()), vec(connector_spec(), 0..3))
        .prop_map(|(number, connectors)| EvseSpec { number, connectors })
}

fn connector_spec() -> impl Strategy<Value = ConnectorSpec> {
    of(connector()).prop_map(|number| ConnectorSpec {
        number,
        ..ConnectorSpec::default()
    })
}

fn report(status: ConnectorStatus, error_code: Option<String>) -> Report {
    Report {
        status,
        since: at(0),
        error_code,
        info: None,
        vendor_error_code: None,
    }
}

fn register(evses: Vec<EvseSpec>) -> Result<Decided, StationError> {
    let spec = StationSpec {
        id: StationId::new("CP-1").unwrap(),
        name: "a".to_owned(),
        location: None,
        evses,
    };
    Station::register(spec, 0, at(0))
}

fn apply(station: Station, step: &Step, now: Timestamp) -> Result<Decided, StationError> {
    let epoch = station.epoch;
    match step.clone() {
        Step::AddEvse(spec) => station.add_evse(spec, now).map(|(decided, _)| decided),
        Step::AddConnector(e, spec) => station.add_connector(e, spec, now).map(|(d, _)| d),
        Step::RemoveEvse(e) => station.remove_evse(e, now),
        Step::RemoveConnector(e, c) => station.remove_connector(e, c, now),
        Step::Report(source, place, mut report) => {
            report.since = now;
            station.report(place, &report, source, now)
        }
        Step::Decide(place, availability) => station.set_availability(place, availability, now),
        Step::Connect => Ok(station.connected("ocpp1.6", NODE, now)),
        Step::Disconnect(age) => Ok(station.disconnected(epoch - age, "closed", Some(now), now)),
        Step::Boot => Ok(station.boot(Hardware::default(), now)),
        Step::Secure => Ok(station.set_security_profile(1, now)),
        Step::Relabel(e, c, kind) => station.update_connector(e, c, Some(kind), None, now),
        Step::Rename(name) => Ok(station.update(Some(name), None, now)),
    }
}

/// Plays a history on a station that has no parts yet. What is refused is left out.
pub fn play(steps: &[Step]) -> Vec<Turn> {
    let mut station = register(Vec::new()).unwrap().station;
    let turn = |(second, step): (usize, &Step)| {
        let now = at(second + 1);
        let before = station.clone();
        let decided = apply(before.clone(), step, now).map_err(|error| match error {
            StationError::ChargerOwnsState => assert!(before.online, "{step:?} refused"),
            error => assert!(error != StationError::Full, "three of three are no crowd"),
        });
        let Decided {
            station: after,
            events,
        } = decided.ok()?;
        station = after.clone();
        Some(Turn {
            step: step.clone(),
            now,
            before,
            after,
            events,
        })
    };
    steps.iter().enumerate().filter_map(turn).collect()
}

/// A part, its derived status and the cause of it.
type Shown = (Place, &'static str, Cause);

/// What the contract's table makes of the parts, written out once more. The station comes first,
/// then its EVSEs, then their connectors; the lowest-numbered part that decides is the cause.
fn table(station: &Station) -> Vec<Shown> {
    let out = |operator, place| (operator == Availability::Inoperative).then_some(place);
    let (mut evses, mut connectors) = (Vec::new(), Vec::new());
    for evse in &station.evses {
        let place = Place::Evse(evse.number);
        let evse_out = out(station.operator, Place::Station).or(out(evse.operator, place));
        let within = connectors_of(evse).map(|(here, connector)| {
            let taken_out = evse_out.or(out(connector.operator, here));
            match (taken_out, connector.reported.status.as_str()) {
                (Some(level), _) => (here, "unavailable", because(level, Reason::Operator)),
                (None, "unknown") => (here, "unknown", because(here, Reason::NeverReported)),
                (
                    None,
                    "preparing" | "charging" | "suspended_ev" | "suspended_evse" | "finishing",
                ) => (here, "occupied", because(here, Reason::Reported)),
                (None, word) => (here, word, because(here, Reason::Reported)),
            }
        });
        let within: Vec<Shown> = within.collect();
        let order = "occupied reserved available faulted unavailable unknown";
        evses.push(first(place, order, &within));
        connectors.extend(within);
    }
    let whole = |status, level, reason| (Place::Station, status, Cause::whole(level, reason));
    let own = station.reported.as_ref();
    let shown = match own.map(|report| report.status.as_str()) {
        _ if station.reporting == Reporting::Charger && !station.online => {
            whole("offline", Level::Connection, Reason::Offline)
        }
        Some(own @ ("faulted" | "unavailable")) => whole(own, Level::Station, Reason::Reported),
        _ if evses.iter().all(|part| part.1 == "faulted") => {
            first(Place::Station, "faulted", &evses)
        }
        _ => {
            let order = "available occupied reserved unavailable unknown";
            first(Place::Station, order, &evses)
        }
    };
    [vec![shown], evses, connectors].concat()
}

/// What a whole shows: the first status in the order that one of its parts has.
fn first(whole: Place, order: &str, parts: &[Shown]) -> Shown {
    let has = |status| parts.iter().find(|part| part.1 == status);
    let nothing = (whole, "unknown", because(whole, Reason::NoParts));
    let decisive = order.split(' ').find_map(has).unwrap_or(&nothing);
    (whole, decisive.1, decisive.2)
}

fn because(place: Place, reason: Reason) -> Cause {
    let (level, evse, connector) = match place {
        Place::Station => (Level::Station, None, None),
        Place::Evse(evse) => (Level::Evse, Some(evse), None),
        Place::Connector(evse, connector) => (Level::Connector, Some(evse), Some(connector)),
    };
    Cause {
        level,
        evse,
        connector,
        reason,
    }
}

fn connectors_of(evse: &Evse) -> impl Iterator<Item = (Place, &Connector)> {
    let place = |c: &Connector| Place::Connector(evse.number, c.number);
    evse.connectors.iter().map(move |c| (place(c), c))
}

/// What the station shows, in the order of the table, and since when.
fn shown(station: &Station) -> (Vec<Shown>, Vec<Timestamp>) {
    let s = station;
    let whole = (
        (Place::Station, s.status.as_str(), s.status_cause),
        s.status_since,
    );
    let evses = s.evses.iter();
    let evses = evses.map(|e| {
        (
            (Place::Evse(e.number), e.status.as_str(), e.status_cause),
            e.status_since,
        )
    });
    let connectors = s.evses.iter().flat_map(connectors_of);
    let connectors =
        connectors.map(|(place, c)| ((place, c.status.as_str(), c.status_cause), c.status_since));
    std::iter::once(whole)
        .chain(evses)
        .chain(connectors)
        .unzip()
}

/// True when its parts are in the order of their numbers, each there once.
fn numbered(station: &Station) -> bool {
    let inside = |evse: &Evse| evse.connectors.is_sorted_by(|a, b| a.number < b.number);
    station.evses.iter().all(inside) && station.evses.is_sorted_by(|a, b| a.number < b.number)
}

/// The station's own report and its connectors'.
fn reports(station: &Station) -> HashMap<Place, &Report> {
    let own = station
        .reported
        .iter()
        .map(|report| (Place::Station, report));
    let connectors = station.evses.iter().flat_map(connectors_of);
    own.chain(connectors.map(|(place, c)| (place, &c.reported)))
        .collect()
}

/// Another history to the same facts, told in an order that the keys decide.
fn retold(station: &Station, keys: &[u32]) -> Vec<Step> {
    let out = |place| Step::Decide(place, Availability::Inoperative);
    let mut chapters: Vec<Vec<Step>> = Vec::new();
    let mut chapter = |steps: Vec<Step>, place, operator| {
        // A decision comes after its part, but otherwise whenever.
        if operator == Availability::Inoperative {
            chapters.push([steps.clone(), vec![out(place)]].concat());
        }
        chapters.push(steps);
    };
    chapter(Vec::new(), Place::Station, station.operator);
    for evse in &station.evses {
        let (number, connectors) = (Some(evse.number), Vec::new());
        let enter = Step::AddEvse(EvseSpec { number, connectors });
        chapter(vec![enter], Place::Evse(evse.number), evse.operator);
        for (place, connector) in connectors_of(evse) {
            let tell = Step::Report(Source::Charger, place, connector.reported.clone());
            chapter(vec![tell], place, connector.operator);
        }
    }
    let own = station.reported.iter().cloned();
    chapters.extend(own.map(|own| vec![Step::Report(Source::Charger, Place::Station, own)]));
    chapters.push(match (station.reporting, station.online) {
        (Reporting::Manual, _) => vec![],
        (Reporting::Charger, true) => vec![Step::Connect],
        (Reporting::Charger, false) => vec![Step::Connect, Step::Disconnect(0)],
    });
    let mut ordered: Vec<_> = keys.iter().cycle().zip(chapters).collect();
    ordered.sort_by_key(|(key, _)| **key);
    ordered.into_iter().flat_map(|(_, steps)| steps).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_level_follows_the_table(steps in history()) {
        for Turn { after, .. } in play(&steps) {
            let parts = shown(&after).0;
            prop_assert_eq!(&parts, &table(&after));
            prop_assert!(numbered(&after));
            let connectors = parts.iter().filter(|p| matches!(p.0, Place::Connector(..)));
            let count = |status| connectors.clone().filter(|part| part.1 == status).count();
            for status in Status::ALL {
                prop_assert_eq!(after.counts().of(*status) as usize, count(status.as_str()));
            }
            let sum: u32 = Status::ALL.iter().map(|status| after.counts().of(*status)).sum();
            prop_assert_eq!(sum as usize, connectors.clone().count());
            let usable = ["available", "occupied", "reserved"].contains(&parts[0].1);
            let broken = count("faulted") + count("unavailable") > 0;
            prop_assert_eq!(after.degraded(), usable && broken);
        }
    }

    #[test]
    fn only_the_facts_count_and_not_how_they_came(
        steps in history(),
        keys in vec(any::<u32>(), 40),
    ) {
        if let Some(Turn { after, .. }) = play(&steps).pop() {
            let again = play(&retold(&after, &keys)).pop().map(|turn| shown(&turn.after).0);
            let nothing = || shown(&register(vec![]).unwrap().station).0;
            prop_assert_eq!(again.unwrap_or_else(nothing), shown(&after).0);
        }
    }

    #[test]
    fn without_its_charger_a_station_is_offline_and_nothing_else(steps in history()) {
        // The epochs as the sockets know them; the last one is live until its own end.
        let (mut epoch, mut live) = (0, false);
        for Turn { step, before, after, .. } in play(&steps) {
            match step {
                Step::Connect => (epoch, live) = (epoch + 1, true),
                Step::Disconnect(0) => live = false,
                Step::Disconnect(_) => prop_assert_eq!(&after, &before),
                _ => {}
            }
            prop_assert_eq!((after.epoch, after.online), (epoch, live));
            prop_assert_eq!(after.held_by, live.then_some(NODE));
            // The latest connection speaks for the station while it lives, and no other ever.
            for of in [epoch - 1, epoch, epoch + 1] {
                let hold = Hold { station_id: after.id.clone(), epoch: of };
                prop_assert_eq!(after.check(&hold).is_ok(), live && of == epoch);
            }
            prop_assert_eq!(after.status.as_str() == "offline", epoch > 0 && !live);
        }
    }

    #[test]
    fn a_report_and_a_decision_reach_the_parts_they_name(steps in history()) {
        for Turn { step, before, after, .. } in play(&steps) {
            let told = match &step {
                Step::Report(source, place, report) => Some((*source, *place, report)),
                _ => None,
            };
            prop_assert!(!before.online || told.is_none_or(|told| told.0 == Source::Charger));
            let old = reports(&before);
            for (place, report) in reports(&after) {
                let here = told.filter(|(source, at, _)| match (*at, place) {
                    (Place::Station, Place::Station) => *source == Source::Charger,
                    (Place::Station, _) => *source == Source::Person,
                    (Place::Evse(at), Place::Connector(evse, _)) => at == evse,
                    (at, place) => at == place,
                });
                let old = old.get(&place).map_or(ConnectorStatus::Unknown, |old| old.status);
                prop_assert_eq!(report.status, here.map_or(old, |(_, _, told)| told.status));
            }
            if let Step::Decide(place, availability) = step {
                prop_assert_eq!(match place {
                    Place::Station => after.operator,
                    Place::Evse(evse) => after.evse(evse).unwrap().operator,
                    Place::Connector(e, c) => after.connector(e, c).unwrap().operator,
                }, availability);
            }
        }
    }

    #[test]
    fn a_status_is_as_old_as_its_last_change(steps in history()) {
        let dated = |station: &Station| -> HashMap<_, _> {
            let (parts, since) = shown(station);
            let derived = parts.into_iter().map(|part| ("derived", part.0, part.1)).zip(since);
            let reported = reports(station).into_iter();
            let reported = reported.map(|(at, r)| (("reported", at, r.status.as_str()), r.since));
            derived.chain(reported).collect()
        };
        for turn in play(&steps) {
            let (before, after) = (dated(&turn.before), dated(&turn.after));
            for (status, since) in after {
                prop_assert_eq!(since, *before.get(&status).unwrap_or(&turn.now), "{:?}", status);
            }
        }
    }

    #[test]
    fn a_version_is_a_step_that_told_something(steps in history()) {
        for Turn { step, now, before, after, events } in play(&steps) {
            if events.is_empty() {
                prop_assert_eq!(&after, &before);
            } else {
                prop_assert_eq!((after.version, after.updated_at), (before.version + 1, now));
            }
            // Said twice, it is no news the second time; these are done twice.
            let done = matches!(step, Step::Connect | Step::Boot | Step::Secure);
            let done = done || matches!(step, Step::AddEvse(_) | Step::AddConnector(..));
            if !done && let Ok(again) = apply(after.clone(), &step, at(1_000)) {
                prop_assert_eq!(again, Decided { station: after, events: vec![] });
            }
        }
    }

    #[test]
    fn the_events_alone_tell_every_status(steps in history()) {
        let mut told = HashMap::from([(Place::Station, "unknown")]);
        for Turn { after, events, .. } in play(&steps) {
            for event in events {
                let place = match (event.evse, event.connector) {
                    (Some(evse), Some(connector)) => Place::Connector(evse, connector),
                    (Some(evse), None) => Place::Evse(evse),
                    _ => Place::Station,
                };
                let (from, to) = match event.kind {
                    EventKind::StationStatusChanged { from, to, .. } => {
                        (from.as_str(), to.as_str())
                    }
                    EventKind::EvseStatusChanged { from, to, .. }
                    | EventKind::ConnectorStatusChanged { from, to, .. } => {
                        (from.as_str(), to.as_str())
                    }
                    EventKind::EvseCreated {} | EventKind::ConnectorCreated {} => {
                        prop_assert_eq!(told.insert(place, "unknown"), None);
                        continue;
                    }
                    EventKind::EvseDeleted {} | EventKind::ConnectorDeleted {} => {
                        prop_assert!(told.remove(&place).is_some());
                        continue;
                    }
                    _ => continue,
                };
                // A connector's also tells of news that leave its class as it is.
                prop_assert!(from != to || matches!(place, Place::Connector(..)));
                prop_assert_eq!(told.insert(place, to), Some(from), "{:?}", place);
            }
            let shown: HashMap<_, _> = shown(&after).0.into_iter().map(|p| (p.0, p.1)).collect();
            prop_assert_eq!(&told, &shown);
        }
    }

    #[test]
    fn a_station_is_entered_with_all_its_parts_or_not_at_all(specs in vec(evse_spec(), 0..4)) {
        let asked: usize = specs.iter().map(|spec| spec.connectors.len()).sum();
        let all = specs.len() + asked;
        if let Ok(Decided { station, .. }) = register(specs) {
            prop_assert_eq!(station.evses.len() + station.connectors().count(), all);
            prop_assert!(numbered(&station));
        }
    }
}
