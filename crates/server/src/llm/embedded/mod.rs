//! The analyser that needs no model: rules over words of our own, English and Spanish, no network.
//!
//! [`read`] tells how an entry sounds ([`sentiment`]), takes two sentences out of it ([`summary`])
//! and names what it is about ([`topics`]). [`tell`] looks for the patterns that explain most
//! troubles of a station ([`incidents`]) and words them ([`words`]).

mod incidents;
mod language;
mod lexicon;
mod sentiment;
mod summary;
mod topics;
mod words;

use domain::{Entry, EntryText};

use super::Reading;
use super::story::{Facts, Story};

pub(super) use language::differ as differ_in_language;

use language::Language;

/// Reads an entry.
pub(super) fn read(entry: &Entry) -> Reading {
    let parts = [&entry.work, &entry.struggle, &entry.intention].map(EntryText::as_str);
    let language = Language::of(&parts.join(". "));
    Reading {
        sentiment: sentiment::of(parts, language),
        summary: summary::of(parts),
        topics: topics::of(parts, language),
    }
}

/// Tells a station's story, in the language of its journal.
pub(super) fn tell(facts: &Facts) -> Story {
    let written: Vec<&str> = facts
        .entries
        .iter()
        .flat_map(|entry| [entry.work.as_str(), entry.struggle.as_str()])
        .collect();
    let language = if written.is_empty() {
        Language::English
    } else {
        Language::of(&written.join(". "))
    };
    words::story(&incidents::find(facts), facts, language)
}
