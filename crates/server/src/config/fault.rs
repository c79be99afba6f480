//! What is wrong with the settings, in words that say what would do.

use std::fmt;

/// Furthest typing mistake for which another name is proposed.
const MAX_TYPOS: usize = 3;

/// What is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The setting, as its source names it.
    pub name: String,
    /// What is wrong with it, and what would do.
    pub fault: String,
}

impl Fault {
    pub(super) fn new(name: impl fmt::Display, fault: impl fmt::Display) -> Self {
        Self {
            name: name.to_string(),
            fault: fault.to_string(),
        }
    }
}

/// Why the settings cannot be used: every fault found, not only the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub faults: Vec<Fault>,
}

impl ConfigError {
    pub(super) fn one(name: impl fmt::Display, fault: impl fmt::Display) -> Self {
        Self {
            faults: vec![Fault::new(name, fault)],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { name, fault }) in self.faults.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{name}: {fault}")?;
        }
        Ok(())
    }
}

/// The fault of a name that is none, with the closest one that is.
pub(super) fn unknown(what: &str, name: &str, known: impl IntoIterator<Item = String>) -> String {
    let closest = known
        .into_iter()
        .map(|candidate| (typos(name, &candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= MAX_TYPOS);
    match closest {
        Some((_, candidate)) => format!("not a {what}; did you mean `{candidate}`?"),
        None => format!("not a {what}; docs/configuration.md and `enchufe serve --help` list them"),
    }
}

/// How many letters differ (Levenshtein's distance).
fn typos(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}
