//! The field journal of the people who run the network.

use axum::extract::State;
use domain::journal::EntryText;
use domain::{Entry, EntryId, EntryPatch, StationId};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::Object;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Admin, Operator, Viewer};
use super::extract::{
    Body, IfMatch, Key, MAX_DIGITS, Params, Path, Post, Tagged, cursor, cut, limit, segment, text,
};
use super::problem::Problem;
use super::stations::given;
use crate::app::{App, EntryFilter, EntryPlace, MAX_PAGE, NewEntry};

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create, clear))
        .routes(routes!(get, update, delete))
}

/// An entry of the journal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Entry)]
pub struct EntryBody {
    /// Its id.
    id: Uuid,
    /// What was worked on.
    #[schema(example = "Replaced the contactor on connector 2")]
    work: String,
    /// What was hard.
    #[schema(example = "The spare part did not fit at first")]
    struggle: String,
    /// What comes next.
    #[schema(example = "Check the temperature next week")]
    intention: String,
    /// The station it is about. That may be gone.
    #[schema(value_type = Option<String>)]
    station_id: Option<StationId>,
    /// When it was entered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Entry> for EntryBody {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id.0,
            work: entry.work.into(),
            struggle: entry.struggle.into(),
            intention: entry.intention.into(),
            station_id: entry.station_id,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

fn show(entry: Entry) -> Tagged<EntryBody> {
    Tagged::ok(entry.version, entry.into())
}

pub(super) fn entry_id(text: &str) -> Result<EntryId, Problem> {
    segment(text, "Entry").map(EntryId)
}

/// A page of the journal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Journal {
    /// The entries, newest first.
    entries: Vec<EntryBody>,
    /// How many there are on this page.
    count: usize,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A place in the journal, as cursors spell it: the time, then the id.
impl Key for EntryPlace {
    fn parse(text: &str) -> Option<Self> {
        let (time, id) = text.split_once('.')?;
        Some(Self {
            created_at: Key::parse(time)?,
            id: EntryId(Key::parse(id)?),
        })
    }

    fn schema() -> Object {
        let longest = MAX_DIGITS + 1 + uuid::fmt::Hyphenated::LENGTH;
        text(
            longest,
            r"^[0-9]{1,18}\.[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        )
    }
}

fn place(entry: &Entry) -> String {
    let EntryPlace { created_at, id } = EntryPlace::of(entry);
    format!("{created_at}.{id}")
}

/// Which entries.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntryQuery {
    /// Only those about this station.
    #[garde(inner(length(max = 48)))]
    #[param(max_length = 48, nullable = false)]
    station_id: Option<String>,
    /// How many at most.
    #[garde(inner(range(min = 1, max = MAX_PAGE)))]
    #[param(minimum = 1, maximum = 500, default = 50, nullable = false)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[garde(inner(length(max = 64)))]
    #[param(schema_with = EntryPlace::schema)]
    cursor: Option<String>,
}

/// List the journal, newest first.
#[utoipa::path(get, path = "/journal/entries", tag = "Journal", params(EntryQuery),
    responses((status = 200, description = "A page of entries.", body = Journal)))]
async fn list(
    _: Viewer,
    State(app): State<App>,
    Params(query): Params<EntryQuery>,
) -> Result<axum::Json<Journal>, Problem> {
    let limit = limit(query.limit);
    let before = cursor(query.cursor.as_deref())?;
    let station_id = query.station_id.map(|id| StationId::new(&id)).transpose();
    let entries = match station_id {
        Ok(station_id) => {
            let filter = EntryFilter { station_id, before };
            app.entries(&filter, limit + 1).await?
        }
        // No station can have such an id, so none has entries.
        Err(_) => Vec::new(),
    };
    let (entries, next_cursor) = cut(entries, limit, place);
    Ok(axum::Json(Journal {
        count: entries.len(),
        entries: entries.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}

/// Read an entry.
#[utoipa::path(get, path = "/journal/entries/{id}", tag = "Journal",
    params(("id" = Uuid, Path, description = "The entry's id.")),
    responses((status = 200, description = "The entry.", body = EntryBody,
        headers(("ETag", description = "Its version.")))))]
async fn get(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Tagged<EntryBody>, Problem> {
    let entry = app.entry(entry_id(&id)?).await?;
    entry.map(show).ok_or_else(|| Problem::not_found("Entry"))
}

/// What is to be written into the journal.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEntry)]
pub struct NewEntryBody {
    /// What was worked on. Spaces around it are taken off, here and below.
    #[garde(custom(is_entry_text))]
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "entry text",
        example = "Replaced the contactor on connector 2"
    )]
    work: String,
    /// What was hard.
    #[garde(custom(is_entry_text))]
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "entry text",
        example = "The spare part did not fit at first"
    )]
    struggle: String,
    /// What comes next.
    #[garde(custom(is_entry_text))]
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "entry text",
        example = "Check the temperature next week"
    )]
    intention: String,
    /// The station it is about; there must be one.
    #[garde(inner(custom(is_station_id)))]
    #[schema(min_length = 1, max_length = 48, pattern = "station id")]
    #[serde(default)]
    station_id: Option<String>,
}

fn is_entry_text(text: &str, _: &()) -> garde::Result {
    let checked = EntryText::new(text);
    checked.map_or_else(
        |fault| Err(garde::Error::new(fault.to_string())),
        |_| Ok(()),
    )
}

fn is_station_id(text: &str, _: &()) -> garde::Result {
    let checked = StationId::new(text);
    checked.map_or_else(
        |fault| Err(garde::Error::new(fault.to_string())),
        |_| Ok(()),
    )
}

fn entry_text(text: &str, pointer: &str) -> Result<EntryText, Problem> {
    EntryText::new(text).map_err(|fault| Problem::fault(pointer, fault.to_string()))
}

fn station_id(text: Option<&str>) -> Result<Option<StationId>, Problem> {
    let id = text.map(StationId::new).transpose();
    id.map_err(|fault| Problem::fault("/station_id", fault.to_string()))
}

/// What became of a new entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedEntry {
    /// That it was written.
    #[schema(example = "Entry created successfully")]
    detail: &'static str,
    /// The entry.
    entry: EntryBody,
}

/// Write an entry.
#[utoipa::path(post, path = "/journal/entries", tag = "Journal", request_body = NewEntryBody,
    responses((status = 201, description = "The entry.", body = CreatedEntry,
        headers(("ETag", description = "Its version."), ("Location", description = "Where it is.")))))]
async fn create(
    Operator(caller): Operator,
    State(app): State<App>,
    post: Post<NewEntryBody>,
) -> Result<Tagged<CreatedEntry>, Problem> {
    let once = post.once(caller.token_id);
    let new = NewEntry {
        work: entry_text(&post.body.work, "/work")?,
        struggle: entry_text(&post.body.struggle, "/struggle")?,
        intention: entry_text(&post.body.intention, "/intention")?,
        station_id: station_id(post.body.station_id.as_deref())?,
    };
    let entry = app.create_entry(new, once).await?;
    let location = format!("/api/v1/journal/entries/{}", entry.id);
    let (version, detail) = (entry.version, "Entry created successfully");
    let entry = entry.into();
    let body = CreatedEntry { detail, entry };
    Ok(Tagged::created(version, location, body))
}

/// What is to change about an entry.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EntryPatch)]
pub struct EntryPatchBody {
    /// What was worked on.
    #[garde(inner(custom(is_entry_text)))]
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "entry text",
        nullable = false
    )]
    #[serde(default, deserialize_with = "given")]
    work: Option<String>,
    /// What was hard.
    #[garde(inner(custom(is_entry_text)))]
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "entry text",
        nullable = false
    )]
    #[serde(default, deserialize_with = "given")]
    struggle: Option<String>,
    /// What comes next.
    #[garde(inner(custom(is_entry_text)))]
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = "entry text",
        nullable = false
    )]
    #[serde(default, deserialize_with = "given")]
    intention: Option<String>,
    /// The station it is about; there must be one.
    #[garde(inner(custom(is_station_id)))]
    #[schema(schema_with = StationId::schema)]
    #[serde(default, deserialize_with = "given")]
    station_id: Option<String>,
}

/// Change what is given of an entry.
#[utoipa::path(patch, path = "/journal/entries/{id}", tag = "Journal",
    request_body = EntryPatchBody,
    params(("id" = Uuid, Path, description = "The entry's id.")),
    responses((status = 200, description = "The entry.", body = EntryBody,
        headers(("ETag", description = "Its version.")))))]
async fn update(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    IfMatch(if_match): IfMatch,
    Body(body): Body<EntryPatchBody>,
) -> Result<Tagged<EntryBody>, Problem> {
    let text =
        |text: Option<String>, pointer| text.map(|text| entry_text(&text, pointer)).transpose();
    let patch = EntryPatch {
        work: text(body.work, "/work")?,
        struggle: text(body.struggle, "/struggle")?,
        intention: text(body.intention, "/intention")?,
        station_id: station_id(body.station_id.as_deref())?.map(Some),
    };
    let entry = app.update_entry(entry_id(&id)?, patch, if_match).await?;
    Ok(show(entry))
}

/// That something was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// What.
    #[schema(example = "Entry deleted successfully")]
    detail: &'static str,
}

/// Remove an entry, and what was read out of it.
#[utoipa::path(delete, path = "/journal/entries/{id}", tag = "Journal",
    params(("id" = Uuid, Path, description = "The entry's id.")),
    responses((status = 200, description = "Removed.", body = Done)))]
async fn delete(
    _: Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    IfMatch(if_match): IfMatch,
) -> Result<axum::Json<Done>, Problem> {
    app.delete_entry(entry_id(&id)?, if_match).await?;
    let detail = "Entry deleted successfully";
    Ok(axum::Json(Done { detail }))
}

/// Remove the whole journal.
#[utoipa::path(delete, path = "/journal/entries", tag = "Journal",
    responses((status = 200, description = "All removed.", body = Done)))]
async fn clear(_: Admin, State(app): State<App>) -> Result<axum::Json<Done>, Problem> {
    app.clear_journal().await?;
    let detail = "All entries deleted";
    Ok(axum::Json(Done { detail }))
}
