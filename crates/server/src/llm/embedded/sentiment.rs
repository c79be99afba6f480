//! How an entry sounds.

use domain::Sentiment;

use super::language::Language;
use super::lexicon::{Effect, LONGEST_PHRASE, Lexicon};

/// How much each part of an entry says about how it went: what was hard says most, and what is
/// planned says little.
const WEIGHTS: [f32; 3] = [0.8, 1.0, 0.35];
/// From here on an entry is positive, and from its opposite on negative.
const THRESHOLD: f32 = 0.55;
/// What a turned word is worth of its opposite: "not good" is less bad than "bad".
const TURNED: f32 = -0.8;
/// How far a negation or a scale reaches, in words.
const REACH: usize = 4;
/// What a clause before "but" still counts.
const TAKEN_BACK: f32 = 0.4;
/// What it is worth to have met nothing hard.
const NOTHING_HARD: f32 = 1.0;
/// How much the trouble counts that was dealt with: "repaired the broken lock" tells of a repair.
const DEALT_WITH: f32 = 0.25;

/// "Nothing", as people write it when they are asked what was hard.
const NOTHING: [&str; 16] = [
    "-",
    "n/a",
    "na",
    "nada",
    "nil",
    "ninguna",
    "ninguno",
    "no",
    "none",
    "nope",
    "nothing",
    "nothing special",
    "nada especial",
    "sin novedad",
    "not really",
    "no problem",
];

/// How an entry of these three parts sounds.
pub(super) fn of(parts: [&str; 3], language: Language) -> Sentiment {
    let score = score(parts, language);
    if score >= THRESHOLD {
        Sentiment::Positive
    } else if score <= -THRESHOLD {
        Sentiment::Negative
    } else {
        Sentiment::Neutral
    }
}

fn score(parts: [&str; 3], language: Language) -> f32 {
    let [work, struggle, intention] = parts.map(|text| Found::in_text(text, language));
    // Work that mends says by its object what was broken, and not how it went.
    let worked = work.good + work.bad * if work.good > 0.0 { DEALT_WITH } else { 1.0 };
    let hard = if is_nothing(parts[1]) {
        NOTHING_HARD
    } else {
        struggle.sum()
    };
    let [first, second, third] = WEIGHTS;
    first * worked + second * hard + third * intention.sum()
}

fn is_nothing(text: &str) -> bool {
    let text = text.trim_end_matches(['.', '!']).to_lowercase();
    NOTHING.contains(&text.as_str())
}

/// What was found in a text, the good and the bad apart.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    good: f32,
    bad: f32,
}

impl Found {
    fn sum(self) -> f32 {
        self.good + self.bad
    }

    fn add(&mut self, worth: f32) {
        if worth > 0.0 {
            self.good += worth;
        } else {
            self.bad += worth;
        }
    }

    fn in_text(text: &str, language: Language) -> Self {
        let mut found = Self::default();
        for clause in clauses(text) {
            found.clause(&clause, language);
        }
        found
    }

    /// Goes through a clause from left to right, the longest phrase first.
    fn clause(&mut self, words: &[String], language: Language) {
        let mut at = 0;
        let (mut negated, mut scale, mut reach) = (false, 1.0, 0_usize);
        while at < words.len() {
            let (length, effect) = longest(&words[at..], language);
            if reach == 0 {
                (negated, scale) = (false, 1.0);
            }
            reach = reach.saturating_sub(1);
            match effect {
                Some(Effect::Worth(worth)) => {
                    // A phrase that negates by itself is not turned again: "sin ningún problema".
                    let own = length > 1 && negates(&words[at], language);
                    let turned = if negated && !own { TURNED } else { 1.0 };
                    self.add(worth * scale * turned);
                    scale = 1.0;
                }
                Some(Effect::Negates) => (negated, reach) = (true, REACH),
                Some(Effect::Scales(factor)) => (scale, reach) = (factor, reach.max(REACH)),
                Some(Effect::Turns) => {
                    self.good *= TAKEN_BACK;
                    self.bad *= TAKEN_BACK;
                    (negated, scale) = (false, 1.0);
                }
                None => {}
            }
            at += length;
        }
    }
}

fn negates(word: &String, language: Language) -> bool {
    Lexicon::of(language).effect(std::slice::from_ref(word)) == Some(Effect::Negates)
}

/// The longest phrase that these words begin with and that a lexicon knows: the one of the text's
/// language, or the other's, for people mix the two. One word without effect where there is none.
fn longest(words: &[String], language: Language) -> (usize, Option<Effect>) {
    let other = match language {
        Language::English => Language::Spanish,
        Language::Spanish => Language::English,
    };
    for lexicon in [Lexicon::of(language), Lexicon::of(other)] {
        for length in (1..=words.len().min(LONGEST_PHRASE)).rev() {
            if let Some(effect) = lexicon.effect(&words[..length]) {
                return (length, Some(effect));
            }
        }
    }
    (1, None)
}

/// The words of each clause, in small letters. A negation does not reach beyond a comma.
fn clauses(text: &str) -> Vec<Vec<String>> {
    text.to_lowercase()
        .replace('’', "'")
        .split([',', '.', ';', ':', '!', '?', '(', ')', '\n'])
        .map(|clause| {
            let words = clause.split(|c: char| !(c.is_alphanumeric() || c == '\''));
            let words = words.filter(|word| !word.is_empty());
            words.map(ToOwned::to_owned).collect()
        })
        .collect()
}
