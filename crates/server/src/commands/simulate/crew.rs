//! Many chargers: in this process, or in several that this one leads.

use std::io::{IsTerminal as _, stderr};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use simulator::load::crew::{self, Job, Outcome, Standing};
use simulator::load::{Options, Report, Verdict, verify_journals};
use simulator::rest::Api;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::say;

/// Between two lines of progress: on a terminal or for a program, and in a file.
const PROGRESS: Duration = Duration::from_secs(1);
const PROGRESS_IN_A_FILE: Duration = Duration::from_secs(10);

/// Between two such lines while the server is held to what it has acknowledged, in chargers.
const VERIFIED: usize = 1_000;

/// Bytes that a part in this process may be ahead of whoever reads.
const PIPE: usize = 64 * 1024;

/// A run, with what is to be done about its result.
pub(super) struct Run {
    pub(super) options: Options,
    pub(super) processes: usize,
    pub(super) record: Option<PathBuf>,
    /// Where to look up what was acknowledged, if at all.
    pub(super) servers: Vec<Api>,
    pub(super) json: bool,
}

type Ends = (
    Box<dyn AsyncRead + Send + Unpin>,
    Box<dyn AsyncWrite + Send + Unpin>,
);

/// The parts as they run: they end with this.
enum Parts {
    Here(JoinHandle<std::io::Result<()>>),
    Processes(Vec<Child>),
}

/// What is printed as JSON in the end.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    report: &'a Report,
    verified: Option<&'a Verdict>,
}

impl Run {
    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<ExitCode> {
        // Where nobody asked for a record, what there is to verify is kept as long as we are here.
        let directory = tempfile::tempdir().context("no temporary directory")?;
        let kept = directory.path().join("acknowledged.jsonl");
        let record = match &self.record {
            None if !self.servers.is_empty() => Some(&kept),
            asked_for => asked_for.as_ref(),
        };
        let jobs = Job::divide(&self.options, record.map(PathBuf::as_path), self.processes);
        let journals: Vec<PathBuf> = jobs.iter().filter_map(|job| job.record.clone()).collect();

        let (standing, watched) = watch::channel(Standing::default());
        let watching = tokio::spawn(watch(watched, self.options.chargers, self.json));
        let outcome = lead(jobs, standing, shutdown).await?;
        watching.abort();
        // Gone for good: the result is the last line.
        let _ = watching.await;
        if stderr().is_terminal() && !self.json {
            eprintln!();
        }
        let Outcome { report, recorded } = &outcome;
        if let Some(path) = &self.record {
            eprintln!("{recorded} lines in {}", names(path, &journals));
        }
        if !self.json {
            say(&report.to_string());
        }
        let mut verdict = None;
        if !self.servers.is_empty() {
            let found = verify_journals(&journals, &self.servers, verified).await?;
            if !self.json {
                say(&format!("\n{found}"));
            }
            verdict = Some(found);
        }
        if self.json {
            let verified = verdict.as_ref();
            say(&serde_json::to_string(&Printed { report, verified })?);
        }
        let good = verdict.is_none_or(|verdict| verdict.is_good());
        Ok(if good && report.connected > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Starts the parts and leads them.
async fn lead(
    jobs: Vec<Job>,
    standing: watch::Sender<Standing>,
    shutdown: CancellationToken,
) -> anyhow::Result<Outcome> {
    let (ends, parts) = start(jobs.len())?;
    let together = jobs.into_iter().zip(ends);
    let together = together.map(|(job, (said, orders))| (job, said, orders));
    let outcome = crew::lead(together.collect(), standing, shutdown).await;
    match parts {
        Parts::Here(part) => part.await.context("the run was not finished")??,
        Parts::Processes(children) => {
            for mut child in children {
                // Nobody listens to it any more, so it ends; what it had to say is in `outcome`.
                child.wait().await?;
            }
        }
    }
    Ok(outcome?)
}

fn start(parts: usize) -> anyhow::Result<(Vec<Ends>, Parts)> {
    if parts == 1 {
        // A pipe each way, so that the end of one is not the end of the other.
        let (orders, its_orders) = tokio::io::duplex(PIPE);
        let (its_words, words) = tokio::io::duplex(PIPE);
        let part = tokio::spawn(crew::work(its_orders, its_words));
        return Ok((vec![(Box::new(words), Box::new(orders))], Parts::Here(part)));
    }
    let program = std::env::current_exe().context("this program cannot be found")?;
    let mut ends: Vec<Ends> = Vec::with_capacity(parts);
    let mut children = Vec::with_capacity(parts);
    for _ in 0..parts {
        let mut child = Command::new(&program)
            .args(["simulate", "--part"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("a further process cannot be started")?;
        let said = child.stdout.take().context("no standard output")?;
        let orders = child.stdin.take().context("no standard input")?;
        ends.push((Box::new(said), Box::new(orders)));
        children.push(child);
    }
    Ok((ends, Parts::Processes(children)))
}

/// One of several processes. It ends when its input does.
pub(super) async fn part() -> anyhow::Result<ExitCode> {
    tokio::spawn(async {
        // Ctrl-C reaches all processes of a terminal; whoever leads decides.
        while tokio::signal::ctrl_c().await.is_ok() {}
    });
    crew::work(tokio::io::stdin(), tokio::io::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

fn names(asked_for: &Path, journals: &[PathBuf]) -> String {
    match journals {
        [_] => asked_for.display().to_string(),
        _ => format!("{}.1 to .{}", asked_for.display(), journals.len()),
    }
}

/// Tells how it goes: one line that renews itself on a terminal, a line now and then in a file, a
/// line of JSON for a program.
async fn watch(standing: watch::Receiver<Standing>, chargers: usize, json: bool) {
    let terminal = stderr().is_terminal() && !json;
    let every = if terminal || json {
        PROGRESS
    } else {
        PROGRESS_IN_A_FILE
    };
    let mut before = Standing::default();
    loop {
        tokio::time::sleep(every).await;
        let now = *standing.borrow();
        if json {
            say(&serde_json::json!({ "progress": now }).to_string());
            continue;
        }
        let (counts, then) = (&now.counts, &before.counts);
        let millis = Duration::from_micros(counts.p99_us).as_secs_f64() * 1e3;
        let line = format!(
            "{}/{chargers} connected · {} answers/s · {} unanswered · p99 {millis:.1} ms · {} errors",
            counts.booted,
            counts.answered.saturating_sub(then.answered) / every.as_secs(),
            counts.sent.saturating_sub(counts.answered),
            counts.errors,
        );
        show(&line);
        before = now;
    }
}

fn verified(chargers: usize) {
    if chargers.is_multiple_of(VERIFIED) {
        show(&format!("{chargers} chargers looked up"));
    }
}

fn show(line: &str) {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    } else {
        eprintln!("{line}");
    }
}
