//! The frames of OCPP-J: JSON arrays whose first element says what the rest is.
//!
//! | type | frame | since |
//! | --- | --- | --- |
//! | 2 | `[2, id, action, payload]` CALL | 1.6 |
//! | 3 | `[3, id, payload]` CALLRESULT | 1.6 |
//! | 4 | `[4, id, code, description, details]` CALLERROR | 1.6 |
//! | 5 | `[5, id, code, description, details]` CALLRESULTERROR | 2.1 |
//! | 6 | `[6, id, action, payload]` SEND | 2.1 |
//!
//! Reading scans the text once and borrows from it; payloads stay text until their message is
//! known (OCPP-J 1.6 §4.2, OCPP 2.1 Part 4 §4.2).

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::unquoted;
use crate::{CallError, Deviations, ErrorCode, Fault, Version};

/// No message of any version comes near this; firmware and logs travel outside OCPP.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// What the specification allows for an id: a UUID (OCPP-J 1.6 §4.1.4).
pub const MAX_MESSAGE_ID: usize = 36;

/// What is accepted all the same. An id is only echoed, so a long one does no harm, and a charger
/// that is refused over it would never get through.
pub const MAX_MESSAGE_ID_ACCEPTED: usize = 255;

/// The longest action of any version has 33 characters.
pub const MAX_ACTION: usize = 64;

/// Addresses an error when the id could not be read (OCPP 2.0.1 Part 4 §4.2.3).
pub const UNREADABLE_ID: &str = "-1";

/// One frame, borrowing from the text it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Matches an answer to its call.
    pub id: Cow<'a, str>,
    /// What the frame says.
    pub body: Body<'a>,
    /// What was accepted though the specification forbids it.
    pub deviations: Deviations,
}

/// What a frame says. Payloads are well-formed JSON, of whatever type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Asks for an action; must be answered.
    Call {
        /// The action's name.
        action: Cow<'a, str>,
        /// The request.
        payload: &'a str,
    },
    /// Answers a call.
    CallResult {
        /// The conf.
        payload: &'a str,
    },
    /// Refuses a call.
    CallError(CallError),
    /// Complains about a result (OCPP 2.1).
    CallResultError(CallError),
    /// Tells something that is never answered (OCPP 2.1).
    Send {
        /// The action's name.
        action: Cow<'a, str>,
        /// The request.
        payload: &'a str,
    },
}

impl<'a> Frame<'a> {
    /// Reads a frame.
    ///
    /// A missing or `null` payload is `{}`; ids of up to [`MAX_MESSAGE_ID_ACCEPTED`] characters and
    /// ids given as numbers are accepted and noted.
    pub fn parse(text: &'a str) -> Result<Self, FrameError> {
        if text.len() > MAX_FRAME_BYTES {
            return Err(FrameError {
                kind: None,
                id: None,
                fault: FrameFault::TooLarge,
            });
        }
        let mut elements = Elements::default();
        let complete = elements.read(text);

        let kind = elements.kind();
        let mut deviations = Deviations::default();
        let id = elements.id(&mut deviations);
        let fail = |fault| {
            let id = id.as_deref().map(str::to_owned);
            Err(FrameError { kind, id, fault })
        };

        if complete.is_err() {
            return fail(FrameFault::NotAnArray);
        }
        if elements.excess {
            deviations.note("frame", Fault::TooMany);
        }
        let Some(kind) = kind else {
            return fail(FrameFault::UnknownType);
        };
        let body = match kind {
            2 | 6 => {
                let action = elements.text(2);
                let Some(action) = action.filter(|action| action.len() <= MAX_ACTION) else {
                    return fail(FrameFault::Action);
                };
                let payload = elements.payload(3, &mut deviations);
                if kind == 2 {
                    Body::Call { action, payload }
                } else {
                    Body::Send { action, payload }
                }
            }
            3 => Body::CallResult {
                payload: elements.payload(2, &mut deviations),
            },
            4 => Body::CallError(elements.error(&mut deviations)),
            5 => Body::CallResultError(elements.error(&mut deviations)),
            _ => return fail(FrameFault::UnknownType),
        };
        match id {
            Some(id) => Ok(Self {
                id,
                body,
                deviations,
            }),
            None => fail(FrameFault::Id),
        }
    }
}

/// Why a text is no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct FrameError {
    /// The message type number, where it could be read.
    pub kind: Option<i64>,
    /// The message id, where it could be read.
    pub id: Option<String>,
    /// What is wrong.
    pub fault: FrameFault,
}

/// What can be wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameFault {
    /// Over [`MAX_FRAME_BYTES`].
    #[error("the frame is larger than 1 MiB")]
    TooLarge,
    /// Broken JSON, or JSON of another type.
    #[error("the frame is not a JSON array")]
    NotAnArray,
    /// A message type number that is no frame's.
    #[error("the message type is unknown")]
    UnknownType,
    /// The id is no text, or longer than [`MAX_MESSAGE_ID_ACCEPTED`].
    #[error("the message id is unreadable")]
    Id,
    /// The action is no text, or longer than [`MAX_ACTION`].
    #[error("the action is unreadable")]
    Action,
}

impl FrameError {
    /// A frame of a type that the version does not have.
    pub(crate) const fn unknown_type(id: String) -> Self {
        Self {
            kind: None,
            id: Some(id),
            fault: FrameFault::UnknownType,
        }
    }

    /// The CALLERROR to send back, where the version wants one.
    ///
    /// OCPP 1.6 ignores message types it does not know (OCPP-J 1.6 §4.1.3), and has no address for
    /// a frame without an id. A broken *answer* is never answered: two ends doing so would not stop.
    pub fn answer(&self, version: Version) -> Option<String> {
        let code = match (self.fault, version) {
            (FrameFault::UnknownType, Version::V16) => return None,
            (FrameFault::UnknownType, _) => ErrorCode::MessageTypeNotSupported,
            (FrameFault::Action, _) => ErrorCode::FormatViolation,
            _ => ErrorCode::RpcFrameworkError,
        };
        if matches!(self.kind, Some(3..=6)) {
            return None;
        }
        let id = match (&self.id, version) {
            (Some(id), _) => id,
            (None, Version::V16) => return None,
            (None, _) => UNREADABLE_ID,
        };
        Some(call_error(
            version,
            id,
            &CallError::new(code, self.fault.to_string()),
        ))
    }
}

/// `[2, id, action, payload]`
pub fn call(id: &str, action: &str, payload: &impl Serialize) -> String {
    write(&(2, id, action, payload))
}

/// `[3, id, payload]`
pub fn call_result(id: &str, payload: &impl Serialize) -> String {
    write(&(3, id, payload))
}

/// `[4, id, code, description, details]`, the code spelt as the version spells it.
pub fn call_error(version: Version, id: &str, error: &CallError) -> String {
    write_error(4, version, id, error)
}

/// `[5, id, code, description, details]` (OCPP 2.1).
pub fn call_result_error(id: &str, error: &CallError) -> String {
    write_error(5, Version::V21, id, error)
}

/// `[6, id, action, payload]` (OCPP 2.1).
pub fn send(id: &str, action: &str, payload: &impl Serialize) -> String {
    write(&(6, id, action, payload))
}

fn write_error(kind: u8, version: Version, id: &str, error: &CallError) -> String {
    // Details are only ever kept from JSON that was read, so they read again.
    let details: &RawValue = serde_json::from_str(error.details()).unwrap_or(RawValue::NULL);
    write(&(
        kind,
        id,
        error.code.as_str(version),
        &error.description,
        details,
    ))
}

fn write(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).expect("messages have no map keys other than text")
}

/// The first five elements of the array, unread. Filled as far as the text goes, so that a frame
/// that breaks off still tells whom to answer.
#[derive(Default)]
struct Elements<'a> {
    raw: [Option<&'a str>; 5],
    excess: bool,
}

impl<'a> Elements<'a> {
    fn read(&mut self, text: &'a str) -> Result<(), serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_seq(self)?;
        json.end()
    }

    fn kind(&self) -> Option<i64> {
        // Text is read too: `["2", …]` has been seen.
        self.raw[0]?.trim_matches('"').parse().ok()
    }

    fn id(&self, deviations: &mut Deviations) -> Option<Cow<'a, str>> {
        let raw = self.raw[1]?;
        let id = match raw.as_bytes()[0] {
            b'"' => unquoted(raw)?,
            b'-' | b'0'..=b'9' => {
                deviations.note("messageId", Fault::WrongType);
                raw.into()
            }
            _ => return None,
        };
        // Counting characters is only worth it for ids that could be too long.
        if id.len() > MAX_MESSAGE_ID {
            let characters = id.chars().count();
            if characters > MAX_MESSAGE_ID_ACCEPTED {
                return None;
            }
            if characters > MAX_MESSAGE_ID {
                deviations.note("messageId", Fault::TooLong);
            }
        }
        Some(id)
    }

    fn text(&self, index: usize) -> Option<Cow<'a, str>> {
        unquoted(self.raw[index]?)
    }

    fn payload(&self, index: usize, deviations: &mut Deviations) -> &'a str {
        match self.raw[index] {
            Some("null") => "{}", // allowed by OCPP-J 1.6 §4.2.1
            Some(payload) => payload,
            None => {
                deviations.note("payload", Fault::Missing);
                "{}"
            }
        }
    }

    /// Whatever is missing from an error, it still says that the call failed.
    fn error(&self, deviations: &mut Deviations) -> CallError {
        let code = self.text(2).unwrap_or_else(|| {
            deviations.note("errorCode", Fault::Missing);
            "GenericError".into()
        });
        let description = self.text(3).unwrap_or_default();
        CallError::new(ErrorCode::from_wire(&code), description)
            .with_details(self.raw[4].unwrap_or("{}"))
    }
}

impl<'a> Visitor<'a> for &mut Elements<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<(), A::Error> {
        for slot in &mut self.raw {
            match array.next_element::<&RawValue>()? {
                Some(raw) => *slot = Some(raw.get()),
                None => return Ok(()),
            }
        }
        while array.next_element::<IgnoredAny>()?.is_some() {
            self.excess = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
