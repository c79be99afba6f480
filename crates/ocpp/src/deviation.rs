//! What a message did that its specification does not allow, and that was accepted all the same.

use std::fmt;

/// Kept for one message at most. Faults are noted once per field name, so a longer list would only
/// say the same thing again.
pub const MAX_DEVIATIONS: usize = 16;

/// One liberty a message took.
///
/// Both parts come from closed sets known to this crate, so they are safe as metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deviation {
    /// The field's name in the specification.
    pub field: &'static str,
    /// What was wrong with it.
    pub fault: Fault,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.fault)
    }
}

/// What can be wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It must be there and is not.
    Missing,
    /// It is `null`, which OCPP does not have; taken as absent.
    Null,
    /// It has another JSON type, from which the meaning could still be had (`"1"` for `1`).
    WrongType,
    /// It could not be read at all and was left out.
    Unreadable,
    /// A whole number with a fraction; rounded.
    Rounded,
    /// Text over the allowed length.
    TooLong,
    /// Text that contains NUL, which no database keeps; taken out.
    Nul,
    /// A list over its bound; the rest was dropped.
    TooMany,
    /// A word that the specification does not list.
    UnknownWord,
    /// A listed word in another letter case.
    LetterCase,
    /// A time that does not say its zone; taken as UTC.
    NoTimeZone,
    /// A time in another notation than RFC 3339.
    TimeNotation,
}

impl Fault {
    /// A short name, for metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Null => "null",
            Self::WrongType => "wrong type",
            Self::Unreadable => "unreadable",
            Self::Rounded => "rounded",
            Self::TooLong => "too long",
            Self::Nul => "contains NUL",
            Self::TooMany => "too many",
            Self::UnknownWord => "unknown word",
            Self::LetterCase => "letter case",
            Self::NoTimeZone => "no time zone",
            Self::TimeNotation => "time notation",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The deviations of one message: each at most once, and [`MAX_DEVIATIONS`] in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deviations(Vec<Deviation>);

impl Deviations {
    /// Notes a fault of a field.
    pub fn note(&mut self, field: &'static str, fault: Fault) {
        let deviation = Deviation { field, fault };
        if self.0.len() < MAX_DEVIATIONS && !self.0.contains(&deviation) {
            self.0.push(deviation);
        }
    }

    /// Whether the message kept to its specification.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The deviations, in the order they were met.
    pub fn iter(&self) -> std::slice::Iter<'_, Deviation> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Deviations {
    type Item = &'a Deviation;
    type IntoIter = std::slice::Iter<'a, Deviation>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// `timestamp: no time zone, connectorId: wrong type`
impl fmt::Display for Deviations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, deviation) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{deviation}")?;
        }
        Ok(())
    }
}
