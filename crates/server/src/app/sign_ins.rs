//! Browsers: signed in with a token or by a link, and out again.
//!
//! A browser never keeps the access token. It gets a secret of its own, which stands for the token
//! for a while, on every node, and for nothing once the token is revoked.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::token::{Role, Token};
use jiff::Timestamp;
use store::{SignIn, SignInKind};

use super::tokens::{hash, random_text};
use super::{App, AppError};

/// How long somebody stays signed in who may change things: a shift.
const SHIFT: Duration = Duration::from_hours(12);
/// How long somebody who may only read: a screen on the wall has nobody to sign it in again.
const ON_THE_WALL: Duration = Duration::from_hours(24 * 30);
/// How long a link can be used: whoever started the server is still sitting there.
const LINK: Duration = Duration::from_mins(15);

/// Who a browser stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The token it was signed in with.
    pub token: Token,
    /// Until when.
    pub until: Timestamp,
}

/// What a browser presents from now on.
#[derive(Clone, Debug)]
pub struct NewSignIn {
    /// The secret. Known only now.
    pub secret: String,
    /// How long it is good.
    pub lasts: Duration,
}

impl App {
    /// Signs a browser in.
    pub async fn sign_in(&self, token: &Token) -> Result<NewSignIn, AppError> {
        let lasts = match token.role {
            Role::Viewer => ON_THE_WALL,
            Role::Operator | Role::Admin => SHIFT,
        };
        let secret = self.stand_for(token, SignInKind::Browser, lasts).await?;
        Ok(NewSignIn { secret, lasts })
    }

    /// Makes a code that signs one browser in, once and soon.
    pub async fn make_link(&self, token: &Token) -> Result<String, AppError> {
        self.stand_for(token, SignInKind::Link, LINK).await
    }

    /// Takes a link's code, and tells whose it was. It is good once.
    pub async fn redeem_link(&self, code: &str) -> Result<Option<Token>, AppError> {
        let (hash, now) = (hash(code), self.clock.now());
        let found = self.store.signed_in(&hash, SignInKind::Link, now).await?;
        let Some((token, _)) = found else {
            return Ok(None);
        };
        // Whoever ends it has it.
        let ours = self.store.sign_out(&hash).await?;
        Ok(ours.then_some(token))
    }

    /// Who a browser with this secret stands for.
    pub async fn signed_in(&self, secret: &str) -> Result<Option<SignedIn>, AppError> {
        let (known, hash, now) = (&self.known_tokens, hash(secret), self.clock.now());
        if let Some(found) = known.browsers.get(&hash) {
            return Ok(Some(found).filter(|found| found.until > now));
        }
        let before = known.revocations.load(Ordering::SeqCst);
        let found = self
            .store
            .signed_in(&hash, SignInKind::Browser, now)
            .await?;
        let found = found.map(|(token, until)| SignedIn { token, until });
        if let Some(found) = &found {
            known.browsers.insert(hash.clone(), found.clone());
            // It may have been revoked, or signed out, between the two.
            if known.revocations.load(Ordering::SeqCst) != before {
                known.browsers.invalidate(&hash);
            }
        }
        Ok(found)
    }

    /// Signs a browser out.
    pub async fn sign_out(&self, secret: &str) -> Result<(), AppError> {
        let hash = hash(secret);
        self.store.sign_out(&hash).await?;
        let known = &self.known_tokens;
        known.revocations.fetch_add(1, Ordering::SeqCst);
        known.browsers.invalidate(&hash);
        Ok(())
    }

    /// Forgets sign-ins that have run out.
    pub async fn forget_sign_ins(&self) -> Result<(), AppError> {
        Ok(self.store.forget_sign_ins(self.clock.now()).await?)
    }

    async fn stand_for(
        &self,
        token: &Token,
        kind: SignInKind,
        lasts: Duration,
    ) -> Result<String, AppError> {
        let secret = random_text()?;
        let until = self.clock.now().saturating_add(lasts);
        let sign_in = SignIn {
            hash: hash(&secret),
            token_id: token.id,
            kind,
            until: until.unwrap_or(Timestamp::MAX),
        };
        self.store.sign_in(&sign_in).await?;
        Ok(secret)
    }
}
