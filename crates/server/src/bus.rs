//! Committed events, out to whoever follows them: server-sent events, waiting requests, caches.
//!
//! The [`feed`] makes one stream of what this node commits and what others do, in the order of the
//! sequence. A [`Follower`] gives every event exactly once and in order: it re-reads from the log
//! what it has missed, whether it joined late, fell behind, or resumes after a lost connection.

pub mod feed;

use std::collections::VecDeque;
use std::sync::Arc;

use domain::{Event, StationId};
use store::{EventFilter, MAX_PAGE, Store, StoreError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

pub use feed::Arrival;

/// Batches a follower may fall behind before it has to re-read them.
const LIVE_BATCHES: usize = 1024;

/// Where committed events can be followed.
#[derive(Clone, Debug)]
pub struct Bus {
    live: broadcast::Sender<Arc<Vec<Event>>>,
}

impl Default for Bus {
    /// A bus that [`feed::run`] fills.
    fn default() -> Self {
        let (live, _) = broadcast::channel(LIVE_BATCHES);
        Self { live }
    }
}

impl Bus {
    /// Follows all events after `after`, or those to come, of one station or of all. What the
    /// stream does not bring is read from the store, as patiently as this one is.
    pub async fn follow(
        &self,
        store: &Store,
        after: Option<i64>,
        station_id: Option<StationId>,
    ) -> Result<Follower, StoreError> {
        // Subscribed before the log is read, so that nothing can fall between the two.
        let live = self.live.subscribe();
        let seen = match after {
            Some(after) => after,
            None => store.last_seq().await?,
        };
        let filter = EventFilter { station_id };
        let behind = true;
        Ok(Follower {
            store: store.clone(),
            live,
            filter,
            seen,
            behind,
            ready: VecDeque::new(),
        })
    }
}

/// One who follows the events.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    live: broadcast::Receiver<Arc<Vec<Event>>>,
    filter: EventFilter,
    /// The last event given, or passed over.
    seen: i64,
    /// Whether the log holds events that the live stream will not bring.
    behind: bool,
    ready: VecDeque<Event>,
}

impl Follower {
    /// The last event that was given, or passed over.
    pub fn seen(&self) -> i64 {
        self.seen
    }

    /// The next event. Waits for one. Ends only with the server.
    pub async fn next(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.behind {
                self.catch_up().await?;
                continue;
            }
            match self.live.recv().await {
                Ok(batch) => self.take(&batch),
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    /// Reads a page of the log. A short page means that the live stream has the rest.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        // Taken first: what is committed while the page is read comes over the live stream.
        let last = self.store.last_seq().await?;
        let page = self.store.events(&self.filter, self.seen, MAX_PAGE).await?;
        if page.len() < MAX_PAGE as usize {
            self.behind = false;
            self.seen = self.seen.max(last);
        }
        if let Some(event) = page.last() {
            self.seen = self.seen.max(event.seq);
        }
        self.ready.extend(page);
        Ok(())
    }

    fn take(&mut self, batch: &[Event]) {
        // The sequence has no gaps, and the feed leaves none: what is missing was given before this
        // one began to follow.
        if batch.first().is_some_and(|first| first.seq > self.seen + 1) {
            self.behind = true;
            return;
        }
        for event in batch.iter().filter(|event| event.seq > self.seen) {
            let wanted = self.filter.station_id.is_none()
                || self.filter.station_id == event.event.station_id;
            if wanted {
                self.ready.push_back(event.clone());
            }
        }
        self.seen = self.seen.max(batch.last().map_or(0, |event| event.seq));
    }
}
