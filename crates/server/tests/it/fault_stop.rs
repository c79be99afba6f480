//! The process is told to stop: readiness goes first, chargers are told, what is under way ends,
//! and it is gone within the bound.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Backend, Ended, Ground, Process, eventually};

both!(a_stop_is_announced_orderly_and_bounded);

async fn a_stop_is_announced_orderly_and_bounded(backend: Backend) {
    let ground = Ground::new(backend);
    let mut process = Process::start(&ground, &[("SHUTDOWN_TIMEOUT", "5s")]).await;
    for id in ["CP-1", "CP-2", "MUTE"] {
        process.enter(id).await;
    }
    let mut charger = process.charger("CP-1").connect().await;
    charger.boot().await;
    let mut busy = process.charger("CP-2").connect().await;
    busy.boot().await;
    // It hears nothing and says nothing: nobody is to wait for it.
    let _mute = process.charger("MUTE").connect().await;
    let mut events = process.viewer().follow("events").await;
    process.station_when("MUTE", "online", true).await;

    let told = Instant::now();
    let readiness = async {
        eventually("/healthz fails", async || {
            let answer = process.anonymous().get("/healthz").await;
            (answer.status == 503).then(|| (answer.json(), Instant::now()))
        })
        .await
    };
    let closing = async {
        // What is said in the meantime is still answered.
        while charger.try_call_until_closed("Heartbeat", json!({})).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Instant::now()
    };
    let order = async {
        let ordered = process.order("CP-2", "clear_cache", json!({}));
        let ignore = async {
            busy.next_call().await;
            process.terminate();
            busy.ended().await
        };
        tokio::join!(ordered, ignore)
    };
    let ((unready, failed), closed, (command, ended)) = tokio::join!(readiness, closing, order);
    assert_eq!(unready["status"], "draining");
    assert!(
        failed < closed,
        "chargers were closed before readiness failed"
    );
    let restarting = Ended::Closed(1012, "server restarting".to_owned());
    assert_eq!(ended, restarting);
    assert_eq!(charger.closed_with(), Some(&restarting));
    // Whoever waited for a command is told what became of it, and streams end.
    assert_eq!(command["outcome"], "lost");
    while events.next().await.is_some() {}

    assert!(process.ended().await.success());
    assert!(
        told.elapsed() < Duration::from_secs(8),
        "{:?}",
        told.elapsed()
    );
    drop(process);

    // All of it was written down by the one that stopped: nothing is left to be swept.
    let process = Process::start(&ground, &[]).await;
    for id in ["CP-1", "CP-2", "MUTE"] {
        let history = process.history(id).await;
        let last = history.iter().find(|e| e["type"] == "station.disconnected");
        assert_eq!(last.unwrap()["data"]["reason"], "shutdown", "{id}");
    }
}
