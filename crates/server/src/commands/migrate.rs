//! `enchufe migrate`: brings the database's tables up to date, and ends.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use store::{Location, Store};

use crate::config::Flags;

/// What `migrate` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
`enchufe serve` does the same at every start, under a lock; this is for pipelines that want it
done before. An old and a new version can run on the migrated tables together.")]
pub struct Migrate {
    #[command(flatten)]
    settings: Flags,
}

impl Migrate {
    /// Migrates, and says what database it was.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.settings.load()?;
        let url = config.database_url();
        let location = Location::parse(url.expose()).map_err(anyhow::Error::msg)?;
        let store = Store::open(&location)
            .await
            .with_context(|| format!("cannot migrate {url}"))?;
        let statements = store.check_statements().await?;
        store.close().await;
        println!("{url}: tables are up to date ({statements} statements checked)");
        Ok(ExitCode::SUCCESS)
    }
}
