//! Events: a station's history, and the live stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse;
use axum::response::{IntoResponse, Response, Sse};
use domain::{Event, StationId};
use futures_util::{StreamExt as _, stream};
use garde::Validate;
use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{self, Viewer};
use super::extract::{Key, Page, Params, Path, cut, segment};
use super::problem::Problem;
use crate::app::App;
use crate::bus::Follower;

/// How often a quiet stream shows that it lives: below the idle timeouts of common proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(history))
        .routes(routes!(follow))
}

/// What happened.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    /// Its place in the one sequence of all events.
    seq: i64,
    /// What kind of thing happened.
    #[serde(rename = "type")]
    #[schema(example = "station.status_changed")]
    kind: &'static str,
    /// When this server learned of it.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The station it concerns.
    #[schema(value_type = Option<String>)]
    station_id: Option<StationId>,
    /// The EVSE it concerns.
    evse: Option<u16>,
    /// The connector it concerns.
    connector: Option<u16>,
    /// What else there is to say.
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

impl From<Event> for EventBody {
    fn from(Event { seq, event }: Event) -> Self {
        let mut data = serde_json::to_value(&event.kind).unwrap_or_default();
        Self {
            seq,
            kind: event.kind.name(),
            at: event.at,
            station_id: event.station_id,
            evse: event.evse.map(domain::EvseNo::get),
            connector: event.connector.map(domain::ConnectorNo::get),
            data: data
                .get_mut("data")
                .map(serde_json::Value::take)
                .unwrap_or_default(),
        }
    }
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct Events {
    /// The events, newest first.
    events: Vec<EventBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Read a station's history. It outlives the station.
#[utoipa::path(get, path = "/stations/{id}/events", tag = "Events",
    params(("id" = String, Path, description = "The station's identity.", max_length = 48), Page<i64>),
    responses((status = 200, description = "A page of events.", body = Events)))]
async fn history(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
    Params(page): Params<Page<i64>>,
) -> Result<axum::Json<Events>, Problem> {
    let id: StationId = segment(&id, "Station")?;
    let limit = page.limit();
    let before = page.cursor()?;
    let events = app.history(&id, before, limit + 1).await?;
    if events.is_empty() && before.is_none() && app.station(&id).await?.is_none() {
        return Err(Problem::not_found("Station"));
    }
    let (events, next_cursor) = cut(events, limit, |event| event.seq.to_string());
    Ok(axum::Json(Events {
        events: events.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}

/// Which events to follow.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FollowQuery {
    /// Only those of this station.
    #[garde(inner(length(max = 48)))]
    #[param(max_length = 48, nullable = false)]
    station_id: Option<String>,
}

/// Follow events as they happen (server-sent events).
///
/// A stream that was cut goes on after `Last-Event-ID`, with nothing missed and nothing twice. It
/// ends soon after its token is revoked.
#[utoipa::path(get, path = "/events", tag = "Events",
    params(FollowQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "The last event that arrived.",
            nullable = false, minimum = 0)),
    responses((status = 200, description = "The stream: id is the event's seq, event its type, \
        data the event.", body = EventBody, content_type = "text/event-stream")))]
async fn follow(
    _: Viewer,
    State(app): State<App>,
    headers: HeaderMap,
    Params(query): Params<FollowQuery>,
) -> Result<Response, Problem> {
    let refused = || Problem::fault("Last-Event-ID", "use the id of the last event, unchanged");
    let last = headers
        .get("last-event-id")
        .map(|value| value.to_str().unwrap_or_default());
    let after = match last {
        None | Some("") => None,
        Some(text) => Some(Key::parse(text).ok_or_else(refused)?),
    };
    let station_id = query.station_id.map(|id| StationId::new(&id)).transpose();
    let station_id = station_id.map_err(|e| Problem::fault("station_id", e.to_string()))?;
    let follower = app.follow(after, station_id).await?;
    let stopping = app.stopping.clone().cancelled_owned();
    let events = stream::unfold(follower, next)
        .take_until(stopping)
        .take_until(Box::pin(auth::revoked(app, headers)));
    let keep_alive = sse::KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// The next event as it is sent. The stream ends when the log cannot be read: the client comes
/// back with the last id it saw.
async fn next(mut follower: Follower) -> Option<(Result<sse::Event, Infallible>, Follower)> {
    match follower.next().await {
        Ok(Some(event)) => {
            let body = EventBody::from(event);
            let sent = sse::Event::default()
                .id(body.seq.to_string())
                .event(body.kind);
            let sent = sent.json_data(&body).unwrap_or_default();
            Some((Ok(sent), follower))
        }
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(%error, "event stream ended");
            None
        }
    }
}
