//! Charging sessions, and what keeps them from being billed.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::{Session, SessionId, SessionState};
use uuid::Uuid;

use super::fault::Fault;
use super::form::Asked;
use super::page::{Page, Place, render};
use super::station::{Running, run, station_id};
use super::visit::Viewer;
use super::words;
use crate::app::{App, SessionFilter};

/// Sessions on a page.
const ON_A_PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "sessions.html")]
struct List {
    page: Page,
    sessions: Vec<Session>,
    station: String,
    which: &'static str,
    next: Option<String>,
    first_page: bool,
}

#[derive(Template)]
#[template(path = "session.html")]
struct One {
    page: Page,
    running: Running,
    problems: Vec<&'static str>,
    reason: Option<&'static str>,
}

/// The list.
pub async fn list(
    Viewer(visit): Viewer,
    State(app): State<App>,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let station = query.get("station");
    let station_id = station.map(station_id).transpose();
    let (which, active) = match query.get("which") {
        Some("active") => ("active", Some(true)),
        Some("ended") => ("ended", Some(false)),
        _ => ("all", None),
    };
    let before = query.get("before").and_then(|id| id.parse().ok());
    let mut sessions = match station_id {
        Ok(station_id) => {
            let filter = SessionFilter {
                station_id,
                active,
                before: before.map(SessionId),
            };
            app.sessions(&filter, ON_A_PAGE + 1).await?
        }
        // No station can have such an id, so none has sessions.
        Err(_) => Vec::new(),
    };
    let more = sessions.len() > ON_A_PAGE as usize;
    sessions.truncate(ON_A_PAGE as usize);
    let last = sessions.last().filter(|_| more);
    let next = last.map(|last| {
        let id = last.id.to_string();
        format!("/console/sessions{}", query.with("before", Some(&id)))
    });
    let t = visit.lang.phrases();
    let shown = List {
        station: station.unwrap_or_default().to_owned(),
        page: visit.page(&app, Place::Sessions, t.sessions).await,
        first_page: before.is_none(),
        sessions,
        which,
        next,
    };
    Ok(render(shown.render()))
}

/// One of them, with its curve.
pub async fn show(
    Viewer(visit): Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let id = Uuid::parse_str(&id).map_err(|_| Fault::NotFound)?;
    let session = app.session(SessionId(id)).await?.ok_or(Fault::NotFound)?;
    let t = visit.lang.phrases();
    let page = visit.page(&app, Place::Sessions, t.session).await;
    let problems = session.billing_problems();
    let problems = problems.iter().map(|it| words::problem(page.lang, *it));
    let shown = One {
        problems: problems.collect(),
        reason: session
            .stop_reason
            .map(|reason| words::stop_reason(page.lang, reason)),
        running: run(&app, &page, session).await?,
        page,
    };
    Ok(render(shown.render()))
}

impl List {
    fn state(&self, session: &Session) -> &'static str {
        words::session_state(self.page.lang, session.state)
    }

    /// The first thing that keeps it from being billed.
    fn problem(&self, session: &Session) -> &'static str {
        let problems = session.billing_problems();
        let first = problems.first();
        first.map_or("", |problem| words::problem(self.page.lang, *problem))
    }
}

impl One {
    fn state(&self) -> &'static str {
        words::session_state(self.page.lang, self.running.session.state)
    }

    fn is_active(&self) -> bool {
        self.running.session.state == SessionState::Active
    }
}
