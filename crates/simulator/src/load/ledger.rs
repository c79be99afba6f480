//! What chargers were told is done, by charger: the side a server is held to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use super::journal::Entry;
use super::stats::Action;

/// Entries by charger, each charger's in their order.
#[derive(Debug, Default)]
pub struct Ledger {
    chargers: BTreeMap<String, Vec<Entry>>,
    begun: BTreeSet<i64>,
    /// Numbers of transactions that were given more than once.
    twice: BTreeSet<i64>,
}

impl Ledger {
    /// Takes an entry in.
    pub fn add(&mut self, entry: Entry) {
        if let Some(number) = begun(&entry) {
            self.add_transaction(number);
        }
        match self.chargers.get_mut(&entry.charger) {
            Some(entries) => entries.push(entry),
            None => {
                self.chargers.insert(entry.charger.clone(), vec![entry]);
            }
        }
    }

    /// Reads one share of a journal: of `shares`, the one with this index. All lines of a charger
    /// are in the same share, and every use of a transaction's number likewise.
    pub(super) fn read(&mut self, path: &Path, share: u64, shares: u64) -> io::Result<()> {
        for line in BufReader::new(File::open(path)?).lines() {
            let entry: Entry = serde_json::from_str(&line?)?;
            let number = begun(&entry);
            if let Some(number) = number.filter(|number| share_of(number, shares) == share) {
                self.add_transaction(number);
            }
            if share_of(&entry.charger, shares) == share {
                let entries = self.chargers.entry(entry.charger.clone()).or_default();
                entries.push(entry);
            }
        }
        Ok(())
    }

    fn add_transaction(&mut self, number: i64) {
        if !self.begun.insert(number) {
            self.twice.insert(number);
        }
    }

    pub(super) fn chargers(&self) -> impl ExactSizeIterator<Item = (&str, &[Entry])> {
        let chargers = self.chargers.iter();
        chargers.map(|(charger, entries)| (charger.as_str(), entries.as_slice()))
    }

    pub(super) fn given_twice(&self) -> &BTreeSet<i64> {
        &self.twice
    }
}

/// The number of the transaction, if the server has acknowledged its begin.
fn begun(entry: &Entry) -> Option<i64> {
    let begun = entry.acknowledged && entry.action == Action::Start;
    entry.transaction_id.filter(|_| begun)
}

fn share_of(key: &(impl Hash + ?Sized), shares: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() % shares.max(1)
}

/// How many lines a journal has.
pub(super) fn lines(path: &Path) -> io::Result<u64> {
    let mut lines = 0;
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        line?;
        lines += 1;
    }
    Ok(lines)
}
