//! What chargers report of themselves, and what this side makes of it (pitfalls 9, 13 and 14).

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Backend, Charger, PATIENCE, Server};

async fn ready(backend: Backend) -> (Server, Charger) {
    let server = Server::start(backend).await;
    server.enter_with("CP-1", json!([{}, {}])).await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    (server, charger)
}

/// The derived status of each connector.
fn connectors(station: &Value) -> Vec<&str> {
    let evses = station["evses"].as_array().unwrap().iter();
    evses
        .map(|evse| evse["connectors"][0]["status"].as_str().unwrap())
        .collect()
}

both!(
    connector_0_speaks_for_the_station_alone,
    claims_of_many_connectors_leave_bounded_state,
    no_text_about_a_station_does_harm,
    no_text_about_a_session_does_harm,
);

async fn connector_0_speaks_for_the_station_alone(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    charger.status(1, "Charging").await;
    charger.status(2, "Available").await;

    charger.status(0, "Faulted").await;
    let station = server.station("CP-1").await;
    assert_eq!(station["status"], "faulted");
    assert_eq!(station["reported"]["status"], "faulted");
    assert_eq!(connectors(&station), ["occupied", "available"]);

    charger.status(0, "Available").await;
    let station = server.station("CP-1").await;
    assert_eq!(station["status"], "available");
    assert_eq!(connectors(&station), ["occupied", "available"]);

    charger.status(2, "Preparing").await;
    assert_eq!(server.station("CP-1").await["status"], "occupied");
}

async fn claims_of_many_connectors_leave_bounded_state(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    let numbers = [
        1_634_030_126,
        -5,
        129,
        65_537,
        i64::from(i32::MAX),
        i64::MAX,
        i64::MIN,
    ];
    for number in numbers {
        charger.status(number, "Available").await;
    }
    let station = server.station("CP-1").await;
    assert_eq!(connectors(&station).len(), 2, "{station}");
    // What a station can have, it may have.
    for number in 1..=130 {
        charger.status(number, "Available").await;
    }
    let station = server.station("CP-1").await;
    assert_eq!(connectors(&station).len(), 128);
    assert_eq!(station["counts"]["available"], 128);
    let metrics = server.metrics().await;
    assert!(metrics.count("enchufe_ocpp_deviations_total", &[]) >= 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_claims_are_answered_and_forgotten() {
    const CLAIMS: i64 = 100_000;
    /// Sent before their answers are read. A charger may do so; a polite one does not.
    const AT_ONCE: i64 = 500;
    let (server, mut charger) = ready(Backend::Sqlite).await;
    let begun = Instant::now();
    let mut number = 1_000;
    while number < 1_000 + CLAIMS {
        // A state that grew with the claims would take hours.
        assert!(begun.elapsed() < 3 * PATIENCE, "at claim {number}");
        for n in number..number + AT_ONCE {
            charger
                .send_text(format!(
                    r#"[2,"{n}","StatusNotification",{{"connectorId":{n},"status":"Available","errorCode":"NoError"}}]"#
                ))
                .await;
        }
        for n in number..number + AT_ONCE {
            assert_eq!(charger.receive().await, json!([3, n.to_string(), {}]));
        }
        number += AT_ONCE;
    }
    assert_eq!(connectors(&server.station("CP-1").await).len(), 2);
    assert_eq!(server.count_events("CP-1", "connector.created").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_status_of_1_6_has_its_class() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    for (told, reported, class) in [
        ("Available", "available", "available"),
        ("Preparing", "preparing", "occupied"),
        ("Charging", "charging", "occupied"),
        ("SuspendedEV", "suspended_ev", "occupied"),
        ("SuspendedEVSE", "suspended_evse", "occupied"),
        ("Finishing", "finishing", "occupied"),
        ("Reserved", "reserved", "reserved"),
        ("Unavailable", "unavailable", "unavailable"),
        ("Faulted", "faulted", "faulted"),
        ("Occupied", "occupied", "occupied"),
        ("Dreaming", "unknown", "unknown"),
    ] {
        charger.status(1, told).await;
        let station = server.station("CP-1").await;
        let connector = &station["evses"][0]["connectors"][0];
        assert_eq!(connector["reported"]["status"], reported);
        assert_eq!(connector["status"], class);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_nobody_entered_is_added_when_its_charger_reports_it() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    charger.status(3, "Available").await;
    let station = server.station("CP-1").await;
    assert_eq!(connectors(&station), ["unknown", "unknown", "available"]);
    assert_eq!(station["status"], "available");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_count_by_arrival_and_not_by_the_chargers_clock() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    for (status, at) in [
        ("Charging", "2031-01-01T00:00:00Z"),
        ("Available", "1999-01-01T00:00:00Z"),
    ] {
        let told = json!({
            "connectorId": 1, "status": status, "errorCode": "NoError", "timestamp": at,
        });
        charger.call("StatusNotification", told).await;
    }
    assert_eq!(connectors(&server.station("CP-1").await)[0], "available");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_decision_holds_and_the_charger_is_told() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    charger.status(1, "Available").await;
    charger.status(2, "Available").await;
    let body = json!({"availability": "inoperative"});
    let answer = server
        .operator()
        .put("stations/CP-1/evses/2/availability", body)
        .await;
    answer.ok();
    let call = charger.next_call().await;
    assert_eq!(call.action, "ChangeAvailability");
    assert_eq!(
        call.payload,
        json!({"connectorId": 2, "type": "Inoperative"})
    );
    // Whatever it answers, and whatever it reports.
    charger.answer(&call, json!({"status": "Rejected"})).await;
    charger.status(2, "Available").await;
    let station = server.station("CP-1").await;
    assert_eq!(connectors(&station), ["available", "unavailable"]);
    assert_eq!(station["degraded"], true);
    // A charger that boots may have forgotten.
    charger.boot().await;
    let call = charger.next_call().await;
    assert_eq!(
        call.payload,
        json!({"connectorId": 2, "type": "Inoperative"})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_chargers_ways_of_speaking_are_understood() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    server.accept_tag("TAG").await;
    // Numbers as text, unknown fields, no error code, a time without a zone, far too long a text.
    let told = json!({
        "connectorId": "1", "status": "charging", "timestamp": "2026-11-01T10:00:00",
        "info": "x".repeat(3_000), "vendorErrorCode": 17, "myOwnField": {"a": [1, 2, 3]},
    });
    charger.call("StatusNotification", told).await;
    let station = server.station("CP-1").await;
    let reported = &station["evses"][0]["connectors"][0]["reported"];
    assert_eq!(reported["status"], "charging");
    assert_eq!(reported["vendor_error_code"], "17");
    assert!((50..=512).contains(&reported["info"].as_str().unwrap().len()));

    for payload in [
        json!({}),
        json!({"chargePointVendor": null, "chargePointModel": 7}),
    ] {
        let conf = charger.call("BootNotification", payload).await;
        assert_eq!(conf["status"], "Accepted");
    }
    let told = json!({
        "connectorId": 1.0, "idTag": "tag", "meterStart": "1000.7", "timestamp": "2026-11-01 10:00:00Z",
        "reservationId": "none",
    });
    let conf = charger.call("StartTransaction", told).await;
    assert_eq!(conf["idTagInfo"]["status"], "Accepted");
    let id = conf["transactionId"].as_i64().unwrap();
    // One reading instead of a list, kWh, a fraction, a phase without a sum.
    let told = json!({
        "connectorId": 1, "transactionId": id.to_string(),
        "meterValue": {
            "timestamp": "2026-11-01T10:10:00.123456+02:00",
            "sampledValue": {"value": 2.5, "unit": "kWh"},
        },
    });
    charger.call("MeterValues", told).await;
    let session = server.only_session("CP-1").await;
    assert_eq!(session["meter_values"][0]["energy_wh"], 2_500, "{session}");
    charger.stop(id, 3_000, "2026-11-01T11:00:00Z").await;
    let metrics = server.metrics().await;
    let deviations = |action: &str| {
        let action = format!("action=\"{action}\"");
        metrics.count("enchufe_ocpp_deviations_total", &[&action])
    };
    for action in [
        "StatusNotification",
        "BootNotification",
        "StartTransaction",
        "MeterValues",
    ] {
        assert!(deviations(action) > 0, "{action}\n{}", metrics.0);
    }
}

/// Texts as they are sent, and as they are kept: all of it but NUL, which no database's text holds.
const TEXTS: [(&str, &str); 5] = [
    ("'; DROP TABLE stations; --", "'; DROP TABLE stations; --"),
    ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    (
        "$1 %s {0} \\ \" \u{202e} ñ €",
        "$1 %s {0} \\ \" \u{202e} ñ €",
    ),
    ("a\u{0}b", "ab"),
    ("line\r\nbreak\u{7f}", "line\r\nbreak\u{7f}"),
];

async fn no_text_about_a_station_does_harm(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    for (sent, kept) in TEXTS {
        let boot = json!({
            "chargePointVendor": sent, "chargePointModel": sent,
            "chargePointSerialNumber": sent, "firmwareVersion": sent,
        });
        charger.call("BootNotification", boot).await;
        let told = json!({
            "connectorId": 1, "status": "Faulted", "errorCode": sent, "info": sent,
            "vendorId": sent, "vendorErrorCode": sent,
        });
        charger.call("StatusNotification", told).await;
        let station = server.station("CP-1").await;
        let reported = &station["evses"][0]["connectors"][0]["reported"];
        for field in ["vendor", "model", "serial_number", "firmware_version"] {
            assert_eq!(station[field], kept);
        }
        for field in ["error_code", "info", "vendor_error_code"] {
            assert_eq!(reported[field], kept);
        }

        let told = json!({"vendorId": sent, "messageId": sent, "data": sent});
        charger.call("DataTransfer", told).await;
        let history = server.history("CP-1").await;
        let told = json!({"vendor_id": kept, "message_id": kept, "data": kept});
        assert_eq!(history[0]["data"], told);
        for action in [
            "FirmwareStatusNotification",
            "DiagnosticsStatusNotification",
        ] {
            charger.call(action, json!({"status": sent})).await;
            assert_eq!(server.history("CP-1").await[0]["data"]["status"], kept);
        }
        // What it makes up is not a label.
        let metrics = server.metrics().await.0;
        assert!(kept == "ab" || !metrics.contains(kept), "{metrics}");
    }
    let answer = charger.try_call("'; DROP TABLE stations", json!({})).await;
    assert_eq!(answer.unwrap_err().code, "NotImplemented");
    let page = server.viewer().get("stations").await.ok();
    assert_eq!(page["stations"][0]["id"], "CP-1");
}

async fn no_text_about_a_session_does_harm(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    for (minute, (sent, kept)) in TEXTS.into_iter().enumerate() {
        let at = |second: i64| format!("2026-11-01T10:{minute:02}:{second:02}Z");
        let conf = charger.call("Authorize", json!({"idTag": sent})).await;
        assert_eq!(conf["idTagInfo"]["status"], "Invalid");
        let told = json!({
            "connectorId": 1, "idTag": sent, "meterStart": 0, "timestamp": at(0),
        });
        let conf = charger.call("StartTransaction", told).await;
        let told = json!({
            "connectorId": 1, "transactionId": conf["transactionId"],
            "meterValue": [{
                "timestamp": at(20),
                "sampledValue": [{"value": sent, "unit": sent, "measurand": sent}],
            }],
        });
        charger.call("MeterValues", told).await;
        let told = json!({
            "transactionId": conf["transactionId"], "idTag": sent, "meterStop": 1,
            "timestamp": at(30), "reason": sent,
        });
        charger.call("StopTransaction", told).await;
        let session = &server.sessions("CP-1").await[0];
        assert_eq!(session["id_tag"], kept);
        assert_eq!(session["stop_reason"], "other");
        let path = format!("sessions/{}", session["id"].as_str().unwrap());
        let session = server.viewer().get(&path).await.ok();
        assert_eq!(session["meter_values"][0]["samples"][0]["value"], kept);
    }
}
