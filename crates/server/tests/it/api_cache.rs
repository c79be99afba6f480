//! The cache: what is read is never older than what was acknowledged (pitfall 19), in process and
//! over Redis. What happens when Redis goes is told in [`crate::fault_redis`].

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use serde_json::json;

use crate::support::{Access, Backend, Server, eventually};

both!(
    a_change_is_seen_at_once,
    a_removed_station_leaves_no_ghost,
    readers_never_see_less_than_was_acknowledged,
);

mod on_redis {
    use crate::support::Backend;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_change_is_seen_at_once() {
        super::a_change_is_seen_at_once(Backend::Redis).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_removed_station_leaves_no_ghost() {
        super::a_removed_station_leaves_no_ghost(Backend::Redis).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn readers_never_see_less_than_was_acknowledged() {
        super::readers_never_see_less_than_was_acknowledged(Backend::Redis).await;
    }
}

async fn a_change_is_seen_at_once(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let operator = server.operator();
    let part = "stations/S/evses/1/connectors/1";
    for round in 0..30 {
        let status = ["available", "charging", "faulted"][round % 3];
        let class = ["available", "occupied", "faulted"][round % 3];
        operator
            .put(&format!("{part}/status"), json!({"status": status}))
            .await
            .expect(200);
        assert_eq!(server.station("S").await["status"], class);
        assert_eq!(server.viewer().get(part).await.expect(200)["status"], class);
        let name = format!("name {round}");
        operator
            .patch("stations/S", json!({"name": name}))
            .await
            .expect(200);
        let read = server.viewer().get("stations/S").await;
        assert_eq!(read.expect(200)["name"], name);
        let listed = server.viewer().pages("stations", "stations", 1).await;
        assert_eq!(listed, [read.json()]);
    }
    operator
        .post("stations/S/evses", json!({}))
        .await
        .expect(201);
    server.viewer().get("stations/S/evses/2").await.expect(200);
    operator.delete("stations/S/evses/2").await.expect(204);
    server.viewer().get("stations/S/evses/2").await.problem(404);
    // All that was read through the cache, and it was of use.
    let metrics = server.metrics().await;
    assert!(
        metrics.sum("enchufe_cache_requests_total", &["result=\"hit\""]) > 30.0,
        "{}",
        metrics.0
    );
    assert!(metrics.sum("enchufe_cache_requests_total", &["result=\"error\""]) < 0.5);
}

async fn a_removed_station_leaves_no_ghost(backend: Backend) {
    let server = Server::start(backend).await;
    let operator = server.operator();
    for life in 0..10 {
        server.viewer().get("stations/S").await.problem(404);
        let evses = json!(vec![json!({}); life + 1]);
        let body = json!({"id": "S", "name": format!("life {life}"), "evses": evses});
        operator.post("stations", body).await.expect(201);
        let station = server.station("S").await;
        assert_eq!(station["name"], format!("life {life}"));
        assert_eq!(station["evses"].as_array().unwrap().len(), life + 1);
        operator
            .put("stations/S/status", json!({"status": "charging"}))
            .await
            .expect(200);
        assert_eq!(server.station("S").await["status"], "occupied");
        operator.delete("stations/S").await.expect(204);
        // Gone with all its parts.
        for part in ["", "/evses", "/evses/1", "/evses/1/connectors/1"] {
            server
                .viewer()
                .get(&format!("stations/S{part}"))
                .await
                .problem(404);
        }
        operator
            .patch("stations/S", json!({"name": "Ghost"}))
            .await
            .problem(404);
    }
}

async fn readers_never_see_less_than_was_acknowledged(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let (acknowledged, done) = (AtomicI64::new(0), AtomicBool::new(false));
    let read = async |path: &str| {
        let mut seen = 0;
        while !done.load(Ordering::SeqCst) {
            let floor = acknowledged.load(Ordering::SeqCst).max(seen);
            let answer = server.viewer().get(path).await;
            answer.expect(200);
            seen = version(&answer.etag());
            assert!(seen >= floor, "{path} shows {seen} after {floor}");
        }
    };
    let write = async {
        for round in 0..150 {
            let name = json!({"name": format!("name {round}")});
            let answer = server.operator().patch("stations/S", name).await;
            answer.expect(200);
            acknowledged.store(version(&answer.etag()), Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    };
    let part = "stations/S/evses/1/connectors/1";
    tokio::join!(
        write,
        read("stations/S"),
        read("stations/S"),
        read(part),
        read("stations/S")
    );
}

fn version(etag: &str) -> i64 {
    etag.trim_matches('"').parse().unwrap()
}

/// Two nodes share a database and a Redis: what one acknowledged, the other shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_changed_the_other_shows_at_once() {
    let first = Server::start(Backend::PostgresWithRedis).await;
    let second = first.start_beside().await;
    first.enter("S").await;
    let nodes: [&Access; 2] = [&first, &second];
    for node in nodes {
        trusts_redis(node).await;
    }
    for round in 0..30 {
        let (writer, reader) = (nodes[round % 2], nodes[(round + 1) % 2]);
        let name = format!("name {round}");
        let answer = writer
            .operator()
            .patch("stations/S", json!({"name": name}))
            .await;
        answer.expect(200);
        for node in [reader, writer] {
            let read = node.viewer().get("stations/S").await;
            assert_eq!(
                (read.expect(200), read.etag()),
                (answer.json(), answer.etag())
            );
        }
        // The tag that one node gave holds at the other.
        let conditional = reader.operator().with("if-match", answer.etag());
        conditional
            .patch("stations/S", json!({"name": "Theirs"}))
            .await
            .expect(200);
        let late = writer.operator().with("if-match", answer.etag());
        late.patch("stations/S", json!({"name": "Late"}))
            .await
            .problem(412);
        assert_eq!(writer.station("S").await["name"], "Theirs");
    }
    // Removed at one, it is gone at the other; entered anew there, it is new here.
    first.operator().delete("stations/S").await.expect(204);
    second.viewer().get("stations/S").await.problem(404);
    second.enter_with("S", json!([{}, {}])).await;
    assert_eq!(
        first.station("S").await["evses"].as_array().unwrap().len(),
        2
    );
}

/// Waits until a node reads from Redis: it begins without trust in what is there.
async fn trusts_redis(node: &Access) {
    eventually("Redis is trusted", async || {
        let ready = node.anonymous().get("/healthz").await.expect(200);
        (ready["status"] == "ok").then_some(())
    })
    .await;
}
