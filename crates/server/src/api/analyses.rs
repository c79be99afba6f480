//! What is read out of the journal, and the stories told of stations.

use axum::extract::State;
use domain::{Analysis, AnalysisId, Sentiment, StationId};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Operator, Viewer};
use super::extract::{Bodiless, Page, Params, Path, cut, segment};
use super::journal::entry_id;
use super::problem::Problem;
use super::schema;
use crate::app::{App, Claim, StationStory};

/// How many days a story is of when nobody says.
const DEFAULT_DAYS: u32 = 7;
/// The longest time a story is of.
const MAX_DAYS: u32 = 30;

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(analyze))
        .routes(routes!(list))
        .routes(routes!(tell))
}

/// What was read out of an entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Analysis)]
pub struct AnalysisBody {
    /// The entry.
    entry_id: Uuid,
    /// How it went.
    #[schema(schema_with = schema::sentiment)]
    sentiment: Sentiment,
    /// Two sentences, in the language of the entry.
    summary: String,
    /// What it is about: two to four.
    #[schema(min_items = 2, max_items = 4)]
    topics: Vec<String>,
    /// Who read it: the model's name, or `embedded`.
    #[schema(example = "embedded")]
    model: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Analysis> for AnalysisBody {
    fn from(analysis: Analysis) -> Self {
        Self {
            entry_id: analysis.entry_id.0,
            sentiment: analysis.sentiment,
            summary: analysis.summary,
            topics: analysis.topics,
            model: analysis.model,
            created_at: analysis.created_at,
        }
    }
}

/// How an entry is analysed.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AnalyzeQuery {
    /// Analyse it anew, though it has not changed since the last time.
    #[garde(skip)]
    #[param(default = false)]
    #[serde(default)]
    fresh: bool,
}

/// Analyse an entry: how it went, in brief, and about what.
///
/// An entry that has not changed since the same analyser last read it is answered from the store.
#[utoipa::path(post, path = "/journal/entries/{id}/analyze", tag = "Journal",
    params(("id" = Uuid, Path, description = "The entry's id."), AnalyzeQuery),
    responses((status = 200, description = "What was read out of it.", body = AnalysisBody),
        (status = 502, description = "The language model answered wrongly.", body = Problem,
            content_type = "application/problem+json")))]
async fn analyze(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    Params(query): Params<AnalyzeQuery>,
    post: Bodiless,
) -> Result<axum::Json<AnalysisBody>, Problem> {
    let once = post.once(caller.token_id);
    let id = entry_id(&id)?;
    let analysis = app.analyze_entry(id, query.fresh, once).await?;
    Ok(axum::Json(analysis.into()))
}

/// A page of analyses.
#[derive(Debug, Serialize, ToSchema)]
pub struct Analyses {
    /// The analyses, newest first. The fifty newest are kept.
    analyses: Vec<AnalysisBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// List what was read out of an entry.
#[utoipa::path(get, path = "/journal/entries/{id}/analyses", tag = "Journal",
    params(("id" = Uuid, Path, description = "The entry's id."), Page<Uuid>),
    responses((status = 200, description = "A page of analyses.", body = Analyses)))]
async fn list(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
    Params(page): Params<Page<Uuid>>,
) -> Result<axum::Json<Analyses>, Problem> {
    let limit = page.limit();
    let before = page.cursor()?.map(AnalysisId);
    let analyses = app.analyses(entry_id(&id)?, before, limit + 1).await?;
    let (analyses, next_cursor) = cut(analyses, limit, |analysis| analysis.id.to_string());
    Ok(axum::Json(Analyses {
        analyses: analyses.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}

/// A sentence about a station, and what it rests on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Claim)]
pub struct ClaimBody {
    /// The sentence.
    text: String,
    /// Sequence numbers of the events it rests on.
    events: Vec<i64>,
    /// The charging sessions it rests on.
    sessions: Vec<Uuid>,
    /// The entries of the journal it rests on.
    entries: Vec<Uuid>,
}

impl From<Claim> for ClaimBody {
    fn from(claim: Claim) -> Self {
        Self {
            text: claim.text,
            events: claim.events,
            sessions: claim.sessions.into_iter().map(|id| id.0).collect(),
            entries: claim.entries.into_iter().map(|id| id.0).collect(),
        }
    }
}

/// The story of a station's last days.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StationStory)]
pub struct StoryBody {
    /// The station.
    #[schema(value_type = String)]
    station_id: StationId,
    /// From when on things were looked at.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// What happened.
    what_happened: Vec<ClaimBody>,
    /// Why, the likeliest first.
    likely_cause: Vec<ClaimBody>,
    /// What to do, the most useful first.
    next_step: Vec<ClaimBody>,
    /// Who tells it: the model's name, or `embedded`.
    #[schema(example = "embedded")]
    model: String,
}

impl From<StationStory> for StoryBody {
    fn from(told: StationStory) -> Self {
        let list = |claims: Vec<Claim>| claims.into_iter().map(Into::into).collect();
        Self {
            station_id: told.station_id,
            from: told.from,
            to: told.to,
            what_happened: list(told.story.what_happened),
            likely_cause: list(told.story.likely_cause),
            next_step: list(told.story.next_step),
            model: told.model,
        }
    }
}

/// Which time a story is of.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StoryQuery {
    /// How many days back.
    #[garde(inner(range(min = 1, max = MAX_DAYS)))]
    #[param(minimum = 1, maximum = 30, default = 7, nullable = false)]
    days: Option<u32>,
}

/// Tell a station's story: what happened, the likely cause, the next step.
///
/// Each claim names the events, charging sessions and journal entries it rests on.
#[utoipa::path(post, path = "/stations/{id}/analyze", tag = "Stations",
    params(("id" = String, Path, description = "Network identity.", max_length = 48), StoryQuery),
    responses((status = 200, description = "The story.", body = StoryBody),
        (status = 502, description = "The language model answered wrongly.", body = Problem,
            content_type = "application/problem+json")))]
async fn tell(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    Params(query): Params<StoryQuery>,
    post: Bodiless,
) -> Result<axum::Json<StoryBody>, Problem> {
    let once = post.once(caller.token_id);
    let id: StationId = segment(&id, "Station")?;
    let days = query.days.unwrap_or(DEFAULT_DAYS);
    let told = app.tell_story(&id, days, once).await?;
    Ok(axum::Json(told.into()))
}
