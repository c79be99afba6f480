//! `enchufe doctor`: is this machine fit to serve with these settings?
//!
//! The checks are in [`checks`]; here they are run in turn and shown, each with what to do where
//! something is wrong.

mod checks;

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::clock::Clock;
use crate::config::{Config, ConfigError, Flags};

/// The settings are those of `enchufe serve`.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: Flags,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Nothing to do.
    Good,
    /// It will serve; somebody should know.
    Warning,
    /// It will not serve, or not for long.
    Bad,
}

/// What one check found.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Good,
            found: found.into(),
            remedy: None,
        }
    }

    fn warning(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self {
            check,
            verdict: Verdict::Warning,
            found: found.into(),
            remedy,
        }
    }

    fn bad(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self {
            check,
            verdict: Verdict::Bad,
            found: found.into(),
            remedy,
        }
    }
}

impl Doctor {
    /// Makes every check and prints the findings. The exit code is 1 if one of them is bad.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let findings = match self.settings.load() {
            Ok(config) => examine(&config).await,
            Err(error) => faults(error),
        };
        let ok = findings
            .iter()
            .all(|finding| finding.verdict != Verdict::Bad);
        if self.json {
            println!("{}", serde_json::json!({ "ok": ok, "checks": findings }));
        } else {
            print!("{}", table(&findings));
        }
        Ok(if ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Every check, in the order in which a start would meet what it checks.
async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = checks::configuration(config);
    findings.push(checks::data_directory(config));
    findings.push(checks::free_space(config));
    let clock = Clock::system();
    findings.extend(checks::database(config, &clock).await);
    findings.extend(checks::redis(config, &clock).await);
    findings.push(checks::clock(&clock));
    findings.push(checks::open_files());
    findings.extend(checks::ports(config).await);
    findings
}

/// Settings that cannot be used end the examination: nothing else can be looked for.
fn faults(error: ConfigError) -> Vec<Finding> {
    let faults = error.faults.into_iter();
    faults
        .map(|fault| {
            let remedy = "the other checks follow once the settings are valid";
            Finding::bad(
                "settings",
                format!("{}: {}", fault.name, fault.fault),
                remedy,
            )
        })
        .collect()
}

fn table(findings: &[Finding]) -> String {
    let width = findings
        .iter()
        .map(|finding| finding.check.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for Finding {
        check,
        verdict,
        found,
        remedy,
    } in findings
    {
        let sign = match verdict {
            Verdict::Good => '✓',
            Verdict::Warning => '!',
            Verdict::Bad => '✗',
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{sign} {check:width$}  {found}");
        if let Some(remedy) = remedy {
            let _ = writeln!(text, "  {:width$}  → {remedy}", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_to_do() {
        let findings = [
            Finding::good("clock", "2026-11-21"),
            Finding::bad("open files", "256 allowed", "raise the limit"),
        ];
        let expected = "\
✓ clock       2026-11-21
✗ open files  256 allowed
              → raise the limit
";
        assert_eq!(table(&findings), expected);
    }

    #[tokio::test]
    async fn a_machine_with_room_is_fit() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = Config {
            data_dir: directory.path().join("data"),
            listen: "127.0.0.1:0".parse().expect("an address"),
            metrics_listen: "127.0.0.1:0".parse().expect("an address"),
            ..Config::defaults()
        };
        let findings = examine(&config).await;
        assert!(
            findings
                .iter()
                .all(|finding| finding.verdict != Verdict::Bad),
            "{findings:?}"
        );
        let left: Vec<_> = directory.path().read_dir().expect("readable").collect();
        assert!(
            left.is_empty(),
            "the doctor left something behind: {left:?}"
        );
    }
}
