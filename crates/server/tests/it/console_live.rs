//! The console's stream: what changed, soon, once, and within bounds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Access, Backend, Browser, Server};

both!(
    a_change_is_told_soon,
    a_stream_goes_on_where_it_was_cut,
    a_stream_ends_with_the_token,
    a_station_page_hears_of_its_station,
);

/// What a message says of stations: their ids and states.
fn told(data: &Value) -> Vec<(String, String)> {
    let changes = data["changes"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    changes
        .map(|it| (text(&it["id"]), text(&it["status"])))
        .collect()
}

fn is(id: &str, status: &str) -> (String, String) {
    (id.to_owned(), status.to_owned())
}

async fn set(access: &Access, id: &str, status: &str) {
    let path = format!("stations/{id}/status");
    access
        .operator()
        .put(&path, json!({"status": status}))
        .await
        .ok();
}

async fn a_change_is_told_soon(backend: Backend) {
    let server = Server::start(backend).await;
    for id in ["CP-1", "CP-2"] {
        server.enter(id).await;
    }
    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    browser.page("/console").await;
    let mut stream = browser.client().follow("/console/live").await;
    let first = stream.next_of("now").await;
    assert!(told(&first.data).is_empty(), "{first:?}");
    assert_eq!(first.data["stations"]["unknown"], 2);

    set(&server, "CP-2", "faulted").await;
    let started = Instant::now();
    let next = stream.next_of("now").await;
    assert_eq!(told(&next.data), [is("CP-2", "faulted")]);
    assert!(next.id > first.id);
    assert_eq!(next.data["changes"][0]["word"], "Faulted");
    assert_eq!(next.data["trouble"], 1);
    assert_eq!(next.data["connectors"]["faulted"], 1);
    // Seconds on a slow machine; most of half a second on another.
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    server.operator().delete("stations/CP-2").await.ok();
    let next = stream.next_of("now").await;
    assert_eq!(next.data["gone"], json!(["CP-2"]));
    assert_eq!(next.data["trouble"], 0);
    // In the reader's language.
    browser.set("cookie", "enchufe_language=es");
    let mut stream = browser.client().follow("/console/live").await;
    stream.next_of("now").await;
    set(&server, "CP-1", "available").await;
    let next = stream.next_of("now").await;
    assert_eq!(next.data["changes"][0]["word"], "Disponible");
}

async fn a_stream_goes_on_where_it_was_cut(backend: Backend) {
    let server = Server::start(backend).await;
    for number in 0..6 {
        server.enter(&format!("CP-{number}")).await;
    }
    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    browser.page("/console").await;
    let mut stream = browser.client().follow("/console/live").await;
    let before = stream.next_of("now").await.id;
    drop(stream);

    // While it is away, one changes twice, one goes, and one comes.
    for (id, status) in [
        ("CP-1", "faulted"),
        ("CP-2", "available"),
        ("CP-1", "available"),
    ] {
        set(&server, id, status).await;
    }
    server.operator().delete("stations/CP-3").await.ok();
    server.enter("CP-9").await;
    let back = browser.client().with("last-event-id", before);
    let mut stream = back.follow("/console/live").await;
    let (mut now, mut gone, mut ids) = (BTreeMap::new(), Vec::new(), vec![before]);
    // Each as it is now: CP-0, CP-4 and CP-5 did not change.
    let expected = [
        is("CP-1", "available"),
        is("CP-2", "available"),
        is("CP-9", "unknown"),
    ];
    while now != BTreeMap::from(expected.clone()) || gone.is_empty() {
        let message = stream.next_of("now").await;
        now.extend(told(&message.data));
        gone.extend(message.data["gone"].as_array().unwrap().clone());
        ids.push(message.id);
    }
    assert_eq!(gone, [json!("CP-3")]);
    assert!(ids.is_sorted(), "{ids:?}");

    // From before what is known, everything is to be read anew.
    let mut stream = browser
        .client()
        .with("last-event-id", 0)
        .follow("/console/live")
        .await;
    let first = stream.next_of("now").await;
    assert_eq!(
        (&first.data["anew"], told(&first.data)),
        (&json!(true), vec![])
    );
}

async fn a_stream_ends_with_the_token(backend: Backend) {
    let server = Server::start(backend).await;
    let (mut browser, id) = Browser::signed_in(&server, "viewer").await;
    browser.page("/console").await;
    let mut stream = browser.client().follow("/console/live").await;
    stream.next_of("now").await;
    server.admin().delete(&format!("tokens/{id}")).await.ok();
    let started = Instant::now();
    // The last word is that it is over; a message that was on its way may come before.
    while stream.next().await.is_some() {}
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    let refused = browser.client().get("/console/live").await;
    assert_eq!(refused.status, 303);
}

async fn a_station_page_hears_of_its_station(backend: Backend) {
    let server = Server::start(backend).await;
    for id in ["CP-1", "CP-2"] {
        server.enter(id).await;
    }
    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    browser.page("/console").await;
    let mut of_one = browser.client().follow("/console/live?of=CP-1").await;
    let mut elsewhere = browser.client().follow("/console/live?of=nothing").await;
    of_one.next_of("now").await;
    elsewhere.next_of("now").await;
    set(&server, "CP-2", "faulted").await;
    let message = of_one.next_of("now").await;
    assert_eq!(
        (told(&message.data), &message.data["trouble"]),
        (vec![], &json!(1))
    );
    let message = elsewhere.next_of("now").await;
    assert_eq!(
        (told(&message.data), &message.data["trouble"]),
        (vec![], &json!(1))
    );
    set(&server, "CP-1", "occupied").await;
    let message = of_one.next_of("now").await;
    assert_eq!(told(&message.data), [is("CP-1", "occupied")]);
}

/// However much happens, a page is told of at most so many stations, twice a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_changes_is_a_bounded_stream() {
    const STATIONS: usize = 400;
    let server = Server::start(Backend::Sqlite).await;
    let ids: Vec<String> = (0..STATIONS).map(|number| format!("CP-{number}")).collect();
    for id in &ids {
        server.enter(id).await;
    }
    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    browser.page("/console").await;
    let mut stream = browser.client().follow("/console/live").await;
    let before = stream.next_of("now").await.id;
    let storm = async {
        for status in ["available", "faulted", "occupied"] {
            let sets = ids.iter().map(|id| set(&server, id, status));
            futures_util::future::join_all(sets).await;
        }
    };
    let started = Instant::now();
    let watch = async {
        let (mut messages, mut longest) = (0_u32, 0);
        loop {
            let message = stream.next_of("now").await;
            messages += 1;
            longest = longest.max(message.data.to_string().len());
            assert!(
                told(&message.data).len() <= 150,
                "{}",
                told(&message.data).len()
            );
            if message.data["stations"]["occupied"] == STATIONS {
                break (messages, longest, started.elapsed());
            }
        }
    };
    let ((), (messages, longest, took)) = tokio::join!(storm, watch);
    assert!(
        f64::from(messages) <= took.as_secs_f64() * 2.0 + 2.0,
        "{messages} in {took:?}"
    );
    assert!(longest < 32_000, "{longest} bytes");
    // All of them at once are too many to be named.
    let late = browser.client().with("last-event-id", before);
    let mut late = late.follow("/console/live").await;
    let message = late.next_of("now").await;
    assert_eq!(
        (&message.data["anew"], told(&message.data)),
        (&json!(true), vec![])
    );
}

/// A browser has six streams to a server. One token has more, and not without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_counted_and_given_back() {
    let server = Server::start(Backend::Sqlite).await;
    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    browser.page("/console").await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        let mut stream = browser.client().follow("/console/live").await;
        stream.next_of("now").await;
        streams.push(stream);
    }
    let refused = browser.client().get("/console/live").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    streams.clear();
    crate::support::eventually("there is room again", async || {
        let request = browser.client();
        let again = tokio::time::timeout(Duration::from_millis(500), request.get("/console/live"));
        // A stream goes on; a refusal comes at once.
        again.await.is_err().then_some(())
    })
    .await;
}
