//! Sentences: found, counted and tidied the same way wherever they come from.

/// What ends in a full stop without ending a sentence, in both languages.
const ABBREVIATIONS: [&str; 23] = [
    "approx", "aprox", "art", "avda", "av", "dr", "dra", "e.g", "ee.uu", "ej", "fig", "i.e", "mr",
    "mrs", "ms", "n", "no", "núm", "p", "sr", "sra", "st", "vs",
];
/// What ends in a full stop and may end a sentence with it.
const EITHER: [&str; 2] = ["a.m", "p.m"];
/// Most digits of a number that counts an item of a list.
const LIST_DIGITS: usize = 2;

/// How sure it is that a sentence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Sure,
    Maybe,
}

/// The sentences of a text, each with its end.
///
/// A sentence ends with `.`, `!`, `?` or `…`, perhaps in quotes, where a space and then no small
/// letter follow; an abbreviation, and the number of a list's item, end none. The full stops of
/// scripts that put no space between sentences end one wherever they stand.
pub fn sentences(text: &str) -> Vec<&str> {
    let ends = ends(text).into_iter();
    let ends = ends.filter(|(_, end)| *end == End::Sure).map(|(at, _)| at);
    cut(text, ends)
}

/// Whether a text can be read as this many sentences: what may or may not end one, such as
/// "p.m." before a capital letter, is not held against it.
pub(super) fn may_be(text: &str, count: usize) -> bool {
    let least = sentences(text).len();
    let most = cut(text, ends(text).into_iter().map(|(at, _)| at)).len();
    (least..=most).contains(&count)
}

/// A text cut at these places, without what holds neither letter nor digit.
fn cut(text: &str, ends: impl Iterator<Item = usize>) -> Vec<&str> {
    let mut begin = 0;
    let mut found = Vec::new();
    for end in ends.chain([text.len()]) {
        found.push(text[begin..end].trim());
        begin = end;
    }
    found.retain(|sentence| sentence.chars().any(char::is_alphanumeric));
    found
}

/// Where sentences end, in order.
fn ends(text: &str) -> Vec<(usize, End)> {
    let mut found = Vec::new();
    let mut begin = 0;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let alone = ends_alone(c);
        if !(alone || matches!(c, '.' | '!' | '?' | '…')) || end <= begin {
            continue;
        }
        let rest = &text[end..];
        let after = rest.trim_start_matches(closes);
        let end = end + rest.len() - after.len();
        let spaced = after.is_empty() || after.starts_with(char::is_whitespace);
        let next = after.trim_start().chars().next();
        let sure = match c {
            _ if alone => Some(End::Sure),
            _ if !spaced => None,
            _ if rest.starts_with('.') && next.is_some_and(char::is_lowercase) => None,
            '.' => full_stop(text[begin..at].trim_start(), next),
            '…' if next.is_some_and(char::is_lowercase) => None,
            _ => Some(End::Sure),
        };
        if let Some(sure) = sure {
            found.push((end, sure));
            if sure == End::Sure {
                begin = end;
            }
        }
    }
    found
}

/// The ends of sentences in Chinese, Japanese, Hindi, Arabic and Urdu: no space need follow.
pub(super) const fn ends_alone(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '｡' | '．' | '।' | '॥' | '؟' | '۔')
}

/// What may stand between the end of a sentence and the space after it.
const fn closes(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '”' | '’' | '»' | ')' | '」' | '』' | '）' | '.' | '!' | '?' | '…'
    ) || ends_alone(c)
}

/// What a full stop with a space after it ends: `before` is what stands in the sentence so far.
fn full_stop(before: &str, next: Option<char>) -> Option<End> {
    let Some(next) = next else {
        return Some(End::Sure);
    };
    let item = before.len() <= LIST_DIGITS && before.bytes().all(|byte| byte.is_ascii_digit());
    if item && !before.is_empty() {
        return None;
    }
    let word = before.rsplit(char::is_whitespace).next();
    let word = word.unwrap_or_default();
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word = word.to_lowercase();
    let more = before.ends_with('.');
    match word.as_str() {
        // They are words too, and letters; before a number they are not.
        "no" | "n" | "p" | "art" | "fig" if !next.is_lowercase() => {
            (!next.is_ascii_digit()).then_some(End::Sure)
        }
        word if ABBREVIATIONS.contains(&word) || more => None,
        _ if next.is_lowercase() => Some(End::Maybe),
        word if EITHER.contains(&word) && !next.is_ascii_digit() => Some(End::Maybe),
        _ => Some(End::Sure),
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

/// A text on one line, without what is not seen and changes how the rest is read: marks that turn
/// the direction of writing, and spaces without width. What joins letters stays: scripts of India
/// and emoji need it.
pub(super) fn legible(text: &str) -> String {
    let seen = |c: &char| {
        !matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
                | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
    };
    on_one_line(&text.chars().filter(seen).collect::<String>())
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
            (
                "1. The fuse was replaced. 2. It works.",
                &["1. The fuse was replaced.", "2. It works."],
            ),
            (
                "Left at 5 p.m. Monday. Done.",
                &["Left at 5 p.m. Monday.", "Done."],
            ),
            (
                "更换了接触器。周一检查温度！",
                &["更换了接触器。", "周一检查温度！"],
            ),
            (
                "「交換した。」温度を見る。",
                &["「交換した。」", "温度を見る。"],
            ),
            (
                "कॉन्टैक्टर बदला गया। सोमवार को जाँच।",
                &["कॉन्टैक्टर बदला गया।", "सोमवार को जाँच।"],
            ),
            ("هل يعمل؟ نعم.", &["هل يعمل؟", "نعم."]),
        ] {
            assert_eq!(sentences(text), expected, "{text}");
        }
    }

    #[test]
    fn what_may_be_an_end_is_given_the_benefit_of_the_doubt() {
        for two in [
            "One. Two.",
            "It was replaced at 5 p.m. All is well.",
            "It was replaced at 5 p.m. Monday. All is well.",
            "1. It was replaced. 2. All is well.",
            "The fuse was replaced. iPhone app works again.",
        ] {
            assert!(may_be(two, 2), "{two}");
        }
        for other in [
            "One.",
            "One. Two. Three.",
            "Dr. Ruiz came.",
            "Wait... and see.",
            "",
            "5.2 V.",
        ] {
            assert!(!may_be(other, 2), "{other}");
        }
    }

    #[test]
    fn what_is_not_seen_is_taken_out() {
        assert_eq!(legible("a\u{202e}b\u{200b} \u{feff}\nc\u{e0041}"), "ab c");
        assert_eq!(
            legible("जाँ\u{200d}च 👩\u{200d}🔧"),
            "जाँ\u{200d}च 👩\u{200d}🔧"
        );
        assert_eq!(legible("\u{200b}\u{2066}"), "");
    }

    #[test]
    fn a_long_text_is_cut_between_words() {
        assert_eq!(beginning("short", 5), "short");
        assert_eq!(beginning("one two three", 10), "one two…");
        assert_eq!(beginning("ñññññññ", 4), "ñññ…");
    }
}
