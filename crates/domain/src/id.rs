//! Names of things, each its own type so that one cannot be taken for another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest station identity: OCPP 2.0.1 part 4 §3.1 allows 48 characters in the connection URL.
pub const MAX_STATION_ID: usize = 48;

/// Most EVSEs a station may have. The largest charging plazas behind one controller have a few
/// dozen; a charger claiming more is claiming nonsense (one claimed 1,634,030,126).
pub const MAX_EVSES: u16 = 128;

/// Most connectors an EVSE may have. Three is the most seen in the field.
pub const MAX_CONNECTORS: u16 = 16;

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub &'static str);

/// The network identity of a station: the last segment of its charger's connection URL.
///
/// Made of the OCPP `identifierString` characters (2.0.1 part 2 §2.1.3), without the colon that
/// Basic auth cannot carry in a user name. Cheap to clone: it is shared by every layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StationId(Arc<str>);

impl StationId {
    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks a text and takes it as a station's identity.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        const ALLOWED: &[u8] = b"*-_=+|@.";
        if text.is_empty() || text.len() > MAX_STATION_ID {
            return Err(InvalidId("a station id has 1 to 48 characters"));
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || ALLOWED.contains(&b))
        {
            return Err(InvalidId(
                "a station id is made of letters, digits and * - _ = + | @ .",
            ));
        }
        // "." and ".." would be folded away by every URL library between a client and us.
        if text.bytes().all(|b| b == b'.') {
            return Err(InvalidId(
                "a station id needs a character other than the dot",
            ));
        }
        Ok(Self(text.into()))
    }

    /// Makes an identity out of a station's name: `Plaza Mayor 3` becomes `plaza-mayor-3`.
    /// `None` when the name has nothing to offer.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut slug = String::new();
        for c in name.chars().flat_map(char::to_lowercase).map(unaccent) {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() == MAX_STATION_ID - SLUG_SUFFIX {
                break;
            }
        }
        Self::new(slug.trim_end_matches('-')).ok()
    }
}

/// Room a slug leaves for the suffix that tells two stations of the same name apart.
const SLUG_SUFFIX: usize = 9;

fn unaccent(c: char) -> char {
    match c {
        'á' | 'à' | 'ä' | 'â' => 'a',
        'é' | 'è' | 'ë' | 'ê' => 'e',
        'í' | 'ì' | 'ï' | 'î' => 'i',
        'ó' | 'ò' | 'ö' | 'ô' => 'o',
        'ú' | 'ù' | 'ü' | 'û' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        other => other,
    }
}

impl fmt::Display for StationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StationId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl TryFrom<String> for StationId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(&text)
    }
}

impl From<StationId> for String {
    fn from(id: StationId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// A small number counted from 1, bounded by `$max`.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident, $max:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub struct $name(u16);

        impl $name {
            /// The number of the only one there is in the simple case.
            pub const ONE: Self = Self(1);

            /// The number itself.
            pub fn get(self) -> u16 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = InvalidId;
            fn try_from(number: i64) -> Result<Self, InvalidId> {
                match u16::try_from(number) {
                    Ok(n) if (1..=$max).contains(&n) => Ok(Self(n)),
                    _ => Err(InvalidId($what)),
                }
            }
        }

        impl From<$name> for i64 {
            fn from(number: $name) -> Self {
                i64::from(number.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

numbered!(
    /// The number of an EVSE within its station, from 1.
    EvseNo,
    MAX_EVSES,
    "an EVSE's number is between 1 and 128"
);
numbered!(
    /// The number of a connector within its EVSE, from 1.
    ConnectorNo,
    MAX_CONNECTORS,
    "a connector's number is between 1 and 16"
);

/// Where a connector is. Never without its EVSE: in OCPP 2.x every EVSE has a connector 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectorKey {
    /// The station.
    pub station: StationId,
    /// The EVSE within the station.
    pub evse: EvseNo,
    /// The connector within the EVSE.
    pub connector: ConnectorNo,
}

/// A UUID with a meaning.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// A charging session. UUID version 7: sorted by when it was recorded.
    SessionId
);
uuid_id!(
    /// A command to a charger. UUID version 7.
    CommandId
);
uuid_id!(
    /// An access token. Not its secret.
    TokenId
);
uuid_id!(
    /// An entry of the journal. UUID version 4.
    EntryId
);
uuid_id!(
    /// What was read out of an entry. UUID version 7.
    AnalysisId
);
uuid_id!(
    /// A load drill. UUID version 7.
    DrillId
);
uuid_id!(
    /// One run of one server process. New at every start.
    NodeId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn station_ids_are_identifier_strings_without_a_colon() {
        for good in ["CP-1", "a", "ES*ABC*E1", "x@y.z|1=+_", &"x".repeat(48)] {
            assert!(StationId::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a:b",
            "a b",
            "a/b",
            "ñ",
            "<b>",
            "'",
            &"x".repeat(49),
        ] {
            assert!(StationId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_becomes_an_id() {
        let slug = |name| StationId::from_name(name).map(String::from);
        assert_eq!(slug("Plaza Mayor, 3"), Some("plaza-mayor-3".to_owned()));
        assert_eq!(slug("  Estación Nº 1 "), Some("estacion-n-1".to_owned()));
        assert_eq!(slug("日本"), None);
        assert_eq!(slug(&"x".repeat(200)).unwrap().len(), 39);
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!(EvseNo::try_from(1).unwrap().get(), 1);
        for bad in [0, -1, 129, 65_537, 1_634_030_126, i64::MAX] {
            assert!(EvseNo::try_from(bad).is_err(), "{bad}");
        }
        assert!(ConnectorNo::try_from(17).is_err());
    }
}
