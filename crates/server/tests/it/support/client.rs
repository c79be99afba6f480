//! People and systems: HTTP with a token, and what comes back.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::PATIENCE;

/// One who sends requests. A path without a leading slash is one of the API's (`stations/CP-1`),
/// one with it is taken as it is (`/healthz`).
#[derive(Clone)]
pub struct Client {
    base: String,
    headers: Vec<(String, String)>,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

/// What came back.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    request: String,
}

impl Client {
    /// One without a token.
    pub fn anonymous(base: String) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self {
            base,
            headers: Vec::new(),
            http,
        }
    }

    /// The same, sending this header too.
    #[must_use]
    pub fn with(&self, name: &str, value: impl fmt::Display) -> Self {
        let mut with = self.clone();
        with.headers.push((name.to_owned(), value.to_string()));
        with
    }

    /// The same one, at another server.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// The same, with a token.
    #[must_use]
    pub fn bearing(&self, token: &str) -> Self {
        self.with("authorization", format_args!("Bearer {token}"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let kind = body.as_ref().map(|_| "application/json");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send_raw(method, path, kind, body).await
    }

    /// Sends a body that may be anything.
    pub async fn send_raw(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method.clone(), path, content_type, body.into())
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same; fails when the server is not there.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<Answer, String> {
        let request = self.request(&method, path, content_type, body);
        let described = format!("{method} {}", request.uri().path());
        let answer = async {
            let response = self.http.request(request).await;
            let response = response.map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok(Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                text: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
                request: described,
            })
        };
        tokio::time::timeout(Duration::from_secs(90), answer)
            .await
            .unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    /// Opens a stream of server-sent events.
    pub async fn follow(&self, path: &str) -> EventStream {
        let request = self.request(&Method::GET, path, None, Bytes::new());
        let response = self.http.request(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        EventStream {
            body: response.into_body(),
            text: String::new(),
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let path = match path.strip_prefix('/') {
            Some(path) => path.to_owned(),
            None => format!("api/v1/{path}"),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(kind) = content_type {
            request = request.header("content-type", kind);
        }
        request.body(Full::new(body)).unwrap()
    }
}

impl Answer {
    /// The body as JSON; `null` when there is none.
    pub fn json(&self) -> Value {
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The body, when the status is this one.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// The body of an answer that says yes.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }

    /// A header's text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {} {}", self.request, self.status, self.text)
    }
}

/// A stream of server-sent events.
pub struct EventStream {
    body: Incoming,
    text: String,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct SentEvent {
    pub id: i64,
    pub kind: String,
    pub data: Value,
}

impl EventStream {
    /// The next event; comments are passed over. `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<SentEvent> {
        // Comments keep a quiet stream alive; they are no events.
        let next = tokio::time::timeout(PATIENCE, self.next_event()).await;
        next.expect("no event came")
    }

    async fn next_event(&mut self) -> Option<SentEvent> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                match sent_event(&block) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let data = self.body.frame().await.transpose().ok()??;
            let data = data.into_data().ok()?;
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next event of this kind.
    pub async fn next_of(&mut self, kind: &str) -> SentEvent {
        loop {
            let event = self.next().await.expect("the stream ended");
            if event.kind == kind {
                return event;
            }
        }
    }
}

fn sent_event(block: &str) -> Option<SentEvent> {
    let field = |name: &str| {
        let mut lines = block.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(field, _)| *field == name)?;
        Some(value.trim_start())
    };
    Some(SentEvent {
        id: field("id")?.parse().ok()?,
        kind: field("event")?.to_owned(),
        data: serde_json::from_str(field("data")?).ok()?,
    })
}
