//! What a charger under load says, one message after the other.
//!
//! The messages of a busy charger are those of a real one: a car comes, charges, leaves. Each is
//! kept, unchanged, until it is acknowledged, whatever happens to the line meanwhile.

use jiff::Timestamp;
use ocpp::Message as _;
use ocpp::v16::{
    ChargePointStatus, ChargerCall, Heartbeat, Measurand, MeterValue, MeterValues, Reason,
    SampledValue, StartTransaction, StartTransactionConf, StatusNotification, StopTransaction,
    UnitOfMeasure,
};

use super::Profile;
use super::journal::{Entry, mark};
use super::stats::Action;

/// Meter values in a charge.
const READINGS: u32 = 6;

/// The steps of a charge after its readings; before them are the car's arrival, the start and the
/// state that follows it.
const STOP: u32 = READINGS + 3;
const LAST: u32 = READINGS + 4;

/// What flows between two of them, in Wh.
const STEP_WH: u64 = 100;

/// A message on its way, and what it says.
pub(super) struct Message {
    pub(super) action: Action,
    pub(super) call: ChargerCall,
    connector: u32,
    timestamp: Timestamp,
    status: Option<&'static str>,
    energy_wh: Option<u64>,
}

/// Where a charger is in its story.
pub(super) struct Story {
    profile: Profile,
    tag: String,
    connector: u32,
    /// Heartbeats before the first car comes.
    waits: u64,
    step: u32,
    transaction: Option<i64>,
    register_wh: u64,
    order: u64,
}

impl Story {
    /// The story of charger `number`. First cars come one after the other, so that at no moment all
    /// chargers say the same.
    pub(super) fn new(profile: Profile, tag: &str, number: u64) -> Self {
        Self {
            profile,
            tag: tag.to_owned(),
            connector: 1,
            waits: number % u64::from(LAST + 1),
            step: 0,
            transaction: None,
            register_wh: 0,
            order: 0,
        }
    }

    /// Whether anything was said.
    pub(super) fn has_begun(&self) -> bool {
        self.order > 0 || self.step > 0
    }

    /// The next message; nothing for a charger that has nothing to say.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Message> {
        // What goes over the wire, so that the journal says the same.
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        match self.profile {
            Profile::Idle | Profile::Storm => None,
            Profile::Heartbeats => Some(self.message(Action::Heartbeat, Heartbeat {}.into(), now)),
            Profile::Statuses => {
                self.step += 1;
                let available = self.step.is_multiple_of(2);
                Some(self.status(if available { "Available" } else { "Preparing" }, now))
            }
            Profile::Busy | Profile::Flaky if self.waits > 0 => {
                self.waits -= 1;
                Some(self.message(Action::Heartbeat, Heartbeat {}.into(), now))
            }
            Profile::Busy | Profile::Flaky => {
                let message = self.charge(now);
                self.step = if self.step == LAST { 0 } else { self.step + 1 };
                Some(message)
            }
        }
    }

    /// The next message of a car that comes, charges and leaves.
    fn charge(&mut self, now: Timestamp) -> Message {
        match self.step {
            0 => self.status("Preparing", now),
            1 => {
                let call = StartTransaction {
                    connector_id: Some(self.connector.into()),
                    id_tag: Some(self.tag.clone()),
                    meter_start: Some(self.register_wh.cast_signed()),
                    reservation_id: None,
                    timestamp: Some(now),
                };
                self.message(Action::Start, call.into(), now)
            }
            2 => self.status("Charging", now),
            STOP => {
                let call = StopTransaction {
                    transaction_id: Some(self.transaction.unwrap_or(-1)),
                    id_tag: Some(self.tag.clone()),
                    meter_stop: Some(self.register_wh.cast_signed()),
                    timestamp: Some(now),
                    reason: Some(Reason::Local),
                    transaction_data: Vec::new(),
                };
                self.message(Action::Stop, call.into(), now)
            }
            LAST => self.status("Available", now),
            _ => {
                self.register_wh += STEP_WH;
                self.meter(now)
            }
        }
    }

    fn status(&self, status: &'static str, now: Timestamp) -> Message {
        let word = match status {
            "Preparing" => ChargePointStatus::Preparing,
            "Charging" => ChargePointStatus::Charging,
            _ => ChargePointStatus::Available,
        };
        let mut call = StatusNotification::new(self.connector.into(), word);
        call.timestamp = Some(now);
        call.info = Some(mark(self.order, now));
        let mut message = self.message(Action::Status, call.into(), now);
        message.status = Some(status);
        message
    }

    fn meter(&self, now: Timestamp) -> Message {
        let energy = SampledValue {
            value: self.register_wh.to_string(),
            measurand: Some(Measurand::EnergyActiveImportRegister),
            unit: Some(UnitOfMeasure::WattHour),
            ..SampledValue::default()
        };
        let call = MeterValues {
            connector_id: Some(self.connector.into()),
            transaction_id: self.transaction,
            meter_value: vec![MeterValue {
                timestamp: Some(now),
                sampled_value: vec![energy],
            }],
        };
        self.message(Action::Meter, call.into(), now)
    }

    fn message(&self, action: Action, call: ChargerCall, timestamp: Timestamp) -> Message {
        let metered = matches!(action, Action::Start | Action::Meter | Action::Stop);
        Message {
            action,
            call,
            connector: self.connector,
            timestamp,
            status: None,
            energy_wh: metered.then_some(self.register_wh),
        }
    }

    /// Notes what became of a message. `payload` is the answer, where it was acknowledged.
    ///
    /// A heartbeat leaves nothing that a server could be held to, and no entry.
    pub(super) fn conclude(
        &mut self,
        charger: &str,
        message: &Message,
        payload: Option<&str>,
    ) -> Option<Entry> {
        if message.action == Action::Heartbeat {
            return None;
        }
        if message.action == Action::Start {
            let conf = payload.and_then(|payload| StartTransactionConf::parse(payload).ok());
            self.transaction = conf.map(|conf| conf.message.transaction_id);
        }
        let transactional = matches!(message.action, Action::Start | Action::Meter | Action::Stop);
        let entry = Entry {
            charger: charger.to_owned(),
            order: self.order,
            acknowledged: payload.is_some(),
            action: message.action,
            connector: message.connector,
            timestamp: message.timestamp,
            status: message.status.map(Into::into),
            transaction_id: self.transaction.filter(|_| transactional),
            energy_wh: message.energy_wh,
        };
        self.order += 1;
        if message.action == Action::Stop {
            self.transaction = None;
        }
        Some(entry)
    }
}
