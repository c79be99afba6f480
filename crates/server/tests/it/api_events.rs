//! Events: a station's history, and the live stream that misses nothing and tells nothing twice.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Access, Backend, PATIENCE, SentEvent, Server};

both!(
    a_history_is_read_in_pages,
    events_are_streamed_as_they_happen,
    a_stream_resumed_under_load_misses_nothing_and_tells_nothing_twice,
    a_stream_of_one_station_tells_of_it_alone,
    streams_end_with_the_server,
    a_place_in_the_stream_must_be_one,
    a_place_that_is_kept_no_longer_is_told,
    a_place_of_another_database_is_told,
    a_stream_ends_when_its_token_is_revoked,
);

async fn a_history_is_read_in_pages(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    server.enter("T").await;
    for status in ["available", "charging", "available"] {
        for station in ["S", "T"] {
            report(&server, station, status).await;
        }
    }
    let whole = server
        .viewer()
        .pages("stations/S/events", "events", 500)
        .await;
    for limit in [1, 2, 7] {
        let pages = server
            .viewer()
            .pages("stations/S/events", "events", limit)
            .await;
        assert_eq!(pages, whole);
    }
    let seqs: Vec<i64> = whole
        .iter()
        .map(|event| event["seq"].as_i64().unwrap())
        .collect();
    assert!(seqs.is_sorted_by(|newer, older| newer > older), "{seqs:?}");
    assert!(
        whole.iter().all(|event| event["station_id"] == "S"),
        "{whole:?}"
    );
    let kinds: Vec<&str> = whole
        .iter()
        .rev()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let entered = ["station.created", "evse.created", "connector.created"];
    let changed = [
        "connector.status_changed",
        "evse.status_changed",
        "station.status_changed",
    ];
    assert_eq!(kinds, [entered, changed, changed, changed].concat());
    let last = &whole[2];
    assert_eq!((&last["evse"], &last["connector"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&last["data"]["from"], &last["data"]["to"]),
        (&json!("occupied"), &json!("available"))
    );

    // A page that was begun goes on where it was, whatever happens meanwhile.
    let page = server
        .viewer()
        .get("stations/S/events?limit=2")
        .await
        .expect(200);
    report(&server, "S", "faulted").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = server
        .viewer()
        .get(&format!("stations/S/events?limit=2&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(next["events"].as_array().unwrap(), &whole[2..4]);
    server
        .viewer()
        .get("stations/nobody/events")
        .await
        .problem(404);
}

async fn events_are_streamed_as_they_happen(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("before").await;
    let mut stream = server.viewer().follow("events").await;
    let mut other = server.viewer().follow("events").await;
    server.enter("S").await;
    report(&server, "S", "charging").await;
    server.accept_tag("SECRET-TAG").await;
    server.operator().delete("stations/S").await.expect(204);
    let kinds = [
        "station.created",
        "evse.created",
        "connector.created",
        "connector.status_changed",
        "evse.status_changed",
        "station.status_changed",
        "id_tag.changed",
        "connector.deleted",
        "evse.deleted",
        "station.deleted",
    ];
    for kind in kinds {
        let event = stream.next().await.unwrap();
        assert_eq!(event.kind, kind);
        // What the stream says of an event is the event.
        assert_eq!(
            (&event.data["seq"], &event.data["type"]),
            (&json!(event.id), &json!(kind))
        );
        let station = if kind == "id_tag.changed" {
            Value::Null
        } else {
            json!("S")
        };
        assert_eq!(event.data["station_id"], station);
        // Every role reads the events, so no tag's text is in them.
        assert!(!event.data.to_string().contains("SECRET-TAG"), "{event:?}");
        assert_eq!(other.next().await.unwrap(), event);
    }
    let history = server.history("S").await;
    assert_eq!(history.len(), kinds.len() - 1);
}

async fn a_stream_resumed_under_load_misses_nothing_and_tells_nothing_twice(backend: Backend) {
    const WRITES: usize = 25;
    let server = Server::start(backend).await;
    let stations = ["A", "B", "C", "D"];
    for station in stations {
        server.enter(station).await;
    }
    let writers = stations.map(|station| {
        let server = &server;
        async move {
            for round in 0..WRITES {
                report(
                    server,
                    station,
                    if round % 2 == 0 {
                        "charging"
                    } else {
                        "available"
                    },
                )
                .await;
            }
        }
    });
    // Three read all the while; each is cut off again and again, at other places than the others.
    let readers = [3, 7, 31].map(|patience| read_in_pieces(&server, patience, WRITES * 4 * 3));
    let (read, _) = tokio::join!(join_all(readers), join_all(writers));
    for events in &read {
        // The sequence has no gaps, so nothing may be missing from what was streamed of it.
        let expected: Vec<i64> = (events[0].id..).take(events.len()).collect();
        let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
        assert_eq!(ids, expected);
    }
    for station in stations {
        let logged: HashSet<i64> = server
            .history(station)
            .await
            .iter()
            .filter(|event| event["type"] == "station.status_changed")
            .map(|event| event["seq"].as_i64().unwrap())
            .collect();
        assert_eq!(logged.len(), WRITES);
        for events in &read {
            let streamed = events.iter().filter(|event| {
                event.data["station_id"] == station && event.kind == "station.status_changed"
            });
            assert_eq!(
                streamed.map(|event| event.id).collect::<HashSet<_>>(),
                logged
            );
        }
    }
}

/// Follows from the beginning on until so many statuses changed, coming back with the last id
/// after every `patience` events.
async fn read_in_pieces(server: &Access, patience: usize, changes: usize) -> Vec<SentEvent> {
    let (mut events, mut last, mut seen): (Vec<SentEvent>, i64, usize) = (Vec::new(), 0, 0);
    loop {
        let client = server.viewer().with("last-event-id", last);
        let mut stream = client.follow("events").await;
        for _ in 0..patience {
            let event = stream.next().await.expect("the stream goes on");
            seen += usize::from(event.kind.ends_with("status_changed"));
            last = event.id;
            events.push(event);
            if seen == changes {
                return events;
            }
        }
    }
}

async fn a_stream_of_one_station_tells_of_it_alone(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    server.enter("T").await;
    let mut stream = server.viewer().follow("events?station_id=S").await;
    for status in ["charging", "available", "faulted"] {
        report(&server, "T", status).await;
        report(&server, "S", status).await;
    }
    let mut last = 0;
    for status in ["occupied", "available", "faulted"] {
        for kind in [
            "connector.status_changed",
            "evse.status_changed",
            "station.status_changed",
        ] {
            let event = stream.next().await.unwrap();
            assert_eq!(
                (event.kind.as_str(), &event.data["station_id"]),
                (kind, &json!("S"))
            );
            assert_eq!(event.data["data"]["to"], status);
            last = if last == 0 { event.id } else { last };
        }
    }
    drop(stream);
    // Resumed, it goes on with its own station.
    let client = server.viewer().with("last-event-id", last);
    let mut stream = client.follow("events?station_id=S").await;
    for _ in 0..8 {
        assert_eq!(stream.next().await.unwrap().data["station_id"], "S");
    }
    report(&server, "T", "available").await;
    report(&server, "S", "reserved").await;
    let event = stream.next().await.unwrap();
    assert_eq!(
        (&event.data["station_id"], &event.data["data"]["to"]),
        (&json!("S"), &json!("reserved"))
    );
}

/// A follower who reads nothing for a while: more batches are committed than the live stream keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_fell_behind_the_live_stream_reads_the_log() {
    const COMMITS: i64 = 1_100;
    let server = Server::start(Backend::Sqlite).await;
    server.enter("S").await;
    server.enter("T").await;
    let app = server.app();
    let id = |text: &str| domain::StationId::new(text).unwrap();
    let mut all = app.follow(None, None).await.unwrap();
    let mut one = app.follow(None, Some(id("T"))).await.unwrap();
    // One event is read, so that both are in the live stream before they fall behind.
    let rename = async |station: &str, n: i64| {
        let name = Some(format!("name {n}"));
        let patch = server::app::StationPatch {
            name,
            location: None,
        };
        app.update_station(&id(station), patch, None).await.unwrap();
    };
    rename("T", -1).await;
    let first = all.next().await.unwrap().unwrap().seq;
    assert_eq!(one.next().await.unwrap().unwrap().seq, first);
    for n in 0..COMMITS {
        rename(if n % 10 == 0 { "T" } else { "S" }, n).await;
    }
    for n in 1..=COMMITS {
        let event = all.next().await.unwrap().unwrap();
        assert_eq!(event.seq, first + n);
        if (n - 1) % 10 == 0 {
            assert_eq!(one.next().await.unwrap().unwrap(), event);
        }
    }
    // And both are back in the live stream.
    rename("T", COMMITS).await;
    assert_eq!(all.next().await.unwrap().unwrap().seq, first + COMMITS + 1);
    assert_eq!(one.next().await.unwrap().unwrap().seq, first + COMMITS + 1);
}

async fn streams_end_with_the_server(backend: Backend) {
    let mut server = Server::start(backend).await;
    server.enter("S").await;
    let mut stream = server
        .viewer()
        .with("last-event-id", 0)
        .follow("events")
        .await;
    let mut quiet = server.viewer().follow("events?station_id=S").await;
    let first = stream.next().await.unwrap();
    let stopping = std::time::Instant::now();
    server.stop().await;
    // It waits for nobody who only listens.
    assert!(stopping.elapsed() < std::time::Duration::from_secs(5));
    let mut last = first.id;
    while let Some(event) = stream.next().await {
        last = event.id;
    }
    assert_eq!(quiet.next().await, None);
    // The client comes back to the new process with the last id it saw.
    server.restart().await;
    report(&server, "S", "charging").await;
    let mut stream = server
        .viewer()
        .with("last-event-id", last)
        .follow("events")
        .await;
    let next = stream.next().await.unwrap();
    assert_eq!(next.id, last + 1);
    stream.next_of("station.status_changed").await;
}

async fn a_place_in_the_stream_must_be_one(backend: Backend) {
    let server = Server::start(backend).await;
    for wrong in ["x", "1.5", "0x1", "99999999999999999999"] {
        let refused = server
            .viewer()
            .with("last-event-id", wrong)
            .get("events")
            .await;
        assert_eq!(refused.pointers(), ["Last-Event-ID"], "{wrong}");
    }
    let refused = server.viewer().get("events?station_id=a%20b").await;
    assert_eq!(refused.pointers(), ["station_id"]);
    // An empty one is what a browser sends that has seen nothing.
    server.enter("S").await;
    let mut stream = server
        .viewer()
        .with("last-event-id", "")
        .follow("events")
        .await;
    report(&server, "S", "charging").await;
    assert_eq!(
        stream.next().await.unwrap().kind,
        "connector.status_changed"
    );
}

async fn a_place_of_another_database_is_told(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let last = server.app().store.last_seq().await.unwrap();
    let from = |seq: i64| server.viewer().with("last-event-id", seq);
    let problem = from(last + 1).get("events").await.problem(410);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("another database"), "{detail}");
    let mut stream = from(last).follow("events").await;
    report(&server, "S", "available").await;
    assert_eq!(stream.next().await.unwrap().id, last + 1);
}

async fn a_stream_ends_when_its_token_is_revoked(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let body = json!({"name": "Leaver", "role": "viewer"});
    let token = server.admin().post("tokens", body).await.expect(201);
    let leaver = server.anonymous().bearing(token["token"].as_str().unwrap());
    let mut stream = leaver.follow("events").await;
    let mut stays = server.viewer().follow("events").await;
    report(&server, "S", "charging").await;
    assert!(stream.next().await.is_some());
    let path = format!("tokens/{}", token["id"].as_str().unwrap());
    server.admin().delete(&path).await.expect(204);
    let ended = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("its end");
    // Whose token is good goes on.
    stays.next_of("token.revoked").await;
    report(&server, "S", "available").await;
    stays.next_of("station.status_changed").await;
}

async fn report(server: &Access, station: &str, status: &str) {
    let path = format!("stations/{station}/status");
    server
        .operator()
        .put(&path, json!({"status": status}))
        .await
        .expect(200);
}

async fn a_place_that_is_kept_no_longer_is_told(backend: Backend) {
    let server = Server::start_with(backend, &[("EVENT_RETENTION_DAYS", "1")]).await;
    server.enter("S").await;
    let last = server.app().store.last_seq().await.unwrap();
    let from = |seq: i64| server.viewer().with("last-event-id", seq);
    from(0)
        .follow("events")
        .await
        .next_of("station.created")
        .await;
    // Two days later.
    let now = server.app().clock.now();
    let later = now + jiff::SignedDuration::from_hours(48);
    while server.app().store.forget_events(later).await.unwrap() {}
    report(&server, "S", "available").await;
    let problem = from(0).get("events").await.problem(410);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("kept no longer"), "{detail}");
    // Who had seen them all misses nothing.
    let next = from(last).follow("events").await.next().await.unwrap();
    assert_eq!(next.id, last + 1);
}
