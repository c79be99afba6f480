//! The programs that are measured, and those that measure. Each ends with us.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::env::free_port;
use crate::serve::secret;
use crate::shell::{cmd, wait};

/// A server is ready in a fraction of this.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Longer than the server's own patience with open connections.
const STOP_LIMIT: Duration = Duration::from_mins(2);
/// Lines of a log that an error shows.
const SHOWN: usize = 40;
/// Between looks at whether it is ready.
const LOOK: Duration = Duration::from_millis(1);

/// Where a server lives: it can be started there again.
pub struct Place {
    /// The port of its API and its chargers.
    pub port: u16,
    metrics: u16,
    /// Its admin's token.
    pub token: String,
    data: PathBuf,
    settings: Vec<(&'static str, String)>,
}

impl Place {
    /// One with these ports, a data directory, and settings besides (`ENCHUFE_…`).
    pub fn new(ports: [u16; 2], data: &Path, settings: &[(&'static str, String)]) -> Result<Self> {
        Ok(Self {
            port: ports[0],
            metrics: ports[1],
            token: secret()?,
            data: data.to_owned(),
            settings: settings.to_vec(),
        })
    }

    /// Where it listens, as `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its chargers connect.
    pub fn chargers(&self) -> String {
        format!("ws://127.0.0.1:{}/ocpp", self.port)
    }
}

/// A running `enchufe serve`.
pub struct Server {
    /// Where it listens, as `http://127.0.0.1:<port>`.
    pub url: String,
    /// Its admin's token.
    pub token: String,
    /// From the program's start to the first 200 of `/healthz`.
    pub ready_after: Duration,
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// Starts one on a data directory, with the database in it unless another is given.
    pub fn start(binary: &Path, data: &Path, database: Option<&str>) -> Result<Self> {
        let database = database.map(|url| ("ENCHUFE_DATABASE_URL", url.to_owned()));
        let settings: Vec<_> = database.into_iter().collect();
        let place = Place::new([free_port()?, free_port()?], data, &settings)?;
        Self::start_at(binary, &place)
    }

    /// Starts one at a place. Its log goes on where the one before it stopped.
    pub fn start_at(binary: &Path, place: &Place) -> Result<Self> {
        let Place {
            port,
            metrics,
            token,
            data,
            ..
        } = place;
        let log = data.join("log");
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = bound(binary);
        command.arg("serve");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ENCHUFE_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(data)
            .env("ENCHUFE_LISTEN", format!("127.0.0.1:{port}"))
            .env("ENCHUFE_METRICS_LISTEN", format!("127.0.0.1:{metrics}"))
            .env("ENCHUFE_DATA_DIR", data)
            .env("ENCHUFE_ADMIN_TOKEN", token)
            .env("ENCHUFE_ALLOW_UNAUTHENTICATED_CHARGERS", "true")
            .envs(place.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let begun = Instant::now();
        let child = command.spawn().context("setpriv cannot be started")?;
        let mut server = Self {
            url: place.url(),
            token: token.clone(),
            ready_after: Duration::ZERO,
            child,
            port: *port,
            log,
        };
        while server
            .ask("/healthz")
            .map_or(true, |(status, _)| status != 200)
        {
            let ended = server.child.try_wait()?.is_some();
            if ended || begun.elapsed() > START_LIMIT {
                bail!("the server is not ready; it said:\n{}", server.said());
            }
            sleep(LOOK);
        }
        server.ready_after = begun.elapsed();
        Ok(server)
    }

    /// `kill -9`: it does nothing more.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop (SIGTERM), and tells how long that took.
    pub fn stop(mut self) -> Result<Duration> {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        match wait(&mut self.child, STOP_LIMIT)? {
            Some(status) if status.success() => Ok(begun.elapsed()),
            status => bail!(
                "the server ended with {status:?}; it said:\n{}",
                self.said()
            ),
        }
    }

    /// Where its chargers connect.
    pub fn chargers(&self) -> String {
        format!("ws://127.0.0.1:{}/ocpp", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The body of a GET.
    pub fn get(&self, path: &str) -> Result<String> {
        let (status, body) = self.ask(path)?;
        ensure!(
            status == 200,
            "GET {path} was answered with {status}: {body}"
        );
        Ok(body)
    }

    fn ask(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let token = &self.token;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        Ok((status.context("no HTTP answer")?, body.to_owned()))
    }

    /// The last lines of its log.
    fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let asked = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let ended = asked.is_ok() && matches!(wait(&mut self.child, STOP_LIMIT), Ok(Some(_)));
        if !ended {
            println!("  the server had to be killed; it said:\n{}", self.said());
        }
    }
}

/// The bare servers.
pub struct Floor {
    /// Where they listen, as `http://127.0.0.1:<port>`.
    pub url: String,
    child: Child,
}

impl Floor {
    pub fn start(binary: &Path, station: &Path) -> Result<Self> {
        let mut child = bound(binary)
            .arg(station)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let said = child.stdout.take().context("no standard output")?;
        BufReader::new(said).read_line(&mut url)?;
        let url = url.trim().to_owned();
        Ok(Self { url, child })
    }

    /// Where its lines connect.
    pub fn chargers(&self) -> String {
        format!("{}/ocpp", self.url.replacen("http", "ws", 1))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // Gone or not, there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The client that asks for round trips.
pub struct Client {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Client {
    pub fn start(binary: &Path, args: [&str; 4], password: Option<&str>) -> Result<Self> {
        let mut command = bound(binary);
        command
            .args(args)
            .env_remove("ENCHUFE_CHARGER_PASSWORD")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(password) = password {
            command.env("ENCHUFE_CHARGER_PASSWORD", password);
        }
        let mut child = command.spawn()?;
        let said = child.stdout.take().context("no standard output")?;
        let said = BufReader::new(said);
        Ok(Self { child, said })
    }

    /// The next thing it says.
    pub fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        serde_json::from_str(&line).context("the client ended early")
    }

    /// Has it let go of its lines.
    pub fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the client ended with {status}");
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // After `end` there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Memory the process has taken for itself, in bytes: neither its program nor the kernel's part.
pub fn anonymous_memory(pid: u32) -> Result<f64> {
    memory(pid, "RssAnon:")
}

/// All memory the process occupies, its program included, in bytes.
pub fn resident_memory(pid: u32) -> Result<f64> {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: f64 = kilobytes.context("no such field")?.trim().parse()?;
    Ok(kilobytes * 1024.0)
}

/// A program that ends when we do.
pub fn bound(program: impl AsRef<OsStr>) -> Command {
    let mut command = cmd("setpriv", ["--pdeathsig", "KILL"]);
    command.arg(program);
    command
}
