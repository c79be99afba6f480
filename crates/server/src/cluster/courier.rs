//! Commands, carried to the node that holds the charger: one stream for each node.
//!
//! A stream keeps what is sent while its reader reconnects. A node's id is new at every start, so
//! nobody ever reads what was meant for an earlier run; what that leaves open ends as lost.

use std::time::Duration;

use domain::{CommandRecord, NodeId};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, RedisError};

use super::redis::{RECOVERY_PAUSE, Redis};
use crate::app::App;

/// Commands that may wait in a node's stream. A reader takes them in milliseconds: as many as this
/// wait only for one that is gone.
const MAX_STREAM: usize = 10_000;
/// How long the stream of a node that is gone is kept, in seconds.
const LIFE_SECONDS: i64 = 300;
/// Commands taken from the stream at a time.
const READ_BATCH: usize = 64;
/// How long one read waits for a command. Short enough that a connection that died without a word
/// is noticed.
const READ_TIME: Duration = Duration::from_secs(2);
/// How much longer an answer may take than the read itself waits.
const READ_SLACK: Duration = Duration::from_secs(2);

const FIELD: &str = "command";

/// Carries commands to other nodes.
#[derive(Debug)]
pub struct Courier {
    redis: Redis,
}

impl Courier {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Puts a command into a node's stream. An error leaves open whether it got there.
    pub async fn send(&self, to: NodeId, record: &CommandRecord) -> Result<(), RedisError> {
        let text = serde_json::to_string(record).map_err(std::io::Error::from)?;
        let (key, mut connection) = (self.stream(to), self.redis.connection());
        redis::pipe()
            .cmd("XADD")
            .arg(&key)
            .arg("MAXLEN")
            .arg("~")
            .arg(MAX_STREAM)
            .arg("*")
            .arg(FIELD)
            .arg(text)
            .ignore()
            .expire(&key, LIFE_SECONDS)
            .ignore()
            .query_async(&mut connection)
            .await
    }

    fn stream(&self, node: NodeId) -> String {
        self.redis.name(format_args!("commands:{node}"))
    }

    /// Reads what was sent to this node after `last`, and moves `last` on. Waits a while for it.
    async fn receive(
        &self,
        connection: &mut redis::aio::MultiplexedConnection,
        node: NodeId,
        last: &mut String,
    ) -> Result<Vec<CommandRecord>, RedisError> {
        let block = usize::try_from(READ_TIME.as_millis()).unwrap_or(usize::MAX);
        let options = StreamReadOptions::default().block(block).count(READ_BATCH);
        let key = self.stream(node);
        let (keys, after) = ([&key], [last.as_str()]);
        let reading = connection.xread_options(&keys, &after, &options);
        let reply: Option<StreamReadReply> = tokio::time::timeout(READ_TIME + READ_SLACK, reading)
            .await
            .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?;
        let entries: Vec<_> = reply
            .into_iter()
            .flat_map(|reply| reply.keys)
            .flat_map(|stream| stream.ids)
            .collect();
        let Some(newest) = entries.last() else {
            return Ok(Vec::new());
        };
        last.clone_from(&newest.id);
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        // Taken is taken: should the removal fail, `last` is past them all the same.
        let _: Result<i64, _> = self.redis.connection().xdel(&key, &ids).await;
        let record = |entry: &redis::streams::StreamId| {
            let text: String = entry.get(FIELD)?;
            let record = serde_json::from_str(&text);
            record
                .inspect_err(|error| tracing::error!(%error, "command of another node not read"))
                .ok()
        };
        Ok(entries.iter().filter_map(record).collect())
    }
}

/// Carries out what other nodes send, until it is told to end.
pub async fn run(app: App) {
    let Some(courier) = app.cluster.courier() else {
        return;
    };
    let mut last = "0".to_owned();
    loop {
        let Ok(mut connection) = courier.redis.patient_connection().await else {
            tokio::time::sleep(RECOVERY_PAUSE).await;
            continue;
        };
        loop {
            match courier
                .receive(&mut connection, app.cluster.node, &mut last)
                .await
            {
                Ok(records) => {
                    for record in records {
                        // Each by itself: one that waits for the database holds up no other.
                        let app = app.clone();
                        tokio::spawn(async move { app.carry(record).await });
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "commands of other nodes not read");
                    tokio::time::sleep(RECOVERY_PAUSE).await;
                    break;
                }
            }
        }
    }
}
