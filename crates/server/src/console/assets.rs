//! What pages are made with: a stylesheet, a script, icons. Part of the binary, named by their
//! content, so that a browser asks for each once.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header;
use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use super::form::Segment;
use crate::app::hex;

/// Characters of the content's hash in a name.
const MARK: usize = 12;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asset {
    /// The stylesheet.
    Style,
    /// The script.
    Script,
    /// The icons.
    Icons,
    /// The tab's picture.
    Mark,
}

struct Held {
    path: String,
    name: String,
    kind: &'static str,
    text: &'static str,
}

static ASSETS: LazyLock<[Held; 4]> = LazyLock::new(|| {
    let style = include_str!("../../assets/console.css");
    let script = include_str!("../../assets/console.js");
    let icons = include_str!("../../assets/icons.svg");
    let mark = include_str!("../../assets/mark.svg");
    [
        held("console", "css", "text/css; charset=utf-8", style),
        held("console", "js", "text/javascript; charset=utf-8", script),
        held("icons", "svg", "image/svg+xml", icons),
        held("mark", "svg", "image/svg+xml", mark),
    ]
});

fn held(stem: &str, end: &str, kind: &'static str, text: &'static str) -> Held {
    let hash = hex(&Sha256::digest(text));
    let name = format!("{stem}-{}.{end}", &hash[..MARK]);
    Held {
        path: format!("{}/assets/{name}", super::ROOT),
        name,
        kind,
        text,
    }
}

/// Where an asset is.
pub fn path(asset: Asset) -> &'static str {
    let place = match asset {
        Asset::Style => 0,
        Asset::Script => 1,
        Asset::Icons => 2,
        Asset::Mark => 3,
    };
    &ASSETS[place].path
}

/// Gives one. Its name changes with its content, so it can be kept for ever.
pub async fn give(Segment(name): Segment) -> Result<Response, Fault> {
    let found = ASSETS.iter().find(|held| held.name == name);
    let held = found.ok_or(Fault::NotFound)?;
    let headers = [
        (header::CONTENT_TYPE, held.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, held.text).into_response())
}
