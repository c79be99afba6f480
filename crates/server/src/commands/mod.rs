//! The command line. One file a command; this one names them.

mod doctor;
mod drill;
mod healthcheck;
mod migrate;
mod serve;
mod simulate;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{config, metrics, version};

/// Runs an electric-vehicle charging network: chargers speak OCPP to it, people and systems HTTP.
#[derive(Debug, Parser)]
#[command(name = "enchufe", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  enchufe serve --demo                     try it out, on this machine only
  enchufe serve --data-dir /var/lib/enchufe
  enchufe doctor                           is this machine ready to serve?

Every setting can be a flag, a variable (ENCHUFE_…) or a key in enchufe.toml;
`enchufe serve --help` lists them.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Simulate chargers: one that talks, or thousands for a load test
    Simulate(Box<simulate::Simulate>),
    /// Bring the database's tables up to date, and end
    Migrate(migrate::Migrate),
    /// Make, list and revoke access tokens
    Token(token::TokenCommand),
    /// Check that a server runs and is ready here (exit code 0 or 1), for containers
    Healthcheck(healthcheck::Healthcheck),
    /// Load this container on purpose for a while, to see that the alerts fire
    Drill(drill::DrillCommand),
    /// Check that this machine and these settings are fit to serve
    Doctor(doctor::Doctor),
    /// Write the generated references
    #[command(hide = true)]
    GenerateDocs {
        /// Where to
        #[arg(long, default_value = "docs")]
        dir: PathBuf,
    },
}

impl Cli {
    /// Reads the command line. Ends the process where it asks for help or makes no sense.
    pub fn from_args() -> Self {
        let matches = Self::designed().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The command line with the variable of each setting in its help.
    fn designed() -> clap::Command {
        let whole = Self::command().version(version::VERSION_WITH_COMMIT.as_str());
        whole.mut_subcommands(|command| {
            let has_settings = command
                .get_arguments()
                .any(|arg| arg.get_id() == "data_dir");
            if has_settings {
                config::with_variables(command)
            } else {
                command
            }
        })
    }

    /// Whether it writes files that hold the network's state.
    pub fn keeps_secrets(&self) -> bool {
        matches!(
            self.command,
            Command::Serve(_) | Command::Migrate(_) | Command::Token(_) | Command::Doctor(_)
        )
    }

    /// Does what was asked.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(command) => command.run().await,
            Command::Simulate(command) => command.run().await,
            Command::Migrate(command) => command.run().await,
            Command::Token(command) => command.run().await,
            Command::Healthcheck(command) => command.run().await,
            Command::Drill(command) => command.run().await,
            Command::Doctor(command) => command.run().await,
            Command::GenerateDocs { dir } => generate_docs(&dir),
        }
    }
}

fn generate_docs(dir: &std::path::Path) -> anyhow::Result<ExitCode> {
    let references = [
        ("configuration.md", config::reference()),
        ("metrics.md", metrics::reference()),
        (
            "openapi.json",
            crate::api::openapi().to_pretty_json()? + "\n",
        ),
    ];
    for (name, text) in references {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::designed().debug_assert();
    }

    #[test]
    fn help_tells_the_variable_of_each_setting() {
        let mut command = Cli::designed();
        let doctor = command.find_subcommand_mut("doctor").expect("doctor");
        let help = doctor.render_long_help().to_string();
        assert!(help.contains("[env: ENCHUFE_DATABASE_URL]"), "{help}");
    }
}
