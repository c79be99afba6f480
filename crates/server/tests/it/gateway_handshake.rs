//! Who is let in: station, credentials and version are settled before the upgrade (pitfalls 3, 10
//! and 11; OCPP-J 1.6 §3).

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Backend, Ended, Server};

const PASSWORD: &str = "a-password-of-some-length";
const CLOSED: (&str, &str) = ("ALLOW_UNAUTHENTICATED_CHARGERS", "false");

async fn set_password(server: &Server, id: &str, password: &str) -> u16 {
    let body = json!({"password": password, "security_profile": 1});
    let path = format!("stations/{id}/credentials");
    server.admin().put(&path, body).await.status
}

both!(
    credentials_are_checked_before_the_upgrade,
    a_changed_password_replaces_the_old_one_and_a_refused_one_does_not,
);

async fn credentials_are_checked_before_the_upgrade(backend: Backend) {
    let server = Server::start_with(backend, &[CLOSED]).await;
    server.enter("CP-1").await;
    let charger = || server.charger("CP-1");

    // Known, but nobody has said what its charger must present.
    assert_eq!(charger().knock().await.status, 401);
    assert_eq!(charger().password(PASSWORD).knock().await.status, 401);
    assert_eq!(set_password(&server, "CP-1", PASSWORD).await, 204);
    let refused = [
        charger(),
        charger().password("a-password-of-nobody's"),
        charger().password(""),
        charger().credentials("CP-2", PASSWORD),
        charger().credentials("", PASSWORD),
        charger().credentials("cp-1", PASSWORD),
    ];
    for charger in refused {
        let knock = charger.knock().await;
        assert_eq!(knock.status, 401, "{}", knock.body);
        // A refusal in HTTP: not one byte of an upgrade.
        assert_eq!(knock.header("sec-websocket-accept"), None);
        assert_eq!(
            knock.header("content-type"),
            Some("application/problem+json")
        );
        assert!(
            knock
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic ")
        );
        assert!(!knock.body.contains(PASSWORD));
    }
    // An unknown station is 404, whatever it presents.
    assert_eq!(server.charger("CP-2").knock().await.status, 404);
    let knock = server.charger("CP-2").password(PASSWORD).knock().await;
    assert_eq!(knock.status, 404);
    assert_eq!(
        server
            .charger("no such id!")
            .path("/ocpp/%00")
            .knock()
            .await
            .status,
        404
    );
    assert_eq!(server.count_events("CP-1", "station.connected").await, 0);

    let mut charger = charger().password(PASSWORD).connect().await;
    charger.boot().await;
    assert_eq!(server.station("CP-1").await["online"], true);
}

async fn a_changed_password_replaces_the_old_one_and_a_refused_one_does_not(backend: Backend) {
    let server = Server::start_with(backend, &[CLOSED]).await;
    server.enter("CP-1").await;
    let status = async |password: &str| {
        let charger = server.charger("CP-1").password(password);
        charger.knock().await.status
    };
    assert_eq!(set_password(&server, "CP-1", PASSWORD).await, 204);
    assert_eq!(status(PASSWORD).await, 101);

    // Refused: too short, too long, not visible characters.
    for wrong in ["short", &"x".repeat(41), "with a space in between"] {
        assert_eq!(set_password(&server, "CP-1", wrong).await, 422, "{wrong}");
        assert_eq!(status(wrong).await, 401);
    }
    // Nor can an operator change it.
    let body = json!({"password": "another-long-password"});
    let answer = server
        .operator()
        .put("stations/CP-1/credentials", body)
        .await;
    answer.expect(403);
    assert_eq!(status(PASSWORD).await, 101);

    assert_eq!(
        set_password(&server, "CP-1", "another-long-password").await,
        204
    );
    assert_eq!(status(PASSWORD).await, 401);
    assert_eq!(status("another-long-password").await, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorization_key_is_presented_as_bytes_or_as_digits() {
    let server = Server::start_with(Backend::Sqlite, &[CLOSED]).await;
    server.enter("CP-1").await;
    let digits = "FF00AA55FF00AA55FF00AA55FF00AA55FF00AA55";
    assert_eq!(set_password(&server, "CP-1", digits).await, 204);
    // Not UTF-8 (OCPP 1.6 security whitepaper, A00.FR.205).
    let bytes = [0xff, 0x00, 0xaa, 0x55].repeat(5);
    let charger = || server.charger("CP-1");
    assert_eq!(charger().password(&bytes).knock().await.status, 101);
    assert_eq!(charger().password(digits).knock().await.status, 101);
    assert_eq!(charger().password(&bytes[..19]).knock().await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_slowed_down_for_the_guesser_alone() {
    let settings = [CLOSED, ("AUTH_FAILURES_PER_MINUTE", "3")];
    let server = Server::start_with(Backend::Sqlite, &settings).await;
    for id in ["CP-1", "CP-2"] {
        server.enter(id).await;
        assert_eq!(set_password(&server, id, PASSWORD).await, 204);
    }
    let guess = server.charger("CP-1").password("a-guess-of-some-length");
    for _ in 0..3 {
        assert_eq!(guess.knock().await.status, 401);
    }
    let knock = guess.knock().await;
    assert_eq!(knock.status, 429);
    assert!(knock.header("retry-after").is_some());
    // Another charger behind the same address is none the worse for it.
    let other = server.charger("CP-2").password(PASSWORD);
    assert_eq!(other.knock().await.status, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_station_with_a_password_needs_it_even_where_others_need_none() {
    let server = Server::start(Backend::Sqlite).await;
    server.enter("CP-1").await;
    assert_eq!(set_password(&server, "CP-1", PASSWORD).await, 204);
    assert_eq!(server.charger("CP-1").knock().await.status, 401);
    let knock = server.charger("CP-1").password(PASSWORD).knock().await;
    assert_eq!(knock.status, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_is_the_first_of_the_chargers_that_is_spoken_here() {
    let server = Server::start(Backend::Sqlite).await;
    server.enter("CP-1").await;
    for offered in [
        "ocpp1.6",
        "ocpp3.0, ocpp1.6",
        "ocpp1.6,ocpp1.5",
        " ocpp1.5 ,ocpp1.6 ",
        "soap\r\nSec-WebSocket-Protocol: ocpp1.6",
    ] {
        let knock = server.charger("CP-1").protocols(offered).knock().await;
        assert_eq!(knock.status, 101, "{offered}");
        assert_eq!(
            knock.header("sec-websocket-protocol"),
            Some("ocpp1.6"),
            "{offered}"
        );
        knock.charger("CP-1").boot().await;
        assert_eq!(server.station("CP-1").await["protocol"], "ocpp1.6");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_common_version_the_socket_is_opened_unnamed_and_closed_at_once() {
    let server = Server::start(Backend::Sqlite).await;
    server.enter("CP-1").await;
    for offered in ["", "ocpp1.5", "ocpp1.2, soap", "OCPP16"] {
        let knock = server.charger("CP-1").protocols(offered).knock().await;
        assert_eq!(knock.status, 101, "{offered}");
        assert_eq!(knock.header("sec-websocket-protocol"), None, "{offered}");
        let Ended::Closed(code, reason) = knock.charger("CP-1").ended().await else {
            panic!("{offered}: not a word");
        };
        assert_eq!(code, 1002);
        assert!(reason.contains("subprotocol"), "{reason}");
    }
    assert_eq!(server.count_events("CP-1", "station.connected").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compression_is_negotiated_when_it_is_offered() {
    let server = Server::start(Backend::Sqlite).await;
    server.enter("CP-1").await;
    let knock = server.charger("CP-1").knock().await;
    assert_eq!(knock.header("sec-websocket-extensions"), None);
    knock.charger("CP-1").boot().await;

    let knock = server.charger("CP-1").deflate().knock().await;
    let agreed = knock.header("sec-websocket-extensions").unwrap();
    assert!(agreed.starts_with("permessage-deflate"), "{agreed}");
    let mut charger = knock.charger("CP-1");
    charger.boot().await;
    // Long enough to be compressed, both ways.
    let data = "all work and no play ".repeat(1_000);
    let told = json!({"vendorId": "Acme", "data": data});
    let conf = charger.call("DataTransfer", told).await;
    assert_eq!(conf, json!({"status": "UnknownVendorId"}));
    let history = server.history("CP-1").await;
    let event = history
        .iter()
        .find(|e| e["type"] == "station.data_received");
    assert_eq!(event.unwrap()["data"]["data"], data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_identity_is_the_last_part_of_the_path_decoded() {
    let server = Server::start(Backend::Sqlite).await;
    server.enter("ES*ENC|1").await;
    for path in [
        "/ocpp/ES*ENC%7C1",
        "/ocpp/ES%2AENC%7c1",
        "/ocpp/ES*ENC%7C1/",
        "/ocpp/some/path/ES*ENC%7C1",
    ] {
        let knock = server.charger("ES*ENC|1").path(path).knock().await;
        assert_eq!(knock.status, 101, "{path}");
    }
    for path in ["/ocpp/", "/ocpp", "/ocpp/%FF", "/ocpp/..", "/ocpp/ES"] {
        let knock = server.charger("ES*ENC|1").path(path).knock().await;
        assert!(
            (400..=404).contains(&knock.status),
            "{path}: {}",
            knock.status
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_websocket_is_told_so() {
    let server = Server::start(Backend::Sqlite).await;
    server.enter("CP-1").await;
    let answer = server.anonymous().get("/ocpp/CP-1").await;
    let problem = answer.expect(426);
    assert_eq!(answer.header("upgrade"), "websocket");
    assert!(problem["detail"].as_str().unwrap().contains("WebSocket"));
    server.anonymous().get("/ocpp/CP-2").await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_never_ends_is_ended() {
    let server = Server::start(Backend::Sqlite).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let begun = Instant::now();
    // A byte now and then keeps a careless server waiting for ever.
    let (mut read, mut write) = stream.split();
    let dripping = async {
        write
            .write_all(b"GET /ocpp/CP-1 HTTP/1.1\r\nX: ")
            .await
            .unwrap();
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let reading = async {
        let mut answer = Vec::new();
        // An error is an end too.
        let _ = read.read_to_end(&mut answer).await;
    };
    tokio::select! { () = dripping => {}, () = reading => {} }
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}
