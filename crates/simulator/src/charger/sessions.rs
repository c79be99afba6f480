//! Cars come, charge and leave; connectors break and are repaired.

use std::time::{Duration, Instant};

use ocpp::Message as _;
use ocpp::v16::{
    AuthorizationStatus, Authorize, AuthorizeConf, ChargePointErrorCode, ChargePointStatus,
    ChargerCall, IdTagInfo, Measurand, MeterValue, MeterValues, ReadingContext, Reason,
    SampledValue, StartTransaction, StartTransactionConf, StopTransaction, UnitOfMeasure,
};
use rand::Rng as _;

use super::connector::{Pause, Session, State, Step, Visit};
use super::outbox::SessionKey;
use super::{CALL_TIMEOUT, Charger, Sent};
use crate::{Happening, Moment};

/// A driver with a cable in one hand and a card in the other, in milliseconds.
const FUMBLING: std::ops::RangeInclusive<u64> = 1_000..=2_500;

/// What cars take at most, in watts: from a plug-in hybrid to a lorry.
const VEHICLES: [u32; 8] = [
    3_700, 7_400, 11_000, 11_000, 22_000, 50_000, 125_000, 250_000,
];

/// What breaks.
const FAULTS: [ChargePointErrorCode; 6] = [
    ChargePointErrorCode::GroundFailure,
    ChargePointErrorCode::HighTemperature,
    ChargePointErrorCode::ConnectorLockFailure,
    ChargePointErrorCode::OverCurrentFailure,
    ChargePointErrorCode::PowerMeterFailure,
    ChargePointErrorCode::EvCommunicationError,
];

/// Where in a charge the charger pauses it, in thousandths: from and until.
const SHARING: (u32, u32) = (350, 500);

/// From when on a full car takes nothing, in thousandths of the charge.
const FULL: u32 = 850;

/// The tag of a visitor when nobody gave the charger any.
const SOME_TAG: &str = "DEMO-0001";

impl Charger {
    /// What a connector does when its time has come.
    pub(super) fn go_on(&mut self, index: usize, now: Moment) {
        let connector = &mut self.connectors[index];
        if connector.due().is_none_or(|due| due > now.instant) {
            return;
        }
        match &mut connector.state {
            State::Available { .. } => self.plug_in(index, now),
            State::Reserved { .. }
            | State::Finishing { .. }
            | State::Faulted { .. }
            | State::Unavailable { .. } => self.set_free(index, now),
            State::Preparing {
                step: Step::Plugged,
                visit,
                ..
            } => {
                if visit.authorize {
                    self.authorize(index, now);
                } else {
                    self.start(index, now);
                }
            }
            State::Preparing { .. } => self.go_on_alone(index, now),
            State::Charging(session) => {
                session.pass(now.instant);
                if session.ends <= now.instant {
                    self.stop(index, &Reason::Local, now);
                } else if session.next_sample.is_some_and(|at| at <= now.instant) {
                    self.sample(index, now);
                }
            }
        }
        self.show(index, now);
    }

    /// The server cannot be asked: what was waiting for it happens without it.
    pub(super) fn go_on_alone(&mut self, index: usize, now: Moment) {
        match &self.connectors[index].state {
            State::Preparing {
                step: Step::Authorizing,
                ..
            } => self.start(index, now),
            State::Preparing {
                step: Step::Starting(key),
                ..
            } => {
                let key = *key;
                self.charge(index, key, now);
            }
            _ => {}
        }
        self.show(index, now);
    }

    /// The connector waits for the next car, or closes if it was told to.
    pub(super) fn set_free(&mut self, index: usize, now: Moment) {
        let gap = self.pace.draw(self.plan.character.gap, &mut self.rng);
        let connector = &mut self.connectors[index];
        connector.state = if connector.closing {
            State::Unavailable { until: None }
        } else {
            State::Available {
                until: now.instant + gap,
            }
        };
    }

    fn plug_in(&mut self, index: usize, now: Moment) {
        if self.outbox.is_full() {
            self.set_free(index, now);
            return;
        }
        let chosen = self.rng.random_range(0..self.tags.len().max(1));
        let tag = self
            .tags
            .get(chosen)
            .map_or(SOME_TAG, String::as_str)
            .to_owned();
        let fumbling = Duration::from_millis(self.rng.random_range(FUMBLING));
        let visit = self.visit(index, tag, true);
        self.connectors[index].state = State::Preparing {
            visit,
            step: Step::Plugged,
            until: now.instant + fumbling,
        };
    }

    fn visit(&mut self, index: usize, tag: String, authorize: bool) -> Visit {
        let vehicle = VEHICLES[self.rng.random_range(0..VEHICLES.len())];
        Visit {
            tag,
            stay: self.pace.draw(self.plan.character.stay, &mut self.rng),
            vehicle_w: vehicle.min(self.connectors[index].max_power_w),
            authorize,
        }
    }

    /// The server has asked for a charge: the cable is in and the card is not needed.
    pub(super) fn remote_start(&mut self, index: usize, tag: String, now: Moment) {
        let authorize = self.settings.is_on("AuthorizeRemoteTxRequests");
        let visit = self.visit(index, tag, authorize);
        self.connectors[index].state = State::Preparing {
            visit,
            step: Step::Plugged,
            until: now.instant + Duration::from_millis(*FUMBLING.start()),
        };
        self.show(index, now);
    }

    fn authorize(&mut self, index: usize, now: Moment) {
        let in_service = self.is_in_service();
        let State::Preparing { visit, step, until } = &mut self.connectors[index].state else {
            return;
        };
        if !in_service {
            self.start(index, now);
            return;
        }
        *step = Step::Authorizing;
        *until = now.instant + 2 * CALL_TIMEOUT;
        let id_tag = visit.tag.clone();
        self.pass(Sent::Authorize(index), Authorize { id_tag });
    }

    /// The server has answered about a tag.
    pub(super) fn authorized(&mut self, index: usize, payload: &str, now: Moment) {
        let State::Preparing {
            step: Step::Authorizing,
            visit,
            ..
        } = &self.connectors[index].state
        else {
            return; // the car has left meanwhile
        };
        let tag = visit.tag.clone();
        match AuthorizeConf::parse(payload).map(|conf| conf.message.id_tag_info) {
            Ok(info) if info.status == AuthorizationStatus::Accepted => self.start(index, now),
            Ok(info) => {
                self.tell_refusal(index, tag, &info);
                self.finish(index, now);
            }
            Err(_) => self.start(index, now), // an answer that says nothing is no refusal
        }
        self.show(index, now);
    }

    /// Records the start of a charge, and begins it at once if the server cannot be asked.
    fn start(&mut self, index: usize, now: Moment) {
        let in_service = self.is_in_service();
        let connector = &mut self.connectors[index];
        let State::Preparing { visit, step, until } = &mut connector.state else {
            return;
        };
        self.sessions += 1;
        let key = SessionKey(self.sessions);
        *step = Step::Starting(key);
        *until = now.instant + 2 * CALL_TIMEOUT;
        let call = StartTransaction {
            connector_id: Some(connector.number),
            id_tag: Some(visit.tag.clone()),
            meter_start: Some(connector.meter.watt_hours().cast_signed()),
            reservation_id: None,
            timestamp: Some(now.time),
        };
        self.outbox.push(key, call.into());
        if !in_service {
            self.charge(index, key, now);
        }
    }

    /// Power flows.
    fn charge(&mut self, index: usize, key: SessionKey, now: Moment) {
        let connector = &mut self.connectors[index];
        let State::Preparing { visit, .. } = &connector.state else {
            return;
        };
        let character = &self.plan.character;
        let mut chance = |percent: u32| self.rng.random_range(0..100) < percent;
        let shares = chance(character.paused_by_charger);
        let fills_up = chance(character.paused_by_car);
        let sampling = self.settings.seconds("MeterValueSampleInterval");
        let (began, stay) = (now.instant, visit.stay);
        let mark = |thousandths: u32| began + stay / 1000 * thousandths;
        let pause = |status, from: u32, until: Instant| Pause {
            status,
            from: mark(from),
            until,
            begun: false,
        };
        let mut pauses = Vec::new();
        if shares {
            pauses.push(pause(
                ChargePointStatus::SuspendedEvse,
                SHARING.0,
                mark(SHARING.1),
            ));
        }
        if fills_up {
            pauses.push(pause(ChargePointStatus::SuspendedEv, FULL, began + stay));
        }
        let session = Session {
            key,
            tag: visit.tag.clone(),
            vehicle_w: visit.vehicle_w,
            began,
            ends: began + stay,
            meter_start: connector.meter.watt_hours(),
            next_sample: sampling.map(|interval| began + interval),
            pauses,
        };
        connector.state = State::Charging(session);
    }

    /// The server has answered the oldest record.
    pub(super) fn recorded(&mut self, payload: &str, now: Moment) {
        let conf = StartTransactionConf::parse(payload)
            .map(|conf| conf.message)
            .ok();
        let number = conf.as_ref().map(|conf| conf.transaction_id);
        let Some(entry) = self.outbox.delivered(number) else {
            return;
        };
        let (ChargerCall::StartTransaction(start), Some(conf)) = (entry.call, conf) else {
            return;
        };
        self.tell(Happening::Started {
            connector: start.connector_id.unwrap_or_default(),
            transaction: conf.transaction_id,
            tag: start.id_tag.unwrap_or_default(),
        });
        let place = self
            .connectors
            .iter()
            .position(|connector| match &connector.state {
                State::Preparing { step, .. } => *step == Step::Starting(entry.session),
                State::Charging(session) => session.key == entry.session,
                _ => false,
            });
        let Some(index) = place else {
            return; // over before the server heard of it
        };
        self.charge(index, entry.session, now);
        let info = conf.id_tag_info;
        if info.status != AuthorizationStatus::Accepted
            && self.settings.is_on("StopTransactionOnInvalidId")
        {
            let tag = self.connectors[index]
                .session()
                .map(|session| session.tag.clone());
            self.tell_refusal(index, tag.unwrap_or_default(), &info);
            self.stop(index, &Reason::DeAuthorized, now);
        }
        self.show(index, now);
    }

    fn tell_refusal(&mut self, index: usize, tag: String, info: &IdTagInfo) {
        self.tell(Happening::TagRefused {
            connector: self.connectors[index].number,
            tag,
            status: info.status.to_string(),
        });
    }

    /// Records the end of a charge, if there is one.
    pub(super) fn stop(&mut self, index: usize, reason: &Reason, now: Moment) {
        let connector = &mut self.connectors[index];
        connector.count(now.instant);
        let meter_stop = connector.meter.watt_hours();
        let Some(session) = connector.session() else {
            return;
        };
        let key = session.key;
        let by_card = *reason == Reason::Local;
        let call = StopTransaction {
            transaction_id: None, // filled in when it is sent
            id_tag: by_card.then(|| session.tag.clone()),
            meter_stop: Some(meter_stop.cast_signed()),
            timestamp: Some(now.time),
            reason: Some(reason.clone()),
            transaction_data: Vec::new(),
        };
        let happening = Happening::Stopped {
            connector: connector.number,
            energy_wh: meter_stop.saturating_sub(session.meter_start),
            reason: reason.to_string(),
        };
        self.outbox.push(key, call.into());
        self.tell(happening);
        self.finish(index, now);
    }

    /// The car is still plugged in.
    fn finish(&mut self, index: usize, now: Moment) {
        let fumbling = Duration::from_millis(self.rng.random_range(FUMBLING));
        self.connectors[index].state = State::Finishing {
            until: now.instant + fumbling,
        };
    }

    fn sample(&mut self, index: usize, now: Moment) {
        let sampling = self.settings.seconds("MeterValueSampleInterval");
        if let State::Charging(session) = &mut self.connectors[index].state {
            session.next_sample = sampling.map(|interval| now.instant + interval);
        }
        let (values, key) = self.reading(index, &ReadingContext::SamplePeriodic, now);
        let Some(key) = key else {
            return;
        };
        let connector = &self.connectors[index];
        let started_at = connector.session().map_or(0, |session| session.meter_start);
        let happening = Happening::Metered {
            connector: connector.number,
            power_w: connector.meter.power_w(),
            energy_wh: connector.meter.watt_hours().saturating_sub(started_at),
        };
        self.tell(happening);
        self.outbox.push(key, values.into());
    }

    /// What the meter shows, and the charge it belongs to, if any.
    pub(super) fn reading(
        &mut self,
        index: usize,
        context: &ReadingContext,
        now: Moment,
    ) -> (MeterValues, Option<SessionKey>) {
        let connector = &mut self.connectors[index];
        let power = connector.count(now.instant);
        let sampled = |value: u64, measurand, unit| SampledValue {
            value: value.to_string(),
            context: Some(context.clone()),
            measurand: Some(measurand),
            unit: Some(unit),
            ..SampledValue::default()
        };
        let energy = connector.meter.watt_hours();
        let reading = MeterValue {
            timestamp: Some(now.time),
            sampled_value: vec![
                sampled(
                    energy,
                    Measurand::EnergyActiveImportRegister,
                    UnitOfMeasure::WattHour,
                ),
                sampled(
                    power.into(),
                    Measurand::PowerActiveImport,
                    UnitOfMeasure::Watt,
                ),
            ],
        };
        let values = MeterValues {
            connector_id: Some(connector.number),
            transaction_id: None,
            meter_value: vec![reading],
        };
        (values, connector.session().map(|session| session.key))
    }

    /// A connector that works breaks; a charge on it ends.
    pub(super) fn break_one(&mut self, until: Instant, now: Moment) {
        let works =
            |state: &State| !matches!(state, State::Faulted { .. } | State::Unavailable { .. });
        let code = FAULTS[self.rng.random_range(0..FAULTS.len())].clone();
        let Some(index) = self.pick(works) else {
            return;
        };
        self.stop(index, &Reason::Other, now);
        self.connectors[index].state = State::Faulted { code, until };
        self.show(index, now);
    }

    /// Puts a connector nobody uses into another state.
    pub(super) fn replace_free(&mut self, state: State, now: Moment) {
        let Some(index) = self.pick(|state| matches!(state, State::Available { .. })) else {
            return;
        };
        self.connectors[index].state = state;
        self.show(index, now);
    }

    /// One of the connectors that fit, by chance.
    fn pick(&mut self, fits: impl Fn(&State) -> bool) -> Option<usize> {
        let connectors = self.connectors.iter().enumerate();
        let fitting: Vec<usize> = connectors
            .filter(|(_, connector)| fits(&connector.state))
            .map(|(index, _)| index)
            .collect();
        let last = fitting.len().checked_sub(1)?;
        Some(fitting[self.rng.random_range(0..=last)])
    }
}
