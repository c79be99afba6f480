//! The event log, for reading.

use domain::{Event, StationId};
use store::{EventFilter, MAX_PAGE};

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

    /// The last events up to a place in the sequence, at most so many, oldest first.
    pub async fn latest_events(&self, until: i64, most: i64) -> Result<Vec<Event>, AppError> {
        let all = EventFilter::default();
        let after = until.saturating_sub(most).max(0);
        let limit = u32::try_from(most).unwrap_or(MAX_PAGE);
        let mut events = self.store.events(&all, after, limit).await?;
        events.retain(|event| event.seq <= until);
        Ok(events)
    }

    /// One event, if it is kept.
    pub async fn event(&self, seq: i64) -> Result<Option<Event>, AppError> {
        let found = self.latest_events(seq, 1).await?;
        Ok(found.into_iter().next())
    }

    /// Follows the events after `after`, or those to come. Refused when some of them are kept no
    /// longer, or when that place is not reached yet, as after a backup was put back: who goes on
    /// from there would miss events without knowing.
    pub async fn follow(
        &self,
        after: Option<i64>,
        station_id: Option<StationId>,
    ) -> Result<Follower, AppError> {
        if let Some(after) = after {
            let oldest = self.store.oldest_seq().await?;
            if oldest > after + 1 {
                return Err(AppError::Forgotten(format!(
                    "events up to {} are kept no longer; read what you need anew, and follow \
                     without Last-Event-ID",
                    oldest - 1
                )));
            }
            let newest = self.store.last_seq().await?;
            if after > newest {
                return Err(AppError::Forgotten(format!(
                    "the newest event is {newest}, so {after} is another database's; read what \
                     you need anew, and follow without Last-Event-ID"
                )));
            }
        }
        Ok(self.bus.follow(&self.store, after, station_id).await?)
    }

    /// Forgets events that are older than they are to be kept.
    pub async fn forget_events(&self) -> Result<(), AppError> {
        let Some(kept) = self.settings.event_retention else {
            return Ok(());
        };
        if let Ok(before) = self.clock.now().checked_sub(kept) {
            while self.store.forget_events(before).await? {}
        }
        Ok(())
    }
}
