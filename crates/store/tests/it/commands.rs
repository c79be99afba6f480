//! Commands and their one ending.

use domain::Outcome;
use store::StoreError;

use crate::support::Database;
use crate::support::things::{command, ending, id};

both!(a_command_ends_once, commands_are_listed);

async fn a_command_ends_once(database: Database) {
    let store = database.open().await;
    let (record, commit) = command(1, "CP-1");
    store.commit(commit.clone()).await.unwrap();
    assert!(matches!(
        store.commit(commit).await,
        Err(StoreError::Conflict)
    ));
    assert_eq!(store.open_commands(None).await.unwrap()[0], record);

    // Its answer and its deadline come at the same moment: one of them is first.
    let outcomes = [Outcome::Accepted, Outcome::TimedOut, Outcome::Lost];
    let tasks = outcomes.map(|outcome| {
        let (store, (ended, commit)) = (store.clone(), ending(record.clone(), outcome));
        tokio::spawn(async move { store.commit(commit).await.map(|_| ended) })
    });
    let mut won = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(ended) => won.push(ended),
            Err(StoreError::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(store.command(record.id).await.unwrap(), won.pop());
    assert_eq!(store.open_commands(None).await.unwrap(), []);
    assert_eq!(store.last_seq().await.unwrap(), 2);
}

async fn commands_are_listed(database: Database) {
    let store = database.open().await;
    for number in 1..=5 {
        let station = if number == 3 { "CP-2" } else { "CP-1" };
        store.commit(command(number, station).1).await.unwrap();
    }
    let list = async |before: Option<u128>, limit| {
        let before = before.map(|n| domain::CommandId(uuid::Uuid::from_u128(n)));
        let found = store.commands(&id("CP-1"), before, limit).await.unwrap();
        found
            .iter()
            .map(|record| record.id.0.as_u128())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, [5, 4, 2, 1]);
    assert_eq!(list(None, 2).await, [5, 4]);
    assert_eq!(list(Some(4), 2).await, [2, 1]);
    // An ending for a command that was never taken on is refused.
    let (record, _) = command(9, "CP-1");
    let commit = ending(record, Outcome::Accepted).1;
    assert!(matches!(
        store.commit(commit).await,
        Err(StoreError::Conflict)
    ));
}
