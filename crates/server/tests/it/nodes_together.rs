//! Several nodes over one PostgreSQL and one Redis are one network: any of them answers, any takes
//! any charger, and what one knows all know.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Access, Backend, Ended, Ground, OnBreak, PATIENCE, Process, Server, Traffic, all_known,
    eventually,
};

/// Two nodes of one network, whose deaths are noticed soon.
async fn two_nodes() -> (Server, Server) {
    let settings = [("NODE_TIMEOUT", "3s")];
    let first = Server::start_with(Backend::PostgresWithRedis, &settings).await;
    let second = first.start_beside().await;
    (first, second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_finds_the_node_that_holds_the_charger() {
    let (first, second) = two_nodes().await;
    first.enter("S").await;
    second
        .operator()
        .post(
            "stations/S/commands",
            json!({"command": "clear_cache", "parameters": {}}),
        )
        .await
        .problem(409);
    let mut charger = first.charger("S").connect().await;
    charger.boot().await;
    for node in [&first, &second] {
        let (command, ()) =
            tokio::join!(node.order("S", "reset", json!({"type": "soft"})), async {
                let call = charger.next_call().await;
                assert_eq!(call.action, "Reset");
                charger.answer(&call, json!({"status": "Accepted"})).await;
            });
        assert_eq!(command["outcome"], "accepted", "{command}");
    }
    // What the charger answers comes back whole.
    let (command, ()) = tokio::join!(
        second.order("S", "get_configuration", json!({"keys": ["a"]})),
        async {
            let call = charger.next_call().await;
            let conf = json!({"configurationKey": [{"key": "a", "readonly": true, "value": "ñ"}]});
            charger.answer(&call, conf).await;
        }
    );
    assert_eq!(
        command["response"]["configurationKey"][0]["value"], "ñ",
        "{command}"
    );
    // Each was said once, by the node that holds the charger.
    charger.idle(Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_at_another_node_is_told_of_the_end_before_its_event_comes() {
    const COMMANDS: u32 = 10;
    // Without events over Redis a node looks at the log once a second.
    const LOOKS: Duration = Duration::from_secs(1);
    let (first, second) = two_nodes().await;
    first.enter("S").await;
    let mut charger = first.charger("S").connect().await;
    charger.boot().await;
    let redis = redis::Client::open(second.setting("REDIS_URL")).unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let mut silence = redis::cmd("ACL");
    silence.arg(&["SETUSER", "default", "resetchannels"]);
    let () = silence.query_async(&mut redis).await.unwrap();
    let mut publish = redis::cmd("PUBLISH");
    let published = publish
        .arg("x")
        .arg("x")
        .query_async::<i64>(&mut redis)
        .await;
    assert!(published.is_err(), "no event goes through Redis");
    let begun = Instant::now();
    for _ in 0..COMMANDS {
        let (command, ()) = tokio::join!(second.order("S", "clear_cache", json!({})), async {
            let call = charger.next_call().await;
            charger.answer(&call, json!({"status": "Accepted"})).await;
        });
        assert_eq!(command["outcome"], "accepted", "{command}");
    }
    let took = begun.elapsed();
    assert!(took < LOOKS * COMMANDS * 2 / 3, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_command_that_others_gave_is_told_by_its_event() {
    const LONG: Duration = Duration::from_secs(20);
    let (first, second) = two_nodes().await;
    first.enter("S").await;
    let mut charger = first.charger("S").connect().await;
    charger.boot().await;
    // Nobody waits when it is carried, and so its node tells nobody of the end.
    let once = second.operator().with("idempotency-key", "once");
    let body = json!({"command": "clear_cache", "parameters": {}});
    once.post("stations/S/commands", body.clone())
        .await
        .expect(202);
    let call = charger.next_call().await;
    let begun = Instant::now();
    let path = format!("stations/S/commands?wait={}", LONG.as_secs());
    let (answer, ()) = tokio::join!(once.post(&path, body), async {
        charger.idle(Duration::from_millis(500)).await;
        charger.answer(&call, json!({"status": "Accepted"})).await;
    });
    assert_eq!(answer.expect(200)["outcome"], "accepted");
    let took = begun.elapsed();
    assert!(took < LONG / 2, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charger_that_moves_is_held_by_its_new_node_alone() {
    let (first, second) = two_nodes().await;
    first.enter("S").await;
    let nodes: [&Server; 2] = [&first, &second];
    let mut held = first.charger("S").connect().await;
    held.boot().await;
    for round in 0..6 {
        let node = nodes[(round + 1) % 2];
        let mut moved = node.charger("S").connect().await;
        moved
            .status(
                1,
                if round % 2 == 0 {
                    "Charging"
                } else {
                    "Available"
                },
            )
            .await;
        let Ended::Closed(code, reason) = held.ended().await else {
            panic!("the old node says why");
        };
        assert_eq!(
            (code, reason.as_str()),
            (1008, "replaced by a newer connection")
        );
        held = moved;
        for other in nodes {
            let status = if round % 2 == 0 {
                "occupied"
            } else {
                "available"
            };
            let station = other.station("S").await;
            assert_eq!(
                (&station["online"], &station["status"]),
                (&json!(true), &json!(status))
            );
        }
        // Commands follow it, from either node.
        let (command, ()) = tokio::join!(
            nodes[round % 2].order("S", "clear_cache", json!({})),
            async {
                let call = held.next_call().await;
                held.answer(&call, json!({"status": "Accepted"})).await;
            }
        );
        assert_eq!(command["outcome"], "accepted");
    }
    assert_eq!(first.count_events("S", "station.disconnected").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_nodes_stream_the_same_events_and_a_stream_goes_on_at_the_other() {
    let (first, second) = two_nodes().await;
    first.enter("S").await;
    second.enter("T").await;
    let begin = first.app().store.last_seq().await.unwrap();
    let from = |node: &Access, seq: i64| node.viewer().with("last-event-id", seq);
    let mut streams = [
        from(&first, begin).follow("events").await,
        from(&second, begin).follow("events").await,
    ];
    let work = async |node: &Server, id: &str| {
        let mut charger = node.charger(id).connect().await;
        charger.boot().await;
        for turn in 0..100 {
            charger
                .status(
                    1,
                    if turn % 2 == 0 {
                        "Charging"
                    } else {
                        "Available"
                    },
                )
                .await;
        }
        charger
    };
    // Each at its own node, at the same time.
    let _chargers = tokio::join!(work(&first, "S"), work(&second, "T"));
    let end = first.app().store.last_seq().await.unwrap();
    let mut seen: [Vec<(i64, Value)>; 2] = Default::default();
    for (stream, seen) in streams.iter_mut().zip(&mut seen) {
        while seen.last().is_none_or(|(seq, _)| *seq < end) {
            let event = stream.next().await.expect("the stream goes on");
            seen.push((event.id, event.data));
        }
        let numbers: Vec<_> = seen.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(
            numbers,
            (begin + 1..=end).collect::<Vec<_>>(),
            "in order, each once"
        );
    }
    assert_eq!(seen[0], seen[1]);
    // One that broke off goes on at the other node, where it was.
    let middle = i64::midpoint(begin, end);
    let mut resumed = from(&second, middle).follow("events").await;
    for seq in middle + 1..=end {
        assert_eq!(resumed.next().await.unwrap().id, seq);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_revoked_at_one_node_is_refused_at_the_other_at_once() {
    let (first, second) = two_nodes().await;
    let made = first
        .admin()
        .post("tokens", json!({"name": "x", "role": "viewer"}))
        .await
        .expect(201);
    let holder = second.anonymous().bearing(made["token"].as_str().unwrap());
    for _ in 0..20 {
        holder.get("stations").await.expect(200);
    }
    let mut stream = second.viewer().follow("events").await;
    let path = format!("tokens/{}", made["id"].as_str().unwrap());
    first.admin().delete(&path).await.expect(204);
    stream.next_of("token.revoked").await;
    holder.get("stations").await.problem(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_station_deleted_at_one_node_loses_its_charger_at_the_other() {
    let (first, second) = two_nodes().await;
    first.enter("S").await;
    let mut charger = first.charger("S").connect().await;
    charger.boot().await;
    second.operator().delete("stations/S").await.expect(204);
    let Ended::Closed(code, reason) = charger.ended().await else {
        panic!("it is told why");
    };
    assert_eq!((code, reason.as_str()), (1008, "no longer known here"));
    // Entered anew, the first connection of its new life stands.
    second.enter("S").await;
    let mut charger = first.charger("S").connect().await;
    charger.boot().await;
    charger.status(1, "Available").await;
    second.station_when("S", "status", "available").await;
    charger.idle(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_leaves_nobody_online_and_no_command_open() {
    let settings = [("NODE_TIMEOUT", "2s")];
    let living = Server::start_with(Backend::PostgresWithRedis, &settings).await;
    let ground = Ground::new(Backend::Sqlite);
    let shared = [
        ("DATABASE_URL", living.setting("DATABASE_URL")),
        ("REDIS_URL", living.setting("REDIS_URL")),
        settings[0],
    ];
    let dying = Process::start(&ground, &shared).await;
    let ids = ["S", "T", "U"];
    let mut chargers = Vec::new();
    for id in ids {
        living.enter(id).await;
        let mut charger = dying.charger(id).connect().await;
        charger.boot().await;
        charger.status(1, "Available").await;
        chargers.push(charger);
    }
    // One command is with the charger, one on its way there.
    let first = living
        .order_soon("S", "reset", json!({"type": "soft"}))
        .await;
    assert_eq!(chargers[0].next_call().await.action, "Reset");
    let second = living.order_soon("S", "clear_cache", json!({})).await;
    dying.kill().await;
    // One comes back at once, to the node that lives, and stays.
    let mut back = living.charger("T").connect().await;
    back.status(1, "Charging").await;
    for command in [first, second] {
        let command = living.ended_command(&command).await;
        assert_eq!(command["outcome"], "lost", "{command}");
    }
    for id in ["S", "U"] {
        let station = living.station_when(id, "online", false).await;
        assert_eq!(station["status"], "offline");
    }
    let station = living.station("T").await;
    assert_eq!(
        (&station["online"], &station["status"]),
        (&json!(true), &json!("occupied"))
    );
    back.idle(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_away_costs_time_and_nothing_else() {
    let (mut first, second) = two_nodes().await;
    first.enter("S").await;
    first.enter("T").await;
    let begin = first.app().store.last_seq().await.unwrap();
    let mut streams = [
        first
            .viewer()
            .with("last-event-id", begin)
            .follow("events")
            .await,
        second
            .viewer()
            .with("last-event-id", begin)
            .follow("events")
            .await,
    ];
    let mut here = first.charger("S").connect().await;
    let mut there = second.charger("T").connect().await;
    here.boot().await;
    there.boot().await;
    first.ground.redis().kill();
    // Each serves its own chargers, and knows soon what the other's do.
    for turn in 0..4 {
        let (word, status) = [("Charging", "occupied"), ("Available", "available")][turn % 2];
        here.status(1, word).await;
        there.status(1, word).await;
        for node in [&first, &second] {
            node.station_when("S", "status", status).await;
            node.station_when("T", "status", status).await;
        }
    }
    let (command, ()) = tokio::join!(first.order("S", "clear_cache", json!({})), async {
        let call = here.next_call().await;
        here.answer(&call, json!({"status": "Accepted"})).await;
    });
    assert_eq!(command["outcome"], "accepted");
    // A command for the other node's charger has an outcome all the same, and an honest one.
    let lost = second.order("S", "clear_cache", json!({})).await;
    assert_eq!(lost["outcome"], "lost", "{lost}");
    first.ground.redis().start();
    let since = Instant::now();
    loop {
        let (command, ()) = tokio::join!(second.order("S", "clear_cache", json!({})), async {
            let heard = timeout(Duration::from_millis(500), here.next_call()).await;
            if let Ok(call) = heard {
                here.answer(&call, json!({"status": "Accepted"})).await;
            }
        });
        if command["outcome"] == "accepted" {
            break;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "commands pass between the nodes again"
        );
    }
    let end = first.app().store.last_seq().await.unwrap();
    for stream in &mut streams {
        for seq in begin + 1..=end {
            assert_eq!(stream.next().await.unwrap().id, seq, "nothing is missing");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_adds_up_over_the_nodes() {
    let (first, second) = two_nodes().await;
    first.enter("S").await;
    second.enter_with("T", json!([{}, {}])).await;
    eventually("the nodes know of each other's", async || {
        let events = first.app().store.last_seq().await.ok()?;
        (events >= 9).then_some(())
    })
    .await;
    let count = async |node: &Server| node.metrics().await.count("connectors_created_total", &[]);
    assert_eq!((count(&first).await, count(&second).await), (1, 2));
    // What is there now is the same, whomever one asks.
    for node in [&first, &second] {
        let there = node.metrics().await.count("enchufe_connectors", &[]);
        assert_eq!(there, 3);
    }
}

/// Three nodes as processes, on one PostgreSQL and one Redis.
struct Three {
    postgres: Ground,
    grounds: [Ground; 3],
    nodes: [Option<Process>; 3],
}

impl Three {
    async fn start() -> Self {
        let mut three = Self {
            postgres: Ground::new(Backend::PostgresWithRedis),
            grounds: std::array::from_fn(|_| Ground::new(Backend::Sqlite)),
            nodes: [None, None, None],
        };
        for number in 0..3 {
            three.start_node(number).await;
        }
        three
    }

    async fn start_node(&mut self, number: usize) {
        let shared = self.postgres.settings(&[("NODE_TIMEOUT", "3s")]);
        let of = |name: &str| {
            let mut found = shared
                .iter()
                .filter(|(other, _)| *other == format!("ENCHUFE_{name}"));
            found.next().map(|(_, value)| value.as_str()).unwrap()
        };
        let settings = [
            ("DATABASE_URL", of("DATABASE_URL")),
            ("REDIS_URL", of("REDIS_URL")),
            ("NODE_TIMEOUT", of("NODE_TIMEOUT")),
        ];
        let node = Process::start(&self.grounds[number], &settings).await;
        self.nodes[number] = Some(node);
    }

    fn living(&self) -> impl Iterator<Item = &Process> {
        self.nodes.iter().flatten()
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.living().map(|node| node.address).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_three_is_killed_and_nothing_is_lost() {
    const CHARGERS: usize = 60;
    let mut three = Three::start().await;
    let traffic = {
        let first = three.nodes[0].as_ref().unwrap();
        Traffic::begin(first, CHARGERS, OnBreak::Reconnect).await
    };
    traffic.doors().set(&three.addresses());
    traffic.flows(CHARGERS * 6).await;
    // Commands are under way everywhere; these chargers never answer them.
    let mut commands = Vec::new();
    for number in 0..CHARGERS {
        let node = three.nodes[number % 3].as_ref().unwrap();
        let body = json!({"command": "clear_cache"});
        let path = format!("stations/CP-{number}/commands");
        let answer = node.operator().post(&path, body).await;
        if answer.status == 202 {
            commands.push(answer.json()["id"].as_str().unwrap().to_owned());
        }
    }
    three.nodes[0].take().unwrap().kill().await;
    traffic.doors().set(&three.addresses());
    traffic.flows(CHARGERS * 12).await;
    let living = three.living().next().unwrap();
    for number in 0..CHARGERS {
        living
            .station_when(&format!("CP-{number}"), "online", true)
            .await;
    }
    let done = traffic.end().await;
    for node in three.living() {
        all_known(&done, node).await;
    }
    assert!(commands.len() > CHARGERS / 2, "{}", commands.len());
    for command in commands {
        // Whatever became of it, it is known.
        living.ended_command(&command).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_are_restarted_one_by_one_and_nobody_is_away_for_long() {
    const CHARGERS: usize = 60;
    /// Far longer than a charger of these tests takes to dial again.
    const AWAY: i64 = 5;
    let mut three = Three::start().await;
    let traffic = {
        let first = three.nodes[0].as_ref().unwrap();
        Traffic::begin(first, CHARGERS, OnBreak::Reconnect).await
    };
    traffic.doors().set(&three.addresses());
    for number in 0..3 {
        traffic.flows(CHARGERS * 6).await;
        let mut old = three.nodes[number].take().unwrap();
        old.terminate();
        // It says so before it closes anything, and a balancer looks away.
        eventually("it is not ready any more", async || {
            let asking = old.anonymous();
            let asked = asking.try_send(Method::GET, "/healthz", None, Bytes::new());
            let ready = asked.await.is_ok_and(|answer| answer.status == 200);
            (!ready).then_some(())
        })
        .await;
        traffic.doors().set(&three.addresses());
        assert!(old.ended().await.success());
        three.start_node(number).await;
        traffic.doors().set(&three.addresses());
    }
    traffic.flows(CHARGERS * 6).await;
    let done = traffic.end().await;
    let node = three.living().next().unwrap();
    all_known(&done, node).await;
    for number in 0..CHARGERS {
        let mut history = node.history(&format!("CP-{number}")).await;
        history.reverse();
        let mut since: Option<jiff::Timestamp> = None;
        for event in &history {
            let at: jiff::Timestamp = event["at"].as_str().unwrap().parse().unwrap();
            match event["type"].as_str().unwrap() {
                "station.disconnected" => since = Some(at),
                "station.connected" => {
                    let away = since
                        .take()
                        .map_or(0, |since| at.duration_since(since).as_secs());
                    assert!(away < AWAY, "CP-{number} was away for {away} s");
                }
                _ => {}
            }
        }
    }
}
