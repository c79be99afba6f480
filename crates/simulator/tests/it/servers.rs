//! Several servers, of which some refuse, restart or are gone.

use std::time::Duration;

use simulator::load::{Options, Profile, Report, run};
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeServer, Reaction};
use crate::load::options;

async fn at_work(options: Options) -> Report {
    run(
        options,
        std::sync::Arc::default(),
        None,
        CancellationToken::new(),
    )
    .await
}

fn returned(report: &Report) -> u64 {
    let row = report
        .actions
        .iter()
        .find(|row| row.action == "(reconnected)");
    row.map_or(0, |row| row.answered)
}

#[tokio::test]
async fn lines_are_spread_over_all() {
    let (one, other) = (
        FakeServer::start(|_, _| None).await,
        FakeServer::start(|_, _| None).await,
    );
    let mut options = options(&one, Profile::Idle);
    options.servers.push(other.url.clone());
    let report = at_work(options).await;
    assert_eq!(report.connected, 20, "{report}");
    assert_eq!((one.handshakes(), other.handshakes()), (10, 10));
}

#[tokio::test]
async fn a_server_that_restarts_is_left_for_the_others() {
    let restarting =
        FakeServer::start(|action, _| (action == "Heartbeat").then_some(Reaction::Close(1012)))
            .await;
    let staying = FakeServer::start(|_, _| None).await;
    let mut options = options(&restarting, Profile::Heartbeats);
    options.servers.push(staying.url.clone());
    options.rate = Some(100.0);
    // Less than a server is passed over: nobody has a reason to go back yet.
    options.duration = Duration::from_millis(1_500);
    let report = at_work(options).await;
    assert_eq!(report.connected, 20, "{report}");
    assert_eq!((restarting.handshakes(), staying.handshakes()), (10, 20));
    assert_eq!(returned(&report), 10, "{report}");
    assert!(
        report
            .errors
            .keys()
            .all(|error| error.contains("1012 elsewhere")),
        "{report}"
    );
}

#[tokio::test]
async fn a_server_that_is_gone_keeps_nobody_away() {
    let server = FakeServer::start(|_, _| None).await;
    let mut options = options(&server, Profile::Idle);
    options
        .servers
        .insert(0, "ws://127.0.0.1:1/ocpp".parse().unwrap());
    let report = at_work(options).await;
    assert_eq!(
        (report.connected, server.handshakes()),
        (20, 20),
        "{report}"
    );
}

#[tokio::test]
async fn a_refusal_is_heeded_for_as_long_as_it_asks() {
    let server = FakeServer::start(|_, _| None).await;
    for status in [429, 503] {
        server.refuse(status, 2, 5);
        let before = server.handshakes();
        let mut options = options(&server, Profile::Idle);
        options.duration = Duration::ZERO;
        let report = at_work(options).await;
        let seconds = report.connect_seconds.unwrap();
        // And not all at once: half a second, more or less, is their own.
        assert!((2.2..4.0).contains(&seconds), "{seconds}\n{report}");
        assert_eq!(server.handshakes() - before, 25);
        assert!(
            report
                .errors
                .keys()
                .all(|error| error.contains(&status.to_string())),
            "{report}"
        );
    }
}

#[tokio::test]
async fn whoever_is_refused_tries_the_next_one() {
    let (full, free) = (
        FakeServer::start(|_, _| None).await,
        FakeServer::start(|_, _| None).await,
    );
    full.refuse(503, 1, usize::MAX);
    let mut options = options(&full, Profile::Idle);
    options.servers.push(free.url.clone());
    options.duration = Duration::ZERO;
    let report = at_work(options).await;
    assert_eq!((report.connected, free.handshakes()), (20, 20), "{report}");
    // Once refused, nobody asks there again.
    assert!(
        (1..=20).contains(&full.handshakes()),
        "{}",
        full.handshakes()
    );
    assert!(report.connect_seconds.unwrap() >= 1.2, "{report}");
}
