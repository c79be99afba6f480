//! Everyone comes back at once, as after a power cut: everyone is served, nobody is told an error
//! (pitfall 12).

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Backend, Charger, Server};

const CHARGERS: i64 = 120;

both!(a_storm_of_reconnects_is_met_without_an_error);

async fn a_storm_of_reconnects_is_met_without_an_error(backend: Backend) {
    let settings = [("HEARTBEAT_INTERVAL", "300s")];
    let server = Server::start_with(backend, &settings).await;
    server.accept_tag("TAG").await;
    let ids: Vec<_> = (0..CHARGERS).map(|n| format!("CP-{n}")).collect();
    join_all(ids.iter().map(|id| server.enter(id))).await;

    let mut intervals = HashSet::new();
    let mut connected: Vec<Charger> = Vec::new();
    for _ in 0..3 {
        // The old sockets go without a word, while the new ones come.
        let old = std::mem::take(&mut connected);
        let come_back = ids.iter().map(|id| async {
            let mut charger = server.charger(id).connect().await;
            let conf = charger.boot().await;
            charger.status(0, "Available").await;
            charger.status(1, "Charging").await;
            // What it could not tell before.
            let transaction = charger.start(1, "TAG", 0, "2026-11-01T10:00:00Z").await;
            charger
                .meter(1, transaction, 50, "2026-11-01T10:10:00Z")
                .await;
            (charger, conf["interval"].as_i64().unwrap())
        });
        let (back, ()) = tokio::join!(join_all(come_back), async { drop(old) });
        for (charger, interval) in back {
            assert!((285..=315).contains(&interval), "{interval}");
            intervals.insert(interval);
            connected.push(charger);
        }
    }
    // They will not all beat together.
    assert!(intervals.len() > 10, "{intervals:?}");
    server
        .count_when("enchufe_ocpp_connections", CHARGERS)
        .await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("enchufe_stations_online", &[]), CHARGERS);
    assert_eq!(
        metrics.count("enchufe_charging_sessions_active", &[]),
        CHARGERS
    );
    assert_eq!(
        metrics.count("enchufe_ocpp_messages_total", &["\"error\""]),
        0
    );
    let page = server
        .viewer()
        .get("stations?status=occupied&limit=500")
        .await
        .ok();
    assert_eq!(page["stations"].as_array().unwrap().len(), ids.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_of_one_database_get_into_nobodys_way() {
    let one = Server::start(Backend::PostgresWithRedis).await;
    let two = one.start_beside().await;
    one.accept_tag("TAG").await;
    let ids: Vec<_> = (0..40).map(|n| format!("CP-{n}")).collect();
    join_all(ids.iter().map(|id| one.enter(id))).await;
    // Each charger goes from node to node, and leaves its old socket behind.
    let nodes = [&one, &two];
    let wander = ids.iter().map(async |id| {
        let mut left = Vec::new();
        let mut given = HashSet::new();
        for _ in 0..3 {
            for node in nodes {
                let mut charger = node.charger(id).connect().await;
                charger.boot().await;
                charger.status(1, "Charging").await;
                given.insert(charger.start(1, "TAG", 0, "2026-11-01T10:00:00Z").await);
                left.push(charger);
            }
        }
        assert_eq!(given.len(), 1, "{id}: the same start, told to two nodes");
        let last = left.pop().unwrap();
        drop(left);
        (last, given)
    });
    let (mut last, given): (Vec<_>, Vec<_>) = join_all(wander).await.into_iter().unzip();
    let all: HashSet<_> = given.into_iter().flatten().collect();
    assert_eq!(all.len(), ids.len(), "a transaction id was given twice");
    // The old sockets' ends are noticed, and take nobody offline.
    one.count_when("enchufe_ocpp_connections", 0).await;
    for charger in &mut last {
        charger.status(1, "Finishing").await;
    }
    for node in nodes {
        let page = node
            .viewer()
            .get("stations?status=occupied&limit=500")
            .await
            .ok();
        assert_eq!(page["stations"].as_array().unwrap().len(), ids.len());
        for id in &ids {
            let station = node.station(id).await;
            let reported = &station["evses"][0]["connectors"][0]["reported"];
            assert_eq!(
                reported["status"],
                json!("finishing"),
                "read on the other node"
            );
            assert_eq!(station["online"], true);
        }
    }
}
