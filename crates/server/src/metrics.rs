//! Every metric of the server, declared once.
//!
//! Counters follow committed events: whoever has just made something durable counts it. Gauges are
//! read at scrape: the one who answers the scrape hands in a [`Snapshot`], so no gauge can drift
//! from what it describes.
//!
//! No label holds an identity (a station, a user, an id tag). Labels are `&'static str` or route
//! templates, so the number of series is bounded by the code.
//!
//! `docs/metrics.md` is written from these declarations.

mod declare;
mod http;
mod llm;
mod process;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;

use self::declare::Declarations;
use self::http::HttpMetrics;
use self::llm::LlmMetrics;
use self::process::Process;
use crate::cgroup::Reading;
use crate::version;

pub use self::http::UNMATCHED;
pub use self::llm::{LlmOperation, TokenType};

/// What `/metrics` answers with: the Prometheus text format, which every scraper reads.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds. Chosen so that both a page (0.3) and a slow query (1, 2) fall on a boundary.
const HTTP_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0];

/// Seconds. A charger answers over a mobile network: from tens of milliseconds to the timeout.
const CALL_SECONDS: [f64; 10] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Seconds. A commit is one flush of a disk: below a millisecond to a stall one must see.
const COMMIT_SECONDS: [f64; 10] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0,
];

/// Writes that share a commit: one when idle, hundreds when everyone reconnects.
const BATCH_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// A family whose series come into being when they are first counted.
type Series<L, M> = Family<L, M, fn() -> M>;

/// A set of labels, and their names for the reference.
macro_rules! labels {
    ($($name:ident { $($field:ident),+ })+) => {$(
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($field: &'static str),+ }
        impl $name { const NAMES: &'static [&'static str] = &[$(stringify!($field)),+]; }
    )+};
}

labels! {
    StatusLabel { status }
    StateLabel { state }
    ReasonLabel { reason }
    MessageLabels { version, action, direction, outcome }
    CallLabels { version, action, direction }
    DeviationLabels { version, action }
    CommandLabels { command, outcome }
    CacheLabels { cache, result }
    BuildLabels { version, commit }
}

/// A closed set of label values.
macro_rules! label_values {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value as the label shows it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    )+};
}

label_values! {
    /// Who sent a message.
    Direction {
        /// The charger.
        Received = "received",
        /// We.
        Sent = "sent",
    }

    /// How a message ended.
    MessageOutcome {
        /// With a result.
        Answered = "answered",
        /// With an error.
        Error = "error",
        /// Without an answer in time.
        TimedOut = "timed_out",
        /// With the connection, before its answer.
        Lost = "lost",
        /// It could not be read at all.
        Malformed = "malformed",
    }

    /// Why a charger's connection ended.
    DisconnectReason {
        /// The charger closed it.
        Closed = "closed",
        /// The charger connected again.
        Replaced = "replaced",
        /// It answered no ping.
        TimedOut = "timed_out",
        /// It broke the protocol's rules or bounds.
        ProtocolError = "protocol_error",
        /// The network failed beneath it.
        NetworkError = "network_error",
        /// Its station was deleted, or its credentials changed.
        Revoked = "revoked",
        /// This node was taken for dead, and its stations for offline.
        Disowned = "disowned",
        /// The server stops.
        Shutdown = "shutdown",
    }

    /// What a look into a cache gave.
    CacheResult {
        /// It was there.
        Hit = "hit",
        /// It had to be read from the database.
        Miss = "miss",
        /// The cache did not answer, and the database was read instead.
        Error = "error",
    }
}

/// Every metric of the server. One for the process; share it behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    declarations: Declarations,
    http: HttpMetrics,

    /// Calls of `GET /`.
    pub main_requests: Counter,
    /// Calls of `GET /health`.
    pub healthcheck_requests: Counter,
    /// Calls of `GET /bye`.
    pub bye_requests: Counter,
    /// Calls of `GET /riseload`.
    pub riseload_requests: Counter,

    /// Connectors created.
    pub connectors_created: Counter,
    /// Connectors deleted.
    pub connectors_deleted: Counter,
    /// Changes of connectors.
    pub connectors_updated: Counter,
    /// Energy of ended charging sessions, in watt-hours.
    pub energy_delivered_watt_hours: Counter,
    commands: Series<CommandLabels, Counter>,

    /// Chargers' connections accepted.
    pub ocpp_connects: Counter,
    ocpp_disconnects: Series<ReasonLabel, Counter>,
    ocpp_messages: Series<MessageLabels, Counter>,
    ocpp_call_duration: Series<CallLabels, Histogram>,
    ocpp_deviations: Series<DeviationLabels, Counter>,

    cache_requests: Series<CacheLabels, Counter>,
    db_commit_batch_size: Histogram,
    db_commit_duration: Histogram,

    /// What analysers do.
    pub llm: LlmMetrics,
}

/// What is read when the scrape comes. What cannot be read is not shown.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Starts of the service since its database was made.
    pub app_starts: u64,
    /// What the database says; `None` while it does not answer.
    pub network: Option<Network>,
    /// Chargers' connections held by this node.
    pub ocpp_connections: i64,
    /// Chargers' connections that this node has room for.
    pub ocpp_connections_max: i64,
    /// Database connections by state: `idle`, `in_use`.
    pub db_pool: Vec<(&'static str, i64)>,
    /// Database connections at most.
    pub db_pool_max: i64,
    /// Writes waiting for a commit.
    pub db_queue_depth: i64,
    /// What the kernel accounts to the container.
    pub cgroup: Reading,
}

/// What the database says of the network when the scrape comes.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Stations by derived status ([`domain::StationStatus`]); a status left out counts as 0.
    pub stations: Vec<(&'static str, i64)>,
    /// Connectors by class of status ([`domain::Status`]); a status left out counts as 0.
    pub connectors: Vec<(&'static str, i64)>,
    /// Stations with a live connection, on any node.
    pub stations_online: i64,
    /// Charging sessions under way.
    pub sessions_active: i64,
    /// For how long the connector is faulted that is so for longest, in seconds; 0 when none is.
    pub longest_fault_seconds: f64,
    /// Nodes that live.
    pub nodes: i64,
}

impl Metrics {
    /// Declares every metric that lives between scrapes.
    #[expect(
        clippy::too_many_lines,
        reason = "a list: one declaration after the other"
    )]
    pub fn new() -> Self {
        let mut declare = Declarations::default();

        let main_requests = Counter::default();
        let healthcheck_requests = Counter::default();
        let bye_requests = Counter::default();
        let riseload_requests = Counter::default();
        let endpoints = [
            &main_requests,
            &healthcheck_requests,
            &bye_requests,
            &riseload_requests,
        ];
        declare.metric(
            "server_requests_total",
            "Requests to the service endpoints: the sum of the four counters that follow",
            Sum(endpoints.map(Clone::clone)),
        );
        declare.metric(
            "main_requests_total",
            "Requests to /",
            main_requests.clone(),
        );
        declare.metric(
            "healthcheck_requests_total",
            "Requests to /health",
            healthcheck_requests.clone(),
        );
        declare.metric(
            "bye_requests_total",
            "Requests to /bye",
            bye_requests.clone(),
        );
        declare.metric(
            "riseload_requests_total",
            "Requests to /riseload",
            riseload_requests.clone(),
        );
        let http = HttpMetrics::declare(&mut declare);

        let connectors_created = declare.counter("connectors_created_total", "Connectors created");
        let connectors_deleted = declare.counter("connectors_deleted_total", "Connectors deleted");
        let connectors_updated =
            declare.counter("connectors_updated_total", "Changes of connectors");
        let energy_delivered_watt_hours = declare.counter(
            "enchufe_energy_delivered_watt_hours_total",
            "Energy of ended charging sessions",
        );
        let commands = declare.series(
            "enchufe_commands_total",
            CommandLabels::NAMES,
            "Commands to chargers that have ended, by how",
            Counter::default as fn() -> Counter,
        );

        let ocpp_connects = declare.counter(
            "enchufe_ocpp_connects_total",
            "Connections of chargers accepted",
        );
        let ocpp_disconnects = declare.series(
            "enchufe_ocpp_disconnects_total",
            ReasonLabel::NAMES,
            "Connections of chargers ended, by why",
            Counter::default as fn() -> Counter,
        );
        let ocpp_messages = declare.series(
            "enchufe_ocpp_messages_total",
            MessageLabels::NAMES,
            "OCPP calls, by who sent them and how they ended",
            Counter::default as fn() -> Counter,
        );
        let ocpp_call_duration = declare.series(
            "enchufe_ocpp_call_duration_seconds",
            CallLabels::NAMES,
            "Time from an OCPP call to its answer",
            (|| Histogram::new(CALL_SECONDS)) as fn() -> Histogram,
        );
        let ocpp_deviations = declare.series(
            "enchufe_ocpp_deviations_total",
            DeviationLabels::NAMES,
            "Messages understood although they depart from the standard",
            Counter::default as fn() -> Counter,
        );

        let cache_requests = declare.series(
            "enchufe_cache_requests_total",
            CacheLabels::NAMES,
            "Looks into a cache, by what they gave",
            Counter::default as fn() -> Counter,
        );
        let db_commit_batch_size = Histogram::new(BATCH_SIZES);
        declare.metric(
            "enchufe_db_commit_batch_size",
            "Writes that shared a commit",
            db_commit_batch_size.clone(),
        );
        let db_commit_duration = Histogram::new(COMMIT_SECONDS);
        declare.metric(
            "enchufe_db_commit_duration_seconds",
            "Time of a commit",
            db_commit_duration.clone(),
        );

        let llm = LlmMetrics::declare(&mut declare);

        // Series that exist from the start make a rate visible from the first event on.
        for reason in DisconnectReason::ALL {
            drop(ocpp_disconnects.get_or_create(&ReasonLabel {
                reason: reason.as_str(),
            }));
        }

        Self {
            declarations: declare,
            http,
            main_requests,
            healthcheck_requests,
            bye_requests,
            riseload_requests,
            connectors_created,
            connectors_deleted,
            connectors_updated,
            energy_delivered_watt_hours,
            commands,
            ocpp_connects,
            ocpp_disconnects,
            ocpp_messages,
            ocpp_call_duration,
            ocpp_deviations,
            cache_requests,
            db_commit_batch_size,
            db_commit_duration,
            llm,
        }
    }

    /// An HTTP request was answered. `endpoint` is the route's template, or [`UNMATCHED`].
    pub fn request_ended(
        &self,
        method: &::http::Method,
        endpoint: &str,
        status: u16,
        seconds: f64,
    ) {
        self.http.request_ended(method, endpoint, status, seconds);
    }

    /// A command to a charger ended.
    pub fn command_ended(&self, command: &'static str, outcome: &'static str) {
        self.commands
            .get_or_create(&CommandLabels { command, outcome })
            .inc();
    }

    /// An OCPP call ended. An action the protocol does not know is `"unknown"`.
    pub fn ocpp_message(
        &self,
        version: &'static str,
        action: &'static str,
        direction: Direction,
        outcome: MessageOutcome,
    ) {
        let (direction, outcome) = (direction.as_str(), outcome.as_str());
        let labels = MessageLabels {
            version,
            action,
            direction,
            outcome,
        };
        self.ocpp_messages.get_or_create(&labels).inc();
    }

    /// An OCPP call was answered after this long.
    pub fn ocpp_call_answered(
        &self,
        version: &'static str,
        action: &'static str,
        direction: Direction,
        seconds: f64,
    ) {
        let labels = CallLabels {
            version,
            action,
            direction: direction.as_str(),
        };
        self.ocpp_call_duration
            .get_or_create(&labels)
            .observe(seconds);
    }

    /// A message departed from the standard and was understood nevertheless.
    pub fn ocpp_deviation(&self, version: &'static str, action: &'static str) {
        self.ocpp_deviations
            .get_or_create(&DeviationLabels { version, action })
            .inc();
    }

    /// A charger's connection ended.
    pub fn ocpp_disconnected(&self, reason: DisconnectReason) {
        self.ocpp_disconnects
            .get_or_create(&ReasonLabel {
                reason: reason.as_str(),
            })
            .inc();
    }

    /// A cache was asked.
    pub fn cache_request(&self, cache: &'static str, result: CacheResult) {
        let labels = CacheLabels {
            cache,
            result: result.as_str(),
        };
        self.cache_requests.get_or_create(&labels).inc();
    }

    /// A commit of this many writes took this long.
    pub fn committed(&self, writes: usize, seconds: f64) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a batch is far below 2^52 writes"
        )]
        self.db_commit_batch_size.observe(writes as f64);
        self.db_commit_duration.observe(seconds);
    }

    /// The text of a scrape.
    pub fn render(&self, snapshot: &Snapshot) -> String {
        let mut text = self.declarations.render();
        text.push_str(&at_scrape(snapshot, &Process::read()).render());
        text
    }

    /// Everything declared, the metrics of a scrape included.
    #[cfg(test)]
    fn names(&self) -> Vec<&'static str> {
        let at_scrape = at_scrape(&Snapshot::default(), &Process::read());
        self.declarations.names().chain(at_scrape.names()).collect()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Declares the metrics whose values are read when the scrape comes.
fn at_scrape(snapshot: &Snapshot, process: &Process) -> Declarations {
    let mut declare = Declarations::default();
    declare.metric(
        "app_starts_total",
        "Starts of the service since its database was made",
        ConstCounter::new(snapshot.app_starts),
    );
    let network = snapshot.network.as_ref();
    declare_network(&mut declare, network);
    let mut gauge = |name, meaning, value: i64| {
        declare.metric(name, meaning, ConstGauge::new(value));
    };
    gauge(
        "enchufe_ocpp_connections",
        "Connections of chargers held by this node",
        snapshot.ocpp_connections,
    );
    gauge(
        "enchufe_ocpp_connections_max",
        "Connections of chargers that this node has room for",
        snapshot.ocpp_connections_max,
    );
    gauge(
        "enchufe_db_queue_depth",
        "Writes waiting for a commit",
        snapshot.db_queue_depth,
    );
    gauge(
        "enchufe_db_pool_connections_max",
        "Database connections for reading, at most",
        snapshot.db_pool_max,
    );
    let pool = Family::<StateLabel, Gauge>::default();
    for state in ["idle", "in_use"] {
        drop(pool.get_or_create(&StateLabel { state }));
    }
    for (state, count) in &snapshot.db_pool {
        pool.get_or_create(&StateLabel { state }).set(*count);
    }
    declare.labelled(
        "enchufe_db_pool_connections",
        StateLabel::NAMES,
        "Database connections for reading, by state",
        pool,
    );
    declare_cgroup(&mut declare, &snapshot.cgroup);
    let build = Family::<BuildLabels, Gauge>::default();
    let labels = BuildLabels {
        version: version::VERSION,
        commit: version::COMMIT,
    };
    build.get_or_create(&labels).set(1);
    declare.labelled(
        "enchufe_build_info",
        BuildLabels::NAMES,
        "Always 1; the labels tell which build runs",
        build,
    );
    process.declare(&mut declare);
    declare
}

/// What the database says: absent while it does not answer.
fn declare_network(declare: &mut Declarations, network: Option<&Network>) {
    declare.if_known(
        "enchufe_stations",
        StatusLabel::NAMES,
        "Stations, by derived status",
        network.map(|network| {
            let known = domain::StationStatus::ALL.iter().map(|s| s.as_str());
            statuses(known, &network.stations)
        }),
    );
    declare.if_known(
        "enchufe_connectors",
        StatusLabel::NAMES,
        "Connectors, by class of status",
        network.map(|network| {
            let known = domain::Status::ALL.iter().map(|s| s.as_str());
            statuses(known, &network.connectors)
        }),
    );
    let mut gauge = |name, meaning, value: Option<i64>| {
        declare.if_known(name, &[], meaning, value.map(ConstGauge::new));
    };
    gauge(
        "enchufe_stations_online",
        "Stations with a live connection",
        network.map(|network| network.stations_online),
    );
    gauge(
        "enchufe_charging_sessions_active",
        "Charging sessions under way",
        network.map(|network| network.sessions_active),
    );
    gauge(
        "enchufe_nodes",
        "Nodes of the network that live",
        network.map(|network| network.nodes),
    );
    let fault = network.map(|network| ConstGauge::new(network.longest_fault_seconds));
    declare.if_known(
        "enchufe_connector_longest_fault_seconds",
        &[],
        "Time for which the connector has been faulted that is so for longest; 0 when none is",
        fault,
    );
}

/// What the kernel accounts to the container: absent where it says nothing, as of a limit that is
/// not set.
fn declare_cgroup(declare: &mut Declarations, cgroup: &Reading) {
    declare.if_known(
        "enchufe_cgroup_cpu_limit_cores",
        &[],
        "Cores the container may use; absent without a limit",
        cgroup.cpu_limit_cores.map(ConstGauge::new),
    );
    let seconds = cgroup.cpu_usage.map(|usage| usage.as_secs_f64());
    declare.if_known(
        "enchufe_cgroup_cpu_usage_seconds_total",
        &[],
        "Processor time used by everything in the container",
        seconds.map(ConstCounter::new),
    );
    let mut counter = |name, meaning, value: Option<u64>| {
        declare.if_known(name, &[], meaning, value.map(ConstCounter::new));
    };
    counter(
        "enchufe_cgroup_cpu_periods_total",
        "Periods of the scheduler in which the container wanted to run; counted under a limit only",
        cgroup.cpu_periods,
    );
    counter(
        "enchufe_cgroup_cpu_throttled_periods_total",
        "Those periods in which it had to wait because its limit was used up",
        cgroup.cpu_throttled_periods,
    );
    let mut gauge = |name, meaning, value: Option<u64>| {
        declare.if_known(name, &[], meaning, value.map(ConstGauge::new));
    };
    gauge(
        "enchufe_cgroup_memory_limit_bytes",
        "Memory the container may use; absent without a limit",
        cgroup.memory_limit_bytes,
    );
    gauge(
        "enchufe_cgroup_memory_working_set_bytes",
        "Memory of the container that cannot be taken back: without file pages unused of late",
        cgroup.memory_working_set_bytes,
    );
}

/// A gauge by status, where every known status has a series even at 0.
fn statuses(
    known: impl Iterator<Item = &'static str>,
    counts: &[(&'static str, i64)],
) -> Family<StatusLabel, Gauge> {
    let family = Family::<StatusLabel, Gauge>::default();
    for status in known {
        drop(family.get_or_create(&StatusLabel { status }));
    }
    for (status, count) in counts {
        family.get_or_create(&StatusLabel { status }).set(*count);
    }
    family
}

/// A counter that is the sum of others, whatever happens to them.
#[derive(Debug)]
struct Sum([Counter; 4]);

impl prometheus_client::encoding::EncodeMetric for Sum {
    fn encode(
        &self,
        encoder: prometheus_client::encoding::MetricEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        ConstCounter::new(self.0.iter().map(Counter::get).sum::<u64>()).encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// The reference of every metric, as Markdown.
pub fn reference() -> String {
    let metrics = Metrics::new();
    let at_scrape = at_scrape(&Snapshot::default(), &Process::read());
    let declared: Vec<_> = metrics
        .declarations
        .list()
        .iter()
        .chain(at_scrape.list())
        .collect();
    declare::reference(&declared)
}

#[cfg(test)]
mod tests;
