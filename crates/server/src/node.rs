//! One node of the network: started, serving, stopped.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::{Router, ServiceExt};
use axum_server::Handle as ServerHandle;
use domain::NodeId;
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use rand::TryRngCore as _;
use store::{CommitObserver, Location, Sole, Store};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Layer as _;
use tower::util::MapRequestLayer;

use crate::accept::Doorkeeper;
use crate::api::auth::Failures;
use crate::api::service::Phase;
use crate::app::{
    App, Endings, KnownSessions, KnownTokens, Reads, Tales, TransactionIds, Turns, new_secret,
};
use crate::bus::{Bus, feed};
use crate::cache::{Cache, RedisCache};
use crate::clock::Clock;
use crate::cluster::membership::{self, Standing};
use crate::cluster::redis::Redis;
use crate::cluster::{Cluster, courier, directory, house, wire};
use crate::config::{Config, MetricsAuth, Secret};
use crate::console::Desk;
use crate::drill::Drills;
use crate::files::Seats;
use crate::gateway::fleet::Fleet;
use crate::gateway::pace::Pace;
use crate::gateway::passwords::Passwords;
use crate::llm::Analyser;
use crate::metrics::{DisconnectReason, Metrics};
use crate::state::{ConsoleSettings, Parts, Settings, new_id};
use crate::{api, counting, files, scrape};

/// How long a client may take to send a request's head: charger modems are slow, attackers slower.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The least that each step of a stop gets when those before it took all of the time.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// How long readiness is refused before anything is closed, so that a balancer can look away.
const LOOK_AWAY: Duration = Duration::from_millis(200);
/// Connections to the metrics port. They have places of their own, so that who watches the node sees
/// it full.
const SCRAPES: usize = 16;
/// Connections waiting to be accepted: everyone reconnects at once after an outage.
const BACKLOG: i32 = 4096;
/// The file the scraper's token is kept in, in the data directory.
const METRICS_TOKEN_FILE: &str = "metrics-token";
/// The file the demo's admin token is kept in.
const DEMO_TOKEN_FILE: &str = "demo-admin-token";

/// A running node.
pub struct Node {
    /// Where the API, the console and the chargers are served.
    pub address: SocketAddr,
    /// Where the metrics are served.
    pub metrics_address: SocketAddr,
    /// An admin token to show: one that was just made, or the demo's.
    pub admin_token: Option<String>,
    /// A code that opens the console signed in, once, where there is an admin token to show.
    pub console_code: Option<String>,
    /// The use-cases.
    pub app: App,
    stop: CancellationToken,
    servers: Vec<(ServerHandle<SocketAddr>, JoinHandle<std::io::Result<()>>)>,
    tasks: Vec<JoinHandle<()>>,
    patience: Duration,
    /// Given back when everything else is closed.
    _sole: Sole,
}

impl Node {
    /// Starts a node: when this returns, it serves.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        create_private_dir(&config.data_dir)?;
        let listener = listen(config.listen)?;
        let metrics_listener = listen(config.metrics_listen)?;
        let address = listener.local_addr()?;
        let metrics_address = metrics_listener.local_addr()?;
        let location = Location::parse(config.database_url().expose());
        let location = location.map_err(anyhow::Error::msg)?;
        let sole = sole(&location)?;
        let app = open(config, &location, address, metrics_address).await?;
        let metrics_token = metrics_token(config)?;
        let mut tasks = follow_events(&app).await?;

        // Served from the first moment, so that readiness can say that it is not there yet.
        let scrape = scrape::router(app.clone(), metrics_token);
        let room = files::room(files::limit());
        let servers = vec![
            serve(listener, api::router(&app), Seats::new(room, "connections"))?,
            serve(metrics_listener, scrape, Seats::new(SCRAPES, "scrapes"))?,
        ];
        let admin_token = admin_token(config, &app).await?;
        let console_code = console_code(admin_token.as_deref(), &app).await?;
        app.join().await?;
        let (standing, told) = watch::channel(Standing::default());
        let beats = membership::run(app.clone(), standing, Handle::current());
        tasks.push(app.store.spawn_beside(beats));
        tasks.push(tokio::spawn(house::run(app.clone(), told)));
        tasks.push(tokio::spawn(courier::run(app.clone())));
        tasks.push(tokio::spawn(directory::run(app.clone())));
        app.phase.serving();
        let stop = app.stopping.clone();
        let patience = config.shutdown_timeout;
        Ok(Self {
            address,
            metrics_address,
            admin_token,
            console_code,
            app,
            stop,
            servers,
            tasks,
            patience,
            _sole: sole,
        })
    }

    /// Stops the node: readiness first, then the chargers, then the rest, within the configured
    /// time. The store closes last: by then the end of every connection and of every command is
    /// committed. A database that is away is not waited for any longer than for the rest.
    pub async fn stop(self) {
        let deadline = Instant::now() + self.patience;
        let left = || {
            deadline
                .saturating_duration_since(Instant::now())
                .max(LEAST_PATIENCE)
        };
        self.app.phase.draining();
        // First, so that its load is not in the way of the rest.
        let _ = timeout(self.patience / 4, self.app.stop_drills()).await;
        sleep(LOOK_AWAY.min(self.patience / 4)).await;
        let connections = &self.app.fleet.tasks;
        connections.close();
        // Half of the time is theirs; the other half for what is still to be written down.
        let closing = self.patience / 2;
        self.app
            .fleet
            .close_all(DisconnectReason::Shutdown, closing)
            .await;
        self.stop.cancel();
        if timeout(left(), connections.wait()).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "stopping before the end of every connection was written down"
            );
        }
        for (handle, _) in &self.servers {
            handle.graceful_shutdown(Some(left()));
        }
        for (_, server) in self.servers {
            // A server that failed has stopped too.
            let _ = timeout(left(), server).await;
        }
        for task in self.tasks {
            task.abort();
        }
        let left_on_paper = timeout(left(), self.app.leave()).await;
        if !matches!(left_on_paper, Ok(Ok(()))) {
            // The others find out by its silence.
            tracing::warn!("this node is still written down as living");
        }
        // What the database never took was never acknowledged either.
        let _ = timeout(left(), self.app.store.close()).await;
    }
}

/// Starts what makes one stream of the events of all nodes, before anything can be changed.
async fn follow_events(app: &App) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let (arrivals, arrived) = mpsc::channel(feed::MAX_ARRIVALS);
    let own = app.store.subscribe();
    let seen = app.store.last_seq().await?;
    let mut tasks = vec![tokio::spawn(feed::run(app.clone(), own, arrived, seen))];
    if let Some(redis) = app.cluster.redis() {
        let (node, own) = (app.cluster.node, app.store.subscribe());
        tasks.push(tokio::spawn(wire::publish(redis.clone(), node, own)));
        tasks.push(tokio::spawn(wire::listen(redis.clone(), node, arrivals)));
    }
    Ok(tasks)
}

/// Sees to it that a SQLite file has one server.
fn sole(location: &Location) -> anyhow::Result<Sole> {
    let taken = Sole::take(location).context("the database's file cannot be locked")?;
    taken.context(
        "this database has a server already, and a SQLite file has one: stop that one, choose \
         another (--data-dir, ENCHUFE_DATABASE_URL), or give both the same PostgreSQL and Redis",
    )
}

async fn open(
    config: &Config,
    location: &Location,
    address: SocketAddr,
    metrics_address: SocketAddr,
) -> anyhow::Result<App> {
    let metrics = Arc::new(Metrics::new());
    let counted = metrics.clone();
    let observer = CommitObserver::new(move |commits, took, events| {
        counted.committed(commits, took.as_secs_f64());
        counting::count(&counted, events);
    });
    let url = config.database_url();
    let store = Store::open_observed(location, observer)
        .await
        .with_context(|| format!("cannot open the database {url}"))?;
    let network = store.network().await?;
    let redis = config
        .redis_url
        .as_ref()
        .map(|url| Redis::open(url.expose(), network));
    let redis = redis.transpose().context("the Redis URL cannot be used")?;
    let clock = Clock::system();
    let node = NodeId(new_id(clock.now()));
    let name = config.node_name.clone();
    let name = name.unwrap_or_else(|| default_name(address));
    let starts = store.count_start().await?;
    let mut key = [0_u8; 32];
    rand::rngs::OsRng
        .try_fill_bytes(&mut key)
        .context("no randomness")?;
    let parts = Parts {
        bus: Bus::default(),
        cache: Cache::new(redis.clone().map(RedisCache::new), metrics.clone()),
        cluster: Cluster::new(node, name, config.node_timeout, redis),
        fleet: Fleet::default(),
        seats: Seats::new(files::room_for_chargers(files::limit()), "chargers"),
        admissions: Pace::new(config.admissions_per_second),
        boots: Pace::new(config.admissions_per_second),
        passwords: Passwords::new(key),
        turns: Turns::default(),
        endings: Endings::default(),
        transaction_ids: TransactionIds::default(),
        known_sessions: KnownSessions::default(),
        known_tokens: KnownTokens::default(),
        phase: Phase::default(),
        failures: Failures::new(config.auth_failures_per_minute),
        drills: Drills::default(),
        reads: Reads::default(),
        tales: Tales::default(),
        analyser: Analyser::new(config, metrics.clone(), clock.clone())?,
        desk: Desk::default(),
        metrics,
        clock,
        starts,
        stopping: CancellationToken::new(),
        settings: Settings {
            allow_unauthenticated_chargers: config.allow_unauthenticated_chargers,
            heartbeat_interval: config.heartbeat_interval,
            ping_interval: config.ping_interval,
            command_timeout: config.command_timeout,
            event_retention: config.event_retention(),
            console: ConsoleSettings {
                public_url: config.public_url.clone(),
                map_tiles: config.map_tiles_url.clone(),
                map_attribution: config.map_attribution.clone(),
                dashboards_url: config.dashboards_url.clone(),
                metrics: metrics_address,
            },
            drills: config.drills,
        },
    };
    Ok(App::new(store, parts))
}

/// The machine's name and the port: no two nodes have the same.
fn default_name(address: SocketAddr) -> String {
    let uname = rustix::system::uname();
    let machine = uname.nodename().to_string_lossy();
    format!("{machine}:{}", address.port())
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    let bound = socket
        .bind(&address.into())
        .and_then(|()| socket.listen(BACKLOG));
    bound.with_context(|| {
        format!("cannot listen on {address}; is another server running there? (enchufe doctor)")
    })?;
    Ok(socket.into())
}

fn serve(
    listener: TcpListener,
    router: Router,
    seats: Seats,
) -> anyhow::Result<(ServerHandle<SocketAddr>, JoinHandle<std::io::Result<()>>)> {
    let handle = ServerHandle::new();
    let mut server = axum_server::from_tcp(listener)?.acceptor(Doorkeeper::new(seats));
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    server
        .http_builder()
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT);
    let service = MapRequestLayer::new(trim_slash::<Incoming>).layer(router);
    let service = ServiceExt::<http::Request<Incoming>>::into_make_service_with_connect_info::<
        SocketAddr,
    >(service);
    let task = tokio::spawn(server.handle(handle.clone()).serve(service));
    Ok((handle, task))
}

/// Every path answers the same with or without a trailing slash. Only the API's documentation keeps
/// its own: its page names its parts relative to it.
fn trim_slash<B>(mut request: http::Request<B>) -> http::Request<B> {
    let path = request.uri().path();
    if path.len() == 1 || !path.ends_with('/') || path.starts_with("/docs/") {
        return request;
    }
    let trimmed = format!("/{}", path.trim_matches('/'));
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    if let Ok(uri) = format!("{trimmed}{query}").parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// The token scrapers present: configured, or made at the first start and kept for them.
fn metrics_token(config: &Config) -> anyhow::Result<Option<Secret>> {
    if config.metrics_auth == MetricsAuth::None {
        return Ok(None);
    }
    if let Some(token) = &config.metrics_token {
        return Ok(Some(token.clone()));
    }
    kept_secret(&config.data_dir.join(METRICS_TOKEN_FILE)).map(|token| Some(Secret::new(token)))
}

/// An admin token to show, if there is one to show.
async fn admin_token(config: &Config, app: &App) -> anyhow::Result<Option<String>> {
    if let Some(token) = &config.admin_token {
        app.configure_admin(token.expose()).await?;
        return Ok(None);
    }
    if config.demo {
        // Shown at every start: whoever tries it out has lost the first one by now.
        let token = kept_secret(&config.data_dir.join(DEMO_TOKEN_FILE))?;
        app.ensure_admin(&token).await?;
        return Ok(Some(token));
    }
    if !app.tokens(None, 1).await?.is_empty() {
        return Ok(None);
    }
    let token = new_secret()?;
    app.ensure_admin(&token).await?;
    Ok(Some(token))
}

/// A code that signs in whoever is shown the admin token.
async fn console_code(admin_token: Option<&str>, app: &App) -> anyhow::Result<Option<String>> {
    let Some(secret) = admin_token else {
        return Ok(None);
    };
    match app.token_of(secret).await? {
        Some(token) => Ok(Some(app.make_link(&token).await?)),
        None => Ok(None),
    }
}

/// Reads a secret from a file only its owner can read, or makes it.
fn kept_secret(path: &Path) -> anyhow::Result<String> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let unusable = || format!("cannot use {}", path.display());
    if path.exists() {
        let text = std::fs::read_to_string(path).with_context(unusable)?;
        return Ok(text.trim().to_owned());
    }
    let secret = new_secret()?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(unusable)?;
    writeln!(file, "{secret}").with_context(unusable)?;
    Ok(secret)
}

/// Creates the data directory for its owner alone: it holds the network's state and tokens.
fn create_private_dir(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot create the data directory {}", path.display()))
}
