//! What takes the service from a commit into production: image, chart, manifests, playbooks,
//! infrastructure and workflows, held by the checks of `tests/delivery`.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::env::{self, Settings};
use crate::shell::{Tally, cmd, run_counted};

/// The image is built in it, which a slow machine needs half an hour for.
const LIMIT: Duration = Duration::from_hours(1);

/// The checks that are part of `make test`. The others compile the release once more inside Docker
/// or set up whole machines, which takes longer than everything else together: `make verify` runs
/// them too.
pub const QUICK: [&str; 9] = [
    "argocd",
    "chart",
    "dependencies",
    "healthcheck",
    "manifests",
    "release",
    "secrets",
    "terraform",
    "workflows",
];

/// Every check of `tests/delivery`, or those named.
pub fn run(binary: &Path, settings: &Settings, names: &[&str], tally: &mut Tally) -> Result<()> {
    let python = env::python("delivery", "tests/delivery/requirements.txt", "yaml")?;
    let mut command = cmd(python, ["-u", "tests/delivery/run.py"]);
    command
        .args(names)
        .envs(settings.iter().cloned())
        .env("TEST_BINARY", binary);
    run_counted(&mut command, LIMIT, tally)
}
