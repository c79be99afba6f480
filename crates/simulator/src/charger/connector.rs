//! A connector: what it is doing, what its meter shows, and when something will change.

use std::time::{Duration, Instant};

use ocpp::v16::{ChargePointErrorCode, ChargePointStatus};

use super::outbox::SessionKey;

/// Milliwatt-hours would round; a watt for a millisecond does not.
const MILLIJOULES_IN_A_WATT_HOUR: u64 = 3_600_000;

/// The shape of a charge: power begins with these thousandths of its peak …
const AT_THE_BEGINNING: u64 = 300;
/// … is at its peak after these thousandths of the charge's length …
const RAMPED_UP: u64 = 60;
/// … falls from here …
const TAPERS_FROM: u64 = 700;
/// … and ends at this many thousandths of its peak.
const LEFT_AT_THE_END: u64 = 250;

/// One connector.
#[derive(Debug)]
pub(super) struct Connector {
    /// From 1, as OCPP 1.6 counts.
    pub(super) number: i64,
    pub(super) max_power_w: u32,
    pub(super) state: State,
    /// What the server was last told, or would have been if it could.
    pub(super) shown: (ChargePointStatus, ChargePointErrorCode),
    /// It closes as soon as it is free.
    pub(super) closing: bool,
    pub(super) meter: Meter,
}

/// What a connector is doing.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing, until a car comes.
    Available { until: Instant },
    /// Nothing, for somebody.
    Reserved { until: Instant },
    /// A car is plugged in.
    Preparing {
        visit: Visit,
        step: Step,
        until: Instant,
    },
    /// Power flows, or pauses.
    Charging(Session),
    /// The car is still there.
    Finishing { until: Instant },
    /// Broken, until it is repaired.
    Faulted {
        code: ChargePointErrorCode,
        until: Instant,
    },
    /// Closed; without an end until somebody opens it.
    Unavailable { until: Option<Instant> },
}

/// A car that has come to charge.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) tag: String,
    pub(super) stay: Duration,
    /// The most the car takes.
    pub(super) vehicle_w: u32,
    /// Whether the server is to be asked about the tag.
    pub(super) authorize: bool,
}

/// How far a visit has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The driver looks for the card.
    Plugged,
    /// The server is asked about the tag.
    Authorizing,
    /// The server is asked for a number.
    Starting(SessionKey),
}

/// A charge.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: SessionKey,
    pub(super) tag: String,
    pub(super) vehicle_w: u32,
    pub(super) began: Instant,
    pub(super) ends: Instant,
    pub(super) meter_start: u64,
    pub(super) next_sample: Option<Instant>,
    pub(super) pauses: Vec<Pause>,
}

/// A time within a charge when no power flows.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) status: ChargePointStatus,
    pub(super) from: Instant,
    pub(super) until: Instant,
    pub(super) begun: bool,
}

impl Connector {
    /// When something will happen by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Available { until }
            | State::Reserved { until }
            | State::Preparing { until, .. }
            | State::Finishing { until }
            | State::Faulted { until, .. } => Some(*until),
            State::Unavailable { until } => *until,
            State::Charging(session) => session.due(),
        }
    }

    /// What the server is to be told.
    pub(super) fn status(&self, now: Instant) -> (ChargePointStatus, ChargePointErrorCode) {
        let status = match &self.state {
            State::Available { .. } => ChargePointStatus::Available,
            State::Reserved { .. } => ChargePointStatus::Reserved,
            State::Preparing { .. } => ChargePointStatus::Preparing,
            State::Finishing { .. } => ChargePointStatus::Finishing,
            State::Unavailable { .. } => ChargePointStatus::Unavailable,
            State::Faulted { code, .. } => return (ChargePointStatus::Faulted, code.clone()),
            State::Charging(session) => match session.pause(now) {
                Some(pause) => pause.status.clone(),
                None => ChargePointStatus::Charging,
            },
        };
        (status, ChargePointErrorCode::NoError)
    }

    /// The charge, if there is one.
    pub(super) fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Charging(session) => Some(session),
            _ => None,
        }
    }

    /// Lets the meter count up to now, and tells the power from now on.
    pub(super) fn count(&mut self, now: Instant) -> u32 {
        let power = match &self.state {
            State::Charging(session) => session.power(now),
            _ => 0,
        };
        self.meter.count(now, power);
        power
    }
}

impl Session {
    fn due(&self) -> Option<Instant> {
        // A pause is an event twice: the status changes when it begins and when it ends.
        let pauses = self
            .pauses
            .iter()
            .map(|pause| if pause.begun { pause.until } else { pause.from });
        pauses.chain(self.next_sample).chain([self.ends]).min()
    }

    fn pause(&self, now: Instant) -> Option<&Pause> {
        self.pauses
            .iter()
            .find(|pause| pause.from <= now && now < pause.until)
    }

    /// Notes which pauses have begun, and takes those that are over out of the way.
    pub(super) fn pass(&mut self, now: Instant) {
        self.pauses.retain_mut(|pause| {
            pause.begun = pause.from <= now;
            now < pause.until
        });
    }

    fn power(&self, now: Instant) -> u32 {
        if self.pause(now).is_some() {
            return 0;
        }
        let whole = self
            .ends
            .saturating_duration_since(self.began)
            .as_millis()
            .max(1);
        let past = now.saturating_duration_since(self.began).as_millis();
        let progress = u64::try_from(past * 1000 / whole).unwrap_or(1000).min(1000);
        let share = if progress < RAMPED_UP {
            AT_THE_BEGINNING + progress * (1000 - AT_THE_BEGINNING) / RAMPED_UP
        } else if progress < TAPERS_FROM {
            1000
        } else {
            let fallen = (progress - TAPERS_FROM) * (1000 - LEFT_AT_THE_END);
            1000 - fallen / (1000 - TAPERS_FROM)
        };
        u32::try_from(u64::from(self.vehicle_w) * share / 1000).unwrap_or(self.vehicle_w)
    }
}

/// An energy register that only ever counts up.
#[derive(Debug)]
pub(super) struct Meter {
    millijoules: u64,
    counted_to: Instant,
    power_w: u32,
}

impl Meter {
    pub(super) fn new(watt_hours: u64, now: Instant) -> Self {
        Self {
            millijoules: watt_hours * MILLIJOULES_IN_A_WATT_HOUR,
            counted_to: now,
            power_w: 0,
        }
    }

    /// Counts what has flowed since the last call, and notes what flows from now on.
    fn count(&mut self, now: Instant, power_w: u32) {
        let millis = now.saturating_duration_since(self.counted_to).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let flowed = u64::from(self.power_w).saturating_mul(millis);
        self.millijoules = self.millijoules.saturating_add(flowed);
        self.counted_to = now;
        self.power_w = power_w;
    }

    /// The power that flowed when it was last looked at.
    pub(super) fn power_w(&self) -> u32 {
        self.power_w
    }

    /// The register, in whole watt-hours.
    pub(super) fn watt_hours(&self) -> u64 {
        self.millijoules / MILLIJOULES_IN_A_WATT_HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_power_times_time() {
        let now = Instant::now();
        let mut meter = Meter::new(100, now);
        meter.count(now, 36_000);
        meter.count(now + Duration::from_secs(10), 0);
        assert_eq!(meter.watt_hours(), 200);
        meter.count(now + Duration::from_secs(999), 0);
        assert_eq!(meter.watt_hours(), 200);
    }

    #[test]
    fn power_rises_stays_and_falls() {
        let began = Instant::now();
        let seconds = |seconds| began + Duration::from_secs(seconds);
        let session = Session {
            key: SessionKey(1),
            tag: String::new(),
            vehicle_w: 10_000,
            began,
            ends: seconds(1000),
            meter_start: 0,
            next_sample: None,
            pauses: vec![Pause {
                status: ChargePointStatus::SuspendedEvse,
                from: seconds(300),
                until: seconds(400),
                begun: false,
            }],
        };
        let at = [0, 30, 60, 299, 300, 399, 400, 700, 850, 1000].map(|s| session.power(seconds(s)));
        assert_eq!(
            at,
            [
                3_000, 6_500, 10_000, 10_000, 0, 0, 10_000, 10_000, 6_250, 2_500
            ]
        );
    }
}
