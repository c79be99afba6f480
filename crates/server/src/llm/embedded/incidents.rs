//! Patterns that explain most troubles of a station.
//!
//! Each is a small function over what is known, and names what it saw: the events, sessions and
//! entries it rests on. What explains more comes first, and what is a mere symptom of something
//! found is left out.

use std::collections::BTreeMap;

use domain::command::Outcome;
use domain::session::StopReason;
use domain::{
    Availability, ConnectorStatus, EventKind, EvseNo, IdTagStatus, Session, SessionId,
    SessionState, StationStatus,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::llm::story::{Facts, MAX_CITES};

/// Lost connections within [`FLAP_WINDOW`] from which on the line is unsteady.
const FLAPS: usize = 4;
const FLAP_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// Boots within [`BOOT_WINDOW`] from which on the charger restarts by itself.
const BOOTS: usize = 3;
const BOOT_WINDOW: SignedDuration = SignedDuration::from_hours(2);
/// Times a code is reported from which on it is a pattern.
const REPEATS: usize = 3;
/// Days on which a station goes offline at about the same hour.
const DAYS: usize = 3;
/// What "about the same hour" is, on either side.
const SAME_HOUR: SignedDuration = SignedDuration::from_mins(45);
/// From here on it is an outage and no hiccup.
const OUTAGE: SignedDuration = SignedDuration::from_hours(2);
/// A session that ends sooner ended early...
const EARLY: SignedDuration = SignedDuration::from_mins(5);
/// ...and so many of them, if they are at least half of all, are a pattern.
const EARLY_ENDS: usize = 3;
/// Refusals that are a pattern.
const REFUSALS: usize = 3;
/// Commands without success that are a pattern.
const UNANSWERED: usize = 3;
/// Most incidents of a story.
const MOST: usize = 3;

/// What was seen, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Incident {
    pub(super) cause: Cause,
    pub(super) events: Vec<i64>,
    pub(super) sessions: Vec<SessionId>,
}

/// What is the matter. The most telling first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A firmware update failed.
    Firmware { status: String },
    /// One error code again and again.
    RepeatedFault {
        code: String,
        evse: Option<EvseNo>,
        times: usize,
    },
    /// The charger restarts by itself.
    Reboots { times: usize },
    /// Power fails: sessions end with its loss.
    PowerLoss { times: usize },
    /// Offline every day at about the same hour (UTC).
    DailyOffline { hour: i8, days: usize },
    /// The connection is lost again and again.
    Flapping { times: usize },
    /// Offline for long; `back` when it came back.
    Outage { hours: i64, back: bool },
    /// What the meter says cannot be.
    Meter { sessions: usize },
    /// Sessions end soon after their begin.
    EarlyEnds {
        reason: Option<StopReason>,
        evse: Option<EvseNo>,
        times: usize,
    },
    /// The charger does not do what it is told.
    Commands { times: usize },
    /// Tags are refused.
    Refused { status: IdTagStatus, times: usize },
    /// It is faulted, without a pattern.
    Faulted {
        code: Option<String>,
        evse: Option<EvseNo>,
    },
    /// Somebody took it out of use.
    TakenOut,
    /// Sessions without a stop.
    StopsMissing { sessions: usize },
}

/// What was found, the most telling first.
pub(super) fn find(facts: &Facts) -> Vec<Incident> {
    let rules = [
        firmware,
        reboots,
        power_loss,
        daily_offline,
        flapping,
        outage,
        meter,
        early_ends,
        commands,
        refused,
        faulted,
        taken_out,
        stops_missing,
    ];
    let mut found: Vec<Incident> = repeated_faults(facts);
    found.extend(rules.iter().filter_map(|rule| rule(facts)));
    found.sort_by(|a, b| a.cause.cmp(&b.cause));
    let causes: Vec<Cause> = found
        .iter()
        .map(|incident| incident.cause.clone())
        .collect();
    found.retain(|incident| !causes.iter().any(|other| explains(other, &incident.cause)));
    found.truncate(MOST);
    for incident in &mut found {
        shorten(&mut incident.events);
        shorten(&mut incident.sessions);
    }
    found
}

/// Whether one cause brings the other about, so that the other need not be told.
fn explains(cause: &Cause, symptom: &Cause) -> bool {
    match cause {
        Cause::Reboots { .. } | Cause::DailyOffline { .. } => {
            matches!(symptom, Cause::Flapping { .. } | Cause::Outage { .. })
        }
        Cause::PowerLoss { .. } => matches!(
            symptom,
            Cause::Outage { .. } | Cause::EarlyEnds { .. } | Cause::Flapping { .. }
        ),
        Cause::Flapping { .. } => matches!(symptom, Cause::Outage { back: true, .. }),
        Cause::RepeatedFault { code, .. } => match symptom {
            Cause::Faulted { code: other, .. } => other.as_ref().is_none_or(|other| other == code),
            Cause::EarlyEnds { .. } => true,
            _ => false,
        },
        Cause::Firmware { .. } => matches!(symptom, Cause::Outage { .. } | Cause::Faulted { .. }),
        _ => false,
    }
}

/// The ends of a long list say as much as the whole.
fn shorten<T>(list: &mut Vec<T>) {
    if list.len() > MAX_CITES {
        let half = MAX_CITES / 2;
        let end = list.split_off(list.len() - half);
        list.truncate(half);
        list.extend(end);
    }
}

fn incident(cause: Cause, events: Vec<i64>) -> Incident {
    Incident {
        cause,
        events,
        sessions: Vec::new(),
    }
}

/// The events that `pick` wants, with what it makes of them.
fn picked<'a, T>(
    facts: &'a Facts,
    pick: impl Fn(&'a EventKind) -> Option<T> + 'a,
) -> impl Iterator<Item = (i64, Timestamp, T)> + 'a {
    let events = facts.events.iter();
    events.filter_map(move |event| {
        let inner = &event.event;
        pick(&inner.kind).map(|it| (event.seq, inner.at, it))
    })
}

/// The most events that lie within a time of each other; none when they are fewer than `least`.
fn densest(
    events: &[(i64, Timestamp)],
    window: SignedDuration,
    least: usize,
) -> Option<&[(i64, Timestamp)]> {
    let mut best: &[(i64, Timestamp)] = &[];
    let mut begin = 0;
    for end in 0..events.len() {
        while events[end].1.duration_since(events[begin].1) > window {
            begin += 1;
        }
        if end + 1 - begin > best.len() {
            best = &events[begin..=end];
        }
    }
    (best.len() >= least).then_some(best)
}

fn firmware(facts: &Facts) -> Option<Incident> {
    let failed = picked(facts, |kind| match kind {
        EventKind::FirmwareStatus { status } => Some(status),
        _ => None,
    });
    // A later success takes it back.
    let (mut last, mut events) = (None, Vec::new());
    for (seq, _, status) in failed {
        if status.contains("Fail") || status.contains("Invalid") {
            last = Some(status.clone());
            events.push(seq);
        } else if status == "Installed" {
            last = None;
            events.clear();
        }
    }
    last.map(|status| incident(Cause::Firmware { status }, events))
}

/// The codes that chargers report when there is nothing to report.
const NO_ERROR: [&str; 2] = ["NoError", "Normal"];

/// Reports with an error: place in the log, code, EVSE, whether they say faulted.
fn errors(facts: &Facts) -> Vec<(i64, Option<&str>, Option<EvseNo>, bool)> {
    let events = facts.events.iter();
    events
        .filter_map(|event| match &event.event.kind {
            EventKind::ConnectorStatusChanged {
                reported,
                error_code,
                ..
            }
            | EventKind::StationReported {
                reported,
                error_code,
                ..
            } => {
                let code = error_code
                    .as_deref()
                    .filter(|code| !NO_ERROR.contains(code));
                let faulted = *reported == ConnectorStatus::Faulted;
                let told = faulted || code.is_some();
                told.then_some((event.seq, code, event.event.evse, faulted))
            }
            _ => None,
        })
        .collect()
}

fn repeated_faults(facts: &Facts) -> Vec<Incident> {
    let mut by_code: BTreeMap<(&str, Option<EvseNo>), Vec<i64>> = BTreeMap::new();
    for (seq, code, evse, _) in errors(facts) {
        if let Some(code) = code {
            by_code.entry((code, evse)).or_default().push(seq);
        }
    }
    let repeated = by_code
        .into_iter()
        .filter(|(_, events)| events.len() >= REPEATS);
    let mut found: Vec<Incident> = repeated
        .map(|((code, evse), events)| {
            let (code, times) = (code.to_owned(), events.len());
            incident(Cause::RepeatedFault { code, evse, times }, events)
        })
        .collect();
    found.sort_by_key(|incident| std::cmp::Reverse(incident.events.len()));
    found.truncate(1);
    found
}

fn faulted(facts: &Facts) -> Option<Incident> {
    let (seq, code, evse, _) = errors(facts).into_iter().rfind(|error| error.3)?;
    // It is one only while it lasts.
    let still = facts
        .events
        .iter()
        .rev()
        .find_map(|event| match &event.event.kind {
            EventKind::ConnectorStatusChanged { reported, .. }
            | EventKind::StationReported { reported, .. }
                if event.event.evse == evse =>
            {
                Some(*reported == ConnectorStatus::Faulted)
            }
            _ => None,
        });
    let code = code.map(ToOwned::to_owned);
    (still == Some(true)).then(|| incident(Cause::Faulted { code, evse }, vec![seq]))
}

fn reboots(facts: &Facts) -> Option<Incident> {
    let boots = boots_of_its_own(facts);
    let dense = densest(&boots, BOOT_WINDOW, BOOTS)?;
    let times = dense.len();
    let events = dense.iter().map(|(seq, _)| *seq).collect();
    Some(incident(Cause::Reboots { times }, events))
}

/// Boots that are the charger's own doing. Most chargers boot anew, or say so, whenever they
/// connect: after a connection that the server ended, or that the line lost, a boot says nothing.
fn boots_of_its_own(facts: &Facts) -> Vec<(i64, Timestamp)> {
    let mut boots = Vec::new();
    let (mut left, mut comes_anew) = (false, false);
    for event in &facts.events {
        match &event.event.kind {
            EventKind::StationDisconnected { reason, .. } => {
                left = LEAVING_REASONS.contains(&reason.as_str());
            }
            // Without an end before it, nobody saw what became of the connection before.
            EventKind::StationConnected { .. } => {
                comes_anew = !left;
                left = false;
            }
            EventKind::StationBooted { .. } => {
                let after_a_gap = std::mem::take(&mut comes_anew);
                if !after_a_gap {
                    boots.push((event.seq, event.event.at));
                }
            }
            _ => {}
        }
    }
    boots
}

/// Reasons of the charger's: it closed the connection, or went astray in it.
const LEAVING_REASONS: [&str; 2] = ["closed", "protocol_error"];
/// Reasons of ours: they say nothing of the line.
const OWN_REASONS: [&str; 5] = ["shutdown", "revoked", "node lost", "disowned", "replaced"];

/// Times without a connection: the loss, and the connection after it.
struct Gap {
    lost: (i64, Timestamp),
    back: Option<(i64, Timestamp)>,
}

fn gaps(facts: &Facts) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    for event in &facts.events {
        let here = (event.seq, event.event.at);
        match &event.event.kind {
            EventKind::StationDisconnected { reason, .. }
                if !OWN_REASONS.contains(&reason.as_str()) =>
            {
                gaps.push(Gap {
                    lost: here,
                    back: None,
                });
            }
            EventKind::StationConnected { .. } => {
                if let Some(gap) = gaps.last_mut().filter(|gap| gap.back.is_none()) {
                    gap.back = Some(here);
                }
            }
            _ => {}
        }
    }
    gaps
}

fn flapping(facts: &Facts) -> Option<Incident> {
    let lost: Vec<_> = gaps(facts).iter().map(|gap| gap.lost).collect();
    // A charger that comes anew over a line nobody has seen break leaves connections alone.
    let connected = connections(facts);
    let dense = densest(&lost, FLAP_WINDOW, FLAPS)
        .or_else(|| densest(&connected, FLAP_WINDOW, FLAPS + 1))?;
    let times = dense.len();
    let events = dense.iter().map(|(seq, _)| *seq).collect();
    Some(incident(Cause::Flapping { times }, events))
}

/// Connections, without those that follow an end of ours.
fn connections(facts: &Facts) -> Vec<(i64, Timestamp)> {
    let mut found = Vec::new();
    let mut ended_by_us = false;
    for event in &facts.events {
        match &event.event.kind {
            EventKind::StationDisconnected { reason, .. } => {
                ended_by_us = OWN_REASONS.contains(&reason.as_str());
            }
            EventKind::StationConnected { .. } => {
                let after_us = std::mem::take(&mut ended_by_us);
                if !after_us {
                    found.push((event.seq, event.event.at));
                }
            }
            _ => {}
        }
    }
    found
}

fn daily_offline(facts: &Facts) -> Option<Incident> {
    let lost: Vec<_> = gaps(facts).iter().map(|gap| gap.lost).collect();
    let of_day = |at: Timestamp| {
        let time = at.to_zoned(TimeZone::UTC);
        (
            time.date(),
            i64::from(time.hour()) * 60 + i64::from(time.minute()),
        )
    };
    let mut best: Option<(i64, Vec<i64>)> = None;
    for (_, at) in &lost {
        let (_, minute) = of_day(*at);
        let (mut events, mut days) = (Vec::new(), Vec::new());
        for (seq, at) in &lost {
            let (day, other) = of_day(*at);
            let apart = (other - minute).rem_euclid(24 * 60);
            let apart = apart.min(24 * 60 - apart);
            if apart <= SAME_HOUR.as_mins() && !days.contains(&day) {
                days.push(day);
                events.push(*seq);
            }
        }
        if days.len() > best.as_ref().map_or(0, |(_, events)| events.len()) {
            best = Some((minute, events));
        }
    }
    let (minute, events) = best.filter(|(_, events)| events.len() >= DAYS)?;
    // Where it is lost at all hours, the hour means nothing.
    if events.len() * 2 < lost.len() {
        return None;
    }
    let hour = i8::try_from(minute / 60).unwrap_or_default();
    let days = events.len();
    Some(incident(Cause::DailyOffline { hour, days }, events))
}

fn outage(facts: &Facts) -> Option<Incident> {
    let length = |gap: &Gap| {
        let end = gap.back.map_or(facts.to, |(_, at)| at);
        end.duration_since(gap.lost.1)
    };
    let gaps = gaps(facts);
    let longest = gaps.iter().max_by_key(|gap| length(gap))?;
    let hours = length(longest).as_hours();
    if length(longest) < OUTAGE {
        return None;
    }
    let back = longest.back.is_some() || facts.station.status != StationStatus::Offline;
    let ends = [Some(longest.lost), longest.back];
    let events = ends.into_iter().flatten().map(|(seq, _)| seq).collect();
    Some(incident(Cause::Outage { hours, back }, events))
}

/// Ended sessions for which `wanted` holds, with the events that tell of their end.
fn sessions_where(facts: &Facts, wanted: impl Fn(&Session) -> bool) -> (Vec<SessionId>, Vec<i64>) {
    let found: Vec<SessionId> = facts
        .sessions
        .iter()
        .filter(|session| wanted(session))
        .map(|session| session.id)
        .collect();
    let events = picked(facts, |kind| match kind {
        EventKind::SessionEnded { session_id, .. } => Some(*session_id),
        _ => None,
    });
    let events = events.filter(|(_, _, id)| found.contains(id));
    let events = events.map(|(seq, ..)| seq).collect();
    (found, events)
}

fn of_sessions(
    facts: &Facts,
    least: usize,
    wanted: impl Fn(&Session) -> bool,
    cause: impl FnOnce(usize) -> Cause,
) -> Option<Incident> {
    let (sessions, events) = sessions_where(facts, wanted);
    (sessions.len() >= least).then(|| Incident {
        cause: cause(sessions.len()),
        events,
        sessions,
    })
}

fn power_loss(facts: &Facts) -> Option<Incident> {
    let lost = |session: &Session| session.stop_reason == Some(StopReason::PowerLoss);
    of_sessions(facts, 2, lost, |times| Cause::PowerLoss { times })
}

fn meter(facts: &Facts) -> Option<Incident> {
    let doubtful = |session: &Session| {
        session
            .billing_problems()
            .iter()
            .any(|problem| problem.doubts_energy())
    };
    of_sessions(facts, 1, doubtful, |sessions| Cause::Meter { sessions })
}

fn stops_missing(facts: &Facts) -> Option<Incident> {
    let missing = |session: &Session| session.state == SessionState::Interrupted;
    of_sessions(facts, 2, missing, |sessions| Cause::StopsMissing {
        sessions,
    })
}

fn early_ends(facts: &Facts) -> Option<Incident> {
    // Ended by a person or a command, it may have been meant.
    let meant = |session: &Session| {
        matches!(
            session.stop_reason,
            Some(StopReason::Local | StopReason::Remote)
        )
    };
    let early = |session: &Session| {
        let lasted = session
            .ended_at
            .map(|end| end.duration_since(session.started_at));
        lasted.is_some_and(|lasted| lasted < EARLY) && !meant(session)
    };
    let ended = facts
        .sessions
        .iter()
        .filter(|session| session.ended_at.is_some())
        .count();
    let those: Vec<&Session> = facts
        .sessions
        .iter()
        .filter(|session| early(session))
        .collect();
    if those.len() * 2 < ended {
        return None;
    }
    // What most of them have in common, if they do.
    let common = |reason: Option<StopReason>| {
        let same = those
            .iter()
            .filter(|session| session.stop_reason == reason)
            .count();
        same * 2 > those.len()
    };
    let reason = those
        .iter()
        .map(|session| session.stop_reason)
        .find(|reason| common(*reason));
    let evse = those.first().and_then(|session| session.evse);
    let evse = evse.filter(|evse| those.iter().all(|session| session.evse == Some(*evse)));
    of_sessions(facts, EARLY_ENDS, early, |times| Cause::EarlyEnds {
        reason: reason.flatten(),
        evse,
        times,
    })
}

fn commands(facts: &Facts) -> Option<Incident> {
    let events: Vec<i64> = picked(facts, |kind| match kind {
        EventKind::CommandEnded { outcome, .. } => matches!(
            outcome,
            Outcome::TimedOut | Outcome::Failed | Outcome::Rejected
        )
        .then_some(()),
        _ => None,
    })
    .map(|(seq, ..)| seq)
    .collect();
    let times = events.len();
    (times >= UNANSWERED).then(|| incident(Cause::Commands { times }, events))
}

fn refused(facts: &Facts) -> Option<Incident> {
    let all: Vec<(i64, IdTagStatus)> = picked(facts, |kind| match kind {
        EventKind::SessionRefused { id_tag_status, .. } => Some(*id_tag_status),
        _ => None,
    })
    .map(|(seq, _, status)| (seq, status))
    .collect();
    if all.len() < REFUSALS {
        return None;
    }
    let count = |status: &IdTagStatus| all.iter().filter(|(_, other)| other == status).count();
    let status = *IdTagStatus::ALL.iter().max_by_key(|status| count(status))?;
    let times = all.len();
    let events = all.iter().map(|(seq, _)| *seq).collect();
    Some(incident(Cause::Refused { status, times }, events))
}

fn taken_out(facts: &Facts) -> Option<Incident> {
    let mut last: BTreeMap<_, (i64, Availability)> = BTreeMap::new();
    for event in &facts.events {
        if let EventKind::AvailabilityChanged { availability } = &event.event.kind {
            let place = (event.event.evse, event.event.connector);
            last.insert(place, (event.seq, *availability));
        }
    }
    let out = last
        .into_values()
        .filter(|(_, availability)| *availability == Availability::Inoperative);
    let events: Vec<i64> = out.map(|(seq, _)| seq).collect();
    (!events.is_empty()).then(|| incident(Cause::TakenOut, events))
}
