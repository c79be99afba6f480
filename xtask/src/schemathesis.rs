//! The OpenAPI description held against a running server: every documented operation is asked with
//! generated input, good and bad, and every answer must be as documented.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::env::Settings;
use crate::serve::Server;
use crate::shell::{Tally, cmd, run_counted};

/// The same input every run: a failure seen once is seen again.
const SEED: &str = "20261121";
/// Cases per operation and phase: enough to reach every documented answer, in a few minutes.
const EXAMPLES: &str = "25";
/// Far more than the run takes. Schemathesis’ own `--max-time` is no bound but a budget it spends.
const LIMIT: Duration = Duration::from_mins(15);

/// Runs all its checks; its exit code decides.
pub fn run(binary: &Path, settings: &Settings) -> Result<()> {
    let python = settings.iter().find(|(name, _)| *name == "TEST_PYTHON");
    let python = Path::new(&python.context("TEST_PYTHON is not set")?.1);
    let server = Server::start(binary)?;
    let work = tempfile::tempdir()?;
    println!("  seed      {SEED}");
    let mut command = cmd(python.with_file_name("schemathesis"), ["run"]);
    command
        .current_dir(work.path())
        .arg(format!("{}/openapi.json", server.url))
        .args([
            "--checks",
            "all",
            "--seed",
            SEED,
            "--max-examples",
            EXAMPLES,
        ])
        .args([
            "--request-timeout",
            "20",
            "--generation-database",
            "none",
            "--no-color",
        ])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", server.token),
        ])
        // The one thing left out: the event stream never ends, and a client that waits for the end
        // of the answer waits for ever. `crates/server/tests` reads it.
        .args(["--exclude-path", "/api/v1/events"]);
    run_counted(&mut command, LIMIT, &mut Tally::default())
        .with_context(|| format!("the server last said:\n{}", server.log()))?;
    server.stop()
}
