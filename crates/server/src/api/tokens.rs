//! Access tokens.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::TokenId;
use domain::token::{Role, Token};
use garde::Validate;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::Admin;
use super::extract::{Page, Params, Path, Post, cut, is_plain, segment};
use super::problem::Problem;
use super::schema;
use crate::app::App;

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(delete))
}

/// An access token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenBody {
    /// Its id.
    id: Uuid,
    /// Whose, or what for.
    name: String,
    /// What its holder may do.
    #[schema(schema_with = schema::role)]
    role: Role,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        let Token {
            id,
            name,
            role,
            created_at,
        } = token;
        Self {
            id: id.0,
            name,
            role,
            created_at,
        }
    }
}

/// An access token that was just made.
#[derive(Serialize, ToSchema)]
pub struct MadeTokenBody {
    #[serde(flatten)]
    made: TokenBody,
    /// The secret. Shown this once; a repeated request gets null.
    token: Option<String>,
}

/// An access token to make.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTokenBody {
    /// Whose, or what for.
    #[garde(length(chars, min = 1, max = 128), custom(is_plain))]
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = "plain",
        example = "Night shift"
    )]
    name: String,
    /// What its holder may do.
    #[garde(skip)]
    #[schema(schema_with = schema::role)]
    role: Role,
}

/// A page of access tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// The tokens, oldest first.
    tokens: Vec<TokenBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// List access tokens.
#[utoipa::path(get, path = "/tokens", tag = "Tokens", params(Page<Uuid>),
    responses((status = 200, description = "A page of tokens.", body = Tokens)))]
async fn list(
    _: Admin,
    State(app): State<App>,
    Params(page): Params<Page<Uuid>>,
) -> Result<axum::Json<Tokens>, Problem> {
    let limit = page.limit();
    let after = page.cursor()?.map(TokenId);
    let (tokens, next_cursor) = cut(app.tokens(after, limit + 1).await?, limit, |token| {
        token.id.to_string()
    });
    Ok(axum::Json(Tokens {
        tokens: tokens.into_iter().map(Into::into).collect(),
        next_cursor,
    }))
}

/// Make an access token.
#[utoipa::path(post, path = "/tokens", tag = "Tokens", request_body = NewTokenBody,
    responses((status = 201, description = "The token and its secret.", body = MadeTokenBody)))]
async fn create(
    Admin(caller): Admin,
    State(app): State<App>,
    post: Post<NewTokenBody>,
) -> Result<Response, Problem> {
    let once = post.once(caller.token_id);
    let made = app
        .create_token(post.body.name, post.body.role, once)
        .await?;
    let body = MadeTokenBody {
        made: made.token.into(),
        token: made.secret,
    };
    let mut response = (StatusCode::CREATED, axum::Json(body)).into_response();
    // The answer holds a secret: nobody on the way is to keep it.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Revoke an access token, at once.
///
/// No token revokes itself, so that the last admin cannot lock everybody out by accident.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "Tokens",
    params(("id" = Uuid, Path, description = "The token's id.")),
    responses((status = 204, description = "Revoked.")))]
async fn delete(
    Admin(caller): Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = TokenId(segment(&id, "Token")?);
    if id == caller.token_id {
        let detail = "this is the token you present; revoke it with another admin's";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    app.revoke_token(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
