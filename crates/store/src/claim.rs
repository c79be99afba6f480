//! Whether a commit may still be written, settled between the one who waits for it and the writer.
//!
//! Whoever waits may give up at any moment. What he gave up must not be written later, when he has
//! long said that it was not. So the writer takes each commit just before it sends `COMMIT`, and
//! leaves out the ones it no longer gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Somebody waits, and it has not been sent to be committed.
const WAITING: u8 = 0;
/// `COMMIT` is on its way.
const TAKEN: u8 = 1;
/// Nobody waits any longer.
const GIVEN_UP: u8 = 2;

/// A commit's claim to be written.
#[derive(Debug, Default)]
pub(crate) struct Claim(AtomicU8);

/// One who waits for a commit. Going away, he gives it up.
pub(crate) struct Waiter(pub(crate) Arc<Claim>);

impl Claim {
    /// The writer is about to commit it. False when it was given up: then it must not.
    pub(crate) fn take(&self) -> bool {
        let taken = self.swap_if(WAITING, TAKEN);
        matches!(taken, Ok(_) | Err(TAKEN))
    }

    /// It is not at the database, or no more. False when it was given up.
    pub(crate) fn release(&self) -> bool {
        let released = self.swap_if(TAKEN, WAITING);
        matches!(released, Ok(_) | Err(WAITING))
    }

    /// Whether nobody waits for it any longer.
    pub(crate) fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Acquire) == GIVEN_UP
    }

    fn swap_if(&self, from: u8, to: u8) -> Result<u8, u8> {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }
}

impl Waiter {
    /// Waits no longer, and tells whether the commit was at the database just then.
    pub(crate) fn give_up(&self) -> bool {
        self.0.0.swap(GIVEN_UP, Ordering::AcqRel) == TAKEN
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.give_up();
    }
}
