//! Sentences: found, counted and tidied the same way wherever they come from.

/// What ends in a full stop without ending a sentence, in both languages.
const ABBREVIATIONS: [&str; 23] = [
    "approx", "aprox", "art", "avda", "av", "dr", "dra", "e.g", "ee.uu", "ej", "fig", "i.e", "mr",
    "mrs", "ms", "n", "no", "núm", "p", "sr", "sra", "st", "vs",
];

/// The sentences of a text, each with its end.
///
/// A sentence ends with `.`, `!`, `?` or `…`, perhaps in quotes, where a space and then no small
/// letter follow; an abbreviation ends none.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut begin = 0;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        if !matches!(c, '.' | '!' | '?' | '…') || end <= begin {
            continue;
        }
        let closing = |c: char| {
            matches!(
                c,
                '"' | '\'' | '”' | '’' | '»' | ')' | '.' | '!' | '?' | '…'
            )
        };
        let rest = &text[end..];
        let after = rest.trim_start_matches(closing);
        let end = end + rest.len() - after.len();
        let spaced = after.is_empty() || after.starts_with(char::is_whitespace);
        let next = after.trim_start().chars().next();
        let goes_on = next.is_some_and(char::is_lowercase) && c != '!' && c != '?';
        if spaced && !goes_on && !(c == '.' && abbreviates(&text[begin..at], next)) {
            found.push(text[begin..end].trim());
            begin = end;
        }
    }
    let rest = text[begin..].trim();
    if !rest.is_empty() {
        found.push(rest);
    }
    found.retain(|sentence| sentence.chars().any(char::is_alphanumeric));
    found
}

/// Whether the full stop after this text belongs to its last word. At the very end of a text it
/// ends a sentence in any case.
fn abbreviates(before: &str, next: Option<char>) -> bool {
    let word = before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default();
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word = word.to_lowercase();
    match word.as_str() {
        // They are words too, and letters; before a number they are not.
        "no" | "n" | "p" | "art" | "fig" => next.is_some_and(|c| c.is_ascii_digit()),
        word => next.is_some() && ABBREVIATIONS.contains(&word),
    }
}

/// A text on one line, with single spaces.
pub(super) fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text holds what nobody can read.
pub(super) fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// The beginning of a text, of at most so many characters, with an ellipsis where it was cut
/// between two words if it can be.
pub(super) fn beginning(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most.saturating_sub(1)).collect();
    let whole = cut.rfind(' ').filter(|at| *at > cut.len() / 2);
    format!("{}…", cut[..whole.unwrap_or(cut.len())].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_a_reader_would_say() {
        for (text, expected) in [
            ("One. Two.", &["One.", "Two."][..]),
            ("One", &["One"]),
            ("", &[]),
            (" … ", &[]),
            (
                "OCPP 1.6 is old. Version 2.0.1 is not.",
                &["OCPP 1.6 is old.", "Version 2.0.1 is not."],
            ),
            (
                "Approx. 40 m of cable, e.g. Type 2. Done!",
                &["Approx. 40 m of cable, e.g. Type 2.", "Done!"],
            ),
            ("¿Funciona? ¡Sí!", &["¿Funciona?", "¡Sí!"]),
            (
                "El Sr. López vino. No. 4 falla.",
                &["El Sr. López vino.", "No. 4 falla."],
            ),
            (
                "He said \"no.\" Then he left.",
                &["He said \"no.\"", "Then he left."],
            ),
            ("Wait... and see. Fine", &["Wait... and see.", "Fine"]),
            ("It was a no. We left.", &["It was a no.", "We left."]),
            ("Fuses, etc. Then tea.", &["Fuses, etc.", "Then tea."]),
            ("One.\n\nTwo.", &["One.", "Two."]),
            ("見た。", &["見た。"]),
        ] {
            assert_eq!(sentences(text), expected, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_words() {
        assert_eq!(beginning("short", 5), "short");
        assert_eq!(beginning("one two three", 10), "one two…");
        assert_eq!(beginning("ñññññññ", 4), "ñññ…");
    }
}
