//! Idempotency-Key: a POST is carried out once, however often it is sent.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Client, Server};

both!(
    a_repeated_request_gets_what_the_first_one_made,
    a_key_belongs_to_one_request_of_one_caller,
    sent_many_times_at_once_it_is_carried_out_once,
    what_was_made_and_removed_is_not_made_again,
    a_key_that_is_none_is_refused,
);

/// Every POST there is, each with a body and one that differs from it.
fn posts() -> [(&'static str, Value, Value); 6] {
    let keys = |keys: Value| json!({"command": "get_configuration", "parameters": {"keys": keys}});
    [
        (
            "stations",
            json!({"name": "Plaza"}),
            json!({"name": "Other"}),
        ),
        ("stations/S/evses", json!({}), json!({"connectors": []})),
        (
            "stations/S/evses/1/connectors",
            json!({}),
            json!({"type": "cCCS2"}),
        ),
        (
            "stations/S/commands",
            keys(json!(["A"])),
            keys(json!(["B"])),
        ),
        (
            "tokens",
            json!({"name": "N", "role": "viewer"}),
            json!({"name": "N", "role": "admin"}),
        ),
        (
            "journal/entries",
            json!({"work": "a", "struggle": "b", "intention": "c"}),
            json!({"work": "a", "struggle": "b", "intention": "d"}),
        ),
    ]
}

/// How many things of the kind that a POST makes there are.
async fn count(server: &Server, path: &str) -> usize {
    let list = path.rsplit('/').next().unwrap();
    if matches!(list, "evses" | "connectors") {
        return server.admin().get(path).await.expect(200)[list]
            .as_array()
            .unwrap()
            .len();
    }
    server.admin().pages(path, list, 500).await.len()
}

/// A server with a station whose charger is connected.
async fn start(backend: Backend) -> (Server, crate::support::Charger) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let mut charger = server.charger("S").connect().await;
    charger.boot().await;
    (server, charger)
}

/// What of an answer says which thing it shows.
fn identity(answer: &Answer) -> (Value, Value, Value) {
    let body = answer.ok();
    // A new entry of the journal is shown beside a word about it.
    let body = body.get("entry").unwrap_or(&body);
    (
        body["id"].clone(),
        body["evse"].clone(),
        body["connector"].clone(),
    )
}

async fn a_repeated_request_gets_what_the_first_one_made(backend: Backend) {
    let (mut server, charger) = start(backend).await;
    let mut made = Vec::new();
    for (path, body, _) in posts() {
        let key = format!("key of {path}").replace(' ', "-");
        let once = |server: &Server| server.admin().with("idempotency-key", &key);
        let first = once(&server).post(path, body.clone()).await;
        let before = count(&server, path).await;
        for _ in 0..3 {
            let again = once(&server).post(path, body.clone()).await;
            assert_eq!(
                (again.status, identity(&again)),
                (first.status, identity(&first)),
                "{again:?}"
            );
            assert_eq!(again.header("location"), first.header("location"));
        }
        assert_eq!(count(&server, path).await, before, "{path}");
        // A secret is shown once, whoever asks again.
        if path == "tokens" {
            assert!(first.json()["token"].is_string());
            assert_eq!(
                once(&server).post(path, body.clone()).await.expect(201)["token"],
                Value::Null
            );
        }
        made.push((path, body, key, first));
    }
    drop(charger);
    // The server remembers over a restart.
    server.restart().await;
    for (path, body, key, first) in made {
        let before = count(&server, path).await;
        let again = server
            .admin()
            .with("idempotency-key", &key)
            .post(path, body)
            .await;
        assert_eq!(identity(&again), identity(&first));
        assert_eq!(count(&server, path).await, before, "{path}");
    }
}

async fn a_key_belongs_to_one_request_of_one_caller(backend: Backend) {
    let (server, _charger) = start(backend).await;
    for (path, body, other) in posts() {
        let key = format!("key-of-{}", path.replace('/', "-"));
        let once = server.admin().with("idempotency-key", &key);
        once.post(path, body.clone()).await.ok();
        let before = count(&server, path).await;
        let refused = once.post(path, other).await.problem(422);
        assert!(
            refused["errors"][0]["detail"]
                .as_str()
                .unwrap()
                .contains("Idempotency-Key"),
            "{refused}"
        );
        // Nor may it be another request's elsewhere.
        let (elsewhere, body) = match path {
            "tokens" => ("stations", json!({"name": "X"})),
            _ => ("tokens", json!({"name": "X", "role": "viewer"})),
        };
        assert_eq!(once.post(elsewhere, body).await.pointers(), [""]);
        assert_eq!(count(&server, path).await, before, "{path}");
    }
    // Another caller's key is another key.
    let name = || json!({"name": "Ours"});
    let first = server
        .operator()
        .with("idempotency-key", "k")
        .post("stations", name())
        .await;
    let second = server
        .admin()
        .with("idempotency-key", "k")
        .post("stations", name())
        .await;
    assert_ne!(first.expect(201)["id"], second.expect(201)["id"]);
}

async fn sent_many_times_at_once_it_is_carried_out_once(backend: Backend) {
    let (server, _charger) = start(backend).await;
    for (path, body, _) in posts() {
        for round in 0..3 {
            let key = format!("{}-{round}", path.replace('/', "-"));
            let once = server.admin().with("idempotency-key", &key);
            let before = count(&server, path).await;
            let send = async |once: &Client| once.post(path, body.clone()).await;
            let answers = join_all((0..6).map(|_| send(&once))).await;
            assert_eq!(count(&server, path).await, before + 1, "{path} {answers:?}");
            let again = send(&once).await;
            for answer in &answers {
                // One that came while a station was being changed may be asked to come again. What
                // is made beside the stations is shown to everybody who asked for it.
                if answer.status == 409 && path.contains("/evses") {
                    let problem = answer.problem(409);
                    let detail = problem["detail"].as_str().unwrap().to_owned();
                    assert!(detail.contains("is being carried out just now"), "{detail}");
                } else {
                    assert_eq!(identity(answer), identity(&again), "{answers:?}");
                }
            }
            assert_eq!(count(&server, path).await, before + 1);
            let secrets = answers
                .iter()
                .filter(|answer| answer.json()["token"].is_string());
            assert_eq!(
                secrets.count(),
                usize::from(path == "tokens"),
                "{answers:?}"
            );
        }
    }
}

async fn what_was_made_and_removed_is_not_made_again(backend: Backend) {
    let (server, _charger) = start(backend).await;
    for (path, body, _) in posts()
        .into_iter()
        .filter(|(path, ..)| !path.ends_with("commands"))
    {
        let once = server.admin().with(
            "idempotency-key",
            format_args!("{}-removed", path.replace('/', "-")),
        );
        let made = once.post(path, body.clone()).await;
        let place = match made.header("location").strip_prefix("/api/v1/") {
            Some(place) => place.to_owned(),
            None => format!("tokens/{}", made.json()["id"].as_str().unwrap()),
        };
        server.admin().delete(&place).await.ok();
        let before = count(&server, path).await;
        once.post(path, body).await.problem(409);
        assert_eq!(count(&server, path).await, before, "{path}");
    }
    // A request that was refused made nothing: its key is free.
    let once = server.operator().with("idempotency-key", "refused");
    once.post("stations", json!({"name": ""}))
        .await
        .problem(422);
    once.post("stations/nobody/evses", json!({}))
        .await
        .problem(404);
    once.post("stations", json!({"id": "S", "name": "Taken"}))
        .await
        .problem(409);
    once.post("stations", json!({"name": "Fine"}))
        .await
        .expect(201);
}

async fn a_key_that_is_none_is_refused(backend: Backend) {
    let server = Server::start(backend).await;
    for key in ["", &"x".repeat(256), "two words", "ñ"] {
        let refused = server.operator().with("idempotency-key", key);
        refused
            .post("stations", json!({"name": "Never"}))
            .await
            .problem(400);
    }
    let longest = server.operator().with("idempotency-key", "x".repeat(255));
    longest
        .post("stations", json!({"name": "Plaza"}))
        .await
        .expect(201);
    assert_eq!(count(&server, "stations").await, 1);
}
