//! The one sequence of events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::{Event, EventKind};
use store::{Commit, EventFilter, Store};

use crate::support::Database;
use crate::support::things::{at, enter, id, note, reported, said, status};

both!(
    events_are_gapless_in_the_order_of_the_commits,
    a_commit_stays_together,
    nodes_share_one_sequence,
    events_of_one_station,
    events_come_back_as_they_were,
    old_events_are_forgotten_the_oldest_first,
);

/// Reads everything after a place, page by page.
async fn read_all(store: &Store, mut after: i64) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let page = store
            .events(&EventFilter::default(), after, 500)
            .await
            .unwrap();
        let Some(last) = page.last() else { return all };
        after = last.seq;
        all.extend(page);
    }
}

fn assert_gapless(events: &[Event], from: i64) {
    for (event, seq) in events.iter().zip(from..) {
        assert_eq!(event.seq, seq);
    }
}

async fn events_are_gapless_in_the_order_of_the_commits(database: Database) {
    let store = database.open().await;
    let mut live = store.subscribe();
    let writers: Vec<_> = (0..200)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut station = enter(&store, &[&format!("CP-{writer}")]).await.remove(0);
                for turn in 0..5 {
                    let (next, commit) = reported(station, status(turn), 1);
                    let committed = store.commit(commit).await.unwrap();
                    // What is acknowledged can be read.
                    assert!(store.last_seq().await.unwrap() >= committed.seq);
                    station = next;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let log = read_all(&store, 0).await;
    assert_gapless(&log, 1);
    assert_eq!(
        i64::try_from(log.len()).unwrap(),
        store.last_seq().await.unwrap()
    );

    let mut heard = Vec::new();
    while let Ok(batch) = live.try_recv() {
        heard.extend(Vec::clone(&batch));
    }
    assert_eq!(heard, log);
    // Each station's own events are in the order in which they were decided.
    for writer in 0..200 {
        let station = id(&format!("CP-{writer}"));
        let mut now = None;
        for event in log
            .iter()
            .filter(|e| e.event.station_id.as_ref() == Some(&station))
        {
            if let EventKind::ConnectorStatusChanged { from, to, .. } = event.event.kind {
                assert!(now.is_none_or(|now| now == from), "{event:?}");
                now = Some(to);
            }
        }
        assert!(now.is_some());
    }
}

async fn a_commit_stays_together(database: Database) {
    let store = database.open().await;
    let writers: Vec<_> = (0..50)
        .map(|writer| {
            let store = store.clone();
            let notes = (0..4)
                .map(|part| note(format!("{writer}/{part}")))
                .collect();
            tokio::spawn(async move { store.commit(Commit::of_events(notes)).await.unwrap() })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let log = read_all(&store, 0).await;
    assert_eq!(log.len(), 200);
    for commit in log.chunks(4) {
        let (writer, _) = said(&commit[0]).unwrap().split_once('/').unwrap();
        for (part, event) in commit.iter().enumerate() {
            assert_eq!(said(event), Some(&*format!("{writer}/{part}")));
        }
    }
}

async fn nodes_share_one_sequence(database: Database) {
    let nodes = [database.open().await, database.open().await];
    let ended = Arc::new(AtomicBool::new(false));
    // A reader that takes what it sees and never looks back must not miss one.
    let reader = tokio::spawn({
        let (store, ended) = (database.open().await, Arc::clone(&ended));
        async move {
            let mut seen: Vec<Event> = Vec::new();
            loop {
                let last = ended.load(Ordering::Acquire);
                let after = seen.last().map_or(0, |event| event.seq);
                let new = read_all(&store, after).await;
                assert_gapless(&new, after + 1);
                seen.extend(new);
                if last {
                    return seen;
                }
            }
        }
    });
    let writers: Vec<_> = (0..40_usize)
        .map(|writer| {
            let store = nodes[writer % 2].clone();
            tokio::spawn(async move {
                for turn in 0..25 {
                    let commit = Commit::of_events(vec![note(format!("{writer}/{turn}"))]);
                    store.commit(commit).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    ended.store(true, Ordering::Release);
    let seen = reader.await.unwrap();
    assert_eq!(seen.len(), 1000);
    assert_gapless(&seen, 1);
    // Each writer waited for its commit before the next: its events are in that order.
    for writer in 0..40 {
        let own = format!("{writer}/");
        let turns = seen
            .iter()
            .filter_map(|event| said(event)?.strip_prefix(&own));
        assert!(turns.eq((0..25).map(|turn| turn.to_string())));
    }
}

async fn events_of_one_station(database: Database) {
    let store = database.open().await;
    enter(&store, &["A", "B"]).await;
    let filter = EventFilter {
        station_id: Some(id("B")),
    };
    let events = store.events(&filter, 0, 500).await.unwrap();
    assert!(!events.is_empty());
    assert!(
        events
            .iter()
            .all(|event| event.event.station_id == Some(id("B")))
    );
    let rest = store.events(&filter, events[0].seq, 500).await.unwrap();
    assert_eq!(rest[..], events[1..]);
    assert_eq!(store.events(&filter, 0, 1).await.unwrap()[..], events[..1]);
}

async fn events_come_back_as_they_were(database: Database) {
    let store = database.open().await;
    let mut nameless = note("a\0b 'quoted' 🚗");
    nameless.station_id = None;
    let committed = store
        .commit(Commit::of_events(vec![nameless.clone()]))
        .await
        .unwrap();
    assert_eq!(committed.seq, 1);
    let expected = Event {
        seq: 1,
        event: nameless,
    };
    assert_eq!(read_all(&store, 0).await, [expected]);
}

async fn old_events_are_forgotten_the_oldest_first(database: Database) {
    let store = database.open().await;
    assert_eq!(store.oldest_seq().await.unwrap(), 0);
    let day = |day: i64| {
        let mut event = note(format!("day {day}"));
        event.at = at(day * 86_400);
        event
    };
    // More of each day than one statement forgets.
    for number in 0..3 {
        let events = vec![day(number); 6_000];
        store.commit(Commit::of_events(events)).await.unwrap();
    }
    assert!(!store.forget_events(at(0)).await.unwrap());
    assert_eq!(store.oldest_seq().await.unwrap(), 1);
    let mut rounds = 1;
    while store.forget_events(at(86_400)).await.unwrap() {
        rounds += 1;
    }
    assert_eq!((rounds, store.oldest_seq().await.unwrap()), (2, 6_001));
    // What is kept is whole, and the sequence goes on.
    let kept = read_all(&store, 0).await;
    assert_eq!(kept.len(), 12_000);
    store.commit(Commit::of_events(vec![day(4)])).await.unwrap();
    assert_eq!(store.last_seq().await.unwrap(), 18_001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_partitioned_as_the_operations_manual_says() {
    crate::support::on_postgres(a_partitioned_log).await;
}

async fn a_partitioned_log(database: Database) {
    let manual = include_str!("../../../../docs/operations.md");
    let (_, rest) = manual.split_once("```sql\n").unwrap();
    let (partition, _) = rest.split_once("```").unwrap();
    let store = database.open().await;
    let write = async |store: &Store, count: usize| {
        for number in 0..count {
            let commit = Commit::of_events(vec![note(number.to_string()); 3]);
            store.commit(commit).await.unwrap();
        }
    };
    write(&store, 5).await;
    store.close().await;
    database.execute(partition).await;
    let store = database.open().await;
    store.check_statements().await.unwrap();
    write(&store, 5).await;
    // One log, read over both parts, forwards and of one station backwards.
    let all = read_all(&store, 0).await;
    let numbers: Vec<_> = all.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=30).collect::<Vec<_>>());
    let history = store
        .station_history(&id("NOTES"), Some(20), 10)
        .await
        .unwrap();
    assert_eq!((history[0].seq, history.len()), (19, 10));
    // The oldest part goes at once.
    database
        .execute("ALTER TABLE events DETACH PARTITION events_before; DROP TABLE events_before;")
        .await;
    assert_eq!(store.oldest_seq().await.unwrap(), 16);
    assert_eq!(read_all(&store, 0).await.len(), 15);
}
