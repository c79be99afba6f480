//! What requests carry: bodies, paths, queries and conditions, each refused with a problem document
//! that says what would do.

use std::marker::PhantomData;

use axum::RequestExt as _;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::id::MAX_STATION_ID;
use domain::token::{IdTagUid, MAX_ID_TAG};
use domain::{StationId, TokenId};
use garde::Validate;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};
use uuid::Uuid;

use super::json::Json;
use super::problem::{Fault, Problem};
use crate::app::{App, MAX_PAGE, Once};

/// Longest request body. The longest sensible one, a station with all its EVSEs, has 40 KiB.
pub const MAX_BODY: usize = 64 * 1024;
/// Longest `Idempotency-Key`.
const MAX_KEY: usize = 255;
/// As many digits as always fit into 64 bits.
pub const MAX_DIGITS: usize = 18;
/// How long a page is when nobody says.
const DEFAULT_PAGE: u32 = 50;

/// A JSON body, checked.
#[derive(Clone, Debug)]
pub struct Body<T>(pub T);

/// The JSON body of a POST, with its `Idempotency-Key`.
#[derive(Clone, Debug)]
pub struct Post<T> {
    /// The body, checked.
    pub body: T,
    /// The key, and the request's fingerprint.
    once: Option<(String, String)>,
}

/// A POST that says everything in its path and query, with its `Idempotency-Key`. A body that comes
/// all the same is not read.
#[derive(Clone, Debug)]
pub struct Bodiless {
    /// The key, and the request's fingerprint.
    once: Option<(String, String)>,
}

impl<T> Post<T> {
    /// The request, if it is to be carried out once however often it is sent.
    pub fn once(&self, token_id: TokenId) -> Option<Once> {
        once(self.once.as_ref(), token_id)
    }
}

impl Bodiless {
    /// The request, if it is to be carried out once however often it is sent.
    pub fn once(&self, token_id: TokenId) -> Option<Once> {
        once(self.once.as_ref(), token_id)
    }
}

fn once(once: Option<&(String, String)>, token_id: TokenId) -> Option<Once> {
    let (key, fingerprint) = once.cloned()?;
    Some(Once {
        token_id,
        key,
        fingerprint,
    })
}

impl<T> FromRequest<App> for Body<T>
where
    T: DeserializeOwned + Validate<Context: Default>,
{
    type Rejection = Problem;
    async fn from_request(request: Request, _: &App) -> Result<Self, Problem> {
        let bytes = read(request).await?;
        parse(&bytes).map(Self)
    }
}

impl<T> FromRequest<App> for Post<T>
where
    T: DeserializeOwned + Validate<Context: Default>,
{
    type Rejection = Problem;
    async fn from_request(request: Request, _: &App) -> Result<Self, Problem> {
        let key = idempotency_key(request.headers())?;
        let path = request.uri().path().to_owned();
        let bytes = read(request).await?;
        let body = parse(&bytes)?;
        let once = key.map(|key| (key, fingerprint(&path, &bytes)));
        Ok(Self { body, once })
    }
}

impl FromRequestParts<App> for Bodiless {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let key = idempotency_key(&parts.headers)?;
        let query = parts.uri.query().unwrap_or_default();
        let print = || fingerprint(parts.uri.path(), query.as_bytes());
        let once = key.map(|key| (key, print()));
        Ok(Self { once })
    }
}

/// What is asked, hashed.
fn fingerprint(path: &str, rest: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(path)
        .chain_update([0])
        .chain_update(rest);
    BASE64_URL_SAFE_NO_PAD.encode(digest.finalize())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.is_empty() || key.len() > MAX_KEY || !visible {
        let detail = "an Idempotency-Key has 1 to 255 visible ASCII characters";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    Ok(Some(key.to_owned()))
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let detail = "send JSON, with the header Content-Type: application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    request
        .extract()
        .await
        .map_err(|rejection: BytesRejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("a body has at most {MAX_BODY} bytes");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
            }
            status => Problem::new(status, "the body could not be read"),
        })
}

fn parse<T: DeserializeOwned + Validate<Context: Default>>(bytes: &[u8]) -> Result<T, Problem> {
    let json = serde_json::from_slice(bytes).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, format!("this is no JSON: {error}"))
    })?;
    let value: T = serde_path_to_error::deserialize(Json(json)).map_err(|error| {
        let pointer = pointer(&error.path().to_string());
        Problem::fault(pointer, error.into_inner().to_string())
    })?;
    value.validate().map_err(|report| {
        let fault = |(path, error): &(garde::Path, garde::Error)| Fault {
            // Rust writes a field `type` as `r#type`.
            pointer: pointer(&path.to_string().replace("r#", "")),
            detail: error.message().to_owned(),
        };
        Problem::invalid(report.iter().map(fault).collect())
    })?;
    Ok(value)
}

/// `evses[0].connectors` as a JSON pointer.
fn pointer(path: &str) -> String {
    if path == "." || path.is_empty() {
        return String::new();
    }
    let mut pointer = String::from("/");
    for c in path.chars() {
        match c {
            '.' | '[' if pointer.ends_with('/') => {}
            '.' | '[' => pointer.push('/'),
            ']' => {}
            '/' => pointer.push_str("~1"),
            '~' => pointer.push_str("~0"),
            c => pointer.push(c),
        }
    }
    pointer
}

/// What stands in the path.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, app).await;
        let refused = |_| {
            let detail = "there is nothing here; a path is written in UTF-8";
            Problem::new(StatusCode::NOT_FOUND, detail)
        };
        path.map(|path| Self(path.0)).map_err(refused)
    }
}

/// A query, checked.
#[derive(Clone, Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned + Validate<Context: Default>> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let Query(value) = Query::<T>::try_from_uri(&parts.uri).map_err(|rejection| {
            use std::error::Error as _;
            let detail = rejection
                .source()
                .map_or(rejection.to_string(), ToString::to_string);
            let (pointer, detail) = match detail.split_once(": ") {
                Some((name, what)) if !name.contains(' ') => (name.to_owned(), what.to_owned()),
                _ => (String::new(), detail),
            };
            Problem::fault(pointer, detail)
        })?;
        value.validate().map_err(|report| {
            let fault = |(path, error): &(garde::Path, garde::Error)| Fault {
                pointer: path.to_string(),
                detail: error.message().to_owned(),
            };
            Problem::invalid(report.iter().map(fault).collect())
        })?;
        Ok(Self(value))
    }
}

/// A segment of the path that must be an id; what cannot be one is not found.
pub fn segment<T: Key>(text: &str, what: &'static str) -> Result<T, Problem> {
    T::parse(text).ok_or_else(|| Problem::not_found(what))
}

/// A segment of the path that must be a number of a part.
pub fn number<T: TryFrom<i64>>(text: &str, what: &'static str) -> Result<T, Problem> {
    // `+1` and `01` would be second names of the same thing.
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let number = if digits {
        text.parse::<i64>().ok()
    } else {
        None
    };
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| Problem::not_found(what))
}

/// What names a thing in a path, and a place in a list. Each has one spelling.
pub trait Key: Sized {
    /// Reads it.
    fn parse(text: &str) -> Option<Self>;
    /// How it looks in the description of the API.
    fn schema() -> Object;
}

impl Key for StationId {
    fn parse(text: &str) -> Option<Self> {
        Self::new(text).ok()
    }

    fn schema() -> Object {
        text(MAX_STATION_ID, STATION_ID)
    }
}

impl Key for IdTagUid {
    fn parse(text: &str) -> Option<Self> {
        Self::new(text).ok()
    }

    fn schema() -> Object {
        text(MAX_ID_TAG, ID_TAG)
    }
}

impl Key for Uuid {
    fn parse(text: &str) -> Option<Self> {
        // The other spellings, without hyphens or in braces, would be second names.
        let hyphenated = text.len() == uuid::fmt::Hyphenated::LENGTH;
        Self::parse_str(text).ok().filter(|_| hyphenated)
    }

    fn schema() -> Object {
        let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
        let object = ObjectBuilder::new().schema_type(Type::String);
        object.format(Some(format)).build()
    }
}

/// The sequence number of an event.
impl Key for i64 {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = digits && text.len() <= MAX_DIGITS;
        text.parse().ok().filter(|_| fits)
    }

    fn schema() -> Object {
        text(MAX_DIGITS, "^[0-9]+$")
    }
}

/// How a text of one kind of characters looks in the description of the API.
pub fn text(longest: usize, pattern: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(longest))
        .pattern(Some(pattern))
        .build()
}

/// Which page of a list of things named by `K`.
#[derive(Clone, Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Page<K> {
    /// How many at most.
    #[garde(inner(range(min = 1, max = MAX_PAGE)))]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[garde(skip)]
    cursor: Option<String>,
    #[garde(skip)]
    #[serde(skip)]
    key: PhantomData<fn() -> K>,
}

impl<K: Key> Page<K> {
    /// How many at most.
    pub fn limit(&self) -> u32 {
        limit(self.limit)
    }

    /// Where to begin, when the cursor is one this server gave.
    pub fn cursor(&self) -> Result<Option<K>, Problem> {
        cursor(self.cursor.as_deref())
    }
}

impl<K: Key> IntoParams for Page<K> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(MAX_PAGE))
            .default(Some(DEFAULT_PAGE.into()));
        let parameter = |name: &str, description: &str, schema: Object| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(description))
                .schema(Some(schema))
                .build()
        };
        vec![
            parameter("limit", "How many at most.", limit.build()),
            parameter("cursor", "`next_cursor` of the page before.", K::schema()),
        ]
    }
}

/// How many at most, where a query has its own fields beside the page's.
pub fn limit(limit: Option<u32>) -> u32 {
    limit.unwrap_or(DEFAULT_PAGE)
}

/// Where to begin, likewise.
pub fn cursor<T: Key>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let refused = || {
        Problem::fault(
            "cursor",
            "use the next_cursor of the page before, unchanged",
        )
    };
    cursor
        .map(|text| T::parse(text).ok_or_else(refused))
        .transpose()
}

/// Cuts a list that was read one longer than the page, and tells where the next begins.
pub fn cut<T>(
    mut items: Vec<T>,
    limit: u32,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = if more { items.last().map(key) } else { None };
    (items, next)
}

/// The version a change is conditional on.
#[derive(Clone, Copy, Debug)]
pub struct IfMatch(pub Option<i64>);

/// Longest `If-Match` looked at; our `ETag`s have up to 21 characters.
const MAX_IF_MATCH: usize = 64;
/// What an `If-Match` looks like here: one `ETag`, or a star for whatever there is.
pub const IF_MATCH: &str = r"^[\x21-\x7e]{1,64}$";

impl FromRequestParts<App> for IfMatch {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let value = value.as_bytes();
        let visible = value.iter().all(u8::is_ascii_graphic);
        if value.is_empty() || value.len() > MAX_IF_MATCH || !visible {
            let detail = "If-Match takes the one ETag of the resource as it was read";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        if value == b"*" {
            return Ok(Self(None));
        }
        let tag = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""))
            .and_then(|tag| str::from_utf8(tag).ok()?.parse().ok());
        // A tag that is none of ours matches nothing.
        Ok(Self(Some(tag.unwrap_or(-1))))
    }
}

/// A body with the version it shows, as its `ETag`.
#[derive(Clone, Debug)]
pub struct Tagged<T> {
    /// The version.
    pub version: i64,
    /// The status to answer with.
    pub status: StatusCode,
    /// Where a new resource is.
    pub location: Option<String>,
    /// The body.
    pub body: T,
}

impl<T> Tagged<T> {
    /// An answer that shows a resource.
    pub fn ok(version: i64, body: T) -> Self {
        Self {
            version,
            status: StatusCode::OK,
            location: None,
            body,
        }
    }

    /// An answer that shows a new resource.
    pub fn created(version: i64, location: String, body: T) -> Self {
        Self {
            version,
            status: StatusCode::CREATED,
            location: Some(location),
            body,
        }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.version)) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(location) = self.location.and_then(|l| HeaderValue::from_str(&l).ok()) {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}

/// A text for people: something visible, and no control characters.
pub fn is_plain(text: &str, _: &()) -> garde::Result {
    let control = |c: char| c < ' ' || c == '\u{7f}';
    if text.chars().any(control) || !text.chars().any(|c| c > ' ') {
        return Err(garde::Error::new(
            "has something to read, and no control characters",
        ));
    }
    Ok(())
}

/// The same for a text that may be missing.
pub fn is_plain_if_any(text: &Option<String>, context: &()) -> garde::Result {
    text.as_deref()
        .map_or(Ok(()), |text| is_plain(text, context))
}

/// What a station's id looks like.
pub const STATION_ID: &str = r"^[A-Za-z0-9*_=+|@.\-]*[A-Za-z0-9*_=+|@\-][A-Za-z0-9*_=+|@.\-]*$";
/// What an id tag looks like.
pub const ID_TAG: &str = r"^[\x21-\x2e\x30-\x7e]*[\x21-\x2d\x30-\x7e][\x21-\x2e\x30-\x7e]*$";
/// What [`is_plain`] accepts, for the description of the API.
pub const PLAIN: &str = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$";
/// What a text of the journal looks like: something visible, lines and tabs, and no other control
/// characters. Written as JSON Schema has it, in code units.
pub const ENTRY_TEXT: &str = concat!(
    r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*",
    r"[^\s\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f",
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]",
    r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_pointers() {
        assert_eq!(pointer("."), "");
        assert_eq!(pointer("name"), "/name");
        assert_eq!(
            pointer("evses[0].connectors[12].type"),
            "/evses/0/connectors/12/type"
        );
    }

    #[test]
    fn a_page_is_cut_and_says_where_the_next_begins() {
        let key = |n: &i32| n.to_string();
        assert_eq!(
            cut(vec![1, 2, 3], 2, key),
            (vec![1, 2], Some("2".to_owned()))
        );
        assert_eq!(cut(vec![1, 2], 2, key), (vec![1, 2], None));
    }
}
