//! The connections to the Redis that the nodes share.

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, RedisError};

/// How long Redis may take. Beyond this the database is quicker.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a connection to Redis may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a Redis that went away is asked whether it is back.
pub(crate) const RECOVERY_PAUSE: Duration = Duration::from_millis(500);

/// A Redis, as it is used by one network: several may share it.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    connection: ConnectionManager,
    prefix: String,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects as soon as Redis is there, which need not be now. `network` tells this network's
    /// keys and channels from those of others.
    pub fn open(url: &str, network: i64) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_max_delay(RECOVERY_PAUSE)
            .set_number_of_retries(0);
        let client = Client::open(url)?;
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client.clone(), config)?,
            client,
            prefix: format!("enchufe:{network:x}:"),
        })
    }

    /// The connection that all share. It fails fast, and connects again by itself.
    pub fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    /// A connection for one who waits long for an answer. It has to be made anew when it fails.
    pub async fn patient_connection(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// A connection that listens. It has to be made anew when it ends.
    pub async fn listener(&self) -> Result<PubSub, RedisError> {
        let connecting = self.client.get_async_pubsub();
        // A host that is gone does not refuse; it says nothing.
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .unwrap_or_else(|_| {
                Err(RedisError::from(std::io::Error::from(
                    std::io::ErrorKind::TimedOut,
                )))
            })
    }

    /// The name of a key or channel of this network.
    pub fn name(&self, of: impl fmt::Display) -> String {
        format!("{}{of}", self.prefix)
    }
}
