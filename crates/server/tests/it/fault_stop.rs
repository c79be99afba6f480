//! The process is told to stop: readiness goes first, chargers are told, what is under way ends,
//! and it is gone within the bound.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Backend, Cluster, Ended, Ground, Process, Server, eventually, psql};

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_has_one_server() {
    let mut server = Server::start(Backend::Sqlite).await;
    server.enter("S").await;
    let refused = server.start_on_top(&[("NODE_NAME", "another")]).await;
    let text = refused.err().expect("refused").to_string();
    assert!(text.contains("has a server already"), "{text}");
    // The first one goes on, and where it has stopped another may begin.
    server.viewer().get("stations/S").await.expect(200);
    server.restart().await;
    server.viewer().get("stations/S").await.expect(200);
}

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

/// Somebody holds the database up in the middle of the stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_with_a_stop_is_committed_before_the_store_closes() {
    let mut server = Server::start(Backend::Postgres).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    let command = server.order_soon("CP-1", "clear_cache", json!({})).await;
    charger.next_call().await;
    // Two commits, one after the other: the command is lost, and then the station is offline.
    let database = server.ground.postgres().url();
    let held = tokio::task::spawn_blocking(move || {
        let sql = "BEGIN; LOCK TABLE commands; SELECT pg_sleep(1.5); COMMIT";
        assert!(psql(&database, sql));
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ((), ended) = tokio::join!(server.stop(), charger.ended());
    assert_eq!(ended, Ended::Closed(1012, "server restarting".to_owned()));
    held.await.unwrap();
    server.restart().await;
    let history = server.history("CP-1").await;
    let last = history.iter().find(|e| e["type"] == "station.disconnected");
    assert_eq!(last.unwrap()["data"]["reason"], "shutdown");
    let command = server.ended_command(&command).await;
    let told = "the connection was lost before the answer: whether it was done is not known";
    assert_eq!(command["detail"], told);
}

/// A database that went away is not waited for beyond the bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_without_its_database_is_bounded_too() {
    let cluster = Cluster::start_new();
    let url = cluster.url();
    let settings = [("DATABASE_URL", &*url), ("SHUTDOWN_TIMEOUT", "2s")];
    let mut server = Server::start_with(Backend::Sqlite, &settings).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    tokio::task::block_in_place(|| cluster.crash());
    let told = Instant::now();
    server.stop().await;
    assert!(
        told.elapsed() < Duration::from_secs(7),
        "{:?}",
        told.elapsed()
    );
}
