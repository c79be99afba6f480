//! What can be asked of a charger, and what may become of it.
//!
//! A command is asked once, of one charger, and always ends in one [`Outcome`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{EventKind, NewEvent};
use crate::id::{CommandId, ConnectorNo, EvseNo, NodeId, StationId};
use crate::status::{Availability, words};

words! {
    /// What became of a command.
    Outcome {
        /// The charger does it.
        Accepted = "accepted",
        /// The charger will not.
        Rejected = "rejected",
        /// The charger could not take it, or answered with an error.
        Failed = "failed",
        /// No answer in time.
        TimedOut = "timed_out",
        /// The connection was lost before the answer: whether it was done is not known.
        Lost = "lost",
    }
}

words! {
    /// How a charger restarts.
    ResetType {
        /// After ending what runs.
        Soft = "soft",
        /// At once.
        Hard = "hard",
    }
}

words! {
    /// What a charger can be asked to send.
    Trigger {
        /// Its boot notification.
        BootNotification = "boot_notification",
        /// How an upload of diagnostics goes.
        DiagnosticsStatusNotification = "diagnostics_status_notification",
        /// How a firmware update goes.
        FirmwareStatusNotification = "firmware_status_notification",
        /// A heartbeat.
        Heartbeat = "heartbeat",
        /// Meter values.
        MeterValues = "meter_values",
        /// The status of connectors.
        StatusNotification = "status_notification",
    }
}

/// What is asked of a charger, in no protocol's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", content = "parameters", rename_all = "snake_case")]
pub enum Command {
    /// Restart.
    Reset {
        /// How.
        #[serde(rename = "type")]
        kind: ResetType,
    },
    /// Open the lock of a connector.
    UnlockConnector {
        /// Its EVSE.
        evse: EvseNo,
        /// The connector.
        connector: ConnectorNo,
    },
    /// Take the station or a part of it in or out of use.
    ChangeAvailability {
        /// The EVSE; `None` is the whole station.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evse: Option<EvseNo>,
        /// The connector; `None` is the whole EVSE.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connector: Option<ConnectorNo>,
        /// In or out.
        availability: Availability,
    },
    /// Set a configuration value.
    ChangeConfiguration {
        /// Its key.
        key: String,
        /// The value.
        value: String,
    },
    /// Read configuration values.
    GetConfiguration {
        /// Their keys; none is all.
        #[serde(default)]
        keys: Vec<String>,
    },
    /// Forget the id tags kept in the charger.
    ClearCache {},
    /// Send something now.
    TriggerMessage {
        /// What.
        message: Trigger,
        /// Of which EVSE; `None` is all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evse: Option<EvseNo>,
    },
    /// Begin charging.
    RequestStartTransaction {
        /// For which tag.
        id_tag: String,
        /// On which EVSE; `None` is the charger's choice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evse: Option<EvseNo>,
    },
    /// End charging.
    RequestStopTransaction {
        /// The id that the charger knows the session by.
        transaction_id: String,
    },
    /// Something of the maker's own.
    DataTransfer {
        /// Whose vocabulary.
        vendor_id: String,
        /// Which message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        /// The content.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
    },
}

impl Command {
    /// Every name, in the order above.
    pub const NAMES: &'static [&'static str] = &[
        "reset",
        "unlock_connector",
        "change_availability",
        "change_configuration",
        "get_configuration",
        "clear_cache",
        "trigger_message",
        "request_start_transaction",
        "request_stop_transaction",
        "data_transfer",
    ];

    /// Its name in bodies, rows and labels.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reset { .. } => "reset",
            Self::UnlockConnector { .. } => "unlock_connector",
            Self::ChangeAvailability { .. } => "change_availability",
            Self::ChangeConfiguration { .. } => "change_configuration",
            Self::GetConfiguration { .. } => "get_configuration",
            Self::ClearCache {} => "clear_cache",
            Self::TriggerMessage { .. } => "trigger_message",
            Self::RequestStartTransaction { .. } => "request_start_transaction",
            Self::RequestStopTransaction { .. } => "request_stop_transaction",
            Self::DataTransfer { .. } => "data_transfer",
        }
    }
}

/// A command and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// Its id.
    pub id: CommandId,
    /// Whose charger.
    pub station_id: StationId,
    /// What is asked.
    pub command: Command,
    /// The node that carries it out: the one at which the charger is connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<NodeId>,
    /// What became of it; `None` while nobody knows.
    pub ending: Option<Ending>,
    /// When it was taken on.
    pub created_at: Timestamp,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// In what.
    pub outcome: Outcome,
    /// In words, where there is more to say.
    pub detail: Option<String>,
    /// What the charger answered, as it was sent.
    pub response: Option<serde_json::Value>,
    /// When.
    pub at: Timestamp,
}

impl CommandRecord {
    /// A command is taken on.
    pub fn new(
        id: CommandId,
        station_id: StationId,
        command: Command,
        carrier: NodeId,
        now: Timestamp,
    ) -> (Self, NewEvent) {
        let kind = EventKind::CommandCreated {
            command_id: id,
            command: command.name().to_owned(),
        };
        let record = Self {
            id,
            station_id,
            command,
            carrier: Some(carrier),
            ending: None,
            created_at: now,
        };
        let event = record.event(kind, now);
        (record, event)
    }

    /// The command ends. `None` when it had ended before: the first outcome stands.
    pub fn end(mut self, ending: Ending) -> Option<(Self, NewEvent)> {
        if self.ending.is_some() {
            return None;
        }
        let kind = EventKind::CommandEnded {
            command_id: self.id,
            command: self.command.name().to_owned(),
            outcome: ending.outcome,
        };
        let event = self.event(kind, ending.at);
        self.ending = Some(ending);
        Some((self, event))
    }

    fn event(&self, kind: EventKind, at: Timestamp) -> NewEvent {
        let station_id = Some(self.station_id.clone());
        NewEvent {
            at,
            station_id,
            evse: None,
            connector: None,
            kind,
        }
    }
}
