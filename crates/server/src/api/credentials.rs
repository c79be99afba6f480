//! What stations' chargers must present.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use garde::Validate;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Admin;
use super::extract::{Body, Path, Post, segment};
use super::problem::Problem;
use crate::app::{App, AppError};
use crate::gateway::passwords::{MAX_PASSWORD, MIN_PASSWORD};

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(set, make))
}

/// What a station's charger must present.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialsBody {
    /// The password: 16 to 40 characters, or an OCPP 1.6 `AuthorizationKey` in 32 to 40 hexadecimal
    /// digits.
    #[garde(length(chars, min = MIN_PASSWORD, max = MAX_PASSWORD), custom(is_visible))]
    #[schema(min_length = 16, max_length = 40, pattern = "^[\\x21-\\x7e]*$", format = Password)]
    password: String,
    /// The OCPP security profile: 1 is HTTP Basic, 2 the same over TLS.
    #[garde(range(min = 1, max = 2))]
    #[schema(minimum = 1, maximum = 2, default = 1)]
    #[serde(default = "profile_1")]
    security_profile: u8,
}

/// A password to make.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredentialsBody {
    /// The OCPP security profile: 1 is HTTP Basic, 2 the same over TLS.
    #[garde(range(min = 1, max = 2))]
    #[schema(minimum = 1, maximum = 2, default = 1)]
    #[serde(default = "profile_1")]
    security_profile: u8,
}

/// A password that was just made.
#[derive(Serialize, ToSchema)]
pub struct MadeCredentialsBody {
    /// The password: 40 hexadecimal digits. Shown this once; a repeated request gets null.
    password: Option<String>,
    /// The OCPP security profile it belongs to.
    security_profile: u8,
}

fn profile_1() -> u8 {
    1
}

fn is_visible(text: &str, _: &()) -> garde::Result {
    if text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(());
    }
    Err(garde::Error::new("is made of visible ASCII characters"))
}

/// Set what a station's charger must present. It is stored hashed and cannot be read back.
#[utoipa::path(put, path = "/stations/{id}/credentials", tag = "Stations",
    request_body = CredentialsBody,
    params(("id" = String, Path, description = "Network identity.", max_length = 48)),
    responses((status = 204, description = "Set.")))]
async fn set(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body<CredentialsBody>,
) -> Result<StatusCode, Problem> {
    let id = segment(&id, "Station")?;
    let hash = app
        .passwords
        .hash(&body.password)
        .await
        .ok_or_else(|| AppError::Internal("argon2 refused its parameters".to_owned()))?;
    app.set_credentials(&id, hash, body.security_profile)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make what a station's charger must present, in place of what it was.
///
/// Nobody can guess what is made here, so checking it costs the server next to nothing. It is an
/// OCPP 1.6 `AuthorizationKey`, and fits OCPP 2.x as it is.
#[utoipa::path(post, path = "/stations/{id}/credentials", tag = "Stations",
    request_body = NewCredentialsBody,
    params(("id" = String, Path, description = "Network identity.", max_length = 48)),
    responses((status = 201, description = "The password.", body = MadeCredentialsBody)))]
async fn make(
    Admin(caller): Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    post: Post<NewCredentialsBody>,
) -> Result<Response, Problem> {
    let id = segment(&id, "Station")?;
    let once = post.once(caller.token_id);
    let security_profile = post.body.security_profile;
    let password = app.make_credentials(&id, security_profile, once).await?;
    let body = MadeCredentialsBody {
        password,
        security_profile,
    };
    let mut response = (StatusCode::CREATED, axum::Json(body)).into_response();
    // The answer holds a secret: nobody on the way is to keep it.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
