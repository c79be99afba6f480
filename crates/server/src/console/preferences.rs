//! Light or dark, and in which language: chosen here, kept in the browser.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};

use super::ROOT;
use super::form::Open;
use super::phrases::Lang;
use super::visit::{Visit, cookie, go_to, own_path};

/// The cookie of the language.
pub const LANGUAGE: &str = "enchufe_language";
/// The cookie of light or dark.
const THEME: &str = "enchufe_theme";
/// How long a choice is kept: a year.
const KEPT_SECONDS: u32 = 365 * 24 * 60 * 60;

/// Light or dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// As the machine has it.
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// What was chosen.
    pub fn of(headers: &HeaderMap) -> Self {
        cookie(headers, THEME).map_or(Self::Auto, Self::from_word)
    }

    /// Its word, for the stylesheet.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Whether it is the one with this word.
    pub fn is(self, word: &str) -> bool {
        self.as_str() == word
    }

    fn from_word(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Auto,
        }
    }
}

/// Keeps a choice, and goes back to where it was made.
pub async fn set(visit: Visit, Open(fields): Open) -> Response {
    let back = fields.get("next").and_then(own_path).unwrap_or(ROOT);
    let mut response = go_to(back);
    let mut keep = |name: &str, value: &str| {
        let secure = if visit.secure { "; Secure" } else { "" };
        let cookie = format!(
            "{name}={value}; Path={ROOT}; Max-Age={KEPT_SECONDS}; SameSite=Strict; HttpOnly{secure}"
        );
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    };
    if let Some(lang) = fields.get("language").and_then(Lang::from_word) {
        keep(LANGUAGE, lang.as_str());
    }
    if let Some(theme) = fields.get("theme") {
        keep(THEME, Theme::from_word(theme).as_str());
    }
    response
}
