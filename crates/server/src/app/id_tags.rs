//! Id tags: who may charge.

use domain::token::{IdTag, IdTagStatus, IdTagUid};
use domain::{EventKind, NewEvent};
use jiff::Timestamp;
use store::{Commit, StoreError};

use super::{App, AppError, MAX_ROUNDS, contended};

/// What is to be entered about a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTagEntry {
    /// May its holder charge?
    pub status: IdTagStatus,
    /// From when on it no longer holds.
    pub expires_at: Option<Timestamp>,
    /// The tag of the group it belongs to.
    pub parent: Option<IdTagUid>,
}

impl App {
    /// Reads an id tag.
    pub async fn id_tag(&self, uid: &IdTagUid) -> Result<Option<IdTag>, AppError> {
        Ok(self.store.id_tag(uid).await?)
    }

    /// Lists id tags by their text.
    pub async fn id_tags(
        &self,
        after: Option<&IdTagUid>,
        limit: u32,
    ) -> Result<Vec<IdTag>, AppError> {
        Ok(self.store.id_tags(after, limit).await?)
    }

    /// Enters an id tag or replaces what is known of it, and tells whether it is new. One that
    /// `must_exist` is not entered.
    pub async fn put_id_tag(
        &self,
        uid: IdTagUid,
        entry: IdTagEntry,
        must_exist: bool,
        if_match: Option<i64>,
    ) -> Result<(IdTag, bool), AppError> {
        for _ in 0..MAX_ROUNDS {
            let present = self.store.id_tag(&uid).await?;
            let expected = present.as_ref().map_or(0, |tag| tag.version);
            let missing = must_exist && present.is_none();
            if missing || if_match.is_some_and(|version| version != expected) {
                return Err(AppError::PreconditionFailed);
            }
            let now = self.clock.now();
            // Above every version the tag can have had before it was deleted, as for stations.
            let first = if expected == 0 {
                self.store.last_seq().await?
            } else {
                expected
            };
            let tag = IdTag {
                uid: uid.clone(),
                status: entry.status,
                expires_at: entry.expires_at,
                parent: entry.parent.clone(),
                version: first + 1,
                created_at: present.as_ref().map_or(now, |tag| tag.created_at),
                updated_at: now,
            };
            let commit = Commit {
                id_tag: Some((tag.clone(), expected)),
                events: vec![event(EventKind::IdTagChanged {}, now)],
                ..Commit::default()
            };
            match self.store.commit(commit).await {
                Ok(_) => return Ok((tag, present.is_none())),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(contended("put id tag"))
    }

    /// Removes an id tag.
    pub async fn delete_id_tag(
        &self,
        uid: &IdTagUid,
        if_match: Option<i64>,
    ) -> Result<(), AppError> {
        for _ in 0..MAX_ROUNDS {
            let tag = self
                .store
                .id_tag(uid)
                .await?
                .ok_or(AppError::NotFound("Id tag"))?;
            if if_match.is_some_and(|version| version != tag.version) {
                return Err(AppError::PreconditionFailed);
            }
            let commit = Commit {
                deleted_id_tag: Some((uid.clone(), tag.version)),
                events: vec![event(EventKind::IdTagDeleted {}, self.clock.now())],
                ..Commit::default()
            };
            match self.store.commit(commit).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(contended("delete id tag"))
    }
}

/// An event of no station. It does not name the tag: the event log is read by every role, and
/// a tag's text is what its holder charges with.
fn event(kind: EventKind, at: Timestamp) -> NewEvent {
    NewEvent {
        at,
        station_id: None,
        evse: None,
        connector: None,
        kind,
    }
}
