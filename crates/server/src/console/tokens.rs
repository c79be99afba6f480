//! Access tokens: made, shown once, revoked at once.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::TokenId;
use domain::token::{Role, Token};
use uuid::Uuid;

use super::fault::Fault;
use super::form::{Asked, Posted, Segment};
use super::page::{Page, Place, render};
use super::station::{Ask, Secret};
use super::visit::{Admin, go_to};
use super::words;
use crate::app::App;

/// Tokens on a page.
const ON_A_PAGE: u32 = 100;
/// Longest name of a token.
const MAX_NAME: usize = 128;

#[derive(Template)]
#[template(path = "tokens.html")]
struct List {
    page: Page,
    tokens: Vec<Token>,
    own: TokenId,
    next: Option<String>,
    first_page: bool,
    roles: Vec<(&'static str, &'static str, &'static str)>,
}

/// The list.
pub async fn list(
    Admin(visit): Admin,
    State(app): State<App>,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let after = query
        .get("after")
        .and_then(|id| id.parse().ok())
        .map(TokenId);
    let mut tokens = app.tokens(after, ON_A_PAGE + 1).await?;
    let more = tokens.len() > ON_A_PAGE as usize;
    tokens.truncate(ON_A_PAGE as usize);
    let last = tokens.last().filter(|_| more);
    let next = last.map(|last| query.with("after", Some(&last.id.to_string())));
    let own = visit.signed_in.as_ref().ok_or(Fault::SignIn)?.token.id;
    let t = visit.lang.phrases();
    let page = visit.page(&app, Place::Tokens, t.tokens).await;
    let may = |role| match role {
        Role::Viewer => t.role_viewer_may,
        Role::Operator => t.role_operator_may,
        Role::Admin => t.role_admin_may,
    };
    let roles = Role::ALL.iter();
    let shown = List {
        roles: roles
            .map(|role| (role.as_str(), words::role(page.lang, *role), may(*role)))
            .collect(),
        first_page: after.is_none(),
        tokens,
        next,
        own,
        page,
    };
    Ok(render(shown.render()))
}

impl List {
    fn role(&self, token: &Token) -> &'static str {
        words::role(self.page.lang, token.role)
    }
}

/// Makes a token, and shows it once.
pub async fn make(
    Admin(visit): Admin,
    State(app): State<App>,
    posted: Posted,
) -> Result<Response, Fault> {
    let name = posted.fields.line("name", |t| t.name, MAX_NAME)?;
    let role = posted.fields.word("role", |t| t.role, Role::from_word)?;
    let made = app.create_token(name, role, posted.once()).await?;
    let t = visit.lang.phrases();
    let shown = Secret {
        page: visit.page(&app, Place::Tokens, t.new_token).await,
        what: format!("{}: {}", t.new_token, made.token.name),
        how: t.new_token_how.to_owned(),
        shown: made.secret,
        back: "/console/tokens".to_owned(),
    };
    Ok(shown.show())
}

/// The token that a path names. No token revokes itself, so that the last admin cannot lock
/// everybody out by accident.
fn other(own: Option<TokenId>, text: &str) -> Result<TokenId, Fault> {
    let id = TokenId(Uuid::parse_str(text).map_err(|_| Fault::NotFound)?);
    if own == Some(id) {
        return Err(Fault::Own);
    }
    Ok(id)
}

/// Asks before a token is revoked.
pub async fn ask(
    Admin(visit): Admin,
    State(app): State<App>,
    Segment(id): Segment,
) -> Result<Response, Fault> {
    let own = visit.signed_in.as_ref().map(|who| who.token.id);
    let id = other(own, &id)?;
    // The first one listed after everything below its id.
    let below = TokenId(Uuid::from_u128(id.0.as_u128().saturating_sub(1)));
    let found = app.tokens(Some(below), 1).await?;
    let token = found.into_iter().find(|token| token.id == id);
    let token = token.ok_or(Fault::NotFound)?;
    let t = visit.lang.phrases();
    let ask = Ask {
        page: visit.page(&app, Place::Tokens, t.revoke).await,
        question: t.ask_revoke.replace("{name}", &token.name),
        consequence: t.ask_revoke_means.to_owned(),
        button: t.revoke.to_owned(),
        harm: true,
        action: format!("/console/tokens/{id}/revoke"),
        fields: Vec::new(),
        back: "/console/tokens".to_owned(),
    };
    Ok(ask.show())
}

/// Revokes a token.
pub async fn revoke(
    Admin(visit): Admin,
    State(app): State<App>,
    Segment(id): Segment,
    _: Posted,
) -> Result<Response, Fault> {
    let own = visit.signed_in.as_ref().map(|who| who.token.id);
    app.revoke_token(other(own, &id)?).await?;
    Ok(go_to("/console/tokens"))
}
