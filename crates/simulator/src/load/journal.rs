//! What the server has acknowledged, written down so that it can be held to it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::stats::Action;

/// Lines that may wait to be written; a full queue slows the chargers down, and loses nothing.
const QUEUE: usize = 16_384;

/// One call and what became of it, as a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who made it.
    pub charger: String,
    /// Counts the calls of a charger: of two lines about a connector, the higher one is later.
    pub order: u64,
    /// Whether it was answered. If not, the server may know of it or not.
    pub acknowledged: bool,
    /// What it was.
    pub action: Action,
    /// Where.
    pub connector: u32,
    /// When, as the message says.
    pub timestamp: Timestamp,
    /// The state that was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Cow<'static, str>>,
    /// The number of the transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<i64>,
    /// What the meter showed, in Wh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_wh: Option<u64>,
}

impl Entry {
    /// What a state change is found again by: the charger sends it along as its `info`.
    pub fn mark(&self) -> String {
        mark(self.order, self.timestamp)
    }
}

/// The mark of a message: no other of the same charger has it, in this run or another.
pub(super) fn mark(order: u64, timestamp: Timestamp) -> String {
    format!("{order} at {}", timestamp.as_millisecond())
}

/// Where entries go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal(mpsc::Sender<Entry>);

/// Ends when every [`Journal`] is dropped, and tells how many lines there are.
pub type Writing = JoinHandle<std::io::Result<u64>>;

impl Journal {
    /// Writes to a new file at `path`.
    pub fn create(path: &Path) -> std::io::Result<(Self, Writing)> {
        let file = BufWriter::new(File::create(path)?);
        let (sender, entries) = mpsc::channel(QUEUE);
        let writing = tokio::task::spawn_blocking(move || write(file, entries));
        Ok((Self(sender), writing))
    }

    /// Adds an entry. When the disk is full the end of the run says so, not each charger.
    pub(super) async fn add(&self, entry: Entry) {
        let _ = self.0.send(entry).await;
    }
}

fn write(mut file: BufWriter<File>, mut entries: mpsc::Receiver<Entry>) -> std::io::Result<u64> {
    let mut lines = 0;
    while let Some(entry) = entries.blocking_recv() {
        let mut next = Some(entry);
        while let Some(entry) = next {
            serde_json::to_writer(&mut file, &entry)?;
            file.write_all(b"\n")?;
            lines += 1;
            next = entries.try_recv().ok();
        }
        // Nothing waits: whoever reads along sees everything so far.
        file.flush()?;
    }
    Ok(lines)
}
