//! A charger and a made-up server, without sockets and in made-up time.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use ocpp::v16::{ChargerCall, ServerCall};
use ocpp::{CallError, ErrorCode, Peer, Received, Version};
use serde_json::{Value, json};
use simulator::{Charger, Happening, Moment, Pace, StationPlan};

/// What the server does with a call.
enum Reaction {
    Answer(Value),
    Refuse,
    Silence,
}

/// A call that reached the server.
#[derive(Clone, Debug, PartialEq)]
struct Heard {
    /// Since the beginning of the world.
    at: Duration,
    action: String,
    payload: Value,
}

type React = Box<dyn FnMut(&Heard) -> Option<Reaction>>;

struct World {
    charger: Charger,
    beginning: Moment,
    now: Moment,
    up: bool,
    peer: Peer<()>,
    heard: Vec<Heard>,
    happenings: Vec<String>,
    transactions: i64,
    asked: u32,
    answers: Vec<Value>,
    react: React,
}

impl World {
    fn new(plan: StationPlan, seed: u64) -> Self {
        let beginning = Moment {
            instant: Instant::now(),
            time: "2026-11-21T08:00:00Z".parse::<Timestamp>().unwrap(),
        };
        Self {
            charger: Charger::new(plan, ["A", "B", "C"], Pace::DEMO, seed, beginning),
            beginning,
            now: beginning,
            up: false,
            peer: Peer::new(Version::V16),
            heard: Vec::new(),
            happenings: Vec::new(),
            transactions: 0,
            asked: 0,
            answers: Vec::new(),
            react: Box::new(|_| None),
        }
    }

    /// How the server reacts; `None` is "as it should".
    fn reacting(mut self, react: impl FnMut(&Heard) -> Option<Reaction> + 'static) -> Self {
        self.react = Box::new(react);
        self
    }

    /// Lets the world go on for a while.
    fn live(&mut self, time: Duration) {
        let end = self.now.after(time);
        loop {
            self.settle();
            let wake = self
                .charger
                .next_wake()
                .map_or(end.instant, |wake| wake.min(end.instant));
            let wait = wake.saturating_duration_since(self.now.instant);
            self.now = self.now.after(wait);
            if self.now.instant >= end.instant {
                self.settle();
                return;
            }
        }
    }

    /// What happens at one moment.
    fn settle(&mut self) {
        self.charger.tick(self.now);
        match (self.up, self.charger.wants_line()) {
            (false, true) => {
                self.peer = Peer::new(Version::V16);
                self.charger.connected(self.now);
                self.up = true;
            }
            (true, false) => self.cut(),
            _ => {}
        }
        while self.up
            && let Some(frame) = self.charger.next_frame(self.now)
        {
            self.hear(&frame);
        }
        let happenings = self.charger.take_happenings();
        self.happenings
            .extend(happenings.iter().map(Happening::to_string));
    }

    fn cut(&mut self) {
        self.charger.disconnected("cut", self.now);
        self.up = false;
    }

    fn hear(&mut self, frame: &str) {
        match self.peer.receive(frame, self.now.instant) {
            Received::Call(call) => {
                ChargerCall::parse(&call.action, call.payload).expect("a call of OCPP 1.6");
                let heard = Heard {
                    at: self.now.instant - self.beginning.instant,
                    action: call.action.to_string(),
                    payload: serde_json::from_str(call.payload).unwrap(),
                };
                let reaction = (self.react)(&heard);
                let reaction = reaction.unwrap_or_else(|| Reaction::Answer(self.proper(&heard)));
                self.heard.push(heard);
                let answer = match reaction {
                    Reaction::Silence => return,
                    Reaction::Answer(conf) => self.peer.answer(call.ticket, &conf),
                    Reaction::Refuse => {
                        let error =
                            CallError::new(ErrorCode::InternalError, "the database is gone");
                        self.peer.refuse(call.ticket, &error)
                    }
                };
                self.charger.receive(&answer, self.now);
            }
            Received::Answered { result, .. } => {
                let conf = result.map(|payload| serde_json::from_str(payload).unwrap());
                self.answers
                    .push(conf.unwrap_or_else(|error| json!(error.to_string())));
            }
            odd => panic!("{odd:?}"),
        }
    }

    fn proper(&mut self, heard: &Heard) -> Value {
        let now = self.now.time.to_string();
        match &*heard.action {
            "BootNotification" => {
                json!({"status": "Accepted", "currentTime": now, "interval": 300})
            }
            "Heartbeat" => json!({"currentTime": now}),
            "Authorize" => json!({"idTagInfo": {"status": "Accepted"}}),
            "StartTransaction" => {
                self.transactions += 1;
                json!({"idTagInfo": {"status": "Accepted"}, "transactionId": self.transactions})
            }
            _ => json!({}),
        }
    }

    /// Asks something of the charger and returns its answer.
    fn ask(&mut self, action: &str, payload: &Value) -> Value {
        self.asked += 1;
        let id = format!("s{}", self.asked);
        let deadline = self.now.instant + Duration::from_secs(10);
        let frame = self
            .peer
            .call((), id, action, payload, deadline)
            .unwrap()
            .unwrap();
        self.charger.receive(&frame, self.now);
        self.settle();
        self.answers.pop().expect("every call is answered")
    }

    fn heard(&self, action: &str) -> Vec<&Heard> {
        self.heard
            .iter()
            .filter(|heard| heard.action == action)
            .collect()
    }

    fn statuses(&self) -> Vec<&str> {
        let words = |heard: &&'_ Heard| heard.payload["connectorId"] == 1;
        let statuses = self.heard("StatusNotification").into_iter().filter(words);
        statuses
            .map(|heard| heard.payload["status"].as_str().unwrap())
            .collect()
    }
}

const MINUTE: Duration = Duration::from_mins(1);

fn second(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn plain(connectors: usize) -> StationPlan {
    StationPlan::plain("CP-1", connectors)
}

#[test]
fn the_same_seed_lives_the_same_day() {
    let day = |seed| {
        let mut plan = simulator::fleet::demo().swap_remove(6);
        plan.character.faults = simulator::fleet::demo().swap_remove(5).character.faults;
        let mut world = World::new(plan, seed);
        world.live(60 * MINUTE);
        (world.heard, world.happenings)
    };
    let first = day(7);
    assert!(first.0.len() > 1000, "{}", first.0.len());
    assert_eq!(first, day(7));
    assert_ne!(first.1, day(8).1);
}

#[test]
fn it_boots_before_it_says_anything_and_again_while_it_is_told_to_wait() {
    let mut boots = 0;
    let mut world = World::new(plain(1), 1).reacting(move |heard| {
        let status = ["Pending", "Rejected", "Pending", "Accepted"][boots.min(3)];
        boots += usize::from(heard.action == "BootNotification");
        let conf = json!({"status": status, "currentTime": "2026-11-21T08:00:00Z", "interval": 7});
        (heard.action == "BootNotification").then_some(Reaction::Answer(conf))
    });
    world.live(second(20));
    let boots: Vec<_> = world
        .heard("BootNotification")
        .iter()
        .map(|heard| heard.at)
        .collect();
    assert_eq!(boots, [0, 7, 14].map(second));
    assert_eq!(
        world.heard.len(),
        3,
        "nothing else was said: {:?}",
        world.heard
    );
    let refused = world.ask("RemoteStartTransaction", &json!({"idTag": "A"}));
    assert_eq!(refused["status"], "Rejected");
    let asked_for = json!({"requestedMessage": "StatusNotification", "connectorId": 1});
    assert_eq!(
        world.ask("TriggerMessage", &asked_for)["status"],
        "Accepted"
    );
    assert_eq!(world.heard.last().unwrap().action, "StatusNotification");
    world.live(second(2));
    assert_eq!(world.heard("BootNotification").len(), 4);
    assert!(world.heard("StatusNotification").len() >= 3);
}

#[test]
fn a_car_comes_charges_and_leaves() {
    let mut world = World::new(plain(1), 3);
    world.live(2 * MINUTE);
    let story = ["Available", "Preparing", "Charging"];
    assert_eq!(world.statuses()[..3], story);
    assert!(world.statuses().contains(&"Finishing"));
    let start = world.heard("StartTransaction")[0].clone();
    let stop = world.heard("StopTransaction")[0].clone();
    assert_eq!(stop.payload["transactionId"], 1);
    assert_eq!(start.payload["idTag"], stop.payload["idTag"]);
    let energy = |value: &Value| value.as_i64().unwrap();
    let taken = energy(&stop.payload["meterStop"]) - energy(&start.payload["meterStart"]);
    let hours = stop.at.abs_diff(start.at).as_secs_f64() / 3600.0;
    assert!(
        taken > 0 && f64::from(i32::try_from(taken).unwrap()) <= 22_000.0 * hours,
        "{taken}"
    );
    for values in world.heard("MeterValues") {
        assert!(values.payload["transactionId"].is_i64(), "{values:?}");
    }
}

#[test]
fn a_record_is_retried_unchanged_until_it_is_answered() {
    let mut silent = 2;
    let mut world = World::new(plain(1), 3).reacting(move |heard| {
        let lost = heard.action == "StartTransaction" && silent > 0;
        silent -= i32::from(lost);
        lost.then_some(Reaction::Silence)
    });
    world.live(5 * MINUTE);
    let starts = world.heard("StartTransaction");
    assert_eq!(starts[0].payload, starts[1].payload);
    assert_eq!(starts[1].payload, starts[2].payload);
    // An answer is waited for for 30 s, and a retry for 10 more.
    assert_eq!(starts[1].at, starts[0].at + second(40));
    let stop = world.heard("StopTransaction")[0];
    assert_eq!(
        stop.payload["transactionId"], 1,
        "the number came before the stop went out"
    );
}

#[test]
fn what_happened_on_a_cut_line_comes_later_with_its_own_time() {
    let mut world = World::new(plain(1), 3).reacting(|heard| {
        (heard.action == "StartTransaction" && heard.at < MINUTE).then_some(Reaction::Silence)
    });
    while world.heard("StartTransaction").is_empty() {
        world.live(second(1));
    }
    // The line goes before the answer, and stays away until the car has left.
    world.cut();
    let asked_at = world.now;
    let mut alone = world.now;
    while !world
        .happenings
        .iter()
        .any(|line| line.contains("stopped after"))
    {
        alone = alone.after(second(1));
        world.charger.tick(alone);
        let happenings = world.charger.take_happenings();
        world
            .happenings
            .extend(happenings.iter().map(Happening::to_string));
    }
    world.now = alone.after(10 * MINUTE);
    world.live(second(1));
    let starts = world.heard("StartTransaction");
    assert_eq!(starts[0].payload, starts[1].payload);
    let stop = world.heard("StopTransaction")[0];
    assert_eq!(stop.payload["transactionId"], 1);
    let stopped: Timestamp = stop.payload["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(
        stopped > asked_at.time && stopped <= alone.time,
        "{stopped}"
    );
    assert!(!world.heard("MeterValues").is_empty());
}

#[test]
fn a_refused_record_is_dropped_after_some_attempts_and_the_rest_goes_on() {
    let mut world = World::new(plain(1), 3)
        .reacting(|heard| (heard.action == "StartTransaction").then_some(Reaction::Refuse));
    world.live(10 * MINUTE);
    let starts = world.heard("StartTransaction");
    assert_eq!(
        starts
            .iter()
            .filter(|start| start.payload == starts[0].payload)
            .count(),
        3
    );
    assert_eq!(
        world.heard("StopTransaction")[0].payload["transactionId"],
        -1
    );
}

#[test]
fn a_silent_server_is_left_and_tried_again() {
    let mut world = World::new(plain(1), 3).reacting(|heard| {
        let at = heard.at.as_secs();
        (30..150).contains(&at).then_some(Reaction::Silence)
    });
    world.live(5 * MINUTE);
    let connects = world
        .happenings
        .iter()
        .filter(|line| *line == "connected")
        .count();
    assert_eq!(connects, 2, "{:#?}", world.happenings);
}

#[test]
fn a_refused_tag_does_not_charge() {
    let mut world = World::new(plain(1), 3).reacting(|heard| {
        let conf = json!({"idTagInfo": {"status": "Blocked"}});
        (heard.action == "Authorize").then_some(Reaction::Answer(conf))
    });
    world.live(2 * MINUTE);
    assert!(!world.heard("Authorize").is_empty());
    assert!(world.heard("StartTransaction").is_empty());

    let mut world = World::new(plain(1), 3).reacting(|heard| {
        let conf = json!({"idTagInfo": {"status": "Invalid"}, "transactionId": 9});
        (heard.action == "StartTransaction").then_some(Reaction::Answer(conf))
    });
    world.live(2 * MINUTE);
    let stop = world.heard("StopTransaction")[0];
    assert_eq!(stop.payload["reason"], "DeAuthorized");
    assert_eq!(stop.payload["transactionId"], 9);
}

#[test]
fn every_call_of_the_server_is_answered() {
    let mut world = World::new(plain(2), 1);
    world.live(second(1));
    let calls = [
        (
            "ChangeAvailability",
            json!({"connectorId": 2, "type": "Inoperative"}),
            "Accepted",
        ),
        (
            "ChangeAvailability",
            json!({"connectorId": 9, "type": "Inoperative"}),
            "Rejected",
        ),
        (
            "ChangeConfiguration",
            json!({"key": "HeartbeatInterval", "value": "60"}),
            "Accepted",
        ),
        ("ClearCache", json!({}), "Accepted"),
        (
            "DataTransfer",
            json!({"vendorId": "nobody"}),
            "UnknownVendorId",
        ),
        (
            "RemoteStartTransaction",
            json!({"idTag": "A", "connectorId": 2}),
            "Rejected",
        ),
        (
            "RemoteStartTransaction",
            json!({"idTag": "A", "connectorId": 0}),
            "Rejected",
        ),
        (
            "RemoteStopTransaction",
            json!({"transactionId": 77}),
            "Rejected",
        ),
        (
            "TriggerMessage",
            json!({"requestedMessage": "Heartbeat"}),
            "Accepted",
        ),
        (
            "TriggerMessage",
            json!({"requestedMessage": "Poem"}),
            "NotImplemented",
        ),
        (
            "TriggerMessage",
            json!({"requestedMessage": "MeterValues", "connectorId": 9}),
            "Rejected",
        ),
        ("UnlockConnector", json!({"connectorId": 1}), "Unlocked"),
        ("UnlockConnector", json!({"connectorId": 9}), "NotSupported"),
        ("Reset", json!({"type": "Soft"}), "Accepted"),
    ];
    for (action, payload, expect) in &calls {
        assert_eq!(
            world.ask(action, payload)["status"],
            *expect,
            "{action} {payload}"
        );
    }
    let settings = world.ask(
        "GetConfiguration",
        &json!({"key": ["HeartbeatInterval", "X"]}),
    );
    assert_eq!(settings["configurationKey"][0]["value"], "60");
    assert_eq!(settings["unknownKey"], json!(["X"]));
    let odd = world.ask("MakeCoffee", &json!({}));
    assert!(odd.as_str().unwrap().starts_with("NotImplemented"), "{odd}");
    let broken = world.ask("Reset", &json!({"type": "Sideways"}));
    assert!(broken.is_string(), "{broken}");
    for action in ServerCall::ACTIONS {
        let asked = calls.iter().any(|(asked, ..)| asked == action);
        assert!(
            asked || *action == "GetConfiguration",
            "{action} is not tried"
        );
    }
}

#[test]
fn triggered_messages_come() {
    let mut world = World::new(plain(2), 1);
    world.live(second(1));
    for (message, expect) in [
        ("BootNotification", 1),
        ("DiagnosticsStatusNotification", 1),
        ("FirmwareStatusNotification", 1),
        ("Heartbeat", 1),
        ("MeterValues", 2),
        ("StatusNotification", 3),
    ] {
        let before = world.heard(message).len();
        world.ask("TriggerMessage", &json!({"requestedMessage": message}));
        assert_eq!(world.heard(message).len() - before, expect, "{message}");
    }
}

#[test]
fn the_server_starts_stops_and_closes() {
    let mut plan = plain(1);
    plan.character = simulator::Character::QUIET;
    let mut world = World::new(plan, 1);
    world.live(second(1));
    assert_eq!(
        world.ask("RemoteStartTransaction", &json!({"idTag": "REMOTE"}))["status"],
        "Accepted"
    );
    world.live(second(4));
    assert!(
        world.heard("Authorize").is_empty(),
        "the server has decided already"
    );
    let start = world.heard("StartTransaction")[0];
    assert_eq!(start.payload["idTag"], "REMOTE");
    assert_eq!(world.statuses().last(), Some(&"Charging"));

    let close = json!({"connectorId": 1, "type": "Inoperative"});
    assert_eq!(
        world.ask("ChangeAvailability", &close)["status"],
        "Scheduled"
    );
    assert_eq!(
        world.ask("RemoteStopTransaction", &json!({"transactionId": 1}))["status"],
        "Accepted"
    );
    world.live(second(5));
    assert_eq!(
        world.heard("StopTransaction")[0].payload["reason"],
        "Remote"
    );
    assert_eq!(world.statuses().last(), Some(&"Unavailable"));
    let open = json!({"connectorId": 0, "type": "Operative"});
    assert_eq!(world.ask("ChangeAvailability", &open)["status"], "Accepted");
    assert_eq!(world.statuses().last(), Some(&"Available"));
}

#[test]
fn a_reset_stops_what_runs_and_boots_again() {
    let mut world = World::new(plain(1), 3);
    while world.statuses().last() != Some(&"Charging") {
        world.live(second(1));
    }
    assert_eq!(
        world.ask("Reset", &json!({"type": "Hard"}))["status"],
        "Accepted"
    );
    world.live(second(10));
    assert_eq!(world.heard("BootNotification").len(), 2);
    assert_eq!(
        world.heard("StopTransaction")[0].payload["reason"],
        "HardReset"
    );
    assert!(
        world
            .happenings
            .iter()
            .any(|line| line.starts_with("line lost"))
    );
}

#[test]
fn the_demonstration_shows_every_state_within_a_minute() {
    let mut seen = std::collections::BTreeSet::new();
    let mut early = 0;
    let mut offline = 0;
    for (index, plan) in simulator::fleet::demo().into_iter().enumerate() {
        let mut world = World::new(plan, simulator::fleet::SEED + index as u64);
        world.live(second(65));
        for heard in world.heard("StatusNotification") {
            seen.insert(heard.payload["status"].as_str().unwrap().to_owned());
        }
        early += world
            .heard("StartTransaction")
            .iter()
            .filter(|heard| heard.at < second(10))
            .count();
        offline += usize::from(
            world
                .happenings
                .iter()
                .any(|line| line.starts_with("line lost")),
        );
    }
    let all = [
        "Available",
        "Charging",
        "Faulted",
        "Finishing",
        "Preparing",
        "Reserved",
        "SuspendedEV",
        "SuspendedEVSE",
        "Unavailable",
    ];
    assert!(seen.iter().eq(all.iter()), "{seen:?}");
    assert!(early >= 5, "{early} charges in the first ten seconds");
    assert_eq!(offline, 2);
}
