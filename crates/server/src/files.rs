//! Open files: each connection is one, and a process may have only so many of them. One that has
//! none left reaches neither its database nor those who would like to know why. So connections have
//! [`Seats`], fewer than there are files, and chargers fewer than there are connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Files for everything but connections that come in: database, Redis, listeners, what is read from
/// the disk.
pub const OWN_FILES: u64 = 64;
/// Files for everything but chargers: those, and people, other systems, scrapes, and chargers that
/// are only about to be refused.
pub const NO_CHARGER_S: u64 = 256;

/// Raises this process's [`limit`], and that of those it starts, to the [`most`] it may have. Without
/// that a service often gets 1,024 of the half a million that it could have.
///
/// # Errors
///
/// When the kernel refuses; the limit is then as it was.
pub fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// How many files this process may have open; `None` is no limit.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// How many it may allow itself; `None` is no limit.
pub fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// How many connections so many files have room for.
pub fn room(files: Option<u64>) -> usize {
    all_but(OWN_FILES, files)
}

/// How many chargers so many files have room for.
pub fn room_for_chargers(files: Option<u64>) -> usize {
    all_but(NO_CHARGER_S, files)
}

/// Of very few files, half.
fn all_but(some: u64, files: Option<u64>) -> usize {
    let rest = files.map_or(u64::MAX, |files| files - some.min(files / 2));
    usize::try_from(rest).unwrap_or(usize::MAX)
}

/// So many at a time.
#[derive(Debug)]
pub struct Seats {
    free: Arc<Semaphore>,
    all: usize,
    whose: &'static str,
    full: AtomicBool,
}

/// Somebody's place. It is free again when this is dropped.
pub type Seat = OwnedSemaphorePermit;

impl Seats {
    /// So many places, for `whose`, as the log is to call them.
    pub fn new(all: usize, whose: &'static str) -> Self {
        let all = all.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(all)),
            all,
            whose,
            full: AtomicBool::new(false),
        }
    }

    /// A place, if one is free. That none is is told the log once, and again after some were.
    pub fn take(&self) -> Option<Seat> {
        let seat = self.free.clone().try_acquire_owned().ok();
        if seat.is_some() {
            if self.free.available_permits() > self.all / 50 {
                self.full.store(false, Ordering::Relaxed);
            }
        } else if !self.full.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                places = self.all,
                whose = self.whose,
                "no room for more: add a server, or raise the limit of open files"
            );
        }
        seat
    }

    /// How many places there are.
    pub const fn all(&self) -> usize {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_files_are_not_for_connections_and_more_not_for_chargers() {
        assert_eq!(room(Some(65_536)), 65_472);
        assert_eq!(room_for_chargers(Some(65_536)), 65_280);
        assert_eq!(room_for_chargers(Some(300)), 150);
        assert_eq!(room_for_chargers(None), usize::MAX);
    }

    #[test]
    fn a_place_is_free_again_when_its_holder_has_gone() {
        let seats = Seats::new(2, "chargers");
        let first = seats.take().unwrap();
        let _second = seats.take().unwrap();
        assert!(seats.take().is_none());
        drop(first);
        assert!(seats.take().is_some());
        assert_eq!(seats.all(), 2);
    }

    #[test]
    fn without_a_limit_there_is_always_room() {
        assert!(Seats::new(usize::MAX, "chargers").take().is_some());
    }
}
