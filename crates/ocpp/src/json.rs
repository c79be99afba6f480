//! JSON that is looked into only as far as someone asks.
//!
//! Serde does the scanning; values stay text, borrowed from the frame, until their field is read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// Fields of one object that are looked at; the longest object of any version has fewer than 30.
pub const MAX_FIELDS: usize = 64;

/// Most objects have no more fields than this, and then need one allocation.
const USUAL_FIELDS: usize = 8;

/// A JSON object whose values have not been read yet.
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Object<'a> {
    /// The object in `json`, or `None` where `json` is something else.
    pub fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str::<Element<'a>>(json).ok()?.0
    }

    /// The JSON of a field.
    pub(crate) fn get(&self, field: &str) -> Option<&'a str> {
        // From the back: of fields given twice, JSON readers take the last.
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == field)
            .map(|(_, raw)| *raw)
    }
}

/// The text in a JSON string, borrowed unless it has escapes; `None` if it is no string.
pub(crate) fn unquoted(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// An element of a list: an object, or something else that is passed over.
pub(crate) struct Element<'a>(pub(crate) Option<Object<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Element<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(USUAL_FIELDS);
        while fields.len() < MAX_FIELDS {
            match map.next_entry::<Key<'de>, &'de RawValue>()? {
                Some((Key(name), value)) => fields.push((name, value.get())),
                None => return Ok(Element(Some(Object(fields)))),
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Element(Some(Object(fields))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Element(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Element(None))
    }
}

/// A field's name, borrowed unless it has escapes. (Serde's own `Cow` always copies.)
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(name.to_owned())))
    }
}

/// A list of which only the first elements are kept.
pub(crate) struct List<E> {
    max: usize,
    elements: Vec<E>,
    excess: bool,
}

impl<'a, E: Deserialize<'a>> List<E> {
    /// The first `max` elements, and whether there are more.
    pub(crate) fn parse(json: &'a str, max: usize) -> Option<(Vec<E>, bool)> {
        let list = Self {
            max,
            elements: Vec::new(),
            excess: false,
        };
        list.deserialize(&mut serde_json::Deserializer::from_str(json))
            .ok()
    }
}

impl<'a, E: Deserialize<'a>> DeserializeSeed<'a> for List<E> {
    type Value = (Vec<E>, bool);

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'a, E: Deserialize<'a>> Visitor<'a> for List<E> {
    type Value = (Vec<E>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        while self.elements.len() < self.max {
            match list.next_element()? {
                Some(element) => self.elements.push(element),
                None => return Ok((self.elements, false)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            self.excess = true;
        }
        Ok((self.elements, self.excess))
    }
}
