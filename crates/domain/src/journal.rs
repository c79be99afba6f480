//! The field journal: what the people who run the network write down, and what is read out of it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::{EventKind, NewEvent};
use crate::id::{AnalysisId, EntryId, StationId};
use crate::status::words;

/// Longest text of an entry, in characters: a thought, not a report.
pub const MAX_ENTRY_TEXT: usize = 256;

/// Why a text cannot stand in the journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "has 1 to 256 characters besides spaces around them, one of them visible at least, and no \
     control characters"
)]
pub struct InvalidText;

/// A text of an entry: trimmed, 1 to 256 characters, perhaps on several lines. One of them at least
/// is seen. What is read back is taken as it was kept: the rules of its day held for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryText(String);

impl EntryText {
    /// Trims a text and takes it when it can stand in the journal.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let text = text.trim();
        let count = text.chars().count();
        let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
        let blank = text.chars().all(is_blank);
        if blank || count > MAX_ENTRY_TEXT || text.chars().any(control) {
            return Err(InvalidText);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character leaves no ink: a space, or a mark that only changes how others are shown.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

impl From<EntryText> for String {
    fn from(text: EntryText) -> Self {
        text.0
    }
}

/// What somebody did, what was hard about it, and what comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id. UUID version 4: it tells nothing.
    pub id: EntryId,
    /// What was worked on.
    pub work: EntryText,
    /// What was hard.
    pub struggle: EntryText,
    /// What comes next.
    pub intention: EntryText,
    /// The station it is about. That may be gone: the entry stays.
    pub station_id: Option<StationId>,
    /// One higher with every change.
    pub version: i64,
    /// When it was entered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What is to change about an entry. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPatch {
    /// What was worked on.
    pub work: Option<EntryText>,
    /// What was hard.
    pub struggle: Option<EntryText>,
    /// What comes next.
    pub intention: Option<EntryText>,
    /// The station it is about; of `Some(None)`, it is about none any longer.
    pub station_id: Option<Option<StationId>>,
}

impl Entry {
    /// The entry changed, and the event that tells of it; `None` when nothing changes.
    pub fn change(&self, patch: EntryPatch, now: Timestamp) -> Option<(Self, NewEvent)> {
        let mut changed = self.clone();
        let EntryPatch {
            work,
            struggle,
            intention,
            station_id,
        } = patch;
        set(&mut changed.work, work);
        set(&mut changed.struggle, struggle);
        set(&mut changed.intention, intention);
        set(&mut changed.station_id, station_id);
        if changed == *self {
            return None;
        }
        changed.version += 1;
        // It advances, whatever the clock does: who sorts by it must see the change.
        let least = self.updated_at.saturating_add(TICK).unwrap_or(now);
        changed.updated_at = now.max(least);
        let kind = EventKind::JournalEntryUpdated { entry_id: self.id };
        let event = changed.event(kind, now);
        Some((changed, event))
    }

    /// An event about the entry, in the history of its station. It names the entry and none of its
    /// words: the log is for ever, and an entry can be removed.
    pub fn event(&self, kind: EventKind, at: Timestamp) -> NewEvent {
        NewEvent {
            at,
            station_id: self.station_id.clone(),
            evse: None,
            connector: None,
            kind,
        }
    }
}

/// The shortest time that is stored.
const TICK: SignedDuration = SignedDuration::from_micros(1);

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

words! {
    /// How it went.
    Sentiment {
        /// Well.
        Positive = "positive",
        /// Badly.
        Negative = "negative",
        /// As it goes.
        Neutral = "neutral",
    }
}

/// What an analyser read out of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// Its id. UUID version 7.
    pub id: AnalysisId,
    /// The entry.
    pub entry_id: EntryId,
    /// The version of the entry that was read.
    pub entry_version: i64,
    /// How it went.
    pub sentiment: Sentiment,
    /// Two sentences.
    pub summary: String,
    /// Two to four.
    pub topics: Vec<String>,
    /// Who read it: the model's name, or `embedded`.
    pub model: String,
    /// When.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn text(text: &str) -> EntryText {
        EntryText::new(text).unwrap()
    }

    fn entry() -> Entry {
        Entry {
            id: EntryId(Uuid::from_u128(1)),
            work: text("Changed a fuse"),
            struggle: text("None"),
            intention: text("Watch it"),
            station_id: None,
            version: 1,
            created_at: at(0),
            updated_at: at(0),
        }
    }

    #[test]
    fn a_text_is_trimmed_and_bounded_in_characters() {
        assert_eq!(text("  ñandú \n").as_str(), "ñandú");
        assert_eq!(text("one\r\n\ttwo").as_str(), "one\r\n\ttwo");
        assert!(EntryText::new(&"ñ".repeat(256)).is_ok());
        for seen in ["👍🏽", "✓", "-", "ナ", "जाँ\u{200d}च", "a\u{200b}"] {
            assert!(EntryText::new(seen).is_ok(), "{seen}");
        }
        for wrong in [
            "",
            " ",
            "\t\n\u{a0}",
            "a\0b",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{9f}",
            "\u{200b}",
            "\u{200b} \u{feff}\u{202e}",
            "\u{2800}\u{3164}",
            &"x".repeat(257),
        ] {
            assert_eq!(EntryText::new(wrong), Err(InvalidText), "{wrong:?}");
        }
    }

    #[test]
    fn a_change_changes_what_is_given_and_nothing_else() {
        let patch = EntryPatch {
            struggle: Some(text("The lid")),
            ..EntryPatch::default()
        };
        let (changed, event) = entry().change(patch, at(9)).unwrap();
        assert_eq!(changed.struggle, text("The lid"));
        assert_eq!((changed.version, changed.updated_at), (2, at(9)));
        assert_eq!(
            (changed.work, changed.created_at),
            (entry().work, entry().created_at)
        );
        assert_eq!(event.kind.name(), "journal.entry_updated");
    }

    #[test]
    fn an_entry_need_not_stay_with_its_station() {
        let about = |station_id| EntryPatch {
            station_id: Some(station_id),
            ..EntryPatch::default()
        };
        let station = StationId::new("CP-1").ok();
        let (changed, _) = entry().change(about(station.clone()), at(9)).unwrap();
        assert_eq!(changed.station_id, station);
        assert_eq!(changed.change(EntryPatch::default(), at(10)), None);
        let (changed, _) = changed.change(about(None), at(10)).unwrap();
        assert_eq!(changed.station_id, None);
    }

    #[test]
    fn what_is_the_same_is_no_change() {
        assert_eq!(entry().change(EntryPatch::default(), at(9)), None);
        let same = EntryPatch {
            work: Some(text(" Changed a fuse ")),
            ..EntryPatch::default()
        };
        assert_eq!(entry().change(same, at(9)), None);
    }

    #[test]
    fn the_time_of_a_change_advances_though_the_clock_stands() {
        let patch = EntryPatch {
            work: Some(text("Other")),
            ..EntryPatch::default()
        };
        for now in [at(0), at(-60)] {
            let (changed, _) = entry().change(patch.clone(), now).unwrap();
            assert!(changed.updated_at > entry().updated_at, "{now}");
        }
    }
}
