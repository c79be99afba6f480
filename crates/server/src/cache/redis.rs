//! The cache that several nodes share.
//!
//! Redis may go away at any moment, and come back with what it had before. A change that could not
//! be put there makes its copies suspect: nothing is read from Redis until the copies that may be
//! old are removed. Meanwhile every read goes to the database: slower, never wrong.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Station, StationId};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands as _, RedisError, Script};

use crate::cluster::redis::{RECOVERY_PAUSE, Redis};

/// How long a copy is kept, in seconds: bounds both Redis' memory and, should a node be cut off
/// from Redis but not from its chargers, how long the others can read what it could not replace.
const TTL_SECONDS: u64 = 60;
/// Copies known to be old that are remembered one by one; beyond this all copies are removed.
const MAX_SUSPECTS: usize = 10_000;
/// What every key begins with, after the network's own prefix.
const PREFIX: &str = "station:";
/// Keys removed in one round trip.
const REMOVE_BATCH: usize = 500;

/// Puts a copy in place unless a newer one is there. An entry is `version|document`, and an empty
/// document is a tombstone.
const PUT_IF_NEWER: &str = "\
local present = redis.call('GET', KEYS[1])
if present and tonumber(string.match(present, '^(%d+)|')) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. ARGV[2], 'EX', ARGV[3])
return 1";

/// A Redis that several nodes share.
#[derive(Clone)]
pub struct RedisCache(Arc<Inner>);

struct Inner {
    redis: Redis,
    put: Script,
    /// Reads and writes are off: Redis failed, and copies there may be old.
    away: AtomicBool,
    suspects: Mutex<HashSet<StationId>>,
}

/// Why a copy is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It was read: not putting it costs a little time.
    Fill,
    /// It was committed: not putting it leaves an old copy behind.
    Committed,
}

/// Redis did not answer, or is not to be trusted yet.
#[derive(Debug)]
pub(super) struct Away;

impl std::fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisCache")
            .field("away", &self.0.away)
            .finish_non_exhaustive()
    }
}

impl RedisCache {
    /// A cache in this Redis, once it answers.
    pub fn new(redis: Redis) -> Self {
        let cache = Self(Arc::new(Inner {
            redis,
            put: Script::new(PUT_IF_NEWER),
            // Off until a first answer: what is there may be from before a change made without it.
            away: AtomicBool::new(true),
            suspects: Mutex::new(HashSet::new()),
        }));
        tokio::spawn(cache.clone().recover(true));
        cache
    }

    /// The copy: `None` is not known, `Some(None)` is known to be gone.
    pub(super) async fn get(&self, id: &StationId) -> Result<Option<Option<Station>>, Away> {
        if self.is_away() {
            return Err(Away);
        }
        let entry: Result<Option<String>, RedisError> = self.connection().get(self.key(id)).await;
        match entry {
            // A copy written by another version of the program counts as none.
            Ok(entry) => Ok(entry.as_deref().and_then(|entry| {
                let (_, doc) = entry.split_once('|')?;
                if doc.is_empty() {
                    Some(None)
                } else {
                    serde_json::from_str(doc).ok().map(Some)
                }
            })),
            Err(error) => {
                self.went_away(&error);
                Err(Away)
            }
        }
    }

    pub(super) async fn put(&self, station: &Station, why: Put) {
        match serde_json::to_string(station) {
            Ok(doc) => self.write(&station.id, station.version, &doc, why).await,
            Err(error) => tracing::error!(%error, station.id = %station.id, "station not cached"),
        }
    }

    pub(super) async fn put_gone(&self, id: &StationId, version: i64) {
        self.write(id, version, "", Put::Committed).await;
    }

    pub(super) async fn ping(&self) -> bool {
        !self.is_away()
            && redis::cmd("PING")
                .query_async::<String>(&mut self.connection())
                .await
                .is_ok()
    }

    async fn write(&self, id: &StationId, version: i64, doc: &str, why: Put) {
        let done = !self.is_away() && {
            let mut call = self.0.put.key(self.key(id));
            call.arg(version).arg(doc).arg(TTL_SECONDS);
            match call.invoke_async::<i64>(&mut self.connection()).await {
                Ok(_) => true,
                Err(error) => {
                    self.went_away(&error);
                    false
                }
            }
        };
        if !done && why == Put::Committed {
            let mut suspects = self.lock_suspects();
            // One over the bound stands for "all".
            if suspects.len() <= MAX_SUSPECTS {
                suspects.insert(id.clone());
            }
            drop(suspects);
            // Redis may have come back between the failure and this note.
            self.start_recovery();
        }
    }

    fn went_away(&self, error: &RedisError) {
        tracing::warn!(%error, "Redis does not answer; reading from the database instead");
        self.start_recovery();
    }

    fn start_recovery(&self) {
        if !self.0.away.swap(true, Ordering::SeqCst) {
            tokio::spawn(self.clone().recover(false));
        }
    }

    /// Waits for Redis, removes the copies that may be old, and only then trusts it again.
    async fn recover(self, mut all: bool) {
        loop {
            let suspects = self.lock_suspects().clone();
            all = all || suspects.len() > MAX_SUSPECTS;
            let removed = if all {
                self.remove_all().await
            } else {
                self.remove(&suspects).await
            };
            if removed.is_ok() {
                let mut now = self.lock_suspects();
                now.retain(|id| !suspects.contains(id));
                // What became suspect while the others were removed takes another round.
                if now.is_empty() {
                    self.0.away.store(false, Ordering::SeqCst);
                    tracing::info!(removed = suspects.len(), "Redis answers again");
                    return;
                }
                all = false;
            } else {
                tokio::time::sleep(RECOVERY_PAUSE).await;
            }
        }
    }

    async fn remove(&self, ids: &HashSet<StationId>) -> Result<(), RedisError> {
        redis::cmd("PING")
            .query_async::<String>(&mut self.connection())
            .await?;
        let keys: Vec<String> = ids.iter().map(|id| self.key(id)).collect();
        for keys in keys.chunks(REMOVE_BATCH) {
            let () = self.connection().unlink(keys).await?;
        }
        Ok(())
    }

    async fn remove_all(&self) -> Result<(), RedisError> {
        let pattern = self.0.redis.name(format_args!("{PREFIX}*"));
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(REMOVE_BATCH)
                .query_async(&mut self.connection())
                .await?;
            if !keys.is_empty() {
                let () = self.connection().unlink(keys).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    fn is_away(&self) -> bool {
        self.0.away.load(Ordering::SeqCst)
    }

    fn connection(&self) -> ConnectionManager {
        self.0.redis.connection()
    }

    fn key(&self, id: &StationId) -> String {
        self.0.redis.name(format_args!("{PREFIX}{id}"))
    }

    fn lock_suspects(&self) -> std::sync::MutexGuard<'_, HashSet<StationId>> {
        self.0
            .suspects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
