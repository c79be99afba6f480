//! What every message has in common.

use serde::Serialize;

use crate::json::Object;
use crate::read::Reader;
use crate::{CallError, Deviations, ErrorCode};

/// A request or a conf: written strictly, read leniently.
pub trait Message: Serialize + Sized {
    /// Takes the message's fields from a JSON object.
    fn read(fields: &mut Reader<'_, '_>) -> Result<Self, CallError>;

    /// Reads a payload. What is not an object is refused; the rest is up to the message.
    fn parse(payload: &str) -> Result<Parsed<Self>, CallError> {
        let object = Object::parse(payload).ok_or_else(|| {
            CallError::new(
                ErrorCode::FormatViolation,
                "the payload is not a JSON object",
            )
        })?;
        let mut deviations = Deviations::default();
        let message = Self::read(&mut Reader::new(object, &mut deviations))?;
        Ok(Parsed {
            message,
            deviations,
        })
    }
}

/// A request, which knows its action and its answer.
pub trait Call: Message {
    /// The action's name on the wire.
    const ACTION: &'static str;
    /// What answers it.
    type Conf: Message;
}

/// A message, and what was accepted though the specification forbids it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<M> {
    /// The message, as far as it was understood.
    pub message: M,
    /// The liberties it took.
    pub deviations: Deviations,
}

impl<M> Parsed<M> {
    /// Changes the message and keeps the deviations.
    pub fn map<N>(self, change: impl FnOnce(M) -> N) -> Parsed<N> {
        Parsed {
            message: change(self.message),
            deviations: self.deviations,
        }
    }
}
