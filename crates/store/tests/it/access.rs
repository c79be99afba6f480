//! Id tags, tokens, credentials and remembered requests.

use domain::TokenId;
use store::{Commit, Credentials, Idempotency, StoreError};
use uuid::Uuid;

use crate::support::Database;
use crate::support::things::{at, id, note, tag, token};

both!(
    an_id_tag_keeps_its_version,
    id_tags_are_listed,
    tokens_are_made_and_revoked,
    credentials_are_replaced,
    credentials_set_twice_at_once,
    a_request_is_remembered_once,
);

async fn an_id_tag_keeps_its_version(database: Database) {
    let store = database.open().await;
    let write = async |version, expected| {
        let commit = Commit {
            id_tag: Some((tag("ABC", version), expected)),
            ..Commit::default()
        };
        store.commit(commit).await.map(drop)
    };
    write(1, 0).await.unwrap();
    assert!(matches!(write(1, 0).await, Err(StoreError::Conflict)));
    write(2, 1).await.unwrap();
    assert!(matches!(write(2, 1).await, Err(StoreError::Conflict)));
    let uid = tag("abc", 2).uid;
    assert_eq!(store.id_tag(&uid).await.unwrap(), Some(tag("ABC", 2)));

    let remove = async |expected| {
        let commit = Commit {
            deleted_id_tag: Some((uid.clone(), expected)),
            ..Commit::default()
        };
        store.commit(commit).await.map(drop)
    };
    assert!(matches!(remove(1).await, Err(StoreError::Conflict)));
    remove(2).await.unwrap();
    assert!(matches!(remove(2).await, Err(StoreError::Conflict)));
    assert_eq!(store.id_tag(&uid).await.unwrap(), None);
}

async fn id_tags_are_listed(database: Database) {
    let store = database.open().await;
    for uid in ["B", "A", "_", "1"] {
        let commit = Commit {
            id_tag: Some((tag(uid, 1), 0)),
            ..Commit::default()
        };
        store.commit(commit).await.unwrap();
    }
    let page = store.id_tags(None, 3).await.unwrap();
    assert_eq!(page, [tag("1", 1), tag("A", 1), tag("B", 1)]);
    let rest = store.id_tags(Some(&page[2].uid), 3).await.unwrap();
    assert_eq!(rest, [tag("_", 1)]);
}

async fn tokens_are_made_and_revoked(database: Database) {
    let store = database.open().await;
    let make = async |number, hash| {
        let commit = Commit {
            new_token: Some(token(number, hash)),
            events: vec![note("made")],
            ..Commit::default()
        };
        store.commit(commit).await.map(drop)
    };
    make(1, "one").await.unwrap();
    make(2, "two").await.unwrap();
    assert!(matches!(make(2, "three").await, Err(StoreError::Conflict)));
    assert!(matches!(make(3, "one").await, Err(StoreError::Conflict)));
    assert_eq!(store.last_seq().await.unwrap(), 2);
    let found = store.token_by_hash("two").await.unwrap();
    assert_eq!(found, Some(token(2, "two").token));
    assert_eq!(store.token_by_hash("three").await.unwrap(), None);
    let page = store.tokens(None, 1).await.unwrap();
    assert_eq!(page, [token(1, "one").token]);
    let rest = store.tokens(Some(page[0].id), 10).await.unwrap();
    assert_eq!(rest, [token(2, "two").token]);

    let revoke = Commit {
        revoked_token: Some(page[0].id),
        ..Commit::default()
    };
    store.commit(revoke.clone()).await.unwrap();
    assert!(matches!(
        store.commit(revoke).await,
        Err(StoreError::Conflict)
    ));
    assert_eq!(store.token_by_hash("one").await.unwrap(), None);
}

fn setting(hash: &str) -> Commit {
    Commit {
        credentials: Some(Credentials {
            station_id: id("CP-1"),
            hash: hash.to_owned(),
            updated_at: at(0),
        }),
        ..Commit::default()
    }
}

async fn credentials_are_replaced(database: Database) {
    let store = database.open().await;
    assert_eq!(store.credentials(&id("CP-1")).await.unwrap(), None);
    for hash in ["one", "two"] {
        store.commit(setting(hash)).await.unwrap();
        let kept = store.credentials(&id("CP-1")).await.unwrap();
        assert_eq!(kept.as_deref(), Some(hash));
    }
}

async fn credentials_set_twice_at_once(database: Database) {
    let store = database.open().await;
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(setting(&number.to_string())).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!(store.credentials(&id("CP-1")).await.unwrap().is_some());
}

async fn a_request_is_remembered_once(database: Database) {
    let store = database.open().await;
    let remembered = |token, key: &str, resource: &str, seconds| Idempotency {
        token_id: TokenId(Uuid::from_u128(token)),
        key: key.to_owned(),
        fingerprint: "print".to_owned(),
        resource: resource.to_owned(),
        created_at: at(seconds),
    };
    let remember = async |request: &Idempotency| {
        let commit = Commit {
            idempotency: Some(request.clone()),
            events: vec![note(&*request.resource)],
            ..Commit::default()
        };
        store.commit(commit).await.map(drop)
    };
    let first = remembered(1, "key", "first", 10);
    remember(&first).await.unwrap();
    let second = remembered(1, "key", "second", 10);
    assert!(matches!(remember(&second).await, Err(StoreError::Conflict)));
    remember(&remembered(1, "other", "third", 20))
        .await
        .unwrap();
    remember(&remembered(2, "key", "fourth", 20)).await.unwrap();
    assert_eq!(store.last_seq().await.unwrap(), 3);
    let found = store.idempotency(first.token_id, "key").await.unwrap();
    assert_eq!(found, Some(first.clone()));

    store.forget_requests(at(20)).await.unwrap();
    assert_eq!(
        store.idempotency(first.token_id, "key").await.unwrap(),
        None
    );
    assert!(
        store
            .idempotency(first.token_id, "other")
            .await
            .unwrap()
            .is_some()
    );
    remember(&second).await.unwrap();
}
