//! Stations: entered, changed, removed (pitfall 23).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Backend, Server};

both!(
    a_name_is_enough,
    stations_of_one_name_get_ids_of_their_own,
    an_id_is_given_once,
    a_station_has_the_layout_it_is_entered_with,
    a_patch_changes_what_it_names_and_nothing_else,
    a_removed_station_leaves_its_history_and_its_sessions,
    a_station_entered_anew_has_nothing_of_the_one_before,
);

async fn a_name_is_enough(backend: Backend) {
    let server = Server::start(backend).await;
    let made = server
        .operator()
        .post("stations", json!({"name": "Plaza Mayor, 3"}))
        .await;
    let station = made.expect(201);
    assert_eq!(station["id"], "plaza-mayor-3");
    assert_eq!(station["name"], "Plaza Mayor, 3");
    assert_eq!(made.header("location"), "/api/v1/stations/plaza-mayor-3");
    assert_eq!(station["evses"].as_array().unwrap().len(), 1);
    let evse = &station["evses"][0];
    assert_eq!(
        (&evse["evse"], &evse["connectors"][0]["connector"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(evse["connectors"].as_array().unwrap().len(), 1);
    // Nobody has said anything of it yet.
    assert_eq!(station["status"], "unknown");
    let cause =
        json!({"level": "connector", "evse": 1, "connector": 1, "reason": "never_reported"});
    assert_eq!(station["status_cause"], cause);
    let counts = json!({"available": 0, "occupied": 0, "reserved": 0, "unavailable": 0,
        "faulted": 0, "unknown": 1});
    assert_eq!(station["counts"], counts);
    assert_eq!(
        (&station["online"], &station["degraded"]),
        (&json!(false), &json!(false))
    );
    // No charger is connected, whichever level is asked.
    assert_eq!(
        (&evse["online"], &evse["connectors"][0]["online"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        (&station["reporting"], &station["availability"]),
        (&json!("manual"), &json!("operative"))
    );
    for nothing in [
        "location",
        "last_seen",
        "reported",
        "protocol",
        "security_profile",
    ] {
        assert_eq!(station[nothing], Value::Null, "{nothing}");
    }
    let read = server.viewer().get(made.header("location")).await;
    assert_eq!(read.expect(200), station);
    assert_eq!(read.etag(), made.etag());
}

async fn stations_of_one_name_get_ids_of_their_own(backend: Backend) {
    let server = Server::start(backend).await;
    let enter = |name: &str| {
        let (operator, body) = (server.operator(), json!({"name": name}));
        async move {
            operator.post("stations", body).await.expect(201)["id"]
                .as_str()
                .unwrap()
                .to_owned()
        }
    };
    let mut ids = join_all((0..8).map(|_| enter("Estación Norte"))).await;
    assert!(ids.contains(&"estacion-norte".to_owned()), "{ids:?}");
    assert!(
        ids.iter().all(|id| id.starts_with("estacion-norte")),
        "{ids:?}"
    );
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    // A name without a letter that an id can have is no obstacle, nor is a very long one.
    assert!(enter("日本").await.starts_with("station-"));
    let long = "x".repeat(128);
    let (first, second) = (enter(&long).await, enter(&long).await);
    assert!(first != second && second.len() <= 48, "{first} {second}");
}

async fn an_id_is_given_once(backend: Backend) {
    let server = Server::start(backend).await;
    let enter = || {
        let (operator, body) = (server.operator(), json!({"id": "ES*ABC*1", "name": "Here"}));
        async move { operator.post("stations", body).await }
    };
    let answers = join_all((0..8).map(|_| enter())).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        let problem = refused.problem(409);
        assert!(
            problem["detail"].as_str().unwrap().contains("ES*ABC*1"),
            "{problem}"
        );
    }
    for bad in [
        "",
        ".",
        "..",
        "a:b",
        "a b",
        "a/b",
        "ñ",
        "<b>",
        &"x".repeat(49),
    ] {
        let refused = server
            .operator()
            .post("stations", json!({"id": bad, "name": "Here"}))
            .await;
        assert_eq!(refused.pointers(), ["/id"], "{bad}");
    }
}

async fn a_station_has_the_layout_it_is_entered_with(backend: Backend) {
    let server = Server::start(backend).await;
    let evses = json!([
        {"connectors": [{"type": "cCCS2", "max_power_w": 150_000}, {"type": "cChaoJi"}]},
        {},
    ]);
    let station = server.enter_with("complex", evses).await;
    let shape: Vec<(i64, Vec<(i64, Value, Value)>)> = station["evses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|evse| {
            let connectors = evse["connectors"].as_array().unwrap().iter();
            let connectors = connectors.map(|c| {
                assert_eq!(c["evse"], evse["evse"]);
                (
                    c["connector"].as_i64().unwrap(),
                    c["type"].clone(),
                    c["max_power_w"].clone(),
                )
            });
            (evse["evse"].as_i64().unwrap(), connectors.collect())
        })
        .collect();
    let expected = vec![
        (
            1,
            vec![
                (1, json!("cCCS2"), json!(150_000)),
                (2, json!("cChaoJi"), json!(null)),
            ],
        ),
        (2, vec![(1, json!(null), json!(null))]),
    ];
    assert_eq!(shape, expected);
    assert_eq!(station["counts"]["unknown"], 3);

    let refused = async |evses: Value| {
        let body = json!({"name": "Too much", "evses": evses});
        server.operator().post("stations", body).await.pointers()
    };
    assert_eq!(refused(json!(vec![json!({}); 129])).await, ["/evses"]);
    let crowded = json!([{}, {"connectors": vec![json!({}); 17]}]);
    assert_eq!(refused(crowded).await, ["/evses/1/connectors"]);
    let absurd = json!([{"connectors": [{"type": "", "max_power_w": 0}]}]);
    let places = [
        "/evses/0/connectors/0/max_power_w",
        "/evses/0/connectors/0/type",
    ];
    assert_eq!(refused(absurd).await, places);
    // The largest there may be.
    let full = json!(vec![json!({"connectors": vec![json!({}); 16]}); 128]);
    let station = server.enter_with("full", full).await;
    assert_eq!(station["counts"]["unknown"], 128 * 16);
}

async fn a_patch_changes_what_it_names_and_nothing_else(backend: Backend) {
    let server = Server::start(backend).await;
    let place = json!({"latitude": 39.4699, "longitude": -0.3763, "address": "Calle de la Paz, 1"});
    let body = json!({"id": "S", "name": "Old", "location": place});
    let made = server.operator().post("stations", body).await;
    made.expect(201);

    let renamed = server
        .operator()
        .patch("stations/S", json!({"name": "New <b>'; --"}))
        .await;
    let station = renamed.expect(200);
    assert_eq!(
        (&station["name"], &station["location"]),
        (&json!("New <b>'; --"), &place)
    );
    assert_ne!(renamed.etag(), made.etag());
    assert!(station["updated_at"].as_str() > made.json()["updated_at"].as_str());
    assert_eq!(station["created_at"], made.json()["created_at"]);

    let moved = server
        .operator()
        .patch("stations/S", json!({"location": null}))
        .await;
    assert_eq!(
        (&moved.expect(200)["location"], &moved.json()["name"]),
        (&json!(null), &station["name"])
    );

    // What changes nothing is no change.
    let events = server.history("S").await.len();
    for nothing in [
        json!({}),
        json!({"location": null}),
        json!({"name": "New <b>'; --"}),
    ] {
        let same = server.operator().patch("stations/S", nothing).await;
        assert_eq!(
            (same.expect(200), same.etag()),
            (moved.json(), moved.etag())
        );
    }
    assert_eq!(server.history("S").await.len(), events);

    let refused = async |body: Value| server.operator().patch("stations/S", body).await.pointers();
    assert_eq!(refused(json!({"name": null})).await, ["/name"]);
    assert_eq!(refused(json!({"name": " \t"})).await, ["/name"]);
    let nowhere = json!({"location": {"latitude": 91, "longitude": -181}});
    assert_eq!(
        refused(nowhere).await,
        ["/location/latitude", "/location/longitude"]
    );
    assert_eq!(server.station("S").await, moved.json());
    server
        .operator()
        .patch("stations/nobody", json!({}))
        .await
        .problem(404);
}

async fn a_removed_station_leaves_its_history_and_its_sessions(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter_with("S", json!([{}, {}])).await;
    server.accept_tag("TAG").await;
    let mut charger = server.charger("S").connect().await;
    charger.boot().await;
    charger.status(1, "Charging").await;
    let transaction = charger.start(1, "TAG", 100, "2026-11-01T10:00:00Z").await;
    charger
        .stop(transaction, 5_100, "2026-11-01T11:00:00Z")
        .await;
    charger.start(2, "TAG", 0, "2026-11-01T12:00:00Z").await;
    let sessions = server.sessions("S").await;

    let removed = server.operator().delete("stations/S").await;
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    // Its charger is sent away, and not let in again.
    charger.ended().await;
    assert_eq!(server.charger("S").knock().await.status, 404);
    for gone in [
        "",
        "/evses",
        "/evses/1",
        "/evses/1/connectors",
        "/evses/1/connectors/1",
        "/commands",
    ] {
        server
            .viewer()
            .get(&format!("stations/S{gone}"))
            .await
            .problem(404);
    }
    server.operator().delete("stations/S").await.problem(404);
    let listed = server.viewer().pages("stations", "stations", 10).await;
    assert_eq!(listed, Vec::<Value>::new());

    assert_eq!(server.sessions("S").await, sessions);
    assert_eq!(
        sessions.iter().filter(|s| s["energy_wh"] == 5_000).count(),
        1
    );
    assert_eq!(server.count_events("S", "station.created").await, 1);
    assert_eq!(server.count_events("S", "connector.deleted").await, 2);
    assert_eq!(server.count_events("S", "evse.deleted").await, 2);
    assert_eq!(server.count_events("S", "station.deleted").await, 1);
}

async fn a_station_entered_anew_has_nothing_of_the_one_before(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter_with("S", json!([{}, {}])).await;
    let password = json!({"password": "correct-horse-battery"});
    server
        .admin()
        .put("stations/S/credentials", password)
        .await
        .expect(204);
    assert_eq!(server.charger("S").knock().await.status, 401);
    let charger = server
        .charger("S")
        .password("correct-horse-battery")
        .connect()
        .await;
    drop(charger);
    server.operator().delete("stations/S").await.expect(204);

    let station = server.enter("S").await;
    assert_eq!(station["evses"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&station["reporting"], &station["status"]),
        (&json!("manual"), &json!("unknown"))
    );
    for nothing in ["last_seen", "protocol", "security_profile"] {
        assert_eq!(station[nothing], Value::Null, "{nothing}");
    }
    // The old password is forgotten: this server lets chargers without credentials in.
    assert_eq!(server.charger("S").knock().await.status, 101);
}
