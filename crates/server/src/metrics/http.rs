//! Requests, counted on the way of every one of them: a look into a map without locks and without
//! allocation, then two increments.

use std::hash::Hash;
use std::sync::Arc;

use ::http::Method;
use papaya::{Equivalent, HashMap};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::declare::Declarations;
use super::{HTTP_SECONDS, Series};

/// The `endpoint` of requests that no route takes: raw paths are anybody's to invent.
pub const UNMATCHED: &str = "unmatched";

/// Series of requests kept apart. The routes, their methods and statuses make some hundreds; past
/// this, something other than a route template is being counted, and it is counted as unmatched.
const MAX_SERIES: usize = 4_096;

#[derive(Debug)]
pub(super) struct HttpMetrics {
    requests: Series<RequestLabels, Counter>,
    durations: Series<DurationLabels, Histogram>,
    handles: HashMap<Key, Handles>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    endpoint: Arc<str>,
    http_status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    method: &'static str,
    endpoint: Arc<str>,
}

#[derive(Clone, Debug)]
struct Handles {
    requests: Counter,
    duration: Histogram,
}

/// A key of the map. Hashed field by field like [`Lookup`], which finds it without owning a string.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    method: &'static str,
    endpoint: Arc<str>,
    status: u16,
}

#[derive(Hash)]
struct Lookup<'a> {
    method: &'static str,
    endpoint: &'a str,
    status: u16,
}

impl Equivalent<Key> for Lookup<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.status == key.status && self.method == key.method && *self.endpoint == *key.endpoint
    }
}

impl HttpMetrics {
    pub(super) fn declare(declare: &mut Declarations) -> Self {
        Self {
            requests: declare.series(
                "http_requests_total",
                &["method", "endpoint", "http_status"],
                "HTTP requests answered, by route template; errors and panics included",
                Counter::default as fn() -> Counter,
            ),
            durations: declare.series(
                "http_request_duration_seconds",
                &["method", "endpoint"],
                "Time from an HTTP request to its answer, by route template",
                (|| Histogram::new(HTTP_SECONDS)) as fn() -> Histogram,
            ),
            handles: HashMap::new(),
        }
    }

    pub(super) fn request_ended(&self, method: &Method, endpoint: &str, status: u16, seconds: f64) {
        let lookup = Lookup {
            method: known(method),
            endpoint,
            status,
        };
        let handles = self.handles.pin();
        let handles = match handles.get(&lookup) {
            Some(handles) => handles,
            None if handles.len() < MAX_SERIES || endpoint == UNMATCHED => {
                let (key, made) = self.make(&lookup);
                handles.get_or_insert(key, made)
            }
            None => return self.request_ended(method, UNMATCHED, status, seconds),
        };
        handles.requests.inc();
        handles.duration.observe(seconds);
    }

    fn make(
        &self,
        &Lookup {
            method,
            endpoint,
            status,
        }: &Lookup<'_>,
    ) -> (Key, Handles) {
        let endpoint: Arc<str> = endpoint.into();
        let request = RequestLabels {
            method,
            endpoint: Arc::clone(&endpoint),
            http_status: status,
        };
        let duration = DurationLabels {
            method,
            endpoint: Arc::clone(&endpoint),
        };
        let handles = Handles {
            requests: self.requests.get_or_create_owned(&request),
            duration: self.durations.get_or_create_owned(&duration),
        };
        (
            Key {
                method,
                endpoint,
                status,
            },
            handles,
        )
    }
}

/// The method as a label: clients may invent methods, labels may not.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
