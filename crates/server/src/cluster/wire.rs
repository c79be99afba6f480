//! Events between nodes, as they are committed. What is lost on the way is read from the database
//! by whoever misses it: every event has a number.

use std::sync::Arc;
use std::time::Duration;

use domain::{Event, NodeId};
use futures_util::StreamExt as _;
use redis::AsyncCommands as _;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::redis::{RECOVERY_PAUSE, Redis};
use crate::bus::Arrival;

const CHANNEL: &str = "events";
/// A node that has nothing to tell says so this often, so that a line that died without a word is
/// noticed by its silence.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// How long a line may be silent.
const SILENCE: Duration = Duration::from_secs(6);

/// A committed batch and the node that committed it.
#[derive(Serialize)]
struct Sent<'a> {
    node: NodeId,
    events: &'a [Event],
}

/// The same, as it is read.
#[derive(Deserialize)]
struct Received {
    node: NodeId,
    events: Vec<Event>,
}

/// Publishes what this node commits.
pub async fn publish(redis: Redis, node: NodeId, mut committed: Receiver<Arc<Vec<Event>>>) {
    let channel = redis.name(CHANNEL);
    let mut connection = redis.connection();
    loop {
        let batch = match timeout(KEEP_ALIVE, committed.recv()).await {
            Ok(Ok(batch)) => batch,
            Ok(Err(RecvError::Lagged(_))) => continue,
            Ok(Err(RecvError::Closed)) => return,
            Err(_) => Arc::default(),
        };
        let sent = Sent {
            node,
            events: &batch,
        };
        let Ok(text) = serde_json::to_string(&sent) else {
            continue;
        };
        if let Err(error) = connection.publish::<_, _, i64>(&channel, text).await {
            tracing::debug!(%error, "events not published");
        }
    }
}

/// Hands on what other nodes publish, and says when something may have been missed.
pub async fn listen(redis: Redis, node: NodeId, arrivals: mpsc::Sender<Arrival>) {
    let channel = redis.name(CHANNEL);
    loop {
        let subscribed = async {
            let mut listener = redis.listener().await?;
            listener.subscribe(&channel).await?;
            Ok::<_, redis::RedisError>(listener)
        };
        let Ok(listener) = subscribed.await else {
            tokio::time::sleep(RECOVERY_PAUSE).await;
            continue;
        };
        if arrivals.send(Arrival::Check).await.is_err() {
            return;
        }
        let mut messages = listener.into_on_message();
        // Ends with the line, and when that has been silent for too long.
        while let Ok(Some(message)) = timeout(SILENCE, messages.next()).await {
            let received: Result<Received, _> = serde_json::from_slice(message.get_payload_bytes());
            let arrival = match received {
                Ok(own) if own.node == node => continue,
                Ok(others) => Arrival::Foreign(Arc::new(others.events)),
                // Another version of the program: the database has it in a form that can be read.
                Err(_) => Arrival::Check,
            };
            if arrivals.send(arrival).await.is_err() {
                return;
            }
        }
    }
}
