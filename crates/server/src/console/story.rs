//! A station's story: what happened, the likely cause, the next step. Each claim shows what it
//! rests on.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::fault::Fault;
use super::form::{Posted, Segment};
use super::page::{Page, Place, render};
use super::station::station_id;
use super::tell;
use super::visit::{Operator, go_to};
use crate::app::{App, Claim, StationStory};

/// The longest time that is looked back, and the usual one, in days.
const MAX_DAYS: u32 = 30;
const DEFAULT_DAYS: u32 = 7;
/// Events that are read to say in a word what is cited. Each claim cites twenty at most.
const MAX_CITED: usize = 200;

#[derive(Template)]
#[template(path = "story.html")]
struct StoryPage {
    page: Page,
    name: String,
    story: StationStory,
    days: u32,
    chapters: Vec<Chapter>,
}

/// Claims of one kind.
struct Chapter {
    title: &'static str,
    icon: &'static str,
    claims: Vec<Cited>,
}

/// A claim with what it rests on.
struct Cited {
    text: String,
    cites: Vec<Cite>,
}

/// Something that a claim rests on.
struct Cite {
    text: String,
    path: String,
}

/// A story that was told has no address of its own: who comes back to it finds the station.
pub async fn leave(_: Operator, Segment(id): Segment) -> Result<Response, Fault> {
    Ok(go_to(&format!("/console/stations/{}", station_id(&id)?)))
}

/// Has the story told.
pub async fn tell(
    Operator(visit): Operator,
    State(app): State<App>,
    Segment(id): Segment,
    posted: Posted,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let station = app.station(&id).await?.ok_or(Fault::NotFound)?;
    let days = posted.fields.get("days").and_then(|days| days.parse().ok());
    let days = days.unwrap_or(DEFAULT_DAYS).clamp(1, MAX_DAYS);
    let story = app.tell_story(&id, days, posted.once()).await?;
    let t = visit.lang.phrases();
    let mut page = visit.page(&app, Place::Overview, t.story).await;
    // A story has no address of its own to come back to.
    page.here = format!("/console/stations/{id}");
    let cited = cited(&app, &page, &story).await?;
    let chapter = |title, icon, claims: &[Claim]| Chapter {
        title,
        icon,
        claims: claims
            .iter()
            .map(|claim| with_cites(&page, &story, claim, &cited))
            .collect(),
    };
    let chapters = vec![
        chapter(t.what_happened, "clock", &story.story.what_happened),
        chapter(t.likely_cause, "search", &story.story.likely_cause),
        chapter(t.next_step, "tool", &story.story.next_step),
    ];
    let shown = StoryPage {
        name: station.name.clone(),
        days,
        chapters,
        story,
        page,
    };
    Ok(render(shown.render()))
}

/// The cited events in words, by their place.
async fn cited(
    app: &App,
    page: &Page,
    story: &StationStory,
) -> Result<HashMap<i64, String>, Fault> {
    let claims = story.story.claims();
    let mut places: Vec<i64> = claims.flat_map(|claim| claim.events.clone()).collect();
    places.sort_unstable();
    places.dedup();
    places.truncate(MAX_CITED);
    let mut words = HashMap::new();
    for place in places {
        if let Some(event) = app.event(place).await? {
            words.insert(place, tell::of_station(page.lang, &event).text);
        }
    }
    Ok(words)
}

fn with_cites(
    page: &Page,
    story: &StationStory,
    claim: &Claim,
    cited: &HashMap<i64, String>,
) -> Cited {
    let id = &story.station_id;
    let t = page.t;
    let events = claim.events.iter().map(|seq| Cite {
        text: match cited.get(seq) {
            Some(words) => words.clone(),
            None => format!("{} {seq}", t.event),
        },
        path: format!(
            "/console/stations/{id}/history?before={}#e{seq}",
            seq.saturating_add(1)
        ),
    });
    let sessions = claim.sessions.iter().map(|session| Cite {
        text: t.session.to_owned(),
        path: format!("/console/sessions/{session}"),
    });
    let entries = claim.entries.iter().map(|entry| Cite {
        text: t.entry.to_owned(),
        path: format!("/console/journal/{entry}"),
    });
    Cited {
        text: claim.text.clone(),
        cites: events.chain(sessions).chain(entries).collect(),
    }
}
