//! Which language a text is in.

use whatlang::{Detector, Lang};

/// The languages that the rules know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Spanish,
}

/// Words that hardly a sentence does without, and that only one of the two languages has. Entries
/// are too short for statistics over letters; two such words are worth more.
const ENGLISH: [&str; 61] = [
    "after", "all", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could",
    "did", "do", "does", "down", "every", "for", "from", "had", "has", "have", "in", "into", "is",
    "it", "its", "more", "not", "of", "off", "on", "one", "or", "our", "out", "over", "she",
    "that", "the", "their", "them", "they", "this", "to", "too", "two", "up", "was", "we", "were",
    "when", "which", "will", "with", "without", "would", "you", "your", "again",
];
const SPANISH: [&str; 64] = [
    "al", "aunque", "cada", "como", "con", "cuando", "de", "del", "desde", "donde", "dos", "el",
    "ella", "en", "entre", "era", "es", "esta", "estaba", "este", "está", "están", "fue", "ha",
    "han", "hasta", "hay", "la", "las", "le", "lo", "los", "más", "muy", "nada", "ni", "nos", "o",
    "otra", "otro", "para", "pero", "por", "porque", "que", "se", "según", "ser", "si", "siempre",
    "sigue", "sin", "sobre", "solo", "su", "sus", "también", "tiene", "todo", "todos", "un", "una",
    "y", "ya",
];

/// Least letters of a text whose language is told apart from one that is not ours.
const ENOUGH: usize = 24;

impl Language {
    /// The likelier of the two.
    pub(super) fn of(text: &str) -> Self {
        let (english, spanish) = evidence(text);
        match english.cmp(&spanish) {
            std::cmp::Ordering::Greater => Self::English,
            std::cmp::Ordering::Less => Self::Spanish,
            std::cmp::Ordering::Equal => {
                let detector = Detector::with_allowlist(vec![Lang::Eng, Lang::Spa]);
                match detector.detect_lang(text) {
                    Some(Lang::Spa) => Self::Spanish,
                    _ => Self::English,
                }
            }
        }
    }
}

/// Whether two texts are in different languages beyond doubt. In doubt they are not.
pub(crate) fn differ(one: &str, other: &str) -> bool {
    match (certain(one), certain(other)) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    }
}

/// The language of a text, when it is certain.
fn certain(text: &str) -> Option<Lang> {
    let (english, spanish) = evidence(text);
    if english >= 2 && spanish == 0 {
        return Some(Lang::Eng);
    }
    if spanish >= 2 && english == 0 {
        return Some(Lang::Spa);
    }
    if text.chars().filter(|c| c.is_alphabetic()).count() < ENOUGH || english + spanish > 2 {
        return None;
    }
    let told = whatlang::detect(text)?;
    told.is_reliable().then(|| told.lang())
}

/// How many of the telling words of each language there are.
fn evidence(text: &str) -> (usize, usize) {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphabetic());
    let (mut english, mut spanish) = (0, 0);
    for word in words.filter(|word| !word.is_empty()) {
        english += usize::from(ENGLISH.contains(&word));
        spanish += usize::from(SPANISH.contains(&word) || word.contains('ñ'));
    }
    (english, spanish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_told_apart() {
        for text in [
            "Replaced the contactor on connector 2",
            "No problems at all",
            "Watch it for a day",
            "The charger lost its signal",
        ] {
            assert_eq!(Language::of(text), Language::English, "{text}");
        }
        for text in [
            "Cambiado el contactor del conector 2",
            "Sin incidencias",
            "Vigilarlo un día",
            "El cargador perdió la señal",
        ] {
            assert_eq!(Language::of(text), Language::Spanish, "{text}");
        }
    }

    #[test]
    fn in_doubt_two_texts_do_not_differ() {
        let english = "The charger was repaired and it works again";
        let spanish = "El cargador fue reparado y ya funciona otra vez";
        let german = "Der Lader wurde repariert und funktioniert seitdem wieder einwandfrei";
        assert!(differ(english, spanish) && differ(spanish, english) && differ(german, spanish));
        assert!(!differ(english, "It is fixed and the bay is open"));
        for unclear in ["OK", "CP-12 offline 3x", "Firmware 1.4.2", ""] {
            assert!(
                !differ(unclear, spanish) && !differ(unclear, english),
                "{unclear}"
            );
        }
    }
}
