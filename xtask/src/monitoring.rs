//! What stands under `monitoring/`: written from its source, and held against the real Prometheus,
//! the real Alertmanager and a running server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::env::{self, Settings};
use crate::shell::{Tally, cmd, root, run as run_command, run_counted};

/// It takes five minutes on two idle cores; a run of three times that hangs.
const LIMIT: Duration = Duration::from_mins(15);

/// Every check of `monitoring/tests`.
pub fn run(binary: &Path, settings: &Settings, tally: &mut Tally) -> Result<()> {
    let mut command = cmd(python()?, ["-u", "monitoring/tests/run.py"]);
    command
        .envs(settings.iter().cloned())
        .env("TEST_BINARY", binary);
    run_counted(&mut command, LIMIT, tally)
}

/// Writes the rule files and dashboards, or with `--check` names those out of date.
pub fn generate(args: &[&str]) -> Result<()> {
    let script = root().join("monitoring/generate.py");
    run_command(cmd(python()?, [script]).args(args))
}

fn python() -> Result<PathBuf> {
    env::python(
        "monitoring",
        "monitoring/requirements.txt",
        "grafana_foundation_sdk, websockets, yaml",
    )
}
