//! Connectors: the cables and sockets of an EVSE.

use axum::extract::State;
use domain::station::{ConnectorSpec, Place, Report};
use domain::{
    Availability, Connector, ConnectorNo, ConnectorStatus, EvseNo, Station, StationId, Status,
    Watts,
};
use garde::Validate;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Operator, Viewer};
use super::extract::{Body, IfMatch, Path, Post, Tagged, is_plain, number, segment};
use super::problem::Problem;
use super::schema;
use super::stations::{
    AvailabilityBody, CauseBody, MAX_POWER, MAX_TYPE, NewConnectorBody, StatusBody, given,
};
use crate::app::{App, ConnectorPatch};

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(set_availability))
        .routes(routes!(set_status))
}

/// A connector.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connector)]
pub struct ConnectorBody {
    /// Its EVSE's number.
    evse: u16,
    /// Its number within the EVSE.
    connector: u16,
    /// Derived status.
    #[schema(schema_with = schema::status)]
    status: Status,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    status_since: Timestamp,
    /// Which part decided it.
    status_cause: CauseBody,
    /// Whether the station can be reached: if not, the status is the last known.
    online: bool,
    /// The operator's decision about it.
    #[schema(schema_with = schema::availability)]
    availability: Availability,
    /// What was last reported of it.
    reported: ReportBody,
    /// Its kind, as OCPP 2.x names them.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The most it can deliver, in watts.
    max_power_w: Option<i64>,
}

/// What was reported.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Report)]
pub struct ReportBody {
    /// The status.
    #[schema(schema_with = schema::connector_status)]
    status: ConnectorStatus,
    /// Since when it is so, by arrival.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The charger's error code.
    error_code: Option<String>,
    /// The charger's own words.
    info: Option<String>,
    /// The maker's error code.
    vendor_error_code: Option<String>,
}

impl From<Report> for ReportBody {
    fn from(report: Report) -> Self {
        let Report {
            status,
            since,
            error_code,
            info,
            vendor_error_code,
        } = report;
        Self {
            status,
            since,
            error_code,
            info,
            vendor_error_code,
        }
    }
}

impl ConnectorBody {
    /// Shows a connector of a station.
    pub fn new(station: &Station, evse: EvseNo, connector: &Connector) -> Self {
        Self {
            evse: evse.get(),
            connector: connector.number.get(),
            status: connector.status,
            status_since: connector.status_since,
            status_cause: connector.status_cause.into(),
            online: station.online,
            availability: connector.operator,
            reported: connector.reported.clone().into(),
            kind: connector.kind.clone(),
            max_power_w: connector.max_power.map(|power| power.0),
        }
    }
}

type At = (StationId, EvseNo, ConnectorNo);

fn show(station: &Station, at: &At) -> Result<Tagged<ConnectorBody>, Problem> {
    let missing = if station.evse(at.1).is_some() {
        "Connector"
    } else {
        "EVSE"
    };
    let connector = station
        .connector(at.1, at.2)
        .ok_or_else(|| Problem::not_found(missing))?;
    Ok(Tagged::ok(
        station.version,
        ConnectorBody::new(station, at.1, connector),
    ))
}

fn place((id, evse, connector): &(String, String, String)) -> Result<At, Problem> {
    Ok((
        segment(id, "Station")?,
        number(evse, "EVSE")?,
        number(connector, "Connector")?,
    ))
}

/// The connectors of an EVSE.
#[derive(Debug, Serialize, ToSchema)]
pub struct Connectors {
    /// All of them, by number.
    connectors: Vec<ConnectorBody>,
}

/// List the connectors of an EVSE.
#[utoipa::path(get, path = "/stations/{id}/evses/{evse}/connectors", tag = "Connectors",
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128)),
    responses((status = 200, description = "Its connectors.", body = Connectors)))]
async fn list(
    _: Viewer,
    State(app): State<App>,
    Path((id, evse)): Path<(String, String)>,
) -> Result<axum::Json<Connectors>, Problem> {
    let (id, evse): (_, EvseNo) = (segment(&id, "Station")?, number(&evse, "EVSE")?);
    let station = app
        .station(&id)
        .await?
        .ok_or_else(|| Problem::not_found("Station"))?;
    let evse = station
        .evse(evse)
        .ok_or_else(|| Problem::not_found("EVSE"))?;
    let connectors = evse.connectors.iter();
    let connectors = connectors
        .map(|c| ConnectorBody::new(&station, evse.number, c))
        .collect();
    Ok(axum::Json(Connectors { connectors }))
}

/// Add a connector to an EVSE.
#[utoipa::path(post, path = "/stations/{id}/evses/{evse}/connectors", tag = "Connectors",
    request_body = NewConnectorBody,
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128)),
    responses((status = 201, description = "The connector.", body = ConnectorBody,
        headers(("Location", description = "Where it is."), ("ETag", description = "Its version.")))))]
async fn create(
    Operator(caller): Operator,
    State(app): State<App>,
    Path((id, evse)): Path<(String, String)>,
    post: Post<NewConnectorBody>,
) -> Result<Tagged<ConnectorBody>, Problem> {
    let (id, evse) = (segment(&id, "Station")?, number(&evse, "EVSE")?);
    let once = post.once(caller.token_id);
    let spec = ConnectorSpec::from(post.body);
    let (station, connector) = app.add_connector(&id, evse, spec, once).await?;
    let location = format!("/api/v1/stations/{id}/evses/{evse}/connectors/{connector}");
    let body = show(&station, &(id, evse, connector))?.body;
    Ok(Tagged::created(station.version, location, body))
}

/// Read a connector.
#[utoipa::path(get, path = "/stations/{id}/evses/{evse}/connectors/{connector}",
    tag = "Connectors",
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128),
        ("connector" = u16, Path, description = "The connector's number.", minimum = 1, maximum = 16)),
    responses((status = 200, description = "The connector.", body = ConnectorBody,
        headers(("ETag", description = "Its version.")))))]
async fn get(
    _: Viewer,
    State(app): State<App>,
    Path(path): Path<(String, String, String)>,
) -> Result<Tagged<ConnectorBody>, Problem> {
    let at = place(&path)?;
    let station = app
        .station(&at.0)
        .await?
        .ok_or_else(|| Problem::not_found("Station"))?;
    show(&station, &at)
}

/// What is to change about a connector; null removes it.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectorPatchBody {
    /// Its kind, as OCPP 2.x names them.
    #[garde(inner(inner(length(chars, min = 1, max = MAX_TYPE))), custom(is_plain_patch))]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 20, pattern = "plain")]
    #[serde(default, deserialize_with = "given")]
    r#type: Option<Option<String>>,
    /// The most it can deliver, in watts.
    #[garde(inner(inner(range(min = 1, max = MAX_POWER))))]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 10_000_000)]
    #[serde(default, deserialize_with = "given")]
    max_power_w: Option<Option<i64>>,
}

fn is_plain_patch(text: &Option<Option<String>>, context: &()) -> garde::Result {
    text.as_ref()
        .and_then(Option::as_deref)
        .map_or(Ok(()), |text| is_plain(text, context))
}

/// Change a connector.
#[utoipa::path(patch, path = "/stations/{id}/evses/{evse}/connectors/{connector}",
    tag = "Connectors", request_body = ConnectorPatchBody,
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128),
        ("connector" = u16, Path, description = "The connector's number.", minimum = 1, maximum = 16)),
    responses((status = 200, description = "The connector.", body = ConnectorBody,
        headers(("ETag", description = "Its version.")))))]
async fn update(
    _: Operator,
    State(app): State<App>,
    Path(path): Path<(String, String, String)>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<ConnectorPatchBody>,
) -> Result<Tagged<ConnectorBody>, Problem> {
    let at = place(&path)?;
    let max_power = body.max_power_w.map(|power| power.map(Watts));
    let changes = ConnectorPatch {
        kind: body.r#type,
        max_power,
    };
    let station = app
        .update_connector(&at.0, at.1, at.2, changes, if_match)
        .await?;
    show(&station, &at)
}

/// Remove a connector.
#[utoipa::path(delete, path = "/stations/{id}/evses/{evse}/connectors/{connector}",
    tag = "Connectors",
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128),
        ("connector" = u16, Path, description = "The connector's number.", minimum = 1, maximum = 16)),
    responses((status = 204, description = "Removed.")))]
async fn delete(
    _: Operator,
    State(app): State<App>,
    Path(path): Path<(String, String, String)>,
    IfMatch(if_match): IfMatch,
) -> Result<StatusCode, Problem> {
    let at = place(&path)?;
    app.remove_connector(&at.0, at.1, at.2, if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a connector in or out of use.
#[utoipa::path(put, path = "/stations/{id}/evses/{evse}/connectors/{connector}/availability",
    tag = "Connectors", request_body = AvailabilityBody,
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128),
        ("connector" = u16, Path, description = "The connector's number.", minimum = 1, maximum = 16)),
    responses((status = 200, description = "The connector.", body = ConnectorBody,
        headers(("ETag", description = "Its version.")))))]
async fn set_availability(
    _: Operator,
    State(app): State<App>,
    Path(path): Path<(String, String, String)>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<AvailabilityBody>,
) -> Result<Tagged<ConnectorBody>, Problem> {
    let at = place(&path)?;
    let place = Place::Connector(at.1, at.2);
    let station = app
        .set_availability(&at.0, place, body.availability, if_match)
        .await?;
    show(&station, &at)
}

/// Report the status of a connector that no charger speaks for.
#[utoipa::path(put, path = "/stations/{id}/evses/{evse}/connectors/{connector}/status",
    tag = "Connectors", request_body = StatusBody,
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128),
        ("connector" = u16, Path, description = "The connector's number.", minimum = 1, maximum = 16)),
    responses((status = 200, description = "The connector.", body = ConnectorBody,
        headers(("ETag", description = "Its version.")))))]
async fn set_status(
    _: Operator,
    State(app): State<App>,
    Path(path): Path<(String, String, String)>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<StatusBody>,
) -> Result<Tagged<ConnectorBody>, Problem> {
    let at = place(&path)?;
    let report = body.report(app.clock.now());
    let place = Place::Connector(at.1, at.2);
    let station = app.report_by_hand(&at.0, place, report, if_match).await?;
    show(&station, &at)
}
