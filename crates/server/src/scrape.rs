//! The metrics port: for scrapers, and for nobody else by accident.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq as _;

use crate::api::problem::Problem;
use crate::app::{App, AppError};
use crate::config::Secret;
use crate::metrics::{CONTENT_TYPE, Snapshot};

#[derive(Clone)]
struct Port {
    app: App,
    token: Option<Secret>,
}

/// Metrics at `/metrics` and `/`. Without a token they are open.
pub fn router(app: App, token: Option<Secret>) -> Router {
    let not_found = || async { Problem::new(StatusCode::NOT_FOUND, "the metrics are at /metrics") };
    let not_allowed =
        || async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET") };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/", get(metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(Port { app, token })
}

async fn metrics(State(port): State<Port>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(token) = &port.token {
        check(&headers, token)?;
    }
    let text = port.app.metrics.render(&snapshot(&port.app).await?);
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(([kind], text).into_response())
}

/// A bearer token, or Basic auth with the token as the password.
fn check(headers: &HeaderMap, token: &Secret) -> Result<(), Problem> {
    let challenge = "Bearer realm=\"metrics\", Basic realm=\"metrics\"";
    let missing = || {
        let detail = "present the metrics token (Bearer, or Basic with it as the password)";
        Problem::new(StatusCode::UNAUTHORIZED, detail).challenge(challenge)
    };
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let (scheme, rest) = value
        .and_then(|value| value.split_once(' '))
        .ok_or_else(missing)?;
    let presented = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => rest.trim().as_bytes().to_vec(),
        "basic" => {
            let decoded = BASE64_STANDARD.decode(rest.trim()).map_err(|_| missing())?;
            let colon = decoded
                .iter()
                .position(|byte| *byte == b':')
                .ok_or_else(missing)?;
            decoded[colon + 1..].to_vec()
        }
        _ => return Err(missing()),
    };
    if presented.ct_eq(token.expose().as_bytes()).into() {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "this is not the metrics token",
    ))
}

/// What gauges show, read now.
async fn snapshot(app: &App) -> Result<Snapshot, AppError> {
    let totals = app.store.station_totals().await?;
    let sessions_active = app.store.count_active_sessions().await?;
    let (in_use, idle) = app.store.pool_connections();
    let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    Ok(Snapshot {
        app_starts: u64::try_from(app.starts).unwrap_or(0),
        stations: totals
            .stations
            .iter()
            .map(|(status, n)| (status.as_str(), *n))
            .collect(),
        connectors: domain::Status::ALL
            .iter()
            .map(|status| (status.as_str(), i64::from(totals.connectors.of(*status))))
            .collect(),
        stations_online: totals.online,
        sessions_active,
        ocpp_connections: gauge(app.fleet.connections()),
        db_pool: vec![("in_use", in_use.into()), ("idle", idle.into())],
        db_queue_depth: gauge(app.store.queue_depth()),
    })
}
