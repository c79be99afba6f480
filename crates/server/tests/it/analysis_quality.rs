//! How well the embedded analyser reads: held against entries with the sentiment that a reader
//! gave them. A third of them was held back when the lexicon was written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use domain::{Entry, EntryId, EntryText, Sentiment};
use jiff::Timestamp;
use server::clock::Clock;
use server::config::Config;
use server::llm::{Analyser, Reading, sentences};
use server::metrics::Metrics;
use uuid::Uuid;

/// Label, language, and the three parts of an entry, a line each.
const LABELLED: &str = include_str!("journal_labelled.tsv");
/// What the sentiment must be right in, of the entries held back.
const ACCURACY: f64 = 0.85;

struct Labelled {
    label: Sentiment,
    held_back: bool,
    language: &'static str,
    entry: Entry,
}

fn labelled() -> Vec<Labelled> {
    LABELLED.lines().map(read).collect()
}

fn read(line: &'static str) -> Labelled {
    let fields: Vec<&str> = line.split('\t').collect();
    let [label, language, work, struggle, intention] = fields[..] else {
        panic!("not five fields: {line}");
    };
    let text = |text| EntryText::new(text).unwrap();
    Labelled {
        label: Sentiment::from_word(label).unwrap(),
        held_back: is_held_back(line),
        language,
        entry: Entry {
            id: EntryId(Uuid::nil()),
            work: text(work),
            struggle: text(struggle),
            intention: text(intention),
            station_id: None,
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        },
    }
}

/// Every third line, by a hash that nobody has in mind while writing (FNV-1a, its upper half).
fn is_held_back(line: &str) -> bool {
    let hash = line.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash >> 32).is_multiple_of(3)
}

fn analyser() -> Analyser {
    let metrics = Arc::new(Metrics::new());
    Analyser::new(&Config::defaults(), metrics, Clock::system()).unwrap()
}

async fn analyse(analyser: &Analyser, entry: &Entry) -> Reading {
    analyser.read(entry, 0).await.result.unwrap()
}

/// How often each label was read as what.
type Confusion = BTreeMap<(Sentiment, Sentiment), usize>;

fn accuracy(confusion: &Confusion) -> f64 {
    let sum = |right: bool| -> u32 {
        let those = confusion.iter().filter(|((a, b), _)| !right || a == b);
        those.map(|(_, count)| u32::try_from(*count).unwrap()).sum()
    };
    f64::from(sum(true)) / f64::from(sum(false))
}

fn table(confusion: &Confusion) -> String {
    let mut text =
        String::from("| a reader said | read as positive | as negative | as neutral |\n");
    text.push_str("| --- | --- | --- | --- |\n");
    for label in Sentiment::ALL {
        let count = |read: &Sentiment| confusion.get(&(*label, *read)).unwrap_or(&0).to_string();
        let counts: Vec<String> = Sentiment::ALL.iter().map(count).collect();
        let _ = writeln!(text, "| {label} | {} |", counts.join(" | "));
    }
    text
}

#[tokio::test]
async fn sentiment_is_right_often_enough_and_the_documentation_says_how_often() {
    let analyser = analyser();
    let (mut seen, mut held_back) = (Confusion::new(), Confusion::new());
    for Labelled {
        label,
        held_back: held,
        entry,
        ..
    } in labelled()
    {
        let read = analyse(&analyser, &entry).await.sentiment;
        let confusion = if held { &mut held_back } else { &mut seen };
        *confusion.entry((label, read)).or_default() += 1;
    }
    let (first, second) = (accuracy(&seen), accuracy(&held_back));
    let (of_seen, of_held): (usize, usize) = (seen.values().sum(), held_back.values().sum());
    let report = format!(
        "{}\nHeld back: {second:.2} of {of_held} entries are read right; of the {of_seen} others, \
         {first:.2}.",
        table(&held_back)
    );
    assert!(
        of_seen + of_held >= 120 && of_held * 4 > of_seen,
        "{report}"
    );
    assert!(second >= ACCURACY, "{report}");
    let documented = include_str!("../../../../docs/analysis.md");
    assert!(
        documented.contains(&report),
        "docs/analysis.md should say:\n\n{report}"
    );
}

#[tokio::test]
async fn every_reading_keeps_to_the_rules() {
    let analyser = analyser();
    for Labelled {
        entry, language, ..
    } in labelled()
    {
        let reading = analyse(&analyser, &entry).await;
        let told = format!("{language} {entry:?} {reading:?}");
        assert_eq!(sentences(&reading.summary).len(), 2, "{told}");
        assert!((2..=4).contains(&reading.topics.len()), "{told}");
        // Extractive: what it says is what was written.
        let written =
            [&entry.work, &entry.struggle, &entry.intention].map(|t| t.as_str().to_lowercase());
        for sentence in sentences(&reading.summary) {
            let words = sentence.trim_end_matches(['.', '…']).to_lowercase();
            assert!(written.iter().any(|text| text.contains(&words)), "{told}");
        }
    }
}

#[tokio::test]
async fn the_labels_and_languages_are_many() {
    let mut counts = BTreeMap::new();
    for Labelled {
        label, language, ..
    } in labelled()
    {
        *counts.entry(label.as_str()).or_insert(0) += 1;
        *counts.entry(language).or_insert(0) += 1;
    }
    for kind in ["positive", "negative", "neutral", "en", "es"] {
        assert!(counts[kind] >= 40, "{counts:?}");
    }
    assert!(counts["mixed"] >= 5, "{counts:?}");
}
