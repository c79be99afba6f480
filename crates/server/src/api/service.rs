//! The service's own endpoints: greeting, liveness, readiness, farewell.

use std::sync::atomic::{AtomicU8, Ordering};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The paths of the service itself.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(main))
        .routes(routes!(health))
        .routes(routes!(healthz))
        .routes(routes!(bye))
}

/// Whether the process takes work.
#[derive(Debug, Default)]
pub struct Phase(AtomicU8);

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl Phase {
    /// Work is welcome from now on.
    pub fn serving(&self) {
        self.0.store(SERVING, Ordering::Release);
    }

    /// No new work: the process is about to stop.
    pub fn draining(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    /// Whether the process is about to stop.
    pub fn is_draining(&self) -> bool {
        self.0.load(Ordering::Acquire) == DRAINING
    }

    /// In one word: `starting`, `ok`, `draining`.
    pub fn word(&self) -> &'static str {
        match self.0.load(Ordering::Acquire) {
            STARTING => "starting",
            SERVING => "ok",
            _ => "draining",
        }
    }
}

/// A greeting.
#[derive(Debug, Serialize, ToSchema)]
pub struct Greeting {
    #[schema(example = "Hello World")]
    message: &'static str,
}

/// Greet; a browser is sent to the console.
#[utoipa::path(get, path = "/", tag = "Service",
    responses((status = 200, description = "A greeting.", body = Greeting),
        (status = 303, description = "A browser is sent to the console.")))]
async fn main(State(app): State<App>, headers: HeaderMap) -> Response {
    app.metrics.main_requests.inc();
    if prefers_html(&headers) {
        return Redirect::to("/console").into_response();
    }
    Json(Greeting {
        message: "Hello World",
    })
    .into_response()
}

/// Browsers name HTML before anything else they take.
fn prefers_html(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let Some(accept) = accept else { return false };
    let place = |kind: &str| accept.find(kind).unwrap_or(usize::MAX);
    place("text/html") < place("application/json").min(place("*/*"))
}

/// A sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    health: &'static str,
}

/// Whether the process answers.
#[utoipa::path(get, path = "/health", tag = "Service",
    responses((status = 200, description = "It does.", body = Health)))]
async fn health(State(app): State<App>) -> Json<Health> {
    app.metrics.healthcheck_requests.inc();
    Json(Health { health: "ok" })
}

/// Whether work is welcome.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ok`, `degraded` (slower, still ready), or why not: `starting`, `draining`, `unavailable`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Each dependency.
    checks: Checks,
}

/// Each dependency: `ok`, or what is wrong with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Checks {
    #[schema(example = "ok")]
    database: &'static str,
    #[schema(example = "ok")]
    cache: &'static str,
}

/// Whether work is welcome: 503 while starting or draining, or without a database.
#[utoipa::path(get, path = "/healthz", tag = "Service",
    responses((status = 200, description = "It is.", body = Readiness),
        (status = 503, description = "It is not.", body = Readiness)))]
async fn healthz(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let health = app.health().await;
    let code = if health.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let checks = Checks {
        database: if health.database { "ok" } else { "unavailable" },
        cache: if health.cache == Some(false) {
            "degraded"
        } else {
            "ok"
        },
    };
    let status = health.status();
    (code, Json(Readiness { status, checks }))
}

/// A farewell.
#[derive(Debug, Serialize, ToSchema)]
pub struct Farewell {
    #[schema(example = "Bye Bye")]
    msg: &'static str,
}

/// Say goodbye.
#[utoipa::path(get, path = "/bye", tag = "Service",
    responses((status = 200, description = "A farewell.", body = Farewell)))]
async fn bye(State(app): State<App>) -> Json<Farewell> {
    app.metrics.bye_requests.inc();
    Json(Farewell { msg: "Bye Bye" })
}
