//! The event log: append-only, one gapless sequence in the order of the commits.

use domain::{Event, NewEvent, StationId};
use jiff::Timestamp;

use crate::apply::Places;
use crate::batch::{Batch, Statement};
use crate::db::{Connection, Value};
use crate::{MAX_PAGE, Store, StoreError};

/// Takes places in the sequence. The row stays locked until the commit, so that a transaction
/// with later events cannot be seen before one with earlier events.
pub(crate) const TAKE_PLACES: &str =
    "UPDATE counters SET value = value + $1 WHERE name = 'events' RETURNING value";

/// The same on PostgreSQL, with the transaction's name: when the answer to a commit is lost, it
/// tells what became of it.
pub(crate) const TAKE_PLACES_NAMED: &str = "UPDATE counters SET value = value + $1 \
     WHERE name = 'events' RETURNING value, CAST(pg_current_xact_id() AS TEXT)";

/// The name alone, for a transaction without events.
pub(crate) const NAME_TRANSACTION: &str =
    "SELECT CAST(0 AS BIGINT), CAST(pg_current_xact_id() AS TEXT)";

/// What became of a transaction: `committed`, `aborted` or `in progress`.
pub(crate) const TRANSACTION_STATUS: &str =
    "SELECT COALESCE(pg_xact_status(CAST($1 AS xid8)), 'unknown')";

pub(crate) static INSERT: Statement = Statement::new(
    "INSERT INTO events (seq, at, station_id, type, doc) VALUES «int, int, text, text, text»",
);

pub(crate) const AFTER: &str = "SELECT seq, doc FROM events WHERE seq > $1 ORDER BY seq LIMIT $2";

pub(crate) const AFTER_OF_STATION: &str = "SELECT seq, doc FROM events \
     WHERE station_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

pub(crate) const HISTORY: &str = "SELECT seq, doc FROM events WHERE station_id = $1 AND seq < $2 \
     ORDER BY seq DESC LIMIT $3";

/// The place of the oldest event that is kept.
pub(crate) const OLDEST: &str = "SELECT COALESCE(MIN(seq), 0) FROM events";

/// Forgets old events. They lie in the order in which they happened, so only the oldest ones have
/// to be looked at.
pub(crate) const FORGET: &str = "DELETE FROM events WHERE at < $1 \
     AND seq < (SELECT MIN(seq) + $2 FROM events)";
pub(crate) const FORGETTABLE: &str =
    "SELECT COUNT(*) FROM (SELECT at FROM events ORDER BY seq LIMIT 1) AS oldest WHERE at < $1";

/// Events forgotten at a time: the writer has other work waiting.
const FORGOTTEN_AT_A_TIME: i64 = 5_000;

/// Which events to read.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only those of this station.
    pub station_id: Option<StationId>,
}

impl Store {
    /// Reads events after a place in the sequence, in order.
    pub async fn events(
        &self,
        filter: &EventFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let limit = i64::from(limit.min(MAX_PAGE));
        match &filter.station_id {
            None => self.read_events(AFTER, &[after.into(), limit.into()]).await,
            Some(station) => {
                let values = [station.as_str().into(), after.into(), limit.into()];
                self.read_events(AFTER_OF_STATION, &values).await
            }
        }
    }

    /// The place of the oldest event that is kept; 0 when there is none.
    pub async fn oldest_seq(&self) -> Result<i64, StoreError> {
        let rows = self.fetch(OLDEST, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))
    }

    /// Forgets some of the events from before a time, the oldest first, and tells whether there may
    /// be more.
    pub async fn forget_events(&self, before: Timestamp) -> Result<bool, StoreError> {
        let before = before.as_microsecond();
        let values = vec![before.into(), FORGOTTEN_AT_A_TIME.into()];
        self.run(FORGET, values).await?;
        let rows = self.fetch(FORGETTABLE, &[before.into()]).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.int(0))? > 0)
    }

    /// Reads a station's events, newest first, before a place in the sequence.
    pub async fn station_history(
        &self,
        station: &StationId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let before = before.unwrap_or(i64::MAX);
        let limit = i64::from(limit.min(MAX_PAGE + 1));
        let values = [station.as_str().into(), before.into(), limit.into()];
        self.read_events(HISTORY, &values).await
    }

    async fn read_events(
        &self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Event>, StoreError> {
        let rows = self.fetch(sql, values).await?;
        rows.iter()
            .map(|row| {
                Ok(Event {
                    seq: row.int(0)?,
                    event: row.doc(1)?,
                })
            })
            .collect()
    }
}

/// An event's row, apart from its place.
pub(crate) fn row(event: &NewEvent) -> Result<[Value; 4], StoreError> {
    Ok([
        event.at.as_microsecond().into(),
        event.station_id.as_ref().map(StationId::as_str).into(),
        event.kind.name().into(),
        serde_json::to_string(event)?.into(),
    ])
}

/// Gives events their places and writes them.
pub(crate) async fn append(
    connection: &mut Connection,
    rows: &[&[Value; 4]],
) -> Result<Places, StoreError> {
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let places = take_places(connection, count).await?;
    let mut batch = Batch::new(&INSERT);
    for (seq, [at, station, kind, doc]) in (places.last + 1 - count..).zip(rows) {
        batch.push(&[
            seq.into(),
            at.clone(),
            station.clone(),
            kind.clone(),
            doc.clone(),
        ]);
    }
    batch.run(connection).await?;
    Ok(places)
}

async fn take_places(connection: &mut Connection, count: i64) -> Result<Places, StoreError> {
    let named = matches!(connection, Connection::Postgres(_));
    let (sql, values) = match (count, named) {
        (0, true) => (NAME_TRANSACTION, vec![]),
        (0, false) => return Ok(Places::default()),
        (_, true) => (TAKE_PLACES_NAMED, vec![count.into()]),
        (_, false) => (TAKE_PLACES, vec![count.into()]),
    };
    let rows = connection.fetch(sql, &values).await?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::Corrupt("the event counter is gone".to_owned()))?;
    Ok(Places {
        last: row.int(0)?,
        transaction: named.then(|| row.text(1)).transpose()?,
    })
}
