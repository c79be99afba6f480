//! Load drills: who may, within which bounds, one at a time, and what is left of it afterwards:
//! nothing (pitfall 18).

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Access, Answer, Backend, Client, Ground, Process, Server, eventually};

both!(
    a_call_starts_a_drill_that_is_watched_and_ends_by_itself,
    what_is_out_of_bounds_is_refused_at_its_place,
    there_is_one_drill_at_a_time,
    drills_are_for_operators_of_servers_that_allow_them,
    a_drill_asked_for_twice_is_one_drill,
    a_stop_ends_a_drill_and_says_so,
    a_share_of_the_requests_is_slow_and_a_share_fails,
);

const MIB: u64 = 1024 * 1024;
const DRILLS: [(&str, &str); 1] = [("DRILLS", "true")];

/// So little that nobody notices, for as long as a test may take.
fn light() -> Value {
    json!({"cpu": 0.01, "duration": "60s"})
}

fn path(drill: &Value) -> String {
    format!("drills/{}", drill["id"].as_str().unwrap())
}

/// Waits for a drill's end, and gives it as it then is.
async fn ended(server: &Access, drill: &Value) -> Value {
    eventually("the drill ends", async || {
        let drill = server.viewer().get(&path(drill)).await.expect(200);
        (!drill["outcome"].is_null()).then_some(drill)
    })
    .await
}

async fn a_call_starts_a_drill_that_is_watched_and_ends_by_itself(backend: Backend) {
    let server = Server::start_with(backend, &DRILLS).await;
    let operator = server.operator();
    let mut events = server.viewer().follow("events").await;
    let asked = Instant::now();
    let risen = operator.get("/riseload").await;
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    assert!(
        risen.text.starts_with(r#"{"msg":"Load uped","#),
        "{risen:?}"
    );
    let drill = risen.expect(200);
    assert_eq!(
        (&drill["cpu"], &drill["memory"], &drill["duration"]),
        (&json!(0.95), &json!(0.0), &json!("90s"))
    );
    assert_eq!(drill["outcome"], Value::Null);
    let started = events.next_of("drill.started").await.data;
    assert_eq!(started["data"]["drill_id"], drill["id"]);
    assert_eq!(started["data"]["node"], drill["node"]);
    assert_eq!(started["data"]["load"]["duration_seconds"], 90);

    // It is there to be seen, and does what it says.
    let listed = server.viewer().get("drills").await.expect(200);
    assert_eq!(listed["enabled"], true);
    assert_eq!(listed["drills"][0]["id"], drill["id"]);
    eventually("something is burned", async || {
        let drill = server.viewer().get(&path(&drill)).await.expect(200);
        (drill["measured"]["cpu_used_cores"].as_f64() > Some(0.2)).then_some(())
    })
    .await;
    assert_eq!(operator.delete(&path(&drill)).await.status, 204);
    let aborted = server.viewer().get(&path(&drill)).await.expect(200);
    assert_eq!(aborted["outcome"], "aborted");
    assert!(aborted["ended_at"].as_str() < aborted["ends_at"].as_str());
    let told = events.next_of("drill.ended").await.data;
    assert_eq!(told["data"]["outcome"], "aborted");
    // Again, it changes nothing.
    assert_eq!(operator.delete(&path(&drill)).await.status, 204);

    // One that nobody ends. It burns with a limit, and what it had come to stays to be read.
    let body = json!({"cpu": 0.3, "duration": "1s"});
    let made = operator.post("drills", body).await;
    let drill = made.expect(201);
    assert_eq!(made.header("location"), format!("/api/v1/{}", path(&drill)));
    let asked = Instant::now();
    let over = ended(&server, &drill).await;
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(over["outcome"], "completed");
    let aimed = over["measured"]["cpu_target_cores"].as_f64().unwrap();
    assert!(aimed > 0.0, "{over}");
    let told = events.next_of("drill.ended").await.data;
    assert_eq!(told["data"]["drill_id"], drill["id"]);
    let listed = server.viewer().get("drills").await.expect(200);
    assert_eq!(listed["drills"].as_array().unwrap().len(), 2);
    server.viewer().get("drills/nobody").await.problem(404);
    let other = "drills/0198c1a2-7b1e-7c44-9d0a-5f2e8a1b3c4d";
    server.viewer().get(other).await.problem(404);
    operator.delete(other).await.problem(404);
}

async fn what_is_out_of_bounds_is_refused_at_its_place(backend: Backend) {
    let server = Server::start_with(backend, &DRILLS).await;
    let operator = server.operator();
    for (body, pointer) in [
        (json!({"cpu": 1.01}), "/cpu"),
        (json!({"cpu": -0.1}), "/cpu"),
        (json!({"cpu": "all"}), "/cpu"),
        (json!({"memory": 0.96}), "/memory"),
        (json!({"memory": 1}), "/memory"),
        (json!({"latency_ms": 10_001}), "/latency_ms"),
        (json!({"latency_ms": -1}), "/latency_ms"),
        (json!({"latency_rate": 1.5}), "/latency_rate"),
        (json!({"error_rate": 2}), "/error_rate"),
        (json!({"error_rate": 0.5, "duration": "0s"}), "/duration"),
        (json!({"duration": "31m"}), "/duration"),
        (json!({"duration": "1h"}), "/duration"),
        (json!({"duration": "1500ms"}), "/duration"),
        (json!({"duration": "soon"}), "/duration"),
        (json!({"duration": 90}), "/duration"),
    ] {
        let refused = operator.post("drills", body.clone()).await;
        assert_eq!(refused.pointers(), [pointer], "{body}");
    }
    let refused = operator.post("drills", json!({"disk": 1})).await;
    refused.problem(422);
    let both = json!({"cpu": 2, "memory": 2});
    let refused = operator.post("drills", both).await;
    assert_eq!(refused.pointers(), ["/cpu", "/memory"]);
    // One that does nothing is none.
    for nothing in [
        json!({"cpu": 0}),
        json!({"cpu": 0, "memory": 0, "latency_ms": 0, "error_rate": 0}),
        json!({"latency_ms": 100, "latency_rate": 0}),
    ] {
        let refused = operator.post("drills", nothing.clone()).await;
        assert_eq!(refused.pointers(), [""], "{nothing}");
    }
    // Nothing of it has begun.
    let listed = operator.get("drills").await.expect(200);
    assert_eq!(listed["drills"], json!([]));
    // The bounds themselves are within.
    for (latency_rate, error_rate) in [(0.0, 0.001), (0.001, 0.0)] {
        let most = json!({"cpu": 0, "memory": 0.0, "latency_ms": 10_000,
            "latency_rate": latency_rate, "error_rate": error_rate, "duration": "30m"});
        let drill = operator.post("drills", most).await.expect(201);
        operator.delete(&path(&drill)).await.expect(204);
    }
}

async fn there_is_one_drill_at_a_time(backend: Backend) {
    let server = Server::start_with(backend, &DRILLS).await;
    let operator = server.operator();
    // Of many who ask at once, one gets it.
    let asked = join_all((0..8).map(|_| operator.post("drills", light()))).await;
    let won: Vec<&Answer> = asked.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(won.len(), 1, "{asked:?}");
    let drill = won[0].json();
    for lost in asked.iter().filter(|answer| answer.status != 201) {
        lost.problem(409);
    }
    // The others are told which one runs.
    for refused in [
        operator.post("drills", light()).await,
        operator.get("/riseload").await,
    ] {
        let detail = refused.problem(409)["detail"].to_string();
        assert!(detail.contains(drill["id"].as_str().unwrap()), "{detail}");
    }
    operator.delete(&path(&drill)).await.expect(204);
    let next = operator.post("drills", light()).await.expect(201);
    assert_ne!(next["id"], drill["id"]);
    // To end one that has ended does not end the next.
    operator.delete(&path(&drill)).await.expect(204);
    let running = operator.get(&path(&next)).await.expect(200);
    assert_eq!(running["outcome"], Value::Null);
    operator.delete(&path(&next)).await.expect(204);
}

async fn drills_are_for_operators_of_servers_that_allow_them(backend: Backend) {
    let server = Server::start_with(backend, &DRILLS).await;
    let refused = server.anonymous().get("/riseload").await;
    refused.problem(401);
    let challenge = refused.header("www-authenticate");
    assert_eq!(challenge, "Bearer realm=\"enchufe\"");
    server.viewer().get("/riseload").await.problem(403);
    server.viewer().post("drills", light()).await.problem(403);
    // Who only looks starts nothing, whoever it is.
    for client in [server.anonymous(), server.viewer(), server.admin()] {
        let head = client.send(Method::HEAD, "/riseload", None).await;
        assert_eq!(
            (head.status, head.header("allow")),
            (405, "GET"),
            "{head:?}"
        );
    }
    let refused = server.admin().post("/riseload", json!({})).await;
    refused.problem(405);
    let listed = server.viewer().get("drills").await.expect(200);
    assert_eq!(listed["drills"], json!([]));
    let drill = server.operator().post("drills", light()).await.expect(201);
    server.viewer().delete(&path(&drill)).await.problem(403);
    server.admin().delete(&path(&drill)).await.expect(204);
    // Whoever called it was counted; who only looked was not.
    server.count_when("riseload_requests_total", 2).await;

    let closed = Server::start(backend).await;
    for refused in [
        closed.admin().get("/riseload").await,
        closed.admin().post("drills", light()).await,
    ] {
        let detail = refused.problem(403)["detail"].to_string();
        assert!(detail.contains("--drills"), "{detail}");
    }
    closed.anonymous().get("/riseload").await.problem(401);
    let listed = closed.viewer().get("drills").await.expect(200);
    assert_eq!(listed, json!({"enabled": false, "drills": []}));
}

async fn a_drill_asked_for_twice_is_one_drill(backend: Backend) {
    let server = Server::start_with(backend, &DRILLS).await;
    let once = server.operator().with("idempotency-key", "one-drill");
    let first = once.post("drills", light()).await.expect(201);
    let again = once.post("drills", light()).await.expect(201);
    assert_eq!(first["id"], again["id"]);
    once.delete(&path(&first)).await.expect(204);
    // Nor does the repetition start another one later.
    let again = once.post("drills", light()).await.expect(201);
    assert_eq!(
        (&again["id"], &again["outcome"]),
        (&first["id"], &json!("aborted"))
    );
    let other = json!({"cpu": 0.02, "duration": "60s"});
    once.post("drills", other).await.problem(422);
}

async fn a_stop_ends_a_drill_and_says_so(backend: Backend) {
    let mut server = Server::start_with(backend, &DRILLS).await;
    let body = json!({"cpu": 0.5, "memory": 0.1, "latency_ms": 10_000, "duration": "30m"});
    let drill = server.operator().post("drills", body).await.expect(201);
    let (viewer, told) = (server.viewer(), Instant::now());
    // One who is being kept waiting when it stops is answered.
    let waiting = tokio::spawn(async move { viewer.get("stations").await.status });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop().await;
    assert!(
        told.elapsed() < Duration::from_secs(6),
        "{:?}",
        told.elapsed()
    );
    assert_eq!(waiting.await.unwrap(), 200);
    eventually("no thread of the drill is left", async || {
        threads_of_drills(std::process::id())
            .is_empty()
            .then_some(())
    })
    .await;
    server.restart().await;
    let seen = server.app().follow(Some(0), None).await.unwrap();
    let ended = ended_in(seen, &drill).await;
    assert_eq!(ended, "stopped");
    // Only what runs or ran in this process is listed.
    let listed = server.viewer().get("drills").await.expect(200);
    assert_eq!(listed["drills"], json!([]));
}

/// How the log says that a drill ended.
async fn ended_in(mut events: server::bus::Follower, drill: &Value) -> String {
    loop {
        let next = tokio::time::timeout(crate::support::PATIENCE, events.next()).await;
        let event = next.expect("an event").unwrap().expect("the log goes on");
        if let domain::EventKind::DrillEnded {
            drill_id, outcome, ..
        } = event.event.kind
        {
            assert_eq!(json!(drill_id.0), drill["id"]);
            return outcome.to_string();
        }
    }
}

/// The names of the threads of drills in a process.
fn threads_of_drills(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("drill-")).collect()
}

async fn a_share_of_the_requests_is_slow_and_a_share_fails(backend: Backend) {
    const LATENCY: Duration = Duration::from_millis(400);
    let server = Server::start_with(backend, &DRILLS).await;
    server.enter("S").await;
    let (operator, viewer) = (server.operator(), server.viewer());
    let body =
        json!({"latency_ms": 400, "latency_rate": 0.5, "error_rate": 0.25, "duration": "5m"});
    let drill = operator.post("drills", body).await.expect(201);

    let timed = async |client: &Client, path: &str| {
        let asked = Instant::now();
        let answer = client.get(path).await;
        (answer, asked.elapsed())
    };
    let asked = join_all((0..200).map(|_| timed(&viewer, "stations/S"))).await;
    let mut failed = 0;
    for (answer, _) in asked.iter().filter(|(answer, _)| answer.status != 200) {
        assert!(answer.problem(503)["detail"].to_string().contains("drill"));
        assert!(!answer.header("retry-after").is_empty());
        failed += 1;
    }
    let slow = asked.iter().filter(|(_, took)| *took >= LATENCY).count();
    assert!((40..=60).contains(&failed), "{failed} of 200 failed");
    // A busy machine makes others slow too; none that is to be slow is quick.
    assert!(slow >= 90, "{slow} of 200 were slow");
    let drill = operator.get(&path(&drill)).await.expect(200);
    let measured = &drill["measured"];
    assert_eq!(measured["requests_failed"], failed);
    let delayed = measured["requests_delayed"].as_u64().unwrap();
    assert!(
        (90..=110).contains(&delayed),
        "{delayed} of 200 were delayed"
    );

    // It is seen by those who count, under the route.
    let metrics = server.metrics().await;
    let labels = ["method=\"GET\"", "endpoint=\"/api/v1/stations/{id}\""];
    let counted =
        |status: &str| metrics.count("http_requests_total", &[labels[0], labels[1], status]);
    assert_eq!(counted("http_status=\"503\""), failed);
    assert_eq!(counted("http_status=\"200\""), 200 - failed);

    // What is refused was not done: an entry a success, and none for a failure.
    let made = join_all((0..40).map(|n| {
        let body = json!({"id": format!("N-{n}"), "name": "New"});
        let operator = operator.clone();
        async move { operator.post("stations", body).await.status }
    }))
    .await;
    let refused = made.iter().filter(|status| **status == 503).count();
    assert!((5..=15).contains(&refused), "{made:?}");
    operator.delete(&path(&drill)).await.expect(204);
    let there = viewer.pages("stations", "stations", 500).await.len();
    assert_eq!(there, 1 + 40 - refused);

    // Readiness, metrics and the drill's own endpoints are never troubled.
    let body = json!({"latency_ms": 10_000, "error_rate": 1, "duration": "5m"});
    let drill = operator.post("drills", body).await.expect(201);
    let begun = Instant::now();
    for path in [
        "/health",
        "/healthz",
        "/",
        "/bye",
        "/openapi.json",
        "drills",
    ] {
        assert_eq!(viewer.get(path).await.status, 200, "{path}");
    }
    server.metrics().await;
    operator.get(&path(&drill)).await.expect(200);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    // One who waits is let go when the drill is aborted.
    let (waiting, ()) = tokio::join!(timed(&viewer, "stations/S"), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        operator.delete(&path(&drill)).await.expect(204);
    });
    waiting.0.expect(200);
    assert!(waiting.1 < Duration::from_secs(5), "{:?}", waiting.1);
    viewer.get("stations/S").await.expect(200);
}

/// The share of memory to ask for so that a drill fills 128 MiB: without a limit, a quarter of
/// 512 MiB.
fn share_of_128_mib() -> f64 {
    let container = server::cgroup::Cgroup::own().read();
    let Some(limit) = container.memory_limit_bytes else {
        return 0.25;
    };
    let wanted = container.memory_working_set_bytes.unwrap() + 128 * MIB;
    let mib = |bytes: u64| f64::from(u32::try_from(bytes / MIB).unwrap());
    mib(wanted) / mib(limit)
}

/// A drill fills memory, and gives all of it back at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_filled_up_to_its_bound_and_given_back() {
    let ground = Ground::new(Backend::Sqlite);
    let process = Process::start(&ground, &DRILLS).await;
    let operator = process.operator();
    let before = process.memory().now;
    let body = json!({"memory": share_of_128_mib(), "duration": "5m"});
    let drill = operator.post("drills", body).await.expect(201);
    let bytes = |drill: &Value, name: &str| drill["measured"][name].as_u64().unwrap();
    let full = eventually("the memory is filled", async || {
        let drill = operator.get(&path(&drill)).await.expect(200);
        let held = bytes(&drill, "memory_held_bytes");
        (held >= 100 * MIB).then_some(drill)
    })
    .await;
    // It stops there.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let drill = operator.get(&path(&full)).await.expect(200);
    let held = bytes(&drill, "memory_held_bytes");
    assert!(
        held <= bytes(&drill, "memory_target_bytes") + 8 * MIB,
        "{drill}"
    );
    let grown = process.memory().now.saturating_sub(before);
    assert!(
        grown > held - 8 * MIB,
        "{grown} of {held} bytes are really there"
    );
    // What it holds is really there, and gone with it: before the answer to the abort.
    operator.delete(&path(&drill)).await.expect(204);
    let left = process.memory().now.saturating_sub(before);
    assert!(left < 48 * MIB, "{left} bytes are left of {held}");
    let drill = operator.get(&path(&drill)).await.expect(200);
    assert!(bytes(&drill, "memory_held_bytes") >= 100 * MIB, "{drill}");
}

/// The database goes away in a drill: the drill can still be aborted by one who was there before,
/// ends in time, and its server goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_ends_without_a_database() {
    let cluster = crate::support::Cluster::start_new();
    let ground = Ground::new(Backend::Sqlite);
    let settings = [
        ("DATABASE_URL", cluster.url()),
        ("DRILLS", "true".to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let process = Process::start(&ground, &settings).await;
    let operator = process.operator();
    let body = json!({"cpu": 0.2, "memory": 0.05, "duration": "2s"});
    operator.post("drills", body).await.expect(201);
    assert!(!threads_of_drills(process.id()).is_empty());
    tokio::task::block_in_place(|| cluster.crash());
    eventually("the drill's threads end", async || {
        threads_of_drills(process.id()).is_empty().then_some(())
    })
    .await;
    process.anonymous().get("/health").await.expect(200);
    // When the database is back, it hears how the drill ended.
    tokio::task::block_in_place(|| cluster.start());
    let next = eventually("drills can be started again", async || {
        let answer = operator.post("drills", light()).await;
        (answer.status == 201).then(|| answer.json())
    })
    .await;
    operator.delete(&path(&next)).await.expect(204);
    let mut events = process
        .viewer()
        .with("last-event-id", 0)
        .follow("events")
        .await;
    let ended = events.next_of("drill.ended").await.data;
    assert_eq!(ended["data"]["outcome"], "completed");
}

/// The 99th percentile of so many calls of `/health`, one after the other.
async fn health_p99(client: &Client, calls: usize) -> Duration {
    let mut took = Vec::with_capacity(calls);
    for _ in 0..calls {
        let asked = Instant::now();
        client.get("/health").await.expect(200);
        took.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    took.sort_unstable();
    took[calls * 99 / 100]
}

/// Without a quota, a drill that keeps a core busy leaves the service quick.
///
/// Each round measures right before the drill as well, because on a machine that is busy with
/// something else `/health` takes long whatever the server does. There it must not take much longer
/// than without the drill, and the test says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_stays_quick_during_a_drill() {
    const BOUND: Duration = Duration::from_millis(50);
    const CALLS: usize = 1_000;
    const ROUNDS: usize = 5;
    let ground = Ground::new(Backend::Sqlite);
    let process = Process::start(&ground, &DRILLS).await;
    let (anonymous, operator) = (process.anonymous(), process.operator());
    // Tests that themselves run under a quota ask for half of it, which nobody has to wait for.
    let quota = server::cgroup::Cgroup::own().read().cpu_limit_cores;
    let cpu = if quota.is_some() { 0.5 } else { 0.95 };
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let idle = health_p99(&anonymous, CALLS / 2).await;
        let body = json!({"cpu": cpu, "duration": "5m"});
        let drill = operator.post("drills", body).await.expect(201);
        let during = health_p99(&anonymous, CALLS).await;
        let burned = operator.get(&path(&drill)).await.expect(200);
        operator.delete(&path(&drill)).await.expect(204);
        let measured = |name: &str| burned["measured"][name].as_f64().unwrap();
        let (used, target) = (measured("cpu_used_cores"), measured("cpu_target_cores"));
        println!("round {round}: p99 {idle:?} before, {during:?} at {used} of {target} cores");
        // The drill must have been one.
        if during <= BOUND && used > 0.8 * target {
            return;
        }
        rounds.push((idle, during));
    }
    println!("the machine is too busy with something else to be held to {BOUND:?}");
    let busy =
        |(idle, during): &(Duration, Duration)| *idle > BOUND / 4 && *during <= *idle * 3 + BOUND;
    assert!(
        rounds.iter().all(busy),
        "/health is slow in a drill: {rounds:?}"
    );
}
