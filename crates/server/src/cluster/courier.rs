//! Commands, carried to the node that holds the charger, and word of their end carried back: one
//! stream for each node.
//!
//! A stream keeps what is sent while its reader reconnects. A node's id is new at every start, so
//! nobody ever reads what was meant for an earlier run; what that leaves open ends as lost.

use std::time::Duration;

use domain::{CommandId, CommandRecord, NodeId};
use redis::streams::{StreamId, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands as _, RedisError};

use super::redis::{RECOVERY_PAUSE, Redis};
use crate::app::App;

/// What may wait in a node's stream. A reader takes it in milliseconds: as much as this waits only
/// for one that is gone.
const MAX_STREAM: usize = 10_000;
/// How long the stream of a node that is gone is kept, in seconds.
const LIFE_SECONDS: i64 = 300;
/// What is taken from the stream at a time.
const READ_BATCH: usize = 64;
/// How long one read waits for a command. Short enough that a connection that died without a word
/// is noticed.
const READ_TIME: Duration = Duration::from_secs(2);
/// How much longer an answer may take than the read itself waits.
const READ_SLACK: Duration = Duration::from_secs(2);

/// The command that is to be carried out.
const COMMAND: &str = "command";
/// The node at which its end is waited for.
const WAITING: &str = "waiting";
/// A command that has ended.
const ENDED: &str = "ended";

/// What one node sends to another. A node of an earlier version passes over what it does not know.
#[derive(Debug)]
enum Letter {
    Command(Carried),
    Ended(CommandId),
}

/// A command of another node.
#[derive(Debug)]
pub struct Carried {
    /// Which. The store has the rest, its secrets too.
    pub id: CommandId,
    /// The node at which somebody waits for its end.
    pub waiting: Option<NodeId>,
}

/// Carries commands to other nodes.
#[derive(Debug)]
pub struct Courier {
    redis: Redis,
}

impl Courier {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Puts a command into a node's stream; `waiting` is the node that is to be told of its end. An
    /// error leaves open whether it got there.
    pub async fn send(
        &self,
        to: NodeId,
        record: &CommandRecord,
        waiting: Option<NodeId>,
    ) -> Result<(), RedisError> {
        let text = serde_json::to_string(record).map_err(std::io::Error::from)?;
        let waiting = waiting.map(|node| (WAITING, node.to_string()));
        let fields: Vec<_> = std::iter::once((COMMAND, text)).chain(waiting).collect();
        self.put(to, &fields).await
    }

    /// Tells a node that a command has ended, and that the database has its end.
    pub async fn tell(&self, to: NodeId, ended: CommandId) -> Result<(), RedisError> {
        self.put(to, &[(ENDED, ended.to_string())]).await
    }

    async fn put(&self, to: NodeId, fields: &[(&str, String)]) -> Result<(), RedisError> {
        let (key, mut connection) = (self.stream(to), self.redis.connection());
        redis::pipe()
            .cmd("XADD")
            .arg(&key)
            .arg("MAXLEN")
            .arg("~")
            .arg(MAX_STREAM)
            .arg("*")
            .arg(fields)
            .ignore()
            .expire(&key, LIFE_SECONDS)
            .ignore()
            .query_async(&mut connection)
            .await
    }

    /// Removes what was taken. Nobody waits for it: should it fail, the reader is past it all the same.
    fn remove(&self, key: String, ids: Vec<String>) {
        let mut connection = self.redis.connection();
        tokio::spawn(async move {
            let _: Result<i64, _> = connection.xdel(key, &ids).await;
        });
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
    ) -> Result<Vec<Letter>, RedisError> {
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
        self.remove(key, entries.iter().map(|entry| entry.id.clone()).collect());
        Ok(entries.iter().filter_map(read).collect())
    }
}

/// Reads an entry of the stream.
fn read(entry: &StreamId) -> Option<Letter> {
    let field = |name| entry.get::<String>(name);
    if let Some(ended) = field(ENDED) {
        return Some(Letter::Ended(CommandId(ended.parse().ok()?)));
    }
    let record: CommandRecord = serde_json::from_str(&field(COMMAND)?)
        .inspect_err(|error| tracing::error!(%error, "command of another node not read"))
        .ok()?;
    Some(Letter::Command(Carried {
        id: record.id,
        waiting: field(WAITING).and_then(|node| node.parse().ok()),
    }))
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
                Ok(letters) => letters.into_iter().for_each(|letter| open(&app, letter)),
                Err(error) => {
                    tracing::debug!(%error, "commands of other nodes not read");
                    tokio::time::sleep(RECOVERY_PAUSE).await;
                    break;
                }
            }
        }
    }
}

fn open(app: &App, letter: Letter) {
    match letter {
        Letter::Command(carried) => {
            // Each by itself: one that waits for the database holds up no other.
            let app = app.clone();
            tokio::spawn(async move { app.carry(carried).await });
        }
        Letter::Ended(id) => app.endings.told(id),
    }
}
