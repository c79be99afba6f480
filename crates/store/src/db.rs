//! The two databases behind one face: values in, rows out.
//!
//! All columns are `TEXT` or `BIGINT`, so a statement and its values read the same for both, and
//! the difference between the databases ends in this file and in `batch`.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _};
use tokio::time::timeout;

use crate::batch::Kind;
use crate::connect::{open_file, postgres_options, sqlite_writer_options, writer_settings};
use crate::{Location, StoreError};

/// The longest that a read waits for a connection before the database counts as away.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A statement that each database has its own words for.
#[derive(Clone, Copy)]
pub(crate) struct ByDatabase {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl ByDatabase {
    pub(crate) const fn of(self, postgres: bool) -> &'static str {
        if postgres { self.postgres } else { self.sqlite }
    }
}

/// A value for a statement. Texts are shared: a batch that is tried again copies none.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Arc<str>),
    Int(i64),
    NoText,
    NoInt,
}

impl From<&str> for Value {
    /// PostgreSQL has no place for U+0000 in a text. A charger that sends one must not lose its
    /// record, so it is kept as U+FFFD in columns, for both databases; documents keep it escaped.
    fn from(text: &str) -> Self {
        if text.contains('\0') {
            Self::Text(text.replace('\0', "\u{fffd}").into())
        } else {
            Self::Text(text.into())
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::NoText, Self::from)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::NoInt, Self::Int)
    }
}

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Reads a column by its place.
macro_rules! column {
    ($row:expr, $index:expr, $type:ty) => {
        match $row {
            Row::Sqlite(row) => row.try_get::<$type, _>($index),
            Row::Postgres(row) => row.try_get::<$type, _>($index),
        }
        .map_err(StoreError::Database)
    };
}

impl Row {
    pub(crate) fn text(&self, index: usize) -> Result<String, StoreError> {
        column!(self, index, String)
    }

    pub(crate) fn int(&self, index: usize) -> Result<i64, StoreError> {
        column!(self, index, i64)
    }

    pub(crate) fn opt_int(&self, index: usize) -> Result<Option<i64>, StoreError> {
        column!(self, index, Option<i64>)
    }

    /// Reads a document.
    pub(crate) fn doc<T: serde::de::DeserializeOwned>(
        &self,
        index: usize,
    ) -> Result<T, StoreError> {
        let text = column!(self, index, &str)?;
        Ok(serde_json::from_str(text)?)
    }
}

/// A statement with its values bound.
macro_rules! bound {
    ($sql:expr, $values:expr) => {{
        let mut query = sqlx::query($sql);
        for value in $values {
            query = match value {
                $crate::db::Value::Text(text) => query.bind(std::sync::Arc::clone(text)),
                $crate::db::Value::Int(number) => query.bind(*number),
                $crate::db::Value::NoText => query.bind(None::<String>),
                $crate::db::Value::NoInt => query.bind(None::<i64>),
            };
        }
        query
    }};
}
pub(crate) use bound;

/// A statement with the columns of its rows bound as arrays.
macro_rules! bound_arrays {
    ($sql:expr, $kinds:expr, $rows:expr) => {{
        let mut query = sqlx::query($sql);
        for (column, kind) in $kinds.iter().enumerate() {
            let values = $rows.iter().skip(column).step_by($kinds.len());
            query = match kind {
                Kind::Text => query.bind(values.map(Value::as_text).collect::<Vec<_>>()),
                Kind::Int => query.bind(values.map(Value::as_int).collect::<Vec<_>>()),
            };
        }
        query
    }};
}

impl Value {
    /// Its text, empty when it is none.
    pub(crate) fn shared_text(&self) -> Arc<str> {
        match self {
            Self::Text(text) => Arc::clone(text),
            _ => Arc::from(""),
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }
}

pub(crate) fn rows<T>(rows: Vec<T>, row: fn(T) -> Row) -> Vec<Row> {
    rows.into_iter().map(row).collect()
}

/// The one connection that writes.
pub(crate) enum Connection {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl Connection {
    pub(crate) async fn open(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Sqlite(path) => {
                let opened = open_file(&sqlite_writer_options(path)).await?;
                Ok(Self::Sqlite(Box::new(opened)))
            }
            Location::Postgres(url) => {
                let options = postgres_options(url)?;
                let connect = async {
                    let mut connection = PgConnection::connect_with(&options).await?;
                    writer_settings(&mut connection).await?;
                    Ok(Self::Postgres(Box::new(connection)))
                };
                // A host that is gone does not refuse; it says nothing.
                let opened = timeout(ACQUIRE_TIMEOUT, connect).await;
                opened
                    .unwrap_or(Err(sqlx::Error::PoolTimedOut))
                    .map_err(sort_error)
            }
        }
    }

    /// Runs a statement and tells how many rows it wrote.
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(connection) => bound!(sql, values)
                .execute(connection.as_mut())
                .await
                .map(|done| done.rows_affected()),
            Self::Postgres(connection) => bound!(sql, values)
                .execute(connection.as_mut())
                .await
                .map(|done| done.rows_affected()),
        }
        .map_err(sort_error)
    }

    pub(crate) async fn fetch(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(connection) => bound!(sql, values)
                .fetch_all(connection.as_mut())
                .await
                .map(|all| rows(all, Row::Sqlite)),
            Self::Postgres(connection) => bound!(sql, values)
                .fetch_all(connection.as_mut())
                .await
                .map(|all| rows(all, Row::Postgres)),
        }
        .map_err(sort_error)
    }

    /// Runs a statement over whole columns and tells how many rows it wrote.
    pub(crate) async fn execute_arrays(
        &mut self,
        sql: &'static str,
        kinds: &[Kind],
        values: &[Value],
    ) -> Result<u64, StoreError> {
        let connection = self.postgres()?;
        let done = bound_arrays!(sql, kinds, values).execute(connection).await;
        done.map(|done| done.rows_affected()).map_err(sort_error)
    }

    /// Runs a statement over whole columns and fetches what it returns.
    pub(crate) async fn fetch_arrays(
        &mut self,
        sql: &'static str,
        kinds: &[Kind],
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let connection = self.postgres()?;
        let all = bound_arrays!(sql, kinds, values)
            .fetch_all(connection)
            .await;
        all.map(|all| rows(all, Row::Postgres)).map_err(sort_error)
    }

    fn postgres(&mut self) -> Result<&mut PgConnection, StoreError> {
        match self {
            Self::Postgres(connection) => Ok(connection),
            Self::Sqlite(_) => Err(StoreError::Corrupt("SQLite has no arrays".to_owned())),
        }
    }

    /// Begins a transaction that will write: SQLite takes its lock now rather than fail later.
    pub(crate) async fn begin(&mut self) -> Result<(), StoreError> {
        self.say(match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            Self::Postgres(_) => "BEGIN",
        })
        .await
    }

    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        self.say("COMMIT").await
    }

    pub(crate) async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.say("ROLLBACK").await
    }

    async fn say(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let sql = sqlx::raw_sql(sql);
        match self {
            Self::Sqlite(connection) => sql.execute(connection.as_mut()).await.map(drop),
            Self::Postgres(connection) => sql.execute(connection.as_mut()).await.map(drop),
        }
        .map_err(sort_error)
    }

    pub(crate) async fn close(self) {
        // Nothing is pending on it, so a failing close loses nothing.
        let _ = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
    }
}

/// Tells a database that is away, which passes, from a statement it refuses, which does not.
pub(crate) fn sort_error(error: sqlx::Error) -> StoreError {
    /// PostgreSQL: shutting down, crashing, starting, too many connections, read-only standby;
    /// serialization failure and deadlock; a lock, a statement or a transaction that took too
    /// long. SQLite: busy, locked.
    const PASSING: &[&str] = &[
        "57P01", "57P02", "57P03", "53300", "25006", "40001", "40P01", "08000", "08001", "08003",
        "08004", "08006", "55P03", "57014", "25P03", "25P04", "5", "6", "261", "517",
    ];
    match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable,
        sqlx::Error::Database(inner)
            if inner
                .code()
                .is_some_and(|code| PASSING.contains(&code.as_ref())) =>
        {
            StoreError::Unavailable
        }
        _ => StoreError::Database(error),
    }
}
