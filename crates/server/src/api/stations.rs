//! Stations.

use axum::extract::State;
use domain::station::{ConnectorSpec, EvseSpec, Location, Place, Report};
use domain::status::{Level, Reason};
use domain::{
    Availability, Cause, ConnectorStatus, Counts, Station, StationId, StationStatus, Watts,
};
use garde::Validate;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Operator, Viewer};
use super::connectors::ReportBody;
use super::evses::EvseBody;
use super::extract::{
    Body, IfMatch, Key as _, Params, Path, Post, Tagged, cursor, cut, is_plain, is_plain_if_any,
    limit, segment,
};
use super::problem::{Fault, Problem};
use super::schema;
use crate::app::{App, MAX_PAGE, NewStation, StationFilter, StationPatch};

/// Longest name and address.
const MAX_NAME: usize = 128;
const MAX_ADDRESS: usize = 256;
/// Strongest connector: a megawatt charger for lorries, with room.
pub(super) const MAX_POWER: i64 = 10_000_000;
/// Longest connector type; OCPP 2.x names have up to 20 characters.
pub(super) const MAX_TYPE: usize = 20;

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(set_availability))
        .routes(routes!(set_status))
}

/// A station with its EVSEs and connectors.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Station)]
pub struct StationBody {
    /// Network identity: what its charger puts behind `/ocpp/`.
    #[schema(value_type = String, example = "plaza-mayor")]
    id: StationId,
    /// What people call it.
    #[schema(example = "Plaza Mayor")]
    name: String,
    /// Where it stands.
    location: Option<LocationBody>,
    /// Who speaks for its state: people, or its charger since one first connected.
    #[schema(schema_with = schema::reporting)]
    reporting: &'static str,
    /// Derived status.
    #[schema(schema_with = schema::station_status)]
    status: StationStatus,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    status_since: Timestamp,
    /// Which part decided it.
    status_cause: CauseBody,
    /// How many connectors have each derived status.
    counts: CountsBody,
    /// Usable, though a connector is faulted or unavailable.
    degraded: bool,
    /// Whether its charger has a live connection.
    online: bool,
    /// The protocol of its latest connection.
    #[schema(example = "ocpp1.6")]
    protocol: Option<String>,
    /// When its charger was last heard.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen: Option<Timestamp>,
    /// The operator's decision about the whole station.
    #[schema(schema_with = schema::availability)]
    availability: Availability,
    /// What is reported of the station itself.
    reported: Option<ReportBody>,
    /// Maker, as the charger says.
    vendor: Option<String>,
    /// Model, as the charger says.
    model: Option<String>,
    /// Serial number, as the charger says.
    serial_number: Option<String>,
    /// Firmware version, as the charger says.
    firmware_version: Option<String>,
    /// The OCPP security profile its credentials belong to.
    security_profile: Option<u8>,
    /// Its EVSEs.
    evses: Vec<EvseBody>,
    /// When it was entered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last changed in any way.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// Where a station stands.
#[derive(Clone, Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Location)]
pub struct LocationBody {
    /// Degrees north.
    #[garde(range(min = -90.0, max = 90.0))]
    #[schema(minimum = -90, maximum = 90, example = 39.4699)]
    latitude: f64,
    /// Degrees east.
    #[garde(range(min = -180.0, max = 180.0))]
    #[schema(minimum = -180, maximum = 180, example = -0.3763)]
    longitude: f64,
    /// In words.
    #[garde(inner(length(chars, max = MAX_ADDRESS)), custom(is_plain_if_any))]
    #[schema(max_length = 256, pattern = "plain")]
    #[serde(default)]
    address: Option<String>,
}

/// Which part decided a status, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cause)]
pub struct CauseBody {
    /// The level that decided.
    #[schema(schema_with = schema::level)]
    level: Level,
    /// The EVSE, where one did.
    evse: Option<u16>,
    /// The connector, where one did.
    connector: Option<u16>,
    /// Why.
    #[schema(schema_with = schema::reason)]
    reason: Reason,
}

/// How many connectors have each derived status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
pub struct CountsBody {
    available: u32,
    occupied: u32,
    reserved: u32,
    unavailable: u32,
    faulted: u32,
    unknown: u32,
}

impl From<Cause> for CauseBody {
    fn from(cause: Cause) -> Self {
        Self {
            level: cause.level,
            evse: cause.evse.map(domain::EvseNo::get),
            connector: cause.connector.map(domain::ConnectorNo::get),
            reason: cause.reason,
        }
    }
}

impl From<Counts> for CountsBody {
    fn from(counts: Counts) -> Self {
        let Counts {
            available,
            occupied,
            reserved,
            unavailable,
            faulted,
            unknown,
        } = counts;
        Self {
            available,
            occupied,
            reserved,
            unavailable,
            faulted,
            unknown,
        }
    }
}

impl From<Location> for LocationBody {
    fn from(location: Location) -> Self {
        let Location {
            latitude,
            longitude,
            address,
        } = location;
        Self {
            latitude,
            longitude,
            address,
        }
    }
}

impl From<LocationBody> for Location {
    fn from(body: LocationBody) -> Self {
        let LocationBody {
            latitude,
            longitude,
            address,
        } = body;
        Self {
            latitude,
            longitude,
            address,
        }
    }
}

impl StationBody {
    /// Shows a station as this node knows it.
    pub fn new(app: &App, station: &Station) -> Self {
        Self {
            id: station.id.clone(),
            name: station.name.clone(),
            location: station.location.clone().map(Into::into),
            reporting: station.reporting.as_str(),
            status: station.status,
            status_since: station.status_since,
            status_cause: station.status_cause.into(),
            counts: station.counts().into(),
            degraded: station.degraded(),
            online: station.online,
            protocol: station.protocol.clone(),
            last_seen: app.last_seen(station),
            availability: station.operator,
            reported: station.reported.clone().map(Into::into),
            vendor: station.hardware.vendor.clone(),
            model: station.hardware.model.clone(),
            serial_number: station.hardware.serial_number.clone(),
            firmware_version: station.hardware.firmware_version.clone(),
            security_profile: station.security_profile,
            evses: station
                .evses
                .iter()
                .map(|evse| EvseBody::new(station, evse))
                .collect(),
            created_at: station.created_at,
            updated_at: station.updated_at,
        }
    }
}

/// Shows a station as the answer to a request.
fn show(app: &App, station: &Station) -> Tagged<StationBody> {
    Tagged::ok(station.version, StationBody::new(app, station))
}

/// A page of stations.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stations {
    /// The stations, by id.
    stations: Vec<StationBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Which stations.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StationQuery {
    /// Only those with this derived status.
    #[garde(skip)]
    #[param(schema_with = schema::station_status)]
    status: Option<StationStatus>,
    /// Only those with this text in their id, name or address.
    #[garde(inner(length(chars, max = MAX_NAME)), custom(is_plain_if_any))]
    #[param(max_length = 128, pattern = "plain", nullable = false)]
    q: Option<String>,
    /// How many at most.
    #[garde(inner(range(min = 1, max = MAX_PAGE)))]
    #[param(minimum = 1, maximum = 500, default = 50, nullable = false)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[garde(inner(length(max = 64)))]
    #[param(schema_with = StationId::schema)]
    cursor: Option<String>,
}

/// List stations.
#[utoipa::path(get, path = "/stations", tag = "Stations", params(StationQuery),
    responses((status = 200, description = "A page of stations.", body = Stations)))]
async fn list(
    _: Viewer,
    State(app): State<App>,
    Params(query): Params<StationQuery>,
) -> Result<axum::Json<Stations>, Problem> {
    let limit = limit(query.limit);
    let after = cursor(query.cursor.as_deref())?;
    let filter = StationFilter {
        status: query.status,
        search: query.q,
        after,
    };
    let (stations, next_cursor) = cut(app.stations(&filter, limit + 1).await?, limit, |station| {
        station.id.to_string()
    });
    let stations = stations
        .iter()
        .map(|station| StationBody::new(&app, station))
        .collect();
    Ok(axum::Json(Stations {
        stations,
        next_cursor,
    }))
}

/// A station to enter. A name is enough: it gets one EVSE with one connector.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStationBody {
    /// Network identity; without one, made from the name.
    #[garde(inner(length(min = 1, max = 48)), custom(is_station_id))]
    #[schema(
        min_length = 1,
        max_length = 48,
        pattern = r"^[A-Za-z0-9*_=+|@.\-]*[A-Za-z0-9*_=+|@\-][A-Za-z0-9*_=+|@.\-]*$"
    )]
    #[serde(default)]
    id: Option<String>,
    /// What people call it.
    #[garde(length(chars, min = 1, max = MAX_NAME), custom(is_plain))]
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = "plain",
        example = "Plaza Mayor"
    )]
    name: String,
    /// Where it stands.
    #[garde(dive)]
    #[serde(default)]
    location: Option<LocationBody>,
    /// Its EVSEs; without them, one with one connector.
    #[garde(length(max = 128), dive)]
    #[schema(max_items = 128)]
    #[serde(default)]
    evses: Vec<NewEvseBody>,
}

/// An EVSE to add. Without a number it gets the lowest free one.
#[derive(Clone, Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvseBody {
    /// Its connectors; without them, one.
    #[garde(length(max = 16), dive)]
    #[schema(max_items = 16)]
    #[serde(default)]
    connectors: Vec<NewConnectorBody>,
}

/// A connector to add. Without a number it gets the lowest free one.
#[derive(Clone, Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConnectorBody {
    /// Its kind, as OCPP 2.x names them.
    #[garde(inner(length(chars, min = 1, max = MAX_TYPE)), custom(is_plain_if_any))]
    #[schema(min_length = 1, max_length = 20, pattern = "plain", example = "cCCS2")]
    #[serde(default)]
    r#type: Option<String>,
    /// The most it can deliver, in watts.
    #[garde(inner(range(min = 1, max = MAX_POWER)))]
    #[schema(minimum = 1, maximum = 10_000_000, example = 22_000)]
    #[serde(default)]
    max_power_w: Option<i64>,
}

impl From<NewEvseBody> for EvseSpec {
    fn from(body: NewEvseBody) -> Self {
        if body.connectors.is_empty() {
            return Self::simple();
        }
        Self {
            number: None,
            connectors: body.connectors.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<NewConnectorBody> for ConnectorSpec {
    fn from(body: NewConnectorBody) -> Self {
        Self {
            number: None,
            kind: body.r#type,
            max_power: body.max_power_w.map(Watts),
        }
    }
}

fn is_station_id(id: &Option<String>, _: &()) -> garde::Result {
    let checked = id
        .as_deref()
        .map_or(Ok(()), |id| StationId::new(id).map(drop));
    checked.map_err(|error| garde::Error::new(error.to_string()))
}

/// Enter a station.
#[utoipa::path(post, path = "/stations", tag = "Stations", request_body = NewStationBody,
    responses((status = 201, description = "The station.", body = StationBody,
        headers(("Location", description = "Where it is."), ("ETag", description = "Its version.")))))]
async fn create(
    Operator(caller): Operator,
    State(app): State<App>,
    post: Post<NewStationBody>,
) -> Result<Tagged<StationBody>, Problem> {
    let once = post.once(caller.token_id);
    let body = post.body;
    let id = body.id.map(|id| StationId::new(&id));
    let id = id
        .transpose()
        .map_err(|error| Problem::fault("/id", error.to_string()))?;
    let evses = match body.evses {
        evses if evses.is_empty() => vec![EvseSpec::simple()],
        evses => evses.into_iter().map(Into::into).collect(),
    };
    let location = body.location.map(Into::into);
    let new = NewStation {
        id,
        name: body.name,
        location,
        evses,
    };
    let station = app.create_station(new, once).await?;
    let location = format!("/api/v1/stations/{}", station.id);
    Ok(Tagged::created(
        station.version,
        location,
        StationBody::new(&app, &station),
    ))
}

/// Read a station.
#[utoipa::path(get, path = "/stations/{id}", tag = "Stations",
    params(("id" = String, Path, description = "Network identity.", max_length = 48)),
    responses((status = 200, description = "The station.", body = StationBody,
        headers(("ETag", description = "Its version.")))))]
async fn get(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Tagged<StationBody>, Problem> {
    let station = app.station(&segment(&id, "Station")?).await?;
    let station = station.ok_or_else(|| Problem::not_found("Station"))?;
    Ok(show(&app, &station))
}

/// What is to change about a station.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StationPatchBody {
    /// Its name.
    #[garde(inner(length(chars, min = 1, max = MAX_NAME)), custom(is_plain_if_any))]
    #[schema(min_length = 1, max_length = 128, pattern = "plain", nullable = false)]
    #[serde(default, deserialize_with = "given")]
    name: Option<String>,
    /// Where it stands; null removes it.
    #[garde(skip)]
    #[schema(value_type = Option<LocationBody>)]
    #[serde(default, deserialize_with = "given")]
    location: Option<Option<LocationBody>>,
}

/// A field that was given, be it null. What may not be null says so here.
pub(super) fn given<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Change a station.
#[utoipa::path(patch, path = "/stations/{id}", tag = "Stations", request_body = StationPatchBody,
    params(("id" = String, Path, description = "Network identity.", max_length = 48)),
    responses((status = 200, description = "The station.", body = StationBody,
        headers(("ETag", description = "Its version.")))))]
async fn update(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<StationPatchBody>,
) -> Result<Tagged<StationBody>, Problem> {
    if let Some(Some(location)) = &body.location
        && let Err(report) = location.validate()
    {
        let fault = |(path, error): &(garde::Path, garde::Error)| Fault {
            pointer: format!("/location/{path}"),
            detail: error.message().to_owned(),
        };
        return Err(Problem::invalid(report.iter().map(fault).collect()));
    }
    let location = body.location.map(|location| location.map(Into::into));
    let patch = StationPatch {
        name: body.name,
        location,
    };
    let station = app
        .update_station(&segment(&id, "Station")?, patch, if_match)
        .await?;
    Ok(show(&app, &station))
}

/// Remove a station with its EVSEs and connectors. Its history and sessions stay.
#[utoipa::path(delete, path = "/stations/{id}", tag = "Stations",
    params(("id" = String, Path, description = "Network identity.", max_length = 48)),
    responses((status = 204, description = "Removed.")))]
async fn delete(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    IfMatch(if_match): IfMatch,
) -> Result<StatusCode, Problem> {
    app.delete_station(&segment(&id, "Station")?, if_match)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The operator's decision.
#[derive(Clone, Copy, Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AvailabilityBody {
    /// In or out of use.
    #[garde(skip)]
    #[schema(schema_with = schema::availability)]
    pub(super) availability: Availability,
}

/// Take a station in or out of use.
#[utoipa::path(put, path = "/stations/{id}/availability", tag = "Stations",
    request_body = AvailabilityBody,
    params(("id" = String, Path, description = "Network identity.", max_length = 48)),
    responses((status = 200, description = "The station.", body = StationBody,
        headers(("ETag", description = "Its version.")))))]
async fn set_availability(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<AvailabilityBody>,
) -> Result<Tagged<StationBody>, Problem> {
    let id = segment(&id, "Station")?;
    let station = app
        .set_availability(&id, Place::Station, body.availability, if_match)
        .await?;
    Ok(show(&app, &station))
}

/// A status that a person reports.
#[derive(Clone, Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusBody {
    /// The status.
    #[garde(skip)]
    #[schema(schema_with = schema::connector_status)]
    status: ConnectorStatus,
    /// An error code, in OCPP's words.
    #[garde(inner(length(chars, min = 1, max = 50)), custom(is_plain_if_any))]
    #[schema(
        min_length = 1,
        max_length = 50,
        pattern = "plain",
        example = "GroundFailure"
    )]
    #[serde(default)]
    error_code: Option<String>,
    /// In words.
    #[garde(inner(length(chars, min = 1, max = 256)), custom(is_plain_if_any))]
    #[schema(min_length = 1, max_length = 256, pattern = "plain")]
    #[serde(default)]
    info: Option<String>,
}

impl StatusBody {
    /// The report it makes, now.
    pub(super) fn report(self, now: Timestamp) -> Report {
        let Self {
            status,
            error_code,
            info,
        } = self;
        Report {
            status,
            since: now,
            error_code,
            info,
            vendor_error_code: None,
        }
    }
}

/// Report the status of all connectors of a station that no charger speaks for.
#[utoipa::path(put, path = "/stations/{id}/status", tag = "Stations", request_body = StatusBody,
    params(("id" = String, Path, description = "Network identity.", max_length = 48)),
    responses((status = 200, description = "The station.", body = StationBody,
        headers(("ETag", description = "Its version.")))))]
async fn set_status(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<StatusBody>,
) -> Result<Tagged<StationBody>, Problem> {
    let id = segment(&id, "Station")?;
    let report = body.report(app.clock.now());
    let station = app
        .report_by_hand(&id, Place::Station, report, if_match)
        .await?;
    Ok(show(&app, &station))
}
