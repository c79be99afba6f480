//! One end of a connection: which answer belongs to which call, and what becomes of the rest.
//!
//! A [`Peer`] is a state machine without a socket. Text that arrived goes into
//! [`receive`](Peer::receive), and the caller sends whatever frames come out. It serves the server
//! and the charger alike, because OCPP-J treats both the same (OCPP-J 1.6 §4.1.1):
//!
//! - Each side has at most one call outstanding; further ones wait in a bounded queue. Calls of the
//!   two sides may cross, so what arrives never waits for what was sent.
//! - Every call ends: answered, refused, timed out, or handed back by [`close`](Peer::close). Its
//!   token, which is whatever the caller wants to know it by, comes back exactly once.
//! - A call that arrives twice, as retries do, is answered again and not acted on again.
//!
//! An idle peer owns no buffers beyond its last few answers; a server keeps tens of thousands.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use serde::Serialize;

use crate::frame::{self, Body, Frame, FrameError};
use crate::{CallError, Deviations, Version};

/// Calls that may wait for the one outstanding. A charger that is 16 answers behind has stopped
/// listening, and the caller should hear so.
pub const MAX_WAITING: usize = 16;

/// Answers that are kept for repeated calls. A side has one call outstanding, so a retry repeats
/// the last one; the second place forgives one message in between, such as a heartbeat.
pub const REMEMBERED_ANSWERS: usize = 2;

/// A longer answer is not kept; the call it answers is then taken as new. What chargers ask is
/// answered in less.
pub const MAX_REMEMBERED_BYTES: usize = 512;

/// One end of one connection. `T` is the caller's token for a call it makes.
#[derive(Debug)]
pub struct Peer<T> {
    version: Version,
    in_flight: Option<InFlight<T>>,
    waiting: VecDeque<Waiting<T>>,
    /// The last calls that arrived, newest first.
    recent: [Option<Arrived>; REMEMBERED_ANSWERS],
}

#[derive(Debug)]
struct InFlight<T> {
    token: T,
    id: Box<str>,
    deadline: Instant,
}

#[derive(Debug)]
struct Waiting<T> {
    call: InFlight<T>,
    frame: String,
}

#[derive(Debug)]
struct Arrived {
    fingerprint: u64,
    /// `None` until it is answered.
    answer: Option<Box<str>>,
}

/// What a received text means for the caller.
#[derive(Debug)]
pub enum Received<'a, T> {
    /// The other side calls; answer it with [`Peer::answer`] or [`Peer::refuse`].
    Call(IncomingCall<'a>),
    /// The other side tells something and wants no answer (OCPP 2.1).
    Send {
        /// The action's name.
        action: Cow<'a, str>,
        /// The request, as JSON.
        payload: &'a str,
    },
    /// A call of this side has ended.
    Answered {
        /// The call's token.
        token: T,
        /// The conf as JSON, or the refusal.
        result: Result<&'a str, CallError>,
        /// The next call, to be sent now.
        next: Option<String>,
    },
    /// Send this; there is nothing else to do.
    Reply {
        /// The frame.
        frame: String,
        /// Why it is sent.
        reason: Reason,
    },
    /// There is nothing to do.
    Ignored(Reason),
}

/// Why a text was not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The call was answered before; the answer goes out again.
    #[error("the call was answered before")]
    Repeated,
    /// The call arrived before and is being worked on; its answer will come.
    #[error("the call is being worked on")]
    InProgress,
    /// It answers no outstanding call: one that timed out, or none at all.
    #[error("there is no such call outstanding")]
    NoSuchCall,
    /// The other side could not use a result that was sent to it (OCPP 2.1).
    #[error("the answer was refused: {0}")]
    AnswerRefused(CallError),
    /// The text is no frame.
    #[error(transparent)]
    Malformed(FrameError),
}

/// A call from the other side.
#[derive(Debug)]
pub struct IncomingCall<'a> {
    /// The action's name.
    pub action: Cow<'a, str>,
    /// The request, as JSON.
    pub payload: &'a str,
    /// Needed to answer.
    pub ticket: Ticket,
    /// What is odd about the frame itself.
    pub deviations: Deviations,
}

/// The right to answer one call, once.
///
/// Dropping it leaves the call unanswered, and its repetitions too for as long as it is remembered.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "every call must be answered"]
pub struct Ticket {
    id: Box<str>,
    fingerprint: u64,
}

impl Ticket {
    /// The call's message id, for logs.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The queue has [`MAX_WAITING`] calls already; here is the token back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls are waiting for an answer")]
pub struct QueueFull<T>(pub T);

/// A call that ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered<T> {
    /// The call's token.
    pub token: T,
    /// Whether the call went out. If so its outcome is unknown; if not, nothing happened.
    pub sent: bool,
}

/// What the passing of time has brought about.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "tokens must be told and the next call must be sent"]
pub struct Expired<T> {
    /// Calls past their deadline, in the order they were made.
    pub calls: Vec<Unanswered<T>>,
    /// The next call, to be sent now.
    pub next: Option<String>,
}

impl<T> Peer<T> {
    /// A peer on a connection that has just been opened.
    pub const fn new(version: Version) -> Self {
        Self {
            version,
            in_flight: None,
            waiting: VecDeque::new(),
            recent: [const { None }; _],
        }
    }

    /// The version spoken on this connection.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Makes a call. Returns the frame if it is to be sent now; otherwise the call waits, and its
    /// frame comes out as somebody's `next`.
    ///
    /// The deadline is for the call as a whole, waiting included. `id` must be new (OCPP-J 1.6
    /// §4.1.4) and at most [`frame::MAX_MESSAGE_ID`] characters long.
    pub fn call(
        &mut self,
        token: T,
        id: impl Into<Box<str>>,
        action: &str,
        payload: &impl Serialize,
        deadline: Instant,
    ) -> Result<Option<String>, QueueFull<T>> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(QueueFull(token));
        }
        let id = id.into();
        let frame = frame::call(&id, action, payload);
        let call = InFlight {
            token,
            id,
            deadline,
        };
        // Those that wait are ahead of it, even if only until their deadlines are looked at.
        if self.in_flight.is_none() && self.waiting.is_empty() {
            self.in_flight = Some(call);
            Ok(Some(frame))
        } else {
            self.waiting.push_back(Waiting { call, frame });
            Ok(None)
        }
    }

    /// Takes in a text frame.
    pub fn receive<'a>(&mut self, text: &'a str, now: Instant) -> Received<'a, T> {
        let Frame {
            id,
            body,
            deviations,
        } = match Frame::parse(text) {
            Ok(frame) => frame,
            Err(error) => return self.malformed(error),
        };
        match body {
            Body::Call { action, payload } => self.incoming(&id, action, payload, deviations),
            Body::CallResult { payload } => self.answered(&id, Ok(payload), now),
            Body::CallError(error) => self.answered(&id, Err(error), now),
            Body::CallResultError(error) if self.version >= Version::V21 => {
                Received::Ignored(Reason::AnswerRefused(error))
            }
            Body::Send { action, payload } if self.version >= Version::V21 => {
                Received::Send { action, payload }
            }
            Body::CallResultError(_) | Body::Send { .. } => {
                self.malformed(FrameError::unknown_type(id.into_owned()))
            }
        }
    }

    /// Answers a call: the frame to send.
    #[must_use = "the answer must be sent"]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a ticket is good for one answer"
    )]
    pub fn answer(&mut self, ticket: Ticket, payload: &impl Serialize) -> String {
        let frame = frame::call_result(&ticket.id, payload);
        self.remember(&ticket, &frame);
        frame
    }

    /// Refuses a call: the frame to send.
    #[must_use = "the answer must be sent"]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a ticket is good for one answer"
    )]
    pub fn refuse(&mut self, ticket: Ticket, error: &CallError) -> String {
        let frame = frame::call_error(self.version, &ticket.id, error);
        self.remember(&ticket, &frame);
        frame
    }

    /// When [`expire`](Self::expire) has something to do, if nothing arrives before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|waiting| &waiting.call);
        self.in_flight
            .iter()
            .chain(waiting)
            .map(|call| call.deadline)
            .min()
    }

    /// Gives up on calls past their deadline and lets the next one go.
    pub fn expire(&mut self, now: Instant) -> Expired<T> {
        let mut calls = Vec::new();
        if let Some(call) = self.in_flight.take_if(|call| call.deadline <= now) {
            calls.push(Unanswered {
                token: call.token,
                sent: true,
            });
        }
        if self
            .waiting
            .iter()
            .any(|waiting| waiting.call.deadline <= now)
        {
            for waiting in std::mem::take(&mut self.waiting) {
                if waiting.call.deadline <= now {
                    calls.push(Unanswered {
                        token: waiting.call.token,
                        sent: false,
                    });
                } else {
                    self.waiting.push_back(waiting);
                }
            }
        }
        Expired {
            calls,
            next: self.advance(now),
        }
    }

    /// Hands back every call that will not be answered now, in the order they were made.
    pub fn close(self) -> impl Iterator<Item = Unanswered<T>> {
        let in_flight = self.in_flight.map(|call| Unanswered {
            token: call.token,
            sent: true,
        });
        let waiting = self.waiting.into_iter().map(|waiting| waiting.call.token);
        in_flight
            .into_iter()
            .chain(waiting.map(|token| Unanswered { token, sent: false }))
    }

    fn incoming<'a>(
        &mut self,
        id: &str,
        action: Cow<'a, str>,
        payload: &'a str,
        deviations: Deviations,
    ) -> Received<'a, T> {
        // Some chargers number badly and use an id for different calls. Those must not be taken
        // for repetitions, so the content counts as well.
        let mut hasher = DefaultHasher::new();
        (id, &action, payload).hash(&mut hasher);
        let fingerprint = hasher.finish();

        match self
            .recent
            .iter()
            .flatten()
            .find(|arrived| arrived.fingerprint == fingerprint)
        {
            Some(Arrived {
                answer: Some(answer),
                ..
            }) => {
                return Received::Reply {
                    frame: answer.to_string(),
                    reason: Reason::Repeated,
                };
            }
            Some(Arrived { answer: None, .. }) => return Received::Ignored(Reason::InProgress),
            None => {}
        }
        self.recent.rotate_right(1);
        self.recent[0] = Some(Arrived {
            fingerprint,
            answer: None,
        });
        let ticket = Ticket {
            id: id.into(),
            fingerprint,
        };
        Received::Call(IncomingCall {
            action,
            payload,
            ticket,
            deviations,
        })
    }

    fn remember(&mut self, ticket: &Ticket, frame: &str) {
        let arrived = |slot: &&mut Option<Arrived>| {
            slot.as_ref()
                .is_some_and(|arrived| arrived.fingerprint == ticket.fingerprint)
        };
        let Some(slot) = self.recent.iter_mut().find(arrived) else {
            return;
        };
        let fingerprint = ticket.fingerprint;
        *slot = (frame.len() <= MAX_REMEMBERED_BYTES).then(|| Arrived {
            fingerprint,
            answer: Some(frame.into()),
        });
    }

    fn answered<'a>(
        &mut self,
        id: &str,
        result: Result<&'a str, CallError>,
        now: Instant,
    ) -> Received<'a, T> {
        match self.in_flight.take_if(|call| *call.id == *id) {
            Some(InFlight { token, .. }) => Received::Answered {
                token,
                result,
                next: self.advance(now),
            },
            None => Received::Ignored(Reason::NoSuchCall),
        }
    }

    fn malformed<'a>(&self, error: FrameError) -> Received<'a, T> {
        match error.answer(self.version) {
            Some(frame) => Received::Reply {
                frame,
                reason: Reason::Malformed(error),
            },
            None => Received::Ignored(Reason::Malformed(error)),
        }
    }

    /// Moves the next waiting call to the wire if that is free.
    ///
    /// A call past its deadline is passed over: its caller is about to be told that it never went
    /// out, and that must be true.
    fn advance(&mut self, now: Instant) -> Option<String> {
        if self.in_flight.is_some() {
            return None;
        }
        let next = self
            .waiting
            .iter()
            .position(|waiting| waiting.call.deadline > now)?;
        let Waiting { call, frame } = self.waiting.remove(next)?;
        self.in_flight = Some(call);
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new(); // gives the memory back: idle peers are many
        }
        Some(frame)
    }
}
