//! Many commits in one transaction, and none of them at another's cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::{ConnectorStatus, Event};
use store::{Commit, CommitObserver, EventFilter, MAX_BATCH, MAX_QUEUE, Store, StoreError};

use crate::support::things::{
    enter, entering, id, new_station, note, reported, said, start, starting,
};
use crate::support::{Database, Outsider};

both!(
    a_failing_commit_fails_alone,
    commits_on_one_record_follow_each_other,
    many_share_a_transaction,
    a_caller_who_goes_away_is_no_trouble,
    a_full_queue_is_told_and_bounded,
);

/// A text that no index of PostgreSQL takes, and that cannot be compressed into one.
fn too_long_to_index() -> String {
    (0..600)
        .map(|_| uuid::Uuid::new_v4().simple().to_string())
        .collect()
}

async fn a_failing_commit_fails_alone(database: Database) {
    let store = database.open().await;
    let old = enter(&store, &["STALE"]).await.remove(0);
    let (_, commit) = reported(old.clone(), ConnectorStatus::Available, 1);
    store.commit(commit).await.unwrap();

    let mut tasks = Vec::new();
    for number in 0..300_u128 {
        let text = number.to_string();
        let (mut commit, fate) = match number % 10 {
            0 => (
                reported(old.clone(), ConnectorStatus::Faulted, 2).1,
                "stale",
            ),
            1 => (entering(new_station("STALE")), "stale"),
            2 if number < 100 => {
                let start = start("CP", &too_long_to_index(), None);
                (starting(number, start).1, "broken")
            }
            _ => (entering(new_station(&format!("CP-{number}"))), "good"),
        };
        commit.events.push(note(&*text));
        let store = store.clone();
        tasks.push((
            text,
            fate,
            tokio::spawn(async move { store.commit(commit).await }),
        ));
    }
    let mut committed = Vec::new();
    for (text, fate, task) in tasks {
        let result = task.await.unwrap();
        match (fate, &result) {
            ("good", Ok(_)) => committed.push(text),
            ("broken", Ok(_)) if !database.is_postgres() => committed.push(text),
            ("stale", Err(StoreError::Conflict)) | ("broken", Err(StoreError::Database(_))) => {}
            _ => panic!("{text} ({fate}): {result:?}"),
        }
    }
    // What was refused left no trace, and what was committed is told once.
    let events = all_events(&store).await;
    let mut told: Vec<String> = events
        .iter()
        .filter_map(|event| said(event).map(ToOwned::to_owned))
        .collect();
    told.sort();
    committed.sort();
    assert_eq!(told, committed);
    assert_eq!(store.last_seq().await.unwrap(), events.last().unwrap().seq);
    let stations = store
        .stations(&store::StationFilter::default(), 500)
        .await
        .unwrap();
    assert_eq!(stations.len(), 231);
}

async fn all_events(store: &Store) -> Vec<domain::Event> {
    let mut all: Vec<domain::Event> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.seq);
        let page = store
            .events(&EventFilter::default(), after, 500)
            .await
            .unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn commits_on_one_record_follow_each_other(database: Database) {
    let store = database.open().await;
    enter(&store, &["CP-1"]).await;
    // Twenty decide at once, again and again: of each round one wins, and nothing is lost.
    let wins = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..20_usize)
        .map(|number| {
            let (store, wins) = (store.clone(), Arc::clone(&wins));
            tokio::spawn(async move {
                loop {
                    let station = store.station(&id("CP-1")).await.unwrap().unwrap();
                    let expected = station.version;
                    let decided = station.update(
                        Some(format!("{number} after {expected}")),
                        None,
                        crate::support::things::at(1),
                    );
                    match store
                        .commit(crate::support::things::updating(decided, expected))
                        .await
                    {
                        Ok(_) => break wins.fetch_add(1, Ordering::Relaxed),
                        Err(StoreError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(wins.load(Ordering::Relaxed), 20);
    let station = store.station(&id("CP-1")).await.unwrap().unwrap();
    assert_eq!(station.version, new_station("CP-1").station.version + 20);
}

async fn many_share_a_transaction(database: Database) {
    let (commits, transactions) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let observer = CommitObserver::new({
        let (commits, transactions) = (Arc::clone(&commits), Arc::clone(&transactions));
        move |size, took: Duration, _: &[Event]| {
            assert!(size <= MAX_BATCH && took > Duration::ZERO);
            commits.fetch_add(size, Ordering::Relaxed);
            transactions.fetch_add(1, Ordering::Relaxed);
        }
    });
    let store = Store::open_observed(&database.location, observer)
        .await
        .unwrap();
    let tasks: Vec<_> = (0..1000)
        .map(|number| {
            let store = store.clone();
            let commit = Commit::of_events(vec![note(number.to_string())]);
            tokio::spawn(async move { store.commit(commit).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(commits.load(Ordering::Relaxed), 1000);
    assert!(transactions.load(Ordering::Relaxed) < 500);
    assert_eq!(store.last_seq().await.unwrap(), 1000);
}

async fn a_caller_who_goes_away_is_no_trouble(database: Database) {
    let store = database.open().await;
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let store = store.clone();
            let commit = Commit::of_events(vec![note(number.to_string())]);
            tokio::spawn(async move { store.commit(commit).await })
        })
        .collect();
    tokio::task::yield_now().await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let committed = store
        .commit(Commit::of_events(vec![note("after")]))
        .await
        .unwrap();
    assert_eq!(store.last_seq().await.unwrap(), committed.seq);
}

async fn a_full_queue_is_told_and_bounded(database: Database) {
    let store = database.open().await;
    let mut other = Outsider::connect(&database).await;
    let begin = if database.is_postgres() {
        "BEGIN"
    } else {
        "BEGIN IMMEDIATE"
    };
    other.execute(begin).await;
    other
        .execute("UPDATE counters SET value = value WHERE name = 'events'")
        .await;

    let too_many = MAX_QUEUE + 2 * MAX_BATCH + 50;
    let started = Instant::now();
    let tasks: Vec<_> = (0..too_many)
        .map(|number| {
            let store = store.clone();
            let commit = Commit::of_events(vec![note(number.to_string())]);
            tokio::spawn(async move { store.commit(commit).await })
        })
        .collect();
    while !tasks.iter().any(tokio::task::JoinHandle::is_finished) {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "nobody was told"
        );
        assert!(store.queue_depth() <= MAX_QUEUE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // One node that is stuck does not keep the others waiting for ever, nor lose what they hold.
    other.execute("COMMIT").await;
    let (mut committed, mut refused) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => committed += 1,
            Err(StoreError::Overloaded) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        refused > 0 && committed >= MAX_QUEUE,
        "{committed} and {refused}"
    );
    assert_eq!(all_events(&store).await.len(), committed);
}
