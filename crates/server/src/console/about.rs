//! The service itself: which version, how what it stands on stands, and where to look further.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::fault::Fault;
use super::page::{Page, Place, render};
use super::visit::Viewer;
use crate::app::{App, Health};
use crate::config::reachable;

#[derive(Template)]
#[template(path = "about.html")]
struct About {
    page: Page,
    health: Health,
    database: &'static str,
    node: String,
    starts: i64,
    connections: usize,
    analyser: &'static str,
    with_model: bool,
    version: &'static str,
    commit: &'static str,
    metrics: String,
    dashboards: Option<String>,
}

/// The page.
pub async fn show(Viewer(visit): Viewer, State(app): State<App>) -> Result<Response, Fault> {
    let t = visit.lang.phrases();
    let page = visit.page(&app, Place::About, t.about).await;
    let settings = &app.settings.console;
    let shown = About {
        health: app.health().await,
        database: app.database_kind(),
        node: app.cluster.name.clone(),
        starts: app.starts,
        connections: app.fleet.connections(),
        analyser: app.analyser.name(),
        with_model: app.analyser.costs(),
        version: crate::version::VERSION,
        commit: crate::version::COMMIT,
        metrics: format!("http://{}/metrics", reachable(settings.metrics)),
        dashboards: settings.dashboards_url.as_ref().map(ToString::to_string),
        page,
    };
    Ok(render(shown.render()))
}

impl About {
    fn database_word(&self) -> &'static str {
        match self.database {
            "postgres" => "PostgreSQL",
            _ => "SQLite",
        }
    }
}
