//! What a CALLERROR says.

use std::fmt;

use crate::Version;

/// OCPP-J 1.6 has no bound and 2.0.1 (Part 4 §4.2.3) says 255 characters; one bound serves both.
pub const MAX_DESCRIPTION: usize = 255;

/// Details are for people and have no bound in any version. Whoever needs more has a log.
pub const MAX_DETAILS_BYTES: usize = 4096;

/// An unknown code is kept to this length; the longest known one has 29 characters.
pub const MAX_ERROR_CODE: usize = 64;

/// Why a call was refused (OCPP-J 1.6 §4.2.3, OCPP 2.0.1 Part 4 §4.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The action is not known.
    NotImplemented,
    /// The action is known, but not supported.
    NotSupported,
    /// The receiver failed; the call may have been right.
    InternalError,
    /// The payload is incomplete.
    ProtocolError,
    /// Security forbids it.
    SecurityError,
    /// The payload is not what the action calls for. `FormationViolation` in 1.6.
    FormatViolation,
    /// A field holds a value that is not allowed.
    PropertyConstraintViolation,
    /// A field is missing, or there too often. `OccurenceConstraintViolation` (sic) in 1.6.
    OccurrenceConstraintViolation,
    /// A field has the wrong type.
    TypeConstraintViolation,
    /// Anything else.
    GenericError,
    /// The message type number is unknown. Since 2.0.1.
    MessageTypeNotSupported,
    /// The frame itself is malformed. Since 2.0.1.
    RpcFrameworkError,
    /// A code no version has, as it was sent.
    Other(Box<str>),
}

impl ErrorCode {
    /// The code on the wire. A version is only told codes it knows.
    pub fn as_str(&self, version: Version) -> &'static str {
        match (self, version) {
            (Self::FormatViolation | Self::RpcFrameworkError, Version::V16) => "FormationViolation",
            (Self::OccurrenceConstraintViolation, Version::V16) => "OccurenceConstraintViolation",
            (Self::MessageTypeNotSupported, Version::V16) | (Self::Other(_), _) => "GenericError",
            (code, _) => code.name(),
        }
    }

    /// The code for a word from the wire, in either spelling.
    pub fn from_wire(word: &str) -> Self {
        match word {
            "NotImplemented" => Self::NotImplemented,
            "NotSupported" => Self::NotSupported,
            "InternalError" => Self::InternalError,
            "ProtocolError" => Self::ProtocolError,
            "SecurityError" => Self::SecurityError,
            "FormatViolation" | "FormationViolation" => Self::FormatViolation,
            "PropertyConstraintViolation" => Self::PropertyConstraintViolation,
            "OccurrenceConstraintViolation" | "OccurenceConstraintViolation" => {
                Self::OccurrenceConstraintViolation
            }
            "TypeConstraintViolation" => Self::TypeConstraintViolation,
            "GenericError" => Self::GenericError,
            "MessageTypeNotSupported" => Self::MessageTypeNotSupported,
            "RpcFrameworkError" => Self::RpcFrameworkError,
            other => Self::Other(truncated(other, MAX_ERROR_CODE).into()),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::NotImplemented => "NotImplemented",
            Self::NotSupported => "NotSupported",
            Self::InternalError => "InternalError",
            Self::ProtocolError => "ProtocolError",
            Self::SecurityError => "SecurityError",
            Self::FormatViolation => "FormatViolation",
            Self::PropertyConstraintViolation => "PropertyConstraintViolation",
            Self::OccurrenceConstraintViolation => "OccurrenceConstraintViolation",
            Self::TypeConstraintViolation => "TypeConstraintViolation",
            Self::GenericError | Self::Other(_) => "GenericError",
            Self::MessageTypeNotSupported => "MessageTypeNotSupported",
            Self::RpcFrameworkError => "RpcFrameworkError",
        }
    }
}

/// As people should see it: the modern spelling, and unknown codes as they were sent.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Other(word) => word,
            known => known.name(),
        })
    }
}

/// The refusal of a call.
///
/// Reading a message returns one too, ready to be sent back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct CallError {
    /// Why.
    pub code: ErrorCode,
    /// Why, for people. At most [`MAX_DESCRIPTION`] characters.
    pub description: String,
    details: Option<Box<str>>,
}

impl CallError {
    /// An error without details. A longer description is cut.
    pub fn new(code: ErrorCode, description: impl Into<String>) -> Self {
        let mut description = description.into();
        description.truncate(truncated(&description, MAX_DESCRIPTION).len());
        Self {
            code,
            description,
            details: None,
        }
    }

    /// The details as a JSON object; `{}` when there are none.
    pub fn details(&self) -> &str {
        self.details.as_deref().unwrap_or("{}")
    }

    /// Keeps details that arrived. They must be JSON; what is no object, or too large, is left out.
    pub(crate) fn with_details(mut self, json: &str) -> Self {
        let worth_keeping =
            json.starts_with('{') && json != "{}" && json.len() <= MAX_DETAILS_BYTES;
        self.details = worth_keeping.then(|| json.into());
        self
    }
}

/// The first `max` characters.
pub(crate) fn truncated(text: &str, max: usize) -> &str {
    match text.char_indices().nth(max) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read_and_each_version_is_told_its_own() {
        let check = |wire: &str, v16: &str, v201: &str| {
            let code = ErrorCode::from_wire(wire);
            assert_eq!(
                (code.as_str(Version::V16), code.as_str(Version::V201)),
                (v16, v201)
            );
        };
        check(
            "FormationViolation",
            "FormationViolation",
            "FormatViolation",
        );
        check("FormatViolation", "FormationViolation", "FormatViolation");
        check(
            "OccurrenceConstraintViolation",
            "OccurenceConstraintViolation",
            "OccurrenceConstraintViolation",
        );
        check(
            "OccurenceConstraintViolation",
            "OccurenceConstraintViolation",
            "OccurrenceConstraintViolation",
        );
        check(
            "MessageTypeNotSupported",
            "GenericError",
            "MessageTypeNotSupported",
        );
        check(
            "RpcFrameworkError",
            "FormationViolation",
            "RpcFrameworkError",
        );
        check("OnFire", "GenericError", "GenericError");
        for same in [
            "NotImplemented",
            "NotSupported",
            "InternalError",
            "SecurityError",
        ] {
            check(same, same, same);
        }
    }

    #[test]
    fn an_unknown_code_is_shown_as_sent() {
        assert_eq!(ErrorCode::from_wire("OnFire").to_string(), "OnFire");
    }

    #[test]
    fn a_description_is_cut_between_characters() {
        let error = CallError::new(ErrorCode::GenericError, "ñ".repeat(300));
        assert_eq!(error.description, "ñ".repeat(MAX_DESCRIPTION));
    }
}
