//! What analysers read out of the journal, and the stories they tell of stations.

use domain::{Analysis, AnalysisId, Entry, EntryId, EventKind, StationId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Commit, EntryFilter, JournalWrite, SessionFilter, StoreError};

use super::{App, AppError, MAX_PAGE, Once, gone};
use crate::llm::Asked;
use crate::llm::story::{Facts, Story};

/// Analyses kept with an entry: the newest. Nobody compares more, and each new one costs its asker.
const MAX_ANALYSES: u32 = 50;
/// Events looked at for a story: the newest of the days asked for.
const MAX_EVENTS: u32 = MAX_PAGE;
/// Charging sessions looked at, likewise.
const MAX_SESSIONS: u32 = 100;
/// Entries of the journal looked at, likewise.
const MAX_ENTRIES: u32 = 30;

/// A story, with what it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationStory {
    /// The station.
    pub station_id: StationId,
    /// From when on things were looked at.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// What is claimed.
    pub story: Story,
    /// Who tells it: the model's name, or `embedded`.
    pub model: String,
}

impl App {
    /// Reads an entry: what was last read out of it, if it has not changed since and the analyser
    /// is the same, or else anew.
    pub async fn analyze_entry(
        &self,
        id: EntryId,
        fresh: bool,
        once: Option<Once>,
    ) -> Result<Analysis, AppError> {
        if let Some(id) = self.recall(once.as_ref()).await? {
            let id = id.parse().map_err(|_| gone())?;
            return self.store.analysis(id).await?.ok_or_else(gone);
        }
        let entry = self.entry(id).await?.ok_or(AppError::NotFound("Entry"))?;
        let model = self.analyser.name();
        let known = if fresh {
            None
        } else {
            self.store.latest_analysis(&entry, model).await?
        };
        if let Some(known) = known {
            let commit = Commit {
                idempotency: self.remember(once.as_ref(), known.id.to_string()),
                ..Commit::default()
            };
            if commit.idempotency.is_some() {
                self.store.commit(commit).await?;
            }
            return Ok(known);
        }
        let spent = self.tokens_spent().await?;
        let reading = self.paid(self.analyser.read(&entry, spent).await).await?;
        let now = self.clock.now();
        let analysis = Analysis {
            id: AnalysisId(self.new_id()),
            entry_id: id,
            entry_version: entry.version,
            sentiment: reading.sentiment,
            summary: reading.summary,
            topics: reading.topics,
            model: model.to_owned(),
            created_at: now,
        };
        self.keep_analysis(&entry, analysis, once).await
    }

    async fn keep_analysis(
        &self,
        entry: &Entry,
        analysis: Analysis,
        once: Option<Once>,
    ) -> Result<Analysis, AppError> {
        let kept = self.store.analyses(entry.id, None, MAX_PAGE).await?;
        // One of the places is for the new one.
        let surplus = kept.iter().skip(MAX_ANALYSES as usize - 1);
        let kind = EventKind::JournalEntryAnalyzed {
            entry_id: entry.id,
            sentiment: analysis.sentiment,
            model: analysis.model.clone(),
        };
        let commit = Commit {
            journal: Some(JournalWrite::Analysis {
                analysis: analysis.clone(),
                drop: surplus.map(|analysis| analysis.id).collect(),
            }),
            idempotency: self.remember(once.as_ref(), analysis.id.to_string()),
            events: vec![entry.event(kind, analysis.created_at)],
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            Ok(_) => Ok(analysis),
            Err(StoreError::Conflict) if self.entry(entry.id).await?.is_none() => {
                Err(AppError::NotFound("Entry"))
            }
            Err(StoreError::Conflict) => Err(AppError::Conflict(
                "the entry changed while it was read; ask again".to_owned(),
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Lists what was read out of an entry, newest first.
    pub async fn analyses(
        &self,
        id: EntryId,
        before: Option<AnalysisId>,
        limit: u32,
    ) -> Result<Vec<Analysis>, AppError> {
        let entry = self.entry(id).await?;
        entry.ok_or(AppError::NotFound("Entry"))?;
        Ok(self.store.analyses(id, before, limit).await?)
    }

    /// Tells a station's story of the last days.
    pub async fn tell_story(
        &self,
        id: &StationId,
        days: u32,
        once: Option<Once>,
    ) -> Result<StationStory, AppError> {
        if let Some(told) = self.recall(once.as_ref()).await? {
            return serde_json::from_str(&told).map_err(|_| gone());
        }
        let facts = self.facts(id, days).await?;
        let spent = self.tokens_spent().await?;
        let story = self.paid(self.analyser.tell(&facts, spent).await).await?;
        let told = StationStory {
            station_id: id.clone(),
            from: facts.from,
            to: facts.to,
            story,
            model: self.analyser.name().to_owned(),
        };
        if once.is_some() {
            // A story is of its moment and is not kept; only who repeats the request gets it again.
            let text = serde_json::to_string(&told);
            let text = text.map_err(|error| AppError::Internal(error.to_string()))?;
            let commit = Commit {
                idempotency: self.remember(once.as_ref(), text),
                ..Commit::default()
            };
            self.store.commit(commit).await?;
        }
        Ok(told)
    }

    /// What is known of a station's last days.
    async fn facts(&self, id: &StationId, days: u32) -> Result<Facts, AppError> {
        let station = self.station(id).await?;
        let station = station.ok_or(AppError::NotFound("Station"))?;
        let to = self.clock.now();
        let window = SignedDuration::from_hours(24 * i64::from(days));
        let from = to.saturating_sub(window).unwrap_or(Timestamp::MIN);
        let mut events = self.store.station_history(id, None, MAX_EVENTS).await?;
        // What was read out of the journal is not what happened to the station.
        events.retain(|event| {
            let journal = event.event.kind.name().starts_with("journal.");
            event.event.at >= from && !journal
        });
        events.reverse();
        let filter = SessionFilter {
            station_id: Some(id.clone()),
            ..SessionFilter::default()
        };
        let mut sessions = self.store.sessions(&filter, MAX_SESSIONS).await?;
        sessions.retain(|session| session.recorded_at >= from);
        sessions.reverse();
        let filter = EntryFilter {
            station_id: Some(id.clone()),
            before: None,
        };
        let mut entries = self.store.entries(&filter, MAX_ENTRIES).await?;
        entries.retain(|entry| entry.created_at >= from);
        entries.reverse();
        Ok(Facts {
            station,
            from,
            to,
            events,
            sessions,
            entries,
        })
    }

    /// What this day has cost so far, where it costs something.
    async fn tokens_spent(&self) -> Result<i64, AppError> {
        if self.analyser.costs() {
            Ok(self.store.tokens_spent(self.clock.now()).await?)
        } else {
            Ok(0)
        }
    }

    /// Books what a question cost, whatever became of it.
    async fn paid<T>(&self, asked: Asked<T>) -> Result<T, AppError> {
        if asked.tokens > 0 {
            let commit = Commit {
                tokens_spent: Some((self.clock.now(), asked.tokens)),
                ..Commit::default()
            };
            self.store.commit(commit).await?;
        }
        asked.result.map_err(AppError::Analysis)
    }
}
