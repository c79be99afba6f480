//! Entering stations over REST.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use simulator::StationPlan;
use simulator::rest::{Api, RestError};
use tokio::net::TcpListener;
use url::Url;

type Log = Arc<Mutex<Vec<(String, Value)>>>;

/// An API that knows one token and has a station `SIM-1` already.
async fn api() -> (Url, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ocpp", listener.local_addr().unwrap());
    let log = Log::default();
    let kept = log.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let log = kept.clone();
            let service = service_fn(move |request| answer(request, log.clone()));
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
        }
    });
    (url.parse().unwrap(), log)
}

async fn answer(request: Request<Incoming>, log: Log) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::from("{}"));
    let said = format!("{} {}", request.method(), request.uri());
    let known = request.headers()["authorization"] == "Bearer right";
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    *response.status_mut() = match (known, body["id"].as_str()) {
        (false, _) => StatusCode::UNAUTHORIZED,
        (true, Some("SIM-1")) => StatusCode::CONFLICT,
        (true, Some(_)) => StatusCode::CREATED,
        (true, None) => StatusCode::NO_CONTENT,
    };
    if response.status() == StatusCode::NO_CONTENT {
        *response.body_mut() = Full::default();
    }
    log.lock().unwrap().push((said, body));
    Ok(response)
}

fn stations() -> Vec<StationPlan> {
    let station = |number: u32| StationPlan {
        password: Some("secret".to_owned()),
        ..StationPlan::plain(&format!("SIM-{number}"), 2)
    };
    (1..=50).map(station).collect()
}

#[tokio::test]
async fn stations_passwords_and_cards_are_entered_and_what_is_there_stays() {
    let (url, log) = api().await;
    let api = Api::beside(&url, "right").unwrap();
    assert_eq!(api.enter(stations(), &["CARD"]).await.unwrap(), 49);
    let log = log.lock().unwrap();
    let bodies = |said: &str| {
        let matching = log.iter().filter(|(it, _)| it == said);
        matching.map(|(_, body)| body.clone()).collect::<Vec<_>>()
    };
    assert_eq!(bodies("PUT /api/v1/id-tags/CARD")[0]["status"], "accepted");
    let entered = bodies("POST /api/v1/stations");
    assert_eq!(entered.len(), 50);
    assert_eq!(entered[0]["evses"].as_array().unwrap().len(), 2);
    assert_eq!(
        bodies("PUT /api/v1/stations/SIM-50/credentials")[0]["password"],
        "secret"
    );
}

#[tokio::test]
async fn a_wrong_token_is_told() {
    let (url, _) = api().await;
    let refused = Api::beside(&url, "wrong")
        .unwrap()
        .enter(stations(), &[])
        .await;
    let Err(error @ RestError::Refused { .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(error.to_string().contains("401"), "{error}");
    let secure = "wss://example.org/ocpp".parse().unwrap();
    assert!(Api::beside(&secure, "right").is_err());
}
