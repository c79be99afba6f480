//! Charging sessions as people read them.

use serde_json::{Value, json};

use crate::support::{Backend, Server};

both!(
    sessions_are_listed_and_filtered,
    a_session_is_shown_with_its_meter_values,
    what_is_no_session_is_not_found
);

fn transactions(sessions: &[Value]) -> Vec<&str> {
    sessions
        .iter()
        .map(|session| session["transaction_id"].as_str().unwrap())
        .collect()
}

async fn sessions_are_listed_and_filtered(backend: Backend) {
    let server = Server::start(backend).await;
    server.accept_tag("TAG").await;
    let mut told = Vec::new();
    for id in ["A", "B"] {
        server.enter_with(id, json!([{}, {}])).await;
        let mut charger = server.charger(id).connect().await;
        charger.boot().await;
        let ended = charger.start(1, "TAG", 0, "2026-11-01T10:00:00Z").await;
        charger.stop(ended, 1_000, "2026-11-01T10:30:00Z").await;
        let active = charger.start(2, "TAG", 0, "2026-11-01T11:00:00Z").await;
        told.extend([ended, active].map(|id| id.to_string()));
    }
    let (a_ended, a_active, b_ended, b_active) = (&told[0], &told[1], &told[2], &told[3]);
    for (filter, found) in [
        ("", vec![b_active, b_ended, a_active, a_ended]),
        ("station_id=A", vec![a_active, a_ended]),
        ("active=true", vec![b_active, a_active]),
        ("active=false", vec![b_ended, a_ended]),
        ("station_id=B&active=true", vec![b_active]),
        ("station_id=C", vec![]),
        ("station_id=%27%20OR%201%3D1", vec![]),
    ] {
        for limit in [1, 2, 500] {
            let sessions = server
                .viewer()
                .pages(&format!("sessions?{filter}"), "sessions", limit)
                .await;
            assert_eq!(transactions(&sessions), found, "{filter}");
        }
    }
    for wrong in ["active=maybe", "active=", "active=1"] {
        assert_eq!(
            server
                .viewer()
                .get(&format!("sessions?{wrong}"))
                .await
                .pointers(),
            ["active"]
        );
    }
    assert_eq!(
        server.viewer().get("sessions?cursor=next").await.pointers(),
        ["cursor"]
    );
}

async fn a_session_is_shown_with_its_meter_values(backend: Backend) {
    let server = Server::start(backend).await;
    server.accept_tag("TAG").await;
    server
        .enter_with("S", json!([{"connectors": [{"max_power_w": 22_000}]}]))
        .await;
    let mut charger = server.charger("S").connect().await;
    charger.boot().await;
    let transaction = charger.start(1, "TAG", 1_000, "2026-11-01T10:00:00Z").await;
    let session = server.only_session("S").await;
    assert_eq!(
        (&session["state"], &session["ended_at"]),
        (&json!("active"), &json!(null))
    );
    assert_eq!(
        (&session["billing_ready"], &session["meter_values"]),
        (&json!(false), &json!([]))
    );
    // Told out of order; shown in the order of their own times.
    charger
        .meter(1, transaction, 9_000, "2026-11-01T10:40:00Z")
        .await;
    charger
        .meter(1, transaction, 3_000, "2026-11-01T10:10:00Z")
        .await;
    charger
        .meter(1, transaction, 6_000, "2026-11-01T10:25:00Z")
        .await;
    let session = server.only_session("S").await;
    assert_eq!(session["energy_wh"], 8_000);
    charger
        .stop(transaction, 11_000, "2026-11-01T11:00:00Z")
        .await;

    let session = server.only_session("S").await;
    for (field, value) in [
        ("station_id", json!("S")),
        ("evse", json!(1)),
        ("connector", json!(1)),
        ("transaction_id", json!(transaction.to_string())),
        ("id_tag", json!("TAG")),
        ("state", json!("ended")),
        ("started_at", json!("2026-11-01T10:00:00Z")),
        ("ended_at", json!("2026-11-01T11:00:00Z")),
        ("meter_start_wh", json!(1_000)),
        ("meter_stop_wh", json!(11_000)),
        ("energy_wh", json!(10_000)),
        ("power_w", json!(null)),
        ("billing_ready", json!(true)),
        ("billing_problems", json!([])),
    ] {
        assert_eq!(session[field], value, "{field}");
    }
    let values = session["meter_values"].as_array().unwrap();
    let energies: Vec<i64> = values
        .iter()
        .map(|value| value["energy_wh"].as_i64().unwrap())
        .collect();
    assert_eq!(energies, [3_000, 6_000, 9_000]);
    assert_eq!(values[0]["at"], "2026-11-01T10:10:00Z");
    assert_eq!(values[0]["samples"][0]["value"], "3000");
    // The list shows the same, without the meter values.
    let mut listed = session.clone();
    listed.as_object_mut().unwrap().remove("meter_values");
    assert_eq!(server.sessions("S").await, [listed]);
}

async fn what_is_no_session_is_not_found(backend: Backend) {
    let server = Server::start(backend).await;
    for id in [
        "0198b0c0-0000-7000-8000-000000000000",
        "1",
        "nobody",
        "%27",
        "..%2Fstations",
    ] {
        server
            .viewer()
            .get(&format!("sessions/{id}"))
            .await
            .problem(404);
    }
}
