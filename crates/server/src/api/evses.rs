//! EVSEs: the charging points of a station.

use axum::extract::State;
use domain::station::{EvseSpec, Place};
use domain::{Availability, Evse, EvseNo, Station, StationId, Status};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Operator, Viewer};
use super::connectors::ConnectorBody;
use super::extract::{Body, IfMatch, Path, Post, Tagged, number, segment};
use super::problem::Problem;
use super::schema;
use super::stations::{AvailabilityBody, CauseBody, NewEvseBody};
use crate::app::App;

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
        .routes(routes!(set_availability))
}

/// An EVSE with its connectors.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Evse)]
pub struct EvseBody {
    /// Its number within the station.
    evse: u16,
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
    /// Its connectors.
    connectors: Vec<ConnectorBody>,
}

impl EvseBody {
    /// Shows an EVSE of a station.
    pub fn new(station: &Station, evse: &Evse) -> Self {
        let connectors = evse.connectors.iter();
        Self {
            evse: evse.number.get(),
            status: evse.status,
            status_since: evse.status_since,
            status_cause: evse.status_cause.into(),
            online: station.online,
            availability: evse.operator,
            connectors: connectors
                .map(|c| ConnectorBody::new(station, evse.number, c))
                .collect(),
        }
    }
}

fn show(station: &Station, number: EvseNo) -> Result<Tagged<EvseBody>, Problem> {
    let evse = station
        .evse(number)
        .ok_or_else(|| Problem::not_found("EVSE"))?;
    Ok(Tagged::ok(station.version, EvseBody::new(station, evse)))
}

fn place((id, evse): &(String, String)) -> Result<(StationId, EvseNo), Problem> {
    Ok((segment(id, "Station")?, number(evse, "EVSE")?))
}

/// The EVSEs of a station.
#[derive(Debug, Serialize, ToSchema)]
pub struct Evses {
    /// All of them, by number.
    evses: Vec<EvseBody>,
}

/// List the EVSEs of a station.
#[utoipa::path(get, path = "/stations/{id}/evses", tag = "EVSEs",
    params(("id" = String, Path, description = "The station's identity.", max_length = 48)),
    responses((status = 200, description = "Its EVSEs.", body = Evses)))]
async fn list(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<axum::Json<Evses>, Problem> {
    let station = app.station(&segment(&id, "Station")?).await?;
    let station = station.ok_or_else(|| Problem::not_found("Station"))?;
    let evses = station
        .evses
        .iter()
        .map(|evse| EvseBody::new(&station, evse))
        .collect();
    Ok(axum::Json(Evses { evses }))
}

/// Add an EVSE to a station.
#[utoipa::path(post, path = "/stations/{id}/evses", tag = "EVSEs", request_body = NewEvseBody,
    params(("id" = String, Path, description = "The station's identity.", max_length = 48)),
    responses((status = 201, description = "The EVSE.", body = EvseBody,
        headers(("Location", description = "Where it is."), ("ETag", description = "Its version.")))))]
async fn create(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    post: Post<NewEvseBody>,
) -> Result<Tagged<EvseBody>, Problem> {
    let id = segment(&id, "Station")?;
    let once = post.once(caller.token_id);
    let spec = EvseSpec::from(post.body);
    let (station, number) = app.add_evse(&id, spec, once).await?;
    let body = show(&station, number)?.body;
    let location = format!("/api/v1/stations/{id}/evses/{number}");
    Ok(Tagged::created(station.version, location, body))
}

/// Read an EVSE.
#[utoipa::path(get, path = "/stations/{id}/evses/{evse}", tag = "EVSEs",
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128)),
    responses((status = 200, description = "The EVSE.", body = EvseBody,
        headers(("ETag", description = "Its version.")))))]
async fn get(
    _: Viewer,
    State(app): State<App>,
    Path(path): Path<(String, String)>,
) -> Result<Tagged<EvseBody>, Problem> {
    let (id, number) = place(&path)?;
    let station = app
        .station(&id)
        .await?
        .ok_or_else(|| Problem::not_found("Station"))?;
    show(&station, number)
}

/// Remove an EVSE with its connectors.
#[utoipa::path(delete, path = "/stations/{id}/evses/{evse}", tag = "EVSEs",
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128)),
    responses((status = 204, description = "Removed.")))]
async fn delete(
    _: Operator,
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    IfMatch(if_match): IfMatch,
) -> Result<StatusCode, Problem> {
    let (id, number) = place(&path)?;
    app.remove_evse(&id, number, if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take an EVSE in or out of use.
#[utoipa::path(put, path = "/stations/{id}/evses/{evse}/availability", tag = "EVSEs",
    request_body = AvailabilityBody,
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        ("evse" = u16, Path, description = "The EVSE's number.", minimum = 1, maximum = 128)),
    responses((status = 200, description = "The EVSE.", body = EvseBody,
        headers(("ETag", description = "Its version.")))))]
async fn set_availability(
    _: Operator,
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<AvailabilityBody>,
) -> Result<Tagged<EvseBody>, Problem> {
    let (id, number) = place(&path)?;
    let place = Place::Evse(number);
    let station = app
        .set_availability(&id, place, body.availability, if_match)
        .await?;
    show(&station, number)
}
