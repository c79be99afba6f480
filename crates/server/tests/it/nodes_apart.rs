//! Nodes that lose sight of each other: cut off from Redis, from PostgreSQL, from the right time.
//! Whatever each believes, the database takes the word of one.

use std::time::Duration;

use serde_json::json;
use server::clock::Clock;

use crate::support::{Backend, Cable, Ended, Ground, Process, Server, eventually, psql};

/// A node, and another one whose ways to what they share can be cut.
struct Network {
    well: Server,
    cut: Server,
    postgres: Cable,
    redis: Cable,
}

impl Network {
    async fn start() -> Self {
        let settings = [("NODE_TIMEOUT", "3s")];
        let well = Server::start_with(Backend::PostgresWithRedis, &settings).await;
        let (postgres, database_url) = Cable::to(well.setting("DATABASE_URL")).await;
        let (redis, redis_url) = Cable::to(well.setting("REDIS_URL")).await;
        let ways = [
            ("DATABASE_URL", database_url.as_str()),
            ("REDIS_URL", redis_url.as_str()),
        ];
        let cut = well.start_beside_with(&ways).await;
        Self {
            well,
            cut,
            postgres,
            redis,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_from_everything_speaks_for_nobody() {
    let Network {
        well,
        cut,
        postgres,
        redis,
    } = Network::start().await;
    well.accept_tag("TAG").await;
    for id in ["S", "T"] {
        well.enter(id).await;
    }
    let (mut moved, mut stays) = (
        cut.charger("S").connect().await,
        cut.charger("T").connect().await,
    );
    for charger in [&mut moved, &mut stays] {
        charger.boot().await;
        charger.status(1, "Available").await;
    }
    postgres.cut();
    redis.cut();
    // It still holds both sockets, and says nothing: what it cannot write down it does not answer.
    let word = moved
        .send_call(
            "StatusNotification",
            json!({"connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure"}),
        )
        .await;
    let begun = json!({"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"});
    let start = stays.send_call("StartTransaction", begun.clone()).await;
    // The others notice its silence, and one of its chargers comes to them.
    well.station_when("T", "status", "offline").await;
    let mut new = well.charger("S").connect().await;
    new.status(1, "Charging").await;
    postgres.mend();
    redis.mend();
    // Neither of the old connections gets an answer; both are closed, so that nothing is dropped.
    let answered = moved.try_answer_to(&word).await;
    assert!(answered.is_err(), "{answered:?}");
    let answered = stays.try_answer_to(&start).await;
    assert!(answered.is_err(), "{answered:?}");
    // What the newer connection said stands, and the older one's words were never written down.
    let history = well.history("S").await;
    assert!(
        history
            .iter()
            .all(|event| event["data"]["reported"] != "faulted"),
        "{history:?}"
    );
    assert_eq!(well.station("S").await["status"], "occupied");
    // The charger that kept its record sends it again, and it is taken once.
    let mut again = cut.charger("T").connect().await;
    again.call("StartTransaction", begun).await;
    assert_eq!(well.sessions("T").await.len(), 1);
    for node in [&well, &cut] {
        node.station_when("T", "online", true).await;
        node.station_when("S", "online", true).await;
    }
    new.idle(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_from_redis_alone_learns_from_the_database() {
    let Network {
        well, cut, redis, ..
    } = Network::start().await;
    well.enter("S").await;
    let mut old = cut.charger("S").connect().await;
    old.boot().await;
    redis.cut();
    let mut new = well.charger("S").connect().await;
    new.status(1, "Charging").await;
    // The old node reads of the takeover in the log, and lets go.
    let Ended::Closed(code, _) = old.ended().await else {
        panic!("it is told");
    };
    assert_eq!(code, 1008);
    cut.station_when("S", "status", "occupied").await;
    assert_eq!(
        cut.anonymous().get("/healthz").await.expect(200)["status"],
        "degraded"
    );
    redis.mend();
    eventually("it trusts Redis again", async || {
        let ready = cut.anonymous().get("/healthz").await.expect(200);
        (ready["status"] == "ok").then_some(())
    })
    .await;
    let (command, ()) = tokio::join!(cut.order("S", "clear_cache", json!({})), async {
        let call = new.next_call().await;
        new.answer(&call, json!({"status": "Accepted"})).await;
    });
    assert_eq!(command["outcome"], "accepted", "{command}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_taken_for_dead_comes_back_to_life() {
    let Network {
        well,
        cut,
        postgres,
        ..
    } = Network::start().await;
    well.enter("S").await;
    let mut charger = cut.charger("S").connect().await;
    charger.boot().await;
    charger.status(1, "Available").await;
    postgres.cut();
    well.station_when("S", "status", "offline").await;
    postgres.mend();
    // It lets go of a charger that the database counts as gone, and takes it again.
    charger.ended().await;
    let mut charger = eventually("it takes chargers again", async || {
        cut.charger("S").try_connect().await
    })
    .await;
    charger.status(1, "Charging").await;
    well.station_when("S", "status", "occupied").await;
    charger.idle(Duration::from_secs(4)).await;
    assert_eq!(
        well.station("S").await["online"],
        true,
        "and stays among the living"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_much_to_write_is_not_taken_for_dead() {
    /// No event is written for so long: several times the time after which a node counts as dead.
    const HOLD_UP: &str = "SELECT FROM counters WHERE name = 'events' FOR UPDATE; \
         SELECT pg_sleep(7)";
    let settings = [("NODE_TIMEOUT", "2s")];
    let keeper = Server::start_with(Backend::PostgresWithRedis, &settings).await;
    let other = keeper.start_beside().await;
    let ground = Ground::new(Backend::Sqlite);
    let shared = [
        ("DATABASE_URL", keeper.setting("DATABASE_URL")),
        ("REDIS_URL", keeper.setting("REDIS_URL")),
        settings[0],
    ];
    let dying = Process::start(&ground, &shared).await;
    for id in ["S", "T", "U"] {
        keeper.enter(id).await;
    }
    let mut lost = dying.charger("S").connect().await;
    lost.boot().await;
    let (mut first, mut second) = (
        keeper.charger("T").connect().await,
        other.charger("U").connect().await,
    );
    for charger in [&mut first, &mut second] {
        charger.boot().await;
        charger.status(1, "Available").await;
    }
    let url = keeper.setting("DATABASE_URL").to_owned();
    let held_up = tokio::task::spawn_blocking(move || psql(&url, HOLD_UP));
    // The one that keeps house cannot write down what it finds, nor what its charger says.
    dying.kill().await;
    let fault = json!({"connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure"});
    let word = first.send_call("StatusNotification", fault).await;
    assert!(held_up.await.unwrap());
    let answered = first.try_answer_to(&word).await;
    assert!(matches!(answered, Ok(Ok(_))), "{answered:?}");
    keeper.station_when("S", "online", false).await;
    for id in ["T", "U"] {
        let came = keeper.count_events(id, "station.connected").await;
        let left = keeper.count_events(id, "station.disconnected").await;
        assert_eq!((came, left), (1, 0), "{id} was connected all the time");
    }
    second.status(1, "Charging").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_moves_nobody_s_time() {
    let well = Server::start_with(Backend::PostgresWithRedis, &[("NODE_TIMEOUT", "2s")]).await;
    let ground = Ground::new(Backend::Sqlite);
    let shared = [
        ("DATABASE_URL", well.setting("DATABASE_URL")),
        ("REDIS_URL", well.setting("REDIS_URL")),
        ("NODE_TIMEOUT", "2s"),
    ];
    let fake = ground.file("faketime");
    let jump = |to: &str| std::fs::write(&fake, to).unwrap();
    jump("+0d");
    let odd = Process::start_with_clock(&ground, &shared, &fake).await;
    well.accept_tag("TAG").await;
    well.enter("S").await;
    let mut charger = odd.charger("S").connect().await;
    charger.boot().await;
    let clock = Clock::system();
    let now = || clock.now();
    for jumped in ["+40d", "-3d", "+0d"] {
        jump(jumped);
        // Long enough for heartbeats, sweeps and leases to go wrong if they could.
        charger.idle(Duration::from_secs(3)).await;
        charger.status(1, "Charging").await;
        let told = charger.call("Heartbeat", json!({})).await;
        let told: jiff::Timestamp = told["currentTime"].as_str().unwrap().parse().unwrap();
        assert!(
            told.duration_since(now()).abs().as_secs() < 5,
            "{jumped}: {told}"
        );
        charger.status(1, "Available").await;
        for node in [&*well, &*odd] {
            let station = node.station("S").await;
            assert_eq!(station["online"], true, "{jumped}: {station}");
            let since: jiff::Timestamp = station["status_since"].as_str().unwrap().parse().unwrap();
            assert!(
                since.duration_since(now()).abs().as_secs() < 10,
                "{jumped}: {station}"
            );
        }
        // Commands end as they do, in either direction.
        let (command, ()) = tokio::join!(well.order("S", "clear_cache", json!({})), async {
            let call = charger.next_call().await;
            charger.answer(&call, json!({"status": "Accepted"})).await;
        });
        assert_eq!(command["outcome"], "accepted", "{jumped}: {command}");
        // A request that was carried out once is remembered.
        let once = well
            .operator()
            .with("idempotency-key", format_args!("\"{jumped}\""));
        let body = json!({"name": format!("once {}", jumped.replace(['+', '-'], ""))});
        let made = once.post("stations", body.clone()).await.expect(201);
        assert_eq!(
            once.post("stations", body).await.expect(201)["id"],
            made["id"]
        );
    }
}
