//! PostgreSQL and Redis: fresh databases for every test, and whole services of a test's own.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use url::Url;

/// A setting of the test environment: from the environment, or from what `cargo xtask env` wrote.
fn setting(name: &str) -> String {
    find_setting(name).unwrap_or_else(|| {
        panic!("{name} is not set: run `cargo xtask env`, which prepares it in .testenv/env")
    })
}

fn find_setting(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(workspace.join(".testenv/env")).ok()?;
        shell_settings(&text).remove(name)
    })
}

/// Reads `NAME=value` lines, a value perhaps in single quotes.
fn shell_settings(text: &str) -> HashMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = value.replace(r"'\''", "\u{1}").replace('\'', "");
        Some((name.trim().to_owned(), value.replace('\u{1}', "'")))
    };
    text.lines().filter_map(pair).collect()
}

/// An empty PostgreSQL database. Dropped with this, whatever happened.
pub struct PostgresDatabase {
    admin: String,
    name: String,
}

impl PostgresDatabase {
    pub fn create() -> Self {
        let admin = setting("TEST_POSTGRES_URL");
        let name = format!("it_{}", uuid::Uuid::new_v4().simple());
        let database = Self { admin, name };
        let created = database.psql(&format!("CREATE DATABASE {}", database.name));
        assert!(
            created,
            "PostgreSQL at {} takes no database: run `cargo xtask env`",
            database.admin
        );
        database
    }

    pub fn url(&self) -> String {
        let mut url: Url = self.admin.parse().unwrap();
        url.set_path(&self.name);
        url.into()
    }

    /// Runs a statement past the server, as somebody else would. A failure is a failure.
    pub fn execute(&self, sql: &str) {
        assert!(psql(&self.url(), sql), "refused: {sql}");
    }

    fn psql(&self, sql: &str) -> bool {
        psql(&self.admin, sql)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        self.psql(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// Runs statements on a database, and tells whether they were taken.
pub fn psql(database: &str, sql: &str) -> bool {
    let mut psql = Command::new(postgres_programs().join("psql"));
    succeeds(psql.args(["-q", "-X", "-d", database, "-c", sql]))
}

/// A PostgreSQL of the test's own, to be stopped and started at will. Gone when dropped.
pub struct Cluster {
    directory: TempDir,
    port: u16,
}

impl Cluster {
    /// Makes one and starts it.
    pub fn start_new() -> Self {
        let directory = TempDir::new().unwrap();
        if is_root() {
            let mut chown = Command::new("chown");
            assert!(succeeds(chown.arg("postgres").arg(directory.path())));
        }
        let port = free_port();
        let cluster = Self { directory, port };
        let auth = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"];
        let mut initdb = cluster.program("initdb");
        assert!(succeeds(initdb.arg("-D").arg(cluster.data()).args(auth)));
        cluster.start();
        cluster
    }

    /// Its `postgres` database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''",
            self.port
        );
        let log = self.directory.path().join("log");
        let mut start = self.pg_ctl("start");
        start.arg("-w").args(["-o", &options]).arg("-l").arg(&log);
        let started = succeeds(&mut start);
        assert!(started, "{start:?}\n{:?}", std::fs::read_to_string(log));
    }

    /// Takes it away without a word, as a crash does.
    pub fn crash(&self) {
        let mut stop = self.pg_ctl("stop");
        assert!(succeeds(stop.args(["-w", "-m", "immediate"])));
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn pg_ctl(&self, what: &str) -> Command {
        let mut command = self.program("pg_ctl");
        command.arg(what).arg("-D").arg(self.data());
        command
    }

    /// PostgreSQL refuses to run as root, so root lets the user `postgres` run it.
    fn program(&self, name: &str) -> Command {
        let program = postgres_programs().join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.directory.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may be down already.
        let _ = succeeds(self.pg_ctl("stop").args(["-m", "immediate"]));
    }
}

/// A Redis of the test's own, to be killed and started at will. It keeps its data over a restart.
pub struct Redis {
    directory: TempDir,
    port: u16,
    process: Option<Child>,
    tls: bool,
}

/// The certificate of a Redis that speaks TLS, and its key, in its directory.
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

impl Redis {
    /// Starts an empty one.
    pub fn start_new() -> Self {
        Self::start_in(TempDir::new().unwrap(), false)
    }

    /// Starts an empty one that speaks TLS and nothing else.
    pub fn start_new_with_tls() -> Self {
        let directory = TempDir::new().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let write = |name, text| std::fs::write(directory.path().join(name), text).unwrap();
        write(CERTIFICATE, made.cert.pem());
        write(KEY, made.signing_key.serialize_pem());
        Self::start_in(directory, true)
    }

    fn start_in(directory: TempDir, tls: bool) -> Self {
        let mut redis = Self {
            directory,
            port: free_port(),
            process: None,
            tls,
        };
        redis.start();
        redis
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}/", self.port)
    }

    /// What one has to trust who connects to one with TLS.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join(CERTIFICATE)
    }

    /// Starts it with what it had when it was killed, and waits until it listens.
    pub fn start(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        if self.tls {
            command.args(["--port", "0", "--tls-port", &port]);
            command.args(["--tls-cert-file", CERTIFICATE, "--tls-key-file", KEY]);
            command.args(["--tls-auth-clients", "no"]);
        } else {
            command.args(["--port", &port]);
        }
        command
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn();
        self.process = Some(
            process.unwrap_or_else(|_| panic!("redis-server is not here: run `cargo xtask env`")),
        );
        let started = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(started.elapsed() < super::PATIENCE, "redis-server is mute");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Lets it hang: it takes connections, and answers nothing.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        let pid = i32::try_from(process.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Takes it away without a word.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn postgres_programs() -> PathBuf {
    if let Some(bin) = find_setting("PG_BIN") {
        return bin.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file())
        .max()
        .expect("PostgreSQL's initdb is not there: run `cargo xtask env`")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn succeeds(command: &mut Command) -> bool {
    // A started server would keep a pipe open for as long as it lives: its output goes to its log.
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.unwrap().success()
}
