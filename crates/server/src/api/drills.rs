//! Load drills: the service loaded on purpose, to see that the alerts fire and that it goes on.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::head;
use domain::drill::{
    DEFAULT_SECONDS, MAX_CPU, MAX_LATENCY_MS, MAX_MEMORY, MAX_SECONDS, MAX_SHARE, MIN_SECONDS,
};
use domain::{DrillEnd, DrillId, DrillLoad};
use garde::Validate;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Operator, Viewer};
use super::extract::{Path, Post, segment};
use super::problem::Problem;
use crate::app::{App, Drill, Measured};
use crate::config::time_between;

/// The one path of the service itself that needs a token.
pub const RISELOAD: &str = "/riseload";
/// The times that may be asked for, for the description of the API: 1 to 1800 seconds, or 1 to 30
/// minutes.
pub(super) const TIME: &str = "^(([1-9][0-9]{0,2}|1[0-7][0-9]{2}|1800)s?|([1-9]|[12][0-9]|30)m)$";

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
}

/// The short way to a drill.
pub fn riseload_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(riseload))
        // What only looks must not load: HEAD would else be answered by starting a drill.
        .route(RISELOAD, head(no_head))
}

/// A load drill and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Drill)]
pub struct DrillBody {
    /// Its id.
    id: Uuid,
    /// The name of the node that is loaded: the one that was asked.
    node: String,
    /// Share of the processor limit that the container is brought to; without a limit, of one core.
    cpu: f64,
    /// Share of the memory limit that the container is brought to; without a limit, of 512 MiB.
    memory: f64,
    /// How long requests are kept waiting.
    latency_ms: u32,
    /// Which share of the requests is kept waiting.
    latency_rate: f64,
    /// Which share of the requests is answered with an error.
    error_rate: f64,
    /// How long it takes.
    #[schema(example = "90s")]
    duration: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When its time is over.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// When it ended; null while it runs.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// How it ended; null while it runs.
    #[schema(value_type = Option<String>)]
    outcome: Option<DrillEnd>,
    /// What it has come to.
    measured: MeasuredBody,
}

/// What a drill aims at and has come to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Measured)]
pub struct MeasuredBody {
    /// Cores to be kept busy, with all else that the container does.
    cpu_target_cores: f64,
    /// Cores that were busy of late.
    cpu_used_cores: f64,
    /// Bytes to be in use: by the container where it has a limit, else by the drill.
    memory_target_bytes: u64,
    /// Bytes that the drill holds.
    memory_held_bytes: u64,
    /// Requests that were kept waiting.
    requests_delayed: u64,
    /// Requests that were answered with an error.
    requests_failed: u64,
}

impl From<Drill> for DrillBody {
    fn from(drill: Drill) -> Self {
        let ends_at = drill.ends_at();
        let load = drill.load;
        Self {
            id: drill.id.0,
            node: drill.node,
            cpu: load.cpu,
            memory: load.memory,
            latency_ms: load.latency_ms,
            latency_rate: load.latency_rate,
            error_rate: load.error_rate,
            duration: format!("{}s", load.duration_seconds),
            started_at: drill.started_at,
            ends_at,
            ended_at: drill.ended.map(|(_, at)| at),
            outcome: drill.ended.map(|(how, _)| how),
            measured: drill.measured.into(),
        }
    }
}

impl From<Measured> for MeasuredBody {
    fn from(measured: Measured) -> Self {
        Self {
            cpu_target_cores: rounded(measured.cpu_target_cores),
            cpu_used_cores: rounded(measured.cpu_used_cores),
            memory_target_bytes: measured.memory_target_bytes,
            memory_held_bytes: measured.memory_held_bytes,
            requests_delayed: measured.requests_delayed,
            requests_failed: measured.requests_failed,
        }
    }
}

/// To thousandths of a core: more digits would tell nothing.
fn rounded(cores: f64) -> f64 {
    (cores * 1_000.0).round() / 1_000.0
}

/// A drill to start. With nothing in it, it is the drill of `/riseload`: 95 % of the processor
/// limit for 90 seconds. One with zeros alone is refused.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDrill)]
pub struct NewDrillBody {
    /// Share of the processor limit to bring the container to; without a limit, of one core.
    #[garde(inner(range(min = 0.0, max = MAX_CPU)))]
    #[schema(minimum = 0, maximum = 1, example = 0.95)]
    #[serde(default)]
    cpu: Option<f64>,
    /// Share of the memory limit to bring the container to; without a limit, of 512 MiB.
    #[garde(inner(range(min = 0.0, max = MAX_MEMORY)))]
    #[schema(minimum = 0, maximum = 0.95, example = 0.9)]
    #[serde(default)]
    memory: Option<f64>,
    /// How long to keep requests of the API waiting.
    #[garde(inner(range(max = MAX_LATENCY_MS)))]
    #[schema(minimum = 0, maximum = 10_000, example = 0)]
    #[serde(default)]
    latency_ms: Option<u32>,
    /// Which share of them to keep waiting: all, unless said otherwise.
    #[garde(inner(range(min = 0.0, max = MAX_SHARE)))]
    #[schema(minimum = 0, maximum = 1, example = 1)]
    #[serde(default)]
    latency_rate: Option<f64>,
    /// Which share of them to answer with an error (503). Nothing of what they ask for is done.
    #[garde(inner(range(min = 0.0, max = MAX_SHARE)))]
    #[schema(minimum = 0, maximum = 1, example = 0)]
    #[serde(default)]
    error_rate: Option<f64>,
    /// How long all of it takes, in seconds or minutes: 90 s unless said otherwise.
    #[garde(custom(is_time))]
    #[schema(pattern = "drill time", example = "90s")]
    #[serde(default)]
    duration: Option<String>,
}

fn is_time(text: &Option<String>, _: &()) -> garde::Result {
    let checked = text.as_deref().map_or(Ok(0), seconds);
    checked.map(drop).map_err(garde::Error::new)
}

/// Reads how long a drill is to take.
fn seconds(text: &str) -> Result<u64, String> {
    if text.starts_with('0') || text.ends_with("ms") {
        return Err(format!(
            "`{text}` is not the time of a drill; write whole seconds or minutes, like 90s or 5m"
        ));
    }
    time_between::<MIN_SECONDS, MAX_SECONDS>(text).map(|time| time.as_secs())
}

impl NewDrillBody {
    fn load(&self) -> DrillLoad {
        let given = [self.cpu, self.memory, self.error_rate];
        let nothing = given.iter().all(Option::is_none) && self.latency_ms.is_none();
        let latency_rate = self.latency_rate.unwrap_or(MAX_SHARE);
        let duration = self.duration.as_deref().map(seconds);
        let duration_seconds = duration.and_then(Result::ok).unwrap_or(DEFAULT_SECONDS);
        if nothing {
            return DrillLoad {
                duration_seconds,
                ..DrillLoad::default()
            };
        }
        let latency_ms = self.latency_ms.unwrap_or(0);
        DrillLoad {
            cpu: self.cpu.unwrap_or(0.0),
            memory: self.memory.unwrap_or(0.0),
            latency_ms,
            latency_rate: if latency_ms > 0 { latency_rate } else { 0.0 },
            error_rate: self.error_rate.unwrap_or(0.0),
            duration_seconds,
        }
    }
}

/// The drill that runs and those before it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Drills)]
pub struct DrillsBody {
    /// Whether this server allows drills (`--drills`).
    enabled: bool,
    /// The drills of this node since it started, newest first: at most one runs, and the 20 that
    /// ended last.
    drills: Vec<DrillBody>,
}

/// List load drills.
#[utoipa::path(get, path = "/drills", tag = "Drills",
    responses((status = 200, description = "The drills of this node.", body = DrillsBody)))]
async fn list(_: Viewer, State(app): State<App>) -> axum::Json<DrillsBody> {
    axum::Json(DrillsBody {
        enabled: app.allows_drills(),
        drills: app.drills().into_iter().map(Into::into).collect(),
    })
}

/// Start a load drill.
///
/// There is one at a time, and only where the server was started with `--drills`. Latency and
/// errors are for requests under `/api/`, without those for drills.
#[utoipa::path(post, path = "/drills", tag = "Drills", request_body = NewDrillBody,
    responses((status = 201, description = "The drill, begun.", body = DrillBody,
        headers(("Location", description = "Where it is.")))))]
async fn create(
    Operator(caller): Operator,
    State(app): State<App>,
    post: Post<NewDrillBody>,
) -> Result<Response, Problem> {
    let once = post.once(caller.token_id);
    let drill = app.start_drill(post.body.load(), once).await?;
    let place = format!("/api/v1/drills/{}", drill.id);
    let mut response = (StatusCode::CREATED, axum::Json(DrillBody::from(drill))).into_response();
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Read a load drill.
#[utoipa::path(get, path = "/drills/{id}", tag = "Drills",
    params(("id" = Uuid, Path, description = "The drill's id.")),
    responses((status = 200, description = "The drill.", body = DrillBody)))]
async fn get(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<axum::Json<DrillBody>, Problem> {
    let drill = app.drill(drill_id(&id)?);
    let drill = drill.ok_or_else(|| Problem::not_found("Drill"))?;
    Ok(axum::Json(drill.into()))
}

/// Abort a load drill: its load is gone when this is answered. One that has ended stays as it is.
#[utoipa::path(delete, path = "/drills/{id}", tag = "Drills",
    params(("id" = Uuid, Path, description = "The drill's id.")),
    responses((status = 204, description = "It has ended.")))]
async fn delete(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    app.abort_drill(drill_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A drill that was started the short way.
#[derive(Debug, Serialize, ToSchema)]
pub struct RisenLoad {
    #[schema(example = "Load uped")]
    msg: &'static str,
    #[serde(flatten)]
    drill: DrillBody,
}

/// Start a load drill the short way: 95 % of the processor limit for 90 seconds.
///
/// Answered at once; the drill is read and aborted under `/api/v1/drills`.
#[utoipa::path(get, path = "/riseload", tag = "Drills",
    responses((status = 200, description = "The drill, begun.", body = RisenLoad),
        (status = 409, description = "Another drill runs.", body = Problem,
            content_type = "application/problem+json")))]
async fn riseload(
    State(app): State<App>,
    caller: Result<Operator, Problem>,
) -> Result<axum::Json<RisenLoad>, Problem> {
    app.metrics.riseload_requests.inc();
    caller?;
    let drill = app.start_drill(DrillLoad::default(), None).await?;
    Ok(axum::Json(RisenLoad {
        msg: "Load uped",
        drill: drill.into(),
    }))
}

async fn no_head() -> Response {
    let detail = "this starts a load drill, which only GET does";
    let refused = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
    let allow = (header::ALLOW, HeaderValue::from_static("GET"));
    ([allow], refused).into_response()
}

fn drill_id(text: &str) -> Result<DrillId, Problem> {
    segment(text, "Drill").map(DrillId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_drills_are_whole_seconds_or_minutes_within_their_bounds() {
        for (text, expected) in [
            ("90s", 90),
            ("90", 90),
            ("5m", 300),
            ("30m", 1_800),
            ("1", 1),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in [
            "", "0s", "090s", "1801", "31m", "1h", "2000ms", "-1", "s", "1.5s", " 1s",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_drill_that_asks_for_nothing_is_that_of_riseload() {
        let load = |json: &str| {
            let body: NewDrillBody = serde_json::from_str(json).unwrap();
            body.load()
        };
        assert_eq!(load("{}"), DrillLoad::default());
        let longer = DrillLoad {
            duration_seconds: 300,
            ..DrillLoad::default()
        };
        assert_eq!(load(r#"{"duration":"5m"}"#), longer);
        let slow = load(r#"{"latency_ms":50}"#);
        assert_eq!((slow.cpu, slow.latency_rate), (0.0, 1.0));
        let full = load(r#"{"memory":0.5,"latency_rate":0.5}"#);
        assert!(full.latency_rate < 0.1, "{full:?}");
    }
}
