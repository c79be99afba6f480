//! The real binary, in a process of its own: to be killed, and to be told to stop.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
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

impl Process {
    /// Starts one, and waits until it serves.
    pub async fn start(ground: &Ground, settings: &[(&str, &str)]) -> Self {
        let log = ground.file("log");
        let stderr = std::fs::File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_enchufe"))
            .arg("serve")
            .current_dir(log.parent().unwrap())
            // Whoever runs the tests may have settings of their own.
            .env_clear()
            .envs(ground.settings(settings))
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
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
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
