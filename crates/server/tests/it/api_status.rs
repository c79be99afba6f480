//! Statuses: what is reported, what follows from it, and what the operator decides.

use serde_json::{Value, json};

use crate::support::{Backend, Server};

both!(
    every_level_follows_from_the_one_below,
    the_operators_decision_holds_at_every_level,
    a_decision_taken_twice_is_one,
    a_person_may_report_what_no_charger_speaks_for,
    a_connected_charger_owns_the_state,
    an_offline_station_is_never_available,
);

/// The contract's table: what is reported of the connectors, EVSE by EVSE; the EVSEs' statuses
/// that follow; and the station's, with the EVSE and connector that decided it.
const RULES: &[(&str, &str, &str)] = &[
    ("available", "available", "available 1.1"),
    ("preparing", "occupied", "occupied 1.1"),
    ("charging", "occupied", "occupied 1.1"),
    ("suspended_ev", "occupied", "occupied 1.1"),
    ("suspended_evse", "occupied", "occupied 1.1"),
    ("finishing", "occupied", "occupied 1.1"),
    ("occupied", "occupied", "occupied 1.1"),
    ("reserved", "reserved", "reserved 1.1"),
    ("unavailable", "unavailable", "unavailable 1.1"),
    ("faulted", "faulted", "faulted 1.1"),
    ("unknown", "unknown", "unknown 1.1"),
    // One vehicle at a time: an occupied connector occupies its EVSE.
    ("available charging", "occupied", "occupied 1.2"),
    ("reserved charging", "occupied", "occupied 1.2"),
    ("available reserved", "reserved", "reserved 1.2"),
    ("faulted available", "available", "available 1.2 degraded"),
    (
        "unavailable available",
        "available",
        "available 1.2 degraded",
    ),
    ("unavailable faulted", "faulted", "faulted 1.2"),
    ("unknown unavailable", "unavailable", "unavailable 1.2"),
    // One free EVSE is enough.
    ("charging, available", "occupied available", "available 2.1"),
    (
        "faulted, available",
        "faulted available",
        "available 2.1 degraded",
    ),
    ("unknown, available", "unknown available", "available 2.1"),
    ("reserved, charging", "reserved occupied", "occupied 2.1"),
    (
        "faulted, charging",
        "faulted occupied",
        "occupied 2.1 degraded",
    ),
    (
        "unavailable, reserved",
        "unavailable reserved",
        "reserved 2.1 degraded",
    ),
    // Faulted is a station of which nothing else can be said.
    ("faulted, faulted", "faulted faulted", "faulted 1.1"),
    (
        "faulted, unavailable",
        "faulted unavailable",
        "unavailable 2.1",
    ),
    ("faulted, unknown", "faulted unknown", "unknown 2.1"),
    (
        "unavailable, unknown",
        "unavailable unknown",
        "unavailable 1.1",
    ),
    (
        "available charging, faulted reserved, available",
        "occupied reserved available",
        "available 3.1 degraded",
    ),
];

async fn every_level_follows_from_the_one_below(backend: Backend) {
    let server = Server::start(backend).await;
    for (number, (reports, evses, expected)) in RULES.iter().enumerate() {
        let id = format!("rule-{number}");
        let reports: Vec<Vec<&str>> = reports
            .split(", ")
            .map(|evse| evse.split(' ').collect())
            .collect();
        let layout = reports
            .iter()
            .map(|evse| json!({"connectors": vec![json!({}); evse.len()]}));
        server.enter_with(&id, layout.collect()).await;
        let mut counts = json!({"available": 0, "occupied": 0, "reserved": 0, "unavailable": 0,
            "faulted": 0, "unknown": 0});
        for (evse, connectors) in (1..).zip(&reports) {
            for (connector, report) in (1..).zip(connectors) {
                let path = format!("stations/{id}/evses/{evse}/connectors/{connector}/status");
                let told = server
                    .operator()
                    .put(&path, json!({"status": report}))
                    .await;
                assert_eq!(told.expect(200)["reported"]["status"], *report);
                let class = told.json()["status"].as_str().unwrap().to_owned();
                counts[&class] = json!(counts[&class].as_i64().unwrap() + 1);
            }
        }
        let station = server.station(&id).await;
        assert_eq!(station["counts"], counts, "{reports:?}");
        let derived = station["evses"].as_array().unwrap().iter();
        let derived: Vec<&str> = derived
            .map(|evse| evse["status"].as_str().unwrap())
            .collect();
        assert_eq!(derived.join(" "), *evses, "{reports:?}");
        let (status, cause) = (
            station["status"].as_str().unwrap(),
            &station["status_cause"],
        );
        let degraded = if station["degraded"] == true {
            " degraded"
        } else {
            ""
        };
        let found = format!(
            "{status} {}.{}{degraded}",
            cause["evse"], cause["connector"]
        );
        assert_eq!(found, *expected, "{reports:?}");
        let reason = if status == "unknown" {
            "never_reported"
        } else {
            "reported"
        };
        assert_eq!(
            (&cause["level"], &cause["reason"]),
            (&json!("connector"), &json!(reason))
        );
    }
}

async fn the_operators_decision_holds_at_every_level(backend: Backend) {
    let server = Server::start(backend).await;
    server
        .enter_with("S", json!([{"connectors": [{}, {}]}, {}]))
        .await;
    let report = json!({"status": "available"});
    let before = server
        .operator()
        .put("stations/S/status", report)
        .await
        .expect(200);
    let (station, evse, connector) = (
        "stations/S",
        "stations/S/evses/1",
        "stations/S/evses/1/connectors/2",
    );
    let taken_out = |level: &str, evse: Value, connector: Value| json!({"level": level, "evse": evse, "connector": connector, "reason": "operator"});
    // Where, what then holds of the station (status, degraded, unavailable connectors), and the
    // cause of connector 2 of EVSE 1.
    for (place, status, degraded, unavailable, cause) in [
        (
            station,
            "unavailable",
            false,
            3,
            taken_out("station", json!(null), json!(null)),
        ),
        (
            evse,
            "available",
            true,
            2,
            taken_out("evse", json!(1), json!(null)),
        ),
        (
            connector,
            "available",
            true,
            1,
            taken_out("connector", json!(1), json!(2)),
        ),
    ] {
        let path = format!("{place}/availability");
        let shown = server
            .operator()
            .put(&path, json!({"availability": "inoperative"}))
            .await
            .expect(200);
        assert_eq!(shown["availability"], "inoperative");
        assert_eq!(shown["status"], "unavailable");
        assert_eq!(server.viewer().get(place).await.expect(200), shown);
        let now = server.station("S").await;
        assert_eq!(
            (&now["status"], &now["degraded"]),
            (&json!(status), &json!(degraded)),
            "{place}"
        );
        assert_eq!(now["counts"]["unavailable"], unavailable, "{place}");
        assert_eq!(now["counts"]["available"], 3 - unavailable, "{place}");
        let part = server.viewer().get(connector).await.expect(200);
        assert_eq!(
            (&part["status"], &part["status_cause"]),
            (&json!("unavailable"), &cause),
            "{place}"
        );
        // The decision is kept apart from what is reported, and from those of the other levels.
        assert_eq!(part["reported"]["status"], "available");
        let decided = [station, evse, connector].map(async |other| {
            let other_shown = server.viewer().get(other).await.expect(200);
            assert_eq!(
                other_shown["availability"] == "inoperative",
                other == place,
                "{place} {other}"
            );
        });
        futures_util::future::join_all(decided).await;
        // A report is taken down meanwhile, and shows once the decision is taken back.
        let told = json!({"status": "charging"});
        let part = server
            .operator()
            .put(&format!("{connector}/status"), told)
            .await
            .expect(200);
        assert_eq!(
            (&part["reported"]["status"], &part["status"]),
            (&json!("charging"), &json!("unavailable"))
        );
        server
            .operator()
            .put(&path, json!({"availability": "operative"}))
            .await
            .expect(200);
        assert_eq!(
            server.viewer().get(connector).await.expect(200)["status"],
            "occupied"
        );
        let free = json!({"status": "available"});
        server
            .operator()
            .put(&format!("{connector}/status"), free)
            .await
            .expect(200);
    }
    let after = server.station("S").await;
    assert_eq!(
        (&after["status"], &after["counts"]),
        (&before["status"], &before["counts"])
    );
    assert_eq!(server.count_events("S", "availability.changed").await, 6);
}

async fn a_decision_taken_twice_is_one(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    for place in [
        "stations/S",
        "stations/S/evses/1",
        "stations/S/evses/1/connectors/1",
    ] {
        let put = async |body: Value| {
            server
                .operator()
                .put(&format!("{place}/availability"), body)
                .await
        };
        let first = put(json!({"availability": "inoperative"})).await;
        let again = put(json!({"availability": "inoperative"})).await;
        assert_eq!(
            (again.expect(200), again.etag()),
            (first.expect(200), first.etag())
        );
        put(json!({"availability": "operative"})).await.expect(200);
        assert_eq!(
            put(json!({"availability": "maybe"})).await.pointers(),
            ["/availability"]
        );
        assert_eq!(
            put(json!({"availability": null})).await.pointers(),
            ["/availability"]
        );
        put(json!({})).await.problem(422);
    }
    assert_eq!(server.count_events("S", "availability.changed").await, 6);
    let path = "stations/nobody/availability";
    server
        .operator()
        .put(path, json!({"availability": "operative"}))
        .await
        .problem(404);
}

async fn a_person_may_report_what_no_charger_speaks_for(backend: Backend) {
    let server = Server::start(backend).await;
    server
        .enter_with("S", json!([{"connectors": [{}, {}]}, {}]))
        .await;
    let put = async |place: &str, body: Value| {
        server
            .operator()
            .put(&format!("stations/S{place}/status"), body)
            .await
    };
    // The whole station: every connector of it.
    let told = json!({"status": "faulted", "error_code": "GroundFailure", "info": "Cable cut <em>through</em>"});
    let station = put("", told).await.expect(200);
    assert_eq!(
        (&station["status"], &station["counts"]["faulted"]),
        (&json!("faulted"), &json!(3))
    );
    let reported = &station["evses"][1]["connectors"][0]["reported"];
    assert_eq!(reported["error_code"], "GroundFailure");
    assert_eq!(reported["info"], "Cable cut <em>through</em>");
    assert_eq!(station["reporting"], "manual");
    // One connector: the report replaces what was said before.
    let connector = put("/evses/1/connectors/2", json!({"status": "available"}))
        .await
        .expect(200);
    assert_eq!(
        (&connector["status"], &connector["reported"]["error_code"]),
        (&json!("available"), &json!(null))
    );
    let since = &connector["status_since"];
    assert_eq!(&server.station("S").await["status_since"], since);
    // Said again it changes nothing.
    let again = put("/evses/1/connectors/2", json!({"status": "available"}))
        .await
        .expect(200);
    assert_eq!(again, connector);

    assert_eq!(
        put("", json!({"status": "broken"})).await.pointers(),
        ["/status"]
    );
    assert_eq!(
        put("", json!({"status": "offline"})).await.pointers(),
        ["/status"]
    );
    let long = json!({"status": "faulted", "error_code": "", "info": "x".repeat(257)});
    assert_eq!(put("", long).await.pointers(), ["/error_code", "/info"]);
}

async fn a_connected_charger_owns_the_state(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let by_hand = async |place: &str| {
        let path = format!("stations/S{place}/status");
        server
            .operator()
            .put(&path, json!({"status": "faulted"}))
            .await
    };
    let mut charger = server.charger("S").connect().await;
    charger.boot().await;
    charger.status(1, "Available").await;
    for place in ["", "/evses/1/connectors/1"] {
        by_hand(place).await.problem(409);
    }
    let station = server.station("S").await;
    assert_eq!(
        (&station["status"], &station["reporting"]),
        (&json!("available"), &json!("charger"))
    );
    // What the operator decides is another matter: the charger is told of it.
    let decision = json!({"availability": "inoperative"});
    let decided = server
        .operator()
        .put("stations/S/evses/1/availability", decision)
        .await;
    assert_eq!(decided.expect(200)["status"], "unavailable");
    let call = charger.next_call().await;
    assert_eq!(call.action, "ChangeAvailability");
    assert_eq!(
        call.payload,
        json!({"connectorId": 1, "type": "Inoperative"})
    );
}

async fn an_offline_station_is_never_available(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let mut charger = server.charger("S").connect().await;
    charger.boot().await;
    charger.status(1, "Available").await;
    assert_eq!(server.station("S").await["status"], "available");
    drop(charger);
    let station = server.station_when("S", "status", "offline").await;
    let cause =
        json!({"level": "connection", "evse": null, "connector": null, "reason": "offline"});
    assert_eq!(
        (&station["status_cause"], &station["online"]),
        (&cause, &json!(false))
    );
    // What was last known is kept, and marked.
    let connector = &station["evses"][0]["connectors"][0];
    assert_eq!(
        (&connector["status"], &connector["online"]),
        (&json!("available"), &json!(false))
    );
    assert_eq!(station["evses"][0]["online"], false);
    // Nobody can talk it back: neither a report by hand nor a decision.
    let told = server
        .operator()
        .put("stations/S/status", json!({"status": "available"}))
        .await;
    assert_eq!(told.expect(200)["status"], "offline");
    let decision = json!({"availability": "operative"});
    let decided = server
        .operator()
        .put("stations/S/availability", decision)
        .await;
    assert_eq!(decided.expect(200)["status"], "offline");
    assert_eq!(server.station("S").await["degraded"], false);
    let free = server
        .viewer()
        .pages("stations?status=available", "stations", 10)
        .await;
    assert_eq!(free, Vec::<Value>::new());
    assert!(
        (server
            .metrics()
            .await
            .value("enchufe_stations{status=\"offline\"}")
            - 1.0)
            .abs()
            < 0.1
    );
}
