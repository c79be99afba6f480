//! Charging sessions.

use axum::extract::State;
use domain::session::{Problem as BillingProblem, StopReason};
use domain::{Session, SessionId, SessionState, StationId};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Viewer;
use super::extract::{Key as _, Params, Path, cursor, cut, limit, segment};
use super::problem::Problem;
use super::schema;
use crate::app::{App, MAX_PAGE, SessionFilter, StoredReading};

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
}

/// A charging session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    /// Its id.
    id: Uuid,
    /// The station.
    #[schema(value_type = String)]
    station_id: StationId,
    /// The EVSE, when the charger named one it can have.
    evse: Option<u16>,
    /// The connector, likewise.
    connector: Option<u16>,
    /// The id the charger knows it by.
    transaction_id: String,
    /// The tag it was started with.
    id_tag: Option<String>,
    /// Where it stands.
    #[schema(schema_with = schema::session_state)]
    state: SessionState,
    /// When it began, by the charger's clock.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it ended, by the charger's clock.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// The energy register at the begin, in watt-hours.
    meter_start_wh: Option<i64>,
    /// The energy register at the end, in watt-hours.
    meter_stop_wh: Option<i64>,
    /// Energy delivered so far, in watt-hours.
    energy_wh: Option<i64>,
    /// Power when last metered, in watts; none once it has ended.
    power_w: Option<i64>,
    /// Why it ended.
    #[schema(value_type = Option<String>)]
    stop_reason: Option<StopReason>,
    /// Whether it can be billed.
    billing_ready: bool,
    /// If not, why not.
    #[schema(schema_with = billing_problems)]
    billing_problems: Vec<BillingProblem>,
    /// When this server learned of it.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

fn billing_problems() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new()
        .items(schema::problem())
        .build()
}

impl From<&Session> for SessionBody {
    fn from(session: &Session) -> Self {
        let active = session.state == SessionState::Active;
        let last = session.last_reading.filter(|_| active);
        Self {
            id: session.id.0,
            station_id: session.station_id.clone(),
            evse: session.evse.map(domain::EvseNo::get),
            connector: session.connector.map(domain::ConnectorNo::get),
            transaction_id: session.transaction_id.clone(),
            id_tag: session.id_tag.clone(),
            state: session.state,
            started_at: session.started_at,
            ended_at: session.ended_at,
            meter_start_wh: session.meter_start.map(|meter| meter.0),
            meter_stop_wh: session.meter_stop.map(|meter| meter.0),
            energy_wh: session.energy().map(|energy| energy.0),
            power_w: last.and_then(|reading| reading.power).map(|power| power.0),
            stop_reason: session.stop_reason,
            billing_ready: session.billing_ready(),
            billing_problems: session.billing_problems(),
            recorded_at: session.recorded_at,
        }
    }
}

/// What a charger metered at one time.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeterValueBody {
    /// When, by the charger's clock.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The energy register, in watt-hours.
    energy_wh: Option<i64>,
    /// Power, in watts.
    power_w: Option<i64>,
    /// Everything that was sent, in the protocol's words.
    samples: serde_json::Value,
}

impl From<StoredReading> for MeterValueBody {
    fn from(stored: StoredReading) -> Self {
        Self {
            at: stored.reading.at,
            energy_wh: stored.reading.energy.map(|energy| energy.0),
            power_w: stored.reading.power.map(|power| power.0),
            samples: serde_json::from_str(&stored.samples).unwrap_or_default(),
        }
    }
}

/// A charging session with its meter values.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionDetail {
    #[serde(flatten)]
    session: SessionBody,
    /// What was metered, in the order of its own times.
    meter_values: Vec<MeterValueBody>,
}

/// A page of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sessions {
    /// The sessions, newest record first.
    sessions: Vec<SessionBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Which sessions.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SessionQuery {
    /// Only those of this station.
    #[garde(inner(length(max = 48)))]
    #[param(max_length = 48, nullable = false)]
    station_id: Option<String>,
    /// Only those that are active, or only those that are not.
    #[garde(skip)]
    #[param(nullable = false)]
    active: Option<bool>,
    /// How many at most.
    #[garde(inner(range(min = 1, max = MAX_PAGE)))]
    #[param(minimum = 1, maximum = 500, default = 50, nullable = false)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[garde(inner(length(max = 64)))]
    #[param(schema_with = Uuid::schema)]
    cursor: Option<String>,
}

/// List charging sessions.
#[utoipa::path(get, path = "/sessions", tag = "Sessions", params(SessionQuery),
    responses((status = 200, description = "A page of sessions.", body = Sessions)))]
async fn list(
    _: Viewer,
    State(app): State<App>,
    Params(query): Params<SessionQuery>,
) -> Result<axum::Json<Sessions>, Problem> {
    let limit = limit(query.limit);
    let before = cursor::<Uuid>(query.cursor.as_deref())?.map(SessionId);
    let empty = Sessions {
        sessions: Vec::new(),
        next_cursor: None,
    };
    let station_id = match query.station_id.map(|id| StationId::new(&id)) {
        None => None,
        Some(Ok(id)) => Some(id),
        // No station can have such an id, so none has sessions.
        Some(Err(_)) => return Ok(axum::Json(empty)),
    };
    let filter = SessionFilter {
        station_id,
        active: query.active,
        before,
    };
    let (sessions, next_cursor) = cut(app.sessions(&filter, limit + 1).await?, limit, |session| {
        session.id.to_string()
    });
    Ok(axum::Json(Sessions {
        sessions: sessions.iter().map(Into::into).collect(),
        next_cursor,
    }))
}

/// Read a charging session with its meter values.
#[utoipa::path(get, path = "/sessions/{id}", tag = "Sessions",
    params(("id" = Uuid, Path, description = "The session's id.")),
    responses((status = 200, description = "The session.", body = SessionDetail)))]
async fn get(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<axum::Json<SessionDetail>, Problem> {
    let id = SessionId(segment(&id, "Session")?);
    let session = app
        .session(id)
        .await?
        .ok_or_else(|| Problem::not_found("Session"))?;
    let meter_values = app
        .readings(id)
        .await?
        .into_iter()
        .map(Into::into)
        .collect();
    Ok(axum::Json(SessionDetail {
        session: (&session).into(),
        meter_values,
    }))
}
