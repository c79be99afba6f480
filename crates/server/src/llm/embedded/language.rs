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

/// Those of them that a neighbour has too: Portuguese writes "as" and "do", German "an" and "was",
/// and what Spanish has of French, Italian, Catalan and Portuguese is most of its small words. By
/// themselves they make nothing certain.
const SHARED: [&str; 69] = [
    "al", "all", "an", "as", "at", "be", "by", "can", "como", "con", "de", "del", "desde", "do",
    "dos", "en", "entre", "era", "es", "esta", "este", "for", "from", "ha", "had", "han", "has",
    "have", "in", "into", "is", "la", "las", "le", "lo", "los", "more", "ni", "nos", "not", "o",
    "of", "off", "on", "one", "or", "otra", "otro", "our", "out", "over", "para", "por", "porque",
    "que", "se", "si", "sobre", "solo", "su", "sus", "todo", "un", "una", "up", "was", "we",
    "will", "y",
];

/// Telling words from which on a language is certain.
const TELLING: usize = 2;

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

/// Whether of two texts one is in English and the other in Spanish, beyond doubt. Other languages
/// are not told apart: there are too many of them, and they share their small words.
pub(crate) fn differ(one: &str, other: &str) -> bool {
    match (certain(one), certain(other)) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    }
}

/// The language of a text, when it is certain: it has words of one of the two and none of the
/// other, one of them at least is no neighbour's, and letter statistics do not hold against it.
fn certain(text: &str) -> Option<Language> {
    let language = match evidence(text) {
        (TELLING.., 0) => Language::English,
        (0, TELLING..) => Language::Spanish,
        _ => return None,
    };
    let own = words(text).any(|word| tells(&word).is_some() && !SHARED.contains(&word.as_str()));
    let told = whatlang::detect(text).filter(whatlang::Info::is_reliable);
    let third = told.is_some_and(|told| !matches!(told.lang(), Lang::Eng | Lang::Spa));
    (own && !third).then_some(language)
}

/// How many of the telling words of each language there are.
fn evidence(text: &str) -> (usize, usize) {
    words(text).fold((0, 0), |(english, spanish), word| match tells(&word) {
        Some(Language::English) => (english + 1, spanish),
        Some(Language::Spanish) => (english, spanish + 1),
        None => (english, spanish),
    })
}

/// The language that a word tells of.
fn tells(word: &str) -> Option<Language> {
    if ENGLISH.contains(&word) {
        Some(Language::English)
    } else if SPANISH.contains(&word) || word.contains('ñ') {
        Some(Language::Spanish)
    } else {
        None
    }
}

/// The words of a text, in small letters.
fn words(text: &str) -> impl Iterator<Item = String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphabetic());
    let words = words.filter(|word| !word.is_empty());
    words.map(ToOwned::to_owned).collect::<Vec<_>>().into_iter()
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
        assert!(differ(english, spanish) && differ(spanish, english));
        assert!(!differ(english, "It is fixed and the bay is open"));
        for unclear in ["OK", "CP-12 offline 3x", "Firmware 1.4.2", ""] {
            assert!(
                !differ(unclear, spanish) && !differ(unclear, english),
                "{unclear}"
            );
        }
    }

    /// An entry, and a right summary of it, in languages that share words with the two.
    #[test]
    fn a_third_language_is_left_alone() {
        for (entry, summary) in [
            (
                "Remplacé le contacteur de la borne 4 sur le parking\nPièce difficile à trouver, on a \
                 cherché en vain\nVérifier la température lundi",
                "Contacteur remplacé après une recherche difficile. Une vérification est prévue lundi.",
            ),
            (
                "Schütz an der Säule in der Tiefgarage getauscht\nDer Deckel war festgerostet\n\
                 Was noch fehlt, am Montag messen",
                "Das Schütz wurde trotz eines verrosteten Deckels getauscht. Es folgt eine Messung.",
            ),
            (
                "Sostituito il contattore della colonnina 4, la porta era bloccata\n\
                 Non si trovava il pezzo\nTornare con la chiave",
                "Contattore sostituito nonostante qualche difficoltà. Un controllo verrà eseguito.",
            ),
            (
                "Troquei o contator da estação que estava na garagem\nA peça demorou\n\
                 Voltar segunda-feira",
                "O contator foi trocado apesar da demora. As medições do posto vão ser feitas.",
            ),
            (
                "コンタクタを交換した",
                "コンタクタを交換した。月曜に温度を確認する。",
            ),
            ("更换了接触器", "技术人员更换了接触器。周一将检查温度。"),
            ("कॉन्टैक्टर बदला", "कॉन्टैक्टर बदला गया। सोमवार को जाँच होगी।"),
        ] {
            assert!(!differ(entry, summary), "{summary}");
            // Nor does a summary in English or Spanish pass for the other of the two.
            assert!(certain(summary).is_none(), "{summary}");
        }
    }
}
