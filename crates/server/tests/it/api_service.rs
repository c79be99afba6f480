//! The service's own endpoints, to the letter, and what holds for every path.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Backend, Server};

both!(
    the_service_answers_byte_for_byte,
    readiness_says_what_is_ready,
    what_is_not_there_is_told_apart_from_what_cannot_be_done,
    an_answer_of_the_api_names_its_request,
);

async fn the_service_answers_byte_for_byte(backend: Backend) {
    let server = Server::start(backend).await;
    let anonymous = server.anonymous();
    for (path, body) in [
        ("/", r#"{"message":"Hello World"}"#),
        ("/health", r#"{"health":"ok"}"#),
        (
            "/healthz",
            r#"{"status":"ok","checks":{"database":"ok","cache":"ok"}}"#,
        ),
        ("/bye", r#"{"msg":"Bye Bye"}"#),
    ] {
        let paths = [
            path.to_owned(),
            format!("{}/", path.trim_end_matches('/')),
            format!("{path}?x=1"),
        ];
        for path in &paths {
            let answer = anonymous.get(path).await;
            assert_eq!((answer.status, answer.text.as_str()), (200, body), "{path}");
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            // HEAD says the same without saying it.
            let head = anonymous.send(Method::HEAD, path, None).await;
            assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
            assert_eq!(head.header("content-length"), body.len().to_string());
        }
    }
    // A program that takes anything, or JSON first, is no browser.
    for accept in [
        "*/*",
        "application/json",
        "application/json, text/html;q=0.9",
    ] {
        let answer = anonymous.with("accept", accept).get("/").await;
        assert_eq!(answer.status, 200, "{accept}");
    }
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let answer = anonymous.with("accept", browser).get("/").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/console")
    );
    // The console is there, or leads to what there is.
    let mut place = "/console".to_owned();
    let page = loop {
        let answer = anonymous.with("accept", browser).get(&place).await;
        match answer.status {
            301..=308 => answer.header("location").clone_into(&mut place),
            _ => break answer,
        }
    };
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.header("content-type").starts_with("text/html"));
}

async fn readiness_says_what_is_ready(backend: Backend) {
    let mut server = Server::start(backend).await;
    let anonymous = server.anonymous();
    anonymous.get("/healthz").await.expect(200);
    // While it stops it says so, before it goes.
    let watch = tokio::spawn(async move {
        let mut told = Vec::new();
        while let Ok(answer) = anonymous
            .try_send(Method::GET, "/healthz", None, bytes::Bytes::new())
            .await
        {
            told.push((answer.status, answer.json()["status"].clone()));
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        told
    });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    server.stop().await;
    let told = watch.await.unwrap();
    assert_eq!(told.first(), Some(&(200, json!("ok"))), "{told:?}");
    assert!(told.contains(&(503, json!("draining"))), "{told:?}");
    assert!(
        !told
            .iter()
            .any(|(status, said)| *status == 200 && *said != "ok"),
        "{told:?}"
    );
}

/// Without its Redis the service goes on, and says that it is slower.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_redis_degrades_readiness() {
    let mut server = Server::start(Backend::Redis).await;
    let said = async |server: &Server| server.anonymous().get("/healthz").await.expect(200);
    let ready = async |server: &Server, status: &str| {
        crate::support::eventually(status, async || {
            let said = said(server).await;
            (said["status"] == status).then_some(said)
        })
        .await
    };
    ready(&server, "ok").await;
    server.ground.redis().kill();
    let degraded = ready(&server, "degraded").await;
    assert_eq!(
        degraded["checks"],
        json!({"database": "ok", "cache": "degraded"})
    );
    server.ground.redis().start();
    ready(&server, "ok").await;
}

async fn what_is_not_there_is_told_apart_from_what_cannot_be_done(backend: Backend) {
    let server = Server::start(backend).await;
    let operator = server.operator();
    for path in [
        "/nothing",
        "/api",
        "/api/v1",
        "/api/v2/stations",
        "/health/x",
        "/api/v1/stations/S/x",
        "/%FF",
        "/..%2F",
    ] {
        operator.get(path).await.problem(404);
        operator.post(path, json!({})).await.problem(404);
    }
    for (method, path, allowed) in [
        (Method::POST, "/health", vec!["GET", "HEAD"]),
        (Method::DELETE, "/", vec!["GET", "HEAD"]),
        (
            Method::PATCH,
            "/api/v1/stations",
            vec!["GET", "HEAD", "POST"],
        ),
        (
            Method::PUT,
            "/api/v1/stations/S",
            vec!["DELETE", "GET", "HEAD", "PATCH"],
        ),
        (Method::GET, "/api/v1/stations/S/availability", vec!["PUT"]),
        (Method::DELETE, "/api/v1/sessions", vec!["GET", "HEAD"]),
        (
            Method::from_bytes(b"BREW").unwrap(),
            "/bye/",
            vec!["GET", "HEAD"],
        ),
    ] {
        let refused = operator.send(method, path, None).await;
        refused.problem(405);
        let mut allow: Vec<&str> = refused.header("allow").split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow, allowed, "{refused:?}");
    }
    // With or without a trailing slash, it is the same place.
    server.enter("S").await;
    for path in [
        "stations",
        "stations/S",
        "stations/S/evses/1/connectors/1",
        "sessions",
    ] {
        let (bare, slash) = (
            operator.get(path).await,
            operator.get(&format!("{path}/")).await,
        );
        assert_eq!(
            (bare.expect(200), bare.header("etag")),
            (slash.expect(200), slash.header("etag"))
        );
    }
    let made = operator.post("stations/?", json!({"name": "Slash"})).await;
    made.expect(201);
}

async fn an_answer_of_the_api_names_its_request(backend: Backend) {
    let server = Server::start(backend).await;
    let mut seen = std::collections::HashSet::new();
    for answer in [
        server.operator().get("stations").await,
        server.operator().post("stations", json!({})).await,
        server.operator().get("stations/nobody").await,
        server.anonymous().get("stations").await,
        server.operator().get("nothing").await,
        server.operator().put("stations", Value::Null).await,
        // And whatever is refused elsewhere.
        server.anonymous().get("/nothing").await,
        server.anonymous().get("/ocpp/nobody").await,
    ] {
        let id = answer.header("x-request-id").to_owned();
        assert!(uuid::Uuid::parse_str(&id).is_ok(), "{answer:?} {id}");
        assert!(seen.insert(id), "{answer:?}");
        assert_eq!(
            answer.header("x-content-type-options"),
            "nosniff",
            "{answer:?}"
        );
    }
}
