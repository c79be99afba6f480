//! The project’s own chores: `cargo xtask <chore>`.
//!
//! Each chore is one file here. They call the same tools a person would call by hand (cargo, curl,
//! `pg_ctl`, npm, pip), say which, and leave nothing running but what `cargo xtask env` starts on
//! purpose.

mod bench;
mod clients;
mod console;
mod env;
mod generate;
mod monitoring;
mod schemathesis;
mod serve;
mod shell;
mod suite;
mod verify;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::shell::Tally;

const HELP: &str = "\
cargo xtask <chore>

  env [--stop]         prepare what the tests need under .testenv/, or stop it
  test                 everything a change can break (make test)
  check                formatting, lints and quick tests (make check)
  generate [--check]   write the generated references under docs/, or name those out of date
  clients              chargers written by others, against a running server
  console [options]    the console in a real browser; --pictures=DIR, --load, --only=WORDS
  schemathesis         the OpenAPI description held against a running server
  monitoring           alerts, dashboards and messages, with the real Prometheus and Alertmanager
  rules [--check]      write monitoring/’s rules and dashboards, or name those out of date
  verify [CHECK…]      what takes the service into production: image, chart, workflows and the rest
  bench [--quick] [NAME…]
                       how fast and how small it is, beside bare servers
  bench-cluster [--quick] [--nodes N] [--only PART]
                       several nodes as one network, one of them killed, all of them restarted
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    match args {
        ["env"] => env::start().map(drop),
        ["env", "--stop"] => env::stop(),
        ["test"] => suite::test(),
        ["check"] => suite::check(),
        ["generate"] => generate::write(),
        ["generate", "--check"] => generate::check(&serve::build()?),
        ["clients"] => clients::run(&serve::build()?, &env::start()?, &mut Tally::default()),
        ["console"] => console::check(&serve::build()?, &env::start()?, &mut Tally::default()),
        ["console", options @ ..] => {
            env::start()?;
            console::with(&serve::build()?, options)
        }
        ["schemathesis"] => schemathesis::run(&serve::build()?, &env::start()?),
        ["monitoring"] => {
            let tally = &mut Tally::default();
            monitoring::run(&serve::build()?, &env::start()?, tally)
        }
        ["rules"] => monitoring::generate(&[]),
        ["rules", "--check"] => monitoring::generate(&["--check"]),
        ["verify", names @ ..] => {
            let tally = &mut Tally::default();
            verify::run(&serve::build()?, &env::start()?, names, tally)
        }
        ["bench", options @ ..] => bench::run(options),
        ["bench-cluster", options @ ..] => bench::cluster::run(options),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("there is no chore `{}`\n\n{HELP}", other.join(" ")),
    }
}
