//! What happened. The event log is the network's memory: history, live streams, caches and uptime
//! all read it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::Outcome;
use crate::drill::{DrillEnd, DrillLoad};
use crate::id::{CommandId, ConnectorNo, DrillId, EntryId, EvseNo, SessionId, StationId, TokenId};
use crate::journal::Sentiment;
use crate::session::{Problem, SessionState, StopReason};
use crate::station::{Hardware, Location};
use crate::status::{Availability, Cause, ConnectorStatus, StationStatus, Status};
use crate::token::{IdTagStatus, Role};
use crate::units::WattHours;

/// An event that is committed: it has its place in the one global sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place. Gapless, and in the order of the commits.
    pub seq: i64,
    /// What happened, when and where.
    #[serde(flatten)]
    pub event: NewEvent,
}

/// An event that is decided but not yet committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    /// When this side learned of it.
    pub at: Timestamp,
    /// The station it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station_id: Option<StationId>,
    /// The EVSE it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evse: Option<EvseNo>,
    /// The connector it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorNo>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Declares the kinds with their names, so that a name stands in exactly one place.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal
        { $($(#[$fdoc:meta])* $field:ident : $type:ty),* $(,)? }),+ $(,)?) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", content = "data")]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $name)] $variant {
                $($(#[$fdoc])* $field: $type),*
            }),+
        }

        impl EventKind {
            /// Every name.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The event's name, such as `station.status_changed`.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name),+ }
            }
        }
    };
}

kinds! {
    /// A station was entered.
    StationCreated = "station.created" {
        /// Its name.
        name: String,
    },
    /// What people may change about a station was changed.
    StationUpdated = "station.updated" {
        /// Its name.
        name: String,
        /// Where it stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<Location>,
    },
    /// A station was removed, with its EVSEs and connectors.
    StationDeleted = "station.deleted" {},
    /// A charger opened a connection for it.
    StationConnected = "station.connected" {
        /// The connection's epoch: one higher each time.
        epoch: i64,
        /// The protocol spoken, such as `ocpp1.6`.
        protocol: String,
    },
    /// Its charger's connection is gone.
    StationDisconnected = "station.disconnected" {
        /// Which connection.
        epoch: i64,
        /// Why, in a word or two.
        reason: String,
    },
    /// Its charger booted and said what it is.
    StationBooted = "station.booted" {
        /// What it is.
        hardware: Hardware,
    },
    /// Its derived status changed.
    StationStatusChanged = "station.status_changed" {
        /// Before.
        from: StationStatus,
        /// Now.
        to: StationStatus,
        /// Which part decided it.
        cause: Cause,
    },
    /// The charger, or a person, reported something of the station itself.
    StationReported = "station.reported" {
        /// The status reported.
        reported: ConnectorStatus,
        /// The charger's error code, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_code: Option<String>,
        /// The charger's own words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        info: Option<String>,
    },
    /// The operator's decision changed, at the level that the event names.
    AvailabilityChanged = "availability.changed" {
        /// The decision.
        availability: Availability,
    },
    /// What the station's charger must present was set.
    CredentialsChanged = "station.credentials_changed" {
        /// The OCPP security profile.
        security_profile: u8,
    },
    /// An EVSE was added.
    EvseCreated = "evse.created" {},
    /// An EVSE was removed.
    EvseDeleted = "evse.deleted" {},
    /// An EVSE's derived status changed.
    EvseStatusChanged = "evse.status_changed" {
        /// Before.
        from: Status,
        /// Now.
        to: Status,
        /// Which part decided it.
        cause: Cause,
    },
    /// A connector was added.
    ConnectorCreated = "connector.created" {},
    /// What people may change about a connector was changed.
    ConnectorUpdated = "connector.updated" {},
    /// A connector was removed.
    ConnectorDeleted = "connector.deleted" {},
    /// What is reported of a connector changed, and with it perhaps its derived status.
    ConnectorStatusChanged = "connector.status_changed" {
        /// The derived status before.
        from: Status,
        /// The derived status now.
        to: Status,
        /// As reported.
        reported: ConnectorStatus,
        /// The charger's error code, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_code: Option<String>,
        /// The charger's own words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        info: Option<String>,
    },
    /// A charging session began.
    SessionStarted = "session.started" {
        /// The session.
        session_id: SessionId,
        /// The charger's or our number for it.
        transaction_id: String,
    },
    /// Charging was refused.
    SessionRefused = "session.refused" {
        /// The record kept of it.
        session_id: SessionId,
        /// What the id tag was answered with.
        id_tag_status: IdTagStatus,
    },
    /// A charging session ended.
    SessionEnded = "session.ended" {
        /// The session.
        session_id: SessionId,
        /// What it became.
        state: SessionState,
        /// Energy delivered, where begin and end are known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        energy_wh: Option<WattHours>,
        /// Why it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<StopReason>,
        /// What keeps it from being billed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        problems: Vec<Problem>,
    },
    /// A command was taken on.
    CommandCreated = "command.created" {
        /// The command.
        command_id: CommandId,
        /// What it asks for.
        command: String,
    },
    /// A command ended.
    CommandEnded = "command.ended" {
        /// The command.
        command_id: CommandId,
        /// What it asked for.
        command: String,
        /// What became of it.
        outcome: Outcome,
    },
    /// The charger told how a firmware update goes.
    FirmwareStatus = "station.firmware_status" {
        /// As the charger spells it.
        status: String,
    },
    /// The charger told how an upload of diagnostics goes.
    DiagnosticsStatus = "station.diagnostics_status" {
        /// As the charger spells it.
        status: String,
    },
    /// The charger sent something of its maker's own.
    DataReceived = "station.data_received" {
        /// Whose vocabulary.
        vendor_id: String,
        /// Which message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        /// The content.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<String>,
    },
    /// An id tag was entered or changed.
    IdTagChanged = "id_tag.changed" {},
    /// An id tag was removed.
    IdTagDeleted = "id_tag.deleted" {},
    /// An access token was made.
    TokenCreated = "token.created" {
        /// Which.
        token_id: TokenId,
        /// What it may do.
        role: Role,
    },
    /// An access token was revoked.
    TokenRevoked = "token.revoked" {
        /// Which.
        token_id: TokenId,
    },
    /// Something was written into the journal.
    JournalEntryCreated = "journal.entry_created" {
        /// Which entry.
        entry_id: EntryId,
    },
    /// An entry of the journal was changed.
    JournalEntryUpdated = "journal.entry_updated" {
        /// Which.
        entry_id: EntryId,
    },
    /// An entry of the journal was removed, with what was read out of it.
    JournalEntryDeleted = "journal.entry_deleted" {
        /// Which.
        entry_id: EntryId,
    },
    /// An entry of the journal was analysed.
    JournalEntryAnalyzed = "journal.entry_analyzed" {
        /// Which.
        entry_id: EntryId,
        /// How it went.
        sentiment: Sentiment,
        /// Who read it: the model's name, or `embedded`.
        model: String,
    },
    /// The whole journal was removed.
    JournalCleared = "journal.cleared" {},
    /// A load drill began.
    DrillStarted = "drill.started" {
        /// Which.
        drill_id: DrillId,
        /// The name of the node that is loaded.
        node: String,
        /// With what.
        load: DrillLoad,
    },
    /// A load drill ended. One whose process was killed has no such event.
    DrillEnded = "drill.ended" {
        /// Which.
        drill_id: DrillId,
        /// The name of the node that was loaded.
        node: String,
        /// How.
        outcome: DrillEnd,
    },
}
