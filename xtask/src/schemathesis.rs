//! The OpenAPI description held against a running server: every documented operation is asked with
//! generated input, good and bad, and every answer must be as documented. Once on each database:
//! what one of them takes for a text, the other may not.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clients;
use crate::env::Settings;
use crate::serve::{Server, secret};
use crate::shell::{Tally, cmd, read, root, run_counted};

/// The same input every run: a failure seen once is seen again.
const SEED: &str = "20261121";
/// Cases per operation and phase: enough to reach every documented answer, in a few minutes.
const EXAMPLES: &str = "40";
/// Wrong tokens are among what is tried; being shut out for them would end the trial.
const PATIENT: (&str, &str) = ("ENCHUFE_AUTH_FAILURES_PER_MINUTE", "10000");
/// Far more than the run takes. Schemathesis’ own `--max-time` is no bound but a budget it spends.
const LIMIT: Duration = Duration::from_mins(15);

/// Runs all its checks; its exit code decides.
pub fn run(binary: &Path, settings: &Settings) -> Result<()> {
    println!("  seed      {SEED}");
    against(&Server::start(binary, &[PATIENT])?, settings)?;

    let url = setting(settings, "TEST_POSTGRES_URL")?;
    let name = format!("schemathesis_{}", secret()?);
    let psql = |statement: &str| {
        let bin = Path::new(setting(settings, "PG_BIN")?).join("psql");
        read(&mut cmd(bin, [url, "--quiet", "--command", statement])).map(drop)
    };
    psql(&format!("CREATE DATABASE {name}"))?;
    let (base, _) = url.rsplit_once('/').context("the URL names no database")?;
    let url = format!("{base}/{name}");
    let server = Server::start(binary, &[PATIENT, ("ENCHUFE_DATABASE_URL", &url)])?;
    let outcome = against(&server, settings);
    drop(server);
    psql(&format!("DROP DATABASE {name} WITH (FORCE)"))?;
    outcome
}

fn against(server: &Server, settings: &Settings) -> Result<()> {
    let python = Path::new(setting(settings, "TEST_PYTHON")?);
    let ours = root().join("tests/clients/python");
    // Sessions and commands come from chargers alone, and an empty list proves little.
    clients::leave_traces(server, settings)?;
    // It leaves files where it runs.
    let work = tempfile::tempdir()?;
    let mut command = cmd(python.with_file_name("schemathesis"), ["--config-file"]);
    command
        .arg(ours.join("schemathesis.toml"))
        .arg("run")
        .env("SCHEMATHESIS_HOOKS", ours.join("schemathesis_hooks.py"))
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
        .with_context(|| format!("the server last said:\n{}", server.log()))
}

fn setting<'a>(settings: &'a Settings, name: &str) -> Result<&'a str> {
    let found = settings.iter().find(|(known, _)| *known == name);
    let (_, value) = found.with_context(|| format!("{name} is not set"))?;
    Ok(value)
}
