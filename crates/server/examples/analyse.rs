//! How long the embedded analyser takes over an entry: prints the microseconds of one, on average
//! over all the labelled ones, best of several rounds.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use domain::{Entry, EntryId, EntryText};
use jiff::Timestamp;
use server::clock::Clock;
use server::config::Config;
use server::llm::Analyser;
use server::metrics::Metrics;

const LABELLED: &str = include_str!("../tests/it/journal_labelled.tsv");
/// The first round reads the lexicon; the quickest is the one nobody disturbed.
const ROUNDS: usize = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let entries: Vec<Entry> = LABELLED.lines().map(entry).collect::<anyhow::Result<_>>()?;
    let metrics = Arc::new(Metrics::new());
    let analyser = Analyser::new(&Config::defaults(), metrics, Clock::system())?;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for entry in &entries {
            analyser.read(entry, 0).await.result?;
        }
        best = best.min(started.elapsed().as_secs_f64());
    }
    let count = f64::from(u32::try_from(entries.len())?);
    println!("{:.1}", best / count * 1e6);
    Ok(())
}

fn entry(line: &str) -> anyhow::Result<Entry> {
    let mut fields = line.split('\t').skip(2);
    let mut text = || Ok::<_, anyhow::Error>(EntryText::new(fields.next().context("a field")?)?);
    Ok(Entry {
        id: EntryId(uuid::Uuid::nil()),
        work: text()?,
        struggle: text()?,
        intention: text()?,
        station_id: None,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    })
}
