//! Scripted incidents: the station's story must name what was injected, and rest on what happened.
//!
//! Most are played by chargers over real sockets. What needs days is written into the event log as
//! it would have been.

use domain::station::Hardware;
use domain::{EventKind, NewEvent, StationId};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use server::clock::Clock;
use store::Commit;

use crate::support::{Backend, Server};

/// Causes that must be named, of ten.
const NAMED_OF_TEN: usize = 9;

/// An incident: what is injected, and what of the first cause named shows that it was found.
struct Script {
    station: &'static str,
    named: &'static str,
}

const SCRIPTS: [Script; 14] = [
    Script {
        station: "flapping",
        named: "network link is unstable",
    },
    Script {
        station: "reboots",
        named: "reboot loop",
    },
    Script {
        station: "ground",
        named: "GroundFailure",
    },
    Script {
        station: "heat",
        named: "HighTemperature",
    },
    Script {
        station: "early",
        named: "the vehicle is disconnected early",
    },
    Script {
        station: "power",
        named: "power loss",
    },
    Script {
        station: "tags",
        named: "id tags are not accepted",
    },
    Script {
        station: "meter",
        named: "energy meter",
    },
    Script {
        station: "firmware",
        named: "firmware update did not complete",
    },
    Script {
        station: "taken-out",
        named: "An operator set it to inoperative",
    },
    Script {
        station: "deaf",
        named: "does not carry out commands",
    },
    Script {
        station: "nightly",
        named: "every day at about 03:00 UTC",
    },
    Script {
        station: "outage",
        named: "long outage",
    },
    Script {
        station: "reader",
        named: "ReaderFailure",
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_names_what_was_injected_and_rests_on_what_happened() {
    let settings = [("COMMAND_TIMEOUT", "1s")];
    let server = Server::start_with(Backend::Sqlite, &settings).await;
    server.accept_tag("GOOD").await;
    let mut missed = Vec::new();
    for Script { station, named } in &SCRIPTS {
        let evse = json!({"connectors": [{"max_power_w": 22_000}]});
        server.enter_with(station, json!([evse, evse])).await;
        play(&server, station).await;
        let path = format!("stations/{station}/analyze");
        let story = server
            .operator()
            .send(Method::POST, &path, None)
            .await
            .expect(200);
        let first = story["likely_cause"][0]["text"]
            .as_str()
            .unwrap_or_default();
        if !first.contains(named) {
            missed.push(format!("{station}: {story:#}"));
        }
        rests_on_what_happened(&server, station, &story).await;
    }
    let named = SCRIPTS.len() - missed.len();
    println!("{named} of {} causes named", SCRIPTS.len());
    assert!(
        named * 10 >= SCRIPTS.len() * NAMED_OF_TEN,
        "missed: {}",
        missed.join("\n")
    );
}

/// Every claim cites something, and everything cited is there.
async fn rests_on_what_happened(server: &Server, station: &str, story: &Value) {
    let history = server.history(station).await;
    let sessions = server.sessions(station).await;
    let claims = ["what_happened", "likely_cause", "next_step"];
    let claims: Vec<&Value> = claims
        .iter()
        .flat_map(|list| story[*list].as_array().unwrap())
        .collect();
    assert!(!claims.is_empty());
    for claim in claims {
        let cites = |list: &str| claim[list].as_array().unwrap();
        let count = cites("events").len() + cites("sessions").len() + cites("entries").len();
        assert!(count > 0, "{station}: {claim}");
        for seq in cites("events") {
            assert!(
                history.iter().any(|event| event["seq"] == *seq),
                "{station}: {claim}"
            );
        }
        for id in cites("sessions") {
            assert!(
                sessions.iter().any(|session| session["id"] == *id),
                "{station}: {claim}"
            );
        }
    }
}

async fn play(server: &Server, station: &str) {
    match station {
        "flapping" => {
            for _ in 0..5 {
                connect_and_leave(server, station, false).await;
            }
        }
        "reboots" => {
            for _ in 0..4 {
                connect_and_leave(server, station, true).await;
            }
        }
        "ground" => faults(server, station, 1, "GroundFailure", 4).await,
        "heat" => faults(server, station, 2, "HighTemperature", 3).await,
        "reader" => faults(server, station, 1, "ReaderFailure", 1).await,
        "early" => sessions(server, station, "EVDisconnected", 4, 90, 200).await,
        "power" => sessions(server, station, "PowerLoss", 3, 1_800, 9_000).await,
        // Nine hundred kilowatt-hours in half an hour.
        "meter" => sessions(server, station, "Local", 1, 1_800, 910_000).await,
        "tags" => {
            let mut charger = server.charger(station).connect().await;
            charger.boot().await;
            for number in 0..4 {
                let told = json!({"connectorId": 1, "idTag": format!("STRANGER{number}"),
                    "meterStart": 0, "timestamp": at(number * 60)});
                let conf = charger.call("StartTransaction", told).await;
                assert_eq!(conf["idTagInfo"]["status"], "Invalid");
            }
        }
        "firmware" => {
            let mut charger = server.charger(station).connect().await;
            charger.boot().await;
            for status in [
                "Downloading",
                "Downloaded",
                "Installing",
                "InstallationFailed",
            ] {
                charger
                    .call("FirmwareStatusNotification", json!({"status": status}))
                    .await;
            }
        }
        "taken-out" => {
            let path = format!("stations/{station}/evses/2/availability");
            let body = json!({"availability": "inoperative"});
            server.operator().put(&path, body).await.expect(200);
        }
        "deaf" => {
            let mut charger = server.charger(station).connect().await;
            charger.boot().await;
            for _ in 0..3 {
                let ended = server.order(station, "clear_cache", json!({})).await;
                assert_eq!(ended["outcome"], "timed_out");
            }
        }
        "nightly" => {
            for day in 1..=4 {
                // At three in the morning, a few minutes early or late.
                let night = midnight_days_ago(day) + SignedDuration::from_mins(177 + 5 * day);
                lose(server, station, night, Some(SignedDuration::from_mins(20))).await;
            }
        }
        "outage" => {
            let lost = Clock::system().now() - SignedDuration::from_hours(30);
            lose(server, station, lost, None).await;
        }
        other => panic!("no script for {other}"),
    }
}

async fn connect_and_leave(server: &Server, station: &str, boot: bool) {
    let mut charger = server.charger(station).connect().await;
    if boot {
        charger.boot().await;
        charger.status(1, "Available").await;
    }
    charger.close().await;
    server.station_when(station, "online", false).await;
}

/// Reports a fault so often, and that it has passed between them.
async fn faults(server: &Server, station: &str, connector: i64, code: &str, times: usize) {
    let mut charger = server.charger(station).connect().await;
    charger.boot().await;
    for turn in 0..times {
        if turn > 0 {
            charger.status(connector, "Available").await;
        }
        let told = json!({"connectorId": connector, "status": "Faulted", "errorCode": code});
        charger.call("StatusNotification", told).await;
    }
}

/// Sessions of so many seconds and watt-hours that end for a reason.
async fn sessions(
    server: &Server,
    station: &str,
    reason: &str,
    times: i64,
    seconds: i64,
    energy: i64,
) {
    let mut charger = server.charger(station).connect().await;
    charger.boot().await;
    for turn in 0..times {
        let begin = turn * 4_000;
        let meter = 10_000 + turn * energy;
        let transaction = charger.start(1, "GOOD", meter, &at(begin)).await;
        let told = json!({"transactionId": transaction, "meterStop": meter + energy,
            "timestamp": at(begin + seconds), "reason": reason});
        charger.call("StopTransaction", told).await;
    }
}

/// So many seconds into yesterday.
fn at(seconds: i64) -> String {
    (midnight_days_ago(1) + SignedDuration::from_secs(seconds)).to_string()
}

fn midnight_days_ago(days: i64) -> Timestamp {
    let now = Clock::system().now().as_second();
    Timestamp::from_second(now - now.rem_euclid(86_400) - days * 86_400).unwrap()
}

/// Writes into the log that the connection was lost, and came back after a time.
async fn lose(server: &Server, station: &str, at: Timestamp, back: Option<SignedDuration>) {
    let event = |at, kind| NewEvent {
        at,
        station_id: Some(StationId::new(station).unwrap()),
        evse: None,
        connector: None,
        kind,
    };
    let reason = "timed_out".to_owned();
    let mut events = vec![event(
        at,
        EventKind::StationDisconnected { epoch: 1, reason },
    )];
    if let Some(back) = back {
        let protocol = "ocpp1.6".to_owned();
        events.push(event(
            at + back,
            EventKind::StationConnected { epoch: 2, protocol },
        ));
    }
    server
        .app()
        .store
        .commit(Commit::of_events(events))
        .await
        .unwrap();
}

/// Writes into the log that the connection ended so a few times within an hour, and that the charger
/// came back and booted each time.
async fn end_and_boot(server: &Server, station: &str, reason: &str) {
    let hardware: Hardware = serde_json::from_value(json!({"vendor": "V"})).unwrap();
    let begin = Clock::system().now() - SignedDuration::from_mins(55);
    let mut events = Vec::new();
    for turn in 0..6_i64 {
        let at = begin + SignedDuration::from_mins(8 * turn);
        let (epoch, protocol) = (turn + 1, "ocpp1.6".to_owned());
        let reason = reason.to_owned();
        for (seconds, kind) in [
            (0, EventKind::StationDisconnected { epoch, reason }),
            (
                20,
                EventKind::StationConnected {
                    epoch: epoch + 1,
                    protocol,
                },
            ),
            (
                22,
                EventKind::StationBooted {
                    hardware: hardware.clone(),
                },
            ),
        ] {
            events.push(NewEvent {
                at: at + SignedDuration::from_secs(seconds),
                station_id: Some(StationId::new(station).unwrap()),
                evse: None,
                connector: None,
                kind,
            });
        }
    }
    let commit = Commit::of_events(events);
    server.app().store.commit(commit).await.unwrap();
}

/// The causes that a story names.
async fn causes(server: &Server, station: &str) -> Vec<String> {
    let path = format!("stations/{station}/analyze");
    let story = server.operator().send(Method::POST, &path, None).await;
    let story = story.expect(200);
    let causes = story["likely_cause"].as_array().unwrap();
    let text = |claim: &Value| claim["text"].as_str().unwrap().to_owned();
    causes.iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_or_the_line_ended_is_not_the_chargers_reboot() {
    let server = Server::start(Backend::Sqlite).await;
    let ours = ["shutdown", "revoked", "node lost", "disowned", "replaced"];
    for (number, reason) in ours.into_iter().enumerate() {
        let station = format!("ours-{number}");
        server.enter(&station).await;
        end_and_boot(&server, &station, reason).await;
        let none: [String; 0] = [];
        assert_eq!(causes(&server, &station).await, none, "{reason}");
    }
    for (station, reason, named) in [
        ("line-1", "timed_out", "network link is unstable"),
        ("line-2", "network_error", "network link is unstable"),
        ("itself", "closed", "reboot loop"),
    ] {
        server.enter(station).await;
        end_and_boot(&server, station, reason).await;
        let causes = causes(&server, station).await;
        assert!(causes[0].contains(named), "{reason}: {causes:?}");
    }
}

/// Events between an incident and now: more than the store reads at a time...
const BUSY: i64 = 1_200;
/// ...and more than are read at all.
const BUSIEST: i64 = 20_600;

/// A firmware update that failed two days ago, and so many events of no meaning in the last hours.
async fn much_happens(server: &Server, station: &str, count: i64) {
    server.enter(station).await;
    let (now, station) = (Clock::system().now(), StationId::new(station).unwrap());
    let event = |at, kind| NewEvent {
        at,
        station_id: Some(station.clone()),
        evse: None,
        connector: None,
        kind,
    };
    let status = "InstallationFailed".to_owned();
    let failed = EventKind::FirmwareStatus { status };
    let mut events = vec![event(now - SignedDuration::from_hours(50), failed)];
    for turn in 0..count {
        let status = "Uploading".to_owned();
        let at = now - SignedDuration::from_secs(count - turn);
        events.push(event(at, EventKind::DiagnosticsStatus { status }));
    }
    for some in events.chunks(500) {
        let commit = Commit::of_events(some.to_vec());
        server.app().store.commit(commit).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_station_hides_nothing() {
    let server = Server::start(Backend::Sqlite).await;
    much_happens(&server, "busy", BUSY).await;
    let causes = causes(&server, "busy").await;
    assert!(
        causes[0].contains("firmware update did not complete"),
        "{causes:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_says_from_when_on_it_knows() {
    let server = Server::start(Backend::Sqlite).await;
    much_happens(&server, "busiest", BUSIEST).await;
    let path = "stations/busiest/analyze";
    let story = server.operator().send(Method::POST, path, None).await;
    let story = story.expect(200);
    // It did not look two days back, and does not say so.
    let from: Timestamp = story["from"].as_str().unwrap().parse().unwrap();
    let seen = Clock::system().now().duration_since(from);
    assert!(seen < SignedDuration::from_hours(7), "{story}");
    assert_eq!(story["likely_cause"], json!([]));
}
