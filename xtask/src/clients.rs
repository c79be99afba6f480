//! Chargers written by others, driven against a running server.
//!
//! A scenario is a script under `tests/clients`. It gets the server and its own station through the
//! environment and nothing else, prints `ok - name` or `not ok - name: why` for each thing it tried,
//! and ends with 0 only if all were ok.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::env::Settings;
use crate::serve::{Server, secret};
use crate::shell::{Tally, cmd, root, run_counted};

/// A scenario takes seconds; one that takes this long waits for something that will not come.
const LIMIT: Duration = Duration::from_mins(3);

/// The id tag every scenario may charge with.
const ID_TAG: &str = "CLIENT-TAG";

/// Each scenario’s station, interpreter and script.
const SCENARIOS: [(&str, Interpreter, &str); 2] = [
    ("NODE-16", Interpreter::Node, "tests/clients/node/ocpp16.js"),
    (
        "PYTHON-16",
        Interpreter::Python,
        "tests/clients/python/ocpp16.py",
    ),
];

#[derive(Clone, Copy)]
enum Interpreter {
    Node,
    Python,
}

/// Runs every scenario against one fresh server.
pub fn run(binary: &Path, settings: &Settings, tally: &mut Tally) -> Result<()> {
    let server = Server::start(binary, &[])?;
    let mut failed = Vec::new();
    for (station, interpreter, script) in SCENARIOS {
        println!("\n  {script} as {station}");
        if let Err(error) = scenario(&server, station, interpreter, script, settings, tally) {
            println!("  {error:#}");
            failed.push(script);
        }
    }
    if !failed.is_empty() {
        bail!(
            "failed: {}\nThe server last said:\n{}",
            failed.join(", "),
            server.log()
        );
    }
    server.stop()
}

/// Runs the last scenario against this server, for the sessions and commands it leaves behind.
pub fn leave_traces(server: &Server, settings: &Settings) -> Result<()> {
    let (station, interpreter, script) = SCENARIOS[SCENARIOS.len() - 1];
    let tally = &mut Tally::default();
    scenario(server, station, interpreter, script, settings, tally)
}

fn scenario(
    server: &Server,
    station: &str,
    interpreter: Interpreter,
    script: &str,
    settings: &Settings,
    tally: &mut Tally,
) -> Result<()> {
    server.put(
        &format!("/api/v1/id-tags/{ID_TAG}"),
        &json!({"status": "accepted"}),
    )?;
    // 20 characters: the most an OCPP 1.6 password may have.
    let password = &secret()?[..20];
    server.post("/api/v1/stations", &json!({"id": station, "name": station}))?;
    let credentials = json!({"password": password, "security_profile": 1});
    server.put(
        &format!("/api/v1/stations/{station}/credentials"),
        &credentials,
    )?;

    let mut command: Command = match interpreter {
        Interpreter::Node => cmd("node", [script]),
        Interpreter::Python => {
            let python = settings.iter().find(|(name, _)| *name == "TEST_PYTHON");
            cmd(&python.context("TEST_PYTHON is not set")?.1, ["-u", script])
        }
    };
    command
        .current_dir(root())
        .env("ENCHUFE_URL", &server.url)
        .env("ENCHUFE_TOKEN", &server.token)
        .env("STATION", station)
        .env("PASSWORD", password)
        .env("ID_TAG", ID_TAG);
    run_counted(&mut command, LIMIT, tally)
}
