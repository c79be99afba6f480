//! PostgreSQL crashes under traffic and comes back: nothing that was acknowledged is lost, no
//! charger is told an error, and the server goes on by itself (pitfall 12).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    Answer, Backend, Cluster, Ground, OnBreak, Process, Traffic, all_known, eventually,
};

const CHARGERS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_postgres_loses_nothing_and_is_recovered_from() {
    let cluster = Cluster::start_new();
    // The ground's own database is not used.
    let ground = Ground::new(Backend::Sqlite);
    let url = cluster.url();
    let process = Process::start(&ground, &[("DATABASE_URL", &url)]).await;
    let traffic = Traffic::begin(&process, CHARGERS, OnBreak::Reconnect).await;
    let health = async |status: u16| {
        eventually(&format!("/healthz answers {status}"), async || {
            let answer = process.anonymous().get("/healthz").await;
            (answer.status == status).then(|| answer.json())
        })
        .await
    };
    for round in 1..=2 {
        traffic.flows(CHARGERS * 6).await;
        tokio::task::block_in_place(|| cluster.crash());
        // It lives, and says what is wrong.
        let viewer = process.viewer();
        let (unready, refused) = tokio::join!(health(503), viewer.get("sessions"));
        assert_eq!(unready["status"], "unavailable");
        assert_eq!(unready["checks"]["database"], "unavailable");
        process.anonymous().get("/health").await.expect(200);
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(!refused.header("retry-after").is_empty());
        assert!(!refused.text.contains("127.0.0.1"), "{refused:?}");

        tokio::task::block_in_place(|| cluster.start());
        let ready = health(200).await;
        assert_eq!(ready["status"], "ok", "round {round}");
        traffic.flows(CHARGERS * 6).await;
    }
    let done = traffic.end().await;
    all_known(&done, &process).await;
}

/// A refusal that came in time and says when to come back.
#[track_caller]
fn refused_within(bound: Duration, asked: Instant, answer: &Answer) {
    assert!(asked.elapsed() < bound, "{:?}: {answer:?}", asked.elapsed());
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
}

/// People and probes are told soon that the database is away; chargers wait. What was refused is
/// not done when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_away_people_are_told_soon_and_chargers_wait() {
    let cluster = Cluster::start_new();
    let ground = Ground::new(Backend::Sqlite);
    let process = Process::start(&ground, &[("DATABASE_URL", &cluster.url())]).await;
    for id in ["CP-1", "CP-2"] {
        process.enter(id).await;
    }
    let mut charger = process.charger("CP-1").connect().await;
    charger.boot().await;
    // The token is known for a moment, so that a change gets as far as its commit.
    process.operator().get("stations/CP-1").await.ok();
    tokio::task::block_in_place(|| cluster.crash());

    let status = json!({"connectorId": 1, "status": "Charging", "errorCode": "NoError"});
    let call = charger.send_call("StatusNotification", status).await;
    let (anonymous, operator) = (process.anonymous(), process.operator());
    let readiness = async {
        for _ in 0..3 {
            let asked = Instant::now();
            let answer = anonymous.get("/healthz").await;
            assert!(
                asked.elapsed() < Duration::from_millis(1500),
                "{:?}",
                asked.elapsed()
            );
            answer.expect(503);
        }
    };
    let reading = async {
        for path in ["stations", "sessions", "stations/CP-1/events", "tokens"] {
            let asked = Instant::now();
            let answer = process.admin().get(path).await;
            refused_within(Duration::from_millis(2500), asked, &answer);
        }
    };
    // Of a station whose charger waits too, and of one whose charger does not.
    // The scraper gets what there is, and nothing made up for the rest.
    let scraping = async {
        for _ in 0..3 {
            let asked = Instant::now();
            let metrics = process.metrics().await;
            let took = asked.elapsed();
            assert!(took < Duration::from_millis(1500), "{took:?}");
            assert_eq!(metrics.count("app_starts_total", &[]), 1);
            for known in ["enchufe_ocpp_connections 1", "enchufe_db_queue_depth "] {
                assert!(metrics.0.contains(&format!("\n{known}")), "{known}");
            }
            for unknown in [
                "enchufe_stations",
                "enchufe_nodes",
                "enchufe_charging_sessions",
            ] {
                assert!(!metrics.0.contains(&format!("\n{unknown}")), "{unknown}");
            }
        }
    };
    let writing = async |id: &str| {
        let asked = Instant::now();
        let path = format!("stations/{id}");
        let answer = operator.patch(&path, json!({"name": "Refused"})).await;
        refused_within(Duration::from_secs(8), asked, &answer);
    };
    tokio::join!(
        readiness,
        reading,
        scraping,
        writing("CP-1"),
        writing("CP-2")
    );

    tokio::task::block_in_place(|| cluster.start());
    charger.answer_to(&call).await.unwrap();
    let station = process.station("CP-1").await;
    assert_eq!(station["status"], "occupied");
    let body = json!({"name": "Taken"});
    let taken = async || {
        let answer = operator.patch("stations/CP-2", body.clone()).await;
        (answer.status == 200).then_some(())
    };
    eventually("changes are taken again", taken).await;
    for (id, updates, name) in [("CP-1", 0, "CP-1"), ("CP-2", 1, "Taken")] {
        assert_eq!(process.station(id).await["name"], name);
        assert_eq!(process.count_events(id, "station.updated").await, updates);
    }
}
