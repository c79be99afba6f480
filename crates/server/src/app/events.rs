//! The event log, for reading.

use domain::{Event, StationId};

use super::{App, AppError};
use crate::bus::Follower;

impl App {
    /// A station's events, newest first, before a place in the sequence.
    pub async fn history(
        &self,
        id: &StationId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Event>, AppError> {
        Ok(self.store.station_history(id, before, limit).await?)
    }

    /// Follows the events after `after`, or those to come.
    pub async fn follow(
        &self,
        after: Option<i64>,
        station_id: Option<StationId>,
    ) -> Result<Follower, AppError> {
        Ok(self.bus.follow(after, station_id).await?)
    }
}
