//! Browsers that have shown an access token, and links that open the console once.
//!
//! Each names the token it stands for, and is worth nothing once that is revoked: it is only ever
//! read together with it.

use domain::TokenId;
use domain::token::Token;
use jiff::Timestamp;

use crate::access::{timestamp, token};
use crate::{Store, StoreError};

// One statement for each, because they are written alone: nothing else changes with them.
pub(crate) const INSERT: &str = "INSERT INTO sign_ins (hash, token_id, kind, until) \
     VALUES ($1, $2, $3, $4) RETURNING until";

pub(crate) const GET: &str = "SELECT t.id, t.name, t.role, t.created_at, s.until \
     FROM sign_ins AS s JOIN tokens AS t ON t.id = s.token_id \
     WHERE s.hash = $1 AND s.kind = $2 AND s.until > $3";

pub(crate) const DELETE: &str = "DELETE FROM sign_ins WHERE hash = $1 RETURNING until";

/// All but the latest of a token.
pub(crate) const TRIM: &str = "DELETE FROM sign_ins WHERE token_id = $1 AND kind = $2 \
     AND hash NOT IN (SELECT hash FROM sign_ins WHERE token_id = $1 AND kind = $2 \
     ORDER BY until DESC, hash LIMIT $3)";

pub(crate) const FORGET: &str = "DELETE FROM sign_ins WHERE until <= $1";

/// Most browsers, and most links, that one token is signed in with. The oldest go first.
const MAX_OF_A_TOKEN: i64 = 100;

/// What stands for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInKind {
    /// A browser, until it signs out.
    Browser,
    /// A link, once.
    Link,
}

impl SignInKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Link => "link",
        }
    }
}

/// Something that stands for a token for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The hash of what is presented.
    pub hash: String,
    /// The token it stands for.
    pub token_id: TokenId,
    /// What it is.
    pub kind: SignInKind,
    /// Until when it does.
    pub until: Timestamp,
}

impl Store {
    /// Keeps a sign-in, and drops the oldest of its token when there are too many.
    pub async fn sign_in(&self, new: &SignIn) -> Result<(), StoreError> {
        let (token, kind) = (new.token_id.to_string(), new.kind.as_str());
        let values = vec![
            new.hash.as_str().into(),
            token.as_str().into(),
            kind.into(),
            new.until.as_microsecond().into(),
        ];
        self.run(INSERT, values).await?;
        let values = vec![token.into(), kind.into(), MAX_OF_A_TOKEN.into()];
        self.run(TRIM, values).await.map(drop)
    }

    /// The token that something presented stands for, and until when.
    pub async fn signed_in(
        &self,
        hash: &str,
        kind: SignInKind,
        now: Timestamp,
    ) -> Result<Option<(Token, Timestamp)>, StoreError> {
        let values = [
            hash.into(),
            kind.as_str().into(),
            now.as_microsecond().into(),
        ];
        let rows = self.fetch(GET, &values).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some((token(row)?, timestamp(row.int(4)?)?)))
    }

    /// Ends a sign-in, and tells whether it was there. Of many who end one at once, one is told so.
    pub async fn sign_out(&self, hash: &str) -> Result<bool, StoreError> {
        let ended = self.run(DELETE, vec![hash.into()]).await?;
        Ok(ended.is_some())
    }

    /// Forgets those that have run out.
    pub async fn forget_sign_ins(&self, now: Timestamp) -> Result<(), StoreError> {
        let values = vec![now.as_microsecond().into()];
        self.run(FORGET, values).await.map(drop)
    }
}
