//! The field journal: written, changed, removed. What is read out of it is in [`super::analyses`].

use domain::{Entry, EntryId, EntryPatch, EntryText, EventKind, NewEvent, StationId};
use jiff::Timestamp;
use store::{Commit, EntryFilter, JournalWrite, StoreError};
use uuid::Uuid;

use super::{App, AppError, MAX_ROUNDS, Meaningless, Once, contended, gone};

/// What is to be entered.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// What was worked on.
    pub work: EntryText,
    /// What was hard.
    pub struggle: EntryText,
    /// What comes next.
    pub intention: EntryText,
    /// The station it is about.
    pub station_id: Option<StationId>,
}

impl App {
    /// Writes an entry. A station it names must be there.
    pub async fn create_entry(&self, new: NewEntry, once: Option<Once>) -> Result<Entry, AppError> {
        if let Some(id) = self.recall(once.as_ref()).await? {
            let id = id.parse().map_err(|_| gone())?;
            return self.entry(id).await?.ok_or_else(gone);
        }
        self.check_station(new.station_id.as_ref()).await?;
        let now = self.clock.now();
        let entry = Entry {
            id: EntryId(Uuid::new_v4()),
            work: new.work,
            struggle: new.struggle,
            intention: new.intention,
            station_id: new.station_id,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let kind = EventKind::JournalEntryCreated { entry_id: entry.id };
        let commit = Commit {
            journal: Some(JournalWrite::Insert(entry.clone())),
            idempotency: self.remember(once.as_ref(), entry.id.to_string()),
            events: vec![entry.event(kind, now)],
            ..Commit::default()
        };
        match (self.store.commit(commit).await, &once) {
            (Ok(_), _) => Ok(entry),
            (Err(StoreError::Conflict), Some(once)) => {
                let id = self.outrun(once).await?.parse().map_err(|_| gone())?;
                self.entry(id).await?.ok_or_else(gone)
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Reads an entry.
    pub async fn entry(&self, id: EntryId) -> Result<Option<Entry>, AppError> {
        Ok(self.store.entry(id).await?)
    }

    /// Lists entries, newest first.
    pub async fn entries(&self, filter: &EntryFilter, limit: u32) -> Result<Vec<Entry>, AppError> {
        Ok(self.store.entries(filter, limit).await?)
    }

    /// Changes what is given of an entry. A station it is given must be there.
    pub async fn update_entry(
        &self,
        id: EntryId,
        patch: EntryPatch,
        if_match: Option<i64>,
    ) -> Result<Entry, AppError> {
        for _ in 0..MAX_ROUNDS {
            let entry = self.load_entry(id, if_match).await?;
            let station = patch.station_id.as_ref().and_then(Option::as_ref);
            self.check_station(station).await?;
            let now = self.clock.now();
            let Some((changed, event)) = entry.change(patch.clone(), now) else {
                return Ok(entry);
            };
            let write = JournalWrite::Update {
                entry: changed.clone(),
                expected: entry.version,
            };
            if self.write_journal(write, event).await? {
                return Ok(changed);
            }
        }
        Err(contended("update entry"))
    }

    /// Removes an entry, and what was read out of it.
    pub async fn delete_entry(&self, id: EntryId, if_match: Option<i64>) -> Result<(), AppError> {
        for _ in 0..MAX_ROUNDS {
            let entry = self.load_entry(id, if_match).await?;
            let kind = EventKind::JournalEntryDeleted { entry_id: id };
            let event = entry.event(kind, self.clock.now());
            let expected = entry.version;
            let write = JournalWrite::Delete { id, expected };
            if self.write_journal(write, event).await? {
                return Ok(());
            }
        }
        Err(contended("delete entry"))
    }

    /// Removes the whole journal.
    pub async fn clear_journal(&self) -> Result<(), AppError> {
        let event = event(EventKind::JournalCleared {}, self.clock.now());
        self.write_journal(JournalWrite::Clear, event).await?;
        Ok(())
    }

    async fn load_entry(&self, id: EntryId, if_match: Option<i64>) -> Result<Entry, AppError> {
        let entry = self.store.entry(id).await?;
        let entry = entry.ok_or(AppError::NotFound("Entry"))?;
        if if_match.is_some_and(|version| version != entry.version) {
            return Err(AppError::PreconditionFailed);
        }
        Ok(entry)
    }

    /// Commits a decision about the journal; false when the ground shifted meanwhile.
    async fn write_journal(&self, write: JournalWrite, event: NewEvent) -> Result<bool, AppError> {
        let commit = Commit {
            journal: Some(write),
            events: vec![event],
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn check_station(&self, id: Option<&StationId>) -> Result<(), AppError> {
        match id {
            Some(id) if self.station(id).await?.is_none() => Err(AppError::Unprocessable(
                Meaningless::NoSuchStation(id.clone()),
            )),
            _ => Ok(()),
        }
    }
}

/// An event of no station.
fn event(kind: EventKind, at: Timestamp) -> NewEvent {
    NewEvent {
        at,
        station_id: None,
        evse: None,
        connector: None,
        kind,
    }
}
