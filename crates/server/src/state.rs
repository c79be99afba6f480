//! What every part of the server shares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use store::{Patience, Store};
use tokio_util::sync::CancellationToken;
use uuid::{NoContext, Uuid};

use crate::api::auth::Failures;
use crate::api::service::Phase;
use crate::app::{Endings, KnownSessions, KnownTokens, Reads, Tales, TransactionIds, Turns};
use crate::bus::Bus;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Tiles;
use crate::console::Desk;
use crate::drill::Drills;
use crate::files::Seats;
use crate::gateway::fleet::Fleet;
use crate::gateway::pace::Pace;
use crate::gateway::passwords::Passwords;
use crate::llm::Analyser;
use crate::metrics::Metrics;

/// How long somebody's request waits for the database: people and the proxies before them wait no
/// longer, and a refusal in time can be repeated.
const REQUEST_PATIENCE: Patience = Patience {
    connection: Duration::from_secs(1),
    read: Duration::from_secs(5),
    commit: Duration::from_secs(5),
};

/// The server's parts, behind one cheap handle. Use-cases are methods on it (see [`crate::app`]).
#[derive(Clone)]
pub struct App {
    /// The database, waited for as long as this handle's holder likes.
    pub store: Store,
    parts: Arc<Parts>,
}

/// The parts themselves.
pub struct Parts {
    /// Stations read lately.
    pub cache: Cache,
    /// Committed events.
    pub bus: Bus,
    /// This node, and its ways to the others.
    pub cluster: Cluster,
    /// The chargers connected to this node.
    pub fleet: Fleet,
    /// Room for chargers on this node.
    pub seats: Seats,
    /// Chargers that shake hands, let in at a pace.
    pub admissions: Pace,
    /// Chargers that boot, at the same pace.
    pub boots: Pace,
    /// Who has presented the right password before.
    pub passwords: Passwords,
    /// Who decides about which station just now.
    pub turns: Turns,
    /// Commands whose end is waited for.
    pub endings: Endings,
    /// Transaction ids to hand out.
    pub transaction_ids: TransactionIds,
    /// Sessions that chargers told of lately.
    pub known_sessions: KnownSessions,
    /// Access tokens presented lately.
    pub known_tokens: KnownTokens,
    /// Whether the process takes work.
    pub phase: Phase,
    /// Wrong credentials of late.
    pub failures: Failures,
    /// The load drill that runs, and those before it.
    pub drills: Drills,
    /// Who reads the journal.
    pub analyser: Analyser,
    /// Entries that are being read.
    pub reads: Reads,
    /// Stations whose story is being told.
    pub tales: Tales,
    /// What the console keeps at hand.
    pub desk: Desk,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time of day.
    pub clock: Clock,
    /// How often the program was started on this database, this time included.
    pub starts: i64,
    /// Cancelled when the server stops: whatever would go on for ever ends then.
    pub stopping: CancellationToken,
    /// What was configured.
    pub settings: Settings,
}

/// Settings that use-cases and the gateway look at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether chargers may connect without credentials (OCPP security profile 0).
    pub allow_unauthenticated_chargers: bool,
    /// How often chargers are told to send a heartbeat.
    pub heartbeat_interval: Duration,
    /// How often chargers are pinged.
    pub ping_interval: Duration,
    /// How long a command may take, from asking to its outcome.
    pub command_timeout: Duration,
    /// How long events are kept; `None` is for ever.
    pub event_retention: Option<Duration>,
    /// Whether load drills may be started.
    pub drills: bool,
    /// What the console looks at.
    pub console: ConsoleSettings,
}

/// Settings of the console.
#[derive(Clone, Debug)]
pub struct ConsoleSettings {
    /// The address people use from outside, where one is configured.
    pub public_url: Option<url::Url>,
    /// Whose tiles the map is laid over.
    pub map_tiles: Option<Tiles>,
    /// What is to be said of whose tiles they are.
    pub map_attribution: Option<String>,
    /// Where the dashboards are.
    pub dashboards_url: Option<url::Url>,
    /// Where the metrics are served.
    pub metrics: SocketAddr,
}

impl App {
    /// Joins the parts over a database.
    pub fn new(store: Store, parts: Parts) -> Self {
        let parts = Arc::new(parts);
        Self { store, parts }
    }

    /// A handle for requests: they are refused soon when the database is away.
    #[must_use]
    pub fn for_requests(&self) -> Self {
        self.with_patience(REQUEST_PATIENCE)
    }

    /// A handle for chargers, whose messages wait: they have nowhere else to go.
    #[must_use]
    pub fn for_chargers(&self) -> Self {
        self.with_patience(Patience::default())
    }

    fn with_patience(&self, patience: Patience) -> Self {
        Self {
            store: self.store.with_patience(patience),
            parts: Arc::clone(&self.parts),
        }
    }

    /// A new id that sorts after those made before.
    pub fn new_id(&self) -> Uuid {
        new_id(self.clock.now())
    }
}

/// An id (UUID version 7) made at this time.
pub fn new_id(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanoseconds))
}

impl std::ops::Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}
