//! Who waits for a command's end.
//!
//! An end is told by whoever hears of it first: the use-case that wrote it down, the node that
//! carried the command, or the event, which comes in its turn and cannot get lost.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use domain::CommandId;
use tokio::sync::watch;

type Awaited = Arc<Mutex<HashMap<CommandId, watch::Sender<bool>>>>;

/// Commands whose end is waited for in this process. There are no more of them than requests and
/// commands of other nodes under way.
#[derive(Debug, Default)]
pub struct Endings(Awaited);

impl Endings {
    /// Begins to wait for a command's end. One that is told of from here on is not missed.
    pub(super) fn of(&self, id: CommandId) -> Ended {
        let mut awaited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = awaited.entry(id).or_default().subscribe();
        Ended {
            id,
            told: Some(told),
            awaited: Arc::clone(&self.0),
        }
    }

    /// Tells whoever waits that a command has ended, and that the database has its end.
    pub(crate) fn told(&self, id: CommandId) {
        let mut awaited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = awaited.remove(&id) {
            sender.send_replace(true);
        }
    }
}

/// The end of one command, waited for.
#[derive(Debug)]
pub struct Ended {
    id: CommandId,
    /// There until it is dropped.
    told: Option<watch::Receiver<bool>>,
    awaited: Awaited,
}

impl Ended {
    /// Waits until it is told of.
    pub(super) async fn wait(&mut self) {
        if let Some(told) = &mut self.told {
            // A sender that is gone has told: it stays for as long as somebody waits.
            let _ = told.wait_for(|ended| *ended).await;
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that of two who leave at a time one is the last.
        self.told = None;
        if let Entry::Occupied(entry) = awaited.entry(self.id)
            && entry.get().receiver_count() == 0
        {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use uuid::Uuid;

    use super::*;

    const SOON: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn all_who_wait_hear_of_it_and_nobody_else() {
        let endings = Endings::default();
        let (one, other) = (CommandId(Uuid::from_u128(1)), CommandId(Uuid::from_u128(2)));
        let mut waiting = [endings.of(one), endings.of(one)];
        let mut elsewhere = endings.of(other);
        endings.told(one);
        for end in &mut waiting {
            timeout(SOON, end.wait()).await.expect("it is told of");
        }
        assert!(timeout(SOON, elsewhere.wait()).await.is_err());
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_kept() {
        let endings = Endings::default();
        let id = CommandId(Uuid::from_u128(1));
        let (first, mut second) = (endings.of(id), endings.of(id));
        drop(first);
        endings.told(id);
        timeout(SOON, second.wait()).await.expect("the other stays");
        drop(endings.of(id));
        endings.told(id);
        assert!(endings.0.lock().unwrap().is_empty());
    }
}
