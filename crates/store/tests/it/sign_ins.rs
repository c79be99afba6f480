//! What stands for a token for a while: browsers, and links that open the console once.

use domain::TokenId;
use store::{Commit, NewToken, SignIn, SignInKind, Store};

use crate::support::Database;
use crate::support::things::{at, note, token};

both!(
    a_sign_in_stands_for_its_token,
    it_ends_with_its_token_and_with_its_time,
    of_many_who_end_it_one_is_told,
    a_token_has_so_many,
);

fn sign_in(hash: &str, token_id: TokenId, kind: SignInKind, until: i64) -> SignIn {
    SignIn {
        hash: hash.to_owned(),
        token_id,
        kind,
        until: at(until),
    }
}

/// A token to sign in with.
async fn made(store: &Store, number: u128) -> NewToken {
    let made = token(number, &number.to_string());
    let commit = Commit {
        new_token: Some(made.clone()),
        ..Commit::of_events(vec![note("T")])
    };
    store.commit(commit).await.unwrap();
    made
}

async fn a_sign_in_stands_for_its_token(database: Database) {
    let store = database.open().await;
    let made = made(&store, 7).await;
    let new = sign_in("h", made.token.id, SignInKind::Browser, 100);
    store.sign_in(&new).await.unwrap();
    let found = store.signed_in("h", SignInKind::Browser, at(99)).await;
    assert_eq!(found.unwrap(), Some((made.token, at(100))));
    // A link's code is no browser's, and the other way round.
    let link = store.signed_in("h", SignInKind::Link, at(99)).await;
    assert_eq!(link.unwrap(), None);
    let other = store.signed_in("g", SignInKind::Browser, at(99)).await;
    assert_eq!(other.unwrap(), None);
}

async fn it_ends_with_its_token_and_with_its_time(database: Database) {
    let store = database.open().await;
    let made = made(&store, 7).await;
    let new = sign_in("h", made.token.id, SignInKind::Browser, 100);
    store.sign_in(&new).await.unwrap();
    let over = store.signed_in("h", SignInKind::Browser, at(100)).await;
    assert_eq!(over.unwrap(), None);
    store.forget_sign_ins(at(99)).await.unwrap();
    let here = async || store.signed_in("h", SignInKind::Browser, at(50)).await;
    assert!(here().await.unwrap().is_some());
    let commit = Commit {
        revoked_token: Some(made.token.id),
        ..Commit::of_events(vec![note("T")])
    };
    store.commit(commit).await.unwrap();
    assert_eq!(here().await.unwrap(), None);
    store.forget_sign_ins(at(100)).await.unwrap();
    assert!(!store.sign_out("h").await.unwrap());
}

async fn of_many_who_end_it_one_is_told(database: Database) {
    let store = database.open().await;
    let made = made(&store, 7).await;
    let new = sign_in("code", made.token.id, SignInKind::Link, 100);
    store.sign_in(&new).await.unwrap();
    let ending: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.sign_out("code").await.unwrap() })
        })
        .collect();
    let mut told = 0;
    for ended in ending {
        told += usize::from(ended.await.unwrap());
    }
    assert_eq!(told, 1);
}

async fn a_token_has_so_many(database: Database) {
    let store = database.open().await;
    let (one, other) = (made(&store, 1).await, made(&store, 2).await);
    let kept = sign_in("other", other.token.id, SignInKind::Browser, 1_000);
    store.sign_in(&kept).await.unwrap();
    for number in 0..103 {
        let hash = format!("h{number}");
        let new = sign_in(&hash, one.token.id, SignInKind::Browser, 1_000 + number);
        store.sign_in(&new).await.unwrap();
    }
    for (hash, there) in [("h2", false), ("h3", true), ("h102", true), ("other", true)] {
        let found = store.signed_in(hash, SignInKind::Browser, at(1)).await;
        assert_eq!(found.unwrap().is_some(), there, "{hash}");
    }
}
