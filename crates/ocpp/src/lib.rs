//! The Open Charge Point Protocol, and nothing else.
//!
//! A charger and its server exchange small JSON arrays over a WebSocket. This crate knows
//!
//! - how such an array is written and read: [`frame`];
//! - who may speak when, which answer belongs to which call, and what becomes of a call that is
//!   never answered: [`Peer`];
//! - what the messages of a version say: [`v16`].
//!
//! It does not know a station, a session, a socket, a database or the time of day. There is no
//! `async`, no I/O and no clock: text goes in, text comes out, and `now` is an argument. The same
//! code is therefore the server's end of the line and, in the simulator, the charger's.
//!
//! ```text
//! socket text ──► Peer::receive ──► Received::Call ──► v16::ChargerCall::parse ──► the server
//! socket text ◄── Peer::answer  ◄───────────────────── v16::ServerConf ◄───────────┘
//! ```
//!
//! # Strict in what it writes, lenient in what it reads
//!
//! Chargers in the field send numbers as text, times without a zone, names longer than allowed,
//! and words no specification has. Refusing them helps nobody: a CALLERROR makes a charger drop
//! the record of a charge that was delivered. So every message is read for what can be understood,
//! and each liberty taken is noted as a [`Deviation`] for the caller to count and log.
//! What cannot be understood at all becomes a [`CallError`] with the code the specification gives.
//! Nothing a charger sends is trusted to be small: every text, list and queue has a named bound.
//!
//! # Words used here
//!
//! *Call*, *result* and *error* are the frames of OCPP-J. A *request* is what a call carries and a
//! *conf* what its result carries, as OCPP 1.6 names them. Types named `Charger…` are said by a
//! charger, types named `Server…` by the server.
//!
//! Sections are cited as "OCPP-J 1.6 §4.2" (the JSON binding), "OCPP 1.6 §4.8" (edition 2) and
//! "OCPP 2.0.1 Part 4 §4" (the JSON binding of edition 3).

pub mod deviation;
pub mod error;
pub mod frame;
mod json;
pub mod message;
pub mod peer;
pub mod read;
mod time;
pub mod v16;
mod version;
mod words;

pub use deviation::{Deviation, Deviations, Fault};
pub use error::{CallError, ErrorCode};
pub use frame::{Frame, FrameError, FrameFault};
pub use message::{Call, Message, Parsed};
pub use peer::{IncomingCall, Peer, Received, Ticket};
pub use version::Version;
