//! EVSEs and connectors: the parts of a station.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Backend, Server};

both!(
    an_evse_is_added_read_and_removed,
    a_connector_is_added_changed_and_removed,
    a_new_part_gets_the_lowest_free_number,
    a_part_that_is_not_there_is_not_found,
    a_station_without_parts_has_nothing_to_tell,
);

/// Names of parts that no part can have; each is a path's last segment.
const NO_NUMBERS: [&str; 9] = [
    "0",
    "01",
    "+1",
    "-1",
    "1.0",
    "x",
    "129",
    "65537",
    "99999999999999999999",
];

async fn an_evse_is_added_read_and_removed(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let operator = server.operator();
    let body = json!({"connectors": [{"type": "sType2"}, {}]});
    let added = operator.post("stations/S/evses", body).await;
    let evse = added.expect(201);
    assert_eq!(added.header("location"), "/api/v1/stations/S/evses/2");
    assert_eq!(evse["evse"], 2);
    assert_eq!(
        (&evse["status"], &evse["availability"]),
        (&json!("unknown"), &json!("operative"))
    );
    assert_eq!(evse["connectors"][0]["type"], "sType2");
    assert_eq!(evse["connectors"][1]["connector"], 2);
    let read = server.viewer().get(added.header("location")).await;
    assert_eq!(
        (read.expect(200), read.etag()),
        (evse.clone(), added.etag())
    );
    let station = server.station("S").await;
    assert_eq!(station["evses"][1], evse);
    let list = server.viewer().get("stations/S/evses").await.expect(200);
    assert_eq!(list, json!({"evses": station["evses"]}));

    let removed = operator.delete("stations/S/evses/2").await;
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    for gone in ["", "/connectors", "/connectors/1"] {
        server
            .viewer()
            .get(&format!("stations/S/evses/2{gone}"))
            .await
            .problem(404);
    }
    operator.delete("stations/S/evses/2").await.problem(404);
    assert_eq!(server.count_events("S", "connector.deleted").await, 2);
    assert_eq!(server.station("S").await["counts"]["unknown"], 1);
}

async fn a_connector_is_added_changed_and_removed(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let operator = server.operator();
    let body = json!({"type": "cCCS2", "max_power_w": 50_000});
    let added = operator.post("stations/S/evses/1/connectors", body).await;
    let connector = added.expect(201);
    let path = "stations/S/evses/1/connectors/2";
    assert_eq!(added.header("location"), format!("/api/v1/{path}"));
    assert_eq!(
        (&connector["evse"], &connector["connector"]),
        (&json!(1), &json!(2))
    );
    let list = server
        .viewer()
        .get("stations/S/evses/1/connectors")
        .await
        .expect(200);
    assert_eq!(list["connectors"][1], connector);

    let change = async |body: Value| operator.patch(path, body).await;
    let stronger = change(json!({"max_power_w": 150_000})).await.expect(200);
    assert_eq!(
        (&stronger["type"], &stronger["max_power_w"]),
        (&json!("cCCS2"), &json!(150_000))
    );
    let untyped = change(json!({"type": null})).await;
    assert_eq!(
        (&untyped.expect(200)["type"], &untyped.json()["max_power_w"]),
        (&json!(null), &json!(150_000))
    );
    let same = change(json!({})).await;
    assert_eq!(
        (same.expect(200), same.etag()),
        (untyped.json(), untyped.etag())
    );
    assert_eq!(server.count_events("S", "connector.updated").await, 2);
    assert_eq!(server.viewer().get(path).await.expect(200), untyped.json());

    assert_eq!(
        change(json!({"max_power_w": 0, "type": ""}))
            .await
            .pointers(),
        ["/max_power_w", "/type"]
    );
    assert_eq!(
        change(json!({"max_power_w": 10_000_001})).await.pointers(),
        ["/max_power_w"]
    );
    assert_eq!(
        change(json!({"max_power_w": "much"})).await.pointers(),
        ["/max_power_w"]
    );
    assert_eq!(
        change(json!({"connector": 3})).await.pointers(),
        ["/connector"]
    );

    let removed = operator.delete(path).await;
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    server.viewer().get(path).await.problem(404);
    operator.delete(path).await.problem(404);
}

async fn a_new_part_gets_the_lowest_free_number(backend: Backend) {
    let server = Server::start(backend).await;
    let operator = server.operator();
    server.enter_with("S", json!(vec![json!({}); 126])).await;
    operator.delete("stations/S/evses/1").await.expect(204);
    operator.delete("stations/S/evses/7").await.expect(204);
    let add = async || operator.post("stations/S/evses", json!({})).await;
    assert_eq!(add().await.expect(201)["evse"], 1);
    assert_eq!(add().await.expect(201)["evse"], 7);
    let station = server.station("S").await;
    let numbers = station["evses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|evse| evse["evse"].as_i64().unwrap());
    assert!(numbers.eq(1..=126));
    // Added at the same time, they get numbers of their own; past the last there are none.
    let mut added = join_all((0..4).map(|_| add())).await;
    added.sort_by_key(|answer| answer.status);
    for full in added.split_off(2) {
        full.problem(409);
    }
    let mut numbers: Vec<_> = added
        .iter()
        .map(|answer| answer.expect(201)["evse"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [127, 128]);

    let path = "stations/S/evses/5/connectors";
    let added = join_all((0..16).map(|_| operator.post(path, json!({})))).await;
    let mut numbers: Vec<_> = added
        .iter()
        .filter(|a| a.status == 201)
        .map(|a| a.json()["connector"].as_i64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(2..=16), "{numbers:?}");
    operator.post(path, json!({})).await.problem(409);
    operator.delete(&format!("{path}/1")).await.expect(204);
    assert_eq!(
        operator.post(path, json!({})).await.expect(201)["connector"],
        1
    );
}

async fn a_part_that_is_not_there_is_not_found(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let operator = server.operator();
    let decision = json!({"availability": "operative"});
    let mut places = vec![
        "stations/nobody/evses/1".to_owned(),
        "stations/S/evses/2".to_owned(),
    ];
    places.extend(NO_NUMBERS.map(|number| format!("stations/S/evses/{number}")));
    for evse in &places {
        operator.get(evse).await.problem(404);
        operator.delete(evse).await.problem(404);
        operator
            .put(&format!("{evse}/availability"), decision.clone())
            .await
            .problem(404);
        operator
            .get(&format!("{evse}/connectors"))
            .await
            .problem(404);
        operator
            .post(&format!("{evse}/connectors"), json!({}))
            .await
            .problem(404);
    }
    let mut places: Vec<String> = places
        .iter()
        .map(|evse| format!("{evse}/connectors/1"))
        .collect();
    places.push("stations/S/evses/1/connectors/2".to_owned());
    places.extend(NO_NUMBERS.map(|number| format!("stations/S/evses/1/connectors/{number}")));
    for connector in &places {
        operator.get(connector).await.problem(404);
        operator.patch(connector, json!({})).await.problem(404);
        operator.delete(connector).await.problem(404);
        operator
            .put(&format!("{connector}/availability"), decision.clone())
            .await
            .problem(404);
        let status = json!({"status": "available"});
        operator
            .put(&format!("{connector}/status"), status)
            .await
            .problem(404);
    }
    operator
        .post("stations/nobody/evses", json!({}))
        .await
        .problem(404);
    operator.get("stations/nobody/evses").await.problem(404);
    assert_eq!(server.station("S").await["counts"]["unknown"], 1);
}

async fn a_station_without_parts_has_nothing_to_tell(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    server
        .operator()
        .put("stations/S/status", json!({"status": "available"}))
        .await
        .expect(200);
    server
        .operator()
        .delete("stations/S/evses/1/connectors/1")
        .await
        .expect(204);
    let evse = server.viewer().get("stations/S/evses/1").await.expect(200);
    assert_eq!(
        (&evse["status"], &evse["status_cause"]["reason"]),
        (&json!("unknown"), &json!("no_parts"))
    );
    server
        .operator()
        .delete("stations/S/evses/1")
        .await
        .expect(204);
    let station = server.station("S").await;
    assert_eq!(station["status"], "unknown");
    let cause = json!({"level": "station", "evse": null, "connector": null, "reason": "no_parts"});
    assert_eq!(
        (&station["status_cause"], &station["evses"]),
        (&cause, &json!([]))
    );
}
