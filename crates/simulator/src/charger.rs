//! One simulated charger, OCPP 1.6, as a state machine without a socket or a clock.
//!
//! Time and text go in through [`tick`](Charger::tick), [`connected`](Charger::connected),
//! [`receive`](Charger::receive) and [`disconnected`](Charger::disconnected); frames come out of
//! [`next_frame`](Charger::next_frame), and [`wants_line`](Charger::wants_line) says whether there
//! should be a line at all. [`drive`](crate::drive()) does that with a real socket; a test does it
//! with a made-up one and lives through a day in a blink.
//!
//! It behaves as the chargers do that a server has to live with:
//!
//! - it boots before it says anything else, and again and again while the server tells it to wait;
//! - what it reports of a transaction waits in a queue until it is answered, through outages and
//!   restarts, with the time it happened at;
//! - it starts without asking when the line is down;
//! - it answers whatever the server asks, and does it.

mod agenda;
mod commands;
mod connector;
mod outbox;
mod sessions;
mod settings;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ocpp::v16::{
    BootNotification, BootNotificationConf, ChargePointErrorCode, ChargePointStatus, ChargerCall,
    Heartbeat, RegistrationStatus, StatusNotification,
};
use ocpp::{CallError, ErrorCode, Message as _, Peer, Received, Version};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::{Happening, Moment, Pace, StationPlan};
use agenda::{Agenda, Event};
use connector::{Connector, Meter, State};
use outbox::Outbox;
use settings::Settings;

/// How long an answer may take. A server under a storm may take its time, but not for ever.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Calls in a row without an answer, after which the line is taken for dead.
const MAX_SILENT: u32 = 3;

/// Between boots when the server does not say, and the most it may ask for.
const BOOT_INTERVAL: Duration = Duration::from_secs(30);
const MAX_INTERVAL: Duration = Duration::from_hours(24);

/// What a restart takes: less than a real charger, so that a visitor sees it come back.
const RESTART_TIME: Duration = Duration::from_secs(3);

/// Passing messages kept for a line that is up but slow; the oldest goes first.
const MAX_PASSING: usize = 64;

/// What the first car finds on the meter, in Wh: the charger has been here for a while.
const FORMER_ENERGY: std::ops::Range<u64> = 100_000..5_000_000;

/// A simulated charger.
#[derive(Debug)]
pub struct Charger {
    plan: StationPlan,
    pace: Pace,
    tags: Vec<String>,
    /// Decides the charger's life.
    rng: SmallRng,
    /// Decides its waits, so that a bad line does not change its life.
    luck: SmallRng,
    settings: Settings,
    connectors: Vec<Connector>,
    /// Connector 0: the charger as a whole.
    operative: bool,
    agenda: Agenda,
    line: Line,
    registration: Registration,
    peer: Peer<Sent>,
    message_ids: u64,
    /// Calls in a row that nobody answered.
    silent: u32,
    /// Answers to the server, which go out first.
    answers: VecDeque<String>,
    /// Messages that are worth nothing once the line is gone.
    passing: VecDeque<(Sent, ChargerCall)>,
    outbox: Outbox,
    sessions: u32,
    heartbeat_at: Option<Instant>,
    restart_at: Option<Instant>,
    happenings: Vec<Happening>,
}

/// The line, as the charger sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Not there, and wanted.
    Down,
    Up,
    /// There, and taken for dead.
    Dead,
    /// Not to be had before.
    Cut {
        until: Instant,
    },
}

/// Whether the server has let this charger take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registration {
    Unasked,
    Asked,
    Waiting { until: Instant },
    Accepted,
}

/// What a call was about, to know what its answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Boot,
    Heartbeat,
    /// By index of the connector.
    Authorize(usize),
    /// The head of the outbox.
    Record,
    /// An answer says nothing. The action, for the log.
    Passing(&'static str),
}

impl Charger {
    /// A charger that has just been switched on. `tags` are the cards its visitors carry.
    pub fn new(
        plan: StationPlan,
        tags: impl IntoIterator<Item = impl Into<String>>,
        pace: Pace,
        seed: u64,
        now: Moment,
    ) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let agenda = Agenda::new(&plan.character, pace, &mut rng, now.instant);
        let mut connectors = Vec::with_capacity(plan.connectors.len());
        for (number, connector) in (1..).zip(&plan.connectors) {
            let first_car = pace.draw(plan.character.first_car, &mut rng);
            connectors.push(Connector {
                number,
                max_power_w: connector.max_power_w,
                state: State::Available {
                    until: now.instant + first_car,
                },
                shown: (ChargePointStatus::Available, ChargePointErrorCode::NoError),
                closing: false,
                meter: Meter::new(rng.random_range(FORMER_ENERGY), now.instant),
            });
        }
        Self {
            settings: Settings::new(connectors.len()),
            plan,
            pace,
            tags: tags.into_iter().map(Into::into).collect(),
            luck: SmallRng::seed_from_u64(seed.wrapping_add(1)),
            rng,
            connectors,
            operative: true,
            agenda,
            line: Line::Down,
            registration: Registration::Unasked,
            peer: Peer::new(Version::V16),
            message_ids: 0,
            silent: 0,
            answers: VecDeque::new(),
            passing: VecDeque::new(),
            outbox: Outbox::default(),
            sessions: 0,
            heartbeat_at: None,
            restart_at: None,
            happenings: Vec::new(),
        }
    }

    /// Its identity.
    pub fn id(&self) -> &str {
        &self.plan.id
    }

    /// What it presents when it connects: what the server set last, or what it came with.
    pub fn password(&self) -> Option<Vec<u8>> {
        let original = || self.plan.password.clone().map(String::into_bytes);
        self.settings.authorization_key().or_else(original)
    }

    /// Whether there should be a line. If there is one and it is not wanted, drop it.
    pub fn wants_line(&self) -> bool {
        matches!(self.line, Line::Down | Line::Up)
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        let cut = match self.line {
            Line::Cut { until } => Some(until),
            Line::Down | Line::Up | Line::Dead => None,
        };
        let waiting = match self.registration {
            Registration::Waiting { until } => Some(until),
            Registration::Unasked | Registration::Asked | Registration::Accepted => None,
        };
        let of_the_line = [
            self.peer.next_deadline(),
            self.outbox.due(),
            self.heartbeat_at,
            waiting,
        ];
        let of_the_line = of_the_line.into_iter().filter(|_| self.line == Line::Up);
        let connectors = self.connectors.iter().map(Connector::due);
        [cut, self.agenda.due(), self.restart_at]
            .into_iter()
            .chain(of_the_line)
            .chain(connectors)
            .flatten()
            .min()
    }

    /// What has happened since the last call.
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }

    /// A wait between half and all of `longest`, so that chargers do not come back in step.
    pub fn jitter(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.luck.random_range(0.5..=1.0))
    }

    /// The line is up.
    pub fn connected(&mut self, now: Moment) {
        self.line = Line::Up;
        self.peer = Peer::new(Version::V16);
        self.silent = 0;
        self.tell(Happening::Connected);
        if self.plan.character.boots_on_reconnect {
            self.registration = Registration::Unasked;
        }
        if self.registration == Registration::Accepted {
            self.report_all(now);
        }
    }

    /// The line is gone, for a reason worth telling.
    pub fn disconnected(&mut self, reason: &str, now: Moment) {
        if matches!(self.line, Line::Up | Line::Dead) {
            self.line = Line::Down;
        }
        self.answers.clear();
        self.passing.clear();
        self.peer = Peer::new(Version::V16);
        self.outbox.line_lost();
        if self.registration == Registration::Asked {
            self.registration = Registration::Unasked;
        }
        let reason = reason.to_owned();
        self.tell(Happening::Disconnected { reason });
        for index in 0..self.connectors.len() {
            self.go_on_alone(index, now);
        }
    }

    /// Takes in a text from the server.
    pub fn receive(&mut self, text: &str, now: Moment) {
        match self.peer.receive(text, now.instant) {
            Received::Call(call) => self.commanded(call, now),
            Received::Answered { token, result, .. } => {
                self.silent = 0;
                self.answered(token, result, now);
            }
            Received::Reply { frame, .. } => self.answers.push_back(frame),
            Received::Send { action, .. } => {
                let reason = format!("{action} is no call of OCPP 1.6");
                self.tell(Happening::Odd { reason });
            }
            Received::Ignored(reason) => {
                let reason = reason.to_string();
                self.tell(Happening::Odd { reason });
            }
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Moment) {
        for call in self.peer.expire(now.instant).calls {
            self.unanswered(call.token, now);
        }
        if matches!(self.line, Line::Cut { until } if until <= now.instant) {
            self.line = Line::Down;
        }
        if matches!(self.registration, Registration::Waiting { until } if until <= now.instant) {
            self.registration = Registration::Unasked;
        }
        if self.restart_at.take_if(|at| *at <= now.instant).is_some() {
            self.restart(now);
        }
        while let Some((event, lasts)) = self.agenda.take(self.pace, &mut self.rng, now.instant) {
            self.befall(event, lasts, now);
        }
        if self.heartbeat_at.take_if(|at| *at <= now.instant).is_some() && self.is_in_service() {
            self.pass(Sent::Heartbeat, Heartbeat {});
            self.plan_heartbeat(now);
        }
        for index in 0..self.connectors.len() {
            self.go_on(index, now);
        }
    }

    /// The next frame to send, if there is one now.
    pub fn next_frame(&mut self, now: Moment) -> Option<String> {
        if self.line != Line::Up {
            return None;
        }
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        // A deadline tells that a call is out. Keeping the rest here instead of in the peer lets
        // the outbox take back what was not sent.
        if self.peer.next_deadline().is_some() {
            return None;
        }
        let (sent, call) = self.next_call(now)?;
        self.message_ids += 1;
        let id = self.message_ids.to_string();
        let deadline = now.instant + CALL_TIMEOUT;
        self.peer
            .call(sent, id, call.action(), &call, deadline)
            .ok()
            .flatten()
    }

    fn next_call(&mut self, now: Moment) -> Option<(Sent, ChargerCall)> {
        match self.registration {
            Registration::Unasked => {
                self.registration = Registration::Asked;
                Some((Sent::Boot, self.boot().into()))
            }
            Registration::Asked => None,
            // Nothing but what the server has asked for (OCPP 1.6 §4.2).
            Registration::Waiting { .. } => self.passing.pop_front(),
            Registration::Accepted => self.passing.pop_front().or_else(|| {
                let record = self.outbox.next(now.instant)?;
                Some((Sent::Record, record))
            }),
        }
    }

    fn boot(&self) -> BootNotification {
        BootNotification {
            charge_point_vendor: Some(self.plan.vendor.clone()),
            charge_point_model: Some(self.plan.model.clone()),
            charge_point_serial_number: Some(format!("SN-{}", self.plan.id)),
            firmware_version: Some(self.plan.firmware.clone()),
            ..BootNotification::default()
        }
    }

    fn answered(&mut self, sent: Sent, result: Result<&str, CallError>, now: Moment) {
        match (sent, result) {
            (Sent::Boot, Ok(payload)) => match BootNotificationConf::parse(payload) {
                Ok(conf) => self.booted(&conf.message, now),
                Err(error) => self.refused(Sent::Boot, &error, now),
            },
            (Sent::Authorize(index), Ok(payload)) => self.authorized(index, payload, now),
            (Sent::Record, Ok(payload)) => self.recorded(payload, now),
            (Sent::Heartbeat, Ok(_)) => self.tell(Happening::Heartbeat),
            (Sent::Passing(_), Ok(_)) => {}
            (sent, Err(error)) => self.refused(sent, &error, now),
        }
    }

    fn booted(&mut self, conf: &BootNotificationConf, now: Moment) {
        let asked = Duration::from_secs(u64::try_from(conf.interval).unwrap_or(0));
        let status = conf.status;
        let interval = if status == RegistrationStatus::Accepted {
            self.registration = Registration::Accepted;
            if !asked.is_zero() {
                let seconds = asked.as_secs().to_string();
                self.settings.change("HeartbeatInterval", &seconds);
            }
            self.report_all(now);
            self.settings.number("HeartbeatInterval")
        } else {
            let wait = if asked.is_zero() {
                BOOT_INTERVAL
            } else {
                asked.min(MAX_INTERVAL)
            };
            self.registration = Registration::Waiting {
                until: now.instant + wait,
            };
            wait.as_secs()
        };
        self.tell(Happening::Booted { status, interval });
    }

    /// The server refused a call.
    fn refused(&mut self, sent: Sent, error: &CallError, now: Moment) {
        let action = match sent {
            Sent::Boot => {
                let until = now.instant + BOOT_INTERVAL;
                self.registration = Registration::Waiting { until };
                "BootNotification"
            }
            Sent::Heartbeat => "Heartbeat",
            Sent::Authorize(index) => {
                self.go_on_alone(index, now);
                "Authorize"
            }
            Sent::Record if error.code == ErrorCode::SecurityError => {
                // It was not read: the server wants a boot first.
                self.outbox.line_lost();
                "a transaction's record"
            }
            Sent::Record => {
                let wait = self.retry_wait();
                let attempts = self.settings.number("TransactionMessageAttempts");
                match self.outbox.refused(now.instant, wait, attempts) {
                    Some(dropped) => dropped.call.action(),
                    None => "a transaction's record",
                }
            }
            Sent::Passing(action) => action,
        };
        // A server that has forgotten this charger says so.
        if error.code == ErrorCode::SecurityError && self.registration == Registration::Accepted {
            self.registration = Registration::Unasked;
        }
        let error = error.to_string();
        self.tell(Happening::Refused { action, error });
    }

    /// Nobody answered a call in time.
    fn unanswered(&mut self, sent: Sent, now: Moment) {
        match sent {
            Sent::Boot => {
                let until = now.instant + BOOT_INTERVAL;
                self.registration = Registration::Waiting { until };
            }
            Sent::Authorize(index) => self.go_on_alone(index, now),
            Sent::Record => {
                let wait = self.retry_wait();
                self.outbox.unanswered(now.instant, wait);
            }
            Sent::Heartbeat | Sent::Passing(_) => {}
        }
        self.silent += 1;
        if self.silent >= MAX_SILENT && self.line == Line::Up {
            self.line = Line::Dead;
        }
    }

    fn retry_wait(&self) -> Duration {
        let wait = self.settings.seconds("TransactionMessageRetryInterval");
        wait.unwrap_or(Duration::from_secs(1))
    }

    /// The server is there and has let this charger take part.
    fn is_in_service(&self) -> bool {
        self.line == Line::Up && self.registration == Registration::Accepted
    }

    fn plan_heartbeat(&mut self, now: Moment) {
        let interval = self.settings.seconds("HeartbeatInterval");
        self.heartbeat_at = interval.map(|interval| now.instant + interval);
    }

    /// Sends a message that is worth nothing later.
    fn pass(&mut self, sent: Sent, call: impl Into<ChargerCall>) {
        if self.passing.len() >= MAX_PASSING {
            self.passing.pop_front();
        }
        self.passing.push_back((sent, call.into()));
    }

    /// Tells the state of the charger and of each connector.
    fn report_all(&mut self, now: Moment) {
        self.plan_heartbeat(now);
        for connector in 0..=self.connectors.len() {
            self.report(connector, now);
        }
    }

    /// Tells one state; 0 is the charger's own.
    fn report(&mut self, number: usize, now: Moment) {
        let shown = match number
            .checked_sub(1)
            .and_then(|index| self.connectors.get(index))
        {
            Some(connector) => connector.shown.clone(),
            None if self.operative => (ChargePointStatus::Available, ChargePointErrorCode::NoError),
            None => (
                ChargePointStatus::Unavailable,
                ChargePointErrorCode::NoError,
            ),
        };
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let mut call = StatusNotification::new(number, shown.0);
        call.error_code = shown.1;
        call.timestamp = Some(now.time);
        self.pass(Sent::Passing("StatusNotification"), call);
    }

    /// Tells a connector's state if it is not what was told last.
    fn show(&mut self, index: usize, now: Moment) {
        let connector = &mut self.connectors[index];
        connector.count(now.instant);
        let status = connector.status(now.instant);
        if connector.shown == status {
            return;
        }
        connector.shown = status.clone();
        let happening = Happening::Status {
            connector: connector.number,
            status: status.0,
            error_code: status.1,
        };
        self.tell(happening);
        if self.is_in_service() {
            self.report(index + 1, now);
        }
    }

    fn befall(&mut self, event: Event, lasts: Duration, now: Moment) {
        let until = now.instant + lasts;
        match event {
            Event::Outage => self.line = Line::Cut { until },
            Event::Fault => self.break_one(until, now),
            Event::Closure => self.replace_free(State::Unavailable { until: Some(until) }, now),
            Event::Booking => self.replace_free(State::Reserved { until }, now),
        }
    }

    /// Powers down and comes back. What is in the outbox survives, as it does in real chargers.
    fn restart(&mut self, now: Moment) {
        self.line = Line::Cut {
            until: now.instant + RESTART_TIME,
        };
        self.registration = Registration::Unasked;
    }

    fn tell(&mut self, happening: Happening) {
        self.happenings.push(happening);
    }
}
