//! The real binary, in a process of its own: to be killed, and to be told to stop.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::server::Ground;
use super::{Access, PATIENCE, eventually};

/// `enchufe serve`. Killed when dropped.
pub struct Process {
    child: Child,
    access: Access,
}

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub now: u64,
    /// The most it ever was.
    pub peak: u64,
}

impl Process {
    /// Starts one, and waits until it serves.
    pub async fn start(ground: &Ground, settings: &[(&str, &str)]) -> Self {
        Self::start_in(ground, settings, &[]).await
    }

    /// The same, on a machine whose clock is off by what a file says (`+40d`), at any moment. The
    /// time that only runs is left alone, as it is where a clock is set.
    pub async fn start_with_clock(ground: &Ground, settings: &[(&str, &str)], file: &Path) -> Self {
        let library = faketime();
        let variables = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        Self::start_in(ground, settings, &variables).await
    }

    /// The same with variables that are not its settings.
    pub async fn start_in(
        ground: &Ground,
        settings: &[(&str, &str)],
        variables: &[(&str, &str)],
    ) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_enchufe"));
        Self::start_by(command, ground, settings, variables).await
    }

    /// The same, with so few open files: those it begins with, and those it may allow itself.
    pub async fn start_with_files(
        ground: &Ground,
        settings: &[(&str, &str)],
        files: (u32, u32),
    ) -> Self {
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--nofile={}:{}", files.0, files.1))
            .arg(env!("CARGO_BIN_EXE_enchufe"));
        Self::start_by(command, ground, settings, &[]).await
    }

    async fn start_by(
        mut command: Command,
        ground: &Ground,
        settings: &[(&str, &str)],
        variables: &[(&str, &str)],
    ) -> Self {
        let log = ground.file("log");
        let stderr = std::fs::File::create(&log).unwrap();
        let child = command
            .arg("serve")
            .current_dir(log.parent().unwrap())
            // Whoever runs the tests may have settings of their own.
            .env_clear()
            .envs(ground.settings(settings))
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (address, metrics_address) =
            eventually("the process says that it serves", async || {
                listening_on(&log)
            })
            .await;
        let access = Access::open(address, metrics_address).await;
        Self { child, access }
    }

    /// `kill -9`: it does nothing more.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&self) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), Signal::TERM).unwrap();
    }

    /// What it holds of the machine's memory.
    pub fn memory(&self) -> Memory {
        let status = procfs::process::Process::new(self.pid()).unwrap().status();
        let status = status.unwrap();
        Memory {
            now: status.vmrss.unwrap() * 1024,
            peak: status.vmhwm.unwrap() * 1024,
        }
    }

    /// Its number among the machine's processes.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id().unwrap()).unwrap()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the process goes on").unwrap()
    }
}

impl Deref for Process {
    type Target = Access;
    fn deref(&self) -> &Access {
        &self.access
    }
}

/// The library that gives a program another time of day.
fn faketime() -> PathBuf {
    let directories = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let libraries = directories.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let mut there = libraries.filter(|library| library.is_file());
    there
        .next()
        .expect("libfaketime is not here: run `cargo xtask env`")
}

/// Reads `(listening on 127.0.0.1:1 and 127.0.0.1:2)` in a log.
fn listening_on(log: &PathBuf) -> Option<(SocketAddr, SocketAddr)> {
    let text = std::fs::read_to_string(log).ok()?;
    assert!(
        !text.contains("error: "),
        "the process did not start: {text}"
    );
    let (_, rest) = text.split_once("listening on ")?;
    let (addresses, _) = rest.split_once(')')?;
    let (address, metrics_address) = addresses.split_once(" and ")?;
    Some((address.parse().ok()?, metrics_address.parse().ok()?))
}
