//! What forms and queries carry.

use axum::RequestExt as _;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use domain::{EvseNo, TokenId};
use http::header;
use http::request::Parts;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::fault::Fault;
use super::phrases::Say;
use super::visit::{Visit, is_own};
use crate::app::{App, Once, hex};

/// Most fields of a form or a query that are looked at.
const MAX_FIELDS: usize = 64;

/// The fields of a form or a query, by name.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

/// A form that one of our own pages sent, for somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Its fields.
    pub fields: Fields,
    once: Option<(TokenId, String, String)>,
}

/// A form of somebody who is not signed in yet, or who changes nothing that matters.
#[derive(Clone, Debug)]
pub struct Open(pub Fields);

/// A query. What it does not know it passes over.
#[derive(Clone, Debug, Default)]
pub struct Asked(pub Fields);

/// What stands in the path.
#[derive(Clone, Debug)]
pub struct Segment(pub String);

impl Fields {
    fn parse(text: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(text).into_owned();
        Self(pairs.take(MAX_FIELDS).collect())
    }

    /// A field, trimmed; `None` when it is missing or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        let text = found.map(|(_, value)| value.trim())?;
        (!text.is_empty()).then_some(text)
    }

    /// A field as it was typed.
    pub fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// A field that must be one line of at most so many characters.
    pub fn line(&self, name: &str, label: Say, most: usize) -> Result<String, Fault> {
        let wrong = |why: Say| Fault::invalid(label, why);
        let text = self.get(name).ok_or_else(|| wrong(|t| t.wrong_missing))?;
        if text.chars().any(char::is_control) {
            return Err(wrong(|t| t.wrong_characters));
        }
        if text.chars().count() > most {
            return Err(wrong(|t| t.wrong_too_long));
        }
        Ok(text.to_owned())
    }

    /// The same, where it may be missing.
    pub fn line_if_any(
        &self,
        name: &str,
        label: Say,
        most: usize,
    ) -> Result<Option<String>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(_) => self.line(name, label, most).map(Some),
        }
    }

    /// A field that must be one of a closed set.
    pub fn word<T>(
        &self,
        name: &str,
        label: Say,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        let word = self.get(name).and_then(read);
        word.ok_or_else(|| Fault::invalid(label, |t| t.wrong_choice))
    }

    /// The number of a part of a station, where one is named.
    pub fn number<N: TryFrom<i64>>(&self, name: &str, label: Say) -> Result<Option<N>, Fault> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let number = text
            .parse()
            .ok()
            .and_then(|number| N::try_from(number).ok());
        let wrong = || Fault::invalid(label, |t| t.wrong_choice);
        number.map(Some).ok_or_else(wrong)
    }

    /// An EVSE, where one is named.
    pub fn evse(&self) -> Result<Option<EvseNo>, Fault> {
        self.number("evse", |t| t.evse)
    }

    /// The same query with another value of one field; without it when there is none.
    pub fn with(&self, name: &str, value: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, kept) in self.0.iter().filter(|(key, _)| key != name) {
            if !kept.is_empty() {
                query.append_pair(key, kept);
            }
        }
        if let Some(value) = value {
            query.append_pair(name, value);
        }
        format!("?{}", query.finish())
    }

    /// The same fields without some of them.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let kept = self
            .0
            .iter()
            .filter(|(key, _)| !names.contains(&key.as_str()));
        Self(kept.cloned().collect())
    }

    /// Everything there is, for a form that passes it on.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

impl Posted {
    /// The request, so that it is carried out once however often the form is sent.
    pub fn once(&self) -> Option<Once> {
        let (token_id, key, fingerprint) = self.once.clone()?;
        Some(Once {
            token_id,
            key,
            fingerprint,
        })
    }
}

impl FromRequest<App> for Posted {
    type Rejection = Fault;
    async fn from_request(mut request: Request, app: &App) -> Result<Self, Fault> {
        let visit: Visit = request.extract_parts_with_state(app).await?;
        let signed_in = visit.signed_in.ok_or(Fault::SignIn)?;
        if !is_own(request.headers(), &app.settings.console) {
            return Err(Fault::Forged);
        }
        let path = request.uri().path().to_owned();
        let fields = read(request).await?;
        let carried = fields.raw("csrf").as_bytes();
        if !bool::from(carried.ct_eq(visit.csrf.as_bytes())) {
            return Err(Fault::Forged);
        }
        let key = fields.get("once").and_then(|key| Uuid::parse_str(key).ok());
        let rest = fields.without(&["csrf", "once"]);
        let once = key.map(|key| {
            let print = fingerprint(&path, &rest);
            (signed_in.token.id, format!("console-{key}"), print)
        });
        Ok(Self { fields: rest, once })
    }
}

impl FromRequest<App> for Open {
    type Rejection = Fault;
    async fn from_request(request: Request, app: &App) -> Result<Self, Fault> {
        if !is_own(request.headers(), &app.settings.console) {
            return Err(Fault::Forged);
        }
        read(request).await.map(Self)
    }
}

impl FromRequestParts<App> for Segment {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fault> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        // What is not UTF-8 names nothing.
        path.map(|path| Self(path.0)).map_err(|_| Fault::NotFound)
    }
}

impl FromRequestParts<App> for Asked {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Fault> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(Fields::parse(query.as_bytes())))
    }
}

async fn read(request: Request) -> Result<Fields, Fault> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Fault::Unreadable);
    }
    // Bounded like every body here.
    let body: Result<Bytes, BytesRejection> = request.extract().await;
    let body = body.map_err(|_| Fault::Unreadable)?;
    Ok(Fields::parse(&body))
}

/// What is asked, hashed.
fn fingerprint(path: &str, fields: &Fields) -> String {
    let mut digest = Sha256::new().chain_update(path);
    for (key, value) in fields.pairs() {
        digest.update([0]);
        digest.update(key);
        digest.update([1]);
        digest.update(value);
    }
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_trimmed_and_checked() {
        let fields = Fields::parse(b"name=+Night+shift+&empty=&two=a%0Ab&evse=3&long=abcdef");
        assert_eq!(fields.get("name"), Some("Night shift"));
        assert_eq!((fields.get("empty"), fields.get("none")), (None, None));
        let line = |name| fields.line(name, |t| t.name, 12).ok();
        assert_eq!(line("name").as_deref(), Some("Night shift"));
        assert_eq!((line("empty"), line("two")), (None, None));
        assert!(fields.line("long", |t| t.name, 5).is_err());
        assert_eq!(fields.evse().ok().flatten().map(EvseNo::get), Some(3));
    }

    #[test]
    fn a_query_is_changed_in_one_place() {
        let query = Fields::parse(b"q=plaza+mayor&page=3&status=");
        assert_eq!(query.with("page", Some("4")), "?q=plaza+mayor&page=4");
        assert_eq!(query.with("page", None), "?q=plaza+mayor");
    }
}
