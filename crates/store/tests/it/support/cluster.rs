//! A PostgreSQL of the test's own, to be stopped and started at will.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Database, postgres_programs};
use store::Location;

/// A cluster in a directory of its own. Gone when dropped.
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
            run(chown.arg("postgres").arg(directory.path()));
        }
        let port = free_port();
        let cluster = Self { directory, port };
        let auth = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"];
        run(cluster
            .program("initdb")
            .arg("-D")
            .arg(cluster.data())
            .args(auth));
        cluster.start();
        cluster
    }

    /// Its `postgres` database.
    pub fn database(&self) -> Database {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        Database {
            location: Location::Postgres(url),
        }
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
        let told = std::fs::read_to_string(log).unwrap_or_default();
        assert!(
            started,
            "{start:?}
{told}"
        );
    }

    /// Takes it away: `fast` says goodbye, `immediate` is a crash.
    pub fn stop(&self, mode: &str) {
        run(self.pg_ctl("stop").args(["-w", "-m", mode]));
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
        let _ = self.pg_ctl("stop").args(["-m", "immediate"]).output();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn run(command: &mut Command) {
    assert!(succeeds(command), "{command:?}");
}

fn succeeds(command: &mut Command) -> bool {
    // A started server would keep a pipe open for as long as it lives: its output goes to its log.
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.unwrap().success()
}
