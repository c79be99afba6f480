//! Several nodes are one network.
//!
//! They share a database, which knows all that matters: who lives ([`membership`]), at which node a
//! station's charger is connected, and every event. Redis makes them quick: the [`directory`] of
//! who holds which station, commands carried to the node that holds the charger ([`courier`]), and
//! events as they are committed ([`wire`]). Without Redis, or while it is away, a node serves its
//! own chargers and its own callers, and learns the rest from the database a little later.

pub mod courier;
pub mod directory;
pub mod house;
pub mod membership;
pub mod redis;
pub mod wire;

use std::time::Duration;

use domain::NodeId;

use self::courier::Courier;
use self::directory::Directory;
use self::redis::Redis;

/// This node, and its ways to the others.
#[derive(Debug)]
pub struct Cluster {
    /// This run of this process.
    pub node: NodeId,
    /// What people call the node. Of a name there is one at a time.
    pub name: String,
    /// How long a node may be silent before the others take it for dead.
    pub timeout: Duration,
    shared: Option<Shared>,
}

/// What goes through Redis.
#[derive(Debug)]
struct Shared {
    redis: Redis,
    directory: Directory,
    courier: Courier,
}

impl Cluster {
    /// This node among those that share a Redis, or by itself.
    pub fn new(node: NodeId, name: String, timeout: Duration, redis: Option<Redis>) -> Self {
        let shared = redis.map(|redis| Shared {
            directory: Directory::new(redis.clone(), node),
            courier: Courier::new(redis.clone()),
            redis,
        });
        Self {
            node,
            name,
            timeout,
            shared,
        }
    }

    /// Who holds which station; `None` without Redis.
    pub fn directory(&self) -> Option<&Directory> {
        self.shared.as_ref().map(|shared| &shared.directory)
    }

    /// Carries commands to other nodes; `None` without Redis.
    pub fn courier(&self) -> Option<&Courier> {
        self.shared.as_ref().map(|shared| &shared.courier)
    }

    /// The Redis that is shared.
    pub fn redis(&self) -> Option<&Redis> {
        self.shared.as_ref().map(|shared| &shared.redis)
    }
}
