//! Two sentences, taken out of an entry.

use crate::llm::text::{beginning, ends_alone, on_one_line, sentences};

/// Longest sentence, in characters: two of them are a summary to be read at a glance.
const MAX_SENTENCE: usize = 160;

/// Two sentences that say what was done and what was hard about it; what comes next, where nothing
/// was. They are the author's own words.
pub(super) fn of([work, struggle, intention]: [&str; 3]) -> String {
    let second = if says_something(struggle) {
        struggle
    } else {
        intention
    };
    let (first, second) = (sentence(work), sentence(second));
    let summary = format!("{first} {second}");
    if sentences(&summary).len() == 2 {
        return summary;
    }
    // The first one ends in what reads as an abbreviation before the second.
    format!("{}! {second}", first.trim_end_matches('.'))
}

/// Whether a text is more than a word such as "nothing".
fn says_something(text: &str) -> bool {
    text.split_whitespace().count() > 1
}

/// The first sentence of a text, with a capital letter and an end.
fn sentence(text: &str) -> String {
    let text = on_one_line(text);
    let first = sentences(&text)
        .first()
        .copied()
        .unwrap_or(&text)
        .to_owned();
    let short = beginning(&first, MAX_SENTENCE);
    let mut letters = short.chars();
    let capital: String = letters
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    let sentence = format!("{capital}{}", letters.as_str());
    // An end that reads as one, whatever follows.
    let ended = sentence.trim_end_matches([',', ';', ':', '-', ' ']);
    let is_stop = |c: char| matches!(c, '.' | '!' | '?' | '…') || ends_alone(c);
    let is_quote = |c: char| matches!(c, '"' | '”' | '»' | ')');
    if ended.ends_with(|c| is_stop(c) || is_quote(c)) && sentences(ended).len() == 1 {
        let closed = ended.ends_with(is_stop);
        return if closed {
            ended.to_owned()
        } else {
            format!("{ended}.")
        };
    }
    format!("{ended}.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_says_what_was_done_and_what_was_hard() {
        assert_eq!(
            of([
                "replaced the fuse. Then tea.",
                "The lid was stuck!",
                "Grease it"
            ]),
            "Replaced the fuse. The lid was stuck!"
        );
        assert_eq!(
            of(["Revisión anual", "Ninguna", "volver en mayo"]),
            "Revisión anual. Volver en mayo."
        );
    }

    proptest! {
        /// Whatever is written, the summary has two sentences by the rule that models are held to.
        #[test]
        fn it_has_two_sentences(parts in prop::array::uniform3("[A-Za-zñ0-9.,!?…\"():\\- ]{0,40}[a-z][A-Za-z.!? ]{0,20}")) {
            let summary = of([&parts[0], &parts[1], &parts[2]]);
            prop_assert_eq!(sentences(&summary).len(), 2, "{}", summary);
        }
    }
}
