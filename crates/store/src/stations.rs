//! Stations.

use domain::{Station, StationId, StationStatus};
use jiff::Timestamp;

use crate::batch::Statement;
use crate::db::{ByDatabase, Value};
use crate::{MAX_PAGE, Store, StoreError};

pub(crate) static INSERT: Statement = Statement::new(
    "INSERT INTO stations (id, version, status, online, epoch, node, available, \
     occupied, reserved, unavailable, faulted, unknown, search, doc) \
     VALUES «text, int, text, int, int, text, int, int, int, int, int, int, text, text» \
     ON CONFLICT DO NOTHING RETURNING id",
);

pub(crate) static UPDATE: Statement = Statement::new(
    "UPDATE stations SET version = v.column3, status = v.column4, \
     online = v.column5, epoch = v.column6, node = v.column7, available = v.column8, \
     occupied = v.column9, reserved = v.column10, unavailable = v.column11, \
     faulted = v.column12, unknown = v.column13, search = v.column14, doc = v.column15 \
     FROM (VALUES \
     «text, int, int, text, int, int, text, int, int, int, int, int, int, text, text») AS v \
     WHERE id = v.column1 AND version = v.column2 RETURNING id",
);

pub(crate) static DELETE: Statement = Statement::new(
    "DELETE FROM stations WHERE (id, version) IN (VALUES «text, int») \
     RETURNING id",
);

pub(crate) const GET: &str = "SELECT doc FROM stations WHERE id = $1";

pub(crate) const LIST: &str = "SELECT doc FROM stations WHERE id > $1 \
     AND ($2 = '' OR status = $2) AND ($3 = '' OR search LIKE $3 ESCAPE '!') \
     ORDER BY id LIMIT $4";

pub(crate) const TOTALS: &str = "SELECT status, CAST(COUNT(*) AS BIGINT), \
     CAST(SUM(online) AS BIGINT), CAST(SUM(available) AS BIGINT), \
     CAST(SUM(occupied) AS BIGINT), CAST(SUM(reserved) AS BIGINT), \
     CAST(SUM(unavailable) AS BIGINT), CAST(SUM(faulted) AS BIGINT), \
     CAST(SUM(unknown) AS BIGINT) FROM stations GROUP BY status";

/// Since when the connector is faulted that is so for longest. It stands in the documents, which
/// each database has its own words to look into; only those of stations with a fault are opened.
pub(crate) const LONGEST_FAULT: ByDatabase = ByDatabase {
    sqlite: "SELECT COALESCE(MIN(c.value ->> 'status_since'), '') FROM stations AS s, \
         json_each(s.doc, '$.evses') AS e, json_each(e.value, '$.connectors') AS c \
         WHERE s.faulted > 0 AND c.value ->> 'status' = 'faulted'",
    postgres: "SELECT COALESCE(MIN(c ->> 'status_since'), '') FROM stations AS s, \
         json_array_elements(CAST(s.doc AS JSON) -> 'evses') AS e, \
         json_array_elements(e -> 'connectors') AS c \
         WHERE s.faulted > 0 AND c ->> 'status' = 'faulted'",
};

/// Which stations to list.
#[derive(Clone, Debug, Default)]
pub struct StationFilter {
    /// Only those with this status.
    pub status: Option<StationStatus>,
    /// Only those with this text in their id, name or address.
    pub search: Option<String>,
    /// Only those after this id.
    pub after: Option<StationId>,
}

/// How many stations and connectors there are, by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StationTotals {
    /// Stations by status; a status nobody has is left out.
    pub stations: Vec<(StationStatus, i64)>,
    /// Connectors by status.
    pub connectors: domain::Counts,
    /// Stations with a live connection.
    pub online: i64,
}

impl Store {
    /// Reads a station.
    pub async fn station(&self, id: &StationId) -> Result<Option<Station>, StoreError> {
        let rows = self.fetch(GET, &[id.as_str().into()]).await?;
        rows.first().map(|row| row.doc(0)).transpose()
    }

    /// Lists stations by id, at most `limit` ([`MAX_PAGE`]).
    pub async fn stations(
        &self,
        filter: &StationFilter,
        limit: u32,
    ) -> Result<Vec<Station>, StoreError> {
        let after = filter.after.as_ref().map_or("", StationId::as_str);
        let status = filter.status.map_or("", StationStatus::as_str);
        let search = filter.search.as_deref().map(like).unwrap_or_default();
        let limit = i64::from(limit.min(MAX_PAGE + 1));
        let values = [after.into(), status.into(), search.into(), limit.into()];
        self.fetch(LIST, &values)
            .await?
            .iter()
            .map(|row| row.doc(0))
            .collect()
    }

    /// Counts stations and connectors by status.
    pub async fn station_totals(&self) -> Result<StationTotals, StoreError> {
        let mut totals = StationTotals::default();
        for row in self.fetch(TOTALS, &[]).await? {
            let word = row.text(0)?;
            let status = StationStatus::from_word(&word).ok_or(StoreError::Corrupt(word))?;
            totals.stations.push((status, row.int(1)?));
            totals.online += row.int(2)?;
            let counts = &mut totals.connectors;
            let fields = [
                &mut counts.available,
                &mut counts.occupied,
                &mut counts.reserved,
                &mut counts.unavailable,
                &mut counts.faulted,
                &mut counts.unknown,
            ];
            for (column, field) in (3..).zip(fields) {
                *field += u32::try_from(row.int(column)?).unwrap_or(u32::MAX);
            }
        }
        Ok(totals)
    }

    /// Since when the connector is faulted that is so for longest; `None` when none is.
    pub async fn longest_fault(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = LONGEST_FAULT.of(self.is_postgres());
        let rows = self.fetch(sql, &[]).await?;
        let since = rows.first().map(|row| row.text(0)).transpose()?;
        let since = since.filter(|text| !text.is_empty());
        let read = |text: String| text.parse().map_err(|_| StoreError::Corrupt(text));
        since.map(read).transpose()
    }
}

pub(crate) fn insert_row(station: &Station) -> Result<Vec<Value>, StoreError> {
    let mut row = vec![station.id.as_str().into(), station.version.into()];
    row.extend(columns(station)?);
    Ok(row)
}

pub(crate) fn update_row(station: &Station, expected: i64) -> Result<Vec<Value>, StoreError> {
    let mut row = vec![
        station.id.as_str().into(),
        expected.into(),
        station.version.into(),
    ];
    row.extend(columns(station)?);
    Ok(row)
}

fn columns(station: &Station) -> Result<[Value; 12], StoreError> {
    let counts = station.counts();
    let address = station
        .location
        .as_ref()
        .and_then(|l| l.address.as_deref())
        .unwrap_or("");
    let search = folded(&format!("{}\n{}\n{address}", station.id, station.name));
    Ok([
        station.status.as_str().into(),
        i64::from(station.online).into(),
        station.epoch.into(),
        station
            .held_by
            .map_or_else(String::new, |node| node.to_string())
            .into(),
        i64::from(counts.available).into(),
        i64::from(counts.occupied).into(),
        i64::from(counts.reserved).into(),
        i64::from(counts.unavailable).into(),
        i64::from(counts.faulted).into(),
        i64::from(counts.unknown).into(),
        search.into(),
        serde_json::to_string(station)?.into(),
    ])
}

/// A text as it is searched: in small letters, each for itself. (`str::to_lowercase` looks around
/// a Greek sigma, and part of a word would differ from the whole.)
fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// A text as a pattern that matches it anywhere, and nothing else.
fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in folded(text).chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
