//! What a charger asks, and what the server answers (OCPP 1.6 §4 and §6).

use jiff::Timestamp;
use serde::Serialize;

use super::{
    AuthorizationStatus, ChargePointErrorCode, ChargePointStatus, DiagnosticsStatus,
    FirmwareStatus, MAX_ID_TAG, MAX_VENDOR_ID, MeterValue, Reason, RegistrationStatus, call,
    empty_conf,
};
use crate::message::Message;
use crate::read::Reader;
use crate::{CallError, time};

/// May this tag charge? (§4.1)
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorize {
    /// The tag. Tags are compared without regard to letter case (§7.28).
    pub id_tag: String,
}

call!(Authorize => AuthorizeConf);

impl Message for Authorize {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            id_tag: fields.text("idTag", MAX_ID_TAG).required()?,
        })
    }
}

/// Answers [`Authorize`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizeConf {
    /// The verdict.
    pub id_tag_info: IdTagInfo,
}

impl Message for AuthorizeConf {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            id_tag_info: fields.object("idTagInfo", IdTagInfo::read).required()??,
        })
    }
}

/// What the server knows of a tag (§7.27).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdTagInfo {
    /// Whether it may charge.
    pub status: AuthorizationStatus,
    /// Until when a charger may remember this.
    #[serde(
        serialize_with = "time::write_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub expiry_date: Option<Timestamp>,
    /// The group: any of its tags may stop what another has started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id_tag: Option<String>,
}

impl IdTagInfo {
    /// A verdict and nothing else.
    pub const fn new(status: AuthorizationStatus) -> Self {
        Self {
            status,
            expiry_date: None,
            parent_id_tag: None,
        }
    }

    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            status: fields.word("status").required()?,
            expiry_date: fields.time("expiryDate").optional(),
            parent_id_tag: fields.text("parentIdTag", MAX_ID_TAG).optional(),
        })
    }
}

/// A charger has started and says what it is (§4.2).
///
/// Nothing is required: a charger without a model is better known than locked out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BootNotification {
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_point_vendor: Option<String>,
    /// What they call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_point_model: Option<String>,
    /// The charger's serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_point_serial_number: Option<String>,
    /// The serial number of the box in it. Deprecated by the specification, and sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_box_serial_number: Option<String>,
    /// The firmware it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware_version: Option<String>,
    /// The SIM card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iccid: Option<String>,
    /// The subscriber on the SIM card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imsi: Option<String>,
    /// The kind of its main meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter_type: Option<String>,
    /// The serial number of its main meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter_serial_number: Option<String>,
}

call!(BootNotification => BootNotificationConf);

impl Message for BootNotification {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            charge_point_vendor: fields.text("chargePointVendor", 20).expected(),
            charge_point_model: fields.text("chargePointModel", 20).expected(),
            charge_point_serial_number: fields.text("chargePointSerialNumber", 25).optional(),
            charge_box_serial_number: fields.text("chargeBoxSerialNumber", 25).optional(),
            firmware_version: fields.text("firmwareVersion", 50).optional(),
            iccid: fields.text("iccid", 20).optional(),
            imsi: fields.text("imsi", 20).optional(),
            meter_type: fields.text("meterType", 25).optional(),
            meter_serial_number: fields.text("meterSerialNumber", 25).optional(),
        })
    }
}

/// Answers [`BootNotification`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BootNotificationConf {
    /// Whether the charger may take part.
    pub status: RegistrationStatus,
    /// The server's clock, which the charger takes over.
    #[serde(serialize_with = "time::write")]
    pub current_time: Timestamp,
    /// Seconds between heartbeats, or to wait before asking again when not accepted. 0 leaves it to
    /// the charger.
    pub interval: i64,
}

impl Message for BootNotificationConf {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            status: fields.word("status").required()?,
            current_time: fields.time("currentTime").required()?,
            interval: fields.integer("interval").expected().unwrap_or(0),
        })
    }
}

/// How an upload of diagnostics goes (§4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiagnosticsStatusNotification {
    /// Where it stands.
    pub status: DiagnosticsStatus,
}

call!(DiagnosticsStatusNotification => DiagnosticsStatusNotificationConf);
empty_conf!(
    /// Answers [`DiagnosticsStatusNotification`].
    DiagnosticsStatusNotificationConf
);

impl Message for DiagnosticsStatusNotification {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            status: fields.word("status").required()?,
        })
    }
}

/// How a firmware update goes (§4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirmwareStatusNotification {
    /// Where it stands.
    pub status: FirmwareStatus,
}

call!(FirmwareStatusNotification => FirmwareStatusNotificationConf);
empty_conf!(
    /// Answers [`FirmwareStatusNotification`].
    FirmwareStatusNotificationConf
);

impl Message for FirmwareStatusNotification {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            status: fields.word("status").required()?,
        })
    }
}

empty_conf!(
    /// A charger is alive, and asks for the time (§4.6).
    Heartbeat
);

call!(Heartbeat => HeartbeatConf);

/// Answers [`Heartbeat`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatConf {
    /// The server's clock.
    #[serde(serialize_with = "time::write")]
    pub current_time: Timestamp,
}

impl Message for HeartbeatConf {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            current_time: fields.time("currentTime").required()?,
        })
    }
}

/// What the meter showed (§4.7). Never refused for what it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeterValues {
    /// Where; 0 is the main meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_id: Option<i64>,
    /// The transaction it belongs to, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<i64>,
    /// The readings, in the order sent.
    pub meter_value: Vec<MeterValue>,
}

call!(MeterValues => MeterValuesConf);
empty_conf!(
    /// Answers [`MeterValues`].
    MeterValuesConf
);

impl Message for MeterValues {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            connector_id: fields.integer("connectorId").expected(),
            transaction_id: fields.integer("transactionId").optional(),
            meter_value: MeterValue::read_list(fields, "meterValue"),
        })
    }
}

/// A transaction has started, perhaps long ago (§4.8). Never refused for what it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartTransaction {
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_id: Option<i64>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_tag: Option<String>,
    /// The energy register at the start, in Wh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter_start: Option<i64>,
    /// The reservation this uses up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation_id: Option<i64>,
    /// When, by the charger's clock.
    #[serde(
        serialize_with = "time::write_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub timestamp: Option<Timestamp>,
}

call!(StartTransaction => StartTransactionConf);

impl Message for StartTransaction {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            connector_id: fields.integer("connectorId").expected(),
            id_tag: fields.text("idTag", MAX_ID_TAG).expected(),
            meter_start: fields.integer("meterStart").expected(),
            reservation_id: fields.integer("reservationId").optional(),
            timestamp: fields.time("timestamp").expected(),
        })
    }
}

/// Answers [`StartTransaction`]. A refusal goes into `id_tag_info`: the charge is on record anyway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartTransactionConf {
    /// What the server makes of the tag.
    pub id_tag_info: IdTagInfo,
    /// The number the server gives the transaction.
    pub transaction_id: i64,
}

impl Message for StartTransactionConf {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            id_tag_info: fields.object("idTagInfo", IdTagInfo::read).required()??,
            transaction_id: fields.integer("transactionId").required()?,
        })
    }
}

/// A connector, or the charger itself, has changed its state (§4.9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusNotification {
    /// Which; 0 is the charger itself.
    pub connector_id: i64,
    /// The new state.
    pub status: ChargePointStatus,
    /// What troubles it. Where it was missing, `NoError`.
    pub error_code: ChargePointErrorCode,
    /// More about the error, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// When, by the charger's clock.
    #[serde(
        serialize_with = "time::write_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub timestamp: Option<Timestamp>,
    /// Whose error code follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<String>,
    /// The vendor's own error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_error_code: Option<String>,
}

call!(StatusNotification => StatusNotificationConf);
empty_conf!(
    /// Answers [`StatusNotification`].
    StatusNotificationConf
);

impl StatusNotification {
    /// A state without trouble.
    pub const fn new(connector_id: i64, status: ChargePointStatus) -> Self {
        Self {
            connector_id,
            status,
            error_code: ChargePointErrorCode::NoError,
            info: None,
            timestamp: None,
            vendor_id: None,
            vendor_error_code: None,
        }
    }
}

impl Message for StatusNotification {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        let error_code = fields.word("errorCode").expected();
        Ok(Self {
            connector_id: fields.integer("connectorId").required()?,
            status: fields.word("status").required()?,
            error_code: error_code.unwrap_or(ChargePointErrorCode::NoError),
            info: fields.text("info", 50).optional(),
            timestamp: fields.time("timestamp").optional(),
            vendor_id: fields.text("vendorId", MAX_VENDOR_ID).optional(),
            vendor_error_code: fields.text("vendorErrorCode", 50).optional(),
        })
    }
}

/// A transaction has stopped, perhaps long ago (§4.10). Never refused for what it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopTransaction {
    /// The number the server gave it, or -1 where the charger never learnt it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<i64>,
    /// By whom, unless the charger stopped by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_tag: Option<String>,
    /// The energy register at the end, in Wh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter_stop: Option<i64>,
    /// When, by the charger's clock.
    #[serde(
        serialize_with = "time::write_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub timestamp: Option<Timestamp>,
    /// Why; `Local` when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Readings taken on the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transaction_data: Vec<MeterValue>,
}

call!(StopTransaction => StopTransactionConf);

impl Message for StopTransaction {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            transaction_id: fields.integer("transactionId").expected(),
            id_tag: fields.text("idTag", MAX_ID_TAG).optional(),
            meter_stop: fields.integer("meterStop").expected(),
            timestamp: fields.time("timestamp").expected(),
            reason: fields.word("reason").optional(),
            transaction_data: MeterValue::read_list(fields, "transactionData"),
        })
    }
}

/// Answers [`StopTransaction`]. It cannot be refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopTransactionConf {
    /// What the server makes of the tag, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_tag_info: Option<IdTagInfo>,
}

impl Message for StopTransactionConf {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        let id_tag_info = fields.object("idTagInfo", IdTagInfo::read).optional();
        Ok(Self {
            id_tag_info: id_tag_info.transpose()?,
        })
    }
}
