//! Who may do what: tokens, roles, wrong credentials (pitfall 10 is told beside the gateway).

use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, Answer, Backend, Client, Server};

both!(
    a_token_is_shown_once_and_revoked_at_once,
    a_configured_token_takes_the_place_of_the_one_before,
    every_endpoint_asks_for_its_role,
    wrong_tokens_are_counted_against_their_address,
    a_revocation_overtakes_every_request_under_way,
    a_chargers_password_is_set_and_never_shown,
    a_chargers_password_is_made_and_shown_once,
);

/// What each endpoint asks for. Everything under `/api/v1` is here, or the test below fails.
const LEAST: &[(&str, &str, &str)] = &[
    ("GET", "/api/v1/commands/{id}", "viewer"),
    ("GET", "/api/v1/events", "viewer"),
    ("GET", "/api/v1/id-tags", "viewer"),
    ("GET", "/api/v1/id-tags/{uid}", "viewer"),
    ("PUT", "/api/v1/id-tags/{uid}", "operator"),
    ("DELETE", "/api/v1/id-tags/{uid}", "operator"),
    ("GET", "/api/v1/sessions", "viewer"),
    ("GET", "/api/v1/sessions/{id}", "viewer"),
    ("GET", "/api/v1/stations", "viewer"),
    ("POST", "/api/v1/stations", "operator"),
    ("GET", "/api/v1/stations/{id}", "viewer"),
    ("PATCH", "/api/v1/stations/{id}", "operator"),
    ("DELETE", "/api/v1/stations/{id}", "operator"),
    ("PUT", "/api/v1/stations/{id}/availability", "operator"),
    ("PUT", "/api/v1/stations/{id}/status", "operator"),
    ("PUT", "/api/v1/stations/{id}/credentials", "admin"),
    ("POST", "/api/v1/stations/{id}/credentials", "admin"),
    ("GET", "/api/v1/stations/{id}/commands", "viewer"),
    ("POST", "/api/v1/stations/{id}/commands", "operator"),
    ("GET", "/api/v1/stations/{id}/events", "viewer"),
    ("GET", "/api/v1/stations/{id}/evses", "viewer"),
    ("POST", "/api/v1/stations/{id}/evses", "operator"),
    ("GET", "/api/v1/stations/{id}/evses/{evse}", "viewer"),
    ("DELETE", "/api/v1/stations/{id}/evses/{evse}", "operator"),
    (
        "PUT",
        "/api/v1/stations/{id}/evses/{evse}/availability",
        "operator",
    ),
    (
        "GET",
        "/api/v1/stations/{id}/evses/{evse}/connectors",
        "viewer",
    ),
    (
        "POST",
        "/api/v1/stations/{id}/evses/{evse}/connectors",
        "operator",
    ),
    (
        "GET",
        "/api/v1/stations/{id}/evses/{evse}/connectors/{connector}",
        "viewer",
    ),
    (
        "PATCH",
        "/api/v1/stations/{id}/evses/{evse}/connectors/{connector}",
        "operator",
    ),
    (
        "DELETE",
        "/api/v1/stations/{id}/evses/{evse}/connectors/{connector}",
        "operator",
    ),
    (
        "PUT",
        "/api/v1/stations/{id}/evses/{evse}/connectors/{connector}/availability",
        "operator",
    ),
    (
        "PUT",
        "/api/v1/stations/{id}/evses/{evse}/connectors/{connector}/status",
        "operator",
    ),
    ("GET", "/api/v1/journal/entries", "viewer"),
    ("POST", "/api/v1/journal/entries", "operator"),
    ("DELETE", "/api/v1/journal/entries", "admin"),
    ("GET", "/api/v1/journal/entries/{id}", "viewer"),
    ("PATCH", "/api/v1/journal/entries/{id}", "operator"),
    ("DELETE", "/api/v1/journal/entries/{id}", "operator"),
    ("POST", "/api/v1/journal/entries/{id}/analyze", "operator"),
    ("GET", "/api/v1/journal/entries/{id}/analyses", "viewer"),
    ("POST", "/api/v1/stations/{id}/analyze", "operator"),
    ("GET", "/api/v1/drills", "viewer"),
    ("POST", "/api/v1/drills", "operator"),
    ("GET", "/api/v1/drills/{id}", "viewer"),
    ("DELETE", "/api/v1/drills/{id}", "operator"),
    ("GET", "/api/v1/tokens", "admin"),
    ("POST", "/api/v1/tokens", "admin"),
    ("DELETE", "/api/v1/tokens/{id}", "admin"),
];

async fn a_token_is_shown_once_and_revoked_at_once(backend: Backend) {
    let mut server = Server::start(backend).await;
    let admin = server.admin();
    let body = json!({"name": "Night shift", "role": "operator"});
    let made = admin.post("tokens", body).await;
    let token = made.expect(201);
    // Nobody on the way may keep the answer: it holds the secret.
    assert_eq!(made.header("cache-control"), "no-store");
    let secret = token["token"].as_str().unwrap().to_owned();
    assert!(
        secret.starts_with("enchufe_") && secret.len() > 40,
        "{secret}"
    );
    let holder = server.anonymous().bearing(&secret);
    holder
        .post("stations", json!({"name": "Mine"}))
        .await
        .expect(201);

    for (id, mut shown) in [
        ("list", admin.get("tokens").await),
        ("events", admin.get("stations/mine/events").await),
    ] {
        assert!(!shown.text.contains(&secret), "{id}");
        shown.text.clear();
    }
    let listed = admin.pages("tokens", "tokens", 1).await;
    let found = listed
        .iter()
        .find(|listed| listed["id"] == token["id"])
        .unwrap();
    let without = json!({"id": token["id"], "name": "Night shift", "role": "operator", "created_at": token["created_at"]});
    assert_eq!(*found, without);

    // It holds over a restart; revoked, the very next request with it is refused.
    server.restart().await;
    let holder = server.anonymous().bearing(&secret);
    holder.get("stations/mine").await.expect(200);
    let path = format!("tokens/{}", token["id"].as_str().unwrap());
    let revoked = server.admin().delete(&path).await;
    assert_eq!((revoked.status, revoked.text.as_str()), (204, ""));
    holder.get("stations/mine").await.problem(401);
    server.admin().delete(&path).await.problem(404);
    for id in ["0198b0c0-0000-7000-8000-000000000000", "1", "%27"] {
        server
            .admin()
            .delete(&format!("tokens/{id}"))
            .await
            .problem(404);
    }
    for (body, pointer) in [
        (json!({"name": "", "role": "viewer"}), "/name"),
        (json!({"name": "x".repeat(129), "role": "viewer"}), "/name"),
        (json!({"name": "Root", "role": "root"}), "/role"),
        (
            json!({"name": "Root", "role": "admin", "token": "mine"}),
            "/token",
        ),
    ] {
        let refused = server.admin().post("tokens", body).await;
        assert!(
            refused.pointers().iter().all(|p| p == pointer),
            "{refused:?}"
        );
    }
}

async fn a_configured_token_takes_the_place_of_the_one_before(backend: Backend) {
    let mut server = Server::start(backend).await;
    server.admin().get("tokens").await.expect(200);
    server.stop().await;
    let other = [("ADMIN_TOKEN", "another-token-of-the-tests")];
    let node = server.start_on_top(&other).await.unwrap();
    let anonymous = Client::anonymous(format!("http://{}", node.address));
    let new = anonymous.bearing(other[0].1);
    new.get("tokens").await.expect(200);
    let old = anonymous.bearing(ADMIN_TOKEN);
    old.get("tokens").await.problem(401);
    // Tokens that were made for people stay.
    let listed = new.pages("tokens", "tokens", 500).await;
    let names: Vec<_> = listed.iter().map(|token| &token["name"]).collect();
    assert_eq!(names, ["operator", "viewer", "admin (configured)"]);
    node.stop().await;
}

async fn every_endpoint_asks_for_its_role(backend: Backend) {
    // Where drills are switched off, starting one is refused whoever asks.
    let server = Server::start_with(backend, &[("DRILLS", "true")]).await;
    let document = server.anonymous().get("/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().unwrap();
    let described = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.as_str()))
    });
    let mut described: Vec<_> = described
        .filter(|(_, path)| path.starts_with("/api/"))
        .collect();
    let mut expected: Vec<_> = LEAST
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), *path))
        .collect();
    described.sort();
    expected.sort();
    assert_eq!(described, expected);

    let roles = [
        ("viewer", server.viewer()),
        ("operator", server.operator()),
        ("admin", server.admin()),
    ];
    for (method, template, least) in LEAST {
        let path = template
            .replace("{uid}", "NOBODY")
            .replace("{evse}", "1")
            .replace("{connector}", "1")
            .replace("{id}", "nobody");
        let refused = ask(&server.anonymous(), method, &path).await;
        refused.problem(401);
        let challenge = refused.header("www-authenticate");
        assert_eq!(challenge, "Bearer realm=\"enchufe\"", "{refused:?}");
        let mut enough = false;
        for (role, client) in &roles {
            enough = enough || role == least;
            let answer = ask(client, method, &path).await;
            if enough {
                assert!(
                    !matches!(answer.status, 401 | 403 | 500..),
                    "{role} {answer:?}"
                );
            } else {
                let problem = answer.problem(403);
                assert!(
                    problem["detail"].as_str().unwrap().contains(least),
                    "{problem}"
                );
            }
        }
    }
    // What a role may not do is not done.
    server.enter("S").await;
    server.viewer().delete("stations/S").await.problem(403);
    server
        .viewer()
        .patch("stations/S", json!({"name": "Mine"}))
        .await
        .problem(403);
    assert_eq!(server.station("S").await["name"], "S");
}

/// Sends an empty request. To the stream of events it says nonsense: a good one has no end.
async fn ask(client: &Client, method: &str, path: &str) -> Answer {
    let method: Method = method.parse().unwrap();
    let body = matches!(method, Method::POST | Method::PUT | Method::PATCH).then(|| json!({}));
    client
        .with("last-event-id", "x")
        .send(method, path, body)
        .await
}

async fn wrong_tokens_are_counted_against_their_address(backend: Backend) {
    let server = Server::start_with(backend, &[("AUTH_FAILURES_PER_MINUTE", "3")]).await;
    let anonymous = server.anonymous();
    server.viewer().get("stations").await.expect(200);
    let body = json!({"name": "Old", "role": "viewer"});
    let old = server.admin().post("tokens", body).await.expect(201);
    // Who presents nothing has guessed nothing.
    for value in ["", "Bearer", "Basic dXNlcjpwYXNz", "Token x"] {
        let refused = anonymous.with("authorization", value).get("stations").await;
        refused.problem(401);
    }
    for guess in ["a", "b", "c"] {
        anonymous.bearing(guess).get("stations").await.problem(401);
    }
    let refused = anonymous.bearing("d").get("stations").await;
    refused.problem(429);
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{refused:?}");
    // Somebody else behind the same address, with a good token, goes on; also once a revocation
    // has the server ask the database anew about every token it knows.
    server.viewer().get("stations").await.expect(200);
    let path = format!("tokens/{}", old["id"].as_str().unwrap());
    server.admin().delete(&path).await.expect(204);
    server.viewer().get("stations").await.expect(200);
    anonymous.bearing("e").get("stations").await.problem(429);
    // And whoever presents nothing is told so, not that they guessed too often.
    anonymous.get("stations").await.problem(401);
}

/// A token that is used all the while is not let in once its revocation was acknowledged.
async fn a_revocation_overtakes_every_request_under_way(backend: Backend) {
    let server = Server::start(backend).await;
    for _ in 0..5 {
        let made = server
            .admin()
            .post("tokens", json!({"name": "Busy", "role": "viewer"}))
            .await
            .expect(201);
        let holder = server.anonymous().bearing(made["token"].as_str().unwrap());
        let path = format!("tokens/{}", made["id"].as_str().unwrap());
        let revoked = AtomicBool::new(false);
        let busy = async || {
            loop {
                let over = revoked.load(Ordering::SeqCst);
                let answer = holder.get("stations").await;
                if over {
                    answer.problem(401);
                    return;
                }
            }
        };
        let revoke = async {
            holder.get("stations").await.expect(200);
            server.admin().delete(&path).await.expect(204);
            revoked.store(true, Ordering::SeqCst);
        };
        tokio::join!(busy(), busy(), busy(), revoke);
    }
}

async fn a_chargers_password_is_set_and_never_shown(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let set = async |body: Value| server.admin().put("stations/S/credentials", body).await;
    let first = set(json!({"password": "correct-horse-battery"})).await;
    assert_eq!((first.status, first.text.as_str()), (204, ""));
    assert_eq!(server.station("S").await["security_profile"], 1);
    server
        .charger("S")
        .password("correct-horse-battery")
        .connect()
        .await
        .close()
        .await;
    // The next one holds at once.
    set(json!({"password": "0123456789abcdef", "security_profile": 2}))
        .await
        .expect(204);
    assert_eq!(server.station("S").await["security_profile"], 2);
    let late = server
        .charger("S")
        .password("correct-horse-battery")
        .knock()
        .await;
    assert_eq!(
        (late.status, late.header("www-authenticate")),
        (401, Some("Basic realm=\"enchufe\""))
    );
    server
        .charger("S")
        .password("0123456789abcdef")
        .connect()
        .await
        .close()
        .await;

    for (body, pointer) in [
        (json!({"password": "short"}), "/password"),
        (json!({"password": "fifteen-letters"}), "/password"),
        (json!({"password": "x".repeat(41)}), "/password"),
        (json!({"password": "with a space in it"}), "/password"),
        (json!({"password": "contraseña-larga-ñ"}), "/password"),
        (json!({"password": 1_234_567_890_123_456_i64}), "/password"),
        (
            json!({"password": "0123456789abcdef", "security_profile": 3}),
            "/security_profile",
        ),
        (
            json!({"password": "0123456789abcdef", "security_profile": 0}),
            "/security_profile",
        ),
    ] {
        let refused = set(body).await;
        assert_eq!(refused.pointers(), [pointer]);
        assert!(!refused.text.contains("fifteen-letters"), "{refused:?}");
    }
    set(json!({"security_profile": 1})).await.problem(422);
    let nobody = json!({"password": "0123456789abcdef"});
    server
        .admin()
        .put("stations/nobody/credentials", nobody.clone())
        .await
        .problem(404);
    server
        .operator()
        .put("stations/S/credentials", nobody)
        .await
        .problem(403);
    let told = format!(
        "{} {:?}",
        server.station("S").await,
        server.history("S").await
    );
    for secret in ["0123456789abcdef", "correct-horse-battery", "argon2"] {
        assert!(!told.contains(secret), "{secret}");
    }
}

async fn a_chargers_password_is_made_and_shown_once(backend: Backend) {
    const PATH: &str = "stations/S/credentials";
    let mut server = Server::start(backend).await;
    server.enter("S").await;
    let body = json!({"security_profile": 2});
    let once = server.admin().with("idempotency-key", "made-once");
    let first = once.post(PATH, body.clone()).await;
    assert_eq!(first.header("cache-control"), "no-store");
    let first = first.expect(201);
    let password = first["password"].as_str().unwrap();
    assert_eq!(password.len(), 40);
    assert_eq!(
        (
            &first["security_profile"],
            &server.station("S").await["security_profile"]
        ),
        (&json!(2), &json!(2))
    );
    // Sent again, it makes no other one.
    let again = once.post(PATH, body.clone()).await.expect(201);
    assert_eq!(again, json!({"password": null, "security_profile": 2}));
    let presents = async |server: &Server, password: &str| {
        server.charger("S").password(password).knock().await.status
    };
    assert_eq!(presents(&server, password).await, 101);
    assert_eq!(presents(&server, &password.to_uppercase()).await, 101);
    assert_eq!(presents(&server, &"0".repeat(40)).await, 401);
    server.restart().await;
    assert_eq!(presents(&server, password).await, 101);

    // Another one takes its place at once, and so does one that somebody chooses.
    let second = server.admin().post(PATH, json!({})).await.expect(201);
    assert_eq!(second["security_profile"], 1);
    assert_eq!(presents(&server, password).await, 401);
    let second = second["password"].as_str().unwrap();
    assert_eq!(presents(&server, second).await, 101);
    let chosen = json!({"password": "correct-horse-battery"});
    server.admin().put(PATH, chosen).await.expect(204);
    assert_eq!(presents(&server, second).await, 401);
    let told = format!(
        "{} {:?}",
        server.station("S").await,
        server.history("S").await
    );
    for secret in [password, second, "sha256"] {
        assert!(!told.contains(secret), "{secret}");
    }
    let wrong = json!({"password": "correct-horse-battery"});
    let refused = server.admin().post(PATH, wrong).await;
    assert_eq!(refused.pointers(), ["/password"]);
    let nobody = "stations/nobody/credentials";
    server.admin().post(nobody, json!({})).await.problem(404);
}
