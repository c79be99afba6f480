//! The store's story, told on SQLite and on PostgreSQL.
//!
//! Every story is one async function over a fresh [`support::Database`]. [`both!`] makes two tests
//! of it. PostgreSQL is needed: without one the tests fail and say how to get it.
#![expect(clippy::unwrap_used, reason = "in a test a panic is an answer")]

/// Two tests of each story: one on SQLite, one on PostgreSQL.
macro_rules! both {
    ($($story:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                crate::support::on_sqlite(super::$story).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                crate::support::on_postgres(super::$story).await;
            })+
        }
    };
}

mod access;
mod commands;
mod events;
mod journal;
mod lists;
mod nodes;
mod opening;
mod outage;
mod patience;
mod sessions;
mod sign_ins;
mod stations;
mod support;
mod writer;
