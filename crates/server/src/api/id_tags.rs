//! Id tags: who may charge.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::token::{IdTag, IdTagStatus, IdTagUid};
use garde::Validate;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Operator, Viewer};
use super::extract::{Body, IfMatch, Page, Params, Path, Tagged, cut};
use super::problem::Problem;
use super::schema;
use crate::app::{App, IdTagEntry};

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, put, delete))
}

/// An id tag.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdTag)]
pub struct IdTagBody {
    /// Its text, in upper case: tags are compared without regard to case.
    #[schema(value_type = String, example = "04A2B3C4D5E680")]
    uid: IdTagUid,
    /// What was entered about it.
    #[schema(schema_with = schema::id_tag_status)]
    status: IdTagStatus,
    /// What holds now: an accepted tag whose date has passed is expired.
    #[schema(schema_with = schema::id_tag_status)]
    status_now: IdTagStatus,
    /// From when on it no longer holds.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The tag of the group it belongs to.
    #[schema(value_type = Option<String>)]
    parent: Option<IdTagUid>,
    /// When it was entered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl IdTagBody {
    fn new(tag: &IdTag, now: Timestamp) -> Self {
        Self {
            uid: tag.uid.clone(),
            status: tag.status,
            status_now: tag.status_at(now),
            expires_at: tag.expires_at,
            parent: tag.parent.clone(),
            created_at: tag.created_at,
            updated_at: tag.updated_at,
        }
    }
}

fn uid(text: &str) -> Result<IdTagUid, Problem> {
    IdTagUid::new(text).map_err(|_| Problem::not_found("Id tag"))
}

/// A page of id tags.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdTags {
    /// The tags, by their text.
    id_tags: Vec<IdTagBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// List id tags.
#[utoipa::path(get, path = "/id-tags", tag = "Id tags", params(Page<IdTagUid>),
    responses((status = 200, description = "A page of id tags.", body = IdTags)))]
async fn list(
    _: Viewer,
    State(app): State<App>,
    Params(page): Params<Page<IdTagUid>>,
) -> Result<axum::Json<IdTags>, Problem> {
    let limit = page.limit();
    let after = page.cursor()?;
    let tags = app.id_tags(after.as_ref(), limit + 1).await?;
    let (tags, next_cursor) = cut(tags, limit, |tag| tag.uid.as_str().to_owned());
    let now = app.clock.now();
    let id_tags = tags.iter().map(|tag| IdTagBody::new(tag, now)).collect();
    Ok(axum::Json(IdTags {
        id_tags,
        next_cursor,
    }))
}

/// Read an id tag.
#[utoipa::path(get, path = "/id-tags/{uid}", tag = "Id tags",
    params(("uid" = String, Path, description = "The tag's text.", max_length = 36)),
    responses((status = 200, description = "The tag.", body = IdTagBody,
        headers(("ETag", description = "Its version.")))))]
async fn get(
    _: Viewer,
    State(app): State<App>,
    Path(text): Path<String>,
) -> Result<Tagged<IdTagBody>, Problem> {
    let tag = app
        .id_tag(&uid(&text)?)
        .await?
        .ok_or_else(|| Problem::not_found("Id tag"))?;
    Ok(Tagged::ok(
        tag.version,
        IdTagBody::new(&tag, app.clock.now()),
    ))
}

/// What is to be entered about a tag.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutIdTagBody {
    /// May its holder charge?
    #[garde(skip)]
    #[schema(schema_with = schema::id_tag_status)]
    status: IdTagStatus,
    /// From when on it no longer holds.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default)]
    expires_at: Option<Timestamp>,
    /// The tag of the group it belongs to.
    #[garde(inner(length(chars, min = 1, max = 36)), custom(is_uid))]
    #[schema(
        min_length = 1,
        max_length = 36,
        pattern = "^[\\x21-\\x2e\\x30-\\x7e]*[\\x21-\\x2d\\x30-\\x7e][\\x21-\\x2e\\x30-\\x7e]*$"
    )]
    #[serde(default)]
    parent: Option<String>,
}

fn is_uid(text: &Option<String>, _: &()) -> garde::Result {
    let checked = text
        .as_deref()
        .map_or(Ok(()), |text| IdTagUid::new(text).map(drop));
    checked.map_err(|error| garde::Error::new(error.to_string()))
}

/// Enter an id tag, or replace what is known of it.
#[utoipa::path(put, path = "/id-tags/{uid}", tag = "Id tags", request_body = PutIdTagBody,
    params(("uid" = String, Path, description = "The tag's text.", max_length = 36)),
    responses((status = 200, description = "The tag, replaced.", body = IdTagBody,
            headers(("ETag", description = "Its version."))),
        (status = 201, description = "The tag, entered.", body = IdTagBody,
            headers(("ETag", description = "Its version.")))))]
async fn put(
    _: Operator,
    State(app): State<App>,
    Path(text): Path<String>,
    IfMatch(if_match): IfMatch,
    headers: HeaderMap,
    Body(body): Body<PutIdTagBody>,
) -> Result<Response, Problem> {
    let uid = IdTagUid::new(&text).map_err(|error| Problem::fault("uid", error.to_string()))?;
    let parent = body.parent.as_deref().map(IdTagUid::new).transpose();
    let parent = parent.map_err(|error| Problem::fault("/parent", error.to_string()))?;
    let entry = IdTagEntry {
        status: body.status,
        expires_at: body.expires_at,
        parent,
    };
    // No condition, not even `*`, holds for what is not there.
    let must_exist = headers.contains_key(header::IF_MATCH);
    let put = app.put_id_tag(uid, entry, must_exist, if_match);
    let (tag, new) = put.await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let body = IdTagBody::new(&tag, app.clock.now());
    Ok(Tagged {
        version: tag.version,
        status,
        location: None,
        body,
    }
    .into_response())
}

/// Remove an id tag: it is not known any more.
#[utoipa::path(delete, path = "/id-tags/{uid}", tag = "Id tags",
    params(("uid" = String, Path, description = "The tag's text.", max_length = 36)),
    responses((status = 204, description = "Removed.")))]
async fn delete(
    _: Operator,
    State(app): State<App>,
    Path(text): Path<String>,
    IfMatch(if_match): IfMatch,
) -> Result<StatusCode, Problem> {
    app.delete_id_tag(&uid(&text)?, if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}
