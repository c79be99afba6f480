//! In at the console, with a token or by the link, and out again.

use crate::support::{ADMIN_TOKEN, Answer, Backend, Browser, Server, eventually};

both!(
    a_token_signs_in_and_out,
    a_link_opens_the_console_once,
    a_revoked_token_is_signed_out_at_once,
    wrong_tokens_are_counted,
);

/// Where an answer sends.
fn sent_to(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.header("location")
}

async fn a_token_signs_in_and_out(backend: Backend) {
    let server = Server::start(backend).await;
    let mut browser = Browser::at(&server);
    // Nobody sees anything before, and is led back afterwards.
    let answer = browser.open("/console/sessions?which=active").await;
    let door = "/console/sign-in?next=%2Fconsole%2Fsessions%3Fwhich%3Dactive";
    assert_eq!(sent_to(&answer), door);
    let page = browser.page(door).await;
    assert!(
        page.contains("value=\"/console/sessions?which=active\""),
        "{page}"
    );
    // In the other language too.
    let fields = [("language", "en"), ("next", door)];
    let answer = browser.send("/console/preferences", &fields).await;
    assert_eq!(sent_to(&answer), door);
    assert!(page.contains(&format!("name=\"next\" value=\"{door}\"")));

    let wrong = browser.sign_in("not-a-token-at-all").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text.contains("This access token is not known"));
    assert_eq!(wrong.header("set-cookie"), "");

    let fields = [
        ("token", ADMIN_TOKEN),
        ("next", "/console/sessions?which=active"),
    ];
    let answer = browser.send_bare("/console/sign-in", &fields).await;
    assert_eq!(sent_to(&answer), "/console/sessions?which=active");
    let cookie = answer.header("set-cookie").to_owned();
    for part in [
        "HttpOnly",
        "SameSite=Strict",
        "Path=/console",
        "Max-Age=43200",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    // The line is plain here. The cookie holds nothing of the token.
    assert!(
        !cookie.contains("Secure") && !cookie.contains(ADMIN_TOKEN),
        "{cookie}"
    );
    let page = browser.page("/console").await;
    assert!(page.contains("/console/tokens") && !page.contains(ADMIN_TOKEN));
    // Signed in, the door leads on.
    assert_eq!(sent_to(&browser.open("/console/sign-in").await), "/console");

    // A cookie is good for the console and for nothing else.
    let api = browser.client().get("/api/v1/stations").await;
    assert_eq!(api.status, 401);

    let before = browser.client();
    browser.page("/console").await;
    assert_eq!(
        sent_to(&browser.send("/console/sign-out", &[]).await),
        "/console/sign-in"
    );
    assert_eq!(browser.open("/console").await.status, 303);
    // Who kept the cookie is out too.
    assert_eq!(before.get("/console").await.status, 303);
}

async fn a_link_opens_the_console_once(backend: Backend) {
    let server = Server::start(backend).await;
    let token = server.app().token_of(ADMIN_TOKEN).await.unwrap().unwrap();
    let code = server.app().make_link(&token).await.unwrap();
    assert!(code.len() >= 43 && !ADMIN_TOKEN.contains(&code));
    let path = format!("/console/enter?code={code}");

    let mut browser = Browser::at(&server);
    let answer = browser.open(&path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text.contains("url=/console"), "{answer:?}");
    assert!(answer.header("set-cookie").contains("SameSite=Strict"));
    assert!(!answer.text.contains(&code));
    assert!(browser.page("/console").await.contains("/console/tokens"));

    let mut late = Browser::at(&server);
    let answer = late.open(&path).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (401, ""));
    assert!(
        answer.text.contains("This link has been used"),
        "{answer:?}"
    );
    assert_eq!(late.open("/console").await.status, 303);
    for wrong in ["", "?code=", "?code=abc", &format!("?code={ADMIN_TOKEN}")] {
        let answer = late.open(&format!("/console/enter{wrong}")).await;
        assert_eq!(answer.status, 401, "{wrong}");
    }
    // A link's code is no cookie, and no token.
    let code = server.app().make_link(&token).await.unwrap();
    late.set("cookie", &format!("enchufe_console={code}"));
    assert_eq!(late.open("/console").await.status, 303);
    assert_eq!(late.sign_in(&code).await.status, 401);
}

async fn a_revoked_token_is_signed_out_at_once(backend: Backend) {
    let server = Server::start(backend).await;
    let (mut browser, id) = Browser::signed_in(&server, "operator").await;
    browser.page("/console").await;
    let revoked = server.admin().delete(&format!("tokens/{id}")).await;
    assert_eq!(revoked.status, 204);
    assert_eq!(browser.open("/console").await.status, 303);
    // What changes something is not led elsewhere, where it would be lost.
    let answer = browser.send("/console/journal", &[("work", "a")]).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("You are not signed in"), "{answer:?}");
}

async fn wrong_tokens_are_counted(backend: Backend) {
    let settings = [("AUTH_FAILURES_PER_MINUTE", "3")];
    let server = Server::start_with(backend, &settings).await;
    let mut browser = Browser::at(&server);
    for _ in 0..3 {
        assert_eq!(browser.sign_in("a-guess-of-a-token").await.status, 401);
    }
    let answer = browser.sign_in(ADMIN_TOKEN).await;
    assert_eq!(answer.status, 429);
    assert!(answer.text.contains("Wait a minute"), "{answer:?}");
    assert_eq!(browser.open("/console/enter?code=x").await.status, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_tls_the_cookie_is_secure() {
    let settings = [("PUBLIC_URL", "https://charge.example.org")];
    let server = Server::start_with(Backend::Sqlite, &settings).await;
    let plain = Server::start(Backend::Sqlite).await;
    let mut behind_a_proxy = Browser::at(&plain);
    behind_a_proxy.set("x-forwarded-proto", "https");
    for mut browser in [Browser::at(&server), behind_a_proxy] {
        let answer = browser.sign_in(ADMIN_TOKEN).await;
        let cookie = answer.header("set-cookie").to_owned();
        assert!(cookie.starts_with("__Host-enchufe_console="), "{cookie}");
        for part in ["; Secure", "Path=/;", "HttpOnly", "SameSite=Strict"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        browser.page("/console").await;
    }
    // From the address that is configured forms are taken, from another they are not.
    let (mut browser, _) = Browser::signed_in(&server, "operator").await;
    browser.page("/console/journal").await;
    browser.set("origin", "https://charge.example.org");
    let entry = [("work", "a"), ("struggle", "b"), ("intention", "c")];
    assert_eq!(browser.send("/console/journal", &entry).await.status, 303);
}

/// Somebody who only reads stays signed in for longer: a screen on the wall.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_screen_on_the_wall_stays_signed_in() {
    let server = Server::start(Backend::Sqlite).await;
    let body = serde_json::json!({"name": "Wall", "role": "viewer"});
    let made = server.admin().post("tokens", body).await.expect(201);
    let answer = Browser::at(&server)
        .sign_in(made["token"].as_str().unwrap())
        .await;
    assert!(
        answer.header("set-cookie").contains("Max-Age=2592000"),
        "{answer:?}"
    );
}

/// Signed in at one node, signed in at all; and out likewise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_knows_who_is_signed_in() {
    let one = Server::start(Backend::PostgresWithRedis).await;
    let other = one.start_beside().await;
    let (mut here, id) = Browser::signed_in(&one, "viewer").await;
    here.page("/console").await;
    let there = here.client().at(&format!("http://{}", other.address));
    assert_eq!(there.get("/console").await.status, 200);
    one.admin().delete(&format!("tokens/{id}")).await.ok();
    eventually("the other node has heard of it", async || {
        (there.get("/console").await.status == 303).then_some(())
    })
    .await;
}
