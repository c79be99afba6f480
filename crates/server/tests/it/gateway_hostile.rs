//! Chargers that mean harm, or are broken: they cost the server a bounded memory, and the others
//! nothing (pitfall 13).

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{Backend, Charger, Ground, Process, eventually};

/// Chargers that do harm at the same time.
const HOSTILE: usize = 1_000;
/// How many are entered, or do something, at a time.
const AT_A_TIME: usize = 100;
/// What frames that are being read and answered may take, all together: an eighth of what is sent.
const MOST_AT_WORK: u64 = 128 * MIB;
/// What may be left of them afterwards: 32 KiB for each.
const MOST_LEFT: u64 = 32 * MIB;
const MIB: u64 = 1024 * 1024;

/// Lets this process and those it starts open as many sockets as they may.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, all).unwrap();
}

/// A process and so many chargers, connected and booted.
async fn crowd(ground: &Ground) -> (Process, Vec<Charger>) {
    raise_file_limit();
    let process = Process::start(ground, &[]).await;
    let ids: Vec<_> = (0..HOSTILE).map(|n| format!("CP-{n}")).collect();
    let mut chargers = Vec::new();
    for ids in ids.chunks(AT_A_TIME) {
        let come = ids.iter().map(|id| async {
            process.enter(id).await;
            let mut charger = process.charger(id).connect().await;
            charger.boot().await;
            charger
        });
        chargers.extend(join_all(come).await);
    }
    (process, chargers)
}

/// Waits until the process holds no more than this.
async fn shrinks_to(process: &Process, most: u64) {
    eventually("the memory is given back", async || {
        (process.memory().now <= most).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_large_frames_at_once_take_bounded_memory() {
    let ground = Ground::new(Backend::Sqlite);
    let (process, mut chargers) = crowd(&ground).await;
    let before = process.memory().now;
    let large = format!(
        r#"[2,"large","Heartbeat",{{"x":"{}"}}]"#,
        "x".repeat(1024 * 1024 - 64)
    );
    let large = bytes::Bytes::from(large);
    for round in 0..2 {
        let told = chargers.iter_mut().map(|charger| async {
            charger.send_text(large.clone()).await;
            assert_eq!(charger.receive().await[1], "large");
        });
        join_all(told).await;
        let peak = process.memory().peak;
        assert!(
            peak < before + MOST_AT_WORK,
            "round {round}: from {before} to {peak} bytes"
        );
    }
    shrinks_to(&process, before + MOST_LEFT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_chargers_with_100_000_connectors_take_bounded_memory() {
    let ground = Ground::new(Backend::Sqlite);
    let (process, mut chargers) = crowd(&ground).await;
    let before = process.memory().now;
    let told = chargers.iter_mut().map(|charger| async {
        for connector in [129, 100_000, 1_634_030_126, i64::MAX] {
            charger.status(connector, "Available").await;
        }
    });
    join_all(told).await;
    // And as much as one message takes, of a connector that is not there.
    let value = json!({"timestamp": "2026-11-01T10:00:00Z", "sampledValue": [{"value": "1"}]});
    let many = json!({"connectorId": 100_000, "meterValue": vec![value; 2_000]});
    let told = chargers.iter_mut().take(10);
    join_all(told.map(|charger| charger.call("MeterValues", many.clone()))).await;
    let peak = process.memory().peak;
    assert!(
        peak < before + MOST_AT_WORK,
        "from {before} to {peak} bytes"
    );
    let station = process.station("CP-7").await;
    assert_eq!(station["evses"].as_array().unwrap().len(), 1, "{station}");
    shrinks_to(&process, before + MOST_LEFT).await;
}

/// It sends and sends, and takes none of the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_stops_reading_is_closed_and_nobody_else_notices() {
    const DEAF: usize = 20;
    let ground = Ground::new(Backend::Sqlite);
    let process = Process::start(&ground, &[]).await;
    for id in (0..DEAF)
        .map(|n| format!("DEAF-{n}"))
        .chain(["CP-1".to_owned()])
    {
        process.enter(&id).await;
    }
    let mut witness = process.charger("CP-1").connect().await;
    witness.boot().await;
    let before = process.memory().now;
    let fill_up = (0..DEAF).map(async |number| {
        let knock = process.charger(&format!("DEAF-{number}")).knock().await;
        let stream = knock.stream();
        fill(&stream).await;
        stream
    });
    let _deaf = join_all(fill_up).await;
    let stuck = Instant::now();
    process
        .count_when("enchufe_ocpp_connections", 1 + i64::try_from(DEAF).unwrap())
        .await;
    // Meanwhile the others are served as ever.
    let mut rounds = 0;
    while process
        .metrics()
        .await
        .count("enchufe_ocpp_connections", &[])
        > 1
    {
        let asked = Instant::now();
        witness
            .status(1, ["Available", "Charging"][rounds % 2])
            .await;
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
        assert!(
            stuck.elapsed() < Duration::from_secs(40),
            "nobody was closed"
        );
        let held = process.memory().now;
        assert!(held < before + MOST_LEFT, "from {before} to {held} bytes");
        tokio::time::sleep(Duration::from_millis(200)).await;
        rounds += 1;
    }
    assert!(rounds > 10, "closed at once: they were not stuck");
    for number in 0..DEAF {
        let id = format!("DEAF-{number}");
        process.station_when(&id, "online", false).await;
        let history = process.history(&id).await;
        let last = history.iter().find(|e| e["type"] == "station.disconnected");
        assert_eq!(last.unwrap()["data"]["reason"], "timed_out", "{id}");
    }
    assert_eq!(process.station("CP-1").await["online"], true);
}

/// Sends calls until no more are taken: the server waits for somebody to read the answers.
async fn fill(stream: &TcpStream) {
    // An unmasked frame would be refused; a mask of zeros leaves it as it is.
    let id = "i".repeat(250);
    let text = format!(r#"[2,"{id}","MakeCoffee",{{}}]"#);
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let head = [&[0x81, 0x80 | 0x7e][..], &length, &[0; 4]].concat();
    let frame = [&head, text.as_bytes()].concat();
    let frames = frame.repeat(100);
    let mut sent = 0;
    loop {
        let ready = tokio::time::timeout(Duration::from_secs(1), stream.writable()).await;
        let Ok(ready) = ready else { return };
        ready.unwrap();
        match stream.try_write(&frames[sent % frames.len()..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error} after {sent} bytes"),
        }
    }
}
