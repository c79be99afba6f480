//! In with a token or by the link printed at the start, and out again.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use askama::Template;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::ROOT;
use super::fault::Fault;
use super::form::{Asked, Open, Posted};
use super::page::{Page, Place, render};
use super::phrases::Say;
use super::visit::{Visit, go_to, own_path, session_cookie};
use crate::app::{App, NewSignIn};

/// Longest token looked at; ours have 51 characters.
const MAX_TOKEN: usize = 512;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Page,
    next: String,
    wrong: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "entered.html")]
struct EnteredPage {
    page: Page,
}

/// The form.
pub async fn show(visit: Visit, State(app): State<App>, Asked(query): Asked) -> Response {
    let next = query.get("next").and_then(own_path).unwrap_or(ROOT);
    if visit.signed_in.is_some() {
        return go_to(next);
    }
    form(&app, visit, next, None).await
}

/// The form's address, for one who is to go on from there.
pub fn path(next: &str) -> String {
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("{ROOT}/sign-in?next={next}")
}

async fn form(app: &App, visit: Visit, next: &str, wrong: Option<Say>) -> Response {
    let t = visit.lang.phrases();
    let mut page = visit.page(app, Place::Elsewhere, t.sign_in).await;
    // Choosing a language leads back to the form, and signing in from there on as before.
    page.here = path(next);
    let shown = SignInPage {
        page,
        next: next.to_owned(),
        wrong: wrong.map(|say| say(t)),
    };
    render(shown.render())
}

/// Signs in with a token.
pub async fn sign_in(
    visit: Visit,
    State(app): State<App>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Open(fields): Open,
) -> Result<Response, Fault> {
    let next = fields.get("next").and_then(own_path).unwrap_or(ROOT);
    let presented = fields.get("token").unwrap_or_default();
    let guess = Guess::of(&app, address);
    if guess.one_too_many() {
        return Ok(
            refused(&app, visit, next, StatusCode::TOO_MANY_REQUESTS, |t| {
                t.sign_in_too_often
            })
            .await,
        );
    }
    let token = if presented.len() <= MAX_TOKEN {
        app.token_of(presented).await?
    } else {
        None
    };
    let Some(token) = token else {
        guess.wrong();
        return Ok(refused(&app, visit, next, StatusCode::UNAUTHORIZED, |t| {
            t.sign_in_wrong
        })
        .await);
    };
    let made = app.sign_in(&token).await?;
    let mut response = go_to(next);
    keep(&mut response, visit.secure, &made);
    Ok(response)
}

async fn refused(app: &App, visit: Visit, next: &str, status: StatusCode, say: Say) -> Response {
    let mut response = form(app, visit, next, Some(say)).await;
    *response.status_mut() = status;
    response
}

/// Signs in by a link's code, once.
///
/// The answer is a page and not a redirection: who comes from a page of another site, a mail say,
/// would not yet be known to the next page of a chain of redirections.
pub async fn enter(
    visit: Visit,
    State(app): State<App>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let guess = Guess::of(&app, address);
    if guess.one_too_many() {
        let status = StatusCode::TOO_MANY_REQUESTS;
        return Ok(refused(&app, visit, ROOT, status, |t| t.sign_in_too_often).await);
    }
    let code = query.get("code").unwrap_or_default();
    let token = if code.len() <= MAX_TOKEN {
        app.redeem_link(code).await?
    } else {
        None
    };
    let Some(token) = token else {
        guess.wrong();
        let status = StatusCode::UNAUTHORIZED;
        return Ok(refused(&app, visit, ROOT, status, |t| t.sign_in_link_used).await);
    };
    let made = app.sign_in(&token).await?;
    let secure = visit.secure;
    let t = visit.lang.phrases();
    let mut page = visit.page(&app, Place::Elsewhere, t.signed_in).await;
    // The code is not to be carried on.
    ROOT.clone_into(&mut page.here);
    let mut response = render(EnteredPage { page }.render());
    keep(&mut response, secure, &made);
    Ok(response)
}

/// Signs out.
pub async fn sign_out(visit: Visit, State(app): State<App>, _: Posted) -> Result<Response, Fault> {
    if let Some(secret) = visit.secret() {
        app.sign_out(secret).await?;
    }
    let mut response = go_to(&format!("{ROOT}/sign-in"));
    let nothing = NewSignIn {
        secret: String::new(),
        lasts: Duration::ZERO,
    };
    keep(&mut response, visit.secure, &nothing);
    Ok(response)
}

/// Gives the browser what it presents from now on.
fn keep(response: &mut Response, secure: bool, made: &NewSignIn) {
    let name = session_cookie(secure);
    let (path, mark) = if secure {
        ("/", "; Secure")
    } else {
        (ROOT, "")
    };
    let cookie = format!(
        "{name}={}; Path={path}; Max-Age={}; HttpOnly; SameSite=Strict{mark}",
        made.secret,
        made.lasts.as_secs()
    );
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// One who presents something that may be a guess.
struct Guess<'a> {
    app: &'a App,
    address: IpAddr,
}

impl<'a> Guess<'a> {
    fn of(app: &'a App, address: SocketAddr) -> Self {
        Self {
            app,
            address: address.ip(),
        }
    }

    fn one_too_many(&self) -> bool {
        self.app.failures.check(self.address, None).is_err()
    }

    fn wrong(&self) {
        self.app.failures.note(self.address, None);
        tracing::warn!(address = %self.address, "wrong access token at the console");
    }
}
