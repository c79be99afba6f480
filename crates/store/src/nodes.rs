//! The nodes of the network: who lives, who does what is done once for all, and who holds which
//! station.
//!
//! Whether a node lives is told by the database's clock, which all of them share: a node whose own
//! clock jumps is neither younger nor older for it.

use std::time::Duration;

use domain::{NodeId, StationId};

use crate::batch::Statement;
use crate::db::{ByDatabase, Row, Value};
use crate::{MAX_PAGE, Patience, Store, StoreError};

/// How long a node waits to be heard: it will say the same again soon.
const PULSE_PATIENCE: Patience = Patience {
    connection: Duration::from_secs(3),
    read: Duration::from_secs(5),
    commit: Duration::ZERO,
};

/// `timed!("… ", now, " …")`: both forms of a statement, with the time in microseconds since 1970
/// wherever `now` stands.
macro_rules! timed {
    ($($part:tt),+ $(,)?) => {
        ByDatabase {
            sqlite: concat!($(timed!(@sqlite $part)),+),
            postgres: concat!($(timed!(@postgres $part)),+),
        }
    };
    (@sqlite now) => { "CAST(unixepoch('subsec') * 1000000 AS BIGINT)" };
    (@postgres now) => { "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)" };
    (@$database:ident $text:literal) => { $text };
}

pub(crate) const ENTER: ByDatabase = timed!(
    "INSERT INTO nodes (id, name, seen_at) VALUES ($1, $2, ",
    now,
    ") \
     ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at RETURNING seen_at"
);
pub(crate) const BEAT: ByDatabase = timed!(
    "UPDATE nodes SET seen_at = ",
    now,
    " WHERE id = $1 RETURNING seen_at"
);
pub(crate) const BURY: ByDatabase = timed!(
    "DELETE FROM nodes WHERE id <> $1 AND seen_at < ",
    now,
    " - $2"
);
pub(crate) const TAKE_LEASE: ByDatabase = timed!(
    "UPDATE leases SET node = $1, until = ",
    now,
    " + $2 \
     WHERE name = 'housekeeping' AND (node = $1 OR until < ",
    now,
    ") RETURNING until"
);
pub(crate) const LEAVE: &str = "DELETE FROM nodes WHERE id = $1";
pub(crate) const GIVE_LEASE: &str =
    "UPDATE leases SET until = 0 WHERE name = 'housekeeping' AND node = $1";
/// Those whose place a new node takes: of a name there is one at a time.
pub(crate) const SUCCEED: &str = "DELETE FROM nodes WHERE name = $1 AND id <> $2";
/// A SQLite file has one server, so whoever else is written down there is gone.
pub(crate) const SUCCEED_ALL: &str = "DELETE FROM nodes WHERE id <> $1";
pub(crate) const LIVING: &str = "SELECT id FROM nodes ORDER BY id";

/// Stations that are held by a node that is gone.
pub(crate) const ORPHANS: &str = "SELECT id, epoch FROM stations \
     WHERE online = 1 AND id > $1 AND node NOT IN (SELECT id FROM nodes) ORDER BY id LIMIT $2";

/// Stations that a node holds.
pub(crate) const HELD: &str = "SELECT id, epoch FROM stations \
     WHERE online = 1 AND node = $1 AND id > $2 ORDER BY id LIMIT $3";

/// The claims that hold, of those that a transaction was made in the name of.
pub(crate) static CHECK_HOLDS: Statement = Statement::new(
    "SELECT s.id, s.epoch FROM (VALUES «text, int») AS v JOIN stations AS s \
     ON s.id = v.column1 AND s.epoch = v.column2 WHERE s.online = 1",
);

impl Store {
    /// Writes a node down as living, in place of those that had its name before.
    pub async fn enter_node(&self, id: NodeId, name: &str) -> Result<(), StoreError> {
        let (id, postgres) = (id.to_string(), self.is_postgres());
        let enter = vec![id.as_str().into(), name.into()];
        self.say(ENTER.of(postgres), enter).await?;
        let (sql, values) = if postgres {
            (SUCCEED, vec![name.into(), id.into()])
        } else {
            (SUCCEED_ALL, vec![id.into()])
        };
        self.say(sql, values).await.map(drop)
    }

    /// Tells that a node lives, and gives the database's time in microseconds since 1970. `None`
    /// when the node was taken for dead meanwhile.
    pub async fn beat(&self, id: NodeId) -> Result<Option<i64>, StoreError> {
        let sql = BEAT.of(self.is_postgres());
        self.say(sql, vec![id.to_string().into()]).await
    }

    /// Removes a node that stops, and lets another one keep house at once.
    pub async fn leave_node(&self, id: NodeId) -> Result<(), StoreError> {
        let id = id.to_string();
        let values = || vec![id.as_str().into()];
        self.say(GIVE_LEASE, values()).await?;
        self.say(LEAVE, values()).await.map(drop)
    }

    /// Takes those nodes for dead that have been silent for so long. Whoever asks lives.
    pub async fn bury_silent_nodes(&self, me: NodeId, silent: Duration) -> Result<(), StoreError> {
        let values = vec![me.to_string().into(), micros(silent).into()];
        let sql = BURY.of(self.is_postgres());
        self.say(sql, values).await.map(drop)
    }

    /// Takes or renews the right to do what is done by one node for all. It lapses by itself.
    pub async fn take_lease(&self, me: NodeId, time: Duration) -> Result<bool, StoreError> {
        let values = vec![me.to_string().into(), micros(time).into()];
        let sql = TAKE_LEASE.of(self.is_postgres());
        Ok(self.say(sql, values).await?.is_some())
    }

    /// The nodes that live.
    pub async fn living_nodes(&self) -> Result<Vec<NodeId>, StoreError> {
        let rows = self.fetch(LIVING, &[]).await?;
        let id = |row: &Row| row.text(0)?.parse().map_err(|_| corrupt("a node's id"));
        rows.iter().map(id).collect()
    }

    /// Stations written down as connected to nodes that are gone, with their connections' epochs: a
    /// page of them, after an id.
    pub async fn orphaned_stations(
        &self,
        after: Option<&StationId>,
    ) -> Result<Vec<(StationId, i64)>, StoreError> {
        let after = after.map_or("", StationId::as_str);
        let values = [after.into(), i64::from(MAX_PAGE).into()];
        let rows = self.fetch(ORPHANS, &values).await?;
        rows.iter().map(claim).collect()
    }

    /// Stations that a node holds, with their connections' epochs: a page of them, after an id.
    pub async fn held_stations(
        &self,
        node: NodeId,
        after: Option<&StationId>,
    ) -> Result<Vec<(StationId, i64)>, StoreError> {
        let after = after.map_or("", StationId::as_str);
        let node = node.to_string();
        let values = [node.into(), after.into(), i64::from(MAX_PAGE).into()];
        let rows = self.fetch(HELD, &values).await?;
        rows.iter().map(claim).collect()
    }

    /// Says something about the nodes, and gives the number that it returns. However much is to be
    /// written: a node that has much to do is not dead.
    async fn say(&self, sql: &'static str, values: Vec<Value>) -> Result<Option<i64>, StoreError> {
        let Some(pulse) = &self.shared.pulse else {
            return self.run(sql, values).await;
        };
        let rows = pulse.fetch(sql, &values, PULSE_PATIENCE).await?;
        rows.first().map(|row| row.int(0)).transpose()
    }
}

fn claim(row: &Row) -> Result<(StationId, i64), StoreError> {
    let id = StationId::new(&row.text(0)?).map_err(|_| corrupt("a station's id"))?;
    Ok((id, row.int(1)?))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} is none"))
}
