//! What a charger tells about its life, in words.

use std::fmt;
use std::time::Duration;

use ocpp::v16::{ChargePointErrorCode, ChargePointStatus, RegistrationStatus};

/// Something happened at a charger. `Display` is one readable line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The line is up.
    Connected,
    /// The line could not be had.
    Unreachable {
        /// Why.
        reason: String,
        /// Until the next attempt.
        wait: Duration,
    },
    /// The line is gone.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// The server has answered a boot.
    Booted {
        /// What it said.
        status: RegistrationStatus,
        /// Seconds between heartbeats, or until the next attempt.
        interval: u64,
    },
    /// A heartbeat was answered.
    Heartbeat,
    /// A connector changed its state.
    Status {
        /// Which.
        connector: i64,
        /// The new state.
        status: ChargePointStatus,
        /// What troubles it, if anything.
        error_code: ChargePointErrorCode,
    },
    /// The server refused a tag.
    TagRefused {
        /// Where.
        connector: i64,
        /// Which.
        tag: String,
        /// What it said.
        status: String,
    },
    /// The server has given a charge its number.
    Started {
        /// Where.
        connector: i64,
        /// The number.
        transaction: i64,
        /// Who charges.
        tag: String,
    },
    /// The meter was read.
    Metered {
        /// Where.
        connector: i64,
        /// The power drawn.
        power_w: u32,
        /// What this car has taken so far.
        energy_wh: u64,
    },
    /// A charge has ended.
    Stopped {
        /// Where.
        connector: i64,
        /// What the car has taken.
        energy_wh: u64,
        /// Why it ended.
        reason: String,
    },
    /// The server asked for something.
    Commanded {
        /// What.
        action: String,
        /// The answer.
        answer: String,
    },
    /// The server refused a message, or did not answer it.
    Refused {
        /// Which.
        action: &'static str,
        /// What it said.
        error: String,
    },
    /// Something came in that could not be used.
    Odd {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Unreachable { reason, wait } => {
                write!(
                    f,
                    "not connected: {reason}; next attempt in {:.1} s",
                    wait.as_secs_f32()
                )
            }
            Self::Disconnected { reason } => write!(f, "line lost: {reason}"),
            Self::Booted {
                status: RegistrationStatus::Accepted,
                interval,
            } => write!(
                f,
                "the server knows this charger; a heartbeat every {interval} s"
            ),
            Self::Booted { status, interval } => {
                write!(f, "the server says {status}; asking again in {interval} s")
            }
            Self::Heartbeat => f.write_str("heartbeat"),
            Self::Status {
                connector,
                status,
                error_code: ChargePointErrorCode::NoError,
            } => write!(f, "connector {connector} is {status}"),
            Self::Status {
                connector,
                status,
                error_code,
            } => write!(f, "connector {connector} is {status} ({error_code})"),
            Self::TagRefused {
                connector,
                tag,
                status,
            } => write!(
                f,
                "connector {connector}: the server says {status} to tag {tag}; \
                 enter it with PUT /api/v1/id-tags/{tag}"
            ),
            Self::Started {
                connector,
                transaction,
                tag,
            } => write!(
                f,
                "connector {connector}: transaction {transaction} for tag {tag}"
            ),
            Self::Metered {
                connector,
                power_w,
                energy_wh,
            } => {
                let kilowatts = f64::from(*power_w) / 1000.0;
                write!(
                    f,
                    "connector {connector}: {kilowatts:.1} kW, {energy_wh} Wh so far"
                )
            }
            Self::Stopped {
                connector,
                energy_wh,
                reason,
            } => write!(
                f,
                "connector {connector}: stopped after {energy_wh} Wh ({reason})"
            ),
            Self::Commanded { action, answer } => {
                write!(f, "the server asks {action}: {answer}")
            }
            Self::Refused { action, error } => write!(f, "{action} was refused: {error}"),
            Self::Odd { reason } => write!(f, "ignored what came in: {reason}"),
        }
    }
}
