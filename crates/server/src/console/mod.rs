//! The operator's console: pages for people, live in a browser.
//!
//! One file per page. A page asks the same use-cases as the API ([`crate::app`]) and fills a
//! template (`templates/`); a form posts to the file of its page. What every request goes through
//! is in [`visit`]: who is it, in which language, and which headers keep a browser honest.
//!
//! Everything can be read and done without script. With it, the [`live`] stream tells what changed,
//! and the page brings itself up to date.

mod about;
mod assets;
mod board;
mod commands;
mod curve;
mod drills;
mod fault;
mod form;
mod history;
mod id_tags;
mod journal;
mod live;
mod look;
mod map;
mod overview;
mod page;
mod phrases;
mod preferences;
mod sessions;
mod sign_in;
mod station;
mod story;
mod tell;
mod tokens;
mod visit;
mod words;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use self::fault::Fault;
use crate::app::App;

pub use self::live::Desk;

/// Where the console is.
const ROOT: &str = "/console";

/// Everything below `/console`.
pub fn router(app: &App) -> Router<App> {
    Router::new()
        .route("/", get(overview::show))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/enter", get(sign_in::enter))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/preferences", post(preferences::set))
        .route("/live", get(live::follow))
        .route("/assets/{name}", get(assets::give))
        .route("/stations/{id}", get(station::show))
        .route("/stations/{id}/history", get(history::show))
        .route(
            "/stations/{id}/commands",
            get(commands::ask).post(commands::give),
        )
        .route(
            "/stations/{id}/commands/ask",
            get(commands::ask_again).post(commands::ask_quietly),
        )
        .route(
            "/stations/{id}/availability",
            get(station::ask_availability).post(station::set_availability),
        )
        .route(
            "/stations/{id}/credentials",
            get(station::ask_credentials).post(station::make_credentials),
        )
        .route("/stations/{id}/story", get(story::leave).post(story::tell))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{id}", get(sessions::show))
        .route("/id-tags", get(id_tags::list).post(id_tags::put))
        .route(
            "/id-tags/{uid}/delete",
            get(id_tags::ask).post(id_tags::delete),
        )
        .route("/journal", get(journal::list).post(journal::write))
        .route("/journal/{id}", get(journal::show).post(journal::edit))
        .route("/journal/{id}/analyze", post(journal::analyze))
        .route(
            "/journal/{id}/delete",
            get(journal::ask).post(journal::delete),
        )
        .route("/tokens", get(tokens::list).post(tokens::make))
        .route("/tokens/{id}/revoke", get(tokens::ask).post(tokens::revoke))
        .route("/drills", get(drills::show).post(drills::start))
        .route("/drills/abort", get(drills::ask).post(drills::abort))
        .route("/about", get(about::show))
        .fallback(|| async { Fault::NotFound })
        .method_not_allowed_fallback(|| async { Fault::NotAllowed })
        .layer(middleware::from_fn_with_state(
            app.for_requests(),
            visit::receive,
        ))
}
