//! SQL and nothing else.
//!
//! A [`Store`] is SQLite (one file, the default) or PostgreSQL, with one set of statements for
//! both. Reads go straight to a pool. Every write is a [`Commit`]: whatever one decision changes,
//! and the events that tell of it, applied whole or not at all. Commits queue up at one
//! `writer` that puts many into one transaction, and each waits for its own to be durable.
//!
//! The store decides nothing. It guards: a station, a session or a command is only replaced when
//! it still has the version that the decision was based on.

mod access;
mod apply;
mod batch;
mod commands;
mod commit;
mod connect;
mod db;
mod events;
mod link;
mod nodes;
mod sessions;
mod statements;
mod stations;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use domain::Event;
use tokio::sync::broadcast;

pub use access::{Credentials, Idempotency, NewToken};
pub use commit::{Commit, SessionWrite, StationWrite};
pub use events::EventFilter;
pub use sessions::{SessionFilter, StoredReading};
pub use stations::{StationFilter, StationTotals};
pub use writer::{CommitObserver, Committed, MAX_BATCH, MAX_QUEUE};

use db::Pool;
use link::Link;
use writer::Writer;

/// Longest page any list gives.
pub const MAX_PAGE: u32 = 500;

/// How many committed batches a slow subscriber may fall behind before it has to re-read them.
const BROADCAST_BATCHES: usize = 1024;

const LAST_SEQ: &str = "SELECT value FROM counters WHERE name = 'events'";
const NETWORK: &str = "SELECT value FROM counters WHERE name = 'network'";
const COUNT: &str = "UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value";

/// Where the network's state is kept.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
    writer: Writer,
    committed: broadcast::Sender<Arc<Vec<Event>>>,
}

/// Which database to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file, created when it is not there.
    Sqlite(PathBuf),
    /// A PostgreSQL server and database, as a URL.
    Postgres(String),
}

/// Why something could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What the decision was based on is no longer so: load and decide again.
    #[error("the record changed meanwhile")]
    Conflict,
    /// The database cannot be reached, and was waited for in vain. Nothing was written, unless it
    /// went away over this very commit and never came back to tell.
    #[error("the database does not answer")]
    Unavailable,
    /// The queue of commits is full: the caller must slow down.
    #[error("too many commits are waiting")]
    Overloaded,
    /// The database refused the statement: a defect, or a broken database.
    #[error("database error: {0}")]
    Database(#[source] sqlx::Error),
    /// A stored document cannot be read by this version of the program.
    #[error("stored record cannot be read: {0}")]
    Corrupt(String),
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl Location {
    /// Reads `sqlite://path` or `postgres://…`.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        if let Some(path) = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
        {
            // Every connection to `:memory:` would have a database of its own.
            if path.is_empty() || path == ":memory:" {
                return Err("name a file, as in sqlite://data/enchufe.db");
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err("use sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE")
    }
}

impl Store {
    /// Opens the database, brings its tables up to date under a lock, and starts the writer.
    pub async fn open(location: &Location) -> Result<Self, StoreError> {
        Self::open_observed(location, CommitObserver::default()).await
    }

    /// The same, with somebody watching the writer's work.
    pub async fn open_observed(
        location: &Location,
        observer: CommitObserver,
    ) -> Result<Self, StoreError> {
        connect::migrate(location).await?;
        let pool = Pool::open(location).await?;
        let (committed, _) = broadcast::channel(BROADCAST_BATCHES);
        let writer = Writer::start(Link::new(location.clone()), committed.clone(), observer);
        Ok(Self {
            pool,
            writer,
            committed,
        })
    }

    /// Committed events as they come, in order. A subscriber that falls behind is told so, and can
    /// re-read what it missed with [`Store::events`].
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Event>>> {
        self.committed.subscribe()
    }

    /// Writes what one decision changes, all of it or nothing, and returns when it is durable.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.writer.commit(commit.prepare()?).await
    }

    /// How many commits are waiting for the writer.
    pub fn queue_depth(&self) -> usize {
        self.writer.queue_depth()
    }

    /// Connections in the read pool: in use and idle.
    pub fn pool_connections(&self) -> (u32, u32) {
        self.pool.connections()
    }

    /// True when the database answers.
    pub async fn ping(&self) -> bool {
        self.pool.fetch("SELECT 1", &[]).await.is_ok()
    }

    fn is_postgres(&self) -> bool {
        matches!(self.pool, Pool::Postgres(_))
    }

    /// `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match self.pool {
            Pool::Sqlite(_) => "sqlite",
            Pool::Postgres(_) => "postgres",
        }
    }

    /// Commits what is waiting, and closes. Later commits are refused.
    pub async fn close(&self) {
        self.writer.close().await;
        self.pool.close().await;
    }

    /// Counts this start of the program, and tells how many there were.
    pub async fn count_start(&self) -> Result<i64, StoreError> {
        self.next_counter("starts", 1).await
    }

    /// Takes `count` transaction ids nobody else will ever get, and tells the last of them.
    pub async fn take_transaction_ids(&self, count: i64) -> Result<i64, StoreError> {
        self.next_counter("transactions", count).await
    }

    /// The number that tells this network from others that share a Redis with it. Made by chance
    /// when the database was.
    pub async fn network(&self) -> Result<i64, StoreError> {
        let rows = self.pool.fetch(NETWORK, &[]).await?;
        let row = rows.first();
        row.ok_or_else(|| StoreError::Corrupt("the network has no number".to_owned()))?
            .int(0)
    }

    /// The sequence number of the last committed event.
    pub async fn last_seq(&self) -> Result<i64, StoreError> {
        let rows = self.pool.fetch(LAST_SEQ, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))
    }

    /// The stored document formats and statements hold on this database: each is prepared once.
    pub async fn check_statements(&self) -> Result<usize, StoreError> {
        self.pool.prepare_all().await
    }

    async fn next_counter(&self, name: &'static str, count: i64) -> Result<i64, StoreError> {
        let values = vec![count.into(), name.into()];
        let answer = self.writer.run(COUNT, values).await?;
        answer.ok_or_else(|| StoreError::Corrupt(format!("the counter {name} is gone")))
    }
}
