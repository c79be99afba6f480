//! What the server asks, and what a charger answers (OCPP 1.6 §5 and §6).

use serde::Serialize;

use super::{
    AvailabilityStatus, AvailabilityType, ClearCacheStatus, ConfigurationStatus,
    MAX_CONFIGURATION_KEY, MAX_CONFIGURATION_VALUE, MAX_ID_TAG, MessageTrigger,
    RemoteStartStopStatus, ResetStatus, ResetType, TriggerMessageStatus, UnlockStatus, call,
    empty_conf, status_conf,
};
use crate::CallError;
use crate::message::Message;
use crate::read::Reader;

/// Keys taken from one `GetConfiguration`, asked or answered. Chargers have 40 to 200.
pub const MAX_CONFIGURATION_KEYS: usize = 1_000;

/// Takes a connector, or the whole charger, in or out of use (§5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeAvailability {
    /// Which; 0 is the charger and all its connectors.
    pub connector_id: i64,
    /// In or out.
    #[serde(rename = "type")]
    pub kind: AvailabilityType,
}

call!(ChangeAvailability => ChangeAvailabilityConf);
status_conf!(
    /// Answers [`ChangeAvailability`].
    ChangeAvailabilityConf(AvailabilityStatus)
);

impl Message for ChangeAvailability {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            connector_id: fields.integer("connectorId").required()?,
            kind: fields.word("type").required()?,
        })
    }
}

/// Changes a setting (§5.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeConfiguration {
    /// Its name. At most [`MAX_CONFIGURATION_KEY`] characters.
    pub key: String,
    /// Its new value. At most [`MAX_CONFIGURATION_VALUE`] characters.
    pub value: String,
}

call!(ChangeConfiguration => ChangeConfigurationConf);
status_conf!(
    /// Answers [`ChangeConfiguration`].
    ChangeConfigurationConf(ConfigurationStatus)
);

impl Message for ChangeConfiguration {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            key: fields.text("key", MAX_CONFIGURATION_KEY).required()?,
            value: fields.text("value", MAX_CONFIGURATION_VALUE).required()?,
        })
    }
}

empty_conf!(
    /// Forgets every tag the charger has learnt (§5.4).
    ClearCache
);

call!(ClearCache => ClearCacheConf);
status_conf!(
    /// Answers [`ClearCache`].
    ClearCacheConf(ClearCacheStatus)
);

/// Asks for settings (§5.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GetConfiguration {
    /// Which; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
}

call!(GetConfiguration => GetConfigurationConf);

impl Message for GetConfiguration {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            key: fields.texts("key", MAX_CONFIGURATION_KEYS, MAX_CONFIGURATION_KEY),
        })
    }
}

/// Answers [`GetConfiguration`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetConfigurationConf {
    /// The settings there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configuration_key: Vec<KeyValue>,
    /// The names asked for that are no settings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_key: Vec<String>,
}

impl Message for GetConfigurationConf {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        let settings = fields.list("configurationKey", MAX_CONFIGURATION_KEYS, KeyValue::read);
        Ok(Self {
            configuration_key: settings.into_iter().flatten().collect(),
            unknown_key: fields.texts("unknownKey", MAX_CONFIGURATION_KEYS, MAX_CONFIGURATION_KEY),
        })
    }
}

/// One setting (§7.29).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyValue {
    /// Its name.
    pub key: String,
    /// Whether `ChangeConfiguration` would be refused. Where it was missing, `false`.
    pub readonly: bool,
    /// Its value; `None` where it is not set or not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl KeyValue {
    /// A setting without a name is left out.
    fn read(fields: &mut Reader<'_, '_>) -> Option<Self> {
        Some(Self {
            key: fields.text("key", MAX_CONFIGURATION_KEY).expected()?,
            readonly: fields.boolean("readonly").expected().unwrap_or(false),
            value: fields.text("value", MAX_CONFIGURATION_VALUE).optional(),
        })
    }
}

/// Starts a transaction from afar (§5.11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteStartTransaction {
    /// Where; the charger chooses when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_id: Option<i64>,
    /// For whom. At most [`MAX_ID_TAG`] characters.
    pub id_tag: String,
}

call!(RemoteStartTransaction => RemoteStartTransactionConf);
status_conf!(
    /// Answers [`RemoteStartTransaction`]: the charger will try, or will not.
    RemoteStartTransactionConf(RemoteStartStopStatus)
);

impl Message for RemoteStartTransaction {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            connector_id: fields.integer("connectorId").optional(),
            id_tag: fields.text("idTag", MAX_ID_TAG).required()?,
        })
    }
}

/// Stops a transaction from afar (§5.12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteStopTransaction {
    /// The number the server gave it.
    pub transaction_id: i64,
}

call!(RemoteStopTransaction => RemoteStopTransactionConf);
status_conf!(
    /// Answers [`RemoteStopTransaction`].
    RemoteStopTransactionConf(RemoteStartStopStatus)
);

impl Message for RemoteStopTransaction {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            transaction_id: fields.integer("transactionId").required()?,
        })
    }
}

/// Restarts the charger (§5.14).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reset {
    /// How.
    #[serde(rename = "type")]
    pub kind: ResetType,
}

call!(Reset => ResetConf);
status_conf!(
    /// Answers [`Reset`].
    ResetConf(ResetStatus)
);

impl Message for Reset {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            kind: fields.word("type").required()?,
        })
    }
}

/// Asks for a message out of turn (§5.17).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerMessage {
    /// Which.
    pub requested_message: MessageTrigger,
    /// About which connector; all when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_id: Option<i64>,
}

call!(TriggerMessage => TriggerMessageConf);
status_conf!(
    /// Answers [`TriggerMessage`].
    TriggerMessageConf(TriggerMessageStatus)
);

impl Message for TriggerMessage {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            requested_message: fields.word("requestedMessage").required()?,
            connector_id: fields.integer("connectorId").optional(),
        })
    }
}

/// Lets go of a stuck cable (§5.18).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnlockConnector {
    /// Which.
    pub connector_id: i64,
}

call!(UnlockConnector => UnlockConnectorConf);
status_conf!(
    /// Answers [`UnlockConnector`].
    UnlockConnectorConf(UnlockStatus)
);

impl Message for UnlockConnector {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            connector_id: fields.integer("connectorId").required()?,
        })
    }
}
