//! The actors of the stories, and the ground they stand on.
//!
//! - [`Server`] is a node in this process; [`Process`] is the real binary, to be killed.
//! - Both are an [`Access`]: it makes [`Client`]s (people and systems) and [`Charger`]s.
//! - [`Browser`] is a person at the console.
//! - [`Traffic`] is many chargers at work, who remember what they were told.
//! - [`Cluster`] and the Redis of a [`Ground`] are one test's own, to be stopped and started.

use std::future::Future;
use std::time::{Duration, Instant};

mod access;
mod answers;
pub mod browser;
mod cable;
mod charger;
mod client;
pub mod model;
mod process;
mod server;
mod services;
mod traffic;

pub use access::{ADMIN_TOKEN, Access};
pub use browser::Browser;
pub use cable::Cable;
pub use charger::{Charger, Ended};
pub use client::{Answer, Client, SentEvent};
pub use process::Process;
pub use server::{Backend, Ground, Server};
pub use services::{Cluster, Redis, psql};
pub use traffic::{OnBreak, Traffic, all_known};

/// How long anything may take to come about. Far longer than it should, so that a slow machine is
/// no failure; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer, for as long as [`PATIENCE`] lasts.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = probe().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "in vain awaited: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
