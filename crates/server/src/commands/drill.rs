//! `enchufe drill`: the load of a drill, from a shell in the container. It needs no server, no
//! rights and no disk: a process in the same container counts against the same limits.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use domain::drill::{DEFAULT_CPU, MAX_CPU, MAX_MEMORY, MAX_SECONDS, MIN_SECONDS};
use domain::{DrillEnd, DrillLoad};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval};

use crate::cgroup::Cgroup;
use crate::config::time_between;
use crate::drill::Load;

/// How often it says what it has come to.
const TOLD: Duration = Duration::from_secs(1);
/// The same where lines stay: in a log.
const TOLD_TO_A_LOG: Duration = Duration::from_secs(10);
/// The exit code of a program that was interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

const EXAMPLES: &str = "\
Examples:
  enchufe drill                            95 % of the CPU limit for 90 seconds
  enchufe drill --cpu 0.8 --duration 20m   below the limit, above what is requested
  enchufe drill --memory 0.9 --duration 10m

The load is on the whole container: what the service itself uses counts. Without
a limit, --cpu is a share of one core and --memory one of 512 MiB. Ctrl-C ends
it. Latency and errors are for a server's own drills: POST /api/v1/drills.";

/// What `drill` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DrillCommand {
    /// Share of the CPU limit to bring the container to, 0 to 1; 0.95 if nothing else is asked for
    #[arg(long, value_name = "SHARE", value_parser = cpu)]
    cpu: Option<f64>,

    /// Share of the memory limit to bring the container to, 0 to 0.95
    #[arg(long, value_name = "SHARE", value_parser = memory)]
    memory: Option<f64>,

    /// How long (1 s to 30 min)
    #[arg(long, value_name = "TIME", default_value = "90s")]
    #[arg(value_parser = time_between::<MIN_SECONDS, MAX_SECONDS>)]
    duration: Duration,
}

fn cpu(text: &str) -> Result<f64, String> {
    share(text, MAX_CPU)
}

fn memory(text: &str) -> Result<f64, String> {
    share(text, MAX_MEMORY)
}

fn share(text: &str, most: f64) -> Result<f64, String> {
    let share = text.parse().ok();
    let share = share.filter(|share| (0.0..=most).contains(share));
    share.ok_or_else(|| format!("`{text}` is no share; give a number between 0 and {most}"))
}

impl DrillCommand {
    /// Loads the container until the time is over or somebody interrupts.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let load = self.load();
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        println!("{}", announced(&load));
        let running = Load::start(&load).context("the system gives no threads")?;
        let until = Instant::now() + self.duration;
        let mut tell = interval(if stdout().is_terminal() {
            TOLD
        } else {
            TOLD_TO_A_LOG
        });
        let how = loop {
            tokio::select! {
                _ = interrupt.recv() => break DrillEnd::Aborted,
                _ = terminate.recv() => break DrillEnd::Aborted,
                () = tokio::time::sleep_until(until) => break DrillEnd::Completed,
                _ = tell.tick() => progress(&running, until),
            }
        };
        let ended = running.stop().await;
        if stdout().is_terminal() {
            println!();
        }
        if !ended {
            bail!("threads of the drill did not end; the end of this process takes them along");
        }
        println!("{how}; all of it is given back");
        Ok(match how {
            DrillEnd::Completed => ExitCode::SUCCESS,
            DrillEnd::Aborted | DrillEnd::Stopped => ExitCode::from(INTERRUPTED),
        })
    }

    fn load(&self) -> DrillLoad {
        let nothing = self.cpu.is_none() && self.memory.is_none();
        DrillLoad {
            cpu: self.cpu.unwrap_or(if nothing { DEFAULT_CPU } else { 0.0 }),
            memory: self.memory.unwrap_or(0.0),
            duration_seconds: self.duration.as_secs(),
            ..DrillLoad::default()
        }
    }
}

/// What is about to happen, against which limits.
fn announced(load: &DrillLoad) -> String {
    let limits = Cgroup::own().read();
    let cpu = limits.cpu_limit_cores.map_or_else(
        || "without a CPU limit (of one core)".to_owned(),
        |cores| format!("CPU limit {cores} cores"),
    );
    let memory = limits.memory_limit_bytes.map_or_else(
        || "without a memory limit (of 512 MiB)".to_owned(),
        |bytes| format!("memory limit {} MiB", mib(bytes)),
    );
    format!(
        "a load drill of {} s: cpu {} · memory {} · {cpu} · {memory}; Ctrl-C ends it",
        load.duration_seconds, load.cpu, load.memory
    )
}

/// One line that is written again and again, or a new one each time where lines stay.
fn progress(running: &Load, until: Instant) {
    let left = until.saturating_duration_since(Instant::now()).as_secs();
    let measured = running.measured();
    let line = format!(
        "{left:>5} s left · CPU {:.2} of {:.2} cores · holds {} MiB, aims at {} MiB",
        measured.cpu_used_cores,
        measured.cpu_target_cores,
        mib(measured.memory_held_bytes),
        mib(measured.memory_target_bytes),
    );
    if stdout().is_terminal() {
        print!("\r{line}   ");
        // Nobody who could be told.
        let _ = stdout().flush();
    } else {
        println!("{line}");
    }
}

fn mib(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        drill: DrillCommand,
    }

    fn load(line: &str) -> Result<DrillLoad, String> {
        let line = Line::try_parse_from(line.split(' '));
        line.map(|line| line.drill.load())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn with_nothing_said_it_is_the_drill_of_riseload() {
        assert_eq!(load("drill"), Ok(DrillLoad::default()));
        let memory = load("drill --memory 0.5 --duration 5m").expect("valid");
        assert_eq!((memory.cpu, memory.memory), (0.0, 0.5));
        assert_eq!(memory.duration_seconds, 300);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        for line in [
            "--cpu 1.1",
            "--cpu -0.1",
            "--cpu NaN",
            "--cpu all",
            "--memory 0.96",
            "--duration 0s",
            "--duration 31m",
        ] {
            let refused = load(&format!("drill {line}"));
            assert!(refused.is_err(), "{line}: {refused:?}");
        }
    }
}
