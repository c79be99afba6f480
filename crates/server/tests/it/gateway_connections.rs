//! How chargers come and go: a station is online while its latest connection lives, and not a
//! moment longer (pitfalls 2, 8 and 15).

use std::time::{Duration, Instant};

use domain::StationId;
use futures_util::future::join_all;
use serde_json::json;
use server::app::AppError;
use tokio::net::TcpStream;

use crate::support::{Backend, Ended, Ground, Process, Server, eventually};

both!(
    an_offline_station_is_never_available,
    the_close_of_an_old_socket_leaves_the_new_connection_alone,
    the_later_handshake_wins_whichever_is_taken_in_first,
    a_charger_that_redials_at_once_keeps_its_new_connection,
    a_restart_leaves_no_station_online,
    a_reconnected_charger_need_not_boot_again,
);

async fn an_offline_station_is_never_available(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut events = server.viewer().follow("events?station_id=CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    let up = events.next_of("station.connected").await;
    charger.boot().await;
    charger.status(1, "Available").await;
    assert_eq!(server.station("CP-1").await["status"], "available");

    // The power goes: nobody says goodbye.
    let gone = Instant::now();
    drop(charger);
    let told = events.next_of("station.disconnected").await;
    assert!(gone.elapsed() < Duration::from_secs(2), "told late");
    assert_eq!(told.data["data"]["epoch"], up.data["data"]["epoch"]);
    let station = server.station("CP-1").await;
    assert_eq!(station["status"], "offline");
    assert_eq!(station["online"], false);
    // The last that was known of its parts stays known, and is marked as old.
    let connector = &station["evses"][0]["connectors"][0];
    assert_eq!(connector["status"], "available");
    assert_eq!(connector["online"], false);
    // Whoever asks for stations to drive to is not sent there.
    let page = server.viewer().get("stations?status=available").await.ok();
    assert_eq!(page["stations"], json!([]));
}

async fn the_close_of_an_old_socket_leaves_the_new_connection_alone(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut old = server.charger("CP-1").connect().await;
    old.boot().await;
    old.status(1, "Available").await;

    // The charger reconnects before its old socket is known to be dead.
    let mut new = server.charger("CP-1").connect().await;
    let replaced = Ended::Closed(1008, "replaced by a newer connection".to_owned());
    assert_eq!(old.ended().await, replaced);
    drop(old);
    server.count_when("enchufe_ocpp_connections", 1).await;

    // The new one serves both ways, and its station was never offline.
    new.call("Heartbeat", json!({})).await;
    let order = server.order("CP-1", "clear_cache", json!({}));
    let ended = tokio::join!(order, async {
        let call = new.next_call().await;
        new.answer(&call, json!({"status": "Accepted"})).await;
    });
    assert_eq!(ended.0["outcome"], "accepted");
    let station = server.station("CP-1").await;
    assert_eq!(
        (&station["online"], &station["status"]),
        (&json!(true), &json!("available"))
    );
    assert_eq!(server.count_events("CP-1", "station.connected").await, 2);
    assert_eq!(server.count_events("CP-1", "station.disconnected").await, 0);

    // Its own close does take the station offline.
    new.close().await;
    server.station_when("CP-1", "status", "offline").await;
}

async fn the_later_handshake_wins_whichever_is_taken_in_first(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let id = StationId::new("CP-1").unwrap();
    let app = server.app();
    // Two handshakes, whose tasks get to the database in the other order.
    let (first, second) = (app.fleet.handshake(), app.fleet.handshake());
    app.fleet.admit(&id, first);
    app.fleet.admit(&id, second);
    let connected = app.charger_connected(&id, second, "ocpp1.6").await;
    let epoch = connected.unwrap().hold.epoch;
    let late = app.charger_connected(&id, first, "ocpp1.6").await;
    assert!(matches!(late, Err(AppError::Superseded)), "{late:?}");
    // In the order of their handshakes, both are taken in, and the epoch follows.
    app.fleet.dismiss(&id, second);
    for later in 1..=2 {
        let next = app.fleet.handshake();
        app.fleet.admit(&id, next);
        let connected = app.charger_connected(&id, next, "ocpp1.6").await;
        assert_eq!(connected.unwrap().hold.epoch, epoch + later);
    }
    assert_eq!(server.count_events("CP-1", "station.connected").await, 3);
}

async fn a_charger_that_redials_at_once_keeps_its_new_connection(backend: Backend) {
    let server = Server::start(backend).await;
    let ids: Vec<_> = (0..8).map(|n| format!("CP-{n}")).collect();
    join_all(ids.iter().map(|id| server.enter(id))).await;
    // Many at once, so that their tasks overtake each other where they can.
    let redial = ids.iter().map(async |id| {
        for round in 0..25 {
            let dropped = server.charger(id).knock().await;
            assert_eq!(dropped.status, 101);
            drop(dropped);
            let mut charger = server.charger(id).connect().await;
            for _ in 0..3 {
                let lives = charger.try_call_until_closed(
                    "BootNotification",
                    json!({
                        "chargePointVendor": "Acme", "chargePointModel": "Wallbox 22",
                    }),
                );
                let lives = lives.await;
                assert!(lives, "{id}, round {round}: {:?}", charger.closed_with());
            }
        }
    });
    join_all(redial).await;
    for id in &ids {
        server.station_when(id, "online", false).await;
    }
}

async fn a_restart_leaves_no_station_online(backend: Backend) {
    let mut server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    charger.status(1, "Available").await;
    let ((), ended) = tokio::join!(server.restart(), charger.ended());
    assert_eq!(ended, Ended::Closed(1012, "server restarting".to_owned()));
    // Already when the server says that it serves.
    assert_eq!(server.station("CP-1").await["status"], "offline");

    let mut charger = server.charger("CP-1").connect().await;
    charger.call("Heartbeat", json!({})).await;
    let station = server.station("CP-1").await;
    assert_eq!(
        (&station["online"], &station["status"]),
        (&json!(true), &json!("available"))
    );
}

async fn a_reconnected_charger_need_not_boot_again(backend: Backend) {
    let mut server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    charger.close().await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.status(1, "Charging").await;
    drop(charger);
    server.restart().await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.status(1, "Finishing").await;
    assert_eq!(server.station("CP-1").await["status"], "occupied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_is_noticed_within_two_ping_intervals() {
    let server = Server::start_with(Backend::Sqlite, &[("PING_INTERVAL", "1s")]).await;
    for id in ["MUTE", "ALIVE"] {
        server.enter(id).await;
    }
    let mut alive = server.charger("ALIVE").connect().await;
    let mut mute = server.charger("MUTE").connect().await;
    let silent = Instant::now();
    mute.boot().await;
    // One reads, and so answers pings. The other one's cable was cut: nothing comes, and no close.
    let listening = async {
        alive.idle(Duration::from_secs(4)).await;
    };
    let noticing = async {
        server.station_when("MUTE", "online", false).await;
        silent.elapsed()
    };
    let (noticed, ()) = tokio::join!(noticing, listening);
    assert!(noticed >= Duration::from_secs(2), "{noticed:?}: too hasty");
    assert!(
        noticed < Duration::from_millis(3500),
        "{noticed:?}: too late"
    );
    assert_eq!(server.station("ALIVE").await["online"], true);
    let metrics = server.metrics().await;
    let reasons = metrics.count("enchufe_ocpp_disconnects_total", &["timed_out"]);
    assert_eq!(reasons, 1, "{}", metrics.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_station_loses_its_connection_and_keeps_its_history() {
    let server = Server::start(Backend::Sqlite).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    let deleted = server.operator().delete("stations/CP-1").await;
    deleted.expect(204);
    let ended = Ended::Closed(1008, "no longer known here".to_owned());
    assert_eq!(charger.ended().await, ended);
    assert_eq!(server.charger("CP-1").knock().await.status, 404);
    assert_eq!(server.count_events("CP-1", "station.booted").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_charger_was_last_heard_outlives_its_connection() {
    let server = Server::start(Backend::Sqlite).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    let heard = server.station("CP-1").await["last_seen"].clone();
    tokio::time::sleep(Duration::from_millis(20)).await;
    charger.call("Heartbeat", json!({})).await;
    charger.close().await;
    let station = server.station_when("CP-1", "online", false).await;
    assert!(station["last_seen"].as_str() > heard.as_str(), "{station}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_room_says_so_and_goes_on() {
    /// Of so few files chargers get half, and it takes all that it may have.
    const FILES: (u32, u32) = (64, 200);
    const ROOM: i64 = 100;
    let ground = Ground::new(Backend::Sqlite);
    let server = Process::start_with_files(&ground, &[], FILES).await;
    let ids: Vec<_> = (0..=ROOM).map(|n| format!("CP-{n}")).collect();
    for id in &ids {
        server.enter(id).await;
    }
    let (last, first) = ids.split_last().unwrap();
    let mut chargers = Vec::new();
    for id in first {
        chargers.push(server.charger(id).connect().await);
    }
    server.count_when("enchufe_ocpp_connections", ROOM).await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("enchufe_ocpp_connections_max", &[]), ROOM);

    for _ in 0..2 * FILES.1 {
        let refused = server.charger(last).knock().await;
        assert_eq!(refused.status, 503);
        let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((11..=20).contains(&seconds), "{seconds}");
        assert_eq!(refused.header("connection"), Some("close"));
    }
    // Whoever has a place keeps it, and people are answered.
    chargers[0].boot().await;
    chargers[0].status(1, "Charging").await;
    server.station_when("CP-0", "status", "occupied").await;

    // Who opens connections without end, and says nothing, fills the rest, and not for long.
    let mut silent = Vec::new();
    for _ in 0..FILES.1 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    chargers[0].status(1, "Available").await;
    assert_eq!(
        server
            .metrics()
            .await
            .count("enchufe_ocpp_connections", &[]),
        ROOM
    );
    let refused = server.charger(last).try_knock().await;
    assert!(refused.is_none_or(|knock| knock.status == 503));
    tokio::time::sleep(Duration::from_secs(11)).await;
    server.station_when("CP-0", "status", "available").await;
    drop(silent);

    chargers.pop().unwrap().close().await;
    let mut late = eventually("a place is free again", async || {
        server.charger(last).try_connect().await
    })
    .await;
    late.boot().await;
}
