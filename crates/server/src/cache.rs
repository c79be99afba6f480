//! Stations read lately: in this process, or in a Redis that several nodes share.
//!
//! A cache may be slow, empty or away, but never wrong. Every entry carries its station's version,
//! and versions only go up (even over deletion and re-entry), so an older copy can never replace a
//! newer one, however late it arrives. A deleted station leaves a tombstone for a while, for the
//! same reason. While a change is being committed its station is not read from here at all: whoever
//! is told of the change by its event, before this process has put the new copy in place, reads the
//! database.

mod local;
mod redis;

use std::sync::Arc;

use domain::{Station, StationId};

use self::local::{Entry, Local};
use crate::metrics::{CacheResult, Metrics};

pub use self::redis::RedisCache;

/// The cache's name in the metrics.
const NAME: &str = "stations";

/// Copies of stations.
#[derive(Debug)]
pub struct Cache {
    /// What this process has decided or read: decisions start from it, and the store's version
    /// guard refuses those that started from an old copy.
    local: Local,
    /// What readers are answered from, when several nodes write.
    shared: Option<RedisCache>,
    metrics: Arc<Metrics>,
}

impl Cache {
    /// An empty cache, in process or over Redis.
    pub fn new(shared: Option<RedisCache>, metrics: Arc<Metrics>) -> Self {
        Self {
            local: Local::default(),
            shared,
            metrics,
        }
    }

    /// The copy a reader may be shown: `Some(None)` is known to be gone, `None` is not known.
    pub async fn read(&self, id: &StationId) -> Option<Option<Arc<Station>>> {
        let local = self.local.get(id);
        let (found, result) = match &self.shared {
            _ if matches!(local, Some(Entry::Changing(_))) => (None, CacheResult::Miss),
            None => {
                let found = local.map(Entry::station);
                let result = if found.is_some() {
                    CacheResult::Hit
                } else {
                    CacheResult::Miss
                };
                (found, result)
            }
            Some(redis) => match redis.get(id).await {
                Ok(Some(found)) => (Some(found.map(Arc::new)), CacheResult::Hit),
                Ok(None) => (None, CacheResult::Miss),
                Err(_) => (None, CacheResult::Error),
            },
        };
        self.metrics.cache_request(NAME, result);
        found
    }

    /// Whether other nodes may change stations too.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The copy a decision may start from, be it old.
    pub fn decide_from(&self, id: &StationId) -> Option<Arc<Station>> {
        self.local.get(id).and_then(Entry::station)
    }

    /// Keeps what was read from the store, unless something newer is there.
    pub async fn fill(&self, station: &Arc<Station>) {
        let newer = |present: i64| station.version > present;
        self.local
            .keep(&station.id, Entry::Present(station.clone()), newer);
        if let Some(redis) = &self.shared {
            redis.put(station, redis::Put::Fill).await;
        }
    }

    /// Notes that a change of the station is about to be committed.
    pub fn changing(&self, station: &Arc<Station>) {
        let as_new = |present: i64| station.version >= present;
        self.local
            .keep(&station.id, Entry::Changing(station.clone()), as_new);
    }

    /// Keeps what was committed.
    pub async fn committed(&self, station: &Arc<Station>) {
        let as_new = |present: i64| station.version >= present;
        self.local
            .keep(&station.id, Entry::Present(station.clone()), as_new);
        if let Some(redis) = &self.shared {
            redis.put(station, redis::Put::Committed).await;
        }
    }

    /// Notes that a station was deleted when it had this version.
    pub async fn deleted(&self, id: &StationId, version: i64) {
        self.local
            .keep(id, Entry::Gone(version), |present| version >= present);
        if let Some(redis) = &self.shared {
            redis.put_gone(id, version).await;
        }
    }

    /// Another node changed the station: this process's copy is old. One that is just changing here
    /// is left to the store's guard.
    pub fn changed_elsewhere(&self, id: &StationId) {
        self.local.forget_present(id);
    }

    /// Drops this process's copy: it turned out to be old, or nobody knows.
    pub fn forget(&self, id: &StationId) {
        self.local.forget(id);
    }

    /// Whether the shared cache answers; `None` without one.
    pub async fn ping(&self) -> Option<bool> {
        match &self.shared {
            None => None,
            Some(redis) => Some(redis.ping().await),
        }
    }
}
