//! Commands and what became of them.

use domain::{CommandId, CommandRecord, StationId};

use crate::batch::Statement;
use crate::db::Value;
use crate::{MAX_PAGE, Store, StoreError};

pub(crate) static INSERT: Statement = Statement::new(
    "INSERT INTO commands (id, station_id, ended, doc) \
     VALUES «text, text, int, text» ON CONFLICT DO NOTHING RETURNING id",
);

pub(crate) static END: Statement = Statement::new(
    "UPDATE commands SET ended = 1, doc = v.column2 \
     FROM (VALUES «text, text») AS v WHERE id = v.column1 AND ended = 0 RETURNING id",
);

pub(crate) const GET: &str = "SELECT doc FROM commands WHERE id = $1";

pub(crate) const LIST: &str = "SELECT doc FROM commands WHERE station_id = $1 AND id < $2 \
     ORDER BY id DESC LIMIT $3";

pub(crate) const OPEN: &str =
    "SELECT doc FROM commands WHERE ended = 0 AND id > $1 ORDER BY id LIMIT $2";

impl Store {
    /// Reads a command.
    pub async fn command(&self, id: CommandId) -> Result<Option<CommandRecord>, StoreError> {
        let rows = self.fetch(GET, &[id.to_string().into()]).await?;
        rows.first().map(|row| row.doc(0)).transpose()
    }

    /// Lists a station's commands, newest first, before one of them.
    pub async fn commands(
        &self,
        station: &StationId,
        before: Option<CommandId>,
        limit: u32,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let before = before.unwrap_or(CommandId(uuid::Uuid::max())).to_string();
        let limit = i64::from(limit.min(MAX_PAGE + 1));
        let values = [station.as_str().into(), before.into(), limit.into()];
        self.fetch(LIST, &values)
            .await?
            .iter()
            .map(|row| row.doc(0))
            .collect()
    }

    /// Commands that have not ended, oldest first: a page of them, after one.
    pub async fn open_commands(
        &self,
        after: Option<CommandId>,
    ) -> Result<Vec<CommandRecord>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let values = [after.into(), i64::from(MAX_PAGE).into()];
        let rows = self.fetch(OPEN, &values).await?;
        rows.iter().map(|row| row.doc(0)).collect()
    }
}

pub(crate) fn insert_row(command: &CommandRecord) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        command.id.to_string().into(),
        command.station_id.as_str().into(),
        i64::from(command.ending.is_some()).into(),
        serde_json::to_string(command)?.into(),
    ])
}

pub(crate) fn end_row(command: &CommandRecord) -> Result<Vec<Value>, StoreError> {
    Ok(vec![
        command.id.to_string().into(),
        serde_json::to_string(command)?.into(),
    ])
}
