//! What will befall a charger, and when.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;

use crate::{Character, Pace, Recurring};

/// Something that is not the charger's own doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Fault,
    Outage,
    Closure,
    Booking,
}

/// The next time of everything that recurs.
#[derive(Debug)]
pub(super) struct Agenda(Vec<(Event, Recurring, Instant)>);

impl Agenda {
    pub(super) fn new(character: &Character, pace: Pace, rng: &mut SmallRng, now: Instant) -> Self {
        let planned = [
            (Event::Fault, character.faults),
            (Event::Outage, character.outages),
            (Event::Closure, character.closures),
            (Event::Booking, character.bookings),
        ];
        let first = planned.into_iter().filter_map(|(event, recurring)| {
            let recurring = recurring?;
            Some((event, recurring, now + pace.draw(recurring.first, rng)))
        });
        Self(first.collect())
    }

    /// An event whose time has come, and how long it lasts.
    pub(super) fn take(
        &mut self,
        pace: Pace,
        rng: &mut SmallRng,
        now: Instant,
    ) -> Option<(Event, Duration)> {
        let (event, recurring, at) = self.0.iter_mut().find(|(_, _, at)| *at <= now)?;
        // From now on rather than from the plan: after a long sleep things do not pile up.
        *at = now
            + pace
                .draw(recurring.every, rng)
                .max(Duration::from_millis(1));
        Some((*event, pace.draw(recurring.lasts, rng)))
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|(_, _, at)| *at).min()
    }
}
