//! Which station is on which socket of this node.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{CommandRecord, Hold, Outcome, StationId};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::metrics::DisconnectReason;

/// Commands that may wait at one connection, besides those its protocol peer holds. A charger does
/// one at a time; a queue longer than this is somebody's loop.
const MAX_ORDERS: usize = 16;

/// Connections closed at a time when all are to close, and the longest pause between two lots: a
/// thousand a second, which other nodes can take.
const CLOSED_AT_A_TIME: usize = 50;
const CLOSING_PAUSE: Duration = Duration::from_millis(50);

/// The chargers connected to this node.
#[derive(Debug, Default)]
pub struct Fleet {
    links: papaya::HashMap<StationId, Arc<Link>>,
    /// The latest handshake of each station that has a connection, or is about to.
    latest: papaya::HashMap<StationId, Handshake>,
    /// How many handshakes there were.
    handshakes: AtomicU64,
    /// Every connection's task, until the last of it is committed.
    pub tasks: TaskTracker,
    closing: AtomicBool,
}

/// A handshake's place among those of this node. Of two connections of a station the one that shook
/// hands later is the one that counts, whichever is taken into the database first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handshake(u64);

/// The way to a connection's task.
#[derive(Debug)]
pub struct Link {
    epoch: i64,
    state: Mutex<State>,
    wake: Notify,
    /// Microseconds since 1970.
    last_seen: AtomicI64,
}

#[derive(Debug, Default)]
struct State {
    orders: VecDeque<Order>,
    closing: Option<DisconnectReason>,
    ended: bool,
}

/// Something for a connection to do.
#[derive(Debug)]
pub enum Order {
    /// Carry a command to the charger, and end it.
    Command(Box<CommandRecord>),
}

/// Why a connection does not take an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many wait already.
    #[error("too many commands are waiting for this charger")]
    Full,
    /// The connection ended a moment ago.
    #[error("the connection ended before the command was sent")]
    Ended,
}

impl Refused {
    /// What the refusal means for a command.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Full => Outcome::Failed,
            Self::Ended => Outcome::Lost,
        }
    }
}

impl Fleet {
    /// A charger begins a handshake.
    pub fn handshake(&self) -> Handshake {
        Handshake(self.handshakes.fetch_add(1, Ordering::Relaxed))
    }

    /// A handshake has succeeded: those of the same charger that began before are outdated.
    pub fn admit(&self, id: &StationId, handshake: Handshake) {
        let latest = self.latest.pin();
        latest.compute(id.clone(), |present| match present {
            Some((_, present)) if *present > handshake => papaya::Operation::Abort(()),
            _ => papaya::Operation::Insert(handshake),
        });
    }

    /// Whether the charger has shaken hands no more since.
    pub fn is_latest(&self, id: &StationId, handshake: Handshake) -> bool {
        self.latest.pin().get(id) == Some(&handshake)
    }

    /// The connection of a handshake has ended.
    pub fn dismiss(&self, id: &StationId, handshake: Handshake) {
        let latest = self.latest.pin();
        latest.compute(id.clone(), |present| match present {
            Some((_, present)) if *present == handshake => papaya::Operation::Remove,
            _ => papaya::Operation::Abort(()),
        });
    }

    /// Takes a connection in, in place of an older one of the same station, which is closed. A
    /// connection that is itself older than the one that is there is closed instead.
    pub fn join(&self, id: &StationId, epoch: i64, now: Timestamp) -> Arc<Link> {
        let link = Arc::new(Link {
            epoch,
            state: Mutex::default(),
            wake: Notify::new(),
            last_seen: AtomicI64::new(now.as_microsecond()),
        });
        let links = self.links.pin();
        let outcome = links.compute(id.clone(), |present| match present {
            Some((_, present)) if present.epoch > epoch => papaya::Operation::Abort(()),
            _ => papaya::Operation::Insert(link.clone()),
        });
        match outcome {
            papaya::Compute::Updated { old: (_, old), .. } => {
                old.close(DisconnectReason::Replaced);
            }
            papaya::Compute::Aborted(()) => link.close(DisconnectReason::Replaced),
            _ => {}
        }
        if self.closing.load(Ordering::SeqCst) {
            link.close(DisconnectReason::Shutdown);
        }
        link
    }

    /// Takes a connection out, unless a newer one has its place.
    pub fn leave(&self, id: &StationId, epoch: i64) {
        let links = self.links.pin();
        links.compute(id.clone(), |present| match present {
            Some((_, present)) if present.epoch == epoch => papaya::Operation::Remove,
            _ => papaya::Operation::Abort(()),
        });
    }

    /// The station's connection to this node.
    pub fn link(&self, id: &StationId) -> Option<Arc<Link>> {
        self.links.pin().get(id).cloned()
    }

    /// When the station's charger was last heard on this node.
    pub fn last_seen(&self, id: &StationId) -> Option<Timestamp> {
        self.links.pin().get(id)?.last_seen()
    }

    /// Closes a station's connection if it is older than this epoch.
    pub fn outdated(&self, id: &StationId, epoch: i64, reason: DisconnectReason) {
        if let Some(link) = self.link(id).filter(|link| link.epoch < epoch) {
            link.close(reason);
        }
    }

    /// The claims of all connections.
    pub fn holds(&self) -> Vec<Hold> {
        let links = self.links.pin();
        let hold = |(id, link): (&StationId, &Arc<Link>)| Hold {
            station_id: id.clone(),
            epoch: link.epoch,
        };
        links.iter().map(hold).collect()
    }

    /// Whether a claim is that of a connection that is here now.
    pub fn speaks_for(&self, hold: &Hold) -> bool {
        self.link(&hold.station_id)
            .is_some_and(|link| link.epoch == hold.epoch)
    }

    /// Closes a station's connection: it may no longer be here.
    pub fn revoke(&self, id: &StationId) {
        if let Some(link) = self.link(id) {
            link.close(DisconnectReason::Revoked);
        }
    }

    /// Closes every connection, spread over this time, so that those who come back elsewhere do not
    /// all come at once. Few are closed without delay, and so are those that are still to come.
    pub async fn close_all(&self, reason: DisconnectReason, time: Duration) {
        self.closing.store(true, Ordering::SeqCst);
        let links: Vec<_> = self.links.pin().values().cloned().collect();
        let steps = links.len().div_ceil(CLOSED_AT_A_TIME);
        let pause = time / u32::try_from(steps.max(1)).unwrap_or(u32::MAX);
        for (step, some) in links.chunks(CLOSED_AT_A_TIME).enumerate() {
            if step > 0 {
                sleep(pause.min(CLOSING_PAUSE)).await;
            }
            for link in some {
                link.close(reason);
            }
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.links.len()
    }
}

impl Link {
    /// Hands the connection something to do.
    pub fn order(&self, order: Order) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.ended || state.closing.is_some() {
            return Err(Refused::Ended);
        }
        if state.orders.len() == MAX_ORDERS {
            return Err(Refused::Full);
        }
        state.orders.push_back(order);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Has the connection close. The first reason stands.
    pub fn close(&self, reason: DisconnectReason) {
        self.lock().closing.get_or_insert(reason);
        self.wake.notify_one();
    }

    /// When the charger was last heard.
    pub(super) fn last_seen(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.last_seen.load(Ordering::Relaxed)).ok()
    }

    /// Notes that the charger was heard.
    pub(super) fn heard(&self, now: Timestamp) {
        self.last_seen
            .store(now.as_microsecond(), Ordering::Relaxed);
    }

    /// Waits until there is something to do, or the connection is to close.
    pub(super) async fn next(&self) -> Result<Order, DisconnectReason> {
        loop {
            {
                let mut state = self.lock();
                if let Some(reason) = state.closing {
                    return Err(reason);
                }
                if let Some(order) = state.orders.pop_front() {
                    return Ok(order);
                }
            }
            self.wake.notified().await;
        }
    }

    /// The connection has ended: takes no more orders, and gives back those it never began.
    pub(super) fn end(&self) -> VecDeque<Order> {
        let mut state = self.lock();
        state.ended = true;
        std::mem::take(&mut state.orders)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_handshake_counts_whichever_is_done_first() {
        let fleet = Fleet::default();
        let (first, second) = (fleet.handshake(), fleet.handshake());
        fleet.admit(&station(), second);
        // Its password took longer to check.
        fleet.admit(&station(), first);
        assert!(fleet.is_latest(&station(), second));
        assert!(!fleet.is_latest(&station(), first));
        fleet.dismiss(&station(), first);
        assert!(fleet.is_latest(&station(), second));
        // Gone as it is, it does not bring the older one back.
        fleet.dismiss(&station(), second);
        assert!(!fleet.is_latest(&station(), first));
        assert!(fleet.latest.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_comes_during_a_stop_is_closed() {
        let fleet = Fleet::default();
        fleet
            .close_all(DisconnectReason::Shutdown, Duration::ZERO)
            .await;
        let link = fleet.join(&station(), 1, Timestamp::UNIX_EPOCH);
        assert!(matches!(link.next().await, Err(DisconnectReason::Shutdown)));
    }

    fn station() -> StationId {
        StationId::new("CP-1").unwrap()
    }

    #[tokio::test]
    async fn an_old_connection_never_takes_out_a_new_one() {
        let fleet = Fleet::default();
        let old = fleet.join(&station(), 1, Timestamp::UNIX_EPOCH);
        let _new = fleet.join(&station(), 2, Timestamp::UNIX_EPOCH);
        assert!(matches!(old.next().await, Err(DisconnectReason::Replaced)));
        fleet.leave(&station(), 1);
        assert_eq!(fleet.link(&station()).unwrap().epoch, 2);
        fleet.leave(&station(), 2);
        assert_eq!(fleet.connections(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_comes_late_is_closed_itself() {
        let fleet = Fleet::default();
        let _new = fleet.join(&station(), 2, Timestamp::UNIX_EPOCH);
        let late = fleet.join(&station(), 1, Timestamp::UNIX_EPOCH);
        assert!(matches!(late.next().await, Err(DisconnectReason::Replaced)));
        assert_eq!(fleet.link(&station()).unwrap().epoch, 2);
    }
}
