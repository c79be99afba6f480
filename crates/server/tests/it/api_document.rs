//! The API's description: it is served, it is true, and it can be read without the internet.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use crate::support::{Access, Backend, Server};

/// The paths of the contract that this server has so far.
const CONTRACT: [&str; 33] = [
    "/",
    "/health",
    "/healthz",
    "/bye",
    "/riseload",
    "/api/v1/drills",
    "/api/v1/drills/{id}",
    "/api/v1/stations",
    "/api/v1/stations/{id}",
    "/api/v1/stations/{id}/availability",
    "/api/v1/stations/{id}/status",
    "/api/v1/stations/{id}/credentials",
    "/api/v1/stations/{id}/commands",
    "/api/v1/stations/{id}/events",
    "/api/v1/stations/{id}/evses",
    "/api/v1/stations/{id}/evses/{evse}",
    "/api/v1/stations/{id}/evses/{evse}/availability",
    "/api/v1/stations/{id}/evses/{evse}/connectors",
    "/api/v1/stations/{id}/evses/{evse}/connectors/{connector}",
    "/api/v1/stations/{id}/evses/{evse}/connectors/{connector}/availability",
    "/api/v1/stations/{id}/evses/{evse}/connectors/{connector}/status",
    "/api/v1/commands/{id}",
    "/api/v1/events",
    "/api/v1/id-tags",
    "/api/v1/id-tags/{uid}",
    "/api/v1/sessions",
    "/api/v1/sessions/{id}",
    "/api/v1/tokens",
    "/api/v1/journal/entries",
    "/api/v1/journal/entries/{id}",
    "/api/v1/journal/entries/{id}/analyze",
    "/api/v1/journal/entries/{id}/analyses",
    "/api/v1/stations/{id}/analyze",
];

async fn document(server: &Access) -> Value {
    let answer = server.anonymous().get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    answer.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_described_with_every_method_it_has() {
    let server = Server::start(Backend::Sqlite).await;
    let document = document(&server).await;
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1."),
        "{}",
        document["openapi"]
    );
    let paths = document["paths"].as_object().unwrap();
    for path in CONTRACT {
        assert!(paths.contains_key(path), "{path}");
    }
    let brew = Method::from_bytes(b"BREW").unwrap();
    for (template, item) in paths {
        // A method nobody has is answered with those that the path has.
        let path = template
            .replace("{evse}", "1")
            .replace("{connector}", "1")
            .replace(['{', '}'], "");
        let refused = server.anonymous().send(brew.clone(), &path, None).await;
        refused.problem(405);
        let allowed: BTreeSet<String> = refused
            .header("allow")
            .split(',')
            .map(|method| method.trim().to_lowercase())
            .filter(|method| method != "head")
            .collect();
        let described: BTreeSet<String> = item.as_object().unwrap().keys().cloned().collect();
        assert_eq!(described, allowed, "{template}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_tells_of_its_answers() {
    let server = Server::start(Backend::Sqlite).await;
    let document = document(&server).await;
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap()),
                "{what}"
            );
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{what}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{what}"
            );
            for (status, response) in responses {
                if status.starts_with('2') || status == "303" || path == "/healthz" {
                    continue;
                }
                let kinds: Vec<&String> = response["content"].as_object().unwrap().keys().collect();
                assert_eq!(kinds, ["application/problem+json"], "{what} {status}");
            }
            let named: BTreeSet<&str> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let used = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            assert_eq!(named, used.collect(), "{what}");
            if !path.starts_with("/api/") {
                continue;
            }
            assert!(operation["security"][0].is_object(), "{what}");
            for status in ["401", "403", "429", "500", "503"] {
                assert!(responses.contains_key(status), "{what} {status}");
            }
            let header = |name: &str| {
                operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|parameter| parameter["in"] == "header" && parameter["name"] == name)
            };
            assert_eq!(header("Idempotency-Key"), method == "post", "{what}");
        }
    }
    // What is referred to is there.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_committed_description_is_the_one_served() {
    let server = Server::start(Backend::Sqlite).await;
    let committed: Value =
        serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
    assert!(
        document(&server).await == committed,
        "docs/openapi.json is old: run `cargo xtask generate`"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documentation_is_served_by_the_server_itself() {
    let server = Server::start(Backend::Sqlite).await;
    let anonymous = server.anonymous();
    let moved = anonymous.get("/docs").await;
    assert!((301..=308).contains(&moved.status), "{moved:?}");
    assert_eq!(moved.header("location"), "/docs/");
    let page = anonymous.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type").starts_with("text/html"),
        "{page:?}"
    );
    let mut parts: Vec<&str> = page
        .text
        .split(['"', '\''])
        .filter(|text| {
            [".css", ".js", ".png"]
                .iter()
                .any(|end| text.ends_with(end))
        })
        .collect();
    parts.sort_unstable();
    assert!(parts.len() >= 3, "{parts:?}");
    for part in parts {
        assert!(!part.contains("//"), "from elsewhere: {part}");
        let path = format!("/docs/{}", part.trim_start_matches("./"));
        let answer = anonymous.get(&path).await;
        assert!(
            answer.status == 200 && !answer.text.is_empty(),
            "{path} {}",
            answer.status
        );
    }
    let settings = anonymous.get("/docs/swagger-initializer.js").await;
    assert!(settings.text.contains("/openapi.json"), "{settings:?}");
}
