//! Stations and their versions.

use domain::ConnectorStatus;
use store::{EventFilter, StationWrite, StoreError};

use crate::support::Database;
use crate::support::things::{at, enter, entering, id, named_station, new_station, reported};

both!(
    an_id_is_entered_once,
    a_stale_decision_writes_nothing,
    a_removed_station_leaves_its_history,
    texts_come_back_as_they_were,
    the_longest_fault_is_found_among_all_stations,
);

async fn an_id_is_entered_once(database: Database) {
    let store = database.open().await;
    let first = enter(&store, &["CP-1"]).await.remove(0);
    let seq = store.last_seq().await.unwrap();
    let second = store
        .commit(entering(named_station("CP-1", "Another")))
        .await;
    assert!(matches!(second, Err(StoreError::Conflict)), "{second:?}");
    assert_eq!(store.station(&id("CP-1")).await.unwrap(), Some(first));
    assert_eq!(store.last_seq().await.unwrap(), seq);
    // Ids are compared by their bytes.
    enter(&store, &["cp-1"]).await;
}

async fn a_stale_decision_writes_nothing(database: Database) {
    let store = database.open().await;
    let old = enter(&store, &["CP-1"]).await.remove(0);
    let (new, commit) = reported(old.clone(), ConnectorStatus::Available, 1);
    store.commit(commit).await.unwrap();
    let seq = store.last_seq().await.unwrap();

    let (_, mut stale) = reported(old.clone(), ConnectorStatus::Faulted, 2);
    stale.credentials = Some(store::Credentials {
        station_id: id("CP-1"),
        hash: "secret".to_owned(),
        updated_at: at(2),
    });
    stale.idempotency = Some(store::Idempotency {
        token_id: domain::TokenId(uuid::Uuid::from_u128(1)),
        key: "key".to_owned(),
        fingerprint: String::new(),
        resource: String::new(),
        created_at: at(2),
    });
    let token = stale.idempotency.as_ref().unwrap().token_id;
    let (_, begun) = crate::support::things::starting(
        7,
        crate::support::things::start("CP-1", "7", Some("start")),
    );
    stale.sessions = begun.sessions;
    let refused = store.commit(stale).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");

    assert_eq!(store.station(&id("CP-1")).await.unwrap(), Some(new.clone()));
    assert_eq!(store.last_seq().await.unwrap(), seq);
    let events = store
        .events(&EventFilter::default(), seq, 10)
        .await
        .unwrap();
    assert_eq!(events, []);
    assert_eq!(store.credentials(&id("CP-1")).await.unwrap(), None);
    assert_eq!(store.idempotency(token, "key").await.unwrap(), None);
    let session = crate::support::things::session_id(7);
    assert_eq!(store.session(session).await.unwrap(), None);

    let stale = store::Commit {
        station: Some(StationWrite::Delete {
            id: id("CP-1"),
            expected: old.version,
        }),
        ..store::Commit::default()
    };
    assert!(matches!(
        store.commit(stale).await,
        Err(StoreError::Conflict)
    ));
    assert_eq!(store.station(&id("CP-1")).await.unwrap(), Some(new));

    // Nobody is there to be updated or removed.
    let (_, nobody) = reported(new_station("CP-2").station, ConnectorStatus::Available, 1);
    assert!(matches!(
        store.commit(nobody).await,
        Err(StoreError::Conflict)
    ));
}

async fn a_removed_station_leaves_its_history(database: Database) {
    let store = database.open().await;
    let station = enter(&store, &["CP-1", "CP-2"]).await.remove(0);
    let removal = store::Commit {
        station: Some(StationWrite::Delete {
            id: station.id.clone(),
            expected: station.version,
        }),
        events: station.removal(at(5)),
        ..store::Commit::default()
    };
    let committed = store.commit(removal).await.unwrap();
    assert_eq!(store.station(&station.id).await.unwrap(), None);
    let history = store.station_history(&station.id, None, 10).await.unwrap();
    assert_eq!(history[0].seq, committed.seq);
    assert_eq!(history[0].event.kind.name(), "station.deleted");
    assert!(
        history
            .iter()
            .any(|e| e.event.kind.name() == "station.created")
    );
    assert!(history.is_sorted_by(|a, b| a.seq > b.seq));
    let earlier = store
        .station_history(&station.id, Some(committed.seq), 2)
        .await
        .unwrap();
    assert_eq!(earlier[..], history[1..3]);
    // The id is free again.
    enter(&store, &["CP-1"]).await;
}

async fn the_longest_fault_is_found_among_all_stations(database: Database) {
    use ConnectorStatus::{Available, Charging, Faulted};
    let store = database.open().await;
    assert_eq!(store.longest_fault().await.unwrap(), None);
    let mut stations = enter(&store, &["CP-1", "CP-2", "CP-3"]).await;
    assert_eq!(store.longest_fault().await.unwrap(), None);
    let mut report = async |place: usize, status, seconds| {
        let (station, commit) = reported(stations[place].clone(), status, seconds);
        store.commit(commit).await.unwrap();
        stations[place] = station;
        store.longest_fault().await.unwrap()
    };
    assert_eq!(report(2, Charging, 5).await, None);
    assert_eq!(report(0, Faulted, 20).await, Some(at(20)));
    assert_eq!(report(1, Faulted, 10).await, Some(at(10)));
    // Told again, it has lasted since the first time.
    assert_eq!(report(1, Faulted, 30).await, Some(at(10)));
    assert_eq!(report(1, Available, 40).await, Some(at(20)));
    assert_eq!(report(0, Available, 50).await, None);
}

async fn texts_come_back_as_they_were(database: Database) {
    let store = database.open().await;
    for (number, name) in [
        "",
        "O'Higgins \"3\" \\",
        "日本 🚗 ñ\u{301}",
        "a\0b",
        "\u{feff}%_!",
    ]
    .into_iter()
    .enumerate()
    {
        let decided = named_station(&format!("CP-{number}"), name);
        let station = decided.station.clone();
        store.commit(entering(decided)).await.unwrap();
        assert_eq!(store.station(&station.id).await.unwrap(), Some(station));
    }
}
