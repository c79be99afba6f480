//! The process is killed in the middle of traffic: what it had acknowledged is there when it
//! starts again.

use serde_json::json;

use crate::support::{Backend, Ground, OnBreak, Process, Traffic, all_known};

/// How many chargers; another number for a longer look: `TEST_CHARGERS=1000`.
const CHARGERS: usize = 200;

both!(nothing_acknowledged_is_lost_by_a_kill);

async fn nothing_acknowledged_is_lost_by_a_kill(backend: Backend) {
    let chargers = std::env::var("TEST_CHARGERS");
    let chargers = chargers.map_or(CHARGERS, |text| text.parse().expect("a number"));
    let ground = Ground::new(backend);
    let process = Process::start(&ground, &[]).await;
    process.enter("SILENT").await;
    let mut silent = process.charger("SILENT").connect().await;
    silent.boot().await;
    let command = process.order_soon("SILENT", "clear_cache", json!({})).await;
    silent.next_call().await;

    let traffic = Traffic::begin(&process, chargers, OnBreak::Stop).await;
    traffic.flows(chargers * 12).await;
    process.kill().await;
    let done = traffic.end().await;

    let process = Process::start(&ground, &[]).await;
    all_known(&done, &process).await;
    // Nobody's socket survived, and no command is left open.
    let metrics = process.metrics().await;
    assert_eq!(metrics.count("enchufe_stations_online", &[]), 0);
    assert_eq!(process.station("SILENT").await["status"], "offline");
    assert_eq!(process.ended_command(&command).await["outcome"], "lost");
    assert_eq!(metrics.count("app_starts_total", &[]), 2);
}
