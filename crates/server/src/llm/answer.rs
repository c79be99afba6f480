//! What a model answered: read leniently, checked strictly.

use std::collections::HashSet;

use domain::Sentiment;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::story::{Claim, Facts, MAX_CITES, MAX_CLAIMS, Story};
use super::text::{has_control, legible, may_be};
use super::{Reading, TOPICS, embedded};

/// Longest summary, in characters: two long sentences.
pub(super) const MAX_SUMMARY: usize = 600;
/// Longest topic, in characters.
pub(super) const MAX_TOPIC: usize = 60;
/// Longest claim, in characters.
pub(super) const MAX_CLAIM: usize = 400;
/// Places in an answer at which an object is tried to be read, from its end: some models think
/// aloud first, and draft.
const MAX_TRIES: usize = 10_000;
/// Sentences of a summary.
const SENTENCES: usize = 2;

/// What is wrong with an answer, in words of our own.
pub(super) type Fault = &'static str;

/// What a model is to answer about an entry.
#[derive(Deserialize)]
struct RawReading {
    sentiment: String,
    summary: String,
    topics: Vec<String>,
}

/// Reads an answer about an entry whose text is `about`.
pub(super) fn reading(text: &str, about: &str) -> Result<Reading, Fault> {
    let raw: RawReading = object(text).ok_or("there is no JSON object as it was asked for")?;
    let word = raw.sentiment.trim().to_lowercase();
    let sentiment = Sentiment::from_word(&word)
        .ok_or("the sentiment is not one of positive, negative and neutral")?;
    let summary = legible(&raw.summary);
    if has_control(&summary) || summary.chars().count() > MAX_SUMMARY {
        return Err("the summary is too long, or cannot be read");
    }
    if !may_be(&summary, SENTENCES) {
        return Err("the summary does not have exactly two sentences");
    }
    let topics: Vec<String> = raw.topics.iter().map(|topic| legible(topic)).collect();
    let fits = |topic: &String| reads(topic, MAX_TOPIC);
    let distinct: HashSet<String> = topics.iter().map(|topic| topic.to_lowercase()).collect();
    if !TOPICS.contains(&topics.len()) || distinct.len() < topics.len() || !topics.iter().all(fits)
    {
        return Err("there are not two to four different, short topics");
    }
    if embedded::differ_in_language(about, &summary) {
        return Err("the summary is not in the language of the entry");
    }
    Ok(Reading {
        sentiment,
        summary,
        topics,
    })
}

/// What a model is to answer about a station.
#[derive(Deserialize)]
struct RawStory {
    what_happened: Vec<RawClaim>,
    likely_cause: Vec<RawClaim>,
    next_step: Vec<RawClaim>,
}

#[derive(Deserialize)]
struct RawClaim {
    text: String,
    #[serde(default)]
    cites: Vec<String>,
}

/// Reads an answer about a station. Claims that cite nothing, or what was not sent, are dropped.
pub(super) fn story(text: &str, facts: &Facts) -> Result<Story, Fault> {
    let raw: RawStory = object(text).ok_or("there is no JSON object as it was asked for")?;
    let keep = |claims: &[RawClaim]| -> Vec<Claim> {
        let claims = claims.iter().filter_map(|raw| claim(raw, facts));
        claims.take(MAX_CLAIMS).collect()
    };
    let story = Story {
        what_happened: keep(&raw.what_happened),
        likely_cause: keep(&raw.likely_cause),
        next_step: keep(&raw.next_step),
    };
    if story.what_happened.is_empty() && !facts.is_empty() {
        return Err("no claim about what happened cites ids of the data");
    }
    Ok(story)
}

fn claim(raw: &RawClaim, facts: &Facts) -> Option<Claim> {
    let text = legible(&raw.text);
    if !reads(&text, MAX_CLAIM) || raw.cites.is_empty() || raw.cites.len() > MAX_CITES {
        return None;
    }
    let mut claim = Claim {
        text,
        ..Claim::default()
    };
    for cite in &raw.cites {
        facts.resolve(cite.trim(), &mut claim)?;
    }
    Some(claim)
}

/// Whether a text says something, at no greater length.
fn reads(text: &str, longest: usize) -> bool {
    let says = text.chars().any(char::is_alphanumeric);
    says && text.chars().count() <= longest && !has_control(text)
}

/// The last object in a text that is what it should be: alone, in a fence, or amid words. What
/// stands before it was a draft.
fn object<T: DeserializeOwned>(text: &str) -> Option<T> {
    let mut places = text.rmatch_indices('{').map(|(at, _)| at).take(MAX_TRIES);
    places.find_map(|at| {
        let mut read = serde_json::Deserializer::from_str(&text[at..]).into_iter();
        read.next()?.ok()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ENTRY: &str = "Replaced the contactor of the charger because it was worn out";

    fn good() -> serde_json::Value {
        json!({
            "sentiment": "positive",
            "summary": "The contactor was replaced. It works again.",
            "topics": ["contactor", "repair"],
        })
    }

    #[test]
    fn an_object_is_found_wherever_it_stands() {
        let plain = good().to_string();
        for text in [
            plain.clone(),
            format!("```json\n{plain}\n```"),
            format!("Sure! Here it is: {plain} Anything else?"),
            format!("<think>{{\"sentiment\": maybe}} {{}}</think>{plain}"),
            serde_json::to_string_pretty(&good()).unwrap(),
        ] {
            let reading = reading(&text, ENTRY).unwrap_or_else(|fault| panic!("{fault}: {text}"));
            assert_eq!(reading.topics, ["contactor", "repair"]);
        }
    }

    #[test]
    fn of_several_objects_the_last_one_is_the_answer() {
        let mut draft = good();
        draft["sentiment"] = json!("negative");
        let (draft, plain) = (draft.to_string(), good().to_string());
        for text in [
            format!("<think>maybe {draft}, no</think>{plain}"),
            format!("{}{draft} {plain} {{done}}", "{x} ".repeat(500)),
        ] {
            let reading = reading(&text, ENTRY).unwrap();
            assert_eq!(reading.sentiment, Sentiment::Positive, "{text}");
        }
    }

    #[test]
    fn what_is_not_seen_gets_nowhere() {
        let mut hidden = good();
        hidden["summary"] = json!("The \u{202e}contactor was\u{200b} replaced. It works again.");
        hidden["topics"] = json!(["contac\u{200b}tor", "\u{2066}repair"]);
        let reading = reading(&hidden.to_string(), ENTRY).unwrap();
        assert_eq!(
            reading.summary,
            "The contactor was replaced. It works again."
        );
        assert_eq!(reading.topics, ["contactor", "repair"]);
    }

    #[test]
    fn a_right_answer_in_another_language_is_taken() {
        for (entry, summary) in [
            (
                "Remplacé le contacteur de la borne 4",
                "Contacteur remplacé après une recherche difficile. Une vérification est prévue lundi.",
            ),
            (
                "Schütz an der Säule in der Tiefgarage getauscht, es war alt",
                "Der Techniker tauschte das Schütz. Eine Messung folgt nächste Woche.",
            ),
            (
                "Sostituito il contattore della colonnina 4, la porta era bloccata",
                "Contattore sostituito. Un nuovo controllo verrà eseguito lunedì prossimo.",
            ),
            (
                "Troquei o contator da estação que estava na garagem",
                "O contator foi trocado. Haverá nova visita na segunda-feira seguinte.",
            ),
            (
                "コンタクタを交換した",
                "コンタクタを交換した。月曜に温度を確認する予定だ。",
            ),
            ("更换了接触器", "技术人员更换了接触器。周一将检查温度。"),
            ("कॉन्टैक्टर बदला", "कॉन्टैक्टर बदला गया। सोमवार को जाँच होगी।"),
            ("Replaced fuse", "1. The fuse was replaced. 2. All is well."),
            (
                "Replaced fuse",
                "The fuse was replaced at 5 p.m. Monday. All is well.",
            ),
        ] {
            let mut answer = good();
            answer["summary"] = json!(summary);
            answer["topics"] = json!(["接触器", "जाँच"]);
            let read = reading(&answer.to_string(), entry);
            assert!(read.is_ok(), "{summary}: {read:?}");
        }
    }

    #[test]
    fn what_is_a_little_different_is_tidied() {
        let mut loose = good();
        loose["sentiment"] = json!(" Positive ");
        loose["summary"] = json!("The contactor was\nreplaced.  It works again. ");
        loose["confidence"] = json!(0.9);
        let reading = reading(&loose.to_string(), ENTRY).unwrap();
        assert_eq!(reading.sentiment, Sentiment::Positive);
        assert_eq!(
            reading.summary,
            "The contactor was replaced. It works again."
        );
    }

    #[test]
    fn what_does_not_hold_is_refused() {
        let long = "x".repeat(MAX_TOPIC + 1);
        for (field, value) in [
            ("sentiment", json!("great")),
            ("sentiment", json!(1)),
            ("summary", json!("One sentence.")),
            ("summary", json!("One. Two. Three.")),
            ("summary", json!("")),
            ("summary", json!("One\u{7}. Two.")),
            (
                "summary",
                json!(format!("{}. Two.", "x".repeat(MAX_SUMMARY))),
            ),
            ("topics", json!(["one"])),
            ("topics", json!(["a", "b", "c", "d", "e"])),
            ("topics", json!(["a", "A"])),
            ("topics", json!(["a", " "])),
            ("topics", json!(["a", "\u{200b}\u{202e}"])),
            ("topics", json!(["a", "?!"])),
            ("topics", json!(["a", long])),
            ("topics", json!("a, b")),
            ("topics", json!(null)),
        ] {
            let mut wrong = good();
            wrong[field] = value.clone();
            assert!(
                reading(&wrong.to_string(), ENTRY).is_err(),
                "{field} {value}"
            );
        }
        let whole = good().to_string();
        for cut in [1, whole.len() / 2, whole.len() - 1] {
            assert!(reading(&whole[..cut], ENTRY).is_err(), "{cut}");
        }
        for nonsense in ["", "I cannot do that.", "[]", "null", &"{".repeat(100_000)] {
            assert!(reading(nonsense, ENTRY).is_err());
        }
    }

    #[test]
    fn a_summary_in_another_language_is_refused() {
        let mut wrong = good();
        wrong["summary"] =
            json!("Se ha sustituido el contactor del cargador. Ahora vuelve a funcionar bien.");
        assert!(reading(&wrong.to_string(), ENTRY).is_err());
        let spanish = "Se ha cambiado el contactor del cargador porque estaba gastado";
        assert!(reading(&wrong.to_string(), spanish).is_ok());
        assert!(reading(&good().to_string(), spanish).is_err());
    }
}
