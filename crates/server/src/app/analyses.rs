//! What analysers read out of the journal, and the stories they tell of stations.

use domain::{Analysis, AnalysisId, Entry, EntryId, Event, EventKind, StationId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Commit, EntryFilter, JournalWrite, SessionFilter, StoreError};

use super::{App, AppError, Conflict, Flights, MAX_PAGE, Once, gone};
use crate::llm::Asked;
use crate::llm::story::{Facts, Story};

/// Analyses kept with an entry: the newest. Nobody compares more, and each new one costs its asker.
const MAX_ANALYSES: u32 = 50;
/// Events read for a story: the newest of the days asked for. Forty pages of the store.
const MAX_EVENTS: usize = 20_000;
/// Charging sessions looked at, likewise.
const MAX_SESSIONS: u32 = MAX_PAGE;
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

/// An entry in a version, and whether it is to be read anew.
type Read = (EntryId, i64, bool);
/// Entries that are being read.
pub type Reads = Flights<Read, Analysis>;
/// Stations whose story of so many days is being told.
pub type Tales = Flights<(StationId, u32), StationStory>;

impl App {
    /// Reads an entry: what was last read out of it, if it has not changed since and the analyser
    /// is the same, or else anew. Asked several times at once it is read once, and paid once.
    pub async fn analyze_entry(
        &self,
        id: EntryId,
        fresh: bool,
        once: Option<Once>,
    ) -> Result<Analysis, AppError> {
        if let Some(id) = self.recall(once.as_ref()).await? {
            return self.analysis_made_before(&id).await;
        }
        let entry = self.entry(id).await?.ok_or(AppError::NotFound("Entry"))?;
        let key = (id, entry.version, fresh);
        let (app, leader) = (self.clone(), once.clone());
        let reading = async move { app.read_entry(entry, fresh, leader).await };
        let analysis = self.reads.join(key, reading).await?;
        let Some(once) = once else {
            return Ok(analysis);
        };
        let made = self.settle(&once, analysis.id.to_string()).await?;
        self.analysis_made_before(&made).await
    }

    async fn analysis_made_before(&self, id: &str) -> Result<Analysis, AppError> {
        let id = id.parse().map_err(|_| gone())?;
        self.store.analysis(id).await?.ok_or_else(gone)
    }

    /// Sees to it that a request is remembered with what it made, and tells what that is: another
    /// sending of it may have been quicker.
    async fn settle(&self, once: &Once, resource: String) -> Result<String, AppError> {
        if let Some(made) = self.recall(Some(once)).await? {
            return Ok(made);
        }
        let commit = Commit {
            idempotency: self.remember(Some(once), resource.clone()),
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            Ok(_) => Ok(resource),
            Err(StoreError::Conflict) => self.outrun(once).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn read_entry(
        &self,
        entry: Entry,
        fresh: bool,
        once: Option<Once>,
    ) -> Result<Analysis, AppError> {
        let model = self.analyser.name();
        // Whoever did the same may have ended a moment ago.
        if let Some(id) = self.recall(once.as_ref()).await? {
            return self.analysis_made_before(&id).await;
        }
        if !fresh && let Some(known) = self.store.latest_analysis(&entry, model).await? {
            return Ok(known);
        }
        let spent = self.tokens_spent().await?;
        let reading = self.paid(self.analyser.read(&entry, spent).await).await?;
        let now = self.clock.now();
        let analysis = Analysis {
            id: AnalysisId(self.new_id()),
            entry_id: entry.id,
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
            Err(StoreError::Conflict) => self.not_kept(entry, once).await,
            Err(error) => Err(error.into()),
        }
    }

    /// What to answer when an analysis could not be kept: the entry is gone or another one by now,
    /// or the same request was carried out elsewhere.
    async fn not_kept(&self, entry: &Entry, once: Option<Once>) -> Result<Analysis, AppError> {
        if let Some(id) = self.recall(once.as_ref()).await? {
            return self.analysis_made_before(&id).await;
        }
        match self.entry(entry.id).await? {
            None => Err(AppError::NotFound("Entry")),
            Some(now) if now.version == entry.version => {
                Err(AppError::Conflict(Conflict::UnderWay))
            }
            Some(_) => Err(AppError::Conflict(Conflict::EntryChanged)),
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
        let (app, station) = (self.clone(), id.clone());
        let telling = async move { app.tell(&station, days).await };
        let told = self.tales.join((id.clone(), days), telling).await?;
        let Some(once) = once else { return Ok(told) };
        // A story is of its moment and is not kept; only who repeats the request gets it again.
        let text = serde_json::to_string(&told);
        let text = text.map_err(|error| AppError::Internal(error.to_string()))?;
        let told = self.settle(&once, text).await?;
        serde_json::from_str(&told).map_err(|_| gone())
    }

    async fn tell(&self, id: &StationId, days: u32) -> Result<StationStory, AppError> {
        let facts = self.facts(id, days).await?;
        let spent = self.tokens_spent().await?;
        let story = self.paid(self.analyser.tell(&facts, spent).await).await?;
        Ok(StationStory {
            station_id: id.clone(),
            from: facts.from,
            to: facts.to,
            story,
            model: self.analyser.name().to_owned(),
        })
    }

    /// What is known of a station's last days.
    async fn facts(&self, id: &StationId, days: u32) -> Result<Facts, AppError> {
        let station = self.station(id).await?;
        let station = station.ok_or(AppError::NotFound("Station"))?;
        let to = self.clock.now();
        let window = SignedDuration::from_hours(24 * i64::from(days));
        let asked_from = to.saturating_sub(window).unwrap_or(Timestamp::MIN);
        let (mut events, seen_from) = self.events_of(id, asked_from).await?;
        let filter = SessionFilter {
            station_id: Some(id.clone()),
            ..SessionFilter::default()
        };
        let mut sessions = self.store.sessions(&filter, MAX_SESSIONS).await?;
        // With as many as are looked at there may be more behind the last of them.
        let behind = sessions.len() == MAX_SESSIONS as usize;
        let oldest = sessions.last().filter(|_| behind);
        let from = oldest.map_or(seen_from, |oldest| seen_from.max(oldest.recorded_at));
        // The story says from when on it knows everything, and tells of nothing before.
        events.retain(|event| event.event.at >= from);
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

    /// What happened to a station since `from`, oldest first, and from when on that is all of it.
    async fn events_of(
        &self,
        id: &StationId,
        from: Timestamp,
    ) -> Result<(Vec<Event>, Timestamp), AppError> {
        let (mut events, mut read, mut before) = (Vec::new(), 0, None);
        let mut seen_from = from;
        loop {
            let page = self.store.station_history(id, before, MAX_PAGE).await?;
            let whole = page.len() < MAX_PAGE as usize;
            let Some(oldest) = page.last() else { break };
            let (oldest, place) = (oldest.event.at, oldest.seq);
            before = Some(place);
            read += page.len();
            let wanted = |event: &Event| event.event.at >= from && matters(&event.event.kind);
            events.extend(page.into_iter().filter(wanted));
            if whole || oldest < from {
                break;
            }
            if read >= MAX_EVENTS {
                seen_from = oldest;
                break;
            }
        }
        events.reverse();
        Ok((events, seen_from))
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

/// Whether a kind of event says how a station fares. What was read out of the journal is not what
/// happened to it, and a status that follows from others says nothing new.
const fn matters(kind: &EventKind) -> bool {
    !matches!(
        kind,
        EventKind::JournalEntryCreated { .. }
            | EventKind::JournalEntryUpdated { .. }
            | EventKind::JournalEntryDeleted { .. }
            | EventKind::JournalEntryAnalyzed { .. }
            | EventKind::EvseStatusChanged { .. }
    )
}
