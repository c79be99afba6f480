//! Nodes that live and die, the one that keeps house, and the claims of connections.

use std::time::Duration;

use domain::{NodeId, Station};
use store::{Commit, Store, StoreError};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use crate::support::Database;
use crate::support::things::{
    at, enter, hold, id, meter_record, note, session_id, start, starting, updating,
};

both!(
    a_node_lives_while_it_says_so,
    of_a_name_one_node_lives,
    one_node_at_a_time_keeps_house,
    stations_of_dead_nodes_are_orphans,
    who_lost_the_station_writes_nothing,
    a_takeover_and_late_words_at_once_end_in_order,
    a_database_from_before_there_were_nodes,
);

fn node(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

async fn connect(store: &Store, station: Station, node: NodeId) -> Station {
    let expected = station.version;
    let decided = station.connected("ocpp1.6", node, at(1));
    let station = decided.station.clone();
    store.commit(updating(decided, expected)).await.unwrap();
    station
}

async fn a_node_lives_while_it_says_so(database: Database) {
    let store = database.open().await;
    let silent = Duration::from_millis(300);
    store.enter_node(node(1), "a").await.unwrap();
    if database.is_postgres() {
        store.enter_node(node(2), "b").await.unwrap();
        assert_eq!(store.living_nodes().await.unwrap(), [node(1), node(2)]);
    }
    let first = store.beat(node(1)).await.unwrap().unwrap();
    assert!(first > 1_700_000_000_000_000, "microseconds since 1970");
    sleep(silent * 2).await;
    // Its word is what counts, and not what others think of its silence before.
    let second = store.beat(node(1)).await.unwrap().unwrap();
    assert!(second - first >= 600_000, "{first} {second}");
    store.bury_silent_nodes(node(9), silent).await.unwrap();
    assert_eq!(store.living_nodes().await.unwrap(), [node(1)]);
    // Whoever asks lives, however long it was silent.
    sleep(silent * 2).await;
    store.bury_silent_nodes(node(1), silent).await.unwrap();
    assert_eq!(store.living_nodes().await.unwrap(), [node(1)]);
    store.bury_silent_nodes(node(9), silent).await.unwrap();
    assert_eq!(store.living_nodes().await.unwrap(), []);
    // It learns of it, and may come back.
    assert_eq!(store.beat(node(1)).await.unwrap(), None);
    store.enter_node(node(1), "a").await.unwrap();
    assert!(store.beat(node(1)).await.unwrap().is_some());
    store.leave_node(node(1)).await.unwrap();
    assert_eq!(store.living_nodes().await.unwrap(), []);
}

async fn of_a_name_one_node_lives(database: Database) {
    let store = database.open().await;
    for (number, name) in [(1, "a"), (2, "b"), (3, "a")] {
        store.enter_node(node(number), name).await.unwrap();
    }
    let living = store.living_nodes().await.unwrap();
    // A SQLite file has one server.
    let expected: &[u128] = if database.is_postgres() {
        &[2, 3]
    } else {
        &[3]
    };
    let expected: Vec<_> = expected.iter().copied().map(node).collect();
    assert_eq!(living, expected);
}

async fn one_node_at_a_time_keeps_house(database: Database) {
    let store = database.open().await;
    let time = Duration::from_millis(500);
    let take = async |number| store.take_lease(node(number), time).await.unwrap();
    assert!(take(1).await);
    assert!(!take(2).await);
    assert!(take(1).await, "it renews its own");
    sleep(time * 2).await;
    assert!(take(2).await, "one that is gone lets go by itself");
    assert!(!take(1).await);
    store.leave_node(node(2)).await.unwrap();
    assert!(take(1).await, "one that leaves gives it back");
}

async fn stations_of_dead_nodes_are_orphans(database: Database) {
    let store = database.open().await;
    store.enter_node(node(1), "a").await.unwrap();
    let mut stations = enter(&store, &["A", "B", "C", "D"]).await.into_iter();
    let _never_connected = stations.next();
    let mut epochs = Vec::new();
    for (station, number) in stations.zip([1, 7, 7]) {
        epochs.push(connect(&store, station, node(number)).await.epoch);
    }
    let orphans = store.orphaned_stations(None).await.unwrap();
    assert_eq!(orphans, [(id("C"), epochs[1]), (id("D"), epochs[2])]);
    let rest = store.orphaned_stations(Some(&id("C"))).await.unwrap();
    assert_eq!(rest, [(id("D"), epochs[2])]);
    let held = store.held_stations(node(7), None).await.unwrap();
    assert_eq!(held, orphans);
    let rest = store.held_stations(node(7), Some(&id("C"))).await.unwrap();
    assert_eq!(rest, [(id("D"), epochs[2])]);
    let held = store.held_stations(node(1), None).await.unwrap();
    assert_eq!(held, [(id("B"), epochs[0])]);
    store.leave_node(node(1)).await.unwrap();
    assert_eq!(store.orphaned_stations(None).await.unwrap().len(), 3);
}

async fn who_lost_the_station_writes_nothing(database: Database) {
    let store = database.open().await;
    let station = enter(&store, &["CP-1"]).await.remove(0);
    let first = connect(&store, station, node(1)).await;
    let begin = |number, station: &Station| {
        let (_, mut commit) = starting(number, start("CP-1", &number.to_string(), None));
        commit.meter_records = vec![meter_record(session_id(number), 5, 1)];
        commit.hold = Some(hold(station));
        commit
    };
    store.commit(begin(1, &first)).await.unwrap();
    let second = connect(&store, first.clone(), node(2)).await;
    let seq = store.last_seq().await.unwrap();
    // Whoever else is in the same transaction is none the worse for it.
    let mut others = JoinSet::new();
    for number in 10..40 {
        let (store, commit) = (store.clone(), begin(number, &second));
        others.spawn(async move { store.commit(commit).await.unwrap() });
    }
    let late = store.commit(begin(2, &first)).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    others.join_all().await;
    assert_eq!(store.session(session_id(2)).await.unwrap(), None);
    assert_eq!(store.readings(session_id(2)).await.unwrap(), []);
    assert_eq!(store.last_seq().await.unwrap(), seq + 30);
    // Nor does one whose station was taken offline, or is gone.
    let expected = second.version;
    let gone = second
        .clone()
        .disconnected(second.epoch, "node lost", None, at(2));
    store.commit(updating(gone, expected)).await.unwrap();
    let late = store.commit(begin(3, &second)).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
}

/// Two nodes on one database: one takes the station over while the other goes on talking. What the
/// old one got written stands before the takeover in the sequence, all of it.
async fn a_takeover_and_late_words_at_once_end_in_order(database: Database) {
    let (old, new) = (database.open().await, database.open().await);
    let station = enter(&old, &["CP-1"]).await.remove(0);
    let first = connect(&old, station, node(1)).await;
    let talk = async {
        let mut last = 0;
        for number in 0.. {
            let mut commit = Commit::of_events(vec![note(format!("word {number}"))]);
            commit.hold = Some(hold(&first));
            match old.commit(commit).await {
                Ok(done) => last = done.seq,
                Err(StoreError::Conflict) => break,
                Err(error) => panic!("{error}"),
            }
        }
        last
    };
    let takeover = async {
        sleep(Duration::from_millis(100)).await;
        let expected = first.version;
        let decided = first.clone().connected("ocpp1.6", node(2), at(1));
        new.commit(updating(decided, expected)).await.unwrap().seq
    };
    let (last_word, taken) = tokio::join!(talk, takeover);
    assert!(last_word > 0 && last_word < taken, "{last_word} {taken}");
}

async fn a_database_from_before_there_were_nodes(database: Database) {
    let store = database.open().await;
    let station = enter(&store, &["CP-1"]).await.remove(0);
    let station = connect(&store, station, node(1)).await;
    store.close().await;
    database
        .execute(
            "DROP TABLE nodes; DROP TABLE leases; ALTER TABLE stations DROP COLUMN epoch; \
             ALTER TABLE stations DROP COLUMN node; \
             DELETE FROM counters WHERE name = 'network'; \
             DELETE FROM _sqlx_migrations WHERE version = 2;",
        )
        .await;
    let store = database.open().await;
    let orphans = store.orphaned_stations(None).await.unwrap();
    assert_eq!(orphans, [(station.id.clone(), station.epoch)]);
    assert_eq!(store.station(&station.id).await.unwrap(), Some(station));
}
