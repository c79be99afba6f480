//! Log lines: for people on a terminal, for machines elsewhere.
//!
//! They go to standard error, so that what a command answers can be piped.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::{Config, LogFormat};

/// Starts the log, once for the process. Fails if it was started before.
pub fn init(config: &Config) -> anyhow::Result<()> {
    let terminal = io::stderr().is_terminal();
    let default = if terminal {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&config.log)?)
        .with_writer(io::stderr)
        .with_timer(SystemTime);
    let started = match config.log_format.unwrap_or(default) {
        // NO_COLOR is the agreed way to ask for none (no-color.org).
        LogFormat::Pretty => builder
            .compact()
            .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()))
            .try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}
