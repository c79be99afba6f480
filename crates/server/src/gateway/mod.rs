//! Chargers: their sockets, who is connected, and the translation between wire and domain.
//!
//! [`handshake`] checks everything before the upgrade. `socket` then runs one small task per
//! connection, which feeds frames to [`ocpp::Peer`] and carries out what comes of them. `v16`
//! is where OCPP 1.6 and the domain meet, and the only place; another version is another file
//! beside it and another arm in `Dialect`. [`fleet`] knows which station is on which socket.

pub mod fleet;
pub mod handshake;
pub mod pace;
pub mod passwords;
mod socket;
mod v16;

use std::future::Future;
use std::time::Duration;

use domain::command::Trigger;
use domain::{Command, Hold, Outcome};
use ocpp::{CallError, Version};
use serde::Serialize;
use tokio::time::Instant;

use crate::app::{App, AppError};

/// The versions spoken here.
pub const SUPPORTED: &[Version] = &[Version::V16];

/// How long a charger's message may wait for a database that is away. Beyond this the connection
/// is closed without an answer: the charger keeps the message and sends it again.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pause before a database that is away is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The protocol version a connection speaks: everything that differs between them.
#[derive(Clone, Copy, Debug)]
enum Dialect {
    V16,
}

/// What a charger's call is answered with.
enum Reply {
    /// A result.
    Conf(Conf),
    /// An error.
    Refusal(CallError),
}

/// A result in its version's form.
enum Conf {
    V16(v16::Conf),
}

impl Serialize for Conf {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::V16(conf) => conf.serialize(serializer),
        }
    }
}

/// A call to a charger in its version's form.
enum Call {
    V16(v16::Call),
}

impl Call {
    fn action(&self) -> &'static str {
        match self {
            Self::V16(call) => call.action(),
        }
    }
}

impl Serialize for Call {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::V16(call) => call.serialize(serializer),
        }
    }
}

/// What a charger's answer to a command means.
struct Meaning {
    outcome: Outcome,
    detail: Option<String>,
}

/// The message cannot be answered now, and must not be lost: the connection is to be closed, so
/// that the charger sends it again.
#[derive(Debug)]
struct GiveUp(AppError);

impl Dialect {
    fn of(version: Version) -> Option<Self> {
        match version {
            Version::V16 => Some(Self::V16),
            Version::V201 | Version::V21 => None,
        }
    }

    /// Carries out what a charger calls for, and tells what to answer.
    async fn answer(
        self,
        app: &App,
        connection: &mut Connection,
        action: &str,
        payload: &str,
    ) -> Result<Reply, GiveUp> {
        match self {
            Self::V16 => v16::answer(app, connection, action, payload).await,
        }
    }

    /// The known name of an action, for the metrics: what chargers make up counts as one.
    fn known_action(self, action: &str) -> &'static str {
        let known = match self {
            Self::V16 => v16::ACTIONS,
        };
        known
            .iter()
            .find(|known| **known == action)
            .copied()
            .unwrap_or("unknown")
    }

    /// A command as a call; refused when the version has no way to say it.
    fn call(self, command: &Command) -> Result<Call, String> {
        match self {
            Self::V16 => v16::call(command).map(Call::V16),
        }
    }

    /// What the answer to a command means.
    fn meaning(self, action: &'static str, payload: &str) -> Result<Meaning, CallError> {
        match self {
            Self::V16 => v16::meaning(action, payload),
        }
    }
}

/// What a connection's messages are read against.
struct Connection {
    hold: Hold,
    version: Version,
    /// Whether the charger's boot was ever accepted, on this connection or one before.
    booted: bool,
    /// What the charger was asked to send before its boot was accepted, and has not refused: such
    /// messages are welcome even then. No longer than there are kinds of them.
    triggered: Vec<Trigger>,
}

impl Connection {
    /// Notes that a command is about to be sent.
    fn ordered(&mut self, command: &Command) {
        if let Command::TriggerMessage { message, .. } = command
            && !self.booted
            && !self.triggered.contains(message)
        {
            self.triggered.push(*message);
        }
    }

    /// Notes that the charger will not do it.
    fn refused(&mut self, command: &Command) {
        if let Command::TriggerMessage { message, .. } = command {
            self.triggered.retain(|kind| kind != message);
        }
    }
}

/// Does something until the database answers, for as long as a charger's message may wait.
async fn patiently<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, AppError>
where
    F: Future<Output = Result<T, AppError>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(AppError::Unavailable | AppError::Busy) if Instant::now() < deadline => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            result => return result,
        }
    }
}
