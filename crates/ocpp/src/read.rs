//! Takes fields out of JSON objects, leniently, and notes every liberty.
//!
//! A message names its fields once, in order, and says how much it needs each:
//!
//! ```text
//! connector_id: fields.integer("connectorId").required()?,   refuse the call without it
//! id_tag:       fields.text("idTag", 20).expected(),         note its absence, go on
//! info:         fields.text("info", 50).optional(),          it may be absent
//! ```
//!
//! Objects are scanned without being copied: keys and values borrow from the frame.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::Deserialize;
use serde_json::value::RawValue;

use crate::json::{Element, List, Object, unquoted};
pub use crate::words::Word;
use crate::{CallError, Deviations, ErrorCode, Fault, time};

/// Text over its own bound is noted, and kept up to this many bytes. Real chargers send names twice
/// as long as allowed; none needs more than this.
pub const MAX_TEXT_BYTES: usize = 512;

/// The bound for text to which the specification gives none: free data, and signed meter values,
/// which are evidence and must not be cut.
pub const MAX_LONG_TEXT_BYTES: usize = 64 * 1024;

/// Whole numbers up to here survive the way through a floating-point number.
const MAX_EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// The fields of an object, and the list of deviations they add to.
pub struct Reader<'a, 'd> {
    object: Object<'a>,
    deviations: &'d mut Deviations,
}

impl<'a, 'd> Reader<'a, 'd> {
    /// Reads the fields of `object`.
    pub fn new(object: Object<'a>, deviations: &'d mut Deviations) -> Self {
        Self { object, deviations }
    }

    /// A text, which the specification bounds to `max` characters.
    pub fn text(&mut self, name: &'static str, max: usize) -> Field<'_, String> {
        self.field(name, |raw| {
            let (mut text, mut fault) = text_of(raw)?;
            if text.len() > max && text.chars().count() > max {
                text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
                fault = Some(Fault::TooLong);
            }
            Ok((text, fault))
        })
    }

    /// A text without a bound in the specification. Anything but text is kept as its JSON.
    pub fn long_text(&mut self, name: &'static str) -> Field<'_, String> {
        self.field(name, |raw| {
            let (mut text, mut fault) = if raw.starts_with(['{', '[']) {
                (raw.to_owned(), Some(Fault::WrongType))
            } else {
                text_of(raw)?
            };
            if text.len() > MAX_LONG_TEXT_BYTES {
                text.truncate(text.floor_char_boundary(MAX_LONG_TEXT_BYTES));
                fault = Some(Fault::TooLong);
            }
            Ok((text, fault))
        })
    }

    /// A whole number. Text and fractions are accepted.
    pub fn integer(&mut self, name: &'static str) -> Field<'_, i64> {
        self.field(name, integer_of)
    }

    /// A truth value. Text is accepted.
    pub fn boolean(&mut self, name: &'static str) -> Field<'_, bool> {
        self.field(name, |raw| match raw {
            "true" => Ok((true, None)),
            "false" => Ok((false, None)),
            _ => match unquoted(raw)
                .ok_or(Fault::Unreadable)?
                .to_ascii_lowercase()
                .as_str()
            {
                "true" => Ok((true, Some(Fault::WrongType))),
                "false" => Ok((false, Some(Fault::WrongType))),
                _ => Err(Fault::Unreadable),
            },
        })
    }

    /// A time.
    pub fn time(&mut self, name: &'static str) -> Field<'_, Timestamp> {
        self.field(name, |raw| match unquoted(raw) {
            Some(text) => time::read(&text),
            None => time::read(raw).map(|(time, _)| (time, Some(Fault::WrongType))),
        })
    }

    /// One word of a list the specification gives.
    pub fn word<W: Word>(&mut self, name: &'static str) -> Field<'_, W> {
        self.field(name, |raw| {
            W::read(&unquoted(raw).ok_or(Fault::Unreadable)?)
        })
    }

    /// An object within this one.
    pub fn object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'_, '_>) -> T,
    ) -> Field<'_, T> {
        let reading = match self.raw(name) {
            Ok(raw) => Object::parse(raw).ok_or(Fault::Unreadable),
            Err(fault) => Err(fault),
        };
        let reading = reading.map(|object| (read(&mut Reader::new(object, self.deviations)), None));
        Field {
            name,
            reading,
            deviations: self.deviations,
        }
    }

    /// A list of objects. A single object counts as a list of one; what is no object is left out,
    /// as is everything after the first `max`.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        max: usize,
        mut read: impl FnMut(&mut Reader<'_, '_>) -> T,
    ) -> Vec<T> {
        self.elements(name, max, |Element(object): Element<'_>, deviations| {
            object.map(|object| read(&mut Reader::new(object, deviations)))
        })
    }

    /// A list of texts of up to `max_text` characters each.
    pub fn texts(&mut self, name: &'static str, max: usize, max_text: usize) -> Vec<String> {
        self.elements(name, max, |raw: &RawValue, deviations| {
            let (mut text, _) = text_of(raw.get()).ok()?;
            if text.chars().count() > max_text {
                text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
                deviations.note(name, Fault::TooLong);
            }
            Some(text)
        })
    }

    fn elements<E: Deserialize<'a>, T>(
        &mut self,
        name: &'static str,
        max: usize,
        mut read: impl FnMut(E, &mut Deviations) -> Option<T>,
    ) -> Vec<T> {
        let Ok(raw) = self.raw(name) else {
            return Vec::new();
        };
        let list = if raw.starts_with('[') {
            List::parse(raw, max)
        } else {
            self.deviations.note(name, Fault::WrongType);
            serde_json::from_str(raw)
                .ok()
                .map(|single| (vec![single], false))
        };
        let Some((elements, excess)) = list else {
            self.deviations.note(name, Fault::Unreadable);
            return Vec::new();
        };
        if excess {
            self.deviations.note(name, Fault::TooMany);
        }
        let mut taken = Vec::with_capacity(elements.len());
        for element in elements {
            match read(element, self.deviations) {
                Some(element) => taken.push(element),
                None => self.deviations.note(name, Fault::Unreadable),
            }
        }
        taken
    }

    fn field<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a str) -> Result<(T, Option<Fault>), Fault>,
    ) -> Field<'_, T> {
        let reading = self.raw(name).and_then(read);
        Field {
            name,
            reading,
            deviations: self.deviations,
        }
    }

    /// The JSON of a field; `null` is noted and counts as absent.
    fn raw(&mut self, name: &'static str) -> Result<&'a str, Fault> {
        match self.object.get(name) {
            Some("null") => {
                self.deviations.note(name, Fault::Null);
                Err(Fault::Missing)
            }
            Some(raw) => Ok(raw),
            None => Err(Fault::Missing),
        }
    }
}

/// A field that was looked for, before it is decided how badly it is needed.
#[must_use = "say whether the field is required, expected or optional"]
pub struct Field<'r, T> {
    name: &'static str,
    reading: Result<(T, Option<Fault>), Fault>,
    deviations: &'r mut Deviations,
}

impl<T> Field<'_, T> {
    /// The field may be absent. If it is there and cannot be read, that is noted.
    pub fn optional(self) -> Option<T> {
        match self.reading {
            Ok((value, fault)) => {
                if let Some(fault) = fault {
                    self.deviations.note(self.name, fault);
                }
                Some(value)
            }
            Err(Fault::Missing) => None,
            Err(fault) => {
                self.deviations.note(self.name, fault);
                None
            }
        }
    }

    /// The specification demands the field, but the message is worth keeping without it.
    pub fn expected(self) -> Option<T> {
        if let Err(Fault::Missing) = self.reading {
            self.deviations.note(self.name, Fault::Missing);
        }
        self.optional()
    }

    /// Without the field the message has no meaning.
    pub fn required(self) -> Result<T, CallError> {
        let code = match self.reading {
            Ok((value, fault)) => {
                if let Some(fault) = fault {
                    self.deviations.note(self.name, fault);
                }
                return Ok(value);
            }
            Err(Fault::Missing) => ErrorCode::OccurrenceConstraintViolation,
            Err(Fault::UnknownWord) => ErrorCode::PropertyConstraintViolation,
            Err(_) => ErrorCode::TypeConstraintViolation,
        };
        let fault = self.reading.err().unwrap_or(Fault::Missing);
        Err(CallError::new(code, format!("{}: {fault}", self.name)))
    }
}

fn text_of(raw: &str) -> Result<(String, Option<Fault>), Fault> {
    let (text, fault) = match raw.as_bytes().first() {
        Some(b'"') => (unquoted(raw).ok_or(Fault::Unreadable)?.into_owned(), None),
        Some(b'{' | b'[') | None => return Err(Fault::Unreadable),
        // A number or a truth value.
        Some(_) => (raw.to_owned(), Some(Fault::WrongType)),
    };
    if text.contains('\0') {
        Ok((text.replace('\0', ""), Some(Fault::Nul)))
    } else {
        Ok((text, fault))
    }
}

fn integer_of(raw: &str) -> Result<(i64, Option<Fault>), Fault> {
    if let Ok(number) = raw.parse() {
        return Ok((number, None));
    }
    let text = unquoted(raw).unwrap_or(Cow::Borrowed(raw));
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Ok((number, Some(Fault::WrongType)));
    }
    let number: f64 = text.parse().map_err(|_| Fault::Unreadable)?;
    if number.is_nan() || number.abs() > MAX_EXACT_FLOAT {
        return Err(Fault::Unreadable);
    }
    let fault = if number.fract() == 0.0 {
        Fault::WrongType
    } else {
        Fault::Rounded
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded, and bounded just above"
    )]
    let whole = number.round() as i64;
    Ok((whole, Some(fault)))
}
