//! The console in a real browser, against a running server.
//!
//! `tests/console` has the scenarios: Debian's Chromium, driven by playwright-core, with the demo's
//! simulated chargers and others that do as they are told. It starts its servers itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::env::{Settings, node_packages};
use crate::shell::{Tally, cmd, root, run, run_counted};

/// It takes three minutes on two idle cores; a run of four times that hangs.
const LIMIT: Duration = Duration::from_mins(12);

/// Where the scenarios are.
const TESTS: &str = "tests/console";

/// Every scenario, and axe on every page.
pub fn check(binary: &Path, settings: &Settings, tally: &mut Tally) -> Result<()> {
    let mut command = node(binary)?;
    run_counted(command.envs(settings.iter().cloned()), LIMIT, tally)
}

/// Something else with the same means: `--pictures=DIR`, `--load`, `--only=WORDS`.
pub fn with(binary: &Path, options: &[&str]) -> Result<()> {
    run(node(binary)?.args(options))
}

fn node(binary: &Path) -> Result<std::process::Command> {
    let tests: PathBuf = root().join(TESTS);
    node_packages("console", &tests, "playwright-core")?;
    let mut command = cmd("node", [tests.join("run.js")]);
    command.env("TEST_BINARY", binary);
    Ok(command)
}
