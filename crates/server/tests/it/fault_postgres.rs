//! PostgreSQL crashes under traffic and comes back: nothing that was acknowledged is lost, no
//! charger is told an error, and the server goes on by itself (pitfall 12).

use crate::support::{Backend, Cluster, Ground, OnBreak, Process, Traffic, all_known, eventually};

const CHARGERS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_postgres_loses_nothing_and_is_recovered_from() {
    let cluster = Cluster::start_new();
    // The ground's own database is not used.
    let ground = Ground::new(Backend::Sqlite);
    let url = cluster.url();
    let process = Process::start(&ground, &[("DATABASE_URL", &url)]).await;
    let traffic = Traffic::begin(&process, CHARGERS, OnBreak::Reconnect).await;
    let health = async |status: u16| {
        eventually(&format!("/healthz answers {status}"), async || {
            let answer = process.anonymous().get("/healthz").await;
            (answer.status == status).then(|| answer.json())
        })
        .await
    };
    for round in 1..=2 {
        traffic.flows(CHARGERS * 6).await;
        tokio::task::block_in_place(|| cluster.crash());
        // It lives, and says what is wrong.
        let viewer = process.viewer();
        let (unready, refused) = tokio::join!(health(503), viewer.get("sessions"));
        assert_eq!(unready["status"], "unavailable");
        assert_eq!(unready["checks"]["database"], "unavailable");
        process.anonymous().get("/health").await.expect(200);
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(!refused.header("retry-after").is_empty());
        assert!(!refused.text.contains("127.0.0.1"), "{refused:?}");

        tokio::task::block_in_place(|| cluster.start());
        let ready = health(200).await;
        assert_eq!(ready["status"], "ok", "round {round}");
        traffic.flows(CHARGERS * 6).await;
    }
    let done = traffic.end().await;
    all_known(&done, &process).await;
}
