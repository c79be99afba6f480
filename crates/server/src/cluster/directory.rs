//! Who holds which station, as Redis tells it: quick to ask, and never the last word. That is the
//! database's, which refuses whoever lost a station.
//!
//! An entry is `epoch|node`. It is put unless a newer epoch is there, removed only by the one who
//! put it, and expires unless it is renewed.

use std::time::Duration;

use domain::{Hold, NodeId, StationId};
use redis::{AsyncCommands as _, RedisError, Script};
use tokio::time::{Instant, sleep, sleep_until};

use super::redis::{RECOVERY_PAUSE, Redis};
use crate::app::App;
use crate::metrics::DisconnectReason;

/// How long an entry stands without being renewed, in seconds: what a node that died leaves behind.
const LIFE_SECONDS: u64 = 60;
/// How often a node renews its entries, and puts back those that Redis lost.
const RENEWAL: Duration = Duration::from_secs(20);
/// How long it takes over that. All of them at once would keep Redis from everything else, and the
/// commands of the network would wait.
const RENEWAL_SPREAD: Duration = Duration::from_secs(10);
/// Entries renewed in one round trip: a millisecond's work for Redis.
const RENEWAL_BATCH: usize = 50;

/// Puts an entry unless a newer epoch is there. Tells whether it stands.
const CLAIM: &str = "\
local present = redis.call('GET', KEYS[1])
if present and tonumber(string.match(present, '^(%d+)|')) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. ARGV[2], 'EX', ARGV[3])
return 1";

/// Removes an entry if it is still the one that was put.
const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] .. '|' .. ARGV[2] then redis.call('DEL', KEYS[1]) end
return 1";

/// Who holds which station.
#[derive(Debug)]
pub struct Directory {
    redis: Redis,
    node: NodeId,
    claim: Script,
    release: Script,
}

impl Directory {
    pub(super) fn new(redis: Redis, node: NodeId) -> Self {
        Self {
            redis,
            node,
            claim: Script::new(CLAIM),
            release: Script::new(RELEASE),
        }
    }

    /// The node that holds a station, as far as Redis knows.
    pub async fn holder(&self, station: &StationId) -> Result<Option<NodeId>, RedisError> {
        let key = self.key(station);
        let entry: Option<String> = self.redis.connection().get(key).await?;
        Ok(entry.and_then(|entry| entry.split_once('|')?.1.parse().ok()))
    }

    /// Enters a claim, and tells whether it stands: another node may have a newer one.
    pub async fn claim(&self, hold: &Hold) -> Result<bool, RedisError> {
        let mut call = self.claim.key(self.key(&hold.station_id));
        call.arg(hold.epoch)
            .arg(self.node.to_string())
            .arg(LIFE_SECONDS);
        let stands: i64 = call.invoke_async(&mut self.redis.connection()).await?;
        Ok(stands == 1)
    }

    /// Removes a claim, unless a newer one has its place.
    pub async fn release(&self, hold: &Hold) -> Result<(), RedisError> {
        let mut call = self.release.key(self.key(&hold.station_id));
        call.arg(hold.epoch).arg(self.node.to_string());
        let _: i64 = call.invoke_async(&mut self.redis.connection()).await?;
        Ok(())
    }

    /// Has Redis know the script that [`renew`](Self::renew) runs.
    async fn prepare(&self) -> Result<(), RedisError> {
        let mut connection = self.redis.connection();
        self.claim
            .prepare_invoke()
            .load_async(&mut connection)
            .await?;
        Ok(())
    }

    /// Renews a batch of claims, and gives back those that no longer stand.
    async fn renew<'a>(&self, holds: &[&'a Hold]) -> Result<Vec<&'a Hold>, RedisError> {
        if holds.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for hold in holds {
            let mut call = self.claim.key(self.key(&hold.station_id));
            call.arg(hold.epoch)
                .arg(self.node.to_string())
                .arg(LIFE_SECONDS);
            pipe.invoke_script(&call);
        }
        let stand: Vec<i64> = pipe.query_async(&mut self.redis.connection()).await?;
        let gone = holds.iter().zip(stand).filter(|(_, stands)| *stands == 0);
        Ok(gone.map(|(hold, _)| *hold).collect())
    }

    fn key(&self, station: &StationId) -> String {
        self.redis.name(format_args!("holder:{station}"))
    }
}

/// Renews this node's claims until it is told to end, and at once when Redis is back after it was
/// away. Lets go of a station that another node claims with a newer epoch.
pub async fn run(app: App) {
    let Some(directory) = app.cluster.directory() else {
        return;
    };
    // At once when Redis has been away, and at the start.
    let mut spread = Duration::ZERO;
    loop {
        let pause = match renew_all(&app, directory, spread).await {
            Ok(()) => {
                spread = RENEWAL_SPREAD;
                RENEWAL.saturating_sub(RENEWAL_SPREAD)
            }
            Err(error) => {
                tracing::debug!(%error, "claims not renewed");
                spread = Duration::ZERO;
                RECOVERY_PAUSE
            }
        };
        sleep(pause).await;
    }
}

/// Renews all of this node's claims, spread over a time.
async fn renew_all(app: &App, directory: &Directory, spread: Duration) -> Result<(), RedisError> {
    directory.prepare().await?;
    let holds = app.fleet.holds();
    let batches = holds.len().div_ceil(RENEWAL_BATCH).max(1);
    let pause = spread / u32::try_from(batches).unwrap_or(u32::MAX);
    for batch in holds.chunks(RENEWAL_BATCH) {
        let next = Instant::now() + pause;
        // What has gone since then took its claim along.
        let batch = batch.iter().filter(|hold| app.fleet.speaks_for(hold));
        match directory.renew(&batch.collect::<Vec<_>>()).await {
            Ok(lost) => lost.into_iter().for_each(|hold| let_go(app, hold)),
            // Redis is slow, and is not to be hurried: the next round comes before these expire.
            Err(error) if error.is_timeout() => tracing::debug!(%error, "some claims not renewed"),
            Err(error) => return Err(error),
        }
        sleep_until(next).await;
    }
    Ok(())
}

/// Lets go of a station that another node claims with a newer epoch.
fn let_go(app: &App, hold: &Hold) {
    let reason = DisconnectReason::Replaced;
    app.fleet.outdated(&hold.station_id, hold.epoch + 1, reason);
}
