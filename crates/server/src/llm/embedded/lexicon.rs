//! Words that carry a judgement, by their stem.

use std::collections::HashMap;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

use super::language::Language;

/// The words themselves, one a line; the file says how.
const WORDS: [(Language, &str); 2] = [
    (Language::English, include_str!("lexicon_en.txt")),
    (Language::Spanish, include_str!("lexicon_es.txt")),
];
/// Most words of a phrase in the lexicon.
pub(super) const LONGEST_PHRASE: usize = 4;

/// What a word, or a phrase, does to a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Effect {
    /// It is good or bad, and how much.
    Worth(f32),
    /// It turns what follows into its opposite.
    Negates,
    /// It makes what follows stronger or weaker.
    Scales(f32),
    /// What was said before counts less than what follows.
    Turns,
}

/// The lexicon of a language: what it says of phrases of stems.
pub(super) struct Lexicon {
    stemmer: Stemmer,
    effects: HashMap<String, Effect>,
}

static ENGLISH: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::read(Language::English));
static SPANISH: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::read(Language::Spanish));

impl Lexicon {
    /// The lexicon of a language.
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Spanish => &SPANISH,
        }
    }

    /// The stem of a word in small letters.
    pub(super) fn stem(&self, word: &str) -> String {
        self.stemmer.stem(word).into_owned()
    }

    /// What a phrase in small letters does: as it stands, or by its stems.
    pub(super) fn effect(&self, words: &[String]) -> Option<Effect> {
        let exact = self.effects.get(&format!("={}", words.join(" ")));
        let by_stems = || {
            let stems: Vec<String> = words.iter().map(|word| self.stem(word)).collect();
            self.effects.get(&stems.join(" "))
        };
        exact.or_else(by_stems).copied()
    }

    fn read(language: Language) -> Self {
        let stemmer = Stemmer::create(match language {
            Language::English => Algorithm::English,
            Language::Spanish => Algorithm::Spanish,
        });
        let texts = WORDS.iter().filter(|(of, _)| *of == language);
        let lines = texts.flat_map(|(_, text)| text.lines());
        let effects = lines.filter_map(|line| {
            let (phrase, effect) = entry(line)?;
            // Kept with its sign where it stands for itself: no stem has one.
            let key = if phrase.starts_with('=') {
                phrase.to_owned()
            } else {
                let stems = phrase.split(' ').map(|word| stemmer.stem(word));
                stems.collect::<Vec<_>>().join(" ")
            };
            Some((key, effect))
        });
        let effects = effects.collect();
        Self { stemmer, effects }
    }
}

/// A line: a phrase, and what it does (`1.5`, `not`, `x1.5`, `but`). Others are remarks.
fn entry(line: &str) -> Option<(&str, Effect)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (phrase, effect) = line.rsplit_once(' ')?;
    let effect = match effect {
        "not" => Effect::Negates,
        "but" => Effect::Turns,
        _ => match effect.strip_prefix('x') {
            Some(factor) => Effect::Scales(factor.parse().ok()?),
            None => Effect::Worth(effect.parse().ok()?),
        },
    };
    Some((phrase, effect))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_line_is_understood_and_none_stands_twice() {
        for (language, text) in WORDS {
            let mut seen = HashSet::new();
            for line in text
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
            {
                let (phrase, effect) = entry(line).unwrap_or_else(|| panic!("{line}"));
                assert!(seen.insert(phrase), "{phrase} stands twice");
                assert_eq!(phrase, phrase.to_lowercase());
                let words = phrase.split(' ').count();
                assert!((1..=LONGEST_PHRASE).contains(&words), "{phrase}");
                if let Effect::Worth(worth) = effect {
                    assert!((0.2..=3.0).contains(&worth.abs()), "{line}");
                }
            }
            assert!(seen.len() > 150, "{language:?} has {} entries", seen.len());
        }
    }

    #[test]
    fn a_word_that_stands_for_itself_is_not_found_by_its_stem() {
        let spanish = Lexicon::of(Language::Spanish);
        assert_eq!(spanish.stem("parado"), spanish.stem("para"));
        let effect = |word: &str| spanish.effect(&[word.to_owned()]);
        assert_eq!(
            (effect("parado"), effect("para")),
            (Some(Effect::Worth(-1.3)), None)
        );
    }

    #[test]
    fn inflected_words_are_found() {
        let (english, spanish) = (
            Lexicon::of(Language::English),
            Lexicon::of(Language::Spanish),
        );
        for word in ["repaired", "repairs", "repairing"] {
            assert!(english.effect(&[word.to_owned()]).is_some(), "{word}");
        }
        for word in ["averías", "avería", "averiado", "averiadas"] {
            assert!(spanish.effect(&[word.to_owned()]).is_some(), "{word}");
        }
    }
}
