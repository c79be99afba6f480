//! A node in this process.

use std::ops::Deref;

use server::app::App;
use server::config::Flags;
use server::node::Node;
use tempfile::TempDir;

use super::Access;
use super::access::{ADMIN_TOKEN, METRICS_TOKEN};
use super::services::{PostgresDatabase, Redis};

/// What a server keeps its state in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
    /// SQLite, and reads through a Redis of the test's own.
    Redis,
    /// What several nodes share.
    PostgresWithRedis,
}

/// A server's directory, database and Redis: they outlive a restart.
pub struct Ground {
    directory: TempDir,
    database: Option<PostgresDatabase>,
    redis: Option<Redis>,
}

impl Ground {
    pub fn new(backend: Backend) -> Self {
        let postgres = matches!(backend, Backend::Postgres | Backend::PostgresWithRedis);
        let redis = matches!(backend, Backend::Redis | Backend::PostgresWithRedis);
        Self {
            directory: TempDir::new().unwrap(),
            database: postgres.then(PostgresDatabase::create),
            redis: redis.then(Redis::start_new),
        }
    }

    /// Its PostgreSQL database.
    pub fn postgres(&self) -> &PostgresDatabase {
        self.database.as_ref().expect("the backend is PostgreSQL")
    }

    /// The settings of a server that stands here, as variables; the last one of a name wins.
    pub fn settings(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let directory = self.directory.path().to_str().unwrap();
        let mut settings = vec![
            ("LISTEN", "127.0.0.1:0".to_owned()),
            ("METRICS_LISTEN", "127.0.0.1:0".to_owned()),
            ("DATA_DIR", directory.to_owned()),
            // Started anew on the same ground, a node takes the place of the one before.
            ("NODE_NAME", directory.to_owned()),
            ("ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
            ("METRICS_TOKEN", METRICS_TOKEN.to_owned()),
            ("ALLOW_UNAUTHENTICATED_CHARGERS", "true".to_owned()),
            ("SHUTDOWN_TIMEOUT", "10s".to_owned()),
        ];
        if let Some(database) = &self.database {
            settings.push(("DATABASE_URL", database.url()));
        }
        if let Some(redis) = &self.redis {
            settings.push(("REDIS_URL", redis.url()));
        }
        settings.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        settings
            .into_iter()
            .chain(more)
            .map(|(name, value)| (format!("ENCHUFE_{name}"), value))
            .collect()
    }

    /// Its Redis, to be killed and started.
    pub fn redis(&mut self) -> &mut Redis {
        self.redis.as_mut().expect("the backend has a Redis")
    }

    /// Where the log of a process goes.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }
}

/// A node in this process, and the [`Access`] to it.
pub struct Server {
    node: Option<Node>,
    access: Access,
    settings: Vec<(String, String)>,
    pub ground: Ground,
}

impl Server {
    /// Starts one on fresh ground. Chargers may connect without credentials.
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, &[]).await
    }

    /// The same with other settings (`("PING_INTERVAL", "1s")`).
    pub async fn start_with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        // Shown when the test fails.
        let _ = tracing_subscriber::fmt()
            .with_env_filter("warn,server=debug,store=debug")
            .with_test_writer()
            .try_init();
        let ground = Ground::new(backend);
        let settings = ground.settings(settings);
        let (node, access) = start(&settings).await;
        Self {
            node: Some(node),
            access,
            settings,
            ground,
        }
    }

    /// Starts another node of the same network: the same database, and the same Redis.
    pub async fn start_beside(&self) -> Self {
        self.start_beside_with(&[]).await
    }

    /// The same with other settings.
    pub async fn start_beside_with(&self, more: &[(&str, &str)]) -> Self {
        let ground = Ground::new(Backend::Sqlite);
        let mut settings = ground.settings(&[]);
        let shared = self.settings.iter().filter(|(name, _)| is_shared(name));
        settings.extend(shared.cloned());
        let own = |(name, value): &(&str, &str)| (format!("ENCHUFE_{name}"), (*value).to_owned());
        settings.extend(more.iter().map(own));
        let (node, access) = start(&settings).await;
        Self {
            node: Some(node),
            access,
            settings,
            ground,
        }
    }

    /// Stops it, and starts it anew on the same ground; at another address.
    pub async fn restart(&mut self) {
        self.stop().await;
        let (node, access) = start(&self.settings).await;
        (self.node, self.access) = (Some(node), access);
    }

    /// Starts another process's worth of server on this very ground, and tells what became of it.
    pub async fn start_on_top(&self, more: &[(&str, &str)]) -> anyhow::Result<Node> {
        let own = |(name, value): &(&str, &str)| (format!("ENCHUFE_{name}"), (*value).to_owned());
        let mut settings = self.settings.clone();
        settings.retain(|(name, _)| !more.iter().any(|(other, _)| name[8..] == **other));
        settings.extend(more.iter().map(own));
        Node::start(&Flags::default().resolve(&settings, None)?).await
    }

    /// Stops it.
    pub async fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop().await;
        }
    }

    /// What it was started with: one of them.
    pub fn setting(&self, name: &str) -> &str {
        let name = format!("ENCHUFE_{name}");
        let mut found = self
            .settings
            .iter()
            .rev()
            .filter(|(other, _)| *other == name);
        found
            .next()
            .map(|(_, value)| value.as_str())
            .expect("a setting")
    }

    /// Its use-cases, for what has no door.
    pub fn app(&self) -> &App {
        &self.node.as_ref().expect("the server runs").app
    }
}

impl Deref for Server {
    type Target = Access;
    fn deref(&self) -> &Access {
        &self.access
    }
}

/// What the nodes of a network have in common.
fn is_shared(name: &str) -> bool {
    let names = ["DATABASE_URL", "REDIS_URL", "NODE_TIMEOUT"];
    name.strip_prefix("ENCHUFE_")
        .is_some_and(|name| names.contains(&name))
}

async fn start(settings: &[(String, String)]) -> (Node, Access) {
    let config = Flags::default().resolve(settings, None).unwrap();
    let node = Node::start(&config).await.unwrap();
    let access = Access::open(node.address, node.metrics_address).await;
    (node, access)
}
