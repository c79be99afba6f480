//! Id tags: who may charge.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::token::{IdTag, IdTagStatus, IdTagUid};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::fault::Fault;
use super::form::{Asked, Fields, Posted, Segment};
use super::page::{Page, Place, render};
use super::phrases::Say;
use super::station::Ask;
use super::visit::{Operator, Viewer, go_to};
use super::words;
use crate::app::{App, AppError, IdTagEntry};

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
    form: Form,
    /// What the list was asked with, for its links.
    query: Fields,
}

/// What the form is filled with.
#[derive(Default)]
struct Form {
    uid: String,
    status: &'static str,
    expires: String,
    parent: String,
    /// Which version of a tag it changes; `None` when it enters a new one.
    version: Option<i64>,
    /// Somebody meant to enter a tag that was there.
    known: bool,
}

impl Form {
    fn of(tag: &IdTag, known: bool) -> Self {
        let expires = |at: Timestamp| {
            let at = at.to_zoned(TimeZone::UTC).datetime();
            // As a browser's field has it: seconds only where there are some.
            let style = if at.second() == 0 {
                "%H:%M"
            } else {
                "%H:%M:%S"
            };
            at.strftime(&format!("%Y-%m-%dT{style}")).to_string()
        };
        let parent = tag.parent.as_ref();
        Self {
            uid: tag.uid.as_str().to_owned(),
            status: tag.status.as_str(),
            expires: tag.expires_at.map_or_else(String::new, expires),
            parent: parent.map_or_else(String::new, |it| it.as_str().to_owned()),
            version: Some(tag.version),
            known,
        }
    }
}

/// The list, with a form to enter a tag, or to change the one that the query names.
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
    let named = match query.get("uid").and_then(uid) {
        Some(uid) => app.id_tag(&uid).await?,
        None => None,
    };
    let form = named.map_or_else(Form::default, |tag| {
        Form::of(&tag, query.get("known").is_some())
    });
    let query = query.without(&["uid", "known"]);
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
        form,
        query,
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

    /// Where the form is filled with a tag.
    fn edit(&self, tag: &IdTag) -> String {
        let query = self.query.with("uid", Some(tag.uid.as_str()));
        format!("/console/id-tags{query}#put")
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

/// A tag that a form names.
fn tag(fields: &Fields, name: &str, label: Say) -> Result<IdTagUid, Fault> {
    let wrong = |why: Say| Fault::invalid(label, why);
    let text = fields.get(name).ok_or_else(|| wrong(|t| t.wrong_missing))?;
    uid(text).ok_or_else(|| wrong(|t| t.wrong_tag))
}

/// Enters a tag, or changes the one that was opened for it. One that is there is not entered anew:
/// that would undo what was decided about it, such as that it is blocked.
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
            Some(_) => Some(tag(fields, "parent", |t| t.parent_tag)?),
            None => None,
        },
    };
    let uid = tag(fields, "uid", |t| t.id_tag)?;
    let opened: Option<i64> = fields.number("version", |t| t.id_tag)?;
    // A tag that is not there has the version 0.
    let version = Some(opened.unwrap_or(0));
    let path = in_path(&uid);
    match app.put_id_tag(uid, entry, opened.is_some(), version).await {
        Err(AppError::PreconditionFailed) if opened.is_none() => {
            Ok(go_to(&format!("/console/id-tags?uid={path}&known=1#put")))
        }
        put => {
            put?;
            Ok(go_to("/console/id-tags"))
        }
    }
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
    Segment(tag): Segment,
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
    Segment(tag): Segment,
    _: Posted,
) -> Result<Response, Fault> {
    let tag = uid(&tag).ok_or(Fault::NotFound)?;
    app.delete_id_tag(&tag, None).await?;
    Ok(go_to("/console/id-tags"))
}
