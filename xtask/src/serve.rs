//! A server of one’s own: built, started on free loopback ports with an empty data directory, asked
//! over HTTP, stopped politely.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::env::free_port;
use crate::shell::{cargo, cmd, read, run, succeeds, wait};

/// A debug build on a busy machine needs a while to create its database.
const START_LIMIT: Duration = Duration::from_mins(1);
/// Longer than the server’s own grace period for open connections.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Builds the `enchufe` binary and says where it is.
///
/// The whole workspace is built, so that the dependencies have the features the tests build them
/// with and nothing is compiled twice. `TEST_BINARY` names another build to try instead.
pub fn build() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("TEST_BINARY") {
        // Servers start elsewhere, where a relative path would lead nowhere.
        return Ok(std::path::absolute(binary)?);
    }
    run(&mut cargo(["build", "--workspace", "--all-targets"]))?;
    let metadata = read(&mut cargo(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo names no target directory")?;
    Ok(Path::new(target).join("debug/enchufe"))
}

/// A running server. Dropping it kills it; [`Server::stop`] also sees that it ends well.
pub struct Server {
    /// Where it listens, as `http://127.0.0.1:<port>`.
    pub url: String,
    /// The token of its first admin.
    pub token: String,
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    /// Starts `enchufe serve`, with these settings beside its own, and waits until it says it is
    /// ready.
    pub fn start(binary: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (port, metrics_port) = (free_port()?, free_port()?);
        let token = secret()?;
        let log = File::create(dir.path().join("log"))?;
        // Should this process be killed, the server goes with it.
        let mut command = cmd("setpriv", ["--pdeathsig", "TERM"]);
        command.arg(binary);
        // The settings of whoever runs the tests are not the tests’.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ENCHUFE_") {
                command.env_remove(name);
            }
        }
        let child = command
            .arg("serve")
            .current_dir(dir.path())
            .env("ENCHUFE_LISTEN", format!("127.0.0.1:{port}"))
            .env(
                "ENCHUFE_METRICS_LISTEN",
                format!("127.0.0.1:{metrics_port}"),
            )
            .env("ENCHUFE_DATA_DIR", dir.path().join("data"))
            .env("ENCHUFE_ADMIN_TOKEN", &token)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Self {
            url,
            token,
            child,
            dir,
        };
        server.wait_until_ready()?;
        println!("  server    {} (process {})", server.url, server.child.id());
        Ok(server)
    }

    /// Makes one request as admin; anything but a 2xx answer is an error that shows the body.
    pub fn put(&self, path: &str, body: &Value) -> Result<String> {
        self.request("PUT", path, body)
    }

    /// As [`Server::put`], with `POST`.
    pub fn post(&self, path: &str, body: &Value) -> Result<String> {
        self.request("POST", path, body)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Result<String> {
        let mut curl = cmd("curl", ["--silent", "--show-error", "--fail-with-body"]);
        curl.args([
            "--max-time",
            "20",
            "--request",
            method,
            "--json",
            &body.to_string(),
        ]);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        read(curl.arg(format!("{}{path}", self.url)))
            .with_context(|| format!("{method} {path} failed"))
    }

    /// Asks the server to stop, and fails if it does not, or does not end well.
    pub fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        match wait(&mut self.child, STOP_LIMIT)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!(
                "the server ended with {status}; it last said:\n{}",
                self.log()
            ),
            None => bail!("the server did not stop within {} s", STOP_LIMIT.as_secs()),
        }
    }

    /// The last lines the server wrote.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        let url = format!("{}/healthz", self.url);
        while !succeeds(&mut cmd(
            "curl",
            ["--silent", "--fail", "--max-time", "2", &url],
        )) {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the server ended with {status} while starting; it said:\n{}",
                    self.log()
                );
            }
            ensure!(
                started.elapsed() < START_LIMIT,
                "the server was not ready within {} s; it said:\n{}",
                START_LIMIT.as_secs(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone after `stop`; both calls then only say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// 32 hexadecimal digits nobody can guess.
pub fn secret() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
