//! A look at a database, which leaves it as it is.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, query_scalar};

use crate::connect::{migrations, postgres_options};
use crate::db::sort_error;
use crate::{Location, StoreError};

const APPLIED: &str = "SELECT version FROM _sqlx_migrations WHERE success";

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The tables.
    pub tables: Tables,
    /// Whether they can be written, or made.
    pub writable: bool,
    /// How far the database's clock is ahead of ours. A file has none.
    pub clock_ahead: Option<SignedDuration>,
}

/// What a start would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// None of ours: a start makes them.
    Absent,
    /// They are of an earlier version: a start brings them up to date.
    Behind {
        /// Migrations to apply.
        by: usize,
    },
    /// They are as this program wants them, or newer.
    UpToDate,
}

impl Look {
    /// Looks at a database that is there: makes nothing, migrates nothing. `now` tells our time.
    pub async fn at(location: &Location, now: impl Fn() -> Timestamp) -> Result<Self, StoreError> {
        match location {
            Location::Sqlite(path) => Self::at_file(path, &migrations(location)).await,
            Location::Postgres(url) => Self::at_server(url, &migrations(location), now).await,
        }
    }

    async fn at_file(path: &Path, ours: &Migrator) -> Result<Self, StoreError> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            // Without its log nobody has it open, and opening it as it is leaves no log behind.
            .immutable(!Path::new(&log).exists());
        let mut file = SqliteConnection::connect_with(&options)
            .await
            .map_err(sort_error)?;
        let look = async {
            let known = "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
            let applied = match query_scalar(known).fetch_one(&mut file).await? {
                0_i64 => None,
                _ => Some(query_scalar(APPLIED).fetch_all(&mut file).await?),
            };
            Ok(Self {
                tables: Tables::of(ours, applied),
                writable: std::fs::OpenOptions::new().append(true).open(path).is_ok(),
                clock_ahead: None,
            })
        };
        let look = look.await.map_err(sort_error);
        file.close().await.map_err(sort_error)?;
        look
    }

    async fn at_server(
        url: &str,
        ours: &Migrator,
        now: impl Fn() -> Timestamp,
    ) -> Result<Self, StoreError> {
        let mut server = PgConnection::connect_with(&postgres_options(url)?)
            .await
            .map_err(sort_error)?;
        let look = async {
            let before = now();
            let clock = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
            let theirs: i64 = query_scalar(clock).fetch_one(&mut server).await?;
            let between = before + now().duration_since(before) / 2;
            let known = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
            let (applied, may) = if query_scalar(known).fetch_one(&mut server).await? {
                let applied = query_scalar(APPLIED).fetch_all(&mut server).await?;
                (Some(applied), "has_table_privilege('counters', 'UPDATE')")
            } else {
                (None, "has_schema_privilege(current_schema(), 'CREATE')")
            };
            let writable = format!(
                "SELECT COALESCE({may}, FALSE) AND NOT pg_is_in_recovery() \
                 AND current_setting('default_transaction_read_only') = 'off'"
            );
            let writable = sqlx::AssertSqlSafe(writable);
            Ok(Self {
                tables: Tables::of(ours, applied),
                writable: query_scalar(writable).fetch_one(&mut server).await?,
                clock_ahead: Some(
                    SignedDuration::from_micros(theirs)
                        - between.duration_since(Timestamp::UNIX_EPOCH),
                ),
            })
        };
        let look = look.await.map_err(sort_error);
        server.close().await.map_err(sort_error)?;
        look
    }
}

impl Tables {
    fn of(ours: &Migrator, applied: Option<Vec<i64>>) -> Self {
        let Some(applied) = applied else {
            return Self::Absent;
        };
        let missing = ours.iter().filter(|m| !applied.contains(&m.version));
        match missing.count() {
            0 => Self::UpToDate,
            by => Self::Behind { by },
        }
    }
}
