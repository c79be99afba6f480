//! What can be asked of a charger, and what may become of it.
//!
//! A command is asked once, of one charger, and always ends in one [`Outcome`]. Secrets that it carries
//! are for the charger alone: [`CommandRecord::without_secrets`] is what everybody else sees.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// What stands for a secret.
pub const HIDDEN: &str = "•••";

/// Configuration keys whose values are secrets: what a charger presents as its password, in OCPP
/// 1.6 and in 2.x.
const SECRET_KEYS: [&str; 2] = ["AuthorizationKey", "BasicAuthPassword"];

/// Whether a configuration key's value is a secret. Keys are compared without regard to case (OCPP
/// 1.6 §7.28).
fn is_secret(key: &str) -> bool {
    let key = key.trim();
    SECRET_KEYS.iter().any(|it| it.eq_ignore_ascii_case(key))
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

    /// The secret it carries.
    fn secret(&mut self) -> Option<&mut String> {
        match self {
            Self::ChangeConfiguration { key, value } if is_secret(key) => Some(value),
            _ => None,
        }
    }

    /// The same for everybody but the charger.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        if let Some(secret) = self.secret() {
            HIDDEN.clone_into(secret);
        }
        self
    }
}

/// Hides a secret that an answer quotes, and what a charger tells of its secret keys: it should
/// tell nothing.
fn hide(answer: &mut Value, secret: Option<&str>) {
    match answer {
        Value::String(text) => hide_in(text, secret),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, secret)),
        Value::Object(fields) => {
            let key = fields.get("key").and_then(Value::as_str);
            let told = key.is_some_and(is_secret);
            for (name, value) in fields {
                if told && name == "value" && !value.is_null() {
                    *value = HIDDEN.into();
                } else {
                    hide(value, secret);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hide_in(text: &mut String, secret: Option<&str>) {
    if let Some(secret) = secret.filter(|secret| text.contains(secret)) {
        *text = text.replace(secret, HIDDEN);
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
    pub response: Option<Value>,
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

    /// The same for everybody but the charger.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        let secret = self.command.secret().map(std::mem::take);
        let secret = secret.as_deref().filter(|it| !it.is_empty());
        self.command = self.command.without_secrets();
        if let Some(ending) = &mut self.ending {
            if let Some(detail) = &mut ending.detail {
                hide_in(detail, secret);
            }
            if let Some(response) = &mut ending.response {
                hide(response, secret);
            }
        }
        self
    }

    /// The command ends, and with it whatever needed its secrets. `None` when it had ended before:
    /// the first outcome stands.
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
        Some((self.without_secrets(), event))
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn ended(command: Command, detail: &str, response: Value) -> CommandRecord {
        let (id, station) = (CommandId(Uuid::nil()), StationId::new("CP-1").unwrap());
        let node = NodeId(Uuid::nil());
        let now = Timestamp::UNIX_EPOCH;
        let ending = Ending {
            outcome: Outcome::Accepted,
            detail: Some(detail.to_owned()),
            response: Some(response),
            at: now,
        };
        let (record, _) = CommandRecord::new(id, station, command, node, now);
        record.end(ending).unwrap().0
    }

    fn set(key: &str, value: &str) -> Command {
        Command::ChangeConfiguration {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn a_secret_is_the_chargers_alone() {
        for key in [
            "AuthorizationKey",
            "authorizationKEY",
            " AuthorizationKey ",
            "BasicAuthPassword",
        ] {
            assert_eq!(set(key, "hunter2").without_secrets(), set(key, HIDDEN));
        }
        let plain = set("HeartbeatInterval", "60");
        assert_eq!(plain.clone().without_secrets(), plain);

        let answer = json!({"status": "Rejected", "info": ["hunter2 is short"]});
        let record = ended(set("AuthorizationKey", "hunter2"), "bad: hunter2", answer);
        let text = serde_json::to_string(&record).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(record.ending.unwrap().detail.unwrap(), "bad: •••");
        // Nothing is no secret.
        let record = ended(set("AuthorizationKey", ""), "no", json!({}));
        assert_eq!(record.ending.unwrap().detail.unwrap(), "no");
    }

    #[test]
    fn what_a_charger_tells_of_its_secrets_is_not_kept() {
        let ask = Command::GetConfiguration { keys: Vec::new() };
        let answer = json!({"configurationKey": [
            {"key": "HeartbeatInterval", "readonly": false, "value": "60"},
            {"key": "authorizationkey", "readonly": false, "value": "hunter2"},
            {"key": "BasicAuthPassword", "readonly": false},
        ]});
        let kept = ended(ask, "", answer.clone()).ending.unwrap().response;
        let mut expected = answer;
        expected["configurationKey"][1]["value"] = json!(HIDDEN);
        assert_eq!(kept, Some(expected));
    }
}
