//! One stream of all committed events, whichever node committed them.
//!
//! Batches come from this node's own store and, over Redis, from other nodes: each in order, the
//! two mixed at random. They are put into the order of the sequence here. What does not come (Redis
//! lost it, or there is none) is read from the log: soon where a later batch shows that it is
//! missing, and within [`CHECK`] where nothing does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{Event, EventKind};
use store::{EventFilter, MAX_PAGE, StoreError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::app::App;
use crate::metrics::DisconnectReason;

/// How long a gap may stand before the log is read: other nodes' batches come within this time.
const GAP_PATIENCE: Duration = Duration::from_millis(5);
/// How often the log is looked at for events that nothing told of.
const CHECK: Duration = Duration::from_secs(1);
/// Batches that may wait for an earlier one.
const MAX_AHEAD: usize = 256;
/// Batches of other nodes that may wait to be put in order. A full queue slows down their reading,
/// and Redis drops a reader that is too slow; the log has them all.
pub const MAX_ARRIVALS: usize = 1024;

/// What comes from other nodes.
#[derive(Debug)]
pub enum Arrival {
    /// A batch that another node committed.
    Foreign(Arc<Vec<Event>>),
    /// Something may have been missed.
    Check,
}

/// Who committed a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Own,
    /// Another node, or nobody knows.
    Foreign,
}

struct Feed {
    app: App,
    /// The last event that was given out.
    seen: i64,
    /// Batches that came before an earlier one, by their first number.
    ahead: BTreeMap<i64, (Origin, Arc<Vec<Event>>)>,
    /// When the log is to be read.
    due: Instant,
}

/// Gives out every event after `seen`, in order, until the server stops. `own` was subscribed
/// before `seen` was read.
pub async fn run(
    app: App,
    mut own: Receiver<Arc<Vec<Event>>>,
    mut arrivals: mpsc::Receiver<Arrival>,
    seen: i64,
) {
    let mut feed = Feed {
        app,
        seen,
        ahead: BTreeMap::new(),
        due: Instant::now() + CHECK,
    };
    loop {
        tokio::select! {
            batch = own.recv() => match batch {
                Ok(batch) => feed.take(Origin::Own, batch),
                Err(RecvError::Lagged(_)) => feed.due = Instant::now(),
                Err(RecvError::Closed) => return,
            },
            Some(arrival) = arrivals.recv() => match arrival {
                Arrival::Foreign(batch) => feed.take(Origin::Foreign, batch),
                Arrival::Check => feed.due = Instant::now(),
            },
            () = sleep_until(feed.due) => feed.read_log().await,
        }
    }
}

impl Feed {
    /// Takes a batch in, and gives out what is in order now.
    fn take(&mut self, origin: Origin, batch: Arc<Vec<Event>>) {
        let Some(first) = batch.first().map(|event| event.seq) else {
            return;
        };
        if first == self.seen + 1 {
            self.give(origin, batch);
            self.give_ahead();
        } else if first > self.seen && self.ahead.len() < MAX_AHEAD {
            self.ahead.insert(first, (origin, batch));
        }
        if first > self.seen + 1 {
            self.due = self.due.min(Instant::now() + GAP_PATIENCE);
        }
    }

    fn give_ahead(&mut self) {
        while let Some(entry) = self.ahead.first_entry() {
            let first = *entry.key();
            if first > self.seen + 1 {
                return;
            }
            let (origin, batch) = entry.remove();
            // One that was read from the log meanwhile has been given.
            if first == self.seen + 1 {
                self.give(origin, batch);
            }
        }
    }

    fn give(&mut self, origin: Origin, batch: Arc<Vec<Event>>) {
        self.seen = batch.last().map_or(self.seen, |event| event.seq);
        for event in batch.iter() {
            if let EventKind::CommandEnded { command_id, .. } = &event.event.kind {
                self.app.endings.told(*command_id);
            }
            if origin == Origin::Foreign {
                heed(&self.app, event);
            }
        }
        // Nobody listening is no fault.
        let _ = self.app.bus.live.send(batch);
    }

    /// Reads what is missing.
    async fn read_log(&mut self) {
        self.due = Instant::now() + CHECK;
        if let Err(error) = self.try_read_log().await {
            tracing::debug!(%error, "event log not read");
        }
    }

    async fn try_read_log(&mut self) -> Result<(), StoreError> {
        let last = self.app.store.last_seq().await?;
        let all = EventFilter::default();
        while self.seen < last {
            let page = self.app.store.events(&all, self.seen, MAX_PAGE).await?;
            if page.is_empty() {
                // Retention has removed them.
                self.seen = last;
                break;
            }
            self.give(Origin::Foreign, Arc::new(page));
        }
        self.give_ahead();
        Ok(())
    }
}

/// What another node's event means for what this one keeps in memory.
fn heed(app: &App, event: &Event) {
    let event = &event.event;
    if let EventKind::TokenRevoked { .. } = &event.kind {
        app.known_tokens.revoked();
    }
    let Some(station) = &event.station_id else {
        return;
    };
    app.cache.changed_elsewhere(station);
    match &event.kind {
        EventKind::StationConnected { epoch, .. } => {
            app.fleet
                .outdated(station, *epoch, DisconnectReason::Replaced);
        }
        // Not by this node, and so it believes that it has lost the charger.
        EventKind::StationDisconnected { epoch, .. } => {
            app.fleet
                .outdated(station, *epoch + 1, DisconnectReason::Disowned);
        }
        EventKind::StationDeleted {} => app.fleet.revoke(station),
        _ => {}
    }
}
