//! Redis dies, hangs and comes back with what it had: slower, never wrong, never an error
//! (pitfall 19).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Access, Backend, Ground, Process, Redis, eventually};

const CHARGERS: usize = 8;

/// A charger reports, and whoever reads after the answer sees the report. Always.
async fn reports_and_reads(
    access: &Access,
    id: &str,
    rounds: &AtomicUsize,
    stop: &CancellationToken,
) {
    let mut charger = access.charger(id).connect().await;
    charger.boot().await;
    let mut round = 0;
    while !stop.is_cancelled() {
        let mark = format!("mark {round}");
        let told = json!({
            "connectorId": 1, "status": "Available", "errorCode": "NoError", "info": mark,
        });
        charger.call("StatusNotification", told).await;
        // Twice: what the first read may have cached is read by the second.
        for _ in 0..2 {
            let answer = access.viewer().get(&format!("stations/{id}")).await;
            let station = answer.expect(200);
            let info = &station["evses"][0]["connectors"][0]["reported"]["info"];
            assert_eq!(*info, mark, "{id} was read stale");
        }
        round += 1;
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_lost_is_slower_and_never_wrong() {
    let mut ground = Ground::new(Backend::Redis);
    let process = Process::start(&ground, &[]).await;
    let ids: Vec<_> = (0..CHARGERS).map(|n| format!("CP-{n}")).collect();
    for id in ids.iter().map(String::as_str).chain(["GHOST", "MOVED"]) {
        process.enter(id).await;
    }
    let (rounds, stop) = (AtomicUsize::new(0), CancellationToken::new());
    let work = ids
        .iter()
        .map(|id| reports_and_reads(&process, id, &rounds, &stop));
    let work = futures_util::future::join_all(work);

    let story = async {
        let health = async |wanted: &str| {
            eventually(&format!("/healthz says {wanted}"), async || {
                let answer = process.anonymous().get("/healthz").await;
                let body = answer.expect(200);
                (body["status"] == wanted).then_some(())
            })
            .await;
        };
        let flows = async || {
            let enough = rounds.load(Ordering::Relaxed) + 20 * CHARGERS;
            let done = async || (rounds.load(Ordering::Relaxed) >= enough).then_some(());
            eventually("work goes on", done).await;
        };
        health("ok").await;
        flows().await;
        // In Redis before it goes, and no more so afterwards.
        for id in ["GHOST", "MOVED"] {
            process.station(id).await;
        }
        for _ in 0..2 {
            ground.redis().kill();
            health("degraded").await;
            flows().await;
            let moved = json!({"name": "Moved"});
            process
                .operator()
                .patch("stations/MOVED", moved)
                .await
                .expect(200);
            process.operator().delete("stations/GHOST").await;
            ground.redis().start();
            health("ok").await;
            // It came back with what it had: the old name, and a station that is gone.
            assert_eq!(process.station("MOVED").await["name"], "Moved");
            process.viewer().get("stations/GHOST").await.expect(404);
            flows().await;
        }
        // One that hangs is as good as dead.
        ground.redis().hang();
        health("degraded").await;
        flows().await;
        ground.redis().go_on();
        health("ok").await;
        flows().await;
        stop.cancel();
    };
    tokio::join!(work, story);

    let metrics = process.metrics().await;
    let cache = |result: &str| {
        let result = format!("result=\"{result}\"");
        metrics.count("enchufe_cache_requests_total", &[&result])
    };
    assert!(cache("hit") > 0 && cache("error") > 0, "{}", metrics.0);
    let failed = metrics.count("http_requests_total", &["http_status=\"5"]);
    assert_eq!(failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_without_its_redis() {
    let mut ground = Ground::new(Backend::Redis);
    ground.redis().kill();
    let process = Process::start(&ground, &[]).await;
    process.enter("CP-1").await;
    assert_eq!(process.station("CP-1").await["name"], "CP-1");
    let body = process.anonymous().get("/healthz").await.expect(200);
    assert_eq!(
        body,
        json!({
            "status": "degraded", "checks": {"database": "ok", "cache": "degraded"},
        })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_behind_tls_is_used_and_its_certificate_checked() {
    let redis = Redis::start_new_with_tls();
    let ground = Ground::new(Backend::Sqlite);
    let url = redis.url();
    let certificate = redis.certificate();
    let settings = [("REDIS_URL", &*url)];
    let trust = [("SSL_CERT_FILE", certificate.to_str().unwrap())];
    let process = Process::start_in(&ground, &settings, &trust).await;
    process.enter("CP-1").await;
    eventually("/healthz says ok", async || {
        let body = process.anonymous().get("/healthz").await.expect(200);
        (body["status"] == "ok").then_some(())
    })
    .await;
    eventually("a copy in Redis is read", async || {
        process.station("CP-1").await;
        let metrics = process.metrics().await;
        let hits = metrics.count("enchufe_cache_requests_total", &["result=\"hit\""]);
        (hits > 0).then_some(())
    })
    .await;
    process.kill().await;

    // Nobody vouches for it: it is as good as away.
    let process = Process::start(&ground, &settings).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let body = process.anonymous().get("/healthz").await.expect(200);
    assert_eq!(body["status"], "degraded");
    assert_eq!(process.station("CP-1").await["name"], "CP-1");
}
