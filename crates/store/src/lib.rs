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
mod carry;
mod claim;
mod commands;
mod commit;
mod connect;
mod db;
mod events;
mod journal;
mod link;
mod look;
mod nodes;
mod pool;
mod sessions;
mod sign_ins;
mod sole;
mod statements;
mod stations;
mod writer;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::Event;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

pub use access::{Credentials, Idempotency, NewToken};
pub use commit::{Commit, SessionWrite, StationWrite};
pub use events::EventFilter;
pub use journal::{EntryFilter, EntryPlace, JournalWrite};
pub use look::{Look, Tables};
pub use sessions::{SessionFilter, StoredReading};
pub use sign_ins::{SignIn, SignInKind};
pub use sole::Sole;
pub use stations::{StationFilter, StationTotals};
pub use writer::{CommitObserver, Committed, MAX_BATCH, MAX_QUEUE};

use db::{Row, Value};
use link::Link;
use pool::Pool;
use writer::Writer;

/// Longest page any list gives.
pub const MAX_PAGE: u32 = 500;

/// How many committed batches a slow subscriber may fall behind before it has to re-read them.
const BROADCAST_BATCHES: usize = 1024;

const LAST_SEQ: &str = "SELECT value FROM counters WHERE name = 'events'";
const NETWORK: &str = "SELECT value FROM counters WHERE name = 'network'";
const COUNT: &str = "UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value";

/// How long [`Store::ping`] waits: who asks whether the database answers wants to know it soon.
const PING_PATIENCE: Duration = Duration::from_secs(1);

/// Where the network's state is kept. A cheap handle, and as patient as its holder: see
/// [`Store::with_patience`].
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
    patience: Patience,
}

#[derive(Debug)]
struct Shared {
    pool: Pool,
    /// What a node says by that it lives; without one, the writer.
    pulse: Option<Pool>,
    writer: Writer,
    committed: broadcast::Sender<Arc<Vec<Event>>>,
}

/// How long a caller waits for a database that is away, or too busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection to read by, at most 3 s.
    pub connection: Duration,
    /// For the answer to a read.
    pub read: Duration,
    /// For a commit, from asking for it to knowing that it is durable. What is given up is not
    /// written later.
    pub commit: Duration,
}

impl Default for Patience {
    /// That of one who has nowhere else to go: a database restarts within this time.
    fn default() -> Self {
        Self {
            connection: db::ACQUIRE_TIMEOUT,
            read: Duration::from_secs(15),
            commit: Duration::from_mins(1),
        }
    }
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
    /// The database cannot be reached, and was waited for in vain. Nothing was written, and
    /// nothing will be.
    #[error("the database does not answer")]
    Unavailable,
    /// The database went away over this very commit, and did not come back in time to tell. It is
    /// not tried again: it was written, or never will be.
    #[error("the database went away over a commit, and what became of that is not known")]
    InDoubt,
    /// The queue of commits is full: the caller must slow down.
    #[error("too many commits are waiting")]
    Overloaded,
    /// The database refused the statement: a defect, or a broken database. The error says by
    /// itself all that is known, and names no source that would say it once more.
    #[error("database error: {0}")]
    Database(sqlx::Error),
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
        let pulse = Pool::open_pulse(location).await?;
        let (committed, _) = broadcast::channel(BROADCAST_BATCHES);
        let writer = Writer::start(Link::new(location.clone()), committed.clone(), observer)
            .map_err(|error| StoreError::Database(error.into()))?;
        if let Pool::Sqlite(_) = pool {
            tokio::spawn(carry::carry(pool.clone(), writer.downgrade()));
        }
        let shared = Arc::new(Shared {
            pool,
            pulse,
            writer,
            committed,
        });
        let patience = Patience::default();
        Ok(Self { shared, patience })
    }

    /// The same database for somebody who waits as long as this.
    #[must_use]
    pub fn with_patience(&self, patience: Patience) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            patience,
        }
    }

    /// How long this handle's holder waits.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Committed events as they come, in order. A subscriber that falls behind is told so, and can
    /// re-read what it missed with [`Store::events`].
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Event>>> {
        self.shared.committed.subscribe()
    }

    /// Writes what one decision changes, all of it or nothing, and returns when it is durable.
    ///
    /// Giving up, by [`Patience::commit`] or by dropping this future, takes the commit back: it is
    /// not written later. Only when it is at the database just then nobody can tell, and nobody
    /// tries it again: [`StoreError::InDoubt`].
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let patience = self.patience.commit;
        self.shared.writer.commit(commit.prepare()?, patience).await
    }

    /// How many commits are waiting for the writer.
    pub fn queue_depth(&self) -> usize {
        self.shared.writer.queue_depth()
    }

    /// Connections in the read pool: in use and idle.
    pub fn pool_connections(&self) -> (u32, u32) {
        self.shared.pool.connections()
    }

    /// Connections in the read pool at most.
    pub fn max_pool_connections(&self) -> u32 {
        self.shared.pool.most_connections()
    }

    /// Runs something that must not wait for the rest of the program, beside what a node says that it
    /// lives by; where that is the writer, beside everything else.
    pub fn spawn_beside(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match &self.shared.pulse {
            Some(Pool::Postgres(pulse)) => pulse.spawn(work),
            _ => tokio::spawn(work),
        }
    }

    /// True when the database answers, soon.
    pub async fn ping(&self) -> bool {
        let asked = self.fetch("SELECT 1", &[]);
        let answer = tokio::time::timeout(PING_PATIENCE, asked).await;
        matches!(answer, Ok(Ok(_)))
    }

    fn is_postgres(&self) -> bool {
        matches!(self.shared.pool, Pool::Postgres(_))
    }

    /// `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match self.shared.pool {
            Pool::Sqlite(_) => "sqlite",
            Pool::Postgres(_) => "postgres",
        }
    }

    /// Commits what is waiting, and closes. Later commits are refused.
    pub async fn close(&self) {
        self.shared.writer.close().await;
        self.shared.pool.close().await;
        if let Some(pulse) = &self.shared.pulse {
            pulse.close().await;
        }
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
        let rows = self.fetch(NETWORK, &[]).await?;
        let row = rows.first();
        row.ok_or_else(|| StoreError::Corrupt("the network has no number".to_owned()))?
            .int(0)
    }

    /// The sequence number of the last committed event.
    pub async fn last_seq(&self) -> Result<i64, StoreError> {
        let rows = self.fetch(LAST_SEQ, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))
    }

    /// The stored document formats and statements hold on this database: each is prepared once.
    pub async fn check_statements(&self) -> Result<usize, StoreError> {
        self.shared.pool.prepare_all().await
    }

    async fn next_counter(&self, name: &'static str, count: i64) -> Result<i64, StoreError> {
        let values = vec![count.into(), name.into()];
        let answer = self.run(COUNT, values).await?;
        answer.ok_or_else(|| StoreError::Corrupt(format!("the counter {name} is gone")))
    }

    async fn run(&self, sql: &'static str, values: Vec<Value>) -> Result<Option<i64>, StoreError> {
        let patience = self.patience.commit;
        self.shared.writer.run(sql, values, patience).await
    }

    async fn fetch(&self, sql: &'static str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.shared.pool.fetch(sql, values, self.patience).await
    }
}
