//! Connections for reading, and what a node says that it lives by.
//!
//! Those to PostgreSQL are used on a thread of their own. A read is several steps, and keeps its
//! connection from the first to the last of them. Among the tasks of a busy server each step would
//! first wait its turn, and the few connections would be taken by reads that wait for nothing but
//! that. SQLite's have threads of their own already.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, PgPoolOptions, Postgres};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{Executor as _, SqlSafeStr as _};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::connect::{postgres_options, pulse_settings, sqlite_options};
use crate::db::{ACQUIRE_TIMEOUT, Row, Value, bound, rows, sort_error};
use crate::{Location, Patience, StoreError};

/// Read connections to SQLite: more than cores only wait for each other.
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL for reads. Commits use one more, and so does the pulse.
const POSTGRES_READERS: u32 = 8;

/// Connections to a database.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(Aside),
}

/// Connections to PostgreSQL, and the thread that they are used on.
#[derive(Clone, Debug)]
pub(crate) struct Aside {
    pool: PgPool,
    thread: Arc<Thread>,
}

/// A thread that runs what is given to it until nobody has it any longer.
#[derive(Debug)]
struct Thread {
    runtime: runtime::Handle,
    /// Nothing is ever sent: that it is gone tells.
    _end: oneshot::Sender<Infallible>,
}

impl Pool {
    /// Those for reading.
    pub(crate) async fn open(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Sqlite(path) => SqlitePoolOptions::new()
                .max_connections(SQLITE_READERS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .test_before_acquire(false)
                // Whatever changes something belongs to the writer.
                .connect_with(sqlite_options(path).pragma("query_only", "ON"))
                .await
                .map(Self::Sqlite)
                .map_err(sort_error),
            Location::Postgres(url) => {
                let options = PgPoolOptions::new().max_connections(POSTGRES_READERS);
                let aside = Aside::open("store-reader", url, options).await?;
                Ok(Self::Postgres(aside))
            }
        }
    }

    /// The one that a node says by that it lives. `None` for a file: it has one server, and one
    /// writer.
    pub(crate) async fn open_pulse(location: &Location) -> Result<Option<Self>, StoreError> {
        match location {
            Location::Sqlite(_) => Ok(None),
            Location::Postgres(url) => {
                let options = PgPoolOptions::new()
                    .max_connections(1)
                    // Given back, it might not be had again when it is needed most.
                    .max_lifetime(None)
                    .idle_timeout(None)
                    .after_connect(|connection, _| Box::pin(pulse_settings(connection)));
                let aside = Aside::open("store-pulse", url, options).await?;
                Ok(Some(Self::Postgres(aside)))
            }
        }
    }

    /// Asks something that is answered with rows.
    pub(crate) async fn fetch(
        &self,
        sql: &'static str,
        values: &[Value],
        patience: Patience,
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            // A file does not go away.
            Self::Sqlite(pool) => {
                let all = bound!(sql, values).fetch_all(pool).await;
                all.map(|all| rows(all, Row::Sqlite)).map_err(sort_error)
            }
            Self::Postgres(aside) => {
                let (pool, values) = (aside.pool.clone(), values.to_vec());
                let asked = async move { ask(&pool, sql, &values, patience).await };
                aside.thread.run(asked).await
            }
        }
    }

    /// Has the database read a statement without running it.
    pub(crate) async fn prepare(&self, sql: &'static str) -> Result<(), StoreError> {
        let text = sql.into_sql_str();
        match self {
            Self::Sqlite(pool) => pool.prepare(text).await.map(drop).map_err(sort_error),
            Self::Postgres(aside) => {
                let pool = aside.pool.clone();
                let asked = async move { pool.prepare(text).await.map(drop) };
                aside.thread.run(asked).await
            }
        }
    }

    pub(crate) fn connections(&self) -> (u32, u32) {
        let (size, idle) = match self {
            Self::Sqlite(pool) => (pool.size(), pool.num_idle()),
            Self::Postgres(aside) => (aside.pool.size(), aside.pool.num_idle()),
        };
        let idle = u32::try_from(idle).unwrap_or(u32::MAX);
        (size.saturating_sub(idle), idle)
    }

    pub(crate) fn most_connections(&self) -> u32 {
        match self {
            Self::Sqlite(_) => SQLITE_READERS,
            Self::Postgres(_) => POSTGRES_READERS,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(aside) => {
                let pool = aside.pool.clone();
                let closed = async move {
                    pool.close().await;
                    Ok(())
                };
                // A thread that is gone has closed them.
                let _ = aside.thread.run(closed).await;
            }
        }
    }
}

impl Aside {
    async fn open(name: &str, url: &str, pool: PgPoolOptions) -> Result<Self, StoreError> {
        let options = postgres_options(url)?;
        let thread = Thread::start(name).map_err(|error| StoreError::Database(error.into()))?;
        // Opened there, because a connection is heard by the runtime that opened it.
        let opened = async move {
            pool.acquire_timeout(ACQUIRE_TIMEOUT)
                // Who waited in vain says so himself, once.
                .acquire_slow_threshold(2 * ACQUIRE_TIMEOUT)
                // One round trip less for each read; a dead connection is found by using it.
                .test_before_acquire(false)
                .connect_with(options)
                .await
        };
        let pool = thread.run(opened).await?;
        let thread = Arc::new(thread);
        Ok(Self { pool, thread })
    }

    /// Runs something on its thread.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.thread.runtime.spawn(work)
    }
}

impl Thread {
    fn start(name: &str) -> std::io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<Infallible>();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(ended).map(drop))?;
        Ok(Self {
            runtime: handle,
            _end: end,
        })
    }

    /// Runs something to its end there, for as long as somebody waits for it.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = AbortOnDropHandle::new(self.runtime.spawn(work)).await;
        done.unwrap_or(Err(sqlx::Error::WorkerCrashed))
            .map_err(sort_error)
    }
}

/// Asks PostgreSQL. After its restart the pool's connections are dead, and whoever meets one tries
/// the next: there are only so many.
async fn ask(
    pool: &PgPool,
    sql: &'static str,
    values: &[Value],
    patience: Patience,
) -> Result<Vec<Row>, sqlx::Error> {
    let until = Instant::now() + patience.connection;
    for _ in 0..pool.options().get_max_connections() {
        match try_ask(pool, sql, values, until, patience.read).await {
            Err(error) if is_connection_lost(&error) && Instant::now() < until => {}
            result => return result,
        }
    }
    try_ask(pool, sql, values, until, patience.read).await
}

/// Asks over a connection that must be there in time, as must its answer.
async fn try_ask(
    pool: &PgPool,
    sql: &'static str,
    values: &[Value],
    until: Instant,
    patience: Duration,
) -> Result<Vec<Row>, sqlx::Error> {
    let connection = timeout_at(until.into(), pool.acquire()).await;
    let mut lent = Lent(Some(connection.unwrap_or(Err(sqlx::Error::PoolTimedOut))?));
    let Lent(Some(connection)) = &mut lent else {
        return Err(sqlx::Error::PoolTimedOut);
    };
    let asked = bound!(sql, values).fetch_all(&mut **connection);
    let answer = timeout(patience, asked).await;
    let answer = answer.map_err(|_| sqlx::Error::PoolTimedOut)?;
    lent.give_back();
    Ok(rows(answer?, Row::Postgres))
}

/// A connection that is closed unless it is given back: what was asked, and nobody waits for any
/// longer, is still to be answered on it. The pool would wait for that, however long it takes.
struct Lent(Option<PoolConnection<Postgres>>);

impl Lent {
    fn give_back(mut self) {
        self.0 = None;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}

/// True when the connection is dead, and another one may be alive.
fn is_connection_lost(error: &sqlx::Error) -> bool {
    /// PostgreSQL's farewell: shutting down, crashing.
    const FAREWELL: &[&str] = &["57P01", "57P02"];
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(inner) => inner
            .code()
            .is_some_and(|code| FAREWELL.contains(&code.as_ref())),
        _ => false,
    }
}
