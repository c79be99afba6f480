//! How a JSON body is read: as the description of the API says, which serde by itself is not.
//!
//! serde takes a list of values for an object and refuses `22000.0` for a whole number. Here an
//! object is an object, and a whole number is one however it is written.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// A JSON value to read from.
pub(super) struct Json(pub(super) Value);

impl<'de> Deserializer<'de> for Json {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match whole(&number) {
                Some(number) => visitor.visit_i64(number),
                None => number.deserialize_any(visitor),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Json));
                let value = visitor.visit_seq(&mut items)?;
                items.end().map(|()| value)
            }
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, Json(value)));
                let mut fields = MapDeserializer::new(fields);
                let value = visitor.visit_map(&mut fields)?;
                fields.end().map(|()| value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let found = match &self.0 {
            Value::Object(_) => return self.deserialize_any(visitor),
            Value::Null => Unexpected::Other("null"),
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(_) => Unexpected::Other("number"),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Other("list"),
        };
        Err(Error::invalid_type(found, &"an object"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // The API’s words are enums without content; what has content says so in a field.
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Json {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

/// The whole number that a number with a fraction of zero is.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    if float.fract() != 0.0 {
        return None;
    }
    // Text knows whether it fits; a cast would make something up.
    format!("{float:.0}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        whole: Option<i64>,
        real: Option<f64>,
        #[serde(default)]
        parts: Vec<Body>,
    }

    fn read(text: &str) -> Result<Body, String> {
        let json = Json(serde_json::from_str(text).unwrap());
        Body::deserialize(json).map_err(|error| error.to_string())
    }

    fn body(whole: Option<i64>, real: Option<f64>) -> Body {
        Body {
            whole,
            real,
            parts: Vec::new(),
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for text in ["22000", "22000.0", "2.2e4"] {
            let read = read(&format!(r#"{{"whole":{text},"real":{text}}}"#));
            assert_eq!(read, Ok(body(Some(22_000), Some(22_000.0))), "{text}");
        }
        assert_eq!(
            read(r#"{"whole":-0.0,"real":-1e300}"#),
            Ok(body(Some(0), Some(-1e300)))
        );
        for text in [
            "0.5",
            "1e300",
            "18446744073709551615",
            "\"1\"",
            "true",
            "[1]",
        ] {
            assert!(read(&format!(r#"{{"whole":{text}}}"#)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_is_no_object() {
        for text in [
            "[]",
            "[null,null,[]]",
            r#"{"parts":[[null,null]]}"#,
            "null",
            "1",
            "\"\"",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.ends_with("expected an object"), "{text}: {error}");
        }
        assert_eq!(read(r#"{"parts":[{}]}"#).unwrap().parts, [body(None, None)]);
        assert!(read(r#"{"other":1}"#).is_err());
    }
}
