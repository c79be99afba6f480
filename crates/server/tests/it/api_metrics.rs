//! The metrics port: who may read it, and what it says (pitfalls 20 and 21).

use http::Method;
use serde_json::{Value, json};

use crate::support::{Access, Backend, Client, Server, eventually};

both!(
    the_metrics_are_for_scrapers_alone,
    the_seed_names_are_there_to_the_letter,
    requests_are_counted_by_their_route,
    connectors_are_counted_as_they_come_go_and_change,
    starts_are_counted_over_restarts,
    gauges_show_what_is,
    the_longest_fault_is_timed,
    no_label_holds_an_identity,
);

const TOKEN: &str = "metrics-token-of-the-tests";

fn scraper(server: &Access) -> Client {
    Client::anonymous(format!("http://{}", server.metrics_address))
}

/// A whole number, as the counters and gauges here all are.
#[track_caller]
fn same(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < 0.5,
        "{what}: {found}, not {expected}"
    );
}

async fn the_metrics_are_for_scrapers_alone(backend: Backend) {
    use base64::Engine as _;
    let server = Server::start(backend).await;
    let scraper = scraper(&server);
    let basic = |pair: &str| format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair));
    for path in ["/metrics", "/", "/metrics/"] {
        let closed = scraper.get(path).await;
        closed.problem(401);
        let challenge = closed.header("www-authenticate");
        assert!(
            challenge.contains("Bearer") && challenge.contains("Basic"),
            "{challenge}"
        );
        for nothing in ["", "Bearer", "Digest x", "Basic %%%", &basic("no-colon")] {
            scraper
                .with("authorization", nothing)
                .get(path)
                .await
                .problem(401);
        }
        // The API's tokens open the API, not this; and a token is compared as a whole.
        for wrong in [
            "x",
            "metrics-token-of-the-test",
            "metrics-token-of-the-tests-",
            "admin-token-of-the-tests",
        ] {
            scraper.bearing(wrong).get(path).await.problem(403);
            let pair = basic(&format!("prometheus:{wrong}"));
            scraper
                .with("authorization", pair)
                .get(path)
                .await
                .problem(403);
        }
        let open = scraper.bearing(TOKEN).get(path).await;
        assert_eq!(open.status, 200);
        assert_eq!(
            open.header("content-type"),
            "text/plain; version=0.0.4; charset=utf-8"
        );
        for user in ["prometheus", ""] {
            let pair = basic(&format!("{user}:{TOKEN}"));
            assert_eq!(
                scraper.with("authorization", pair).get(path).await.status,
                200
            );
        }
    }
    scraper
        .bearing(TOKEN)
        .get("/api/v1/stations")
        .await
        .problem(404);
    let refused = scraper.bearing(TOKEN).post("/metrics", json!({})).await;
    refused.problem(405);
    assert_eq!(refused.header("allow"), "GET,HEAD");
    // The metrics are not on the other port, whatever one presents there.
    server
        .anonymous()
        .bearing(TOKEN)
        .get("/metrics")
        .await
        .problem(404);
    server
        .anonymous()
        .bearing(TOKEN)
        .get("stations")
        .await
        .problem(401);
}

async fn the_seed_names_are_there_to_the_letter(backend: Backend) {
    let server = Server::start(backend).await;
    let names = [
        "main_requests_total",
        "healthcheck_requests_total",
        "bye_requests_total",
        "riseload_requests_total",
    ];
    let before = server.metrics().await;
    for (name, kind) in [
        ("server_requests_total", "counter"),
        ("main_requests_total", "counter"),
        ("healthcheck_requests_total", "counter"),
        ("bye_requests_total", "counter"),
        ("riseload_requests_total", "counter"),
        ("http_requests_total", "counter"),
        ("http_request_duration_seconds", "histogram"),
        ("connectors_created_total", "counter"),
        ("connectors_deleted_total", "counter"),
        ("connectors_updated_total", "counter"),
        ("app_starts_total", "counter"),
        ("process_start_time_seconds", "gauge"),
        ("process_cpu_seconds_total", "counter"),
        ("process_resident_memory_bytes", "gauge"),
        ("enchufe_stations", "gauge"),
        ("enchufe_connectors", "gauge"),
        ("enchufe_build_info", "gauge"),
        ("enchufe_nodes", "gauge"),
        ("enchufe_connector_longest_fault_seconds", "gauge"),
        ("enchufe_db_pool_connections_max", "gauge"),
    ] {
        let line = format!("\n# TYPE {name} {kind}\n");
        assert!(
            before.0.contains(&line) || before.0.starts_with(line.trim_start()),
            "{line}"
        );
    }
    for (path, times) in [("/", 3), ("/health", 2), ("/bye", 1), ("/healthz", 4)] {
        for _ in 0..times {
            server.anonymous().get(path).await.expect(200);
        }
    }
    server
        .anonymous()
        .with("accept", "text/html")
        .get("/")
        .await;
    server
        .anonymous()
        .post("/health", json!({}))
        .await
        .problem(405);
    let after = server.metrics().await;
    let expected = [4.0, 2.0, 1.0, 0.0];
    for (name, expected) in names.iter().zip(expected) {
        same(after.value(name) - before.value(name), expected, name);
    }
    let sum: f64 = names.iter().map(|name| after.value(name)).sum();
    same(
        after.value("server_requests_total"),
        sum,
        "the sum of the four",
    );
    let bounds: Vec<&str> = after
        .0
        .lines()
        .filter(|line| {
            line.starts_with("http_request_duration_seconds_bucket") && line.contains("\"/bye\"")
        })
        .map(|line| {
            line.split("le=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(
        bounds,
        [
            "0.005", "0.01", "0.025", "0.05", "0.1", "0.3", "0.5", "1.0", "2.0", "5.0", "+Inf"
        ]
    );
}

async fn requests_are_counted_by_their_route(backend: Backend) {
    let server = Server::start(backend).await;
    let operator = server.operator();
    for id in ["A", "B"] {
        operator
            .post("stations", json!({"id": id, "name": id}))
            .await
            .expect(201);
        operator.get(&format!("stations/{id}")).await.expect(200);
        operator.get(&format!("stations/{id}/")).await.expect(200);
    }
    operator.get("stations/nobody").await.problem(404);
    operator.post("stations", json!({})).await.problem(422);
    operator
        .post("stations", json!({"id": "A", "name": "A"}))
        .await
        .problem(409);
    server.anonymous().get("stations/A").await.problem(401);
    server.viewer().delete("stations/A").await.problem(403);
    operator.put("stations/A", json!({})).await.problem(405);
    for path in [
        "/a",
        "/b",
        "/api/v1/c",
        "/wp-login.php",
        "/api/v1/stations/A/x",
        "/%FF",
    ] {
        operator.get(path).await.problem(404);
    }
    let brew = Method::from_bytes(b"BREW").unwrap();
    operator.send(brew, "/health", None).await.problem(405);
    operator.send(Method::HEAD, "/health", None).await;

    let metrics = server.metrics().await;
    let one = "/api/v1/stations/{id}";
    for (method, endpoint, status, count) in [
        ("POST", "/api/v1/stations", 201, 2.0),
        ("POST", "/api/v1/stations", 422, 1.0),
        ("POST", "/api/v1/stations", 409, 1.0),
        ("GET", one, 200, 4.0),
        ("GET", one, 404, 1.0),
        ("GET", one, 401, 1.0),
        ("DELETE", one, 403, 1.0),
        ("PUT", one, 405, 1.0),
        ("GET", "unmatched", 404, 6.0),
        ("OTHER", "/health", 405, 1.0),
        ("HEAD", "/health", 200, 1.0),
    ] {
        let series = format!(
            "http_requests_total{{method=\"{method}\",endpoint=\"{endpoint}\",http_status=\"{status}\"}}"
        );
        same(metrics.value(&series), count, &series);
    }
    let timed = format!("http_request_duration_seconds_count{{method=\"GET\",endpoint=\"{one}\"}}");
    same(metrics.value(&timed), 6.0, &timed);
    for raw in ["wp-login", "stations/A", "nobody", "BREW"] {
        assert!(!metrics.0.contains(raw), "{raw}");
    }
}

/// What the kernel accounts to the container is shown as it is: here by another reader's account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_container_is_measured() {
    let server = Server::start(Backend::Sqlite).await;
    let cgroup = server::cgroup::Cgroup::own();
    let (before, metrics, after) = (cgroup.read(), server.metrics().await, cgroup.read());
    let shown = |name: &str| {
        let name = format!("enchufe_cgroup_{name}");
        let there = metrics.0.contains(&format!("\n{name} "));
        there.then(|| metrics.value(&name))
    };
    assert_eq!(shown("cpu_limit_cores"), before.cpu_limit_cores);
    assert_eq!(
        shown("memory_limit_bytes").is_some(),
        before.memory_limit_bytes.is_some()
    );
    assert_eq!(
        shown("memory_working_set_bytes").is_some(),
        before.memory_working_set_bytes.is_some()
    );
    let usage = shown("cpu_usage_seconds_total");
    if let (Some(before), Some(after)) = (before.cpu_usage, after.cpu_usage) {
        let between = before.as_secs_f64()..=after.as_secs_f64();
        assert!(between.contains(&usage.unwrap()), "{usage:?} {between:?}");
    } else {
        assert_eq!(usage, None);
    }
}

async fn connectors_are_counted_as_they_come_go_and_change(backend: Backend) {
    let server = Server::start(backend).await;
    let operator = server.operator();
    server
        .enter_with("S", json!([{"connectors": [{}, {}]}, {}]))
        .await;
    operator
        .post("stations/S/evses", json!({"connectors": [{}, {}]}))
        .await
        .expect(201);
    operator
        .post("stations/S/evses/2/connectors", json!({}))
        .await
        .expect(201);
    counted(&server, "connectors_created_total", 6.0).await;
    // Three changes, and three that are none.
    let connector = "stations/S/evses/1/connectors/1";
    for _ in 0..2 {
        operator
            .patch(connector, json!({"type": "cCCS2"}))
            .await
            .expect(200);
        operator
            .put(
                &format!("{connector}/status"),
                json!({"status": "charging"}),
            )
            .await
            .expect(200);
        let decision = json!({"availability": "inoperative"});
        operator
            .put(&format!("{connector}/availability"), decision)
            .await
            .expect(200);
    }
    // The decision changes the derived status too, which is told as a change of its own.
    counted(&server, "connectors_updated_total", 4.0).await;
    operator
        .delete("stations/S/evses/1/connectors/2")
        .await
        .expect(204);
    counted(&server, "connectors_deleted_total", 1.0).await;
    operator.delete("stations/S/evses/3").await.expect(204);
    counted(&server, "connectors_deleted_total", 3.0).await;
    // With the station go all that are left.
    operator.delete("stations/S").await.expect(204);
    counted(&server, "connectors_deleted_total", 6.0).await;
    counted(&server, "connectors_created_total", 6.0).await;
    operator
        .post("stations/S/evses", json!({}))
        .await
        .problem(404);
    operator
        .post("stations", json!({"name": ""}))
        .await
        .problem(422);
    counted(&server, "connectors_created_total", 6.0).await;
}

/// Waits until a counter stands there: it follows the committed events.
async fn counted(server: &Access, name: &str, count: f64) {
    let what = format!("{name} is {count}");
    eventually(&what, async || {
        let value = server.metrics().await.value(name);
        assert!(value < count + 0.5, "{name} is {value}, past {count}");
        (value > count - 0.5).then_some(())
    })
    .await;
}

async fn starts_are_counted_over_restarts(backend: Backend) {
    let mut server = Server::start(backend).await;
    same(
        server.metrics().await.value("app_starts_total"),
        1.0,
        "starts",
    );
    server.restart().await;
    same(
        server.metrics().await.value("app_starts_total"),
        2.0,
        "starts",
    );
    server.restart().await;
    let metrics = server.metrics().await;
    same(metrics.value("app_starts_total"), 3.0, "starts");
    // The other counters begin anew, as counters do.
    same(metrics.value("main_requests_total"), 0.0, "requests");
}

async fn gauges_show_what_is(backend: Backend) {
    let server = Server::start(backend).await;
    server.accept_tag("TAG").await;
    for (id, status) in [
        ("A", "available"),
        ("B", "available"),
        ("C", "charging"),
        ("D", "faulted"),
    ] {
        server.enter_with(id, json!([{}, {}])).await;
        let path = format!("stations/{id}/status");
        server
            .operator()
            .put(&path, json!({"status": status}))
            .await
            .expect(200);
    }
    let mut charger = server.charger("A").connect().await;
    charger.boot().await;
    let transaction = charger.start(1, "TAG", 0, "2026-11-01T10:00:00Z").await;
    let metrics = server.metrics().await;
    for (series, value) in [
        ("enchufe_stations{status=\"available\"}", 2.0),
        ("enchufe_stations{status=\"occupied\"}", 1.0),
        ("enchufe_stations{status=\"faulted\"}", 1.0),
        ("enchufe_stations{status=\"offline\"}", 0.0),
        ("enchufe_connectors{status=\"available\"}", 4.0),
        ("enchufe_connectors{status=\"occupied\"}", 2.0),
        ("enchufe_connectors{status=\"faulted\"}", 2.0),
        ("enchufe_connectors{status=\"unknown\"}", 0.0),
        ("enchufe_stations_online", 1.0),
        ("enchufe_ocpp_connections", 1.0),
        ("enchufe_charging_sessions_active", 1.0),
        ("enchufe_nodes", 1.0),
    ] {
        assert!(metrics.0.contains(&format!("\n{series} ")), "{series}");
        same(metrics.value(series), value, series);
    }
    charger
        .stop(transaction, 7_000, "2026-11-01T11:00:00Z")
        .await;
    charger.close().await;
    server.station_when("A", "status", "offline").await;
    counted(
        &server,
        "enchufe_energy_delivered_watt_hours_total",
        7_000.0,
    )
    .await;
    let metrics = server.metrics().await;
    same(
        metrics.value("enchufe_stations{status=\"offline\"}"),
        1.0,
        "offline",
    );
    same(
        metrics.value("enchufe_stations{status=\"available\"}"),
        1.0,
        "available",
    );
    for gone in [
        "enchufe_stations_online",
        "enchufe_charging_sessions_active",
        "enchufe_ocpp_connections",
    ] {
        same(metrics.value(gone), 0.0, gone);
    }
    let ended = metrics.sum("enchufe_ocpp_disconnects_total", &["reason=\"closed\""]);
    same(ended, 1.0, "disconnects");
}

async fn the_longest_fault_is_timed(backend: Backend) {
    let server = Server::start(backend).await;
    let longest = async || {
        let name = "enchufe_connector_longest_fault_seconds";
        let metrics = server.metrics().await;
        assert!(metrics.0.contains(&format!("\n{name} ")), "{name}");
        metrics.value(name)
    };
    server
        .enter_with("S", json!([{"connectors": [{}, {}]}]))
        .await;
    server.enter("T").await;
    same(longest().await, 0.0, "no fault");
    let set = async |path: &str, body: Value| {
        server.operator().put(path, body).await.expect(200);
    };
    let (first, second) = (
        "stations/S/evses/1/connectors/1",
        "stations/S/evses/1/connectors/2",
    );
    let faulted = json!({"status": "faulted"});
    let begun = std::time::Instant::now();
    set(&format!("{first}/status"), faulted.clone()).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    set(&format!("{second}/status"), faulted.clone()).await;
    set("stations/T/status", faulted.clone()).await;
    // Reported again, it is the same fault.
    set(&format!("{first}/status"), faulted).await;
    let seconds = longest().await;
    let most = begun.elapsed().as_secs_f64();
    assert!((1.2..=most).contains(&seconds), "{seconds} of {most}");
    // One that the operator took out of use is being seen to.
    let decision = json!({"availability": "inoperative"});
    set(&format!("{first}/availability"), decision).await;
    let seconds = longest().await;
    assert!(seconds < begun.elapsed().as_secs_f64() - 1.2, "{seconds}");
    set("stations/S/status", json!({"status": "available"})).await;
    set("stations/T/status", json!({"status": "available"})).await;
    same(longest().await, 0.0, "repaired");
}

async fn no_label_holds_an_identity(backend: Backend) {
    let server = Server::start(backend).await;
    let admin = server.admin();
    admin
        .post("tokens", json!({"name": "zebra-person", "role": "viewer"}))
        .await
        .expect(201);
    server.accept_tag("ZEBRA-TAG").await;
    server.enter("ZEBRA-STATION").await;
    let mut charger = server.charger("ZEBRA-STATION").connect().await;
    charger.boot().await;
    charger.status(1, "Charging").await;
    let transaction = charger
        .start(1, "ZEBRA-TAG", 0, "2026-11-01T10:00:00Z")
        .await;
    charger.stop(transaction, 10, "2026-11-01T11:00:00Z").await;
    let transfer = json!({"vendorId": "zebra-vendor", "messageId": "zebra-message"});
    charger.call("DataTransfer", transfer).await;
    // Not even an action or a method that somebody invents.
    drop(charger.try_call("ZebraAction", json!({})).await);
    let body = json!({"command": "data_transfer", "parameters": {"vendor_id": "zebra-vendor"}});
    let command = admin
        .post("stations/ZEBRA-STATION/commands", body)
        .await
        .expect(202);
    let call = charger.next_call().await;
    charger.answer(&call, json!({"status": "Accepted"})).await;
    for path in [
        "stations/ZEBRA-STATION",
        "id-tags/ZEBRA-TAG",
        "sessions?station_id=ZEBRA",
        "zebra",
        "stations/zebra?zebra=1",
    ] {
        admin.get(path).await;
        admin
            .send(Method::from_bytes(b"ZEBRA").unwrap(), path, None)
            .await;
    }
    server.charger("zebra-unknown").knock().await;
    server
        .anonymous()
        .bearing("zebra-token")
        .get("stations")
        .await
        .problem(401);
    let id = command["id"].as_str().unwrap();
    let ended = async || {
        let command = admin.get(&format!("commands/{id}")).await.expect(200);
        (command["outcome"] != Value::Null).then_some(())
    };
    eventually("the command ends", ended).await;
    admin.delete("stations/ZEBRA-STATION").await.expect(204);
    charger.ended().await;
    let text = server.metrics().await.0.to_lowercase();
    let line = text
        .lines()
        .find(|line| line.contains("zebra") || line.contains("127.0.0.1") || line.contains(id));
    assert_eq!(line, None);
}
