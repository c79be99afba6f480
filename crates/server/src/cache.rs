//! Stations read lately: in this process, or in a Redis that several nodes share.
//!
//! A cache may be slow, empty or away, but never wrong. Every entry carries its station's version,
//! and versions only go up (even over deletion and re-entry), so an older copy can never replace a
//! newer one, however late it arrives. A deleted station leaves a tombstone for a while, for the
//! same reason. While a change is being committed its station is not read from here at all: whoever
//! is told of the change by its event, before this process has put the new copy in place, reads the
//! database.

mod redis;

use std::sync::Arc;
use std::time::Duration;

use domain::{Station, StationId};
use moka::ops::compute::Op;
use moka::sync;

use crate::metrics::{CacheResult, Metrics};

pub use self::redis::RedisCache;

/// Stations kept in this process. A charger network of this size wants several nodes.
const MAX_STATIONS: u64 = 100_000;
/// How long a station nobody reads is kept.
const IDLE: Duration = Duration::from_hours(1);
/// The cache's name in the metrics.
const NAME: &str = "stations";

/// Copies of stations.
#[derive(Clone, Debug)]
pub struct Cache {
    /// What this process has decided or read: decisions start from it, and the store's version
    /// guard refuses those that started from an old copy.
    local: sync::Cache<StationId, Entry>,
    /// What readers are answered from, when several nodes write.
    shared: Option<RedisCache>,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Debug)]
enum Entry {
    Present(Arc<Station>),
    /// About to change, or changed a moment ago: good to decide from, and for nothing else.
    Changing(Arc<Station>),
    /// Deleted when it had this version.
    Gone(i64),
}

impl Entry {
    fn version(&self) -> i64 {
        match self {
            Self::Present(station) | Self::Changing(station) => station.version,
            Self::Gone(version) => *version,
        }
    }

    fn station(self) -> Option<Arc<Station>> {
        match self {
            Self::Present(station) | Self::Changing(station) => Some(station),
            Self::Gone(_) => None,
        }
    }
}

impl Cache {
    /// An empty cache, in process or over Redis.
    pub fn new(shared: Option<RedisCache>, metrics: Arc<Metrics>) -> Self {
        let local = sync::Cache::builder()
            .max_capacity(MAX_STATIONS)
            .time_to_idle(IDLE)
            .build();
        Self {
            local,
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

    /// The copy a decision may start from, be it old.
    pub fn decide_from(&self, id: &StationId) -> Option<Arc<Station>> {
        self.local.get(id).and_then(Entry::station)
    }

    /// Keeps what was read from the store, unless something newer is there.
    pub async fn fill(&self, station: &Arc<Station>) {
        let newer = |present: i64| station.version > present;
        self.keep(&station.id, Entry::Present(station.clone()), newer);
        if let Some(redis) = &self.shared {
            redis.put(station, redis::Put::Fill).await;
        }
    }

    /// Notes that a change of the station is about to be committed.
    pub fn changing(&self, station: &Arc<Station>) {
        let as_new = |present: i64| station.version >= present;
        self.keep(&station.id, Entry::Changing(station.clone()), as_new);
    }

    /// Keeps what was committed.
    pub async fn committed(&self, station: &Arc<Station>) {
        let as_new = |present: i64| station.version >= present;
        self.keep(&station.id, Entry::Present(station.clone()), as_new);
        if let Some(redis) = &self.shared {
            redis.put(station, redis::Put::Committed).await;
        }
    }

    /// Notes that a station was deleted when it had this version.
    pub async fn deleted(&self, id: &StationId, version: i64) {
        self.keep(id, Entry::Gone(version), |present| version >= present);
        if let Some(redis) = &self.shared {
            redis.put_gone(id, version).await;
        }
    }

    /// Drops this process's copy: it turned out to be old, or nobody knows.
    pub fn forget(&self, id: &StationId) {
        self.local.invalidate(id);
    }

    /// Whether the shared cache answers; `None` without one.
    pub async fn ping(&self) -> Option<bool> {
        match &self.shared {
            None => None,
            Some(redis) => Some(redis.ping().await),
        }
    }

    /// Puts an entry in place if it may stand in for one of the version that is there.
    fn keep(&self, id: &StationId, entry: Entry, may_replace: impl Fn(i64) -> bool) {
        self.local
            .entry_by_ref(id)
            .and_compute_with(|present| match present {
                Some(present) if !may_replace(present.value().version()) => Op::Nop,
                _ => Op::Put(entry),
            });
    }
}
