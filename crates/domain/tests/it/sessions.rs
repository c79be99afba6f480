//! Whatever a charger tells of a session: it ends once, and nothing in doubt is billed.

use std::ops::Range;

use domain::event::{EventKind, NewEvent};
use domain::session::{
    DEFAULT_MAX_POWER, Limits, PLAUSIBILITY_SLACK, Problem, Reading, Session, Start, Stop,
};
use domain::{ConnectorNo, EvseNo, IdTagStatus, SessionId, SessionState, StationId};
use domain::{WattHours, Watts};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::{collection::vec, option::weighted, sample::select};
use uuid::Uuid;

use crate::{at, config};

/// What can happen to a session.
#[derive(Clone, Debug)]
enum Step {
    Read(Reading),
    Interrupt,
    Stop(Stop),
}

/// A step, with what was before and what came of it, unless it was refused.
type Turn = (Session, Step, Option<(Session, Option<NewEvent>)>);

/// A time and a register as a charger tells them: mostly 3.6 kW all along, and sometimes nothing
/// or nonsense.
fn told(seconds: Range<usize>) -> impl Strategy<Value = (Option<Timestamp>, Option<WattHours>)> {
    seconds.prop_flat_map(|second| {
        let steady = Just(i64::try_from(second).unwrap());
        let absurd = select(&[i64::MIN, -1, 0, i64::MAX][..]);
        let meter = prop_oneof![30 => steady, 2 => 0..40_000_i64, 1 => absurd];
        (
            weighted(0.97, Just(at(second))),
            weighted(0.97, meter.prop_map(WattHours)),
        )
    })
}

pub fn start(
    place: Option<(EvseNo, ConnectorNo)>,
    at: Option<Timestamp>,
    meter: Option<WattHours>,
) -> Start {
    Start {
        station_id: StationId::new("CP-1").unwrap(),
        place,
        transaction_id: "7".to_owned(),
        start_key: None,
        id_tag: None,
        at,
        meter,
    }
}

fn stop() -> impl Strategy<Value = Stop> {
    let reason = None;
    told(0..7_200).prop_map(move |(at, meter)| Stop { at, meter, reason })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reading = told(0..7_200).prop_map(|(time, energy)| Reading {
        at: time.unwrap_or(at(0)),
        energy,
        power: None,
    });
    let step = prop_oneof![
        6 => reading.prop_map(Step::Read),
        1 => Just(Step::Interrupt),
        2 => stop().prop_map(Step::Stop),
    ];
    vec(step, 1..8)
}

fn limits() -> impl Strategy<Value = Limits> {
    let power = weighted(0.8, select(&[0, 3_700, 22_000][..]).prop_map(Watts));
    (power, told(0..1)).prop_map(|(max_power, (_, register_before))| Limits {
        max_power,
        register_before,
    })
}

/// A session that was started, or refused, or is known by its stop alone.
fn session() -> impl Strategy<Value = Session> {
    let place = weighted(0.97, Just((EvseNo::ONE, ConnectorNo::ONE)));
    let begin = prop_oneof![8 => Just(0), 2 => Just(1), 1 => Just(2)];
    (begin, place, told(0..600), stop()).prop_map(|(begin, place, (at_first, meter), stop)| {
        let start = start(place, at_first, meter);
        let id = SessionId(Uuid::nil());
        match begin {
            0 => Session::start(id, start, at(0)).0,
            1 => Session::refuse(id, start, IdTagStatus::Blocked, at(0)).0,
            _ => Session::orphan(id, start, &stop, at(0)).0,
        }
    })
}

fn play(mut session: Session, limits: Limits, steps: Vec<Step>) -> Vec<Turn> {
    let mut readings: Vec<Reading> = Vec::new();
    let turn = |step| {
        let before = session.clone();
        let told = |(session, event)| (session, Some(event));
        let after = match &step {
            Step::Read(reading) => {
                readings.push(*reading);
                readings.sort_by_key(|reading| reading.at);
                Some((before.clone().read(*reading), None))
            }
            Step::Interrupt => before.clone().interrupt(at(9_000)).ok().map(told),
            Step::Stop(stop) => {
                let stopped = before.clone().stop(stop, &readings, limits, at(9_000));
                stopped.ok().map(told)
            }
        };
        if let Some((after, _)) = &after {
            session = after.clone();
        }
        (before, step, after)
    };
    steps.into_iter().map(turn).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..config() })]

    #[test]
    fn nothing_in_doubt_is_billed(first in session(), limits in limits(), steps in steps()) {
        for (_, _, after) in play(first, limits, steps) {
            let Some((session, _)) = after else { continue };
            let problems = session.billing_problems();
            if !session.billing_ready() {
                prop_assert!(!problems.is_empty() || session.state == SessionState::Refused);
                continue;
            }
            prop_assert_eq!((session.state, problems), (SessionState::Ended, vec![]));
            let seconds = session.ended_at.unwrap().as_second() - session.started_at.as_second();
            let energy = session.meter_stop.unwrap().0 - session.meter_start.unwrap().0;
            prop_assert_eq!(session.energy(), Some(WattHours(energy)));
            prop_assert!(seconds >= 0 && energy >= 0);
            let power = limits.max_power.unwrap_or(DEFAULT_MAX_POWER);
            let most = power.0 * seconds / 3600 + PLAUSIBILITY_SLACK.0;
            prop_assert!(energy <= most, "{} Wh of at most {}", energy, most);
        }
    }

    #[test]
    fn a_session_keeps_to_its_states_and_ends_once(
        first in session(),
        limits in limits(),
        steps in steps(),
    ) {
        use SessionState::{Active, Ended, Interrupted, Refused};
        for (before, step, after) in play(first, limits, steps) {
            let Some((after, event)) = after else {
                // What is refused is a second end, and an interruption of what does not run.
                let interrupt = matches!(step, Step::Interrupt) && before.state != Active;
                prop_assert!(before.ended_at.is_some() || interrupt);
                continue;
            };
            let flowed = after.energy().is_some_and(|energy| energy.0 > 0);
            let expected = match (&step, before.state) {
                (Step::Read(_), state) => state,
                (Step::Interrupt, Active) => Interrupted,
                (Step::Stop(_), Active | Interrupted) => Ended,
                (Step::Stop(_), Refused) if flowed => Ended,
                (Step::Stop(_), Refused) => Refused,
                (step, state) => panic!("{step:?} was taken by a session that is {state}"),
            };
            prop_assert_eq!(after.state, expected);
            let stopped = matches!(step, Step::Stop(_));
            prop_assert_eq!(before.ended_at.is_none() && after.ended_at.is_some(), stopped);
            let taken = stopped && before.state == Refused && flowed;
            let flagged = |session: &Session| session.problems.contains(&Problem::NotAuthorized);
            prop_assert_eq!(flagged(&after), taken || flagged(&before));
            let told = event.and_then(|event| match event.kind {
                EventKind::SessionEnded { state, .. } => Some(state),
                _ => None,
            });
            prop_assert_eq!(told, (!matches!(step, Step::Read(_))).then_some(expected));
            prop_assert_eq!(after.version, before.version + i64::from(after != before));
        }
    }
}
