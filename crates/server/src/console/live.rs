//! What changes, as it changes: one stream of server-sent events for each page that is open.
//!
//! A page is not told every event but where things stand now, at most twice a second and within a
//! bound, however much happens: the totals, and the latest state of each station that changed. More
//! than that at once, and it is told to read itself anew. The id of a message is the last event
//! that is in it, so a stream that was cut goes on from there.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, Sse};
use axum::response::{IntoResponse, Response};
use domain::{StationId, StationStatus, Status, TokenId};
use futures_util::stream;
use http::{HeaderMap, HeaderName};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::board::{Board, Change, Row};
use super::fault::Fault;
use super::form::Asked;
use super::phrases::Lang;
use super::visit::Viewer;
use super::words;
use crate::app::{App, AppError};

/// Between two messages, at least: eyes follow two a second.
const PAUSE: Duration = Duration::from_millis(500);
/// Stations told of in one message. With [`PAUSE`] this bounds a stream, to some 30 KB a second.
const MAX_CHANGES: usize = 150;
/// How often a quiet stream shows that it lives, and that its reader may still read it.
const QUIET: Duration = Duration::from_secs(5);
/// How soon a browser comes back to a stream that was cut.
const RETRY: Duration = Duration::from_secs(2);
/// Streams of one token, and of all. A browser has six to a server; a wall of screens has more.
const MAX_OF_A_TOKEN: usize = 64;
const MAX_STREAMS: usize = 2_000;

/// What the console keeps at hand.
#[derive(Debug, Default)]
pub struct Desk {
    board: tokio::sync::Mutex<Option<Arc<Board>>>,
    streams: Arc<Mutex<HashMap<TokenId, usize>>>,
}

impl Desk {
    /// The network at a glance. The first who asks waits until it is read.
    pub(super) async fn board(&self, app: &App) -> Result<Arc<Board>, AppError> {
        let mut kept = self.board.lock().await;
        if let Some(board) = kept.as_ref().filter(|board| !board.ended()) {
            board.look(app.clock.now());
            return Ok(board.clone());
        }
        let board = Board::begin(app).await?;
        *kept = Some(board.clone());
        Ok(board)
    }

    /// The last event that is taken in, and how many stations need a person.
    pub(super) async fn standing(&self, app: &App) -> Result<(i64, usize), AppError> {
        let board = self.board(app).await?;
        let state = board.state();
        Ok((state.seq, state.trouble))
    }

    /// A place for a stream, if there is one.
    fn place(&self, token: TokenId) -> Option<Ticket> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = streams.values().sum();
        let own = streams.entry(token).or_default();
        if *own >= MAX_OF_A_TOKEN || all >= MAX_STREAMS {
            return None;
        }
        *own += 1;
        Some(Ticket {
            token,
            streams: Arc::clone(&self.streams),
        })
    }
}

/// A stream's place, free again when it is dropped.
struct Ticket {
    token: TokenId,
    streams: Arc<Mutex<HashMap<TokenId, usize>>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = streams.get_mut(&self.token) {
            *own -= 1;
            if *own == 0 {
                streams.remove(&self.token);
            }
        }
    }
}

/// Where things stand.
#[derive(Serialize)]
struct Told {
    /// The last event that is in it.
    seq: i64,
    /// Stations that need a person.
    trouble: usize,
    /// Stations by status.
    stations: HashMap<&'static str, usize>,
    /// Connectors by status.
    connectors: HashMap<&'static str, u32>,
    /// What the stations that changed are now.
    changes: Vec<ChangeTold>,
    /// Stations that are gone.
    gone: Vec<StationId>,
    /// Too many, or it is not known which: everything is to be read anew.
    anew: bool,
}

#[derive(Serialize)]
struct ChangeTold {
    id: StationId,
    status: &'static str,
    word: &'static str,
    since: String,
    free: u32,
    all: u32,
}

/// Follows what changes: of all stations, of one, or none by name.
pub async fn follow(
    Viewer(visit): Viewer,
    State(app): State<App>,
    headers: HeaderMap,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let who = visit.signed_in.as_ref().ok_or(Fault::SignIn)?;
    let ticket = app.desk.place(who.token.id).ok_or(Fault::TooMany)?;
    let board = app.desk.board(&app).await?;
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let after = number(resumed).or_else(|| number(query.get("after")));
    let of = match query.get("of") {
        Some("nothing") => Of::Nothing,
        Some(id) => Of::One(StationId::new(id).map_err(|_| Fault::NotFound)?),
        None => Of::All,
    };
    let stream = Stream {
        seen: after.unwrap_or_else(|| board.state().seq),
        secret: visit.secret().unwrap_or_default().to_owned(),
        lang: visit.lang,
        heard: board.hear(),
        last: None,
        over: false,
        board,
        app,
        of,
        _ticket: ticket,
    };
    let messages = stream::unfold(stream, Stream::next);
    // A proxy that gathers what it passes on would make it anything but live.
    let at_once = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((at_once, Sse::new(messages)).into_response())
}

/// Which stations a page shows.
enum Of {
    All,
    One(StationId),
    Nothing,
}

struct Stream {
    app: App,
    board: Arc<Board>,
    heard: watch::Receiver<i64>,
    /// The last event that the page knows of.
    seen: i64,
    /// When it was last told something.
    last: Option<Instant>,
    /// Its reader may read no longer.
    over: bool,
    secret: String,
    lang: Lang,
    of: Of,
    _ticket: Ticket,
}

impl Stream {
    /// The next message. The stream ends with the server, with the board, and with the right to
    /// read it.
    async fn next(mut self) -> Option<(Result<sse::Event, Infallible>, Self)> {
        if self.last.is_none() {
            // At once, so that the page knows that it is connected, and what it missed.
            self.last = Some(Instant::now());
            let told = self.tell().retry(RETRY);
            return Some((Ok(told), self));
        }
        if self.over {
            return None;
        }
        let stopping = self.app.stopping.clone();
        let message = tokio::select! {
            () = stopping.cancelled() => return None,
            message = self.wait() => message?,
        };
        self.last = Some(Instant::now());
        Some((Ok(message), self))
    }

    async fn wait(&mut self) -> Option<sse::Event> {
        let since = self.last.map_or(PAUSE, |last| last.elapsed());
        sleep(PAUSE.saturating_sub(since)).await;
        let changed = match timeout(QUIET, self.heard.wait_for(|seq| *seq > self.seen)).await {
            Ok(Ok(_)) => true,
            Ok(Err(_)) => return None,
            Err(_) => false,
        };
        if self.board.ended() {
            return None;
        }
        match self.app.signed_in(&self.secret).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                self.over = true;
                return Some(sse::Event::default().event("out").data("signed out"));
            }
            // The database is away: what is known is known.
            Err(_) => return Some(sse::Event::default().comment("waiting for the database")),
        }
        if changed {
            Some(self.tell())
        } else {
            // A message of its own, so that the page can tell quiet from cut.
            Some(sse::Event::default().event("alive").data("."))
        }
    }

    fn tell(&mut self) -> sse::Event {
        let state = self.board.state();
        let changes = match &self.of {
            Of::Nothing => Some(Vec::new()),
            Of::All => state.changes(self.seen, MAX_CHANGES),
            Of::One(id) => {
                let all = state.changes(self.seen, usize::MAX - 1);
                all.map(|mut changes| {
                    changes.retain(|change| change.is_of(id));
                    changes
                })
            }
        };
        let anew = changes.is_none();
        let (mut is, mut gone) = (Vec::new(), Vec::new());
        for change in changes.unwrap_or_default() {
            match change {
                Change::Is(row) => is.push(told(self.lang, &row)),
                Change::Gone(id) => gone.push(id),
            }
        }
        let stations = StationStatus::ALL.iter();
        let connectors = Status::ALL.iter();
        let told = Told {
            seq: state.seq,
            trouble: state.trouble,
            stations: stations
                .map(|it| (it.as_str(), state.stations.get(it).copied().unwrap_or(0)))
                .collect(),
            connectors: connectors
                .map(|it| (it.as_str(), state.connectors.of(*it)))
                .collect(),
            changes: is,
            gone,
            anew,
        };
        self.seen = state.seq;
        let event = sse::Event::default().id(told.seq.to_string()).event("now");
        event.json_data(&told).unwrap_or_default()
    }
}

impl Change {
    fn is_of(&self, wanted: &StationId) -> bool {
        match self {
            Self::Is(row) => row.id == *wanted,
            Self::Gone(id) => id == wanted,
        }
    }
}

fn told(lang: Lang, row: &Row) -> ChangeTold {
    ChangeTold {
        id: row.id.clone(),
        status: row.status.as_str(),
        word: words::station_status(lang, row.status),
        since: row.since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        free: row.counts.available,
        all: row.connectors(),
    }
}
