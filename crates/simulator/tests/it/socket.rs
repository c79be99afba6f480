//! A charger on a real socket.

use std::time::Duration;

use serde_json::json;
use simulator::{Charger, Dialer, Happening, LinkError, Moment, Pace, Span, StationPlan, drive};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::fake::{FakeServer, Reaction, Seen};

/// Fast enough for a test: an hour of people's time a second.
const PACE: Pace = Pace(3_600);

fn plan() -> StationPlan {
    let mut plan = StationPlan::plain("CP 1", 1);
    plan.password = Some("secret".to_owned());
    plan.character.first_car = Span::minutes(1, 2);
    plan
}

/// Runs a charger until the token that is returned is dropped.
fn run(plan: StationPlan, server: &FakeServer) -> tokio_util::sync::DropGuard {
    run_at(plan, &[server])
}

fn run_at(plan: StationPlan, servers: &[&FakeServer]) -> tokio_util::sync::DropGuard {
    let shutdown = CancellationToken::new();
    let urls: Vec<Url> = servers.iter().map(|server| server.url.clone()).collect();
    let ends = shutdown.clone();
    tokio::spawn(async move {
        let charger = Charger::new(plan, ["A"], PACE, 1, Moment::now());
        drive(charger, &Dialer::default(), &urls, ends, |_: &Happening| {}).await;
    });
    shutdown.drop_guard()
}

#[tokio::test]
async fn it_presents_itself_and_boots_until_accepted() {
    let mut boots = 0;
    let server = FakeServer::start(move |action, _| {
        boots += usize::from(action == "BootNotification");
        let conf =
            json!({"status": "Pending", "currentTime": "2026-11-21T08:00:00Z", "interval": 1});
        (action == "BootNotification" && boots < 3).then_some(Reaction::Answer(conf))
    })
    .await;
    let _running = run(plan(), &server);
    server
        .until(|server| !server.calls("StatusNotification").is_empty())
        .await;
    assert_eq!(server.calls("BootNotification").len(), 3);
    let Seen::Handshake {
        path,
        authorization,
        protocol,
        extensions,
    } = &server.seen()[0]
    else {
        panic!("a handshake comes first")
    };
    assert_eq!(path, "/ocpp/CP%201");
    assert_eq!(authorization.as_deref(), Some("Basic Q1AgMTpzZWNyZXQ="));
    assert_eq!(protocol.as_deref(), Some("ocpp1.6"));
    assert!(
        extensions
            .as_ref()
            .is_some_and(|offered| offered.contains("permessage-deflate"))
    );
}

#[tokio::test]
async fn a_record_that_was_lost_with_the_line_is_sent_again_unchanged() {
    let mut losses = vec!["StopTransaction", "MeterValues", "StartTransaction"];
    let server = FakeServer::start(move |action, _| {
        losses
            .pop_if(|loss| *loss == action)
            .map(|_| Reaction::HangUp)
    })
    .await;
    let mut plan = plan();
    plan.character.stay = Span::minutes(180, 180);
    let _running = run(plan, &server);
    server
        .until(|server| !server.calls("StatusNotification").is_empty())
        .await;
    let change = json!({"key": "MeterValueSampleInterval", "value": "1"});
    server.ask("ChangeConfiguration", change).await;
    server
        .until(|server| server.calls("StopTransaction").len() >= 2)
        .await;
    for action in ["StartTransaction", "MeterValues", "StopTransaction"] {
        let calls = server.calls(action);
        assert_ne!(calls[0].0, calls[1].0, "{action} came over two lines");
        assert_eq!(calls[0].1, calls[1].1, "{action}");
    }
}

#[tokio::test]
async fn a_reset_and_a_new_password_take_effect_on_the_next_line() {
    let server = FakeServer::start(|_, _| None).await;
    let _running = run(plan(), &server);
    server
        .until(|server| !server.calls("StatusNotification").is_empty())
        .await;
    let change = json!({"key": "AuthorizationKey", "value": "6e6577"});
    assert_eq!(
        server.ask("ChangeConfiguration", change).await["status"],
        "Accepted"
    );
    assert_eq!(
        server.ask("Reset", json!({"type": "Hard"})).await["status"],
        "Accepted"
    );
    server
        .until(|server| server.calls("BootNotification").len() == 2)
        .await;
    let passwords: Vec<_> = server
        .seen()
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Handshake { authorization, .. } => authorization,
            Seen::Call(..) => None,
        })
        .collect();
    assert_eq!(passwords, ["Basic Q1AgMTpzZWNyZXQ=", "Basic Q1AgMTpuZXc="]);
}

#[tokio::test]
async fn whoever_is_refused_or_sent_away_goes_to_the_next_server() {
    let full = FakeServer::start(|_, _| None).await;
    full.refuse(503, 0, 1);
    let restarting =
        FakeServer::start(|action, _| (action == "Authorize").then_some(Reaction::Close(1012)))
            .await;
    let staying = FakeServer::start(|_, _| None).await;
    let _running = run_at(plan(), &[&full, &restarting, &staying]);
    let settled = |server: &FakeServer| !server.calls("StopTransaction").is_empty();
    staying.until(settled).await;
    let handshakes = [&full, &restarting, &staying].map(FakeServer::handshakes);
    assert_eq!(handshakes, [1, 1, 1]);
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let server = FakeServer::start(|_, _| None).await;
    let dialer = Dialer::default();
    let refused = dialer.dial(&server.url, "stranger", None).await;
    let Err(error @ LinkError::Refused { status: 404, .. }) = refused else {
        panic!("refused")
    };
    assert!(error.to_string().contains("create it first"));
    let nobody = "ws://127.0.0.1:1/ocpp".parse().unwrap();
    let unreachable = dialer.dial(&nobody, "CP-1", None);
    let unreachable = tokio::time::timeout(Duration::from_secs(5), unreachable).await;
    assert!(unreachable.unwrap().is_err());
}
