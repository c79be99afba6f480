//! Every setting of the server, where it may come from, and what it must be.
//!
//! [`Config`] is the one place where a setting is declared: its flag, its variable
//! (`ENCHUFE_` and the field's name), its key in `enchufe.toml` (the field's name), its default,
//! its check and its meaning. `docs/configuration.md` is written from it.
//!
//! Flags win over the environment, the environment over the file, the file over the defaults. It
//! works by turning every source into flags and letting the last one win, so a value is checked by
//! the same code wherever it was written (`sources`).
//!
//! Secrets are apart: they come from the environment or from files named there, and never from
//! flags, which everyone on the machine can read in the process list.

mod fault;
mod reference;
mod sources;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

pub use fault::{ConfigError, Fault};
pub use reference::reference;
pub use sources::{DEFAULT_FILE, Flags, with_variables};
pub use values::{Price, Prices, Secret, ServiceUrl, Tiles, reachable, time_between};

/// Shortest token accepted from the environment: below this it can be guessed in reasonable time.
pub const MIN_TOKEN_LENGTH: usize = 16;

/// The settings of a server, checked and complete.
///
/// In the command line this is a group of arguments ([`Flags`]); elsewhere it is what they,
/// the environment and the file came to.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct Config {
    /// The file to read settings from. Without it, `./enchufe.toml` is read if it exists.
    #[arg(long, value_name = "FILE", help_heading = "Sources")]
    pub config: Option<PathBuf>,

    /// Where the API, the console and the chargers are served.
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    #[arg(value_parser = values::address, default_value = "0.0.0.0:8081")]
    #[arg(default_value_if("demo", "true", "127.0.0.1:8081"))]
    pub listen: SocketAddr,

    /// Where the metrics are served.
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    #[arg(value_parser = values::address, default_value = "0.0.0.0:8000")]
    #[arg(default_value_if("demo", "true", "127.0.0.1:8000"))]
    pub metrics_listen: SocketAddr,

    /// What a scraper must present: the metrics token, or nothing (`none` opens the metrics to
    /// whoever reaches the port, and logs a warning).
    #[arg(
        long,
        value_name = "HOW",
        help_heading = "Network",
        default_value = "token"
    )]
    pub metrics_auth: MetricsAuth,

    /// The address people use from outside, for the links that are printed.
    #[arg(long, value_name = "URL", help_heading = "Network", value_parser = values::public_url)]
    pub public_url: Option<url::Url>,

    /// Where the embedded database and generated tokens are kept.
    #[arg(
        long,
        value_name = "DIRECTORY",
        help_heading = "Storage",
        default_value = "./data"
    )]
    pub data_dir: PathBuf,

    /// The database: `sqlite://path` or `postgres://…`. One with a password is accepted from the
    /// environment only.
    #[arg(long, value_name = "URL", help_heading = "Storage", value_parser = values::database_url)]
    pub database_url: Option<ServiceUrl>,

    /// Redis, shared by the nodes of one network: `redis://…`, or `rediss://…` for TLS. One with a
    /// password is accepted from the environment only.
    #[arg(long, value_name = "URL", help_heading = "Storage", value_parser = values::redis_url)]
    pub redis_url: Option<ServiceUrl>,

    /// How many days events are kept, and with them every station's history (1 to 36500). Without
    /// it they are kept for ever.
    #[arg(long, value_name = "DAYS", help_heading = "Storage")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub event_retention_days: Option<u32>,

    /// What this node is called. Of a name there is one at a time: a node takes the place of the one
    /// that had its name before, and ends at once what that left open. Without it, the machine's
    /// name and the port.
    #[arg(long, value_name = "NAME", help_heading = "Cluster", value_parser = values::node_name)]
    pub node_name: Option<String>,

    /// How long a node may be silent before the others take it for dead and its chargers for
    /// offline (2 s to 10 min).
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Cluster",
        default_value = "15s"
    )]
    #[arg(value_parser = values::time_between::<2, 600>)]
    pub node_timeout: Duration,

    /// A network to try out: this machine only, its own database file (`demo.db`), and chargers
    /// without credentials.
    #[arg(long, help_heading = "Development")]
    #[arg(value_parser = values::switch, action = ArgAction::Set, default_value = "false")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_name = "true|false")]
    pub demo: bool,

    /// Let chargers connect without credentials (security profile 0). For development: anyone who
    /// reaches the port can speak for any station.
    #[arg(long, help_heading = "Development")]
    #[arg(value_parser = values::switch, action = ArgAction::Set, default_value = "false")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_if("demo", "true", "true"), value_name = "true|false")]
    pub allow_unauthenticated_chargers: bool,

    /// Allow load drills (`GET /riseload`, for operators): bounded processor and memory load that
    /// proves the alerts fire.
    #[arg(long, help_heading = "Development")]
    #[arg(value_parser = values::switch, action = ArgAction::Set, default_value = "false")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_name = "true|false")]
    pub drills: bool,

    /// How often chargers are told to send a heartbeat (1 s to 24 h).
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Limits",
        default_value = "300s"
    )]
    #[arg(value_parser = values::time_between::<1, 86_400>)]
    pub heartbeat_interval: Duration,

    /// How often a connected charger is pinged; two pings without an answer close the connection
    /// (1 s to 1 h).
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Limits",
        default_value = "45s"
    )]
    #[arg(value_parser = values::time_between::<1, 3_600>)]
    pub ping_interval: Duration,

    /// How long a charger has to answer a command (1 s to 10 min).
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Limits",
        default_value = "30s"
    )]
    #[arg(value_parser = values::time_between::<1, 600>)]
    pub command_timeout: Duration,

    /// How long a stop waits for requests under way (1 s to 10 min). Keep it below the grace
    /// period of whatever stops the process.
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Limits",
        default_value = "25s"
    )]
    #[arg(value_parser = values::time_between::<1, 600>)]
    pub shutdown_timeout: Duration,

    /// Chargers let in a second, and as many that boot; the others wait a little, or are told when
    /// to come back (1 to 100000).
    #[arg(
        long,
        value_name = "COUNT",
        help_heading = "Limits",
        default_value = "1500"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub admissions_per_second: u32,

    /// Failed sign-ins allowed per address and minute before further ones are refused unread
    /// (1 to 10000).
    #[arg(
        long,
        value_name = "COUNT",
        help_heading = "Limits",
        default_value = "30"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub auth_failures_per_minute: u32,

    /// The language model's server, up to the part before `/chat/completions`, such as
    /// `https://api.openai.com/v1`. Without it, the embedded analyser reads the journal.
    #[arg(long, value_name = "URL", help_heading = "Language model", value_parser = values::llm_url)]
    pub llm_base_url: Option<url::Url>,

    /// The model's name, as its server knows it.
    #[arg(long, value_name = "NAME", help_heading = "Language model")]
    #[arg(value_parser = values::model_name)]
    pub llm_model: Option<String>,

    /// How the model is asked: `chat/completions`, which every server has, or `responses`.
    #[arg(
        long,
        value_name = "API",
        help_heading = "Language model",
        default_value = "chat"
    )]
    pub llm_api: LlmApi,

    /// How long one answer of the model may take (1 s to 60 s). The whole analysis, with what is
    /// asked again, has a minute.
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Language model",
        default_value = "20s"
    )]
    #[arg(value_parser = values::time_between::<1, 60>)]
    pub llm_timeout: Duration,

    /// How often a question is asked again when the model's server is overloaded, fails or is too
    /// slow (0 to 5).
    #[arg(
        long,
        value_name = "COUNT",
        help_heading = "Language model",
        default_value = "2"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=5))]
    pub llm_retries: u32,

    /// How many questions are with the model at a time (1 to 64).
    #[arg(
        long,
        value_name = "COUNT",
        help_heading = "Language model",
        default_value = "4"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    pub llm_concurrency: u32,

    /// Tokens the model may be paid for on one day (UTC), by all nodes together (1 to 10^12).
    /// What is under way when they run out is finished.
    #[arg(
        long,
        value_name = "COUNT",
        help_heading = "Language model",
        default_value = "1000000"
    )]
    #[arg(value_parser = clap::value_parser!(i64).range(1..=1_000_000_000_000))]
    pub llm_tokens_per_day: i64,

    /// What a million tokens cost, in dollars, by model: `name=input/output`, with commas between
    /// models. For the metrics alone.
    #[arg(long, value_name = "TABLE", help_heading = "Language model", value_parser = values::prices)]
    pub llm_prices: Option<Prices>,

    /// Whose tiles the console's map is laid over: an address with `{z}`, `{x}` and `{y}`. Without
    /// it the map is drawn by itself, and nothing is fetched from anywhere.
    #[arg(long, value_name = "URL", help_heading = "Console", value_parser = values::tiles)]
    pub map_tiles_url: Option<Tiles>,

    /// What is to be said below the map of whose tiles they are.
    #[arg(long, value_name = "TEXT", help_heading = "Console", value_parser = values::one_line)]
    pub map_attribution: Option<String>,

    /// Where the dashboards are, for the console's link to them.
    #[arg(long, value_name = "URL", help_heading = "Console", value_parser = values::public_url)]
    pub dashboards_url: Option<url::Url>,

    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module as
    /// in `info,server=debug`.
    #[arg(
        long,
        value_name = "FILTER",
        help_heading = "Logs",
        default_value = "info"
    )]
    #[arg(value_parser = values::log_filter)]
    pub log: String,

    /// How log lines look.
    #[arg(long, value_name = "FORMAT", help_heading = "Logs")]
    pub log_format: Option<LogFormat>,

    /// The administrator's token, if the environment sets it.
    #[arg(skip)]
    pub admin_token: Option<Secret>,

    /// The scraper's token, if the environment sets it.
    #[arg(skip)]
    pub metrics_token: Option<Secret>,

    /// What the language model's server must be shown, if the environment sets it.
    #[arg(skip)]
    pub llm_api_key: Option<Secret>,
}

/// What a scraper must present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MetricsAuth {
    /// The metrics token, as bearer token or as basic auth password.
    Token,
    /// Nothing.
    None,
}

/// How a language model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LlmApi {
    /// `POST …/chat/completions`.
    Chat,
    /// `POST …/responses`.
    Responses,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One short line an event, coloured on a terminal.
    Pretty,
    /// One JSON object an event.
    Json,
}

/// A secret: read from the variable, or from the file that `<variable>_FILE` names.
struct SecretSetting {
    variable: &'static str,
    /// Fewest characters.
    shortest: usize,
    /// Where a good one comes from.
    advice: &'static str,
    meaning: &'static str,
}

/// How a secret of ours is made.
const MAKE_ONE: &str = "`openssl rand -hex 32` makes a good one";

/// The secrets.
const SECRETS: [SecretSetting; 3] = [
    SecretSetting {
        variable: "ENCHUFE_ADMIN_TOKEN",
        shortest: MIN_TOKEN_LENGTH,
        advice: MAKE_ONE,
        meaning: "The administrator's token. Without it, one is made at the first start and printed once.",
    },
    SecretSetting {
        variable: "ENCHUFE_METRICS_TOKEN",
        shortest: MIN_TOKEN_LENGTH,
        advice: MAKE_ONE,
        meaning: "The scraper's token. Without it, one is made at the first start and kept in the data directory.",
    },
    SecretSetting {
        variable: "ENCHUFE_LLM_API_KEY",
        // Somebody else's, and local servers take any word.
        shortest: 1,
        advice: "copy it from the model's provider again, whole and without quotes",
        meaning: "What the language model's server wants to be shown. Without it, nothing is shown.",
    },
];

/// Defaults that depend on other settings, as the reference words them.
const DERIVED_DEFAULTS: [(&str, &str); 5] = [
    ("config", "`./enchufe.toml`, if it exists"),
    ("database_url", "`sqlite://<data dir>/enchufe.db`"),
    ("public_url", "the address listened on"),
    ("llm_base_url", "none: the embedded analyser"),
    ("log_format", "`pretty` on a terminal, `json` elsewhere"),
];

impl Config {
    /// How long events are kept; `None` is for ever.
    pub fn event_retention(&self) -> Option<Duration> {
        let days = self.event_retention_days?;
        Some(Duration::from_hours(u64::from(days) * 24))
    }

    /// The defaults, without looking at flags, environment or file: where tests start from.
    pub fn defaults() -> Self {
        Flags::default().resolve(&[], None).unwrap_or_else(|error| {
            unreachable!("the defaults pass their own checks (a test says so): {error}")
        })
    }

    /// The database to use: the one that is set, or a file in the data directory.
    pub fn database_url(&self) -> ServiceUrl {
        self.database_url.clone().unwrap_or_else(|| {
            let file = if self.demo { "demo.db" } else { "enchufe.db" };
            ServiceUrl::sqlite(&self.data_dir.join(file))
        })
    }

    /// The start of every printed link, without a slash at the end.
    pub fn base_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(self.listen)),
        }
    }

    /// What an operator should know about these settings, for the log at start.
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.metrics_auth == MetricsAuth::None {
            warnings
                .push("metrics are open to everyone who reaches their port (metrics_auth=none)");
        }
        if self.allow_unauthenticated_chargers {
            warnings.push(
                "chargers may connect without credentials: anyone who reaches the port can speak \
                 for any station (allow_unauthenticated_chargers)",
            );
        }
        let in_the_clear = self
            .llm_base_url
            .as_ref()
            .is_some_and(values::is_in_the_clear);
        if in_the_clear && self.llm_api_key.is_some() {
            warnings
                .push("the language model's key and the journal travel unencrypted (llm_base_url)");
        }
        if self.drills {
            warnings.push("load drills are on: an operator can load this machine (drills)");
        }
        warnings
    }
}
