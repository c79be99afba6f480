//! Who holds which station, as Redis tells it: quick to ask, and never the last word. That is the
//! database's, which refuses whoever lost a station.
//!
//! An entry is `epoch|node`. It is put unless a newer epoch is there, removed only by the one who
//! put it, and expires unless it is renewed.

use std::time::Duration;

use domain::{Hold, NodeId, StationId};
use redis::{AsyncCommands as _, RedisError, Script};

use super::redis::Redis;
use crate::app::App;
use crate::metrics::DisconnectReason;

/// How long an entry stands without being renewed, in seconds: what a node that died leaves behind.
const LIFE_SECONDS: u64 = 60;
/// How often a node renews its entries, and puts back those that Redis lost.
const RENEWAL: Duration = Duration::from_secs(20);
/// Entries renewed in one round trip.
const RENEWAL_BATCH: usize = 500;

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

    /// Renews claims, and gives back those that no longer stand.
    async fn renew(&self, holds: &[Hold]) -> Result<Vec<Hold>, RedisError> {
        let mut connection = self.redis.connection();
        self.claim
            .prepare_invoke()
            .load_async(&mut connection)
            .await?;
        let mut lost = Vec::new();
        for some in holds.chunks(RENEWAL_BATCH) {
            let mut pipe = redis::pipe();
            for hold in some {
                let mut call = self.claim.key(self.key(&hold.station_id));
                call.arg(hold.epoch)
                    .arg(self.node.to_string())
                    .arg(LIFE_SECONDS);
                pipe.invoke_script(&call);
            }
            let stand: Vec<i64> = pipe.query_async(&mut connection).await?;
            let gone = some.iter().zip(stand).filter(|(_, stands)| *stands == 0);
            lost.extend(gone.map(|(hold, _)| hold.clone()));
        }
        Ok(lost)
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
    loop {
        let pause = match directory.renew(&app.fleet.holds()).await {
            Ok(lost) => {
                for hold in lost {
                    app.fleet.outdated(
                        &hold.station_id,
                        hold.epoch + 1,
                        DisconnectReason::Replaced,
                    );
                }
                RENEWAL
            }
            Err(error) => {
                tracing::debug!(%error, "claims not renewed");
                super::redis::RECOVERY_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}
