//! Many commits written into one transaction.

use std::collections::{BTreeMap, HashSet};

use domain::Event;

use crate::StoreError;
use crate::batch::Batch;
use crate::commit::{Prepared, Write};
use crate::db::{Connection, Value};
use crate::{events, nodes};

/// What an attempt to write many commits came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// All are in the transaction.
    All(Places),
    /// Some guard did not hold. Nothing may be committed.
    Refused,
    /// Somebody no longer waits for his commit. Nothing was committed.
    GivenUp,
}

/// Which places in the sequence the events of a transaction have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// The last one; 0 when there are no events.
    pub(crate) last: i64,
    /// PostgreSQL's name for the transaction, to ask after it should its answer be lost.
    pub(crate) transaction: Option<String>,
}

/// Writes commits into the open transaction.
pub(crate) async fn apply(
    connection: &mut Connection,
    commits: &[&Prepared],
) -> Result<Applied, StoreError> {
    for (_, (batch, writes)) in batches(commits) {
        let guarded = writes.iter().any(|(_, w)| w.statement.is_guarded());
        if !batch.run(connection).await? && guarded {
            return Ok(Applied::Refused);
        }
    }
    // Last, because it holds every other node's events back until the commit: the sequence is in
    // the order of the commits, and has no gaps.
    let rows: Vec<&[Value; 4]> = commits.iter().flat_map(|c| &c.event_rows).collect();
    let places = events::append(connection, &rows).await?;
    // After that, because whoever took a station over before has then committed: what is written
    // in a connection's name stands before the event that ended it, or is refused.
    if !lost_holds(connection, commits).await?.is_empty() {
        return Ok(Applied::Refused);
    }
    Ok(Applied::All(places))
}

/// Which commits are made in the name of a connection that no longer speaks for its station.
async fn lost_holds(
    connection: &mut Connection,
    commits: &[&Prepared],
) -> Result<Vec<usize>, StoreError> {
    let mut batch = Batch::new(&nodes::CHECK_HOLDS);
    let mut claims = Vec::new();
    for (number, commit) in commits.iter().enumerate() {
        if let Some(hold) = &commit.hold {
            batch.push(hold);
            claims.push((number, hold));
        }
    }
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let mut stand = HashSet::new();
    for row in batch.run_telling(connection).await? {
        stand.insert((row.text(0)?, row.int(1)?));
    }
    let lost = |[station, epoch]: &[Value; 2]| {
        let claim = station.as_text().zip(epoch.as_int());
        claim.is_none_or(|(station, epoch)| !stand.contains(&(station.to_owned(), epoch)))
    };
    let lost = claims.into_iter().filter(|(_, hold)| lost(hold));
    Ok(lost.map(|(number, _)| number).collect())
}

/// Finds out, in an open transaction that is rolled back afterwards, which commits are refused.
pub(crate) async fn find_refused(
    connection: &mut Connection,
    commits: &[&Prepared],
) -> Result<HashSet<usize>, StoreError> {
    let mut refused = HashSet::new();
    for (_, (batch, writes)) in batches(commits) {
        if !writes.iter().any(|(_, w)| w.statement.is_guarded()) {
            continue;
        }
        let mut written = HashSet::new();
        for row in batch.run_telling(connection).await? {
            written.insert(row.text(0)?);
        }
        let missing = writes
            .iter()
            .filter(|(_, write)| !written.contains(write.key.1.as_ref()));
        refused.extend(missing.map(|(commit, _)| *commit));
    }
    refused.extend(lost_holds(connection, commits).await?);
    Ok(refused)
}

/// One batch for each statement, with the writes in it and the commits they are of.
type Batches<'a> = BTreeMap<&'static str, (Batch, Vec<(usize, &'a Write)>)>;

fn batches<'a>(commits: &[&'a Prepared]) -> Batches<'a> {
    let mut batches = Batches::new();
    for (number, commit) in commits.iter().enumerate() {
        for write in &commit.writes {
            let (batch, writes) = batches
                .entry(write.statement.place())
                .or_insert_with(|| (Batch::new(write.statement), Vec::new()));
            batch.push(&write.row);
            writes.push((number, write));
        }
    }
    batches
}

/// Gives the events of commits their places, once these are committed.
pub(crate) fn number(commits: &mut [&mut Prepared], places: &Places) -> Vec<Event> {
    let count: usize = commits.iter().map(|commit| commit.events.len()).sum();
    let first = places.last + 1 - i64::try_from(count).unwrap_or(i64::MAX);
    let events = commits
        .iter_mut()
        .flat_map(|commit| std::mem::take(&mut commit.events));
    (first..)
        .zip(events)
        .map(|(seq, event)| Event { seq, event })
        .collect()
}
