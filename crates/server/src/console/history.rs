//! All that happened to a station, page by page. It outlives the station.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::StationId;

use super::fault::Fault;
use super::form::{Asked, Segment};
use super::page::{Page, Place, render};
use super::station::station_id;
use super::tell::{self, Told};
use super::visit::Viewer;
use crate::app::App;

/// Events on a page.
const ON_A_PAGE: u32 = 100;

#[derive(Template)]
#[template(path = "history.html")]
struct History {
    page: Page,
    id: StationId,
    name: Option<String>,
    events: Vec<Told>,
    older: Option<i64>,
    first_page: bool,
}

/// The page.
pub async fn show(
    Viewer(visit): Viewer,
    State(app): State<App>,
    Segment(id): Segment,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let before = query.get("before").and_then(|text| text.parse().ok());
    let mut events = app.history(&id, before, ON_A_PAGE + 1).await?;
    let station = app.station(&id).await?;
    if events.is_empty() && station.is_none() {
        return Err(Fault::NotFound);
    }
    let more = events.len() > ON_A_PAGE as usize;
    events.truncate(ON_A_PAGE as usize);
    let t = visit.lang.phrases();
    let page = visit.page(&app, Place::Overview, t.history).await;
    let shown = History {
        older: events.last().filter(|_| more).map(|event| event.seq),
        events: events
            .iter()
            .map(|event| tell::of_station(page.lang, event))
            .collect(),
        name: station.map(|station| station.name.clone()),
        first_page: before.is_none(),
        id,
        page,
    };
    Ok(render(shown.render()))
}
