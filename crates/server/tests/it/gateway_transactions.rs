//! Charging as chargers tell of it: always answered, never lost, never told twice, and what does
//! not fit is flagged instead of billed (pitfalls 5, 6, 7 and 17).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{Backend, Charger, Server};

async fn ready(backend: Backend) -> (Server, Charger) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    server.accept_tag("TAG").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    (server, charger)
}

fn problems(session: &Value) -> Vec<&str> {
    let problems = session["billing_problems"].as_array().unwrap();
    problems
        .iter()
        .map(|problem| problem.as_str().unwrap())
        .collect()
}

both!(
    a_session_is_billed_by_the_chargers_own_times_and_register,
    a_start_told_again_is_the_same_session,
    transaction_ids_are_unique_positive_and_fit_32_bits,
    a_start_on_an_unknown_connector_is_answered_kept_and_flagged,
    a_stop_for_an_unknown_transaction_is_answered_kept_and_flagged,
    transactions_from_offline_times_count_by_their_own_times,
    a_refused_charge_is_no_session,
);

async fn a_session_is_billed_by_the_chargers_own_times_and_register(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    let id = charger.start(1, "TAG", 1_000, "2026-11-01T10:00:00Z").await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("enchufe_charging_sessions_active", &[]), 1);
    charger.meter(1, id, 4_000, "2026-11-01T10:10:00Z").await;
    let session = server.only_session("CP-1").await;
    assert_eq!(session["state"], "active");
    assert_eq!(session["energy_wh"], 3_000);
    assert_eq!(problems(&session), ["not_ended"]);

    let told = json!({
        "transactionId": id, "meterStop": 9_000, "timestamp": "2026-11-01T11:00:00Z",
        "idTag": "tag", "reason": "EVDisconnected",
        "transactionData": [{
            "timestamp": "2026-11-01T11:00:00Z",
            "sampledValue": [{"value": "9.0", "unit": "kWh", "context": "Transaction.End"}],
        }],
    });
    let conf = charger.call("StopTransaction", told).await;
    assert_eq!(conf["idTagInfo"]["status"], "Accepted");
    let session = server.only_session("CP-1").await;
    assert_eq!(session["transaction_id"], id.to_string());
    assert_eq!(session["state"], "ended");
    assert_eq!(session["started_at"], "2026-11-01T10:00:00Z");
    assert_eq!(session["ended_at"], "2026-11-01T11:00:00Z");
    assert_eq!(session["energy_wh"], 8_000);
    assert_eq!(session["stop_reason"], "ev_disconnected");
    assert_eq!(session["billing_ready"], true, "{session}");
    let values = session["meter_values"].as_array().unwrap();
    let energies: Vec<_> = values.iter().map(|value| &value["energy_wh"]).collect();
    assert_eq!(energies, [4_000, 9_000]);
    server
        .count_when("enchufe_energy_delivered_watt_hours_total", 8_000)
        .await;
}

async fn a_start_told_again_is_the_same_session(backend: Backend) {
    let (mut server, mut charger) = ready(backend).await;
    let start =
        async |charger: &mut Charger| charger.start(1, "TAG", 500, "2026-11-01T10:00:00Z").await;
    let id = start(&mut charger).await;
    // The answer was lost on the way, so the charger tells it again:
    assert_eq!(start(&mut charger).await, id, "on the same connection");
    charger.close().await;
    let mut charger = server.charger("CP-1").connect().await;
    assert_eq!(start(&mut charger).await, id, "on a new connection");
    drop(charger);
    server.restart().await;
    let mut charger = server.charger("CP-1").connect().await;
    assert_eq!(
        start(&mut charger).await,
        id,
        "after a restart of the server"
    );
    charger.stop(id, 900, "2026-11-01T10:30:00Z").await;
    assert_eq!(start(&mut charger).await, id, "after its own stop");
    // Its stop told again changes nothing, whatever it says.
    charger.stop(id, 900, "2026-11-01T10:30:00Z").await;
    charger.stop(id, 990_000, "2026-11-01T10:31:00Z").await;

    let session = server.only_session("CP-1").await;
    assert_eq!(
        (&session["state"], &session["energy_wh"]),
        (&json!("ended"), &json!(400))
    );
    assert_eq!(server.count_events("CP-1", "session.started").await, 1);
    assert_eq!(server.count_events("CP-1", "session.ended").await, 1);

    // One thing that differs makes another start.
    let other = charger.start(1, "TAG", 500, "2026-11-01T10:00:01Z").await;
    assert_ne!(other, id);
    assert_eq!(server.sessions("CP-1").await.len(), 2);
}

async fn transaction_ids_are_unique_positive_and_fit_32_bits(backend: Backend) {
    let mut server = Server::start(backend).await;
    server.accept_tag("TAG").await;
    let ids: Vec<_> = (0..8).map(|n| format!("CP-{n}")).collect();
    for id in &ids {
        server.enter(id).await;
    }
    let mut seen = HashSet::new();
    for day in 1..=3 {
        // All at once.
        let starts = ids.iter().map(|id| async {
            let mut charger = server.charger(id).connect().await;
            let mut given = Vec::new();
            for hour in 10..15 {
                let at = format!("2026-11-0{day}T{hour}:00:00Z");
                given.push(charger.start(1, "TAG", 0, &at).await);
            }
            given
        });
        for id in futures_util::future::join_all(starts).await.concat() {
            assert!(id > 0 && i32::try_from(id).is_ok(), "{id}");
            assert!(seen.insert(id), "{id} was given twice");
        }
        server.restart().await;
    }
    assert_eq!(seen.len(), 120);
}

async fn a_start_on_an_unknown_connector_is_answered_kept_and_flagged(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    let connectors = [
        json!(7),
        json!(0),
        json!(-1),
        json!(1_634_030_126),
        json!(9_007_199_254_740_993_i64),
        json!("nonsense"),
        Value::Null,
    ];
    for (minute, connector) in connectors.iter().enumerate() {
        let told = json!({
            "connectorId": connector, "idTag": "TAG", "meterStart": 0,
            "timestamp": format!("2026-11-01T10:{minute:02}:00Z"),
        });
        let conf = charger.call("StartTransaction", told).await;
        assert_eq!(conf["idTagInfo"]["status"], "Accepted", "{connector}");
        let id = conf["transactionId"].as_i64().unwrap();
        let at = format!("2026-11-01T10:{minute:02}:30Z");
        charger.stop(id, 100, &at).await;
    }
    let sessions = server.sessions("CP-1").await;
    assert_eq!(sessions.len(), connectors.len());
    for session in &sessions {
        assert_eq!(session["energy_wh"], 100);
        assert_eq!(problems(session), ["unknown_connector"], "{session}");
        assert_eq!(session["billing_ready"], false);
    }
    // None of them made a connector.
    assert_eq!(
        server.station("CP-1").await["evses"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

async fn a_stop_for_an_unknown_transaction_is_answered_kept_and_flagged(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    for transaction in [json!(4_711), json!(-1), json!(0), json!("x"), Value::Null] {
        let told = json!({
            "transactionId": transaction, "idTag": "TAG", "meterStop": 7_000,
            "timestamp": "2026-11-01T10:00:00Z", "reason": "PowerLoss",
            "transactionData": [{
                "timestamp": "2026-11-01T09:59:00Z", "sampledValue": [{"value": "6900"}],
            }],
        });
        let before = server.sessions("CP-1").await.len();
        // Told twice, as a charger does that missed the answer.
        for _ in 0..2 {
            let conf = charger.call("StopTransaction", told.clone()).await;
            assert_eq!(conf["idTagInfo"]["status"], "Accepted");
        }
        let sessions = server.sessions("CP-1").await;
        let new = sessions.len() - before;
        // What is unreadable is taken as -1, and was kept when -1 was told.
        let expected = usize::from(transaction.is_i64());
        assert_eq!(new, expected, "{transaction}: {sessions:?}");
    }
    for session in server.sessions("CP-1").await {
        assert_eq!(session["state"], "ended");
        assert_eq!(session["meter_stop_wh"], 7_000);
        assert_eq!(session["stop_reason"], "power_loss");
        assert!(
            problems(&session).contains(&"unknown_transaction"),
            "{session}"
        );
        assert_eq!(session["billing_ready"], false);
        let path = format!("sessions/{}", session["id"].as_str().unwrap());
        let detail = server.viewer().get(&path).await.ok();
        assert_eq!(detail["meter_values"][0]["energy_wh"], 6_900);
    }
    // Another station's transaction is as unknown.
    server.enter("CP-2").await;
    let id = charger.start(1, "TAG", 0, "2026-11-01T12:00:00Z").await;
    let mut other = server.charger("CP-2").connect().await;
    other.stop(id, 100, "2026-11-01T12:10:00Z").await;
    assert_eq!(server.only_session("CP-2").await["billing_ready"], false);
    let active = server.viewer().get("sessions?active=true").await.ok();
    assert_eq!(active["sessions"][0]["transaction_id"], id.to_string());
}

async fn transactions_from_offline_times_count_by_their_own_times(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    // Two charges of last winter, delivered today; the later one first, readings in any order.
    let later = charger
        .start(1, "TAG", 5_000, "2026-01-09T10:00:00+01:00")
        .await;
    for (minute, energy) in [(40, 8_000), (20, 6_500), (30, 7_000)] {
        let at = format!("2026-01-09T10:{minute}:00+01:00");
        charger.meter(1, later, energy, &at).await;
    }
    charger
        .stop(later, 9_000, "2026-01-09T11:00:00+01:00")
        .await;
    // Readings that come after the stop belong to it all the same.
    charger
        .meter(1, later, 5_500, "2026-01-09T10:10:00+01:00")
        .await;
    let earlier = charger
        .start(1, "TAG", 1_000, "2026-01-08T10:00:00+01:00")
        .await;
    charger
        .stop(earlier, 5_000, "2026-01-08T11:00:00+01:00")
        .await;

    for session in server.sessions("CP-1").await {
        assert_eq!(session["energy_wh"], 4_000);
        assert_eq!(session["billing_ready"], true, "{session}");
    }
    let sessions = server.sessions("CP-1").await;
    let later = later.to_string();
    let session = sessions.iter().find(|s| s["transaction_id"] == later);
    let path = format!("sessions/{}", session.unwrap()["id"].as_str().unwrap());
    let session = server.viewer().get(&path).await.ok();
    assert_eq!(session["started_at"], "2026-01-09T09:00:00Z");
    assert_eq!(session["ended_at"], "2026-01-09T10:00:00Z");
    let values = session["meter_values"].as_array().unwrap();
    let energies: Vec<_> = values.iter().map(|value| &value["energy_wh"]).collect();
    assert_eq!(energies, [5_500, 6_500, 7_000, 8_000]);
}

async fn a_refused_charge_is_no_session(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    let tags = [
        ("BLOCKED", json!({"status": "blocked"}), "Blocked"),
        ("INVALID", json!({"status": "invalid"}), "Invalid"),
        ("EXPIRED", json!({"status": "expired"}), "Expired"),
        (
            "LAPSED",
            json!({"status": "accepted", "expires_at": "2026-01-01T00:00:00Z"}),
            "Expired",
        ),
        ("NOBODY", Value::Null, "Invalid"),
        ("..", Value::Null, "Invalid"),
    ];
    for (hour, (tag, entry, status)) in (10..).zip(tags) {
        if !entry.is_null() {
            server
                .operator()
                .put(&format!("id-tags/{tag}"), entry)
                .await
                .ok();
        }
        let conf = charger.call("Authorize", json!({"idTag": tag})).await;
        assert_eq!(conf["idTagInfo"]["status"], status, "{tag}");
        let told = json!({
            "connectorId": 1, "idTag": tag, "meterStart": 0,
            "timestamp": format!("2026-11-01T{hour}:00:00Z"),
        });
        let conf = charger.call("StartTransaction", told).await;
        assert_eq!(conf["idTagInfo"]["status"], status, "{tag}");
        let id = conf["transactionId"].as_i64().unwrap();
        // Well behaved, it stops at once and delivers nothing.
        let at = format!("2026-11-01T{hour}:00:05Z");
        charger.stop(id, 0, &at).await;
    }
    assert_eq!(server.count_events("CP-1", "session.started").await, 0);
    assert_eq!(server.count_events("CP-1", "session.refused").await, 6);
    for session in server.sessions("CP-1").await {
        assert_eq!(session["state"], "refused");
        assert_eq!(session["billing_ready"], false);
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("enchufe_charging_sessions_active", &[]), 0);

    // One goes on all the same: the energy is on record, and not billed unseen.
    let id = charger.start(1, "NOBODY", 0, "2026-11-01T20:00:00Z").await;
    charger.stop(id, 3_000, "2026-11-01T21:00:00Z").await;
    let session = &server.sessions("CP-1").await[0];
    assert_eq!(
        (&session["state"], &session["energy_wh"]),
        (&json!("ended"), &json!(3_000))
    );
    assert_eq!(problems(session), ["not_authorized"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn implausible_energy_is_marked_and_not_billed() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    let id = charger
        .start(1, "TAG", 909_900, "2026-11-01T10:00:00Z")
        .await;
    charger.stop(id, 909_920, "2026-11-01T10:10:00Z").await;
    // The register's begin got lost: 910 kWh for 0.08.
    let id = charger.start(1, "TAG", 0, "2026-11-01T11:00:00Z").await;
    charger.stop(id, 910_000, "2026-11-01T14:00:00Z").await;
    let session = &server.sessions("CP-1").await[0];
    assert_eq!(session["billing_ready"], false);
    assert!(problems(session).contains(&"meter_start_lost"), "{session}");
    // Three hours of the strongest car charger would do, but not of this connector.
    let patch = json!({"max_power_w": 22_000});
    let connector = "stations/CP-1/evses/1/connectors/1";
    server.operator().patch(connector, patch).await.ok();
    let id = charger
        .start(1, "TAG", 910_000, "2026-11-02T11:00:00Z")
        .await;
    charger.stop(id, 1_500_000, "2026-11-02T14:00:00Z").await;
    let session = &server.sessions("CP-1").await[0];
    assert_eq!(problems(session), ["energy_above_power"]);
    // Backwards.
    let id = charger.start(1, "TAG", 5_000, "2026-11-03T11:00:00Z").await;
    charger.stop(id, 4_000, "2026-11-03T12:00:00Z").await;
    let session = &server.sessions("CP-1").await[0];
    assert_eq!(problems(session), ["meter_ran_backwards"]);
    // Only what can be believed counts as delivered.
    let id = charger.start(1, "TAG", 4_000, "2026-11-04T11:00:00Z").await;
    charger.stop(id, 4_100, "2026-11-04T12:00:00Z").await;
    server
        .count_when("enchufe_energy_delivered_watt_hours_total", 120)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_its_stop_before_interrupts_and_the_late_stop_completes() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    let first = charger.start(1, "TAG", 0, "2026-11-01T10:00:00Z").await;
    charger.meter(1, first, 300, "2026-11-01T10:20:00Z").await;
    let second = charger.start(1, "TAG", 500, "2026-11-01T11:00:00Z").await;
    let sessions = server.sessions("CP-1").await;
    assert_eq!(sessions[1]["state"], "interrupted");
    assert_eq!(problems(&sessions[1]), ["stop_missing"]);
    charger.stop(first, 400, "2026-11-01T10:30:00Z").await;
    charger.stop(second, 900, "2026-11-01T11:30:00Z").await;
    for session in server.sessions("CP-1").await {
        assert_eq!(session["billing_ready"], true, "{session}");
        assert_eq!(session["energy_wh"], 400);
    }
    // The interrupted one's energy counts once.
    server
        .count_when("enchufe_energy_delivered_watt_hours_total", 800)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_outlives_its_station() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    let id = charger.start(1, "TAG", 0, "2026-11-01T10:00:00Z").await;
    server.operator().delete("stations/CP-1").await.expect(204);
    charger.ended().await;
    let session = server.only_session("CP-1").await;
    assert_eq!(session["transaction_id"], id.to_string());
    // Entered again, its charger brings the stop.
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.stop(id, 300, "2026-11-01T11:00:00Z").await;
    assert_eq!(server.only_session("CP-1").await["energy_wh"], 300);
}
