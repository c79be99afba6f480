//! Charging sessions, for reading. What changes them is in [`super::charging`].

use domain::{Session, SessionId};
use store::{SessionFilter, StoredReading};

use super::{App, AppError};

impl App {
    /// Reads a session.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, AppError> {
        Ok(self.store.session(id).await?)
    }

    /// A session's meter records, in the order of their own times.
    pub async fn readings(&self, id: SessionId) -> Result<Vec<StoredReading>, AppError> {
        Ok(self.store.readings(id).await?)
    }

    /// Lists sessions, newest first.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        limit: u32,
    ) -> Result<Vec<Session>, AppError> {
        Ok(self.store.sessions(filter, limit).await?)
    }
}
