//! How each database is connected to, and how its tables are brought up to date.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::db::sort_error;
use crate::{Location, StoreError};

/// How long one SQLite process waits for another's write lock (`enchufe token` beside a server).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a SQLite file that is busy is opened again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Prepared statements kept per connection: every statement in each of its batch sizes.
const STATEMENT_CACHE: usize = 256;
/// The SQLite writer's memory for pages, in KiB. A batch must fit: what does not is written twice.
const SQLITE_CACHE_KIB: &str = "-16384";
/// Pages in SQLite's log at which the writer carries them over into the file within a commit: 256
/// MiB. It does not come to this while [`carry`](crate::carry) does it beside the commits.
const SQLITE_LOG_PAGES: &str = "65536";

pub(crate) fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Acknowledged means on the disk: every commit is synced.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENT_CACHE)
        .disable_statement_logging()
}

/// What the writer wants besides.
pub(crate) fn sqlite_writer_options(path: &Path) -> SqliteConnectOptions {
    sqlite_options(path)
        .pragma("cache_size", SQLITE_CACHE_KIB)
        .pragma("wal_autocheckpoint", SQLITE_LOG_PAGES)
        .pragma("temp_store", "MEMORY")
}

pub(crate) fn postgres_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url.parse().map_err(StoreError::Database)?;
    Ok(options
        .application_name("enchufe")
        .statement_cache_capacity(STATEMENT_CACHE)
        .disable_statement_logging())
}

/// Bounds what one node can do to the others: while it holds the event sequence they wait, so one
/// that is frozen or cut off must lose it. And makes sure that a commit is on the disk.
pub(crate) async fn writer_settings(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const SQL: &str = "SET idle_in_transaction_session_timeout = '5s'; \
         SET lock_timeout = '8s'; SET statement_timeout = '10s'; \
         SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') = 'off'";
    sqlx::raw_sql(SQL).execute(connection).await.map(drop)
}

/// What a node says that it lives by gives up before the node does: whatever stands in its way, it
/// is not to be said twice at a time.
pub(crate) async fn pulse_settings(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const SQL: &str = "SET lock_timeout = '2s'; SET statement_timeout = '4s'";
    sqlx::raw_sql(SQL).execute(connection).await.map(drop)
}

/// Opens a SQLite file, again and again while it is busy. The first to open a new one turns it into
/// one with a log; those who would do the same at that moment SQLite tells at once that it is busy,
/// and does not have them wait as it does for everything else.
pub(crate) async fn open_file(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, StoreError> {
    let until = Instant::now() + BUSY_TIMEOUT;
    loop {
        match SqliteConnection::connect_with(options).await {
            Err(error) if Instant::now() < until && is_busy(&error) => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            result => return result.map_err(sort_error),
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    /// `SQLITE_BUSY`.
    const BUSY: &str = "5";
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| code == BUSY)
}

/// Brings the tables up to date. Where several programs start at once, one of them does it.
///
/// A database that is newer than this program is left as it is: migrations only ever add before
/// they take away, so that the old and the new can run side by side.
pub(crate) async fn migrate(location: &Location) -> Result<(), StoreError> {
    match location {
        Location::Sqlite(path) => {
            make_directory(path)?;
            let mut connection = open_file(&sqlite_options(path)).await?;
            // SQLite's own lock is the one to hold: whoever comes second finds it all done.
            let mut transaction = connection
                .begin_with("BEGIN IMMEDIATE")
                .await
                .map_err(sort_error)?;
            // `run` would make this future unfit for a spawned task.
            migrations(location)
                .run_direct(None, &mut *transaction, false)
                .await
                .map_err(sort)?;
            transaction.commit().await.map_err(sort_error)?;
            connection.close().await.map_err(sort_error)
        }
        Location::Postgres(url) => {
            let mut connection = PgConnection::connect_with(&postgres_options(url)?)
                .await
                .map_err(sort_error)?;
            migrations(location)
                .run_direct(None, &mut connection, false)
                .await
                .map_err(sort)?;
            connection.close().await.map_err(sort_error)
        }
    }
}

/// The migrations of a database's kind. What a newer program has applied besides is no fault.
pub(crate) fn migrations(location: &Location) -> Migrator {
    let mut migrations = match location {
        Location::Sqlite(_) => sqlx::migrate!("migrations/sqlite"),
        Location::Postgres(_) => sqlx::migrate!("migrations/postgres"),
    };
    migrations.set_ignore_missing(true);
    migrations
}

fn make_directory(file: &Path) -> Result<(), StoreError> {
    let directory = file.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(directory).map_err(|error| StoreError::Database(error.into()))
}

fn sort(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => sort_error(error),
        error => StoreError::Database(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Connection;

    #[tokio::test]
    async fn a_commit_to_sqlite_is_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(directory.path().join("a/b/enchufe.db"));
        migrate(&location).await.unwrap();
        let mut writer = Connection::open(&location).await.unwrap();
        // 2 is FULL: the log is synced after each transaction.
        let row = &writer.fetch("PRAGMA synchronous", &[]).await.unwrap()[0];
        assert_eq!(row.int(0).unwrap(), 2);
        let row = &writer.fetch("PRAGMA journal_mode", &[]).await.unwrap()[0];
        assert_eq!(row.text(0).unwrap(), "wal");
    }
}
