//! What every request goes through, whatever it asks for.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

use super::drills::RISELOAD;
use super::extract::MAX_BODY;
use super::problem::Problem;
use crate::app::App;
use crate::drill::Disturbance;
use crate::metrics::UNMATCHED;

/// How long a request may take. Those that wait for a command's outcome, the longest, may take a
/// minute of that; an event stream answers at once and then goes on.
const TIMEOUT: Duration = Duration::from_secs(75);
/// The header that ties an answer to the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps the router.
pub(super) fn wrap(router: Router, app: &App) -> Router {
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), observe))
}

/// Sees a request through. One that changes something goes on when its client hangs up: what was
/// begun is finished, with all that follows from it.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return see_through(app, request, next).await;
    }
    let seen_through = tokio::spawn(see_through(app, request, next));
    seen_through.await.unwrap_or_else(|_| {
        let detail = "the server stopped in the middle; read again what became of it";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
    })
}

/// Counts and times the request, gives it an id, and ends it when it takes too long.
async fn see_through(app: App, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let endpoint = request.extensions().get::<MatchedPath>().cloned();
    // Only the API's requests are worth a span: probes and chargers come by the thousand.
    let path = request.uri().path();
    let traced = path.starts_with("/api/") || path == RISELOAD;
    let trouble = is_open_to_trouble(path).then(|| app.drills.disturbance());
    let answer = disturbed(trouble.flatten(), next.run(request));
    let mut response = if traced {
        let id = app.new_id();
        let span = tracing::info_span!("request", request.id = %id, %method);
        let mut response = timed(answer).instrument(span).await;
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    } else {
        let response = timed(answer).await;
        named_if_refused(&app, response)
    };
    let endpoint = endpoint.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let status = response.status().as_u16();
    let seconds = started.elapsed().as_secs_f64();
    app.metrics
        .request_ended(&method, endpoint, status, seconds);
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Gives an id to an answer that says no, for whoever has to ask about it.
fn named_if_refused(app: &App, mut response: Response) -> Response {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let id = app.new_id().to_string();
        tracing::debug!(request.id = %id, status = status.as_u16(), "request refused");
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }
    response
}

/// Whether a drill may slow this request or refuse it: those of people and systems, but none by
/// which somebody looks after the service or ends the drill.
fn is_open_to_trouble(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v1/drills");
    let ends_it = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    path.starts_with("/api/") && !ends_it
}

/// Lets the drill do with the request what it is to do. What is refused was not begun.
async fn disturbed(
    trouble: Option<Disturbance>,
    answer: impl Future<Output = Response>,
) -> Response {
    if let Some(trouble) = trouble
        && trouble.wait().await
    {
        let detail = "a load drill answers this request with an error on purpose; try again, or \
                      look at /api/v1/drills";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .retry_after(1)
            .into_response();
    }
    answer.await
}

async fn timed(response: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(TIMEOUT, response)
        .await
        .unwrap_or_else(|_| {
            let detail = "it took too long; whether it was done is not known: read it again";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).into_response()
        })
}

async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is nothing here; /docs has what there is",
    )
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this cannot be done here; see Allow",
    )
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature tower-http calls"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("?"), "a request panicked");
    let detail = "the server failed; its log has the reason";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
}
