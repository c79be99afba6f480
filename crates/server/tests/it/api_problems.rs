//! Refusals: one shape for all, each says what would do, and none tells of the inside (pitfalls 22
//! and 23).

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Backend, Server};

both!(
    what_cannot_be_read_is_refused,
    what_does_not_hold_is_named_place_by_place,
    a_body_is_bounded,
    hostile_texts_are_texts,
    a_path_that_cannot_be_an_id_is_not_found,
);

const JSON: Option<&str> = Some("application/json");

async fn what_cannot_be_read_is_refused(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let unreadable: [&[u8]; 8] = [
        b"",
        b"{",
        b"name=S",
        b"{\"name\": \"S\",}",
        b"{\"name\": \"S\"} {}",
        b"{\"name\": \"\xff\"}",
        b"{\"name\": \"\\ud800\"}",
        deep.as_bytes(),
    ];
    for (method, path) in [
        (Method::POST, "stations"),
        (Method::PATCH, "stations/S"),
        (Method::PUT, "stations/S/availability"),
        (Method::PUT, "id-tags/TAG"),
        (Method::POST, "stations/S/commands"),
    ] {
        for body in unreadable {
            let refused = server
                .operator()
                .send_raw(method.clone(), path, JSON, body.to_vec())
                .await;
            refused.problem(400);
        }
        for kind in [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("application/jsonp"),
            Some(""),
        ] {
            let refused = server
                .operator()
                .send_raw(method.clone(), path, kind, "{}")
                .await;
            refused.problem(415);
        }
        // Neither an array nor a word is what any of them takes.
        for body in ["[]", "null", "\"S\"", "1", "true"] {
            let refused = server
                .operator()
                .send_raw(method.clone(), path, JSON, body)
                .await;
            assert_eq!(refused.pointers(), [""], "{path} {body}");
        }
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let made = server
            .operator()
            .send_raw(Method::POST, "stations", Some(kind), r#"{"name":"T"}"#)
            .await;
        made.expect(201);
    }
}

async fn what_does_not_hold_is_named_place_by_place(backend: Backend) {
    let server = Server::start(backend).await;
    for (body, places) in [
        (json!({}), vec![""]),
        (json!({"name": 5}), vec!["/name"]),
        (json!({"name": null}), vec!["/name"]),
        (json!({"name": ""}), vec!["/name"]),
        (json!({"name": "a\nb"}), vec!["/name"]),
        (json!({"name": "x".repeat(129)}), vec!["/name"]),
        (
            json!({"name": "ñ".repeat(128), "colour": "red"}),
            vec!["/colour"],
        ),
        (
            json!({"name": "S", "location": {"latitude": "north"}}),
            vec!["/location/latitude"],
        ),
        (
            json!({"name": "S", "location": {"latitude": 91, "longitude": 181, "address": "x".repeat(257)}}),
            vec![
                "/location/address",
                "/location/latitude",
                "/location/longitude",
            ],
        ),
        (
            json!({"name": "S", "evses": [{"connectors": [{}, {"max_power_w": -1}]}]}),
            vec!["/evses/0/connectors/1/max_power_w"],
        ),
        (
            json!({"name": "S", "evses": [{"connectors": [{"type": 1}]}]}),
            vec!["/evses/0/connectors/0/type"],
        ),
        (json!({"name": "S", "evses": {}}), vec!["/evses"]),
        (json!({"name": " ", "id": "a b"}), vec!["/id", "/name"]),
    ] {
        let refused = server.operator().post("stations", body.clone()).await;
        assert_eq!(refused.pointers(), places, "{body} {refused:?}");
    }
    let longest = json!({"name": "ñ".repeat(128)});
    server
        .operator()
        .post("stations", longest)
        .await
        .expect(201);
    assert_eq!(
        server
            .viewer()
            .pages("stations", "stations", 10)
            .await
            .len(),
        1
    );
}

async fn a_body_is_bounded(backend: Backend) {
    let server = Server::start(backend).await;
    let body = |length: usize| {
        let body = r#"{"name":"S"}"#;
        format!("{}{body}", " ".repeat(length - body.len()))
    };
    let post = async |length: usize| {
        server
            .operator()
            .send_raw(Method::POST, "stations", JSON, body(length))
            .await
    };
    post(64 * 1024).await.expect(201);
    let refused = post(64 * 1024 + 1).await.problem(413);
    assert!(
        refused["detail"].as_str().unwrap().contains("65536"),
        "{refused}"
    );
    server.operator().get("stations").await.expect(200);
}

async fn hostile_texts_are_texts(backend: Backend) {
    let server = Server::start(backend).await;
    for (number, text) in [
        "'; DROP TABLE stations; --",
        "<script>alert(1)</script>",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "%s%n",
        "\u{202e}gnirts",
        "\u{feff}bom",
        "a\u{0301}",
        "\\\"",
        "𝕊",
        "$1",
        "«text»",
        "NULL",
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("hostile-{number}");
        let location = json!({"latitude": 0, "longitude": 0, "address": text});
        let body = json!({"id": id, "name": text, "location": location});
        server.operator().post("stations", body).await.expect(201);
        let told = json!({"status": "faulted", "error_code": "OtherError", "info": text});
        server
            .operator()
            .put(&format!("stations/{id}/status"), told)
            .await
            .expect(200);
        let kind: String = text.chars().take(20).collect();
        let connector = format!("stations/{id}/evses/1/connectors/1");
        server
            .operator()
            .patch(&connector, json!({"type": kind}))
            .await
            .expect(200);
        server
            .admin()
            .post("tokens", json!({"name": text, "role": "viewer"}))
            .await
            .expect(201);
        let station = server.station(&id).await;
        assert_eq!(
            (&station["name"], &station["location"]["address"]),
            (&json!(text), &json!(text))
        );
        let connector = &station["evses"][0]["connectors"][0];
        assert_eq!(
            (&connector["reported"]["info"], &connector["type"]),
            (&json!(text), &json!(kind))
        );
        let query: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let found = server
            .viewer()
            .pages(&format!("stations?q={query}"), "stations", 500)
            .await;
        assert!(found.contains(&station), "{text}");
    }
    // What no text for people has is refused, wherever it would go.
    for control in ["\u{0}", "a\u{0}b", "\u{1b}[31m", "\t", "\u{7f}"] {
        let refused = server
            .operator()
            .post("stations", json!({"name": control}))
            .await;
        assert_eq!(refused.pointers(), ["/name"], "{control:?}");
        let told = json!({"status": "faulted", "info": control});
        assert_eq!(
            server
                .operator()
                .put("stations/hostile-0/status", told)
                .await
                .pointers(),
            ["/info"]
        );
    }
}

async fn a_path_that_cannot_be_an_id_is_not_found(backend: Backend) {
    let server = Server::start(backend).await;
    let long = "x".repeat(49);
    let told = json!({"status": "available"});
    for id in [
        "%FF",
        "%00",
        "%27%3B%20DROP%20TABLE%20stations%3B--",
        "%2e%2e",
        "a%2Fb",
        "a:b",
        &long,
        "%F0%9F%94%8C",
        "%",
    ] {
        let path = format!("stations/{id}");
        server.operator().get(&path).await.problem(404);
        server.operator().delete(&path).await.problem(404);
        server
            .operator()
            .patch(&path, json!({"name": "x"}))
            .await
            .problem(404);
        server
            .operator()
            .put(&format!("{path}/status"), told.clone())
            .await
            .problem(404);
        server
            .operator()
            .get(&format!("{path}/events"))
            .await
            .problem(404);
        server
            .operator()
            .get(&format!("{path}/evses/1/connectors/1"))
            .await
            .problem(404);
        server
            .operator()
            .get(&format!("sessions/{id}"))
            .await
            .problem(404);
        server
            .operator()
            .get(&format!("commands/{id}"))
            .await
            .problem(404);
        server
            .operator()
            .get(&format!("stations/S/evses/{id}"))
            .await
            .problem(404);
    }
    let knock = server.charger("%FF").knock().await;
    assert_eq!(knock.status, 404, "{}", knock.body);
    let problem: Value = serde_json::from_str(&knock.body).unwrap();
    assert_eq!(problem["status"], 404);
}

/// What breaks within is ours: logged, counted, and not told (pitfalls 20 and 22).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_within_is_counted_and_no_inner_word_is_told() {
    let server = Server::start(Backend::Postgres).await;
    server.enter("broken").await;
    server.enter("whole").await;
    let database = server.ground.postgres();
    database.execute("UPDATE stations SET doc = '{\"hidden\":1}' WHERE id = 'broken'");
    database.execute("ALTER TABLE sessions RENAME COLUMN doc TO hidden");
    for path in ["stations", "sessions"] {
        let failed = server.viewer().get(path).await;
        let problem = failed.problem(500);
        assert!(!failed.text.contains("hidden"), "{failed:?}");
        assert!(!failed.header("x-request-id").is_empty(), "{failed:?}");
        assert!(
            problem["detail"].as_str().unwrap().contains("x-request-id"),
            "{problem}"
        );
        let series = format!(
            "http_requests_total{{method=\"GET\",endpoint=\"/api/v1/{path}\",http_status=\"500\"}}"
        );
        assert!(server.metrics().await.value(&series) > 0.5, "{series}");
    }
    // What is whole goes on.
    server
        .operator()
        .patch("stations/whole", json!({"name": "On"}))
        .await
        .expect(200);
    server.anonymous().get("/healthz").await.expect(200);
}

/// One pool for all: requests do not open connections of their own (pitfall 22).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_share_a_few_connections_to_the_database() {
    let server = Server::start(Backend::Postgres).await;
    let read = async || server.viewer().get("stations?q=nobody").await.expect(200);
    join_all((0..200).map(|_| read())).await;
    server.ground.postgres().execute(
        "DO $$ BEGIN IF (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) > 12 \
         THEN RAISE EXCEPTION 'too many connections'; END IF; END $$",
    );
}
