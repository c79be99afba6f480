//! Use-cases: load, decide, save. The one door to writes.
//!
//! The API, the console and the gateway all come through here. A use-case loads what a decision
//! needs, asks [`domain`] for the decision, and has the [`store`] commit it with its events; what
//! it returns is durable. When the store says that the ground shifted meanwhile, it loads and
//! decides again.

mod analyses;
mod charging;
mod commands;
mod drills;
mod endings;
mod events;
mod flights;
mod health;
mod id_tags;
mod journal;
mod sessions;
mod sign_ins;
mod stations;
mod tokens;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use domain::station::StationError;
use domain::{DrillId, StationId, TokenId};
use jiff::Timestamp;
use store::{Idempotency, StoreError};
use tokio::sync::{Mutex, MutexGuard};

pub use crate::drill::{Drill, Measured};
pub use crate::llm::Failure;
pub use crate::llm::story::Claim;
pub use crate::state::App;
pub use analyses::{Reads, StationStory, Tales};
pub use charging::{Authorization, KnownSessions, MeterReport, Started, TransactionIds};
pub use commands::{MAX_WAIT, Ordered};
pub use endings::Endings;
pub use flights::Flights;
pub use health::Health;
pub use id_tags::IdTagEntry;
pub use journal::NewEntry;
pub use sign_ins::{NewSignIn, SignedIn};
pub use stations::{Connected, ConnectorPatch, NODE_LOST, NewStation, StationPatch};
pub use store::{EntryFilter, EntryPlace, MAX_PAGE, SessionFilter, StationFilter, StoredReading};
pub use tokens::{KnownTokens, MadeToken, hex, new_secret, token_made, token_revoked};

/// How often a decision is made anew because the ground shifted. Each round somebody else's commit
/// went through, so nothing stands still; this many in a row means a defect.
const MAX_ROUNDS: usize = 16;

/// Stations whose decisions may be under way at once. A few bytes each; two stations that share a
/// place wait for each other, which costs a commit's time and nothing else.
const TURNS: usize = 8192;

/// Why a use-case could not be carried out. One `match` makes a problem document of it, another an
/// OCPP answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppError {
    /// There is no such thing.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// There is one already, or the state of things forbids it.
    #[error("{0}")]
    Conflict(Conflict),
    /// `If-Match` names a version that is no longer the present one.
    #[error("the resource changed since it was read")]
    PreconditionFailed,
    /// The request is well formed and means nothing.
    #[error("{0}")]
    Unprocessable(Meaningless),
    /// The station's charger has no live connection.
    #[error("the station's charger is not connected")]
    Offline,
    /// The connection no longer speaks for its station: a newer one does, or none.
    #[error("the connection no longer speaks for its station")]
    Superseded,
    /// The charger is connected to another node, which cannot be reached now.
    #[error("the node that holds the charger cannot be reached")]
    Unreachable,
    /// This server was told not to do such things.
    #[error("{0}")]
    Disabled(&'static str),
    /// What is asked for was there once, and is kept no longer.
    #[error("{0}")]
    Forgotten(String),
    /// Too much is waiting: try again in a moment.
    #[error("too much is waiting")]
    Busy,
    /// The database does not answer, and nothing was done: try again later.
    #[error("the database does not answer")]
    Unavailable,
    /// The database went away in the middle: nobody knows yet whether it was done.
    #[error("the database went away over a commit")]
    InDoubt,
    /// The language model gave no analysis.
    #[error("{0}")]
    Analysis(Failure),
    /// A defect, or a broken database. Logged where it is handled.
    #[error("{0}")]
    Internal(String),
}

/// Why the state of things forbids it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Another sending of the request is not yet done.
    #[error("the same request is being carried out just now; send it again in a moment")]
    UnderWay,
    /// The request is a repeated one, and its result was removed meanwhile.
    #[error("this request was carried out before, and what it made is gone")]
    Gone,
    /// Somebody else was quicker.
    #[error("the record changed meanwhile")]
    Changed,
    /// The entry is not the one any more that was read.
    #[error("the entry changed while it was read; ask again")]
    EntryChanged,
    /// A drill runs.
    #[error("drill {id} runs until {}; wait for its end, or abort it", until.strftime("%H:%M:%SZ"))]
    DrillRuns {
        /// Which.
        id: DrillId,
        /// When its time is over.
        until: Timestamp,
    },
    /// A drill is about to run, or has just run.
    #[error("another drill is just beginning or ending; there is one at a time")]
    DrillAtItsEdge,
    /// The session is another station's.
    #[error("this session is another station's")]
    SessionElsewhere,
    /// The session has ended, or is interrupted.
    #[error("this session is not active")]
    SessionNotActive,
    /// There is no such session.
    #[error("there is no such session")]
    NoSession,
    /// The id is taken.
    #[error("there is a station {0} already")]
    StationTaken(StationId),
    /// The station does not allow it.
    #[error("{0}")]
    Station(StationError),
}

/// What is wrong with a request that is well formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Meaningless {
    /// Its key was used before, for something else.
    #[error("this Idempotency-Key was used for a different request; use a new key")]
    KeyReused,
    /// It names a station that is not there.
    #[error("there is no station {0}; enter it first, or leave this out")]
    NoSuchStation(StationId),
    /// A drill without a load.
    #[error("this drill would do nothing; give it some load")]
    NothingToDo,
}

impl Meaningless {
    /// Where, as a JSON pointer.
    pub const fn pointer(&self) -> &'static str {
        match self {
            Self::KeyReused | Self::NothingToDo => "",
            Self::NoSuchStation(_) => "/station_id",
        }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable => Self::Unavailable,
            StoreError::InDoubt => Self::InDoubt,
            StoreError::Overloaded => Self::Busy,
            StoreError::Conflict => Self::Conflict(Conflict::Changed),
            error @ (StoreError::Database(_) | StoreError::Corrupt(_)) => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<StationError> for AppError {
    fn from(error: StationError) -> Self {
        match error {
            StationError::NoSuchEvse => Self::NotFound("EVSE"),
            StationError::NoSuchConnector => Self::NotFound("Connector"),
            StationError::NumberTaken | StationError::Full | StationError::ChargerOwnsState => {
                Self::Conflict(Conflict::Station(error))
            }
            StationError::Superseded => Self::Superseded,
        }
    }
}

/// Lets one decision about a station be made at a time, so that decisions on one node never
/// conflict with each other. Between nodes the store's guard decides.
#[derive(Debug)]
pub struct Turns {
    places: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        let places = std::iter::repeat_with(|| Mutex::new(()))
            .take(TURNS)
            .collect();
        Self {
            places,
            hasher: RandomState::new(),
        }
    }
}

impl Turns {
    async fn take(&self, id: &StationId) -> MutexGuard<'_, ()> {
        let place = self.hasher.hash_one(id) % TURNS as u64;
        // Below `TURNS`, so it fits.
        self.places[usize::try_from(place).unwrap_or(0)]
            .lock()
            .await
    }
}

/// A request that is to be carried out once, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Whose request.
    pub token_id: TokenId,
    /// The `Idempotency-Key`.
    pub key: String,
    /// What is asked, hashed.
    pub fingerprint: String,
}

impl App {
    /// Takes a station's turn. Whoever has it may be waiting for the database, so one waits here no
    /// longer than for a commit.
    async fn turn(&self, id: &StationId) -> Result<MutexGuard<'_, ()>, AppError> {
        let turn = tokio::time::timeout(self.store.patience().commit, self.turns.take(id)).await;
        turn.map_err(|_| AppError::Busy)
    }

    /// What an earlier sending of the request made, if there was one.
    async fn recall(&self, once: Option<&Once>) -> Result<Option<String>, AppError> {
        let Some(once) = once else { return Ok(None) };
        match self.store.idempotency(once.token_id, &once.key).await? {
            None => Ok(None),
            Some(seen) if seen.fingerprint == once.fingerprint => Ok(Some(seen.resource)),
            Some(_) => Err(AppError::Unprocessable(Meaningless::KeyReused)),
        }
    }

    /// What another sending of the request made, which won the race with this one.
    async fn outrun(&self, once: &Once) -> Result<String, AppError> {
        let made = self.recall(Some(once)).await?;
        made.ok_or(AppError::Conflict(Conflict::UnderWay))
    }

    /// What to remember of a request that makes `resource`.
    fn remember(&self, once: Option<&Once>, resource: String) -> Option<Idempotency> {
        once.map(|once| Idempotency {
            token_id: once.token_id,
            key: once.key.clone(),
            fingerprint: once.fingerprint.clone(),
            resource,
            created_at: self.clock.now(),
        })
    }
}

/// The answer to a repeated request whose result was removed meanwhile.
fn gone() -> AppError {
    AppError::Conflict(Conflict::Gone)
}

/// The rounds ran out. Names the place for the log.
fn contended(what: &'static str) -> AppError {
    tracing::error!(
        what,
        rounds = MAX_ROUNDS,
        "a decision kept losing to others"
    );
    AppError::Busy
}
