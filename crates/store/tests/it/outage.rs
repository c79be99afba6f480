//! PostgreSQL goes away under traffic and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::ConnectorStatus;
use store::{Commit, EventFilter, Store, StoreError};

use crate::support::cluster::Cluster;
use crate::support::proxy::{Fate, Proxy};
use crate::support::things::{enter, entering, id, new_station, note, reported, said, status};
use crate::support::{Database, on_postgres};

/// Reads everything.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_outlive_a_database_that_crashes() {
    let cluster = Cluster::start_new();
    let store = cluster.database().open().await;
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicUsize::new(0));

    // Chargers, each with a station of its own. The commit that is at the database when it
    // crashes may have got through or not; either way the answer must be the truth.
    let chargers: Vec<_> = (0..40)
        .map(|number| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut station = enter(&store, &[&format!("CP-{number}")]).await.remove(0);
                let mut turn = 0;
                while !stop.load(Ordering::Relaxed) {
                    let (next, mut commit) = reported(station, status(turn), 1);
                    commit.events.push(note(format!("{number}/{turn}")));
                    store.commit(commit).await.unwrap();
                    station = next;
                    turn += 1;
                }
                (number, turn, station)
            })
        })
        .collect();
    let reader = tokio::spawn({
        let (store, stop, reads) = (store.clone(), Arc::clone(&stop), Arc::clone(&reads));
        async move {
            while !stop.load(Ordering::Relaxed) {
                match store.station(&id("CP-1")).await {
                    Ok(_) => drop(reads.fetch_add(1, Ordering::Relaxed)),
                    Err(StoreError::Unavailable) => {}
                    Err(error) => panic!("{error}"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    for mode in ["immediate", "immediate", "fast", "immediate"] {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::block_in_place(|| cluster.stop(mode));
        tokio::time::sleep(Duration::from_millis(400)).await;
        tokio::task::block_in_place(|| cluster.start());
        let before = reads.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(reads.load(Ordering::Relaxed) > before, "reads came back");
    }
    stop.store(true, Ordering::Relaxed);
    reader.await.unwrap();

    let mut told = Vec::new();
    for charger in chargers {
        let (number, turns, station) = charger.await.unwrap();
        assert!(turns > 0);
        assert_eq!(store.station(&station.id).await.unwrap(), Some(station));
        told.extend((0..turns).map(|turn| format!("{number}/{turn}")));
    }
    // Each is there, and there once.
    let events = all_events(&store).await;
    assert!(
        events
            .iter()
            .map(|event| event.seq)
            .eq(1..=store.last_seq().await.unwrap())
    );
    let mut kept: Vec<String> = events
        .iter()
        .filter_map(|event| said(event).map(ToOwned::to_owned))
        .collect();
    kept.sort();
    told.sort();
    assert!(kept == told, "{} kept and {} told", kept.len(), told.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_made_while_it_is_away_waits() {
    let cluster = Cluster::start_new();
    let store = cluster.database().open().await;
    let station = enter(&store, &["CP-1"]).await.remove(0);
    tokio::task::block_in_place(|| cluster.stop("immediate"));
    assert!(!store.ping().await);
    let read = store.station(&id("CP-1")).await;
    assert!(matches!(read, Err(StoreError::Unavailable)), "{read:?}");

    let waiting = tokio::spawn({
        let store = store.clone();
        let (_, commit) = reported(station.clone(), ConnectorStatus::Available, 1);
        async move { store.commit(commit).await }
    });
    let ids = tokio::spawn({
        let store = store.clone();
        async move { store.take_transaction_ids(1).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished() && !ids.is_finished());
    tokio::task::block_in_place(|| cluster.start());
    waiting.await.unwrap().unwrap();
    ids.await.unwrap().unwrap();
    assert!(store.ping().await);
    // What is stale is refused after an outage as before it.
    let (_, stale) = reported(station, ConnectorStatus::Faulted, 2);
    assert!(matches!(
        store.commit(stale).await,
        Err(StoreError::Conflict)
    ));
    store.commit(entering(new_station("CP-2"))).await.unwrap();
    store
        .commit(Commit::of_events(vec![note("after")]))
        .await
        .unwrap();
}

/// The worst moment: the commit is on its way, and nobody knows whether it arrived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_neither_lost_nor_doubled() {
    on_postgres(|database: Database| async move {
        let proxy = Proxy::before(&database).await;
        let store = proxy.database.open().await;
        let mut live = store.subscribe();
        let mut station = enter(&store, &["CP-1"]).await.remove(0);
        let fates = [Fate::AnswerLost, Fate::Lost, Fate::AnswerLost, Fate::Passes];
        for (turn, fate) in fates.into_iter().enumerate() {
            proxy.next_commit(fate);
            let (next, mut commit) = reported(station, status(turn), 1);
            commit.events.push(note(turn.to_string()));
            let committed = store.commit(commit).await.unwrap();
            assert!(proxy.is_met());
            assert_eq!(committed.seq, store.last_seq().await.unwrap());
            station = next;
            // And commits that guard nothing.
            proxy.next_commit(fate);
            let commit = Commit::of_events(vec![note(format!("alone {turn}"))]);
            store.commit(commit).await.unwrap();
        }
        assert_eq!(store.station(&id("CP-1")).await.unwrap(), Some(station));
        let events = all_events(&store).await;
        let told: Vec<&str> = events.iter().filter_map(said).collect();
        let expected = [
            "0", "alone 0", "1", "alone 1", "2", "alone 2", "3", "alone 3",
        ];
        assert_eq!(told, expected);
        assert!(
            events
                .iter()
                .map(|event| event.seq)
                .eq(1..=events.last().unwrap().seq)
        );
        let mut heard = Vec::new();
        while let Ok(batch) = live.try_recv() {
            heard.extend(Vec::clone(&batch));
        }
        assert_eq!(heard, events);
    })
    .await;
}

/// A node that stops in mid-commit holds the sequence. The others get it back in seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_does_not_stop_the_others() {
    on_postgres(|database: Database| async move {
        let proxy = Proxy::before(&database).await;
        let frozen = proxy.database.open().await;
        let other = database.open().await;
        proxy.next_commit(Fate::Frozen);
        let stuck = tokio::spawn({
            let frozen = frozen.clone();
            async move { frozen.commit(Commit::of_events(vec![note("stuck")])).await }
        });
        while !proxy.is_met() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let commit = other.commit(Commit::of_events(vec![note("other")]));
        tokio::time::timeout(Duration::from_secs(20), commit)
            .await
            .unwrap()
            .unwrap();
        assert!(!stuck.is_finished());
        let events = all_events(&other).await;
        assert_eq!(
            events.iter().filter_map(said).collect::<Vec<_>>(),
            ["other"]
        );
        // It gives the dead connection up at last, and its commit gets through.
        stuck.await.unwrap().unwrap();
        let events = all_events(&other).await;
        assert_eq!(
            events.iter().filter_map(said).collect::<Vec<_>>(),
            ["other", "stuck"]
        );
    })
    .await;
}
