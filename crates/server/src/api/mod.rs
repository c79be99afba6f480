//! The REST API: one file per resource, each read top to bottom.
//!
//! [`router`] joins them and wraps what every request goes through: a request id, a limit on time
//! and size, counting, and a problem document for whatever goes wrong.

mod analyses;
pub mod auth;
mod commands;
mod connectors;
mod credentials;
mod document;
mod drills;
mod events;
mod evses;
mod extract;
mod id_tags;
mod journal;
mod json;
mod layers;
pub mod problem;
mod schema;
pub mod service;
mod sessions;
mod stations;
mod tokens;

use axum::Router;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::console;
use crate::gateway::handshake;

pub use document::openapi;
pub use extract::MAX_BODY;

/// Everything served on the main port.
pub fn router(app: &App) -> Router {
    let (api, description) = described();
    let description = document::finish(description);
    let router = api
        .merge(SwaggerUi::new("/docs").url("/openapi.json", description))
        .nest("/console", console::router(app))
        .route("/ocpp/{*path}", get(handshake::connect))
        .with_state(app.for_requests());
    layers::wrap(router, app)
}

/// The described paths, and their description as far as the handlers give it.
fn described() -> (Router<App>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(document::base())
        .merge(service::routes())
        .merge(drills::riseload_routes())
        .nest(
            "/api/v1",
            OpenApiRouter::new()
                .merge(stations::routes())
                .merge(credentials::routes())
                .merge(evses::routes())
                .merge(connectors::routes())
                .merge(sessions::routes())
                .merge(id_tags::routes())
                .merge(commands::routes())
                .merge(tokens::routes())
                .merge(events::routes())
                .merge(journal::routes())
                .merge(analyses::routes())
                .merge(drills::routes()),
        )
        .split_for_parts()
}
