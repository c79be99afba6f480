//! Who asks, and what they may do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use domain::token::{Role, Token};
use domain::{StationId, TokenId};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use moka::sync;

use super::problem::Problem;
use crate::app::App;

/// How long wrong credentials are held against an address.
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses remembered. Beyond this the ones quiet longest are forgotten.
const MAX_ADDRESSES: u64 = 100_000;
/// Longest access token looked at; ours have 51 characters.
const MAX_TOKEN: usize = 512;
/// How soon what goes on after its answer began ends when its token is revoked.
const RECHECK: Duration = Duration::from_secs(1);

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Their token.
    pub token_id: TokenId,
    /// What they may do.
    pub role: Role,
}

/// Somebody who may read.
#[derive(Clone, Debug)]
pub struct Viewer(pub Caller);
/// Somebody who may run the network.
#[derive(Clone, Debug)]
pub struct Operator(pub Caller);
/// Somebody who may say who else may.
#[derive(Clone, Debug)]
pub struct Admin(pub Caller);

/// Says which role an extractor asks for.
macro_rules! role {
    ($name:ident, $role:expr) => {
        impl FromRequestParts<App> for $name {
            type Rejection = Problem;
            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
                caller(parts, app, $role).await.map(Self)
            }
        }
    };
}
role!(Viewer, Role::Viewer);
role!(Operator, Role::Operator);
role!(Admin, Role::Admin);

async fn caller(parts: &Parts, app: &App, least: Role) -> Result<Caller, Problem> {
    let token = token(parts, app).await?;
    if token.role < least {
        let detail = format!("this needs the role {least}; the token has {}", token.role);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(Caller {
        token_id: token.id,
        role: token.role,
    })
}

async fn token(parts: &Parts, app: &App) -> Result<Token, Problem> {
    let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let address = address.map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip());
    let Some(secret) = bearer(&parts.headers) else {
        return Err(unauthorized(
            "present an access token: Authorization: Bearer <token>",
        ));
    };
    if let Some(token) = app.known_token(secret) {
        return Ok(token);
    }
    // Guesses are limited. A token that was good when it last came is none: its holder goes on,
    // even when somebody else behind the same address (a balancer's, say) presents wrong ones.
    if !app.trusts_token(secret) {
        app.failures.check(address, None)?;
    }
    if secret.len() <= MAX_TOKEN
        && let Some(token) = app.token_of(secret).await?
    {
        return Ok(token);
    }
    app.failures.note(address, None);
    tracing::warn!(%address, "wrong access token");
    Err(unauthorized(
        "this access token is not known; it may have been revoked",
    ))
}

/// Waits until the token of a request is revoked: what goes on after its answer began, such as a
/// stream, ends then. A database that is away ends nothing.
pub(super) async fn revoked(app: App, headers: HeaderMap) {
    loop {
        tokio::time::sleep(RECHECK).await;
        let Some(secret) = bearer(&headers) else {
            return;
        };
        if app.known_token(secret).is_none() && matches!(app.token_of(secret).await, Ok(None)) {
            return;
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail).challenge("Bearer realm=\"enchufe\"")
}

/// Wrong credentials of late, by address (and by station, where a charger presented them: many
/// chargers share the address of a mobile network).
#[derive(Clone, Debug)]
pub struct Failures {
    most: u32,
    counts: sync::Cache<(IpAddr, Option<StationId>), Arc<AtomicU32>>,
}

impl Failures {
    /// Allows so many in a minute.
    pub fn new(most: u32) -> Self {
        let counts = sync::Cache::builder()
            .max_capacity(MAX_ADDRESSES)
            .time_to_live(WINDOW);
        Self {
            most,
            counts: counts.build(),
        }
    }

    /// Refuses an address that has presented too many.
    pub fn check(&self, address: IpAddr, station: Option<&StationId>) -> Result<(), Problem> {
        let count = self.counts.get(&(address, station.cloned()));
        if count.is_some_and(|count| count.load(Ordering::Relaxed) >= self.most) {
            let detail = "too many wrong credentials from this address; wait a minute";
            let seconds = u32::try_from(WINDOW.as_secs()).unwrap_or(u32::MAX);
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(seconds));
        }
        Ok(())
    }

    /// Counts one.
    pub fn note(&self, address: IpAddr, station: Option<&StationId>) {
        self.counts
            .get_with((address, station.cloned()), Arc::default)
            .fetch_add(1, Ordering::Relaxed);
    }
}
