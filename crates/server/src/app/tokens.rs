//! Access tokens: made, shown once, revoked at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::token::{Role, Token};
use domain::{EventKind, NewEvent, TokenId};
use jiff::Timestamp;
use moka::sync;
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};
use store::{Commit, MAX_PAGE, NewToken, StoreError};
use uuid::Uuid;

use super::sign_ins::SignedIn;
use super::{App, AppError, Once, gone};
use crate::state::new_id;

/// What a secret begins with, so that scanners for leaked secrets can tell whose it is.
const PREFIX: &str = "enchufe_";

/// What the token from the configuration is called. Somebody may call one of theirs so: it counts
/// as one configured before.
const CONFIGURED: &str = "admin (configured)";

/// How long a token is taken to be good without asking the database. A revocation on this node is
/// felt at once, one by another node or by `enchufe token` when its event arrives, and within this
/// time at the latest.
const FRESH: Duration = Duration::from_secs(2);
/// How long a token that nobody presents is remembered as one that was good.
const TRUSTED: Duration = Duration::from_hours(24);
/// Tokens remembered.
const MAX_KNOWN: u64 = 1_000;

/// Access tokens presented lately, by the hash of their secret.
#[derive(Debug)]
pub struct KnownTokens {
    /// Taken to be good without asking the database.
    fresh: sync::Cache<String, Token>,
    /// Good when the database was last asked.
    trusted: sync::Cache<String, ()>,
    /// Browsers that are signed in, taken to be so without asking the database.
    pub(super) browsers: sync::Cache<String, SignedIn>,
    /// Revocations that this node knows of, and browsers signed out.
    pub(super) revocations: AtomicU64,
}

impl Default for KnownTokens {
    fn default() -> Self {
        let (fresh, trusted) = (sync::Cache::builder(), sync::Cache::builder());
        Self {
            fresh: fresh.max_capacity(MAX_KNOWN).time_to_live(FRESH).build(),
            trusted: trusted
                .max_capacity(MAX_KNOWN)
                .time_to_idle(TRUSTED)
                .build(),
            browsers: sync::Cache::builder()
                .max_capacity(MAX_KNOWN)
                .time_to_live(FRESH)
                .build(),
            revocations: AtomicU64::default(),
        }
    }
}

impl KnownTokens {
    /// A token was revoked: every one is asked for again.
    pub fn revoked(&self) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        self.fresh.invalidate_all();
        self.browsers.invalidate_all();
    }
}

/// A token that was made.
#[derive(Clone, Debug)]
pub struct MadeToken {
    /// What is kept of it.
    pub token: Token,
    /// What its holder presents. Known only now; a repeated request gets none.
    pub secret: Option<String>,
}

impl App {
    /// Makes an access token.
    pub async fn create_token(
        &self,
        name: String,
        role: Role,
        once: Option<Once>,
    ) -> Result<MadeToken, AppError> {
        if let Some(id) = self.recall(once.as_ref()).await? {
            return self.token_made_before(&id).await;
        }
        let secret = new_secret()?;
        match (
            self.keep_token(name, role, &secret, once.as_ref()).await,
            &once,
        ) {
            (Ok(token), _) => Ok(MadeToken {
                token,
                secret: Some(secret),
            }),
            // Another sending of the request was quicker, and has the secret.
            (Err(AppError::Conflict(_)), Some(once)) => {
                self.token_made_before(&self.outrun(once).await?).await
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn token_made_before(&self, id: &str) -> Result<MadeToken, AppError> {
        let id = Uuid::parse_str(id).map_err(|_| gone())?;
        // The first one listed after everything below its id.
        let below = TokenId(Uuid::from_u128(id.as_u128().saturating_sub(1)));
        let found = self.store.tokens(Some(below), 1).await?.into_iter().next();
        let token = found.filter(|token| token.id == TokenId(id));
        Ok(MadeToken {
            token: token.ok_or_else(gone)?,
            secret: None,
        })
    }

    /// Sees to it that this secret is an admin's, and tells whether it was not before.
    pub async fn ensure_admin(&self, secret: &str) -> Result<bool, AppError> {
        if self.store.token_by_hash(&hash(secret)).await?.is_some() {
            return Ok(false);
        }
        match self
            .keep_token("admin".to_owned(), Role::Admin, secret, None)
            .await
        {
            Ok(_) => Ok(true),
            // Another node was quicker.
            Err(AppError::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sees to it that this secret is an admin's, and that no secret configured before it still
    /// is: who changes the setting means to shut out whoever knows the old one.
    pub async fn configure_admin(&self, secret: &str) -> Result<(), AppError> {
        let known = self.store.token_by_hash(&hash(secret)).await?;
        let current = if let Some(token) = known {
            token.id
        } else {
            let name = CONFIGURED.to_owned();
            match self.keep_token(name, Role::Admin, secret, None).await {
                Ok(token) => token.id,
                // Another node with the same setting was quicker.
                Err(AppError::Conflict(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        };
        let mut after = None;
        loop {
            let page = self.store.tokens(after, MAX_PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for token in page {
                if token.name == CONFIGURED && token.id != current {
                    tracing::warn!(token.id = %token.id, "the admin token configured before is revoked");
                    match self.revoke_token(token.id).await {
                        // Another node was quicker.
                        Ok(()) | Err(AppError::NotFound(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// Whose secret is this, if it was looked up a moment ago?
    pub fn known_token(&self, secret: &str) -> Option<Token> {
        self.known_tokens.fresh.get(&hash(secret))
    }

    /// Whether this secret was somebody's when it was last presented, so that it is no guess.
    pub fn trusts_token(&self, secret: &str) -> bool {
        self.known_tokens.trusted.get(&hash(secret)).is_some()
    }

    /// Whose secret is this?
    pub async fn token_of(&self, secret: &str) -> Result<Option<Token>, AppError> {
        let (known, hash) = (&self.known_tokens, hash(secret));
        let before = known.revocations.load(Ordering::SeqCst);
        let token = self.store.token_by_hash(&hash).await?;
        if let Some(token) = &token {
            known.trusted.insert(hash.clone(), ());
            known.fresh.insert(hash.clone(), token.clone());
            // It may have been revoked between the two.
            if known.revocations.load(Ordering::SeqCst) != before {
                known.fresh.invalidate(&hash);
            }
        } else {
            known.trusted.invalidate(&hash);
        }
        Ok(token)
    }

    /// Lists access tokens.
    pub async fn tokens(&self, after: Option<TokenId>, limit: u32) -> Result<Vec<Token>, AppError> {
        Ok(self.store.tokens(after, limit).await?)
    }

    /// Revokes an access token: the next request with it is refused.
    pub async fn revoke_token(&self, id: TokenId) -> Result<(), AppError> {
        let event = token_revoked(id, self.clock.now());
        let commit = Commit {
            revoked_token: Some(id),
            events: vec![event],
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            Ok(_) => {
                self.known_tokens.revoked();
                Ok(())
            }
            Err(StoreError::Conflict) => Err(AppError::NotFound("Token")),
            Err(error) => Err(error.into()),
        }
    }

    async fn keep_token(
        &self,
        name: String,
        role: Role,
        secret: &str,
        once: Option<&Once>,
    ) -> Result<Token, AppError> {
        let (token, hash, event) = token_made(name, role, secret, self.clock.now());
        let commit = Commit {
            new_token: Some(NewToken {
                token: token.clone(),
                hash,
            }),
            idempotency: self.remember(once, token.id.to_string()),
            events: vec![event],
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        Ok(token)
    }
}

/// A token as it is kept, the hash of its secret, and the event that tells of it.
pub fn token_made(
    name: String,
    role: Role,
    secret: &str,
    now: Timestamp,
) -> (Token, String, NewEvent) {
    let id = TokenId(new_id(now));
    let token = Token {
        id,
        name,
        role,
        created_at: now,
    };
    (
        token,
        hash(secret),
        event(EventKind::TokenCreated { token_id: id, role }, now),
    )
}

/// The event that tells of a token's end.
pub fn token_revoked(id: TokenId, now: Timestamp) -> NewEvent {
    event(EventKind::TokenRevoked { token_id: id }, now)
}

fn event(kind: EventKind, at: Timestamp) -> NewEvent {
    NewEvent {
        at,
        station_id: None,
        evse: None,
        connector: None,
        kind,
    }
}

/// An access token's secret: 256 bits nobody can guess.
pub fn new_secret() -> Result<String, AppError> {
    Ok(format!("{PREFIX}{}", random_text()?))
}

/// 256 bits nobody can guess, as text that can stand in a URL.
pub(super) fn random_text() -> Result<String, AppError> {
    let mut bytes = [0_u8; 32];
    rand::rngs::OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| AppError::Internal(format!("no randomness: {error}")))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a secret. It has 256 bits, so a plain hash cannot be turned back.
pub(super) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
