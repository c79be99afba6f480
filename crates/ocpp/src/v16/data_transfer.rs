//! DataTransfer: the one call either side may make (OCPP 1.6 §4.3, §5.6).

use serde::Serialize;

use super::{DataTransferStatus, MAX_DATA_MESSAGE_ID, MAX_VENDOR_ID, call};
use crate::CallError;
use crate::message::Message;
use crate::read::Reader;

/// Something only a vendor understands (§6.15).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataTransfer {
    /// Whose message it is.
    pub vendor_id: String,
    /// Which of the vendor's messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The message. What was sent as other JSON than text is kept as its JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

call!(DataTransfer => DataTransferConf);

impl Message for DataTransfer {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            vendor_id: fields.text("vendorId", MAX_VENDOR_ID).required()?,
            message_id: fields.text("messageId", MAX_DATA_MESSAGE_ID).optional(),
            data: fields.long_text("data").optional(),
        })
    }
}

/// What the other side made of it (§6.16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataTransferConf {
    /// The outcome.
    pub status: DataTransferStatus,
    /// An answer only the vendor understands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Message for DataTransferConf {
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError> {
        Ok(Self {
            status: fields.word("status").required()?,
            data: fields.long_text("data").optional(),
        })
    }
}
