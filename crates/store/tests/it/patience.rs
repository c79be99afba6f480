//! Callers wait as long as they like, and what they gave up is not written later: neither when the
//! database comes back, nor when it turns out what became of a commit that was in doubt.

use std::future::Future;
use std::time::{Duration, Instant};

use store::{Commit, EventFilter, Patience, Store, StoreError};

use crate::support::cluster::Cluster;
use crate::support::proxy::{Fate, Proxy};
use crate::support::things::{note, said};
use crate::support::{Database, Outsider, on_postgres, on_sqlite};

const SHORT: Duration = Duration::from_millis(400);
/// Far more than giving up may take beyond [`SHORT`], and far less than the patient wait.
const SOON: Duration = Duration::from_secs(2);

/// The same store for one who waits only so long.
fn impatient(store: &Store) -> Store {
    store.with_patience(Patience {
        connection: SHORT,
        read: SHORT,
        commit: SHORT,
    })
}

fn of(text: &str) -> Commit {
    Commit::of_events(vec![note(text)])
}

/// What was written.
async fn notes(store: &Store) -> Vec<String> {
    let events = store.events(&EventFilter::default(), 0, 500).await.unwrap();
    events.iter().filter_map(said).map(str::to_owned).collect()
}

/// Gives up in time, and tells why.
async fn gives_up<T: std::fmt::Debug>(
    what: &str,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> StoreError {
    let started = Instant::now();
    let answer = asked.await;
    assert!(started.elapsed() < SOON, "{what}: {:?}", started.elapsed());
    answer.expect_err(what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_is_not_written_when_the_database_is_back() {
    let cluster = Cluster::start_new();
    let patient = cluster.database().open().await;
    let impatient = impatient(&patient);
    tokio::task::block_in_place(|| cluster.stop("immediate"));

    // One that is being tried already, and waits on; behind it, one that is not even looked at.
    let waiting = tokio::spawn({
        let patient = patient.clone();
        async move { patient.commit(of("waited for")).await }
    });
    tokio::time::sleep(SHORT).await;
    let error = gives_up("a commit", impatient.commit(of("given up"))).await;
    assert!(matches!(error, StoreError::Unavailable), "{error:?}");
    // Whoever goes away has given up too.
    let gone = tokio::time::timeout(SHORT, patient.commit(of("gone"))).await;
    assert!(gone.is_err());
    let error = gives_up("a number", impatient.take_transaction_ids(1)).await;
    assert!(matches!(error, StoreError::Unavailable), "{error:?}");
    let error = gives_up("a read", impatient.last_seq()).await;
    assert!(matches!(error, StoreError::Unavailable), "{error:?}");
    let asked = Instant::now();
    assert!(!patient.ping().await);
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());

    tokio::task::block_in_place(|| cluster.start());
    waiting.await.unwrap().unwrap();
    impatient.commit(of("after")).await.unwrap();
    assert_eq!(notes(&patient).await, ["waited for", "after"]);
}

/// In one transaction with somebody more patient, which is stopped before its end.
async fn leaves_the_transaction(database: Database) {
    let patient = database.open().await;
    let impatient = impatient(&patient);
    let mut outsider = Outsider::connect(&database).await;
    outsider
        .execute(if database.is_postgres() {
            "BEGIN; LOCK TABLE events"
        } else {
            "BEGIN IMMEDIATE"
        })
        .await;
    let together = async {
        let waiting = async { patient.commit(of("waited for")).await };
        let giving_up = async {
            let error = gives_up("a commit", impatient.commit(of("given up"))).await;
            assert!(matches!(error, StoreError::Unavailable), "{error:?}");
            outsider.execute("ROLLBACK").await;
        };
        tokio::join!(waiting, giving_up).0
    };
    together.await.unwrap();
    assert_eq!(notes(&patient).await, ["waited for"]);
    outsider.close().await;
}

#[tokio::test]
async fn one_who_gives_up_leaves_the_transaction_on_sqlite() {
    on_sqlite(leaves_the_transaction).await;
}

#[tokio::test]
async fn one_who_gives_up_leaves_the_transaction_on_postgres() {
    on_postgres(leaves_the_transaction).await;
}

/// How often two commits may miss each other's transaction: the writer, on a thread of its own,
/// seldom takes the first before the second is there.
const ATTEMPTS: usize = 20;

/// The database goes away over a commit that two wait for, and comes back after one gave up.
async fn in_doubt(database: Database, fate: Fate) -> Vec<String> {
    for _ in 0..ATTEMPTS {
        if let Some(written) = try_in_doubt(&database, fate).await {
            return written;
        }
    }
    panic!("two commits never shared a transaction");
}

/// The same; `None` when the two did not share a transaction.
async fn try_in_doubt(database: &Database, fate: Fate) -> Option<Vec<String>> {
    let proxy = Proxy::before(database).await;
    let patient = proxy.database.open().await;
    let impatient = impatient(&patient);
    let earlier = notes(&patient).await.len();
    // The writer connects.
    patient.commit(of("before")).await.unwrap();
    proxy.next_commit(fate);
    proxy.lets_in(false);
    let waiting = async { patient.commit(of("waited for")).await };
    let giving_up = async {
        let error = gives_up("a commit", impatient.commit(of("given up"))).await;
        proxy.lets_in(true);
        match error {
            StoreError::InDoubt => true,
            // It was not in the transaction, and is not written.
            StoreError::Unavailable => false,
            error => panic!("{error:?}"),
        }
    };
    let (waited_for, shared) = tokio::join!(waiting, giving_up);
    waited_for.unwrap();
    assert!(proxy.is_met());
    patient.commit(of("after")).await.unwrap();
    let written = notes(&patient).await.split_off(earlier);
    assert!(
        shared || !written.contains(&"given up".to_owned()),
        "{written:?}"
    );
    shared.then_some(written)
}

#[tokio::test]
async fn one_who_gave_up_in_doubt_is_not_written_anew() {
    on_postgres(|database: Database| async move {
        let written = in_doubt(database, Fate::Lost).await;
        assert_eq!(written, ["before", "waited for", "after"]);
    })
    .await;
}

#[tokio::test]
async fn one_who_gave_up_in_doubt_may_have_been_written_once() {
    on_postgres(|database: Database| async move {
        let written = in_doubt(database, Fate::AnswerLost).await;
        assert_eq!(written, ["before", "waited for", "given up", "after"]);
    })
    .await;
}

/// A connection on which nothing moves any more: those who wait are told in time all the same.
#[tokio::test]
async fn a_silent_connection_is_waited_for_no_longer_than_one_likes() {
    on_postgres(|database: Database| async move {
        let proxy = Proxy::before(&database).await;
        let patient = proxy.database.open().await;
        proxy.next_commit(Fate::Frozen);
        let error = gives_up("a commit", impatient(&patient).commit(of("stuck"))).await;
        assert!(matches!(error, StoreError::InDoubt), "{error:?}");
        assert!(proxy.is_met());
        // Alone in its transaction, it is nobody's business any more.
        patient.commit(of("after")).await.unwrap();
        assert_eq!(notes(&patient).await, ["after"]);
    })
    .await;
}
