//! `make test` and `make check`: every step runs, whatever became of the one before, and the end
//! says what passed and what did not.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::env::{self, Settings};
use crate::shell::{Tally, cargo, run, run_counted, which};
use crate::{clients, console, generate, monitoring, schemathesis, serve, verify};

/// No step of ours comes near it; a build on a slow machine might.
const LIMIT: Duration = Duration::from_hours(1);

/// Traces, which a default build has not. Always built as a part of the whole workspace: of one
/// package alone, the dependencies would have other features, and be compiled anew.
const TRACES: &str = "enchufe/otlp";

/// Everything a change can break.
pub fn test() -> Result<()> {
    let mut report = Report::default();
    let settings = report.step("test services", |_| env::start());
    let settings = settings.unwrap_or_default();
    format_and_lints(&mut report);
    if let Some(binary) = report.step("build", |_| serve::build()) {
        report.step("generated files", |_| generate::check(&binary));
        report.step("tests", |tally| tests(&settings, tally));
        report.step("tests of the traces", tests_of_traces);
        report.step("documentation tests", |tally| doc_tests(&settings, tally));
        report.step("documentation", |_| documentation());
        report.step("third-party clients", |tally| {
            clients::run(&binary, &settings, tally)
        });
        report.step("console", |tally| console::check(&binary, &settings, tally));
        report.step("schemathesis", |_| schemathesis::run(&binary, &settings));
        report.step("monitoring", |tally| {
            monitoring::run(&binary, &settings, tally)
        });
        report.step("delivery", |tally| {
            verify::run(&binary, &settings, &verify::QUICK, tally)
        });
    }
    report.close()
}

/// The quick one before a commit: no services, no server.
pub fn check() -> Result<()> {
    let mut report = Report::default();
    format_and_lints(&mut report);
    report.step("unit tests", |tally| {
        let scope = ["--workspace", "--lib", "--bins"];
        run_counted(cargo(runner()).args(scope), LIMIT, tally)
    });
    report.close()
}

fn format_and_lints(report: &mut Report) {
    report.step("formatting", |_| {
        run(&mut cargo(["fmt", "--all", "--check"]))
    });
    report.step("lints", |_| lint(&["--workspace", "--all-targets"]));
    // What no default build holds is compiled here, or nowhere.
    report.step("lints of the traces", |_| {
        lint(&["--workspace", "--all-targets", "--features", TRACES])
    });
}

fn lint(scope: &[&str]) -> Result<()> {
    let mut command = cargo(["clippy"]);
    run(command.args(scope).args(["--", "-D", "warnings"]))
}

/// `cargo nextest run` where it is installed, `cargo test` elsewhere.
fn runner() -> &'static [&'static str] {
    if which("cargo-nextest").is_some() {
        &["nextest", "run", "--no-fail-fast"]
    } else {
        &["test", "--no-fail-fast"]
    }
}

fn tests(settings: &Settings, tally: &mut Tally) -> Result<()> {
    // Everything but documentation tests, which `cargo nextest` does not know and the next step runs.
    let mut command = cargo(runner());
    command
        .args(["--workspace", "--all-targets"])
        .envs(settings.iter().cloned());
    run_counted(&mut command, LIMIT, tally)
}

/// Only what no other build has.
fn tests_of_traces(tally: &mut Tally) -> Result<()> {
    let scope = ["--workspace", "--lib", "--features", TRACES, "otlp"];
    run_counted(cargo(runner()).args(scope), LIMIT, tally)
}

fn doc_tests(settings: &Settings, tally: &mut Tally) -> Result<()> {
    let mut command = cargo(["test", "--workspace", "--doc"]);
    run_counted(command.envs(settings.iter().cloned()), LIMIT, tally)
}

fn documentation() -> Result<()> {
    // Its readers are those who change it: what is private is documented, and may be linked to.
    let scope = ["--workspace", "--no-deps", "--document-private-items"];
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    run(cargo(["doc"]).args(scope).env("RUSTDOCFLAGS", flags))
}

/// What the steps came to.
#[derive(Default)]
struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    error: Option<String>,
    tally: Tally,
    took: Duration,
}

impl Report {
    /// Runs one step under its own heading and keeps its outcome.
    fn step<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut Tally) -> Result<T>,
    ) -> Option<T> {
        println!("\n== {name}");
        let started = Instant::now();
        let mut tally = Tally::default();
        let outcome = work(&mut tally);
        let error = outcome.as_ref().err().map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            println!("{error}");
        }
        self.rows.push(Row {
            name,
            error,
            tally,
            took: started.elapsed(),
        });
        outcome.ok()
    }

    /// Prints the summary and fails if a step did.
    fn close(self) -> Result<()> {
        println!("\n== summary");
        for row in &self.rows {
            println!("{}", row.line());
        }
        let total = self.total();
        println!("\n{} passed, {} failed", total.passed, total.failed);
        // Said again where the end of a long output is all that is looked at.
        for name in &total.named {
            println!("  {name}");
        }
        let named = u64::try_from(total.named.len()).unwrap_or(u64::MAX);
        if total.failed > named {
            println!("  and {} more", total.failed - named);
        }
        if self.rows.iter().any(|row| row.error.is_some()) {
            bail!("not everything passed");
        }
        Ok(())
    }

    fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.rows.iter().for_each(|row| total.add(&row.counted()));
        total
    }
}

impl Row {
    /// The step’s tests. A step that counts none of its own counts as one, and a failed step as at
    /// least one failure.
    fn counted(&self) -> Tally {
        let Tally {
            mut passed,
            mut failed,
            mut named,
        } = self.tally.clone();
        if let Some(error) = &self.error {
            failed = failed.max(1);
            if named.is_empty() {
                named.push(format!(
                    "{}: {}",
                    self.name,
                    error.lines().next().unwrap_or_default()
                ));
            }
        } else if passed + failed == 0 {
            passed = 1;
        }
        Tally {
            passed,
            failed,
            named,
        }
    }

    fn line(&self) -> String {
        let mark = if self.error.is_some() { "FAILED" } else { "ok" };
        let seconds = self.took.as_secs_f64();
        let Tally { passed, failed, .. } = self.tally;
        let counts = if passed + failed == 0 {
            String::new()
        } else {
            format!("   {passed} passed, {failed} failed")
        };
        format!("  {mark:<8}{:<22}{seconds:>8.1} s{counts}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_runs_and_one_failure_fails_the_whole() {
        let mut report = Report::default();
        report.step("counts", |tally| {
            tally.passed += 7;
            Ok(())
        });
        assert!(
            report
                .step("breaks", |_| -> Result<()> { bail!("why") })
                .is_none()
        );
        assert_eq!(report.step("goes on", |_| Ok(3)), Some(3));
        assert_eq!(
            report.total(),
            Tally {
                passed: 8,
                failed: 1,
                named: vec!["breaks: why".to_owned()],
            }
        );
        assert!(report.rows[1].line().starts_with("  FAILED  breaks"));
        assert!(report.close().is_err());
    }
}
