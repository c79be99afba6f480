//! Log lines: for people on a terminal, for machines elsewhere. And traces, for builds that have
//! the feature `otlp`.
//!
//! Lines go to standard error, so that what a command answers can be piped.

#[cfg(feature = "otlp")]
mod otlp;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{Config, LogFormat};

/// What has to go on for as long as the process lives: sends the last traces when it is dropped.
#[derive(Debug, Default)]
#[must_use = "dropped, no trace is sent any more"]
pub struct Logging {
    #[cfg(feature = "otlp")]
    _traces: Option<otlp::Traces>,
}

/// Starts the log, once for the process. Fails if it was started before.
pub fn init(config: &Config) -> anyhow::Result<Logging> {
    let terminal = io::stderr().is_terminal();
    let default = if terminal {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    };
    let lines = fmt::layer().with_writer(io::stderr).with_timer(SystemTime);
    let lines = match config.log_format.unwrap_or(default) {
        // NO_COLOR is the agreed way to ask for none (no-color.org).
        LogFormat::Pretty => lines
            .compact()
            .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()))
            .boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .boxed(),
    };
    let lines = lines.with_filter(EnvFilter::try_new(&config.log)?);
    let subscriber = tracing_subscriber::registry().with(lines);
    #[cfg(feature = "otlp")]
    let (subscriber, logging) = {
        let (traces, layer) = otlp::Traces::start()?.unzip();
        (subscriber.with(layer), Logging { _traces: traces })
    };
    #[cfg(not(feature = "otlp"))]
    let logging = Logging::default();
    let started = subscriber.try_init();
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))?;
    Ok(logging)
}
