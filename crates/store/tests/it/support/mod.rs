//! Fresh databases, and things to put into them.

use std::collections::HashMap;
use std::future::Future;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use store::{Location, Store};
use tempfile::TempDir;

pub mod cluster;
pub mod proxy;
pub mod things;

/// A fresh database of one test.
#[derive(Clone, Debug)]
pub struct Database {
    /// Where it is.
    pub location: Location,
}

impl Database {
    /// Opens it: another node every time.
    pub async fn open(&self) -> Store {
        Store::open(&self.location).await.unwrap()
    }

    /// True when it is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self.location, Location::Postgres(_))
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> &Path {
        match &self.location {
            Location::Sqlite(path) => path,
            Location::Postgres(_) => panic!("not a file"),
        }
    }

    /// Runs statements past the store, as somebody else would.
    pub async fn execute(&self, sql: &str) {
        let mut outsider = Outsider::connect(self).await;
        outsider.execute(sql).await;
        outsider.close().await;
    }
}

/// A connection that is not the store's.
pub enum Outsider {
    Sqlite(sqlx::SqliteConnection),
    Postgres(PgConnection),
}

impl Outsider {
    pub async fn connect(database: &Database) -> Self {
        match &database.location {
            Location::Sqlite(path) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                Self::Sqlite(
                    sqlx::SqliteConnection::connect_with(&options)
                        .await
                        .unwrap(),
                )
            }
            Location::Postgres(url) => Self::Postgres(PgConnection::connect(url).await.unwrap()),
        }
    }

    pub async fn execute(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => connection.execute(sql).await.map(drop).unwrap(),
            Self::Postgres(connection) => connection.execute(sql).await.map(drop).unwrap(),
        }
    }

    pub async fn close(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

/// Tells a story on a SQLite file that is not there yet.
pub async fn on_sqlite<F: Future<Output = ()>>(story: impl FnOnce(Database) -> F) {
    let directory = TempDir::new().unwrap();
    let location = Location::Sqlite(directory.path().join("enchufe.db"));
    story(Database { location }).await;
}

/// Tells a story on an empty PostgreSQL database, and drops the database whatever happened.
pub async fn on_postgres<F: Future<Output = ()> + Send + 'static>(
    story: impl FnOnce(Database) -> F,
) {
    let admin: PgConnectOptions = setting("TEST_POSTGRES_URL").parse().unwrap();
    let mut connection = PgConnection::connect_with(&admin).await.unwrap();
    let name = format!("it_{}", uuid::Uuid::new_v4().simple());
    let create = format!("CREATE DATABASE {name}");
    connection.execute(AssertSqlSafe(create)).await.unwrap();
    let url = admin.database(&name);
    let location = Location::Postgres(sqlx::ConnectOptions::to_url_lossy(&url).to_string());
    let told = tokio::spawn(story(Database { location })).await;
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    connection.execute(AssertSqlSafe(drop)).await.unwrap();
    if let Err(error) = told {
        resume_unwind(error.into_panic());
    }
}

/// A setting of the test environment: from the environment, or from what `cargo xtask env` wrote.
pub fn setting(name: &str) -> String {
    find_setting(name).unwrap_or_else(|| {
        panic!("{name} is not set: run `cargo xtask env`, which prepares it in .testenv/env")
    })
}

fn find_setting(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(workspace.join(".testenv/env")).ok()?;
        shell_settings(&text).remove(name)
    })
}

/// Reads `NAME=value` lines, a value perhaps in single quotes.
fn shell_settings(text: &str) -> HashMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = value.replace(r"'\''", "\u{1}").replace('\'', "");
        Some((name.trim().to_owned(), value.replace('\u{1}', "'")))
    };
    text.lines().filter_map(pair).collect()
}

/// Where PostgreSQL's programs are.
pub fn postgres_programs() -> PathBuf {
    if let Some(bin) = find_setting("PG_BIN") {
        return bin.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file())
        .max()
        .expect("PostgreSQL's initdb is not there: run `cargo xtask env`")
}
