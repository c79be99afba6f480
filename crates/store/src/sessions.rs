//! Charging sessions and meter values.

use domain::session::{MeterRecord, Reading};
use domain::{Session, SessionId, StationId, WattHours, Watts};
use jiff::Timestamp;

use crate::batch::Statement;
use crate::db::Value;
use crate::{MAX_PAGE, Store, StoreError};

pub(crate) static INSERT: Statement = Statement::new(
    "INSERT INTO sessions \
     (id, version, station_id, transaction_id, start_key, evse, state, doc) \
     VALUES «text, int, text, text, text, int, text, text» ON CONFLICT DO NOTHING RETURNING id",
);

pub(crate) static UPDATE: Statement = Statement::new(
    "UPDATE sessions SET version = v.column3, state = v.column4, \
     doc = v.column5 FROM (VALUES «text, int, int, text, text») AS v \
     WHERE id = v.column1 AND version = v.column2 RETURNING id",
);

pub(crate) static INSERT_METER_VALUE: Statement = Statement::new(
    "INSERT INTO meter_values \
     (station_id, at, digest, session_id, evse, energy_wh, power_w, samples) \
     VALUES «text, int, int, text, int, int, int, text» ON CONFLICT DO NOTHING",
);

pub(crate) const GET: &str = "SELECT doc FROM sessions WHERE id = $1";

pub(crate) const BY_START: &str =
    "SELECT doc FROM sessions WHERE station_id = $1 AND start_key = $2";

pub(crate) const BY_TRANSACTION: &str = "SELECT doc FROM sessions WHERE station_id = $1 \
     AND transaction_id = $2 ORDER BY id DESC LIMIT 1";

pub(crate) const ACTIVE_AT: &str = "SELECT doc FROM sessions WHERE state = 'active' \
     AND station_id = $1 AND evse = $2 ORDER BY id";

// One statement for each way of asking that has an index of its own.
pub(crate) const LIST: &str = "SELECT doc FROM sessions WHERE id < $1 \
     AND (CASE CAST($2 AS BIGINT) WHEN 0 THEN state IN ('ended', 'interrupted') \
          ELSE state <> 'refused' END) \
     ORDER BY id DESC LIMIT $3";

pub(crate) const LIST_ACTIVE: &str = "SELECT doc FROM sessions WHERE state = 'active' \
     AND id < $1 ORDER BY id DESC LIMIT $2";

pub(crate) const LIST_OF_STATION: &str = "SELECT doc FROM sessions WHERE station_id = $1 \
     AND id < $2 AND (CASE CAST($3 AS BIGINT) WHEN 1 THEN state = 'active' \
          WHEN 0 THEN state IN ('ended', 'interrupted') ELSE state <> 'refused' END) \
     ORDER BY id DESC LIMIT $4";

pub(crate) const READINGS: &str = "SELECT at, energy_wh, power_w, samples FROM meter_values \
     WHERE session_id = $1 ORDER BY at, digest LIMIT $2";

pub(crate) const COUNT_ACTIVE: &str =
    "SELECT CAST(COUNT(*) AS BIGINT) FROM sessions WHERE state = 'active'";

/// Most meter records given with one session: a day at one every ten seconds.
const MAX_READINGS: i64 = 8640;

/// Sorts after every UUID.
const LAST_UUID: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// Which sessions to list.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Only those of this station.
    pub station_id: Option<StationId>,
    /// Only those that are active, or only those that are not.
    pub active: Option<bool>,
    /// Only those before this one.
    pub before: Option<SessionId>,
}

/// A meter record as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredReading {
    /// Its readable part.
    pub reading: Reading,
    /// Everything that was sent, as JSON text.
    pub samples: String,
}

impl Store {
    /// Reads a session.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.one_session(GET, &[id.to_string().into()]).await
    }

    /// The session that a start of this key began.
    pub async fn session_by_start(
        &self,
        station: &StationId,
        start_key: &str,
    ) -> Result<Option<Session>, StoreError> {
        self.one_session(BY_START, &[station.as_str().into(), start_key.into()])
            .await
    }

    /// The latest session the charger knows by this id.
    pub async fn session_by_transaction(
        &self,
        station: &StationId,
        transaction_id: &str,
    ) -> Result<Option<Session>, StoreError> {
        self.one_session(
            BY_TRANSACTION,
            &[station.as_str().into(), transaction_id.into()],
        )
        .await
    }

    /// The sessions that are active on an EVSE: one, if the charger keeps to the rules.
    pub async fn active_sessions(
        &self,
        station: &StationId,
        evse: domain::EvseNo,
    ) -> Result<Vec<Session>, StoreError> {
        let values = [station.as_str().into(), i64::from(evse).into()];
        self.fetch(ACTIVE_AT, &values)
            .await?
            .iter()
            .map(|row| row.doc(0))
            .collect()
    }

    /// Lists sessions, newest record first, at most `limit` ([`MAX_PAGE`]). Refusals are not
    /// charging sessions and are left out.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let before = filter
            .before
            .map_or_else(|| LAST_UUID.to_owned(), |id| id.to_string());
        let active = filter.active.map_or(-1, i64::from);
        let limit = i64::from(limit.min(MAX_PAGE + 1));
        let (sql, values) = match (&filter.station_id, filter.active) {
            (Some(station), _) => {
                let station = station.as_str().into();
                let values = vec![station, before.into(), active.into(), limit.into()];
                (LIST_OF_STATION, values)
            }
            (None, Some(true)) => (LIST_ACTIVE, vec![before.into(), limit.into()]),
            (None, _) => (LIST, vec![before.into(), active.into(), limit.into()]),
        };
        self.fetch(sql, &values)
            .await?
            .iter()
            .map(|row| row.doc(0))
            .collect()
    }

    /// The meter records of a session, in the order of their own times.
    pub async fn readings(&self, id: SessionId) -> Result<Vec<StoredReading>, StoreError> {
        let values = [id.to_string().into(), MAX_READINGS.into()];
        let rows = self.fetch(READINGS, &values).await?;
        rows.iter()
            .map(|row| {
                let at = Timestamp::from_microsecond(row.int(0)?)
                    .map_err(|error| StoreError::Corrupt(error.to_string()))?;
                let energy = row.opt_int(1)?.map(WattHours);
                let power = row.opt_int(2)?.map(Watts);
                Ok(StoredReading {
                    reading: Reading { at, energy, power },
                    samples: row.text(3)?,
                })
            })
            .collect()
    }

    /// How many sessions are active.
    pub async fn count_active_sessions(&self) -> Result<i64, StoreError> {
        let rows = self.fetch(COUNT_ACTIVE, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))
    }

    async fn one_session(
        &self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<Session>, StoreError> {
        self.fetch(sql, values)
            .await?
            .first()
            .map(|row| row.doc(0))
            .transpose()
    }
}

pub(crate) fn insert_row(session: &Session) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        session.id.to_string().into(),
        session.version.into(),
        session.station_id.as_str().into(),
        session.transaction_id.as_str().into(),
        session.start_key.as_deref().into(),
        session.evse.map(i64::from).into(),
        session.state.as_str().into(),
        serde_json::to_string(session)?.into(),
    ])
}

pub(crate) fn update_row(session: &Session, expected: i64) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        session.id.to_string().into(),
        expected.into(),
        session.version.into(),
        session.state.as_str().into(),
        serde_json::to_string(session)?.into(),
    ])
}

pub(crate) fn meter_row(record: &MeterRecord) -> Vec<Value> {
    let session = record.session_id.map(|id| id.to_string());
    vec![
        record.station_id.as_str().into(),
        record.reading.at.as_microsecond().into(),
        digest(record).into(),
        session.as_deref().into(),
        record.evse.map(i64::from).into(),
        record.reading.energy.map(|energy| energy.0).into(),
        record.reading.power.map(|power| power.0).into(),
        record.samples.as_str().into(),
    ]
}

/// Tells two records of the same moment apart (FNV-1a: stable for ever, unlike the standard
/// library's hash).
fn digest(record: &MeterRecord) -> i64 {
    let evse = record.evse.map_or(0, i64::from).to_le_bytes();
    let session = record
        .session_id
        .map(|id| id.0.into_bytes())
        .unwrap_or_default();
    let bytes = evse.iter().chain(&session).chain(record.samples.as_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.cast_signed()
}
