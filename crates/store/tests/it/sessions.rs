//! Sessions, transaction ids and meter values.

use std::collections::HashSet;

use domain::session::Session;
use domain::token::IdTagStatus;
use domain::{EvseNo, WattHours};
use store::{Commit, SessionFilter, SessionWrite, StoreError};

use crate::support::Database;
use crate::support::things::{at, id, meter_record, session_id, start, starting, stopping};

both!(
    a_repeated_start_finds_the_first,
    a_start_repeated_at_once_is_one_session,
    sessions_are_found_by_transaction,
    a_session_ends_once,
    lists_are_filtered_and_paged,
    meter_records_are_kept_once_in_their_own_order,
    transaction_ids_are_never_given_twice,
    identifiers_may_be_anything,
);

async fn a_repeated_start_finds_the_first(database: Database) {
    let store = database.open().await;
    let (first, commit) = starting(1, start("CP-1", "11", Some("key")));
    store.commit(commit).await.unwrap();
    let (_, again) = starting(2, start("CP-1", "12", Some("key")));
    let refused = store.commit(again).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let found = store.session_by_start(&id("CP-1"), "key").await.unwrap();
    assert_eq!(found, Some(first));
    assert_eq!(store.session(session_id(2)).await.unwrap(), None);
    assert_eq!(
        store.session_by_start(&id("CP-2"), "key").await.unwrap(),
        None
    );
    // The same key of another station is another start, and so is a start without a key.
    for (number, start) in [
        (3, start("CP-2", "11", Some("key"))),
        (4, start("CP-1", "13", None)),
        (5, start("CP-1", "14", None)),
    ] {
        store.commit(starting(number, start).1).await.unwrap();
    }
}

async fn a_start_repeated_at_once_is_one_session(database: Database) {
    let nodes = [database.open().await, database.open().await];
    let tasks: Vec<_> = (0..40_u128)
        .map(|number| {
            let store = nodes[usize::from(number % 2 == 1 && database.is_postgres())].clone();
            let transaction = number.to_string();
            let (_, commit) = starting(number, start("CP-1", &transaction, Some("key")));
            tokio::spawn(async move { store.commit(commit).await })
        })
        .collect();
    let mut committed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => committed += 1,
            Err(StoreError::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(committed, 1);
    assert_eq!(nodes[0].count_active_sessions().await.unwrap(), 1);
}

async fn sessions_are_found_by_transaction(database: Database) {
    let store = database.open().await;
    let (first, commit) = starting(1, start("CP-1", "-1", Some("a")));
    store.commit(commit).await.unwrap();
    let by = async |transaction| {
        store
            .session_by_transaction(&id("CP-1"), transaction)
            .await
            .unwrap()
    };
    assert_eq!(by("-1").await, Some(first));
    // A charger may use an id again: the latest is meant.
    let (second, commit) = starting(2, start("CP-1", "-1", Some("b")));
    store.commit(commit).await.unwrap();
    assert_eq!(by("-1").await, Some(second.clone()));
    assert_eq!(by("2").await, None);
    let active = store
        .active_sessions(&id("CP-1"), EvseNo::ONE)
        .await
        .unwrap();
    assert_eq!(active.len(), 2);
    assert_eq!(active[1], second);
    let other = EvseNo::try_from(2).unwrap();
    assert_eq!(store.active_sessions(&id("CP-1"), other).await.unwrap(), []);
}

async fn a_session_ends_once(database: Database) {
    let store = database.open().await;
    let (session, commit) = starting(1, start("CP-1", "1", Some("a")));
    store.commit(commit).await.unwrap();
    let (ended, commit) = stopping(session.clone());
    store.commit(commit.clone()).await.unwrap();
    let again = store.commit(commit).await;
    assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
    assert_eq!(store.session(ended.id).await.unwrap(), Some(ended));
    assert_eq!(store.count_active_sessions().await.unwrap(), 0);
    assert_eq!(
        store
            .active_sessions(&id("CP-1"), EvseNo::ONE)
            .await
            .unwrap(),
        []
    );

    // One session interrupted and the next begun: both or neither.
    let (second, commit) = starting(2, start("CP-1", "2", Some("b")));
    store.commit(commit).await.unwrap();
    let (third, mut commit) = starting(3, start("CP-1", "3", Some("c")));
    let expected = second.version;
    let (interrupted, event) = second.clone().interrupt(at(9)).unwrap();
    commit.events.push(event);
    commit.sessions.push(SessionWrite::Update {
        session: interrupted.clone(),
        expected: expected - 1,
    });
    assert!(matches!(
        store.commit(commit.clone()).await,
        Err(StoreError::Conflict)
    ));
    assert_eq!(store.session(third.id).await.unwrap(), None);
    commit.sessions[1] = SessionWrite::Update {
        session: interrupted.clone(),
        expected,
    };
    store.commit(commit).await.unwrap();
    assert_eq!(store.session(second.id).await.unwrap(), Some(interrupted));
    assert_eq!(store.session(third.id).await.unwrap(), Some(third));
}

async fn lists_are_filtered_and_paged(database: Database) {
    let store = database.open().await;
    for number in 1..=9_u128 {
        let station = if number % 2 == 0 { "CP-2" } else { "CP-1" };
        let (session, commit) = starting(number, start(station, "1", None));
        store.commit(commit).await.unwrap();
        if number <= 4 {
            store.commit(stopping(session).1).await.unwrap();
        }
    }
    let refusal = start("CP-1", "1", None);
    let (refused, event) = Session::refuse(session_id(10), refusal, IdTagStatus::Blocked, at(0));
    let commit = Commit {
        sessions: vec![SessionWrite::Insert(refused)],
        events: vec![event],
        ..Commit::default()
    };
    store.commit(commit).await.unwrap();

    let list = async |station: Option<&str>, active, before: Option<u128>, limit| {
        let filter = SessionFilter {
            station_id: station.map(id),
            active,
            before: before.map(session_id),
        };
        let found = store.sessions(&filter, limit).await.unwrap();
        found
            .iter()
            .map(|session| session.id.0.as_u128())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(None, None, None, 50).await,
        [9, 8, 7, 6, 5, 4, 3, 2, 1]
    );
    assert_eq!(list(None, Some(true), None, 50).await, [9, 8, 7, 6, 5]);
    assert_eq!(list(None, Some(false), None, 50).await, [4, 3, 2, 1]);
    assert_eq!(list(Some("CP-2"), None, None, 50).await, [8, 6, 4, 2]);
    assert_eq!(list(Some("CP-2"), Some(true), None, 50).await, [8, 6]);
    assert_eq!(list(Some("CP-2"), Some(false), None, 50).await, [4, 2]);
    assert_eq!(list(Some("CP-3"), None, None, 50).await, []);
    assert_eq!(list(None, None, None, 4).await, [9, 8, 7, 6]);
    assert_eq!(list(None, None, Some(6), 4).await, [5, 4, 3, 2]);
    assert_eq!(list(None, Some(true), Some(7), 4).await, [6, 5]);
    assert_eq!(list(Some("CP-1"), Some(true), Some(9), 1).await, [7]);
}

async fn meter_records_are_kept_once_in_their_own_order(database: Database) {
    let store = database.open().await;
    let session = session_id(1);
    let metering = |records: &[(i64, i64)]| Commit {
        meter_records: records
            .iter()
            .map(|(seconds, energy)| meter_record(session, *seconds, *energy))
            .collect(),
        ..Commit::default()
    };
    // Out of order, with one twice in the same commit, and then all of it again.
    let records = metering(&[(30, 300), (10, 100), (20, 200), (10, 100)]);
    store.commit(records.clone()).await.unwrap();
    store.commit(records).await.unwrap();
    // Another content of the same moment is another record.
    store.commit(metering(&[(10, 101), (5, 50)])).await.unwrap();
    let read = async || {
        let readings = store.readings(session).await.unwrap();
        let energy = readings
            .iter()
            .map(|r| (r.reading.at, r.reading.energy.unwrap()));
        energy.collect::<Vec<_>>()
    };
    let kept = read().await;
    assert!(kept.is_sorted_by_key(|(at, _)| *at), "{kept:?}");
    assert_eq!(kept.len(), 5);
    assert_eq!(kept[0], (at(5), WattHours(50)));
    assert_eq!(kept[4], (at(30), WattHours(300)));
    assert_eq!(kept, read().await);
    let first = &store.readings(session).await.unwrap()[0];
    assert_eq!(first.samples, meter_record(session, 5, 50).samples);
    assert_eq!(store.readings(session_id(2)).await.unwrap(), []);
}

async fn transaction_ids_are_never_given_twice(database: Database) {
    let nodes = [database.open().await, database.open().await];
    let takers: Vec<_> = (0..60)
        .map(|number| {
            let store = nodes[number % 2].clone();
            let count = i64::try_from(number % 3).unwrap() + 1;
            tokio::spawn(async move {
                let last = store.take_transaction_ids(count).await.unwrap();
                last - count + 1..=last
            })
        })
        .collect();
    let mut given = HashSet::new();
    for taker in takers {
        for number in taker.await.unwrap() {
            assert!(number > 0);
            assert!(given.insert(number), "{number} twice");
        }
    }
    assert_eq!(given.len(), 120);
}

/// What a charger sends is kept whatever it is: it will not be sent again.
async fn identifiers_may_be_anything(database: Database) {
    let store = database.open().await;
    for (number, text) in ["", "a\0b", "'; DROP TABLE sessions", "ñ日🚗", "\u{7f}\n\t"]
        .into_iter()
        .enumerate()
    {
        let number = u128::try_from(number).unwrap();
        let (session, commit) = starting(number, start("CP-1", text, Some(text)));
        store.commit(commit).await.unwrap();
        let found = store.session_by_start(&id("CP-1"), text).await.unwrap();
        assert_eq!(found.as_ref(), Some(&session), "{text:?}");
        let found = store
            .session_by_transaction(&id("CP-1"), text)
            .await
            .unwrap();
        assert_eq!(found, Some(session), "{text:?}");
    }
}
