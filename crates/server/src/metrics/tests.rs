use std::collections::BTreeSet;
use std::time::Duration;

use ::http::Method;

use super::*;

/// A metric in every series, as a scrape shows it.
fn busy() -> (Metrics, String) {
    let metrics = Metrics::new();
    metrics.main_requests.inc();
    metrics.healthcheck_requests.inc_by(2);
    metrics.riseload_requests.inc();
    metrics.request_ended(&Method::GET, "/health", 200, 0.004);
    metrics.request_ended(&Method::GET, "/health", 200, 0.2);
    metrics.request_ended(&Method::GET, "/health", 503, 9.0);
    metrics.command_ended("reset", "accepted");
    metrics.ocpp_message(
        "1.6",
        "Heartbeat",
        Direction::Received,
        MessageOutcome::Answered,
    );
    metrics.ocpp_call_answered("1.6", "Heartbeat", Direction::Received, 0.01);
    metrics.ocpp_deviation("1.6", "MeterValues");
    metrics.ocpp_disconnected(DisconnectReason::Replaced);
    metrics.cache_request("station", CacheResult::Hit);
    metrics.committed(3, 0.002);
    metrics
        .llm
        .called("m", LlmOperation::Chat, "timed_out", 20.0);
    metrics.llm.spent("m", TokenType::Input, 70);
    metrics.llm.ended("m", "ok");
    metrics.llm.cost("m", 256_000_000);
    let snapshot = Snapshot {
        app_starts: 7,
        network: Some(Network {
            stations: vec![("available", 5)],
            connectors: vec![("faulted", 1)],
            stations_online: 4,
            longest_fault_seconds: 61.5,
            nodes: 3,
            ..Network::default()
        }),
        db_pool: vec![("idle", 2)],
        db_pool_max: 8,
        ocpp_connections_max: 744,
        cgroup: Reading {
            cpu_limit_cores: Some(0.5),
            cpu_usage: Some(Duration::from_millis(1_250)),
            cpu_periods: Some(10),
            cpu_throttled_periods: Some(2),
            memory_limit_bytes: Some(512),
            memory_working_set_bytes: Some(100),
        },
        ..Snapshot::default()
    };
    let text = metrics.render(&snapshot);
    (metrics, text)
}

#[test]
fn a_scrape_shows_the_contracts_names_to_the_letter() {
    let (_, text) = busy();
    for line in [
        "server_requests_total 4",
        "main_requests_total 1",
        "healthcheck_requests_total 2",
        "bye_requests_total 0",
        "riseload_requests_total 1",
        "connectors_created_total 0",
        "connectors_deleted_total 0",
        "connectors_updated_total 0",
        "app_starts_total 7",
        r#"http_requests_total{method="GET",endpoint="/health",http_status="200"} 2"#,
        r#"http_requests_total{method="GET",endpoint="/health",http_status="503"} 1"#,
        r#"http_request_duration_seconds_bucket{le="0.005",method="GET",endpoint="/health"} 1"#,
        r#"http_request_duration_seconds_bucket{le="0.3",method="GET",endpoint="/health"} 2"#,
        r#"http_request_duration_seconds_bucket{le="+Inf",method="GET",endpoint="/health"} 3"#,
        r#"http_request_duration_seconds_count{method="GET",endpoint="/health"} 3"#,
        r#"enchufe_ocpp_messages_total{version="1.6",action="Heartbeat",direction="received",outcome="answered"} 1"#,
        r#"enchufe_ocpp_call_duration_seconds_count{version="1.6",action="Heartbeat",direction="received"} 1"#,
        r#"enchufe_ocpp_deviations_total{version="1.6",action="MeterValues"} 1"#,
        "enchufe_ocpp_connections 0",
        "enchufe_ocpp_connections_max 744",
        "enchufe_ocpp_connects_total 0",
        r#"enchufe_ocpp_disconnects_total{reason="replaced"} 1"#,
        r#"enchufe_ocpp_disconnects_total{reason="timed_out"} 0"#,
        r#"enchufe_stations{status="available"} 5"#,
        r#"enchufe_stations{status="offline"} 0"#,
        r#"enchufe_connectors{status="faulted"} 1"#,
        "enchufe_stations_online 4",
        "enchufe_charging_sessions_active 0",
        "enchufe_energy_delivered_watt_hours_total 0",
        r#"enchufe_commands_total{command="reset",outcome="accepted"} 1"#,
        r#"enchufe_cache_requests_total{cache="station",result="hit"} 1"#,
        r#"enchufe_db_commit_batch_size_bucket{le="4.0"} 1"#,
        "enchufe_db_commit_duration_seconds_count 1",
        r#"gen_ai_client_operation_duration_seconds_count{model="m",operation="chat",error_type="timed_out"} 1"#,
        r#"gen_ai_client_token_usage_sum{model="m",token_type="input"} 70.0"#,
        r#"enchufe_llm_requests_total{model="m",outcome="ok"} 1"#,
        r#"enchufe_llm_cost_dollars_total{model="m"} 0.000256"#,
        r#"enchufe_db_pool_connections{state="idle"} 2"#,
        "enchufe_db_pool_connections_max 8",
        "enchufe_db_queue_depth 0",
        "enchufe_nodes 3",
        "enchufe_connector_longest_fault_seconds 61.5",
        "enchufe_cgroup_cpu_limit_cores 0.5",
        "enchufe_cgroup_cpu_usage_seconds_total 1.25",
        "enchufe_cgroup_cpu_periods_total 10",
        "enchufe_cgroup_cpu_throttled_periods_total 2",
        "enchufe_cgroup_memory_limit_bytes 512",
        "enchufe_cgroup_memory_working_set_bytes 100",
        "# TYPE server_requests_total counter",
        "# TYPE enchufe_build_info gauge",
        "# TYPE http_request_duration_seconds histogram",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no `{line}` in\n{text}"
        );
    }
}

#[test]
fn the_sum_of_the_endpoints_cannot_differ_from_them() {
    let metrics = Metrics::new();
    metrics.bye_requests.inc_by(3);
    metrics.main_requests.inc_by(4);
    assert!(
        metrics
            .render(&Snapshot::default())
            .contains("\nserver_requests_total 7\n")
    );
}

#[test]
fn every_header_belongs_to_samples_and_every_sample_to_a_header() {
    let (metrics, text) = busy();
    let of_header = |start: &str| -> BTreeSet<&str> {
        let headers = text.lines().filter_map(|line| line.strip_prefix(start));
        headers.filter_map(|rest| rest.split(' ').next()).collect()
    };
    let typed = of_header("# TYPE ");
    let samples: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(|name| {
            let suffixes = ["_bucket", "_sum", "_count"];
            let base = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
            base.filter(|base| typed.contains(base)).unwrap_or(name)
        })
        .collect();
    assert_eq!(typed, samples);
    assert_eq!(typed, of_header("# HELP "));
    assert_eq!(typed, metrics.names().into_iter().collect());
}

#[test]
fn what_is_not_known_is_absent_and_not_zero() {
    let text = Metrics::new().render(&Snapshot::default());
    for name in [
        "enchufe_stations",
        "enchufe_connectors",
        "enchufe_connector_longest_fault_seconds",
        "enchufe_charging_sessions_active",
        "enchufe_nodes",
        "enchufe_cgroup_",
    ] {
        assert!(!text.contains(name), "{name}");
    }
    assert!(text.contains("\napp_starts_total 0\n"), "{text}");
}

#[test]
fn the_committed_reference_names_exactly_what_is_served() {
    let committed = include_str!("../../../../docs/metrics.md");
    assert!(
        committed == reference(),
        "docs/metrics.md differs from the declarations: run `cargo xtask generate`"
    );
}

#[test]
fn the_process_is_measured() {
    let process = Process::read();
    let text = format!("{process:?}");
    let (_, scrape) = busy();
    let value = |name: &str| -> f64 {
        let line = scrape
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.expect(name).parse().expect("a number")
    };
    assert!(value("process_resident_memory_bytes") > 1e6, "{text}");
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_start_time_seconds") > 1.7e9);
}

#[test]
fn what_is_not_a_route_cannot_grow_the_series_without_bound() {
    let metrics = Metrics::new();
    for n in 0..5_000 {
        metrics.request_ended(&Method::GET, &format!("/raw/{n}"), 200, 0.001);
    }
    metrics.request_ended(
        &Method::from_bytes(b"BREW").expect("method"),
        "/",
        405,
        0.001,
    );
    let text = metrics.render(&Snapshot::default());
    let series = text
        .lines()
        .filter(|line| line.starts_with("http_requests_total"))
        .count();
    assert!((4_000..4_200).contains(&series), "{series}");
    assert!(text.contains(r#"method="OTHER""#));
    assert!(text.contains(r#"endpoint="unmatched""#));
}
