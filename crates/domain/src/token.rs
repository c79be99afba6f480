//! Who may charge, and who may run the network.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{InvalidId, TokenId};
use crate::status::words;

/// Longest id tag: 36 characters in OCPP 2.0.1 (`identifierString`), 20 in 1.6 (`CiString20`).
pub const MAX_ID_TAG: usize = 36;

words! {
    /// May the holder charge?
    IdTagStatus {
        /// Yes, until it expires.
        Accepted = "accepted",
        /// No.
        Blocked = "blocked",
        /// No longer.
        Expired = "expired",
        /// It is not known.
        Invalid = "invalid",
    }
}

words! {
    /// What the holder of an access token may do. Each role may do all that the one before may.
    Role {
        /// Read.
        Viewer = "viewer",
        /// Run the network.
        Operator = "operator",
        /// Say who else may.
        Admin = "admin",
    }
}

/// The text of an id tag. Compared without regard to case (OCPP 1.6 §7.28), kept in upper case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdTagUid(String);

impl IdTagUid {
    /// Checks a text and takes it as an id tag's.
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        // As in a station's id: nobody could name "." and ".." in a path.
        if !text.is_empty() && text.bytes().all(|b| b == b'.') {
            return Err(InvalidId("an id tag needs a character other than the dot"));
        }
        Self::kept(text)
    }

    /// The same for what is read back: dots alone sufficed once.
    fn kept(text: &str) -> Result<Self, InvalidId> {
        let count = text.chars().count();
        if count == 0 || count > MAX_ID_TAG {
            return Err(InvalidId("an id tag has 1 to 36 characters"));
        }
        if !text.chars().all(|c| c.is_ascii_graphic() && c != '/') {
            return Err(InvalidId(
                "an id tag is made of visible ASCII characters except the slash",
            ));
        }
        Ok(Self(text.to_ascii_uppercase()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for IdTagUid {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::kept(&text)
    }
}

impl From<IdTagUid> for String {
    fn from(uid: IdTagUid) -> Self {
        uid.0
    }
}

/// A driver's tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdTag {
    /// Its text.
    pub uid: IdTagUid,
    /// What was entered about it.
    pub status: IdTagStatus,
    /// From when on it no longer holds.
    pub expires_at: Option<Timestamp>,
    /// The tag of the group it belongs to.
    pub parent: Option<IdTagUid>,
    /// One higher with every change.
    pub version: i64,
    /// When it was entered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl IdTag {
    /// What holds at a moment: an accepted tag whose date has passed is expired.
    pub fn status_at(&self, now: Timestamp) -> IdTagStatus {
        let over = self.expires_at.is_some_and(|at| at <= now);
        if self.status == IdTagStatus::Accepted && over {
            IdTagStatus::Expired
        } else {
            self.status
        }
    }
}

/// An access token: what is kept of it, which is not its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Whose, or what for.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_without_case() {
        assert_eq!(IdTagUid::new("abc"), IdTagUid::new("ABC"));
        for wrong in ["", ".", "..", "a b", "a/b", "ñ", &"x".repeat(37)] {
            assert!(IdTagUid::new(wrong).is_err(), "{wrong}");
        }
        assert!(IdTagUid::new(".a").is_ok());
        // One that was entered when dots sufficed does not hide the others.
        assert!(serde_json::from_str::<IdTagUid>("\"..\"").is_ok());
        assert!(serde_json::from_str::<IdTagUid>("\"a b\"").is_err());
    }

    #[test]
    fn an_accepted_tag_expires_by_its_date() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let tag = IdTag {
            uid: IdTagUid::new("A").unwrap(),
            status: IdTagStatus::Accepted,
            expires_at: Some(at(100)),
            parent: None,
            version: 1,
            created_at: at(0),
            updated_at: at(0),
        };
        assert_eq!(tag.status_at(at(99)), IdTagStatus::Accepted);
        assert_eq!(tag.status_at(at(100)), IdTagStatus::Expired);
    }

    #[test]
    fn roles_are_ordered() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }
}
