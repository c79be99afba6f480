//! `enchufe serve`: runs a node until it is told to stop.

use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Flags};
use crate::node::Node;
use crate::{demo, files, logging};

/// What `serve` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    #[command(flatten)]
    settings: Flags,
}

const EXAMPLES: &str = "\
Examples:
  enchufe serve                            SQLite in ./data, the API on port 8081
  enchufe serve --demo                     twelve simulated stations, on this machine only
  ENCHUFE_DATABASE_URL=postgres://enchufe@db/enchufe enchufe serve";

impl Serve {
    /// Serves until SIGTERM or Ctrl-C.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.settings.load()?;
        let _logging = logging::init(&config)?;
        // Before anything is said to be ready: a stop that comes early is heeded too.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        if let Err(error) = files::raise_limit() {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
        let node = Node::start(&config).await?;
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        announce(&config, &node);
        let demo = if config.demo {
            Some(demo::Demo::start(&node).await?)
        } else {
            None
        };
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
        };
        tracing::info!(signal, "stopping");
        if let Some(demo) = demo {
            demo.stop().await;
        }
        node.stop().await;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

/// Says where everything is, in lines a person can click.
fn announce(config: &Config, node: &Node) {
    let api = reachable_url(config, node);
    let metrics = crate::config::reachable(node.metrics_address);
    tracing::info!(
        "serving: console {api}/console · API {api}/docs · chargers {}/ocpp/{{station id}} · metrics http://{metrics}/metrics \
         (listening on {} and {})",
        api.replacen("http", "ws", 1),
        node.address,
        node.metrics_address,
    );
    if let Some(token) = &node.admin_token {
        // To the terminal and not to the log: a log is kept and shipped, a token is not for that.
        eprintln!(
            "\n  Admin token, {}:  {token}",
            if config.demo {
                "for this demo"
            } else {
                "shown this once"
            }
        );
        if let Some(code) = &node.console_code {
            eprintln!(
                "  Open the console, once within 15 minutes:  {api}/console/enter?code={code}"
            );
        }
        eprintln!("  Try the API:  {api}/docs   (Authorize with the token)\n");
    }
}

fn reachable_url(config: &Config, node: &Node) -> String {
    if config.public_url.is_some() {
        return config.base_url();
    }
    format!("http://{}", crate::config::reachable(node.address))
}
