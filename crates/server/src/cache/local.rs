//! This process's copies.

use std::sync::Arc;

use domain::{Station, StationId};
use papaya::{HashMap, Operation};

/// Stations kept in this process. A charger network of this size wants several nodes.
const MAX_STATIONS: usize = 100_000;

/// Copies of stations. Looked up and replaced at every message of a charger, so there are neither
/// locks nor a record of who was used when.
#[derive(Debug, Default)]
pub(super) struct Local {
    entries: HashMap<StationId, Entry>,
}

/// What is known of a station.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// What it is.
    Present(Arc<Station>),
    /// About to change, or changed a moment ago: good to decide from, and for nothing else.
    Changing(Arc<Station>),
    /// Deleted when it had this version.
    Gone(i64),
}

impl Entry {
    fn version(&self) -> i64 {
        match self {
            Self::Present(station) | Self::Changing(station) => station.version,
            Self::Gone(version) => *version,
        }
    }

    pub(super) fn station(self) -> Option<Arc<Station>> {
        match self {
            Self::Present(station) | Self::Changing(station) => Some(station),
            Self::Gone(_) => None,
        }
    }
}

impl Local {
    pub(super) fn get(&self, id: &StationId) -> Option<Entry> {
        self.entries.pin().get(id).cloned()
    }

    /// Puts an entry in place if it may stand in for one of the version that is there.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "kept, unless something newer is there"
    )]
    pub(super) fn keep(&self, id: &StationId, entry: Entry, may_replace: impl Fn(i64) -> bool) {
        self.make_room();
        self.entries
            .pin()
            .compute(id.clone(), |present| match present {
                Some((_, present)) if !may_replace(present.version()) => Operation::Abort(()),
                _ => Operation::Insert(entry.clone()),
            });
    }

    pub(super) fn forget(&self, id: &StationId) {
        self.entries.pin().remove(id);
    }

    /// Forgets a copy, but none that is just changing.
    pub(super) fn forget_present(&self, id: &StationId) {
        self.entries
            .pin()
            .remove_if(id, |_, entry| !matches!(entry, Entry::Changing(_)))
            .ok();
    }

    /// Forgets everything but what is just changing when there is too much: so rare that to know
    /// what is least wanted would cost more than to read it again.
    fn make_room(&self) {
        if self.entries.len() >= MAX_STATIONS {
            self.entries
                .pin()
                .retain(|_, entry| matches!(entry, Entry::Changing(_)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_are_forgotten_and_an_older_copy_replaces_no_newer_one() {
        let local = Local::default();
        let id = |number: usize| StationId::new(&format!("CP-{number}")).unwrap();
        local.keep(&id(0), Entry::Gone(2), |_| true);
        local.keep(&id(0), Entry::Gone(1), |present| 1 >= present);
        assert_eq!(local.get(&id(0)).map(|entry| entry.version()), Some(2));
        for number in 1..=MAX_STATIONS {
            local.keep(&id(number), Entry::Gone(1), |_| true);
        }
        assert!(local.entries.len() < MAX_STATIONS);
        local.forget(&id(MAX_STATIONS));
        assert!(local.get(&id(MAX_STATIONS)).is_none());
    }
}
