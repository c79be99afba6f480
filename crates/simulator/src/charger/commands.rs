//! What the server asks, and what this charger makes of it.

use std::time::Duration;

use ocpp::IncomingCall;
use ocpp::v16::{
    AvailabilityStatus, AvailabilityType, ChangeAvailability, ChangeAvailabilityConf,
    ChangeConfigurationConf, ChargerConf, ClearCacheConf, ClearCacheStatus, DataTransferConf,
    DataTransferStatus, DiagnosticsStatus, DiagnosticsStatusNotification, FirmwareStatus,
    FirmwareStatusNotification, Heartbeat, MessageTrigger, ReadingContext, Reason,
    RemoteStartStopStatus, RemoteStartTransaction, RemoteStartTransactionConf,
    RemoteStopTransactionConf, ResetConf, ResetStatus, ResetType, ServerCall, TriggerMessage,
    TriggerMessageConf, TriggerMessageStatus, UnlockConnectorConf, UnlockStatus,
};

use super::connector::{Connector, State, Step};
use super::{Charger, Sent};
use crate::{Happening, Moment};

/// A soft reset lets the last records go out first; a hard one only lets the answer go out.
const SOFT_GRACE: Duration = Duration::from_secs(2);
const HARD_GRACE: Duration = Duration::from_millis(200);

impl Charger {
    /// Answers a call, and does what it asks.
    pub(super) fn commanded(&mut self, call: IncomingCall<'_>, now: Moment) {
        let action = call.action.to_string();
        let frame = match ServerCall::parse(&call.action, call.payload) {
            Ok(parsed) => {
                let conf = self.obey(parsed.message, now);
                let answer = summary(&conf);
                self.tell(Happening::Commanded { action, answer });
                self.peer.answer(call.ticket, &conf)
            }
            Err(error) => {
                let answer = error.to_string();
                self.tell(Happening::Commanded { action, answer });
                self.peer.refuse(call.ticket, &error)
            }
        };
        self.answers.push_back(frame);
    }

    fn obey(&mut self, call: ServerCall, now: Moment) -> ChargerConf {
        match call {
            ServerCall::ChangeAvailability(call) => {
                let status = self.change_availability(&call, now);
                ChargerConf::ChangeAvailability(ChangeAvailabilityConf { status })
            }
            ServerCall::ChangeConfiguration(call) => {
                let status = self.settings.change(&call.key, &call.value);
                if call.key.eq_ignore_ascii_case("HeartbeatInterval") && self.is_in_service() {
                    self.plan_heartbeat(now);
                }
                ChargerConf::ChangeConfiguration(ChangeConfigurationConf { status })
            }
            ServerCall::ClearCache(_) => ChargerConf::ClearCache(ClearCacheConf {
                status: ClearCacheStatus::Accepted,
            }),
            ServerCall::DataTransfer(_) => ChargerConf::DataTransfer(DataTransferConf {
                status: DataTransferStatus::UnknownVendorId,
                data: None,
            }),
            ServerCall::GetConfiguration(call) => {
                ChargerConf::GetConfiguration(self.settings.show(call.key))
            }
            ServerCall::RemoteStartTransaction(call) => {
                let status = accepted(self.try_remote_start(call, now));
                ChargerConf::RemoteStartTransaction(RemoteStartTransactionConf { status })
            }
            ServerCall::RemoteStopTransaction(call) => {
                let status = accepted(self.try_remote_stop(call.transaction_id, now));
                ChargerConf::RemoteStopTransaction(RemoteStopTransactionConf { status })
            }
            ServerCall::Reset(call) => {
                self.reset(call.kind, now);
                ChargerConf::Reset(ResetConf {
                    status: ResetStatus::Accepted,
                })
            }
            ServerCall::TriggerMessage(call) => {
                let status = self.trigger(&call, now);
                ChargerConf::TriggerMessage(TriggerMessageConf { status })
            }
            ServerCall::UnlockConnector(call) => {
                let status = self.unlock(call.connector_id, now);
                ChargerConf::UnlockConnector(UnlockConnectorConf { status })
            }
        }
    }

    /// The place of connector `number` in the list; there is none for 0.
    fn index(&self, number: i64) -> Option<usize> {
        self.connectors
            .iter()
            .position(|connector| connector.number == number)
    }

    fn change_availability(
        &mut self,
        call: &ChangeAvailability,
        now: Moment,
    ) -> AvailabilityStatus {
        let operative = call.kind == AvailabilityType::Operative;
        if call.connector_id != 0 {
            return match self.index(call.connector_id) {
                Some(index) => self.open_or_close(index, operative, now),
                None => AvailabilityStatus::Rejected,
            };
        }
        self.operative = operative;
        if self.is_in_service() {
            self.report(0, now);
        }
        let all: Vec<_> = (0..self.connectors.len())
            .map(|index| self.open_or_close(index, operative, now))
            .collect();
        let waits = all.contains(&AvailabilityStatus::Scheduled);
        if waits {
            AvailabilityStatus::Scheduled
        } else {
            AvailabilityStatus::Accepted
        }
    }

    fn open_or_close(&mut self, index: usize, operative: bool, now: Moment) -> AvailabilityStatus {
        let connector = &mut self.connectors[index];
        connector.closing = !operative;
        let is_closed = matches!(connector.state, State::Unavailable { .. });
        let is_free = matches!(
            connector.state,
            State::Available { .. } | State::Reserved { .. }
        );
        match (operative, is_closed, is_free) {
            (true, true, _) => self.set_free(index, now),
            // Free, or closed for maintenance and now for good.
            (false, _, true) | (false, true, _) => {
                connector.state = State::Unavailable { until: None };
            }
            (false, false, false) => return AvailabilityStatus::Scheduled,
            (true, false, _) => {}
        }
        self.show(index, now);
        AvailabilityStatus::Accepted
    }

    fn try_remote_start(&mut self, call: RemoteStartTransaction, now: Moment) -> bool {
        // A charger that may not take part starts nothing on request (OCPP 1.6 §4.2).
        if !self.is_in_service() || self.outbox.is_full() {
            return false;
        }
        let index = match call.connector_id {
            Some(number) => self.index(number),
            None => self.connectors.iter().position(can_start),
        };
        let Some(index) = index.filter(|index| can_start(&self.connectors[*index])) else {
            return false;
        };
        self.remote_start(index, call.id_tag, now);
        true
    }

    fn try_remote_stop(&mut self, transaction: i64, now: Moment) -> bool {
        let index = self.connectors.iter().position(|connector| {
            let session = connector.session();
            session.is_some_and(|session| self.outbox.number(session.key) == Some(transaction))
        });
        let Some(index) = index else {
            return false;
        };
        self.stop(index, &Reason::Remote, now);
        self.show(index, now);
        true
    }

    fn reset(&mut self, kind: ResetType, now: Moment) {
        let (reason, grace) = match kind {
            ResetType::Soft => (Reason::SoftReset, SOFT_GRACE),
            ResetType::Hard => (Reason::HardReset, HARD_GRACE),
        };
        for index in 0..self.connectors.len() {
            self.stop(index, &reason, now);
            self.show(index, now);
        }
        self.restart_at = Some(now.instant + grace);
    }

    fn unlock(&mut self, number: i64, now: Moment) -> UnlockStatus {
        let Some(index) = self.index(number) else {
            return UnlockStatus::NotSupported;
        };
        self.stop(index, &Reason::UnlockCommand, now);
        self.show(index, now);
        UnlockStatus::Unlocked
    }

    fn trigger(&mut self, call: &TriggerMessage, now: Moment) -> TriggerMessageStatus {
        let places = match call.connector_id {
            None => 0..self.connectors.len(),
            Some(number) => match self.index(number) {
                Some(index) => index..index + 1,
                None if number == 0 => 0..0,
                None => return TriggerMessageStatus::Rejected,
            },
        };
        match &call.requested_message {
            MessageTrigger::BootNotification => self.pass(Sent::Boot, self.boot()),
            MessageTrigger::Heartbeat => self.pass(Sent::Heartbeat, Heartbeat {}),
            MessageTrigger::StatusNotification => {
                if call.connector_id.is_none_or(|number| number == 0) {
                    self.report(0, now);
                }
                places.for_each(|index| self.report(index + 1, now));
            }
            MessageTrigger::MeterValues => {
                for index in places {
                    let (values, key) = self.reading(index, &ReadingContext::Trigger, now);
                    match key {
                        Some(key) => self.outbox.push(key, values.into()),
                        None => self.pass(Sent::Passing("MeterValues"), values),
                    }
                }
            }
            MessageTrigger::FirmwareStatusNotification => {
                let status = FirmwareStatus::Idle;
                let call = FirmwareStatusNotification { status };
                self.pass(Sent::Passing("FirmwareStatusNotification"), call);
            }
            MessageTrigger::DiagnosticsStatusNotification => {
                let status = DiagnosticsStatus::Idle;
                let call = DiagnosticsStatusNotification { status };
                self.pass(Sent::Passing("DiagnosticsStatusNotification"), call);
            }
            MessageTrigger::Unknown(_) => return TriggerMessageStatus::NotImplemented,
        }
        TriggerMessageStatus::Accepted
    }
}

/// Free, or with a car whose driver has not got through yet.
fn can_start(connector: &Connector) -> bool {
    let waits = match &connector.state {
        State::Available { .. } | State::Finishing { .. } => true,
        State::Preparing { step, .. } => !matches!(step, Step::Starting(_)),
        _ => false,
    };
    waits && !connector.closing
}

fn accepted(yes: bool) -> RemoteStartStopStatus {
    if yes {
        RemoteStartStopStatus::Accepted
    } else {
        RemoteStartStopStatus::Rejected
    }
}

/// An answer in a word.
fn summary(conf: &ChargerConf) -> String {
    match conf {
        ChargerConf::ChangeAvailability(conf) => conf.status.to_string(),
        ChargerConf::ChangeConfiguration(conf) => conf.status.to_string(),
        ChargerConf::ClearCache(conf) => conf.status.to_string(),
        ChargerConf::DataTransfer(conf) => conf.status.to_string(),
        ChargerConf::GetConfiguration(conf) => format!("{} settings", conf.configuration_key.len()),
        ChargerConf::RemoteStartTransaction(conf) => conf.status.to_string(),
        ChargerConf::RemoteStopTransaction(conf) => conf.status.to_string(),
        ChargerConf::Reset(conf) => conf.status.to_string(),
        ChargerConf::TriggerMessage(conf) => conf.status.to_string(),
        ChargerConf::UnlockConnector(conf) => conf.status.to_string(),
    }
}
