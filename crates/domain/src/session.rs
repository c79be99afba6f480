//! A charging session: energy delivered to one vehicle, from a charger's start to its stop.
//!
//! ```text
//!            start                     stop
//!  (nothing) ─────► active ──────────────────► ended
//!      │              │  another start on the    ▲
//!      │ refused      └─► connector: interrupted ┤ its stop comes after all
//!      ▼                                         │
//!   refused ─────────────────────────────────────┘ energy flowed all the same
//! ```
//! Revenue hangs on these records, so nothing a charger sends is refused: what does not fit is
//! kept and the [`Problem`] named, and a session with a problem is not [billing-ready].
//!
//! [billing-ready]: Session::billing_ready

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{EventKind, NewEvent};
use crate::id::{ConnectorNo, EvseNo, SessionId, StationId};
use crate::status::words;
use crate::token::IdTagStatus;
use crate::units::{WattHours, Watts};

/// The power a connector is taken to have when nobody entered it: the strongest passenger-car
/// charger sold.
pub const DEFAULT_MAX_POWER: Watts = Watts(400_000);

/// Slack in judging energy against power and time: meters round, clocks are set in mid-session,
/// and a session of a few seconds has next to no time to divide by.
pub const PLAUSIBILITY_SLACK: WattHours = WattHours(1_000);

words! {
    /// Where a session stands.
    SessionState {
        /// Between start and stop.
        Active = "active",
        /// Another session began on the connector before this one's stop came.
        Interrupted = "interrupted",
        /// Stopped.
        Ended = "ended",
        /// Charging was refused at the start. A record of that, and not a charging session.
        Refused = "refused",
    }
}

words! {
    /// Why a session ended: OCPP 1.6 §7.36, with what 2.x added.
    StopReason {
        /// The tag was no longer accepted.
        DeAuthorized = "de_authorized",
        /// The emergency stop was pressed.
        EmergencyStop = "emergency_stop",
        /// The cable was pulled at the vehicle.
        EvDisconnected = "ev_disconnected",
        /// A hard reset.
        HardReset = "hard_reset",
        /// By the driver, at the station.
        Local = "local",
        /// Anything else.
        Other = "other",
        /// Power was lost.
        PowerLoss = "power_loss",
        /// The station restarted.
        Reboot = "reboot",
        /// By a command.
        Remote = "remote",
        /// A soft reset.
        SoftReset = "soft_reset",
        /// By an unlock command.
        UnlockCommand = "unlock_command",
    }
}

words! {
    /// What keeps a session from being billed.
    Problem {
        /// It has not ended.
        NotEnded = "not_ended",
        /// Charging was refused, and no energy flowed: there is nothing to bill.
        Refused = "refused",
        /// Its stop never came; another session began on the connector.
        StopMissing = "stop_missing",
        /// A stop for a transaction that was never started here.
        UnknownTransaction = "unknown_transaction",
        /// It names a connector that the station cannot have.
        UnknownConnector = "unknown_connector",
        /// Energy flowed although charging was refused.
        NotAuthorized = "not_authorized",
        /// The charger gave no usable time for begin or end; the time of arrival stands in.
        TimeMissing = "time_missing",
        /// It ended before it began.
        EndsBeforeStart = "ends_before_start",
        /// The meter's begin is missing.
        MeterStartMissing = "meter_start_missing",
        /// The meter's end is missing.
        MeterStopMissing = "meter_stop_missing",
        /// The meter ran backwards.
        MeterRanBackwards = "meter_ran_backwards",
        /// Begin is zero though the register stood higher before, and the end continues it.
        MeterStartLost = "meter_start_lost",
        /// More energy than the connector can deliver in the time.
        EnergyAbovePower = "energy_above_power",
    }
}

impl Problem {
    /// True when the energy metered is not to be believed.
    pub const fn doubts_energy(self) -> bool {
        matches!(
            self,
            Self::MeterRanBackwards | Self::MeterStartLost | Self::EnergyAbovePower
        )
    }
}

/// A charging session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its id here.
    pub id: SessionId,
    /// One higher with every commit.
    pub version: i64,
    /// The station.
    pub station_id: StationId,
    /// The EVSE, when the charger named one the station can have.
    pub evse: Option<EvseNo>,
    /// The connector, likewise.
    pub connector: Option<ConnectorNo>,
    /// The id the charger knows it by: given by this side in 1.6, by the charger in 2.x.
    pub transaction_id: String,
    /// What makes a repeated start the same start (see the gateway's translators).
    pub start_key: Option<String>,
    /// The tag it was started with.
    pub id_tag: Option<String>,
    /// Where it stands.
    pub state: SessionState,
    /// When it began, by the charger's clock.
    pub started_at: Timestamp,
    /// When it ended, by the charger's clock.
    pub ended_at: Option<Timestamp>,
    /// The register at the begin.
    pub meter_start: Option<WattHours>,
    /// The register at the end.
    pub meter_stop: Option<WattHours>,
    /// The latest reading in between, by its own time.
    pub last_reading: Option<Reading>,
    /// Why it ended.
    pub stop_reason: Option<StopReason>,
    /// What is wrong with it, apart from not having ended.
    pub problems: Vec<Problem>,
    /// When this side learned of it.
    pub recorded_at: Timestamp,
}

/// A reading of a session's meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// When, by the charger's clock.
    pub at: Timestamp,
    /// The energy register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<WattHours>,
    /// The power at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Watts>,
}

/// What a charger sent about a meter at one time, kept whole.
#[derive(Clone, Debug, PartialEq)]
pub struct MeterRecord {
    /// The session it belongs to, when it belongs to one.
    pub session_id: Option<SessionId>,
    /// The station.
    pub station_id: StationId,
    /// The EVSE; `None` is the station's main meter.
    pub evse: Option<EvseNo>,
    /// The session's readable part.
    pub reading: Reading,
    /// Everything that was sent, as JSON text.
    pub samples: String,
}

/// A start, as a charger tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The station.
    pub station_id: StationId,
    /// The connector, when the station can have the one that was named.
    pub place: Option<(EvseNo, ConnectorNo)>,
    /// The id the charger knows the session by.
    pub transaction_id: String,
    /// What makes a repeated start the same start.
    pub start_key: Option<String>,
    /// The tag.
    pub id_tag: Option<String>,
    /// When, if the charger gave a usable time.
    pub at: Option<Timestamp>,
    /// The register.
    pub meter: Option<WattHours>,
}

/// A stop, as a charger tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// When, if the charger gave a usable time.
    pub at: Option<Timestamp>,
    /// The register.
    pub meter: Option<WattHours>,
    /// Why.
    pub reason: Option<StopReason>,
}

/// What a session's energy is held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most the connector can deliver, when somebody entered it.
    pub max_power: Option<Watts>,
    /// Where the connector's register stood before this session.
    pub register_before: Option<WattHours>,
}

/// A step that the session's state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session that is {from} cannot be {step}")]
pub struct InvalidTransition {
    /// The state it is in.
    pub from: SessionState,
    /// What was tried.
    pub step: &'static str,
}

impl Session {
    /// A session begins.
    pub fn start(id: SessionId, start: Start, now: Timestamp) -> (Self, NewEvent) {
        let session = Self::record(id, start, SessionState::Active, now);
        let kind = EventKind::SessionStarted {
            session_id: id,
            transaction_id: session.transaction_id.clone(),
        };
        let event = session.event(kind, now);
        (session, event)
    }

    /// Charging is refused. The record is kept, because a charger may go on all the same.
    pub fn refuse(
        id: SessionId,
        start: Start,
        status: IdTagStatus,
        now: Timestamp,
    ) -> (Self, NewEvent) {
        let session = Self::record(id, start, SessionState::Refused, now);
        let kind = EventKind::SessionRefused {
            session_id: id,
            id_tag_status: status,
        };
        let event = session.event(kind, now);
        (session, event)
    }

    /// A stop came for a transaction that nobody started here. Kept and flagged: the charger will
    /// not send it again.
    pub fn orphan(id: SessionId, start: Start, stop: &Stop, now: Timestamp) -> (Self, NewEvent) {
        let mut session = Self::record(id, start, SessionState::Ended, now);
        session.end(stop, now);
        session.flag(Problem::UnknownTransaction);
        // Nobody told where it was, so not knowing that is no news.
        session.problems.retain(|p| *p != Problem::UnknownConnector);
        session.judge(&[], Limits::default());
        let event = session.ended_event(now);
        (session, event)
    }

    /// The station has no such connector. What the charger named is kept, and flagged.
    #[must_use]
    pub fn at_unknown_connector(mut self) -> Self {
        self.flag(Problem::UnknownConnector);
        self
    }

    /// A reading came. The latest by its own time is kept with the session.
    #[must_use]
    pub fn read(mut self, reading: Reading) -> Self {
        let latest = self.last_reading.is_none_or(|last| last.at <= reading.at);
        if latest {
            let energy = reading
                .energy
                .or(self.last_reading.and_then(|last| last.energy));
            self.last_reading = Some(Reading { energy, ..reading });
            self.version += 1;
        }
        self
    }

    /// Another session began on the connector: this one's stop is missing, for now.
    pub fn interrupt(mut self, now: Timestamp) -> Result<(Self, NewEvent), InvalidTransition> {
        if self.state != SessionState::Active {
            return Err(InvalidTransition {
                from: self.state,
                step: "interrupted",
            });
        }
        self.state = SessionState::Interrupted;
        self.flag(Problem::StopMissing);
        self.version += 1;
        let event = self.ended_event(now);
        Ok((self, event))
    }

    /// The session stops. `readings` are what was metered meanwhile, in the order of their times.
    ///
    /// What has ended cannot end again, refused or not: a repeated stop is the caller's to know.
    pub fn stop(
        mut self,
        stop: &Stop,
        readings: &[Reading],
        limits: Limits,
        now: Timestamp,
    ) -> Result<(Self, NewEvent), InvalidTransition> {
        if self.ended_at.is_some() {
            return Err(InvalidTransition {
                from: self.state,
                step: "stopped",
            });
        }
        self.end(stop, now);
        self.problems
            .retain(|problem| *problem != Problem::StopMissing);
        let refused = self.state == SessionState::Refused;
        let flowed = self.energy().is_some_and(|energy| energy.0 > 0);
        if refused && flowed {
            self.flag(Problem::NotAuthorized);
        }
        if !refused || flowed {
            self.state = SessionState::Ended;
            self.judge(readings, limits);
        }
        self.version += 1;
        let event = self.ended_event(now);
        Ok((self, event))
    }

    /// Energy delivered so far: end, or the latest reading, less begin.
    pub fn energy(&self) -> Option<WattHours> {
        let reached = self
            .meter_stop
            .or(self.last_reading.and_then(|reading| reading.energy))?;
        Some(reached - self.meter_start?)
    }

    /// What keeps it from being billed, all of it.
    pub fn billing_problems(&self) -> Vec<Problem> {
        let mut problems = self.problems.clone();
        if self.state == SessionState::Active {
            problems.insert(0, Problem::NotEnded);
        }
        if self.state == SessionState::Refused {
            problems.insert(0, Problem::Refused);
        }
        problems
    }

    /// True when it ended and nothing about it is in doubt.
    pub fn billing_ready(&self) -> bool {
        self.state == SessionState::Ended && self.problems.is_empty()
    }

    fn record(id: SessionId, start: Start, state: SessionState, now: Timestamp) -> Self {
        let mut session = Self {
            id,
            version: 1,
            station_id: start.station_id,
            evse: start.place.map(|(evse, _)| evse),
            connector: start.place.map(|(_, connector)| connector),
            transaction_id: start.transaction_id,
            start_key: start.start_key,
            id_tag: start.id_tag,
            state,
            started_at: start.at.unwrap_or(now),
            ended_at: None,
            meter_start: start.meter,
            meter_stop: None,
            last_reading: None,
            stop_reason: None,
            problems: Vec::new(),
            recorded_at: now,
        };
        if start.place.is_none() {
            session.flag(Problem::UnknownConnector);
        }
        if start.at.is_none() {
            session.flag(Problem::TimeMissing);
        }
        session
    }

    fn end(&mut self, stop: &Stop, now: Timestamp) {
        self.ended_at = Some(stop.at.unwrap_or(now));
        self.meter_stop = stop.meter;
        self.stop_reason = Some(stop.reason.unwrap_or(StopReason::Local));
        if stop.at.is_none() {
            self.flag(Problem::TimeMissing);
        }
    }

    /// Holds begin, readings and end against each other and against what the connector can do.
    fn judge(&mut self, readings: &[Reading], limits: Limits) {
        let ended_at = self.ended_at.unwrap_or(self.started_at);
        if ended_at < self.started_at {
            self.flag(Problem::EndsBeforeStart);
        }
        match (self.meter_start, self.meter_stop) {
            (None, _) => self.flag(Problem::MeterStartMissing),
            (_, None) => self.flag(Problem::MeterStopMissing),
            (Some(start), Some(stop)) => {
                let lost = |before: WattHours| before > PLAUSIBILITY_SLACK && stop >= before;
                if start.0 <= 0 && limits.register_before.is_some_and(lost) {
                    self.flag(Problem::MeterStartLost);
                }
                self.judge_steps((self.started_at, start), (ended_at, stop), readings, limits);
            }
        }
    }

    fn judge_steps(
        &mut self,
        first: (Timestamp, WattHours),
        last: (Timestamp, WattHours),
        readings: &[Reading],
        limits: Limits,
    ) {
        let power = limits.max_power.unwrap_or(DEFAULT_MAX_POWER);
        let between = readings.iter().filter_map(|r| Some((r.at, r.energy?)));
        // Readings outside the session's own time belong to no step of it.
        let between = between.filter(|(at, _)| (first.0..=last.0).contains(at));
        let above_power = |before: (Timestamp, WattHours), after: (Timestamp, WattHours)| {
            let most = power.energy_in((after.0 - before.0).get_seconds()).0;
            (after.1 - before.1).0 > most.saturating_add(PLAUSIBILITY_SLACK.0)
        };
        let mut before = first;
        for step in between.chain([last]) {
            if step.1 < before.1 {
                self.flag(Problem::MeterRanBackwards);
            }
            if above_power(before, step) {
                self.flag(Problem::EnergyAbovePower);
            }
            before = step;
        }
        // Each step has its slack. Many of them together have no more than one.
        if above_power(first, last) {
            self.flag(Problem::EnergyAbovePower);
        }
    }

    fn flag(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn ended_event(&self, now: Timestamp) -> NewEvent {
        self.event(
            EventKind::SessionEnded {
                session_id: self.id,
                state: self.state,
                energy_wh: self.energy(),
                reason: self.stop_reason,
                problems: self.problems.clone(),
            },
            now,
        )
    }

    fn event(&self, kind: EventKind, at: Timestamp) -> NewEvent {
        let station_id = Some(self.station_id.clone());
        NewEvent {
            at,
            station_id,
            evse: self.evse,
            connector: self.connector,
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn start(meter: i64) -> Start {
        Start {
            station_id: StationId::new("CP-1").unwrap(),
            place: Some((EvseNo::ONE, ConnectorNo::ONE)),
            transaction_id: "7".to_owned(),
            start_key: None,
            id_tag: Some("TAG".to_owned()),
            at: Some(at(0)),
            meter: Some(WattHours(meter)),
        }
    }

    fn session(meter: i64) -> Session {
        Session::start(SessionId(uuid::Uuid::nil()), start(meter), at(0)).0
    }

    fn stop(seconds: i64, meter: i64) -> Stop {
        let meter = Some(WattHours(meter));
        Stop {
            at: Some(at(seconds)),
            meter,
            reason: Some(StopReason::Local),
        }
    }

    fn reading(seconds: i64, energy: i64) -> Reading {
        Reading {
            at: at(seconds),
            energy: Some(WattHours(energy)),
            power: None,
        }
    }

    /// Starts at `begin`, stops after an hour at `end`, and tells what is wrong.
    fn check(begin: i64, end: i64, readings: &[Reading], limits: Limits, expect: &[Problem]) {
        let (session, _) = session(begin)
            .stop(&stop(3600, end), readings, limits, at(3600))
            .unwrap();
        assert_eq!(session.problems, expect, "{begin} to {end}");
        assert_eq!(session.billing_ready(), expect.is_empty());
    }

    #[test]
    fn plausible_energy_is_billed_and_the_rest_is_named() {
        let kw22 = Limits {
            max_power: Some(Watts(22_000)),
            register_before: None,
        };
        check(1_000, 12_000, &[], kw22, &[]);
        check(1_000, 12_000, &[reading(1800, 6_000)], kw22, &[]);
        check(1_000, 900, &[], kw22, &[Problem::MeterRanBackwards]);
        check(0, 910_000, &[], kw22, &[Problem::EnergyAbovePower]);
        // 910 kWh for 0.08: the begin got lost, the register before tells.
        let before = Limits {
            max_power: None,
            register_before: Some(WattHours(909_920)),
        };
        let both = &[Problem::MeterStartLost, Problem::EnergyAbovePower];
        check(0, 910_000, &[], before, both);
        check(0, 10_000, &[], before, &[]);
        // Within the power over the hour, but not within the minute between two readings.
        let jump = [reading(1800, 1_000), reading(1860, 19_000)];
        check(1_000, 19_500, &jump, kw22, &[Problem::EnergyAbovePower]);
    }

    #[test]
    fn a_session_ends_once() {
        let limits = Limits::default();
        let (ended, _) = session(0)
            .stop(&stop(60, 100), &[], limits, at(60))
            .unwrap();
        assert_eq!(ended.energy(), Some(WattHours(100)));
        let again = ended.stop(&stop(60, 100), &[], limits, at(61));
        assert_eq!(again.unwrap_err().from, SessionState::Ended);
    }

    #[test]
    fn an_interrupted_session_is_completed_by_its_late_stop() {
        let (interrupted, _) = session(0).interrupt(at(30)).unwrap();
        assert_eq!(interrupted.problems, [Problem::StopMissing]);
        let (ended, _) = interrupted
            .stop(&stop(60, 100), &[], Limits::default(), at(90))
            .unwrap();
        assert!(ended.billing_ready());
    }

    #[test]
    fn a_refusal_becomes_a_session_only_when_energy_flowed() {
        let refused = || {
            let id = SessionId(uuid::Uuid::nil());
            Session::refuse(id, start(500), IdTagStatus::Blocked, at(0)).0
        };
        let limits = Limits::default();
        let (quiet, _) = refused().stop(&stop(5, 500), &[], limits, at(5)).unwrap();
        assert_eq!(quiet.state, SessionState::Refused);
        let (taken, _) = refused()
            .stop(&stop(600, 900), &[], limits, at(600))
            .unwrap();
        assert_eq!(
            (taken.state, taken.billing_ready()),
            (SessionState::Ended, false)
        );
        assert_eq!(taken.problems, [Problem::NotAuthorized]);
    }

    #[test]
    fn a_stop_without_a_start_is_kept() {
        let orphan = Start {
            place: None,
            meter: None,
            at: None,
            ..start(0)
        };
        let id = SessionId(uuid::Uuid::nil());
        let (session, _) = Session::orphan(id, orphan, &stop(60, 100), at(60));
        assert_eq!(session.meter_stop, Some(WattHours(100)));
        assert!(session.problems.contains(&Problem::UnknownTransaction));
        assert!(!session.billing_ready());
    }

    #[test]
    fn readings_are_ordered_by_their_own_time() {
        let session = session(0).read(reading(60, 50)).read(reading(30, 20));
        assert_eq!(session.last_reading, Some(reading(60, 50)));
    }
}
