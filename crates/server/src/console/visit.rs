//! What every request of the console goes through: who is it, how does he like it, and may he.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::token::Role;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use super::page::{Page, Place};
use super::phrases::Lang;
use super::preferences::Theme;
use crate::app::{App, SignedIn, hex};
use crate::state::ConsoleSettings;

/// Somebody's request, as far as its head tells.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The language he reads.
    pub lang: Lang,
    /// Light or dark.
    pub theme: Theme,
    /// Who he is, when he is signed in.
    pub signed_in: Option<SignedIn>,
    /// What his forms must carry.
    pub csrf: String,
    /// Whether the browser's side of the line is encrypted.
    pub secure: bool,
    /// Path and query.
    pub here: String,
    /// The page of ours that he comes from, as far as his browser tells.
    pub from: Option<String>,
    /// What his browser presents.
    secret: Option<String>,
}

/// Somebody who may read.
#[derive(Clone, Debug)]
pub struct Viewer(pub Visit);
/// Somebody who may run the network.
#[derive(Clone, Debug)]
pub struct Operator(pub Visit);
/// Somebody who may say who else may.
#[derive(Clone, Debug)]
pub struct Admin(pub Visit);

/// Says which role an extractor asks for.
macro_rules! role {
    ($name:ident, $role:expr) => {
        impl FromRequestParts<App> for $name {
            type Rejection = Fault;
            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Fault> {
                let visit = Visit::from_request_parts(parts, app).await?;
                match visit.role() {
                    None => Err(Fault::SignIn),
                    Some(role) if role < $role => Err(Fault::Forbidden($role)),
                    Some(_) => Ok(Self(visit)),
                }
            }
        }
    };
}
role!(Viewer, Role::Viewer);
role!(Operator, Role::Operator);
role!(Admin, Role::Admin);

impl FromRequestParts<App> for Visit {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Fault> {
        // Put there by `receive`, which every request comes through.
        parts.extensions.get::<Self>().cloned().ok_or(Fault::SignIn)
    }
}

impl Visit {
    /// What he may do.
    pub fn role(&self) -> Option<Role> {
        self.signed_in.as_ref().map(|who| who.token.role)
    }

    /// What his browser presents.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// A page for him.
    pub async fn page(self, app: &App, place: Place, title: impl Into<String>) -> Page {
        Page::new(app, self, place, title.into()).await
    }
}

/// Sees who asks, lets the page answer, and puts a fault into words and a frame.
pub async fn receive(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let visit = Visit::unknown(&app, &request);
    let presented = cookie(request.headers(), session_cookie(visit.secure));
    let presented = presented.map(str::to_owned);
    let visit = match visit.clone().presenting(&app, presented).await {
        Ok(visit) => visit,
        Err(fault) => return guarded(fault.page(&app, visit, &method).await, &app),
    };
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        response = fault.page(&app, visit, &method).await;
    }
    guarded(response, &app)
}

impl Visit {
    /// The same, once it is known who presents this.
    async fn presenting(mut self, app: &App, secret: Option<String>) -> Result<Self, Fault> {
        if let Some(secret) = secret {
            self.signed_in = app.signed_in(&secret).await?;
            self.csrf = csrf(&secret);
            self.secret = Some(secret);
        }
        Ok(self)
    }

    /// Somebody of whom nothing is known but his request's head.
    fn unknown(app: &App, request: &Request) -> Self {
        let headers = request.headers();
        // Nested routers see the rest of the path only.
        let uri = request.extensions().get::<axum::extract::OriginalUri>();
        let uri = uri.map_or(request.uri(), |original| &original.0);
        let here = uri
            .path_and_query()
            .map_or(super::ROOT, http::uri::PathAndQuery::as_str);
        Self {
            lang: Lang::of(headers),
            theme: Theme::of(headers),
            signed_in: None,
            csrf: String::new(),
            secure: is_secure(&app.settings.console, headers),
            here: here.to_owned(),
            from: came_from(headers, &app.settings.console),
            secret: None,
        }
    }
}

/// What a form must carry to be his: nobody who does not have his cookie can compute it.
fn csrf(secret: &str) -> String {
    let digest = Sha256::new()
        .chain_update("a form of the console\0")
        .chain_update(secret);
    hex(&digest.finalize())
}

/// The cookie that says who it is. With the prefix a browser takes it over an encrypted line only,
/// and from nobody but this very host.
pub const fn session_cookie(secure: bool) -> &'static str {
    if secure {
        "__Host-enchufe_console"
    } else {
        "enchufe_console"
    }
}

/// Whether the browser's side of the line is encrypted: by what is configured, or by what a proxy
/// says. Who lies about it only gets a stricter cookie.
fn is_secure(settings: &ConsoleSettings, headers: &HeaderMap) -> bool {
    let configured = settings.public_url.as_ref();
    let forwarded = headers.get("x-forwarded-proto");
    configured.is_some_and(|url| url.scheme() == "https")
        || forwarded.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// A cookie's value.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(header::COOKIE).iter();
    let mut pairs = texts
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Whether a request that changes something comes from one of our own pages, as far as the browser
/// tells. One that tells nothing is no browser that could have been tricked.
pub fn is_own(headers: &HeaderMap, settings: &ConsoleSettings) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = text(&HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    text(&header::ORIGIN).is_none_or(|origin| is_our_origin(origin, headers, settings))
}

/// Whether an origin is the one at which the browser has this console.
fn is_our_origin(origin: &str, headers: &HeaderMap, settings: &ConsoleSettings) -> bool {
    let public = settings.public_url.as_ref();
    let public = public.is_some_and(|url| url.origin().ascii_serialization() == origin);
    let asked = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let host = origin.split_once("://").map(|(_, host)| host.as_bytes());
    public || (host.is_some() && host == asked)
}

/// The page of ours that a browser comes from, as far as it tells: one to go back to, so not the
/// sign-in.
fn came_from(headers: &HeaderMap, settings: &ConsoleSettings) -> Option<String> {
    let from: url::Url = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    if !is_our_origin(&from.origin().ascii_serialization(), headers, settings) {
        return None;
    }
    let path = own_path(&from[url::Position::BeforePath..url::Position::AfterQuery])?;
    let way_in = ["/sign-in", "/enter"].map(|below| format!("{}{below}", super::ROOT));
    (!way_in.iter().any(|it| path.starts_with(it))).then(|| path.to_owned())
}

/// Adds what keeps a browser from running, framing or fetching anything but the console's own.
fn guarded(mut response: Response, app: &App) -> Response {
    let headers = response.headers_mut();
    let tiles = app.settings.console.map_tiles.as_ref();
    let tiles = tiles.map_or(String::new(), |tiles| format!(" {}", tiles.origin()));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{tiles}; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let fixed = [
        (header::X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer` a browser would hide from us too where a form comes from.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Sends a browser on to another page with GET.
pub fn go_to(path: &str) -> Response {
    match HeaderValue::from_str(path) {
        Ok(path) => (http::StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response(),
        Err(_) => Fault::NotFound.into_response(),
    }
}

/// A path to go to that came from outside: one of the console's own, or none.
pub fn own_path(text: &str) -> Option<&str> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let below = text.strip_prefix(super::ROOT)?;
    let ours = below.is_empty() || below.starts_with(['/', '?']);
    // What a query holds is no way to go.
    let way = text.split(['?', '#']).next().unwrap_or_default();
    (plain && ours && !way.contains("//")).then_some(text)
}

/// Whether a fault may send to the sign-in: one who only reads can come back afterwards.
pub fn can_come_back(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(public_url: Option<&str>) -> ConsoleSettings {
        ConsoleSettings {
            public_url: public_url.map(|url| url.parse().expect("URL")),
            map_tiles: None,
            map_attribution: None,
            dashboards_url: None,
            metrics: ([127, 0, 0, 1], 8000).into(),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_form_of_another_site_is_told_apart() {
        fn check(pairs: &[(&'static str, &'static str)], public: Option<&str>, own: bool) {
            let headers = headers(pairs);
            assert_eq!(is_own(&headers, &settings(public)), own, "{pairs:?}");
        }
        let host = ("host", "charge.example:8081");
        check(&[host], None, true);
        check(
            &[host, ("origin", "http://charge.example:8081")],
            None,
            true,
        );
        check(&[host, ("origin", "http://evil.example")], None, false);
        check(&[host, ("origin", "null")], None, false);
        check(&[host, ("sec-fetch-site", "same-origin")], None, true);
        check(&[host, ("sec-fetch-site", "cross-site")], None, false);
        check(&[host, ("sec-fetch-site", "same-site")], None, false);
        // A proxy may name the host otherwise.
        let outside = ("origin", "https://charge.example");
        check(&[host, outside], Some("https://charge.example/"), true);
        check(&[host, outside], None, false);
    }

    #[test]
    fn only_own_paths_are_gone_to() {
        for good in [
            "/console",
            "/console?q=a",
            "/console?q=http://a",
            "/console/stations/CP-1#e7",
        ] {
            assert_eq!(own_path(good), Some(good));
        }
        for bad in [
            "",
            "/",
            "//evil.example/console",
            "https://evil.example/",
            "/console//evil.example",
            "/consoles",
            "/console/\\evil.example",
            "/console/\r\nset-cookie: a=b",
        ] {
            assert_eq!(own_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; enchufe_console=secret; b=2")]);
        assert_eq!(cookie(&headers, "enchufe_console"), Some("secret"));
        assert_eq!(cookie(&headers, "console"), None);
    }

    #[test]
    fn an_encrypted_line_is_known_by_configuration_or_by_the_proxy() {
        let plain = headers(&[]);
        assert!(!is_secure(&settings(None), &plain));
        assert!(!is_secure(&settings(Some("http://a.example")), &plain));
        assert!(is_secure(&settings(Some("https://a.example")), &plain));
        let forwarded = headers(&[("x-forwarded-proto", "https")]);
        assert!(is_secure(&settings(None), &forwarded));
    }
}
