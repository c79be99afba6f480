//! Opening, migrating, reopening, closing.

use std::time::Duration;

use jiff::Timestamp;
use store::{Location, Look, Store, StoreError, Tables};
use tempfile::TempDir;

use crate::support::things::{enter, entering, id, new_station, note, reported, status};
use crate::support::{Database, Outsider};

both!(
    opened_again_it_is_all_there,
    every_statement_holds,
    many_open_a_new_database_at_once,
    an_older_program_opens_a_newer_database,
    a_look_changes_nothing,
    a_closed_store_refuses,
    closing_commits_what_waits,
);

async fn opened_again_it_is_all_there(database: Database) {
    let store = database.open().await;
    assert!(store.ping().await);
    assert_eq!(store.last_seq().await.unwrap(), 0);
    assert_eq!(store.count_start().await.unwrap(), 1);
    let station = enter(&store, &["CP-1"]).await.remove(0);
    let seq = store.last_seq().await.unwrap();
    store.close().await;

    let store = database.open().await;
    assert_eq!(store.count_start().await.unwrap(), 2);
    assert_eq!(store.station(&id("CP-1")).await.unwrap(), Some(station));
    assert_eq!(store.last_seq().await.unwrap(), seq);
    assert_eq!(store.station(&id("CP-2")).await.unwrap(), None);
}

async fn every_statement_holds(database: Database) {
    let store = database.open().await;
    assert!(store.check_statements().await.unwrap() > 30);
    // Preparing them must not spoil them for the connections that did.
    let filter = store::SessionFilter::default();
    for _ in 0..20 {
        assert_eq!(store.sessions(&filter, 5).await.unwrap(), []);
        assert_eq!(store.count_active_sessions().await.unwrap(), 0);
    }
}

async fn many_open_a_new_database_at_once(database: Database) {
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let location = database.location.clone();
            tokio::spawn(async move { Store::open(&location).await })
        })
        .collect();
    for opened in opening {
        let store = opened.await.unwrap().unwrap();
        store.count_start().await.unwrap();
    }
    assert_eq!(database.open().await.count_start().await.unwrap(), 7);
}

async fn an_older_program_opens_a_newer_database(database: Database) {
    database.open().await.close().await;
    let newer = "INSERT INTO _sqlx_migrations \
         (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', TRUE, '', 1)";
    database.execute(newer).await;
    enter(&database.open().await, &["CP-1"]).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "held against the database's own clock"
)]
fn our_time() -> Timestamp {
    Timestamp::now()
}

async fn a_look_changes_nothing(database: Database) {
    let look = async || Look::at(&database.location, our_time).await.unwrap();
    if database.is_postgres() {
        // Twice: the first look made no tables.
        for _ in 0..2 {
            let look = look().await;
            assert_eq!((look.tables, look.writable), (Tables::Absent, true));
        }
    } else {
        let looked = Look::at(&database.location, our_time).await;
        assert!(matches!(looked, Err(StoreError::Database(_))), "{looked:?}");
        assert!(!database.file().exists());
    }
    database.open().await.close().await;
    assert_eq!(look().await.tables, Tables::UpToDate);
    let clock = look().await.clock_ahead;
    assert_eq!(clock.is_some(), database.is_postgres());
    assert!(
        clock.is_none_or(|ahead| ahead.abs().as_secs() < 2),
        "{clock:?}"
    );
    // Our clock stands still in 1970.
    let long_ago = Look::at(&database.location, || Timestamp::UNIX_EPOCH).await;
    let ahead = long_ago.unwrap().clock_ahead;
    assert!(
        ahead.is_none_or(|ahead| ahead.as_hours() > 400_000),
        "{ahead:?}"
    );

    database.execute("DELETE FROM _sqlx_migrations").await;
    for _ in 0..2 {
        let tables = look().await.tables;
        assert!(matches!(tables, Tables::Behind { by: 1.. }), "{tables:?}");
    }
}

async fn a_closed_store_refuses(database: Database) {
    let store = database.open().await;
    let other = store.clone();
    store.close().await;
    let refused = other.commit(entering(new_station("CP-1"))).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable)),
        "{refused:?}"
    );
    let refused = other.station(&id("CP-1")).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable)),
        "{refused:?}"
    );
    assert!(!other.ping().await);
    // Once more is no fault.
    store.close().await;
}

async fn closing_commits_what_waits(database: Database) {
    let store = database.open().await;
    let mut station = enter(&store, &["CP-1"]).await.remove(0);
    // A chain over one record cannot go into one transaction: it waits longest.
    let mut waiting = Vec::new();
    for turn in 0..8 {
        let (next, commit) = reported(station, status(turn), 1);
        station = next;
        let store = store.clone();
        waiting.push(tokio::spawn(async move { store.commit(commit).await }));
        tokio::task::yield_now().await;
    }
    for number in 0..200 {
        let store = store.clone();
        let commit = store::Commit::of_events(vec![note(number.to_string())]);
        waiting.push(tokio::spawn(async move { store.commit(commit).await }));
    }
    while store.queue_depth() < 20 && !waiting.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::task::yield_now().await;
    }
    store.close().await;
    let mut committed = 0;
    for one in waiting {
        match one.await.unwrap() {
            Ok(_) => committed += 1,
            Err(StoreError::Unavailable | StoreError::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(committed > 0);
    let store = database.open().await;
    let events = store
        .events(&store::EventFilter::default(), 0, 500)
        .await
        .unwrap();
    assert!(events.len() >= committed);
}

#[tokio::test]
async fn a_sqlite_file_may_lie_in_a_directory_that_is_not_there() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("var/lib/enchufe.db");
    let store = Store::open(&Location::Sqlite(file.clone())).await.unwrap();
    enter(&store, &["CP-1"]).await;
    assert!(file.exists());
    // Write-ahead: readers and the writer do not wait for each other.
    assert!(file.with_extension("db-wal").exists());
}

#[tokio::test]
async fn a_place_where_no_database_can_be_is_an_error() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let file = directory.path().join("file/enchufe.db");
    assert!(Store::open(&Location::Sqlite(file)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_sqlite_file_wait_for_each_other() {
    crate::support::on_sqlite(|database| async move {
        let store = database.open().await;
        enter(&store, &["CP-1"]).await;
        let mut other = Outsider::connect(&database).await;
        other.execute("BEGIN IMMEDIATE").await;
        let waiting = tokio::spawn({
            let store = store.clone();
            async move { store.commit(entering(new_station("CP-2"))).await }
        });
        // Longer than one wait for the lock.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(!waiting.is_finished());
        assert!(
            store.station(&id("CP-1")).await.unwrap().is_some(),
            "reads go on"
        );
        other.execute("COMMIT").await;
        waiting.await.unwrap().unwrap();

        // Two stores in earnest.
        let second = database.open().await;
        let writers = [&store, &second].map(|store| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    let commit = store::Commit::of_events(vec![note(number.to_string())]);
                    store.commit(commit).await.unwrap();
                }
            })
        });
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(
            store.last_seq().await.unwrap(),
            second.last_seq().await.unwrap()
        );
        assert!(database.file().exists());
    })
    .await;
}

#[test]
fn locations_are_read_from_urls() {
    assert_eq!(
        Location::parse("sqlite://data/enchufe.db"),
        Ok(Location::Sqlite("data/enchufe.db".into()))
    );
    assert_eq!(
        Location::parse("sqlite:/var/enchufe.db"),
        Ok(Location::Sqlite("/var/enchufe.db".into()))
    );
    assert!(Location::parse("postgres://h/d").is_ok());
    assert!(Location::parse("postgresql://h/d").is_ok());
    for bad in [
        "sqlite://",
        "sqlite::memory:",
        "sqlite://:memory:",
        "mysql://h/d",
        "enchufe.db",
    ] {
        assert!(Location::parse(bad).is_err(), "{bad}");
    }
}
