//! A server is held to what it has acknowledged.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use simulator::load::{Journal, Kind, Options, Profile, Verdict, run, verify_journals};
use simulator::rest::Api;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeServer, Reaction};
use crate::load::options;

/// What a server of one charger keeps.
#[derive(Clone, Default)]
struct Kept {
    /// Newest first.
    events: Vec<Value>,
    last: Value,
    /// By the time of their begin: one that is told twice is one.
    sessions: BTreeMap<Timestamp, Value>,
}

impl Kept {
    fn take(&mut self, action: &str, payload: &Value) -> Option<Value> {
        let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
        match action {
            "StatusNotification" => {
                self.events
                    .insert(0, json!({"data": {"info": payload["info"]}}));
                self.last = json!({"info": payload["info"]});
                None
            }
            "StartTransaction" => {
                let (at, number) = (time(&payload["timestamp"]), self.sessions.len() + 1);
                let session = json!({
                    "id": format!("session-{number}"), "evse": 1, "connector": 1,
                    "transaction_id": number.to_string(), "state": "active", "started_at": at,
                    "meter_start_wh": payload["meterStart"], "billing_ready": false,
                    "meter_values": [],
                });
                let kept = self.sessions.entry(at).or_insert(session);
                let number: i64 = kept["transaction_id"].as_str().unwrap().parse().unwrap();
                Some(json!({"idTagInfo": {"status": "Accepted"}, "transactionId": number}))
            }
            "MeterValues" => {
                let value = &payload["meterValue"][0];
                let energy: i64 = value["sampledValue"][0]["value"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap();
                let value = json!({"at": time(&value["timestamp"]), "energy_wh": energy});
                let session = self.session(&payload["transactionId"]);
                session["meter_values"].as_array_mut().unwrap().push(value);
                None
            }
            "StopTransaction" => {
                let session = self.session(&payload["transactionId"]);
                session["state"] = "ended".into();
                session["billing_ready"] = true.into();
                session["meter_stop_wh"] = payload["meterStop"].clone();
                let energy = |of: &Value| of.as_i64().unwrap();
                let used = energy(&payload["meterStop"]) - energy(&session["meter_start_wh"]);
                session["energy_wh"] = used.into();
                None
            }
            _ => None,
        }
    }

    fn session(&mut self, number: &Value) -> &mut Value {
        let number = number.to_string();
        let mut sessions = self.sessions.values_mut();
        sessions
            .find(|session| session["transaction_id"] == number)
            .unwrap()
    }

    /// The API. Pages are short, so that there are several.
    fn answer(&self, path: &str) -> Option<Value> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let cursor = query
            .split_once("cursor=")
            .map_or(0, |(_, at)| at.parse().unwrap());
        let page = |items: Vec<Value>, name: &str| {
            let rest = items.len().saturating_sub(cursor);
            let next = (rest > 3).then(|| (cursor + 3).to_string());
            let items: Vec<Value> = items.into_iter().skip(cursor).take(3).collect();
            json!({name: items, "next_cursor": next})
        };
        match path.strip_prefix("/api/v1/")? {
            "stations/SIM-1" => {
                let evse = json!({"evse": 1, "connectors": [{"reported": self.last}]});
                Some(json!({"evses": [evse]}))
            }
            "stations/SIM-1/events" => Some(page(self.events.clone(), "events")),
            "sessions" => {
                assert!(query.starts_with("station_id=SIM-1&limit="), "{query}");
                let without_values = self.sessions.values().map(|session| {
                    let mut session = session.clone();
                    session.as_object_mut().unwrap().remove("meter_values");
                    session
                });
                Some(page(without_values.collect(), "sessions"))
            }
            path => {
                let id = path.strip_prefix("sessions/")?;
                self.sessions
                    .values()
                    .find(|session| session["id"] == id)
                    .cloned()
            }
        }
    }
}

/// Serves what is kept; busy now and then.
async fn serve(kept: Arc<Mutex<Kept>>) -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(0_u32));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (kept, requests) = (kept.clone(), requests.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let mut count = requests.lock().unwrap();
                *count += 1;
                let path = request.uri().to_string();
                let (status, body) = match kept.lock().unwrap().answer(&path) {
                    _ if *count % 19 == 3 => (StatusCode::SERVICE_UNAVAILABLE, Value::Null),
                    Some(body) => (StatusCode::OK, body),
                    None => (StatusCode::NOT_FOUND, Value::Null),
                };
                let mut response = Response::new(Full::<Bytes>::from(body.to_string()));
                *response.status_mut() = status;
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    Api::beside(&url.parse().unwrap(), "a token").unwrap()
}

async fn verdict(journal: &std::path::Path, kept: Kept) -> Verdict {
    let api = serve(Arc::new(Mutex::new(kept))).await;
    // A node that is gone is passed over.
    let gone = Api::beside(&"http://127.0.0.1:1".parse().unwrap(), "a token").unwrap();
    let servers = [gone, api];
    verify_journals(&[journal.to_owned()], &servers, |_| ())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_record_that_is_removed_is_missed() {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let (keeps, mut calls) = (kept.clone(), 0);
    let server = FakeServer::start(move |action, payload| {
        let answer = keeps.lock().unwrap().take(action, payload);
        calls += 1;
        // Now and then the line goes after all was kept: the charger says it again.
        let lost = calls % 11 == 0 && action != "BootNotification";
        if lost {
            Some(Reaction::HangUp)
        } else {
            answer.map(Reaction::Answer)
        }
    })
    .await;
    let options = Options {
        chargers: 1,
        rate: Some(50.0),
        duration: Duration::from_secs(3),
        ..options(&server, Profile::Busy)
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let (journal, writing) = Journal::create(file.path()).unwrap();
    run(
        options,
        Arc::default(),
        Some(journal),
        CancellationToken::new(),
    )
    .await;
    writing.await.unwrap().unwrap();
    let all = kept.lock().unwrap().clone();

    let good = verdict(file.path(), all.clone()).await;
    assert!(good.is_good(), "{good}");
    assert!(
        Kind::ALL
            .into_iter()
            .all(|kind| good.of(kind).acknowledged > 0),
        "{good}"
    );
    assert_eq!(good.chargers, 1);

    let missing = |verdict: &Verdict| {
        let kinds = Kind::ALL.into_iter();
        let missing = kinds.map(|kind| (kind, verdict.of(kind).missing()));
        missing
            .filter(|(_, missing)| *missing > 0)
            .collect::<Vec<_>>()
    };
    // The oldest change that has a mark: the very first one, told while booting, has none.
    let mut less = all.clone();
    let oldest = less
        .events
        .iter()
        .rposition(|event| event["data"]["info"].is_string());
    less.events.remove(oldest.unwrap());
    let found = verdict(file.path(), less).await;
    assert_eq!(missing(&found), [(Kind::StateChange, 1)], "{found}");
    assert!(!found.is_good() && found.named.len() == 1);
    assert!(found.to_string().contains("is lost"), "{found}");

    let mut less = all.clone();
    let first = less.sessions.first_entry().unwrap().into_mut();
    first["meter_values"].as_array_mut().unwrap().clear();
    let found = verdict(file.path(), less).await;
    assert_eq!(missing(&found)[0].0, Kind::MeterValue, "{found}");

    let mut less = all.clone();
    less.sessions.pop_first();
    let found = verdict(file.path(), less).await;
    assert_eq!(found.of(Kind::Begin).missing(), 1, "{found}");
    assert_eq!(found.of(Kind::End).missing(), 1, "{found}");

    let mut more = all;
    let (at, session) = more.sessions.first_key_value().unwrap();
    let (later, session) = (*at + Duration::from_nanos(1), session.clone());
    more.sessions.insert(later, session);
    assert_eq!(verdict(file.path(), more).await.doubled, 1);
}
