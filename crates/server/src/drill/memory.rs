//! Memory filled up to a share of the container's limit, and no further.
//!
//! It is taken from the system in pieces and touched page by page, so that it is really there, and
//! given back piece by piece. Before each piece, and ten times a second while all of it is held,
//! the container's working set is read: when the service itself needs more, the drill gives back
//! as much. A reserve below the limit, and one of the machine's own memory, is never touched.
//!
//! Without a limit the share is one of [`UNLIMITED`], held by the drill itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use memmap2::MmapMut;
use procfs::{Current as _, Meminfo};

use super::{Over, thread};
use crate::cgroup::Cgroup;

const MIB: u64 = 1024 * 1024;
/// What the share is of where the container has no limit.
const UNLIMITED: u64 = 512 * MIB;
/// What is left below a limit in any case, for the service to go on.
const RESERVE: u64 = 16 * MIB;
/// What is left of the machine's available memory in any case.
const MACHINE_RESERVE: u64 = 256 * MIB;
/// What is taken, touched and given back at a time.
const PIECE: u64 = 4 * MIB;
/// Above its target by more than this, the drill gives back.
const SLACK: u64 = 2 * PIECE;
/// Between two pieces: filling is no burst of work.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two looks while all of it is held.
const LOOK: Duration = Duration::from_millis(100);

/// A thread that holds memory.
#[derive(Debug)]
pub(super) struct Hoard {
    target: Target,
    held: Arc<AtomicU64>,
}

/// What to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The container's working set.
    WorkingSet(u64),
    /// What is held.
    Held(u64),
}

impl Target {
    fn new(share: f64, limit: Option<u64>) -> Self {
        match limit {
            Some(limit) => {
                let most = limit.saturating_sub(RESERVE);
                Self::WorkingSet(part(limit, share).min(most))
            }
            None => Self::Held(part(UNLIMITED, share)),
        }
    }

    /// What is missing: below 0 when there is too much. What cannot be known is taken for full.
    fn missing(self, held: u64, working_set: Option<u64>) -> i64 {
        let difference = |target: u64, now: u64| {
            i64::try_from(target)
                .unwrap_or(i64::MAX)
                .saturating_sub_unsigned(now)
        };
        match self {
            Self::Held(target) => difference(target, held),
            Self::WorkingSet(target) => working_set.map_or(0, |now| difference(target, now)),
        }
    }
}

impl Hoard {
    pub(super) fn start(
        share: f64,
        over: &Arc<Over>,
        threads: &mut Vec<JoinHandle<()>>,
    ) -> io::Result<Self> {
        let cgroup = Cgroup::own();
        let target = Target::new(share, cgroup.read().memory_limit_bytes);
        let held = Arc::new(AtomicU64::new(0));
        let (over, count) = (Arc::clone(over), Arc::clone(&held));
        threads.push(thread("drill-memory", move || {
            hold(target, &cgroup, &over, &count);
            // All of it was given back by now.
            count.store(0, Ordering::Relaxed);
        })?);
        Ok(Self { target, held })
    }

    /// Bytes aimed at, and held.
    pub(super) fn measured(&self) -> (u64, u64) {
        let (Target::WorkingSet(target) | Target::Held(target)) = self.target;
        (target, self.held.load(Ordering::Relaxed))
    }
}

fn hold(target: Target, cgroup: &Cgroup, over: &Over, count: &AtomicU64) {
    let mut pieces: Vec<MmapMut> = Vec::new();
    let held = |pieces: &[MmapMut]| PIECE * pieces.len() as u64;
    while !over.is() {
        let working_set = cgroup.read().memory_working_set_bytes;
        let missing = target.missing(held(&pieces), working_set);
        let too_much = i64::try_from(SLACK).is_ok_and(|slack| missing < -slack);
        if missing > 0 && machine_has_room() {
            match piece() {
                Ok(piece) => pieces.push(piece),
                Err(error) => {
                    tracing::warn!(%error, "the system gives a drill no more memory");
                    over.sleep(LOOK);
                }
            }
            over.sleep(PAUSE);
        } else if too_much && pieces.pop().is_some() {
            // And look again at once.
        } else {
            over.sleep(LOOK);
        }
        count.store(held(&pieces), Ordering::Relaxed);
    }
}

/// A piece of memory, really there.
fn piece() -> io::Result<MmapMut> {
    let length = usize::try_from(PIECE).unwrap_or(usize::MAX);
    let page = rustix::param::page_size();
    let mut piece = MmapMut::map_anon(length)?;
    for (number, byte) in piece.iter_mut().step_by(page).enumerate() {
        // Pages that differ, which nobody merges.
        *byte = u8::try_from(number % 255).unwrap_or(0) + 1;
    }
    Ok(piece)
}

fn machine_has_room() -> bool {
    // A system that does not tell is not filled.
    let available = Meminfo::current().ok().and_then(|info| info.mem_available);
    available.is_some_and(|bytes| bytes > MACHINE_RESERVE + PIECE)
}

/// A share of so many bytes, to a millionth.
fn part(whole: u64, share: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and a million"
    )]
    let millionths = (share.clamp(0.0, 1.0) * 1e6).round() as u64;
    let part = u128::from(whole) * u128::from(millionths) / 1_000_000;
    u64::try_from(part).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_a_share_of_the_limit_and_leaves_the_reserve() {
        let of = |share, limit: u64| Target::new(share, Some(limit * MIB));
        assert_eq!(of(0.5, 512), Target::WorkingSet(256 * MIB));
        assert_eq!(of(0.95, 100), Target::WorkingSet(84 * MIB));
        assert_eq!(of(0.95, 10), Target::WorkingSet(0));
        assert_eq!(Target::new(0.25, None), Target::Held(128 * MIB));
    }

    #[test]
    fn what_others_need_is_given_back() {
        let target = Target::WorkingSet(100);
        assert_eq!(target.missing(7, Some(30)), 70);
        assert_eq!(target.missing(7, Some(130)), -30);
        assert_eq!(target.missing(7, None), 0);
        assert_eq!(Target::Held(10).missing(7, Some(1_000)), 3);
    }

    #[test]
    fn a_piece_is_really_there() {
        let resident = || {
            let stat = procfs::process::Process::myself().and_then(|it| it.statm());
            stat.expect("statm").resident * procfs::page_size()
        };
        let before = resident();
        let pieces: Vec<_> = (0..8).map(|_| piece().expect("memory")).collect();
        let grown = resident().saturating_sub(before);
        assert!(grown > 7 * PIECE, "{grown}");
        drop(pieces);
        let left = resident().saturating_sub(before);
        assert!(left < 4 * PIECE, "{left}");
    }
}
