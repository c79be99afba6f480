//! Id tags: who may charge.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::token::{IdTag, IdTagStatus, IdTagUid};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::fault::Fault;
use super::form::{Asked, Fields, Posted};
use super::page::{Page, Place, render};
use super::station::Ask;
use super::visit::{Operator, Viewer, go_to};
use super::words;
use crate::app::{App, IdTagEntry};

/// Tags on a page.
const ON_A_PAGE: u32 = 100;

#[derive(Template)]
#[template(path = "id_tags.html")]
struct List {
    page: Page,
    tags: Vec<IdTag>,
    next: Option<String>,
    first_page: bool,
    statuses: Vec<(&'static str, &'static str)>,
}

/// The list.
pub async fn list(
    Viewer(visit): Viewer,
    State(app): State<App>,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let after = query.get("after").and_then(|uid| IdTagUid::new(uid).ok());
    let mut tags = app.id_tags(after.as_ref(), ON_A_PAGE + 1).await?;
    let more = tags.len() > ON_A_PAGE as usize;
    tags.truncate(ON_A_PAGE as usize);
    let last = tags.last().filter(|_| more);
    let next = last.map(|last| query.with("after", Some(last.uid.as_str())));
    let t = visit.lang.phrases();
    let page = visit.page(&app, Place::IdTags, t.id_tags).await;
    let statuses = IdTagStatus::ALL.iter();
    let shown = List {
        statuses: statuses
            .map(|it| (it.as_str(), words::tag_status(page.lang, *it)))
            .collect(),
        first_page: after.is_none(),
        tags,
        next,
        page,
    };
    Ok(render(shown.render()))
}

impl List {
    /// What holds now: an accepted tag whose date has passed is expired.
    fn status(&self, tag: &IdTag) -> (&'static str, &'static str) {
        let status = tag.status_at(self.page.now);
        (status.as_str(), words::tag_status(self.page.lang, status))
    }
}

/// Where it is asked whether to remove a tag.
fn path(tag: &IdTag) -> String {
    format!("/console/id-tags/{}/delete", in_path(&tag.uid))
}

/// A tag as a segment of a path.
fn in_path(uid: &IdTagUid) -> String {
    let all = percent_encoding::NON_ALPHANUMERIC;
    percent_encoding::utf8_percent_encode(uid.as_str(), all).to_string()
}

fn uid(text: &str) -> Option<IdTagUid> {
    IdTagUid::new(text).ok()
}

/// Enters a tag, or changes what is known of it.
pub async fn put(
    Operator(_): Operator,
    State(app): State<App>,
    posted: Posted,
) -> Result<Response, Fault> {
    let fields = &posted.fields;
    let entry = IdTagEntry {
        status: fields.word("status", |t| t.status, IdTagStatus::from_word)?,
        expires_at: expiry(fields)?,
        parent: match fields.get("parent") {
            Some(_) => Some(fields.word("parent", |t| t.parent_tag, uid)?),
            None => None,
        },
    };
    let tag = fields.word("uid", |t| t.id_tag, uid)?;
    app.put_id_tag(tag, entry, false, None).await?;
    Ok(go_to("/console/id-tags"))
}

/// A date and time as a browser's field gives it, in UTC.
fn expiry(fields: &Fields) -> Result<Option<Timestamp>, Fault> {
    let read = |text: &str| {
        let local: DateTime = text.parse().ok()?;
        Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    match fields.get("expires_at") {
        Some(_) => fields.word("expires_at", |t| t.expires, read).map(Some),
        None => Ok(None),
    }
}

/// Asks before a tag is removed.
pub async fn ask(
    Operator(visit): Operator,
    State(app): State<App>,
    Path(tag): Path<String>,
) -> Result<Response, Fault> {
    let tag = uid(&tag).ok_or(Fault::NotFound)?;
    app.id_tag(&tag).await?.ok_or(Fault::NotFound)?;
    let t = visit.lang.phrases();
    let ask = Ask {
        page: visit.page(&app, Place::IdTags, t.remove).await,
        question: t.ask_tag_delete.replace("{name}", tag.as_str()),
        consequence: t.ask_tag_delete_means.to_owned(),
        button: t.remove.to_owned(),
        harm: true,
        action: format!("/console/id-tags/{}/delete", in_path(&tag)),
        fields: Vec::new(),
        back: "/console/id-tags".to_owned(),
    };
    Ok(ask.show())
}

/// Removes a tag.
pub async fn delete(
    Operator(_): Operator,
    State(app): State<App>,
    Path(tag): Path<String>,
    _: Posted,
) -> Result<Response, Fault> {
    let tag = uid(&tag).ok_or(Fault::NotFound)?;
    app.delete_id_tag(&tag, None).await?;
    Ok(go_to("/console/id-tags"))
}
