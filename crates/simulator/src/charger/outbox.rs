//! What must reach the server, however long it takes: the records of transactions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ocpp::v16::ChargerCall;

/// Records kept while the line is down. A real charger has some megabytes for them; beyond this,
/// readings in between are given up first, and then no new charge begins.
pub(super) const MAX_KEPT: usize = 500;

/// A charge as this charger knows it, before and after the server has given it a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionKey(pub(super) u32);

/// The number to send when the server never gave one (OCPP 1.6 §4.10 and its errata).
const NO_TRANSACTION: i64 = -1;

/// A queue whose head leaves it only when the server has answered.
///
/// The order is that in which things happened, so by the time a StopTransaction is at the head its
/// StartTransaction has been answered and the number is known. A record's content never changes:
/// a server that gets it twice can tell.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Entry>,
    numbers: Vec<(SessionKey, i64)>,
    sent: bool,
    resume_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) session: SessionKey,
    pub(super) call: ChargerCall,
    refusals: u64,
}

impl Outbox {
    /// Keeps a record until it is delivered.
    pub(super) fn push(&mut self, session: SessionKey, call: ChargerCall) {
        if self.is_full() {
            // Not the head: it may be on its way.
            let reading = |entry: &Entry| matches!(entry.call, ChargerCall::MeterValues(_));
            if let Some(place) = self.queue.iter().skip(1).position(reading) {
                self.queue.remove(place + 1);
            }
        }
        self.queue.push_back(Entry {
            session,
            call,
            refusals: 0,
        });
    }

    /// No new charge may begin.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= MAX_KEPT
    }

    /// The record to send now.
    pub(super) fn next(&mut self, now: Instant) -> Option<ChargerCall> {
        if self.sent || self.resume_at.is_some_and(|at| now < at) {
            return None;
        }
        let head = self.queue.front()?;
        let mut call = head.call.clone();
        let number = self.number(head.session);
        match &mut call {
            ChargerCall::MeterValues(values) => values.transaction_id = number,
            ChargerCall::StopTransaction(stop) => {
                stop.transaction_id = Some(number.unwrap_or(NO_TRANSACTION));
            }
            _ => {}
        }
        self.sent = true;
        self.resume_at = None;
        Some(call)
    }

    /// The server has answered the record that was sent; for a start, with its number.
    pub(super) fn delivered(&mut self, number: Option<i64>) -> Option<Entry> {
        self.sent = false;
        let head = self.queue.pop_front()?;
        if let Some(number) = number {
            self.numbers.push((head.session, number));
        }
        if matches!(head.call, ChargerCall::StopTransaction(_)) {
            self.numbers.retain(|(session, _)| *session != head.session);
        }
        Some(head)
    }

    /// Nobody answered: it will be sent again.
    pub(super) fn unanswered(&mut self, now: Instant, wait: Duration) {
        self.sent = false;
        self.resume_at = Some(now + wait);
    }

    /// The server refused the record. Chargers try a few times, waiting longer each time, and then
    /// drop it (OCPP 1.6 §3.7.1); if so, here it is.
    pub(super) fn refused(&mut self, now: Instant, wait: Duration, attempts: u64) -> Option<Entry> {
        self.sent = false;
        let head = self.queue.front_mut()?;
        head.refusals += 1;
        if head.refusals >= attempts {
            return self.queue.pop_front();
        }
        let times = u32::try_from(head.refusals).unwrap_or(u32::MAX);
        self.resume_at = Some(now + wait.saturating_mul(times));
        None
    }

    /// Whatever was on its way is to be sent again, as soon as there is a line.
    pub(super) fn line_lost(&mut self) {
        self.sent = false;
        self.resume_at = None;
    }

    /// When [`next`](Self::next) will have something again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.resume_at
            .filter(|_| !self.sent && !self.queue.is_empty())
    }

    /// The number the server gave a charge.
    pub(super) fn number(&self, session: SessionKey) -> Option<i64> {
        let found = self.numbers.iter().find(|(key, _)| *key == session)?;
        Some(found.1)
    }
}

#[cfg(test)]
mod tests {
    use ocpp::v16::{MeterValues, StartTransaction, StopTransaction};

    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    fn outbox() -> Outbox {
        let mut outbox = Outbox::default();
        outbox.push(SessionKey(1), StartTransaction::default().into());
        outbox.push(SessionKey(1), MeterValues::default().into());
        outbox.push(SessionKey(1), StopTransaction::default().into());
        outbox
    }

    #[test]
    fn the_number_is_filled_in_once_it_is_known() {
        let (mut outbox, now) = (outbox(), Instant::now());
        assert!(matches!(
            outbox.next(now),
            Some(ChargerCall::StartTransaction(_))
        ));
        assert_eq!(outbox.next(now), None, "one at a time");
        outbox.delivered(Some(7));
        let Some(ChargerCall::MeterValues(values)) = outbox.next(now) else {
            panic!()
        };
        assert_eq!(values.transaction_id, Some(7));
        outbox.delivered(None);
        let Some(ChargerCall::StopTransaction(stop)) = outbox.next(now) else {
            panic!()
        };
        assert_eq!(stop.transaction_id, Some(7));
        outbox.delivered(None);
        assert_eq!(outbox.number(SessionKey(1)), None);
        assert_eq!(outbox.next(now), None);
    }

    #[test]
    fn what_was_not_answered_is_sent_again_unchanged() {
        let (mut outbox, now) = (outbox(), Instant::now());
        let first = outbox.next(now);
        outbox.unanswered(now, WAIT);
        assert_eq!(outbox.next(now), None);
        assert_eq!(outbox.due(), Some(now + WAIT));
        assert_eq!(outbox.next(now + WAIT), first);
        outbox.line_lost();
        assert_eq!(outbox.next(now), first);
    }

    #[test]
    fn a_refused_record_is_dropped_in_the_end_and_the_rest_goes_on() {
        let (mut outbox, now) = (outbox(), Instant::now());
        outbox.next(now);
        assert!(outbox.refused(now, WAIT, 2).is_none());
        outbox.next(now + WAIT);
        assert!(outbox.refused(now, WAIT, 2).is_some());
        assert!(matches!(
            outbox.next(now),
            Some(ChargerCall::MeterValues(_))
        ));
        outbox.delivered(None);
        let Some(ChargerCall::StopTransaction(stop)) = outbox.next(now) else {
            panic!()
        };
        assert_eq!(stop.transaction_id, Some(NO_TRANSACTION));
    }

    #[test]
    fn only_readings_are_given_up() {
        let mut outbox = Outbox::default();
        outbox.push(SessionKey(1), StartTransaction::default().into());
        for _ in 0..2 * MAX_KEPT {
            outbox.push(SessionKey(1), MeterValues::default().into());
        }
        outbox.push(SessionKey(1), StopTransaction::default().into());
        assert_eq!(outbox.queue.len(), MAX_KEPT);
        assert!(matches!(
            outbox.queue[0].call,
            ChargerCall::StartTransaction(_)
        ));
        assert!(matches!(
            outbox.queue[MAX_KEPT - 1].call,
            ChargerCall::StopTransaction(_)
        ));
    }
}
