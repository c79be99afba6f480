//! Lists: filters, searches, pages.

use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use crate::support::{Backend, Server};

both!(
    a_search_finds_the_text_and_nothing_else,
    stations_are_filtered_by_their_derived_status,
    pages_stay_true_while_stations_are_added_and_removed,
    a_page_is_what_was_asked_for,
);

fn ids(stations: &[Value]) -> Vec<&str> {
    stations
        .iter()
        .map(|station| station["id"].as_str().unwrap())
        .collect()
}

async fn a_search_finds_the_text_and_nothing_else(backend: Backend) {
    let server = Server::start(backend).await;
    let stations = [
        ("percent", "Sol 100% verde", "Calle A"),
        ("under_score", "Under score", "Calle B"),
        ("quote", "O'Brien \"the\" station", "Calle C"),
        ("exclamation", "¡Hola! Mundo", "Calle D"),
        ("backslash", r"C:\enchufe\%", "Calle E"),
        ("enye", "ÑUÑO e Hijos", "Avenida de España"),
        ("greek", "ΣΊΣΥΦΟΣ", "Odós"),
        ("emoji", "🔌 Enchufe", "東京"),
    ];
    for (id, name, address) in stations {
        let location = json!({"latitude": 0, "longitude": 0, "address": address});
        let body = json!({"id": id, "name": name, "location": location});
        server.operator().post("stations", body).await.expect(201);
    }
    for (text, found) in [
        ("%", vec!["backslash", "percent"]),
        ("100%", vec!["percent"]),
        ("_", vec!["under_score"]),
        ("r_s", vec!["under_score"]),
        ("r s", vec!["under_score"]),
        ("'", vec!["quote"]),
        ("\"the\"", vec!["quote"]),
        ("!", vec!["exclamation"]),
        ("\\", vec!["backslash"]),
        (r"fe\%", vec!["backslash"]),
        ("ñuño", vec!["enye"]),
        ("ÑuÑ", vec!["enye"]),
        ("españa", vec!["enye"]),
        ("σίσυ", vec!["greek"]),
        ("ΊΣ", vec!["greek"]),
        ("🔌", vec!["emoji"]),
        ("東", vec!["emoji"]),
        ("ENCHUFE", vec!["backslash", "emoji"]),
        ("EMOJI", vec!["emoji"]),
        ("calle e", vec!["backslash"]),
        ("' OR '1'='1", vec![]),
        ("nothing has this", vec![]),
    ] {
        let query: String = byte_serialize(text.as_bytes()).collect();
        let page = server
            .viewer()
            .get(&format!("stations?q={query}"))
            .await
            .expect(200);
        assert_eq!(ids(page["stations"].as_array().unwrap()), found, "{text}");
    }
}

async fn stations_are_filtered_by_their_derived_status(backend: Backend) {
    let server = Server::start(backend).await;
    for (id, status) in [
        ("a", "charging"),
        ("b", "preparing"),
        ("c", "faulted"),
        ("d", "available"),
    ] {
        server.enter(id).await;
        let path = format!("stations/{id}/status");
        server
            .operator()
            .put(&path, json!({"status": status}))
            .await
            .expect(200);
    }
    server.enter("e").await;
    server.enter("f").await;
    server.charger("f").connect().await.close().await;
    server.station_when("f", "status", "offline").await;
    for (filter, found) in [
        ("status=occupied", vec!["a", "b"]),
        ("status=faulted", vec!["c"]),
        ("status=available", vec!["d"]),
        ("status=unknown", vec!["e"]),
        ("status=offline", vec!["f"]),
        ("status=reserved", vec![]),
        ("status=occupied&q=B", vec!["b"]),
        ("", vec!["a", "b", "c", "d", "e", "f"]),
    ] {
        let stations = server
            .viewer()
            .pages(&format!("stations?{filter}"), "stations", 1)
            .await;
        assert_eq!(ids(&stations), found, "{filter}");
    }
    // What is listed is what is read.
    let listed = server.viewer().pages("stations", "stations", 3).await;
    for station in listed {
        assert_eq!(
            server.station(station["id"].as_str().unwrap()).await,
            station
        );
    }
    let refused = server.viewer().get("stations?status=charging").await;
    assert_eq!(refused.pointers(), ["status"]);
}

async fn pages_stay_true_while_stations_are_added_and_removed(backend: Backend) {
    let server = Server::start(backend).await;
    for id in ["b", "d", "f", "h", "j"] {
        server.enter(id).await;
    }
    let page = async |query: String| {
        server
            .viewer()
            .get(&format!("stations?{query}"))
            .await
            .expect(200)
    };
    let first = page("limit=2".to_owned()).await;
    assert_eq!(ids(first["stations"].as_array().unwrap()), ["b", "d"]);
    // Behind the page, ahead of it, and the very station the cursor is made of.
    server.enter("a").await;
    server.enter("g").await;
    server.operator().delete("stations/d").await.expect(204);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = page(format!("limit=2&cursor={cursor}")).await;
    assert_eq!(ids(second["stations"].as_array().unwrap()), ["f", "g"]);
    server.operator().delete("stations/j").await.expect(204);
    let cursor = second["next_cursor"].as_str().unwrap();
    let last = page(format!("limit=2&cursor={cursor}")).await;
    assert_eq!(ids(last["stations"].as_array().unwrap()), ["h"]);
    assert_eq!(last["next_cursor"], Value::Null);
}

async fn a_page_is_what_was_asked_for(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    server.enter("T").await;
    // A page that is full to the last one says that there is no more.
    let page = server.viewer().get("stations?limit=2").await.expect(200);
    assert_eq!(page["stations"].as_array().unwrap().len(), 2);
    assert_eq!(page["next_cursor"], Value::Null);
    let lists = [
        "stations",
        "sessions",
        "id-tags",
        "stations/S/events",
        "stations/S/commands",
        "tokens",
    ];
    for list in lists {
        for (query, pointer) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("limit=-1", "limit"),
            ("limit=two", "limit"),
            ("colour=red", ""),
            ("limit=1&limit=2", ""),
        ] {
            let refused = server.admin().get(&format!("{list}?{query}")).await;
            let pointers = refused.pointers();
            assert!(
                pointers == [pointer] || pointer.is_empty(),
                "{list}?{query} {pointers:?}"
            );
        }
        let refused = server
            .admin()
            .get(&format!("{list}?cursor=%00%FF%20"))
            .await;
        assert!(matches!(refused.status, 422), "{refused:?}");
        refused.problem(422);
        let long = "x".repeat(65);
        let refused = server.admin().get(&format!("{list}?cursor={long}")).await;
        assert_eq!(refused.pointers(), ["cursor"], "{list}");
        server
            .admin()
            .get(&format!("{list}?limit=500"))
            .await
            .expect(200);
    }
}
