//! A load, and what it writes down.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use simulator::load::{Journal, Options, Profile, Stats, run};
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeServer, Reaction, Seen};

pub fn options(server: &FakeServer, profile: Profile) -> Options {
    Options {
        servers: vec![server.url.clone()],
        chargers: 20,
        profile,
        duration: Duration::from_millis(700),
        ..Options::default()
    }
}

/// The content of what was acknowledged or heard, to compare the two.
fn key(charger: &str, action: &str, timestamp: &str) -> (String, String, String) {
    (charger.to_owned(), action.to_owned(), timestamp.to_owned())
}

#[tokio::test]
async fn what_is_written_down_has_reached_the_server() {
    let mut calls = 0;
    let server = FakeServer::start(move |action, _| {
        calls += 1;
        // Now and then the line goes instead of an answer.
        (calls % 97 == 0 && action != "BootNotification").then_some(Reaction::HangUp)
    })
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let (journal, writing) = Journal::create(file.path()).unwrap();
    let options = options(&server, Profile::Busy);
    let stats = Arc::new(Stats::default());
    let report = run(options, stats, Some(journal), CancellationToken::new()).await;
    let lines = writing.await.unwrap().unwrap();
    assert!(
        lines > 100 && report.connect_seconds.is_some(),
        "{lines}\n{report}"
    );
    assert!(!report.errors.is_empty(), "lines were lost");

    let heard: BTreeSet<_> = server
        .seen()
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Call(_, path, action, payload) => {
                let values = &payload["meterValue"][0]["timestamp"];
                let timestamp = payload["timestamp"].as_str().or(values.as_str())?;
                Some(key(path.rsplit('/').next()?, &action, timestamp))
            }
            Seen::Handshake { .. } => None,
        })
        .collect();
    let written = std::fs::read_to_string(file.path()).unwrap();
    let mut last = std::collections::BTreeMap::new();
    for line in written.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| entry[field].as_str().unwrap().to_owned();
        let timestamp: jiff::Timestamp = text("timestamp").parse().unwrap();
        let said = key(
            &text("charger"),
            &text("action"),
            &format!("{timestamp:.3}"),
        );
        if entry["acknowledged"] == true {
            assert!(heard.contains(&said), "{line}");
        }
        let order = entry["order"].as_u64().unwrap();
        let before = last.insert(text("charger"), order);
        assert_eq!(before.map_or(0, |before| before + 1), order, "{line}");
        if entry["action"] == "StartTransaction" && entry["acknowledged"] == true {
            assert!(entry["transaction_id"].is_i64(), "{line}");
        }
    }
}

#[tokio::test]
async fn a_storm_is_over_when_all_are_back() {
    let server = FakeServer::start(|_, _| None).await;
    let mut options = options(&server, Profile::Storm);
    options.duration = Duration::ZERO;
    let report = run(options, Arc::default(), None, CancellationToken::new()).await;
    assert!(report.storm_seconds.is_some(), "{report}");
    assert_eq!(report.connected, 20);
    assert_eq!(server.calls("BootNotification").len(), 40);
    let table = report.to_string();
    assert!(table.contains("all back after the storm"), "{table}");
}

#[tokio::test]
async fn a_rate_is_kept_and_the_end_is_in_time() {
    let server = FakeServer::start(|_, _| None).await;
    let mut options = options(&server, Profile::Heartbeats);
    options.rate = Some(200.0);
    options.duration = Duration::from_secs(1);
    let report = run(options, Arc::default(), None, CancellationToken::new()).await;
    let heartbeats = report
        .actions
        .iter()
        .find(|row| row.action == "Heartbeat")
        .unwrap();
    assert!((150..=250).contains(&heartbeats.sent), "{report}");

    let stopped = CancellationToken::new();
    stopped.cancel();
    let options = self::options(&server, Profile::Idle);
    let running = run(options, Arc::default(), None, stopped);
    assert!(
        tokio::time::timeout(Duration::from_secs(5), running)
            .await
            .is_ok()
    );
}
