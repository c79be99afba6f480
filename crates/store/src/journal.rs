//! The field journal: entries, what was read out of them, and what that was spent on.

use domain::{Analysis, AnalysisId, Entry, EntryId, StationId};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::batch::Statement;
use crate::db::Value;
use crate::{MAX_PAGE, Store, StoreError};

pub(crate) static INSERT: Statement = Statement::new(
    "INSERT INTO journal_entries (id, version, station_id, created_at, doc) \
     VALUES «text, int, text, int, text» ON CONFLICT DO NOTHING RETURNING id",
);

pub(crate) static UPDATE: Statement = Statement::new(
    "UPDATE journal_entries SET version = v.column3, station_id = v.column4, doc = v.column5 \
     FROM (VALUES «text, int, int, text, text») AS v WHERE id = v.column1 AND version = v.column2 \
     RETURNING id",
);

pub(crate) static DELETE: Statement = Statement::new(
    "DELETE FROM journal_entries WHERE (id, version) IN (VALUES «text, int») RETURNING id",
);

/// Not guarded: what is to be gone may be gone.
pub(crate) static DELETE_ANALYSES_OF: Statement =
    Statement::new("DELETE FROM journal_analyses WHERE entry_id IN (VALUES «text»)");
pub(crate) static DELETE_ANALYSIS: Statement =
    Statement::new("DELETE FROM journal_analyses WHERE id IN (VALUES «text»)");

/// The row names what is removed: all of it.
pub(crate) static CLEAR: Statement =
    Statement::new("DELETE FROM journal_entries WHERE 'all' IN (VALUES «text»)");
pub(crate) static CLEAR_ANALYSES: Statement =
    Statement::new("DELETE FROM journal_analyses WHERE 'all' IN (VALUES «text»)");

/// Guarded by the entry: it is there, and still says what was read.
pub(crate) static INSERT_ANALYSIS: Statement = Statement::new(
    "INSERT INTO journal_analyses (id, entry_id, entry_version, model, doc) \
     SELECT v.column1, v.column2, v.column3, v.column4, v.column5 \
     FROM (VALUES «text, text, int, text, text») AS v WHERE EXISTS \
     (SELECT 1 FROM journal_entries AS e WHERE e.id = v.column2 AND e.version = v.column3) \
     RETURNING id",
);

/// It returns its key so that two commits that spend on one day never share a transaction: a
/// statement may touch a row once.
pub(crate) static SPEND: Statement = Statement::new(
    "INSERT INTO llm_tokens (day, tokens) VALUES «text, int» ON CONFLICT (day) \
     DO UPDATE SET tokens = llm_tokens.tokens + excluded.tokens RETURNING day",
);

pub(crate) const GET: &str = "SELECT doc FROM journal_entries WHERE id = $1";

pub(crate) const LIST: &str = "SELECT doc FROM journal_entries \
     WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT $3";

pub(crate) const LIST_OF_STATION: &str = "SELECT doc FROM journal_entries \
     WHERE station_id = $1 AND (created_at, id) < ($2, $3) \
     ORDER BY created_at DESC, id DESC LIMIT $4";

pub(crate) const GET_ANALYSIS: &str = "SELECT doc FROM journal_analyses WHERE id = $1";

pub(crate) const LIST_ANALYSES: &str = "SELECT doc FROM journal_analyses \
     WHERE entry_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";

pub(crate) const LATEST_ANALYSIS: &str = "SELECT doc FROM journal_analyses \
     WHERE entry_id = $1 AND entry_version = $2 AND model = $3 ORDER BY id DESC LIMIT 1";

pub(crate) const SPENT: &str = "SELECT tokens FROM llm_tokens WHERE day = $1";

/// A place in the journal: entries are sorted by when they were entered, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryPlace {
    /// When it was entered, in microseconds since 1970 UTC.
    pub created_at: i64,
    /// Which.
    pub id: EntryId,
}

impl EntryPlace {
    /// After every entry.
    const END: Self = Self {
        created_at: i64::MAX,
        id: EntryId(uuid::Uuid::max()),
    };

    /// The place of an entry.
    pub fn of(entry: &Entry) -> Self {
        Self {
            created_at: entry.created_at.as_microsecond(),
            id: entry.id,
        }
    }
}

/// Which entries to list.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// Only those about this station.
    pub station_id: Option<StationId>,
    /// Only those entered before this one.
    pub before: Option<EntryPlace>,
}

/// What becomes of the journal.
#[derive(Clone, Debug)]
pub enum JournalWrite {
    /// An entry is new.
    Insert(Entry),
    /// It replaces the one that still has the `expected` version.
    Update {
        /// The new one.
        entry: Entry,
        /// The version the decision was based on.
        expected: i64,
    },
    /// It goes, if it still has the `expected` version, and what was read out of it.
    Delete {
        /// Which.
        id: EntryId,
        /// The version the decision was based on.
        expected: i64,
    },
    /// All entries go, and what was read out of them. One that is entered at the same moment may
    /// stay.
    Clear,
    /// Something was read out of an entry, which still has the version that was read.
    Analysis {
        /// What.
        analysis: Analysis,
        /// Older ones of the entry, to make room.
        drop: Vec<AnalysisId>,
    },
}

impl Store {
    /// Reads an entry of the journal.
    pub async fn entry(&self, id: EntryId) -> Result<Option<Entry>, StoreError> {
        let rows = self.fetch(GET, &[id.to_string().into()]).await?;
        rows.first().map(|row| row.doc(0)).transpose()
    }

    /// Lists entries, newest first, at most `limit` ([`MAX_PAGE`]).
    pub async fn entries(
        &self,
        filter: &EntryFilter,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let before = filter.before.unwrap_or(EntryPlace::END);
        let limit = i64::from(limit.min(MAX_PAGE + 1));
        let (at, id) = (before.created_at.into(), before.id.to_string().into());
        let (sql, values) = match &filter.station_id {
            None => (LIST, vec![at, id, limit.into()]),
            Some(station) => {
                let values = vec![station.as_str().into(), at, id, limit.into()];
                (LIST_OF_STATION, values)
            }
        };
        let rows = self.fetch(sql, &values).await?;
        rows.iter().map(|row| row.doc(0)).collect()
    }

    /// Reads what was read out of an entry.
    pub async fn analysis(&self, id: AnalysisId) -> Result<Option<Analysis>, StoreError> {
        let values = [id.to_string().into()];
        let rows = self.fetch(GET_ANALYSIS, &values).await?;
        rows.first().map(|row| row.doc(0)).transpose()
    }

    /// Lists what was read out of an entry, newest first, before one of them.
    pub async fn analyses(
        &self,
        entry: EntryId,
        before: Option<AnalysisId>,
        limit: u32,
    ) -> Result<Vec<Analysis>, StoreError> {
        let before = before.unwrap_or(AnalysisId(uuid::Uuid::max())).to_string();
        let limit = i64::from(limit.min(MAX_PAGE + 1));
        let values = [entry.to_string().into(), before.into(), limit.into()];
        let rows = self.fetch(LIST_ANALYSES, &values).await?;
        rows.iter().map(|row| row.doc(0)).collect()
    }

    /// What this analyser last read out of the entry as it stands.
    pub async fn latest_analysis(
        &self,
        entry: &Entry,
        model: &str,
    ) -> Result<Option<Analysis>, StoreError> {
        let values = [
            entry.id.to_string().into(),
            entry.version.into(),
            model.into(),
        ];
        let rows = self.fetch(LATEST_ANALYSIS, &values).await?;
        rows.first().map(|row| row.doc(0)).transpose()
    }

    /// Tokens that the language model was paid for on the day (UTC) of a time, by all nodes.
    pub async fn tokens_spent(&self, at: Timestamp) -> Result<i64, StoreError> {
        let rows = self.fetch(SPENT, &[day(at).into()]).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))
    }
}

pub(crate) fn insert_row(entry: &Entry) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        entry.id.to_string().into(),
        entry.version.into(),
        entry.station_id.as_ref().map(StationId::as_str).into(),
        entry.created_at.as_microsecond().into(),
        serde_json::to_string(entry)?.into(),
    ])
}

pub(crate) fn update_row(entry: &Entry, expected: i64) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        entry.id.to_string().into(),
        expected.into(),
        entry.version.into(),
        entry.station_id.as_ref().map(StationId::as_str).into(),
        serde_json::to_string(entry)?.into(),
    ])
}

pub(crate) fn analysis_row(analysis: &Analysis) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        analysis.id.to_string().into(),
        analysis.entry_id.to_string().into(),
        analysis.entry_version.into(),
        analysis.model.as_str().into(),
        serde_json::to_string(analysis)?.into(),
    ])
}

/// The row that spends tokens at a time.
pub(crate) fn spend_row(at: Timestamp, tokens: i64) -> Vec<Value> {
    vec![day(at).into(), tokens.into()]
}

fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).date().to_string()
}
