//! The field journal: written, changed, analysed, removed.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::journal::{EntryText, MAX_ENTRY_TEXT};
use domain::{Analysis, Entry, EntryId, EntryPatch, StationId};
use http::StatusCode;
use uuid::Uuid;

use super::fault::Fault;
use super::form::{Asked, Fields, Posted, Segment};
use super::page::{Page, Place, render};
use super::phrases::Say;
use super::station::Ask;
use super::visit::{Operator, Viewer, Visit, go_to};
use super::words;
use crate::app::{App, AppError, EntryFilter, EntryPlace, Meaningless, NewEntry};

/// Entries on a page.
const ON_A_PAGE: u32 = 30;
/// Analyses shown with an entry: the newest.
const ANALYSES: u32 = 5;

#[derive(Template)]
#[template(path = "journal.html")]
struct Journal {
    page: Page,
    entries: Vec<Entry>,
    station: String,
    next: Option<String>,
    newest: String,
    first_page: bool,
    draft: Draft,
}

#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage {
    page: Page,
    entry: Entry,
    analyses: Vec<Analysis>,
    draft: Draft,
}

/// What somebody has typed, and what is wrong with it.
#[derive(Default)]
struct Draft {
    work: String,
    struggle: String,
    intention: String,
    station: String,
    wrong: Wrong,
}

/// What is wrong with a form: on the whole, and field by field.
#[derive(Default)]
struct Wrong {
    what: Option<Say>,
    fields: Vec<WrongField>,
}

/// What is wrong with one field.
struct WrongField {
    name: &'static str,
    label: Say,
    why: Say,
}

impl Wrong {
    fn of_form(what: Say) -> Self {
        Self {
            what: Some(what),
            fields: Vec::new(),
        }
    }

    fn of_fields(fields: Vec<WrongField>) -> Self {
        Self {
            what: Some(|t| t.fault_invalid),
            fields,
        }
    }

    /// What whoever typed it can mend, so that it is asked of him. The rest is a fault.
    fn mendable(error: AppError) -> Result<Self, Fault> {
        match error {
            AppError::PreconditionFailed => Ok(Self::of_form(|t| t.wrong_entry_changed)),
            AppError::Unprocessable(Meaningless::KeyReused) => {
                Ok(Self::of_form(|t| t.wrong_entry_resent))
            }
            AppError::Unprocessable(Meaningless::NoSuchStation(_)) => {
                Ok(Self::of_fields(vec![WrongField {
                    name: "station",
                    label: |t| t.station,
                    why: |t| t.wrong_no_station,
                }]))
            }
            error => Err(error.into()),
        }
    }

    /// Whether it is in this field.
    fn is_in(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }
}

impl Draft {
    fn of(fields: &Fields) -> Self {
        Self {
            work: fields.raw("work").to_owned(),
            struggle: fields.raw("struggle").to_owned(),
            intention: fields.raw("intention").to_owned(),
            station: fields.raw("station").to_owned(),
            wrong: Wrong::default(),
        }
    }

    fn of_entry(entry: &Entry) -> Self {
        Self {
            work: entry.work.as_str().to_owned(),
            struggle: entry.struggle.as_str().to_owned(),
            intention: entry.intention.as_str().to_owned(),
            station: entry
                .station_id
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            wrong: Wrong::default(),
        }
    }

    /// The texts, when all of them can stand in the journal.
    fn check(&self) -> Result<NewEntry, Wrong> {
        let mut wrong = Vec::new();
        let mut text = |name: &'static str, text: &str, label: Say| {
            let checked = EntryText::new(text).ok();
            if checked.is_none() {
                let why: Say = |t| t.wrong_entry_text;
                wrong.push(WrongField { name, label, why });
            }
            checked
        };
        let work = text("work", &self.work, |t| t.work);
        let struggle = text("struggle", &self.struggle, |t| t.struggle);
        let intention = text("intention", &self.intention, |t| t.intention);
        let named = self.station.trim();
        let station_id = (!named.is_empty()).then(|| StationId::new(named));
        let station_id = station_id.transpose().map_err(|_| WrongField {
            name: "station",
            label: |t| t.station,
            why: |t| t.wrong_station,
        });
        match (work, struggle, intention, station_id) {
            (Some(work), Some(struggle), Some(intention), Ok(station_id)) => Ok(NewEntry {
                work,
                struggle,
                intention,
                station_id,
            }),
            (.., station_id) => {
                wrong.extend(station_id.err());
                Err(Wrong::of_fields(wrong))
            }
        }
    }
}

/// The texts' bound, for the forms.
const fn longest() -> usize {
    MAX_ENTRY_TEXT
}

fn entry_id(text: &str) -> Result<EntryId, Fault> {
    let id = Uuid::parse_str(text).map_err(|_| Fault::NotFound)?;
    Ok(EntryId(id))
}

/// A place in the journal, as links spell it: the time, then the id.
fn place(text: &str) -> Option<EntryPlace> {
    let (time, id) = text.split_once('.')?;
    Some(EntryPlace {
        created_at: time.parse().ok()?,
        id: EntryId(Uuid::parse_str(id).ok()?),
    })
}

/// The journal, newest first, with a form to write in it.
pub async fn list(
    Viewer(visit): Viewer,
    State(app): State<App>,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let draft = Draft {
        station: query.get("station").unwrap_or_default().to_owned(),
        ..Draft::default()
    };
    journal(&app, visit, &query, draft).await
}

async fn journal(app: &App, visit: Visit, query: &Fields, draft: Draft) -> Result<Response, Fault> {
    let station = query.get("station").unwrap_or_default().to_owned();
    let before = query.get("before").and_then(place);
    let filter = EntryFilter {
        station_id: StationId::new(&station).ok(),
        before,
    };
    let mut entries = app.entries(&filter, ON_A_PAGE + 1).await?;
    let more = entries.len() > ON_A_PAGE as usize;
    entries.truncate(ON_A_PAGE as usize);
    let last = entries.last().filter(|_| more).map(EntryPlace::of);
    let next = last.map(|EntryPlace { created_at, id }| {
        query.with("before", Some(&format!("{created_at}.{id}")))
    });
    let t = visit.lang.phrases();
    let shown = Journal {
        page: visit.page(app, Place::Journal, t.journal).await,
        first_page: before.is_none(),
        entries,
        station,
        next,
        newest: query.with("before", None),
        draft,
    };
    Ok(render(shown.render()))
}

/// Writes an entry. What does not hold comes back with all that was typed.
pub async fn write(
    Operator(visit): Operator,
    State(app): State<App>,
    posted: Posted,
) -> Result<Response, Fault> {
    let mut draft = Draft::of(&posted.fields);
    draft.wrong = match draft.check() {
        Ok(new) => match app.create_entry(new, posted.once()).await {
            Ok(entry) => return Ok(go_to(&format!("/console/journal/{}", entry.id))),
            Err(error) => Wrong::mendable(error)?,
        },
        Err(wrong) => wrong,
    };
    let mut page = journal(&app, visit, &Fields::default(), draft).await?;
    *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(page)
}

/// An entry, with what was read out of it.
pub async fn show(
    Viewer(visit): Viewer,
    State(app): State<App>,
    Segment(id): Segment,
) -> Result<Response, Fault> {
    let entry = app.entry(entry_id(&id)?).await?.ok_or(Fault::NotFound)?;
    let draft = Draft::of_entry(&entry);
    one(&app, visit, entry, draft).await
}

async fn one(app: &App, visit: Visit, entry: Entry, draft: Draft) -> Result<Response, Fault> {
    let t = visit.lang.phrases();
    let shown = EntryPage {
        analyses: app.analyses(entry.id, None, ANALYSES).await?,
        page: visit.page(app, Place::Journal, t.entry).await,
        entry,
        draft,
    };
    Ok(render(shown.render()))
}

impl EntryPage {
    fn sentiment(&self, analysis: &Analysis) -> &'static str {
        words::sentiment(self.page.lang, analysis.sentiment)
    }

    /// Whether the entry was changed after it was read.
    fn is_old(&self, analysis: &Analysis) -> bool {
        analysis.entry_version != self.entry.version
    }
}

/// Changes an entry, unless somebody else has meanwhile. What does not hold comes back with all that
/// was typed.
pub async fn edit(
    Operator(visit): Operator,
    State(app): State<App>,
    Segment(id): Segment,
    posted: Posted,
) -> Result<Response, Fault> {
    let id = entry_id(&id)?;
    let mut draft = Draft::of(&posted.fields);
    let version = posted.fields.get("version").and_then(|it| it.parse().ok());
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    draft.wrong = match draft.check() {
        Ok(new) => {
            let entry = app.entry(id).await?.ok_or(Fault::NotFound)?;
            // Left as it is, it may be one that is gone.
            let moved = new.station_id != entry.station_id;
            let patch = EntryPatch {
                work: Some(new.work),
                struggle: Some(new.struggle),
                intention: Some(new.intention),
                station_id: moved.then_some(new.station_id),
            };
            match app.update_entry(id, patch, version).await {
                Ok(_) => return Ok(go_to(&format!("/console/journal/{id}"))),
                Err(error) => {
                    if let AppError::PreconditionFailed = error {
                        status = StatusCode::PRECONDITION_FAILED;
                    }
                    Wrong::mendable(error)?
                }
            }
        }
        Err(wrong) => wrong,
    };
    let entry = app.entry(id).await?.ok_or(Fault::NotFound)?;
    let mut page = one(&app, visit, entry, draft).await?;
    *page.status_mut() = status;
    Ok(page)
}

/// Has an entry read.
pub async fn analyze(
    Operator(_): Operator,
    State(app): State<App>,
    Segment(id): Segment,
    posted: Posted,
) -> Result<Response, Fault> {
    let id = entry_id(&id)?;
    let anew = posted.fields.get("fresh").is_some();
    app.analyze_entry(id, anew, posted.once()).await?;
    Ok(go_to(&format!("/console/journal/{id}#analysis")))
}

/// Asks before an entry is removed.
pub async fn ask(
    Operator(visit): Operator,
    State(app): State<App>,
    Segment(id): Segment,
) -> Result<Response, Fault> {
    let entry = app.entry(entry_id(&id)?).await?.ok_or(Fault::NotFound)?;
    let t = visit.lang.phrases();
    let ask = Ask {
        page: visit.page(&app, Place::Journal, t.remove).await,
        question: t.ask_entry_delete.replace("{name}", entry.work.as_str()),
        consequence: t.ask_entry_delete_means.to_owned(),
        button: t.remove.to_owned(),
        harm: true,
        action: format!("/console/journal/{}/delete", entry.id),
        fields: vec![("version".to_owned(), entry.version.to_string())],
        back: format!("/console/journal/{}", entry.id),
    };
    Ok(ask.show())
}

/// Removes an entry.
pub async fn delete(
    Operator(_): Operator,
    State(app): State<App>,
    Segment(id): Segment,
    posted: Posted,
) -> Result<Response, Fault> {
    let version = posted.fields.get("version").and_then(|it| it.parse().ok());
    app.delete_entry(entry_id(&id)?, version).await?;
    Ok(go_to("/console/journal"))
}
