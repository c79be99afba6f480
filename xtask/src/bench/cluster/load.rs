//! `enchufe simulate` beside the nodes: followed while it runs, and ended when enough was seen.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::process::bound;
use crate::shell::wait;

/// Between looks at where it stands.
const LOOK: Duration = Duration::from_millis(200);

/// How long it may take from its end to its last word: everything acknowledged is looked up.
const END_LIMIT: Duration = Duration::from_mins(20);

/// A run of simulated chargers.
pub struct Load {
    child: Child,
    chargers: u64,
    /// What it said last.
    said: Arc<Mutex<Value>>,
    log: PathBuf,
}

impl Load {
    /// Starts one that goes on until it is ended. What it says besides its results is in `log`.
    pub fn start(
        binary: &Path,
        urls: &[String],
        chargers: u64,
        args: &[&str],
        token: &str,
        log: &Path,
    ) -> Result<Self> {
        let mut command = bound(binary);
        command.args(["simulate", "--json", "--duration", "24h"]);
        for url in urls {
            command.args(["--url", url]);
        }
        command
            .args(["--chargers", &chargers.to_string()])
            .args(args)
            .env_remove("ENCHUFE_CHARGER_PASSWORD")
            .env("ENCHUFE_API_TOKEN", token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let said = Arc::default();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || follow(stdout, &heard));
        Ok(Self {
            child,
            chargers,
            said,
            log: log.to_owned(),
        })
    }

    /// Waits until all are connected and the work has begun.
    pub fn works(&mut self, limit: Duration) -> Result<()> {
        let (chargers, begun) = (self.chargers, Instant::now());
        self.until(limit, |progress| {
            progress["working"] == true && progress["booted"] == chargers
        })
        .with_context(|| format!("after {:.0} s", begun.elapsed().as_secs_f64()))
    }

    /// Waits until all are connected.
    pub fn is_complete(&mut self, limit: Duration) -> Result<()> {
        let chargers = self.chargers;
        self.until(limit, |progress| progress["booted"] == chargers)
    }

    fn until(&mut self, limit: Duration, is_so: impl Fn(&Value) -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            let said = self.last();
            if is_so(&said["progress"]) {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() {
                bail!("the simulator ended early:\n{}", self.log());
            }
            ensure!(
                begun.elapsed() < limit,
                "not all {} chargers are connected: {said}\n{}",
                self.chargers,
                self.log()
            );
            sleep(LOOK);
        }
    }

    /// Ends the work, and gives the result. That something is missing is no error here.
    pub fn end(mut self) -> Result<Value> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let ended = wait(&mut self.child, END_LIMIT)?;
        let begun = Instant::now();
        // Its last line may still be on its way through the pipe.
        while self.last()["chargers"].is_null() && begun.elapsed() < Duration::from_secs(5) {
            sleep(LOOK);
        }
        let result = self.last();
        ensure!(
            result["chargers"].is_number(),
            "the simulator ended with {ended:?} and no result:\n{}",
            self.log()
        );
        Ok(result)
    }

    fn last(&self) -> Value {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Gone or not, there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(stdout: ChildStdout, said: &Mutex<Value>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Ok(value) = serde_json::from_str(&line) {
            *said.lock().unwrap_or_else(PoisonError::into_inner) = value;
        }
    }
}
