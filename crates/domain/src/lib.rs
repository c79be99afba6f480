//! Facts and rules of a charging network.
//!
//! This crate knows what a [`Station`] is made of, how the status of each level follows from the
//! level below, what a charging [`Session`] may become, and what a [`Command`] may end in. Every
//! rule is a plain function: the present state and a fact go in, the new state and the [`Event`]s
//! that tell of the change come out.
//!
//! It does not know sockets, databases, the OCPP wire format, HTTP, threads or the time of day:
//! `now` is always an argument. That is what makes the rules testable over random histories.
//!
//! Start with [`station`], then [`status`] for the derivation table, then [`session`].

pub mod command;
pub mod drill;
pub mod event;
pub mod id;
pub mod journal;
pub mod session;
pub mod station;
pub mod status;
pub mod token;
pub mod units;

pub use command::{Command, CommandRecord, Outcome};
pub use drill::{DrillEnd, DrillLoad};
pub use event::{Event, EventKind, NewEvent};
pub use id::{
    AnalysisId, CommandId, ConnectorKey, ConnectorNo, DrillId, EntryId, EvseNo, InvalidId, NodeId,
    SessionId, StationId, TokenId,
};
pub use journal::{Analysis, Entry, EntryPatch, EntryText, Sentiment};
pub use session::{Session, SessionState};
pub use station::{Connector, Decided, Evse, Hold, Station};
pub use status::{Availability, Cause, ConnectorStatus, Counts, StationStatus, Status};
pub use token::{IdTag, IdTagStatus, IdTagUid, Role};
pub use units::{WattHours, Watts};
