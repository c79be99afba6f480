//! Charging sessions, and what keeps them from being billed.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::{Session, SessionId, SessionState};
use uuid::Uuid;

use super::fault::Fault;
use super::form::{Asked, Segment};
use super::page::{Page, Place, render};
use super::station::{Running, run, station_id};
use super::visit::Viewer;
use super::words;
use crate::app::{App, MAX_PAGE, SessionFilter};

/// Sessions on a page.
const ON_A_PAGE: u32 = 50;
/// Sessions looked through at most for one page of those that cannot be billed: with few of them, a
/// page has what there is among so many, and the next goes on from there.
const LOOKED_THROUGH: usize = 5_000;

#[derive(Template)]
#[template(path = "sessions.html")]
struct List {
    page: Page,
    sessions: Vec<Session>,
    station: String,
    which: &'static str,
    next: Option<String>,
    newest: String,
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
        Some("unbilled") => ("unbilled", Some(false)),
        _ => ("all", None),
    };
    let before = query.get("before").and_then(|id| id.parse().ok());
    let (sessions, last) = match station_id {
        Ok(station_id) => {
            let filter = SessionFilter {
                station_id,
                active,
                before: before.map(SessionId),
            };
            if which == "unbilled" {
                unbilled(&app, filter).await?
            } else {
                plain(&app, &filter).await?
            }
        }
        // No station can have such an id, so none has sessions.
        Err(_) => (Vec::new(), None),
    };
    let next = last.map(|last| {
        let id = last.to_string();
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
        newest: query.with("before", None),
    };
    Ok(render(shown.render()))
}

/// Those on a page, and after which one there are more.
type Shown = (Vec<Session>, Option<SessionId>);

async fn plain(app: &App, filter: &SessionFilter) -> Result<Shown, Fault> {
    let mut sessions = app.sessions(filter, ON_A_PAGE + 1).await?;
    let more = sessions.len() > ON_A_PAGE as usize;
    sessions.truncate(ON_A_PAGE as usize);
    let last = sessions.last().filter(|_| more).map(|last| last.id);
    Ok((sessions, last))
}

/// Those that have ended and cannot be billed.
async fn unbilled(app: &App, mut filter: SessionFilter) -> Result<Shown, Fault> {
    let (mut found, mut looked) = (Vec::new(), 0);
    while looked < LOOKED_THROUGH {
        let page = app.sessions(&filter, MAX_PAGE).await?;
        looked += page.len();
        let full = page.len() == MAX_PAGE as usize;
        for session in page {
            if found.len() == ON_A_PAGE as usize && !session.billing_ready() {
                return Ok((found, filter.before));
            }
            filter.before = Some(session.id);
            if !session.billing_ready() {
                found.push(session);
            }
        }
        if !full {
            return Ok((found, None));
        }
    }
    Ok((found, filter.before))
}

/// One of them, with its curve.
pub async fn show(
    Viewer(visit): Viewer,
    State(app): State<App>,
    Segment(id): Segment,
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
