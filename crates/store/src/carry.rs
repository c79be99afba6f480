//! SQLite's log, carried over into the file beside the writer.
//!
//! A commit goes to the end of a log, which is what makes it quick. When the log is long, the pages
//! in it have to be carried over into the file, so that it can begin anew. SQLite does so within
//! whichever commit finds it long: that one, and all that wait behind it, then wait for thousands of
//! scattered pages to reach the disk.
//!
//! Here another connection does it while the writer goes on: in rounds, each of what came in during
//! the last, until next to nothing is left. Only the writer can carry over the rest, between two
//! transactions, because while anybody writes there is always one page more. Its next transaction
//! then begins the log anew.

use std::time::Duration;

use crate::pool::Pool;
use crate::writer::WeakWriter;
use crate::{Patience, StoreError};

/// Pages in the log before they are carried over: 32 MiB. The stations' pages change with every
/// batch, and are carried over once for many.
const LOG_PAGES: i64 = 8192;
/// Pages that are left to the writer: a few milliseconds.
const REST: i64 = 256;
/// Rounds before the writer is asked all the same: a disk that does not keep up must slow the load.
const ROUNDS: usize = 8;
/// Between looks at the log. In so long it grows by half of its length, at most.
const LOOK: Duration = Duration::from_millis(200);
/// The pause when the database does not let itself be looked at.
const PAUSE: Duration = Duration::from_secs(5);

/// How long the log is, and how much of it is carried over; nothing is done.
const SIZE: &str = "PRAGMA wal_checkpoint(NOOP)";
/// Carries over what no reader still needs in the log, and waits for nobody.
const CARRY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Carries over until the writer or the pool is closed.
pub(crate) async fn carry(pool: Pool, writer: WeakWriter) {
    while writer.is_there() {
        tokio::time::sleep(LOOK).await;
        match look(&pool, &writer).await {
            Ok(()) => {}
            Err(_) if !writer.is_there() => return,
            // Until it succeeds, the writer does it by itself once the log is far too long.
            Err(error) => {
                tracing::warn!(%error, "the log could not be carried over");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn look(pool: &Pool, writer: &WeakWriter) -> Result<(), StoreError> {
    let mut log = size(pool).await?;
    if log.length < LOG_PAGES || log.left() == 0 {
        return Ok(());
    }
    for _ in 0..ROUNDS {
        if log.left() <= REST {
            break;
        }
        pool.fetch(CARRY, &[], Patience::default()).await?;
        log = size(pool).await?;
    }
    writer.run(CARRY).await
}

/// How the log stands, in pages.
struct Log {
    length: i64,
    carried: i64,
}

impl Log {
    fn left(&self) -> i64 {
        self.length - self.carried
    }
}

async fn size(pool: &Pool) -> Result<Log, StoreError> {
    let rows = pool.fetch(SIZE, &[], Patience::default()).await?;
    let row = rows.first().ok_or(StoreError::Unavailable)?;
    // The first column would tell that it waited in vain for somebody, which it never does.
    Ok(Log {
        length: row.int(1)?,
        carried: row.int(2)?,
    })
}

#[cfg(test)]
mod tests {
    use domain::{EventKind, NewEvent};
    use jiff::Timestamp;

    use super::*;
    use crate::{Commit, Location, Store};

    #[tokio::test]
    async fn a_long_log_is_carried_over_and_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(directory.path().join("enchufe.db"));
        let store = Store::open(&location).await.unwrap();
        // Some hundred pages each.
        let event = NewEvent {
            at: Timestamp::UNIX_EPOCH,
            station_id: None,
            evse: None,
            connector: None,
            kind: EventKind::StationCreated {
                name: "x".repeat(1 << 20),
            },
        };
        let mut longest = 0;
        loop {
            let commit = Commit::of_events(vec![event.clone()]);
            store.commit(commit).await.unwrap();
            let length = size(&store.shared.pool).await.unwrap().length;
            if length < longest {
                break;
            }
            longest = length;
            assert!(longest < 6 * LOG_PAGES, "nobody carries over");
        }
        assert!(longest >= LOG_PAGES);
        store.close().await;
    }
}
