//! How the domain's closed sets look in the description of the API.

use domain::command::{ResetType, Trigger};
use domain::session::{Problem, SessionState};
use domain::station::Reporting;
use domain::status::{Level, Reason};
use domain::token::{IdTagStatus, Role};
use domain::{Availability, ConnectorStatus, Sentiment, StationStatus, Status};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// A text that is one of these words.
macro_rules! words {
    ($($(#[$doc:meta])* $function:ident = $type:ty),+ $(,)?) => {$(
        $(#[$doc])*
        pub fn $function() -> Object {
            let words = <$type>::ALL.iter().map(|value| value.as_str());
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
        }
    )+};
}

words! {
    /// The operator's decision.
    availability = Availability,
    /// What is reported of a connector.
    connector_status = ConnectorStatus,
    /// The class of a status.
    status = Status,
    /// The status of a station.
    station_status = StationStatus,
    /// The level that decided.
    level = Level,
    /// Why it did.
    reason = Reason,
    /// Who speaks for a station.
    reporting = Reporting,
    /// Where a session stands.
    session_state = SessionState,
    /// What keeps it from being billed.
    problem = Problem,
    /// May the holder charge?
    id_tag_status = IdTagStatus,
    /// What the holder may do.
    role = Role,
    /// How a charger restarts.
    reset_type = ResetType,
    /// How it went.
    sentiment = Sentiment,
    /// What a charger can be asked to send.
    trigger = Trigger,
}
