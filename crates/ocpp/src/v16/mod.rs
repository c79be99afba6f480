//! OCPP 1.6 edition 2: the core profile and remote triggers, in both directions.
//!
//! | said by | calls | answered by | with |
//! | --- | --- | --- | --- |
//! | charger | [`ChargerCall`] | server | [`ServerConf`] |
//! | server | [`ServerCall`] | charger | [`ChargerConf`] |
//!
//! Reading is lenient (see [`crate::read`]). Three requests are never refused for what they lack,
//! because a charger drops the record when it is: StartTransaction, StopTransaction and
//! MeterValues. All their fields are optional, and the reader keeps what there is.
//!
//! Numbers stay `i64` as they were sent. Whether connector 1,634,030,126 exists is not a question
//! for a protocol.

use serde::Serialize;

use crate::message::{Call, Message, Parsed};
use crate::{CallError, ErrorCode};

mod charger;
mod data_transfer;
mod meter;
mod server;
mod words;

pub use charger::*;
pub use data_transfer::*;
pub use meter::*;
pub use server::*;
pub use words::*;

/// Characters of an id tag (§7.28).
pub const MAX_ID_TAG: usize = 20;
/// Characters of a configuration key (§7.29).
pub const MAX_CONFIGURATION_KEY: usize = 50;
/// Characters of a configuration value (§7.29).
pub const MAX_CONFIGURATION_VALUE: usize = 500;
/// Characters of a vendor's identifier (§6.15, §6.47).
pub const MAX_VENDOR_ID: usize = 255;
/// Characters of a DataTransfer's message id (§6.15).
pub const MAX_DATA_MESSAGE_ID: usize = 50;

/// Declares the calls of one direction and the confs that answer them, pair by pair.
macro_rules! exchange {
    (
        $(#[$call_meta:meta])* $calls:ident,
        $(#[$conf_meta:meta])* $confs:ident,
        $($name:ident => $conf:ident,)*
    ) => {
        $(#[$call_meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum $calls {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)*
        }

        impl $calls {
            /// Every action of this direction.
            pub const ACTIONS: &[&str] = &[$(<$name as Call>::ACTION,)*];

            /// The action's name on the wire.
            pub const fn action(&self) -> &'static str {
                match self { $(Self::$name(_) => <$name as Call>::ACTION,)* }
            }

            /// Reads the payload of a call. An action not listed here is `NotImplemented`.
            pub fn parse(action: &str, payload: &str) -> Result<Parsed<Self>, CallError> {
                match action {
                    $(<$name as Call>::ACTION => Ok($name::parse(payload)?.map(Self::$name)),)*
                    _ => Err(unknown(action)),
                }
            }
        }

        $(#[$conf_meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum $confs {
            $(#[doc = concat!("See [`", stringify!($conf), "`].")] $name($conf),)*
        }

        impl $confs {
            /// The action that is answered.
            pub const fn action(&self) -> &'static str {
                match self { $(Self::$name(_) => <$name as Call>::ACTION,)* }
            }

            /// Reads the payload of a result. The action comes from the call: a result does not
            /// repeat it.
            pub fn parse(action: &str, payload: &str) -> Result<Parsed<Self>, CallError> {
                match action {
                    $(<$name as Call>::ACTION => Ok($conf::parse(payload)?.map(Self::$name)),)*
                    _ => Err(unknown(action)),
                }
            }
        }

        $(
            impl From<$name> for $calls {
                fn from(call: $name) -> Self {
                    Self::$name(call)
                }
            }
        )*
    };
}

exchange! {
    /// What a charger asks of the server.
    ChargerCall,
    /// What the server answers.
    ServerConf,
    Authorize => AuthorizeConf,
    BootNotification => BootNotificationConf,
    DataTransfer => DataTransferConf,
    DiagnosticsStatusNotification => DiagnosticsStatusNotificationConf,
    FirmwareStatusNotification => FirmwareStatusNotificationConf,
    Heartbeat => HeartbeatConf,
    MeterValues => MeterValuesConf,
    StartTransaction => StartTransactionConf,
    StatusNotification => StatusNotificationConf,
    StopTransaction => StopTransactionConf,
}

exchange! {
    /// What the server asks of a charger.
    ServerCall,
    /// What a charger answers.
    ChargerConf,
    ChangeAvailability => ChangeAvailabilityConf,
    ChangeConfiguration => ChangeConfigurationConf,
    ClearCache => ClearCacheConf,
    DataTransfer => DataTransferConf,
    GetConfiguration => GetConfigurationConf,
    RemoteStartTransaction => RemoteStartTransactionConf,
    RemoteStopTransaction => RemoteStopTransactionConf,
    Reset => ResetConf,
    TriggerMessage => TriggerMessageConf,
    UnlockConnector => UnlockConnectorConf,
}

fn unknown(action: &str) -> CallError {
    CallError::new(
        ErrorCode::NotImplemented,
        format!("{action} is not known here"),
    )
}

/// Pairs a request with its action and its conf.
macro_rules! call {
    ($name:ident => $conf:ident) => {
        impl $crate::message::Call for $name {
            const ACTION: &'static str = stringify!($name);
            type Conf = $conf;
        }
    };
}

/// Declares a conf that says nothing but "received".
macro_rules! empty_conf {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
        pub struct $name {}

        impl $crate::message::Message for $name {
            fn read(_: &mut $crate::read::Reader<'_, '_>) -> Result<Self, $crate::CallError> {
                Ok(Self {})
            }
        }
    };
}

/// Declares a conf that is a status and nothing else.
macro_rules! status_conf {
    ($(#[$meta:meta])* $name:ident($status:ident)) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
        pub struct $name {
            /// The outcome.
            pub status: $status,
        }

        impl $crate::message::Message for $name {
            fn read(
                fields: &mut $crate::read::Reader<'_, '_>,
            ) -> Result<Self, $crate::CallError> {
                Ok(Self { status: fields.word("status").required()? })
            }
        }
    };
}

use {call, empty_conf, status_conf};
