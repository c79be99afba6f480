//! The writer's connection: opened when it is needed, given up when it fails, and answering for
//! what became of the transactions on it.

use std::collections::HashSet;
use std::time::Duration;

use crate::apply::{Applied, Places, apply, find_refused};
use crate::commit::Prepared;
use crate::db::{Connection, Value};
use crate::events::TRANSACTION_STATUS;
use crate::{Location, StoreError};

/// How long PostgreSQL may take for a transaction before the connection counts as lost. It gives
/// up by itself before: this is for a network that says nothing any more.
const TRANSACTION_TIME: Duration = Duration::from_secs(15);

/// The writer's connection.
pub(crate) struct Link {
    location: Location,
    connection: Option<Connection>,
    /// The transaction whose `COMMIT` was sent and not answered.
    doubtful: Option<Places>,
}

impl Link {
    pub(crate) fn new(location: Location) -> Self {
        Self {
            location,
            connection: None,
            doubtful: None,
        }
    }

    /// Writes commits in one transaction.
    ///
    /// `Unavailable` means that nothing was written or, when it [is in doubt](Self::is_in_doubt),
    /// that this is not known yet. Then the same commits must come again: the answer is theirs.
    pub(crate) async fn transaction(
        &mut self,
        commits: &[&Prepared],
    ) -> Result<Applied, StoreError> {
        if let Some(places) = self.clear_doubt().await? {
            return Ok(Applied::All(places));
        }
        let result = self
            .in_time(async |link| link.try_transaction(commits).await)
            .await;
        match result {
            // The answer to `COMMIT` was lost: the next attempt begins with the question.
            Err(StoreError::Unavailable) if self.doubtful.is_some() => Err(StoreError::Unavailable),
            result => {
                self.doubtful = None;
                result
            }
        }
    }

    async fn try_transaction(&mut self, commits: &[&Prepared]) -> Result<Applied, StoreError> {
        let connection = self.connect().await?;
        connection.begin().await?;
        let applied = apply(connection, commits).await?;
        match &applied {
            Applied::All(places) => {
                // From here on nobody can take his commit back.
                if !commits.iter().all(|commit| commit.claim.take()) {
                    connection.roll_back().await?;
                    return Ok(Applied::GivenUp);
                }
                if places.transaction.is_some() {
                    self.doubtful = Some(places.clone());
                }
                self.connect().await?.commit().await?;
            }
            Applied::Refused | Applied::GivenUp => connection.roll_back().await?,
        }
        Ok(applied)
    }

    /// Asks what became of a transaction in doubt. Gives its places when it was committed.
    async fn clear_doubt(&mut self) -> Result<Option<Places>, StoreError> {
        let Some(places) = self.doubtful.clone() else {
            return Ok(None);
        };
        let name = places.transaction.as_deref().unwrap_or_default();
        let status = self
            .in_time(async |link| {
                let connection = link.connect().await?;
                let rows = connection.fetch(TRANSACTION_STATUS, &[name.into()]).await?;
                rows.first().map_or(Ok(String::new()), |row| row.text(0))
            })
            .await;
        match status.as_deref() {
            // `in progress`: the server has not noticed yet that we are gone.
            Err(StoreError::Unavailable) | Ok("in progress") => {
                return Err(StoreError::Unavailable);
            }
            _ => self.doubtful = None,
        }
        match status.as_deref() {
            Ok("committed") => {
                tracing::info!(
                    transaction = name,
                    "commit found done after a lost connection"
                );
                Ok(Some(places))
            }
            // It was aborted, or the server has never heard of it: nothing was written.
            _ => Ok(None),
        }
    }

    /// Which of some commits are refused, one by one.
    pub(crate) async fn find_refused(
        &mut self,
        commits: &[&Prepared],
    ) -> Result<HashSet<usize>, StoreError> {
        self.in_time(async |link| {
            let connection = link.connect().await?;
            connection.begin().await?;
            let refused = find_refused(connection, commits).await?;
            connection.roll_back().await?;
            Ok(refused)
        })
        .await
    }

    /// Runs one statement by itself, and gives the number that it returns.
    pub(crate) async fn run(
        &mut self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<i64>, StoreError> {
        self.in_time(async |link| {
            let rows = link.connect().await?.fetch(sql, values).await?;
            rows.first().map(|row| row.int(0)).transpose()
        })
        .await
    }

    /// True when what became of the last transaction is not known yet.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.doubtful.is_some()
    }

    /// Nobody waits any longer to know.
    pub(crate) fn forget_doubt(&mut self) {
        self.doubtful = None;
    }

    pub(crate) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    /// Does something on the connection. When it fails the connection is clean afterwards, or
    /// given up.
    async fn in_time<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = match self.location {
            // SQLite has no network to lose, and must not be left while it writes.
            Location::Sqlite(_) => work(self).await,
            Location::Postgres(_) => {
                let in_time = tokio::time::timeout(TRANSACTION_TIME, work(self)).await;
                in_time.unwrap_or_else(|_| {
                    self.connection = None;
                    Err(StoreError::Unavailable)
                })
            }
        };
        if result.is_err()
            && let Some(mut connection) = self.connection.take()
            && connection.roll_back().await.is_ok()
        {
            self.connection = Some(connection);
        }
        result
    }

    async fn connect(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.location).await?);
        }
        self.connection.as_mut().ok_or(StoreError::Unavailable)
    }
}
