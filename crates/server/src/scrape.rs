//! The metrics port: for scrapers, and for nobody else by accident.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use store::{Patience, StoreError};
use subtle::ConstantTimeEq as _;

use crate::api::problem::Problem;
use crate::app::App;
use crate::cgroup::Cgroup;
use crate::config::Secret;
use crate::metrics::{CONTENT_TYPE, Network, Snapshot};

/// How long the database is waited for. A scraper waits for some seconds at most, and the other
/// metrics are wanted most when the database is away.
const PATIENCE: Duration = Duration::from_secs(1);

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
    let text = port.app.metrics.render(&snapshot(&port.app).await);
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

/// What is read when the scrape comes: of the database, what it says in time.
async fn snapshot(app: &App) -> Snapshot {
    let (in_use, idle) = app.store.pool_connections();
    let network = match tokio::time::timeout(PATIENCE, network(app)).await {
        Ok(Ok(network)) => Some(network),
        // That it is away is told by `/healthz`, and by what is missing here.
        Ok(Err(StoreError::Unavailable)) | Err(_) => None,
        Ok(Err(error)) => {
            tracing::error!(%error, "the network's gauges cannot be read");
            None
        }
    };
    Snapshot {
        app_starts: u64::try_from(app.starts).unwrap_or(0),
        network,
        ocpp_connections: gauge(app.fleet.connections()),
        ocpp_connections_max: gauge(app.seats.all()),
        db_pool: vec![("in_use", in_use.into()), ("idle", idle.into())],
        db_pool_max: app.store.max_pool_connections().into(),
        db_queue_depth: gauge(app.store.queue_depth()),
        cgroup: Cgroup::own().read(),
    }
}

async fn network(app: &App) -> Result<Network, StoreError> {
    let store = app.store.with_patience(Patience {
        connection: PATIENCE / 2,
        read: PATIENCE,
        ..Patience::default()
    });
    let totals = store.station_totals().await?;
    let sessions_active = store.count_active_sessions().await?;
    let nodes = store.living_nodes().await?.len();
    let fault = store.longest_fault().await?;
    let for_so_long = |since| app.clock.now().duration_since(since).as_secs_f64().max(0.0);
    let stations = totals.stations.iter();
    let connectors = domain::Status::ALL.iter();
    Ok(Network {
        stations: stations.map(|(status, n)| (status.as_str(), *n)).collect(),
        connectors: connectors
            .map(|status| (status.as_str(), i64::from(totals.connectors.of(*status))))
            .collect(),
        stations_online: totals.online,
        sessions_active,
        longest_fault_seconds: fault.map_or(0.0, for_so_long),
        nodes: gauge(nodes),
    })
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
