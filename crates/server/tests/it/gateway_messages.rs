//! The exchange of frames: calls of both sides may cross, repetitions are answered again, and
//! nothing that can be sent does harm (pitfall 1; OCPP-J 1.6 §4).

use serde_json::{Value, json};
use yawc::Frame;
use yawc::frame::OpCode;

use crate::support::{Backend, Charger, Ended, Server, eventually};

async fn ready(backend: Backend) -> (Server, Charger) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    (server, charger)
}

/// The connection still does its work.
async fn lives(charger: &mut Charger) {
    let conf = charger.call("Heartbeat", json!({})).await;
    assert!(conf["currentTime"].is_string());
}

both!(
    calls_of_both_sides_cross,
    a_repeated_call_is_answered_again_and_done_once,
    before_its_boot_a_charger_is_refused_all_but_revenue,
    what_the_server_asked_for_is_welcome_before_the_boot,
);

async fn calls_of_both_sides_cross(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    let first = server.order_soon("CP-1", "clear_cache", json!({})).await;
    let call = charger.next_call().await;
    // The server waits for its answer, and answers others' calls meanwhile.
    lives(&mut charger).await;
    charger.status(1, "Available").await;
    assert_eq!(server.station("CP-1").await["status"], "available");
    // Its next call waits: one at a time in each direction.
    let second = server
        .order_soon("CP-1", "reset", json!({"type": "hard"}))
        .await;
    lives(&mut charger).await;
    charger.idle(std::time::Duration::from_millis(200)).await;
    charger.answer(&call, json!({"status": "Accepted"})).await;
    assert_eq!(server.ended_command(&first).await["outcome"], "accepted");
    // And the other way round: the charger's call is out when the server's arrives.
    let heartbeat = charger.send_call("Heartbeat", json!({})).await;
    charger.answer_to(&heartbeat).await.unwrap();
    let reset = charger.next_call().await;
    assert_eq!(
        (reset.action.as_str(), &reset.payload),
        ("Reset", &json!({"type": "Hard"}))
    );
    charger.answer(&reset, json!({"status": "Rejected"})).await;
    assert_eq!(server.ended_command(&second).await["outcome"], "rejected");
}

async fn a_repeated_call_is_answered_again_and_done_once(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    server.accept_tag("TAG").await;
    let start =
        json!([2, "17", "StartTransaction", {"connectorId": 1, "idTag": "TAG", "meterStart": 5}]);
    let mut answers = Vec::new();
    for _ in 0..3 {
        charger.send(start.clone()).await;
        answers.push(charger.receive().await);
    }
    // This start has no time, by which it could be known again: only its message id tells.
    assert_eq!(answers[0][0], 3, "{answers:?}");
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(server.sessions("CP-1").await.len(), 1);
    // The same id for something else is something else.
    charger.send(json!([2, "17", "Heartbeat", {}])).await;
    let answer = charger.receive().await;
    assert!(answer[2]["currentTime"].is_string(), "{answer}");
    // A refusal is repeated as well.
    for _ in 0..2 {
        charger.send(json!([2, "18", "MakeCoffee", {}])).await;
        assert_eq!(charger.receive().await[2], "NotImplemented");
    }
}

async fn before_its_boot_a_charger_is_refused_all_but_revenue(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    server.accept_tag("TAG").await;
    let mut charger = server.charger("CP-1").connect().await;
    let status = json!({"connectorId": 1, "status": "Available", "errorCode": "NoError"});
    for (action, payload) in [
        ("Heartbeat", json!({})),
        ("StatusNotification", status),
        ("Authorize", json!({"idTag": "TAG"})),
        ("DataTransfer", json!({"vendorId": "Acme"})),
        ("FirmwareStatusNotification", json!({"status": "Idle"})),
    ] {
        let refusal = charger.try_call(action, payload).await.unwrap_err();
        assert_eq!(refusal.code, "SecurityError", "{action}");
        assert!(refusal.description.contains("BootNotification"));
    }
    let station = server.station("CP-1").await;
    assert_eq!(station["evses"][0]["connectors"][0]["status"], "unknown");
    // A refusal here would make the charger drop the record.
    let id = charger.start(1, "TAG", 0, "2026-11-01T10:00:00Z").await;
    charger.meter(1, id, 50, "2026-11-01T10:10:00Z").await;
    charger.stop(id, 100, "2026-11-01T10:20:00Z").await;
    let session = server.only_session("CP-1").await;
    assert_eq!(session["billing_ready"], true);
    assert_eq!(session["meter_values"][0]["energy_wh"], 50);
    charger.boot().await;
    charger.status(1, "Available").await;
}

async fn what_the_server_asked_for_is_welcome_before_the_boot(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    server.station_when("CP-1", "online", true).await;
    let status = |status: &str| json!({"connectorId": 1, "status": status, "errorCode": "NoError"});
    let trigger = async |charger: &mut Charger, message: &str, answer: &str| {
        let order = server.order("CP-1", "trigger_message", json!({"message": message}));
        let answering = async {
            let call = charger.next_call().await;
            assert_eq!(call.action, "TriggerMessage");
            charger.answer(&call, json!({"status": answer})).await;
        };
        tokio::join!(order, answering).0["outcome"].clone()
    };
    // What the charger will not send was not asked for.
    let outcome = trigger(&mut charger, "status_notification", "Rejected").await;
    assert_eq!(outcome, "rejected");
    let refused = charger.try_call("StatusNotification", status("Available"));
    assert_eq!(refused.await.unwrap_err().code, "SecurityError");

    let outcome = trigger(&mut charger, "status_notification", "Accepted").await;
    assert_eq!(outcome, "accepted");
    // One for each of its connectors.
    for connector in [0, 1] {
        charger.status(connector, "Available").await;
    }
    assert_eq!(server.station("CP-1").await["status"], "available");
    // That, and nothing else.
    let refused = charger.try_call("Heartbeat", json!({}));
    assert_eq!(refused.await.unwrap_err().code, "SecurityError");
    let outcome = trigger(&mut charger, "heartbeat", "Accepted").await;
    assert_eq!(outcome, "accepted");
    lives(&mut charger).await;
    let refused = charger.try_call("Authorize", json!({"idTag": "TAG"}));
    assert_eq!(refused.await.unwrap_err().code, "SecurityError");
    // Not on the next connection either.
    charger.close().await;
    let mut charger = server.charger("CP-1").connect().await;
    let refused = charger.try_call("StatusNotification", status("Available"));
    assert_eq!(refused.await.unwrap_err().code, "SecurityError");
    server.station_when("CP-1", "online", true).await;
    let outcome = trigger(&mut charger, "boot_notification", "Accepted").await;
    assert_eq!(outcome, "accepted");
    charger.boot().await;
    charger.status(1, "Charging").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_frames_are_answered_or_ignored_and_the_connection_goes_on() {
    let (_server, mut charger) = ready(Backend::Sqlite).await;
    // Nothing to address an answer to, or nothing that wants one.
    let deep = "[".repeat(200_000);
    let nested = format!("{deep}{}", "]".repeat(200_000));
    for text in [
        "",
        " ",
        "null",
        "7",
        "\"text\"",
        "{}",
        "[]",
        "[2]",
        "[2,",
        "no JSON at all",
        "[3]",
        "[3,\"nobody asked\",{}]",
        "[4,\"nobody asked\",\"GenericError\",\"\",{}]",
        "[9,\"x\",{}]",
        "[5,\"x\",\"GenericError\",\"\",{}]",
        "[6,\"x\",\"Heartbeat\",{}]",
        "[99999999999999999999999,\"x\"]",
        "[2,{\"a\":1},\"Heartbeat\",{}]",
        &deep,
        &nested,
    ] {
        charger.send_text(text.to_owned()).await;
        lives(&mut charger).await;
    }
    // What can be addressed is answered: the charger would wait for it.
    let long = "x".repeat(65);
    for (text, code) in [
        (r#"[2,"a"]"#.to_owned(), "FormationViolation"),
        (r#"[2,"a",7,{}]"#.to_owned(), "FormationViolation"),
        (format!(r#"[2,"a","{long}",{{}}]"#), "FormationViolation"),
        (r#"[2,"a","MakeCoffee",{}]"#.to_owned(), "NotImplemented"),
        (
            r#"[2,"a","Authorize",{}]"#.to_owned(),
            "OccurenceConstraintViolation",
        ),
        (r#"[2,"a","Authorize",[]]"#.to_owned(), ""),
        (r#"[2,"a","Authorize","text"]"#.to_owned(), ""),
        (
            r#"[2,"a","StatusNotification",{"connectorId":[]}]"#.to_owned(),
            "",
        ),
    ] {
        charger.send_text(text.clone()).await;
        let answer = charger.receive().await;
        assert_eq!(
            (&answer[0], &answer[1]),
            (&json!(4), &json!("a")),
            "{text}: {answer}"
        );
        assert!(
            answer[2].as_str().unwrap().contains(code),
            "{text}: {answer}"
        );
        lives(&mut charger).await;
    }
    // And what can be understood is understood.
    let long = "i".repeat(100);
    for (text, id) in [
        ("[2,\"b\",\"Heartbeat\",null]".to_owned(), json!("b")),
        ("[2,\"b\",\"Heartbeat\"]".to_owned(), json!("b")),
        ("[2,7,\"Heartbeat\",{}]".to_owned(), json!("7")),
        ("[2,\"c\",\"Heartbeat\",{},\"more\"]".to_owned(), json!("c")),
        (
            "\t[ 2 , \"d\" , \"Heartbeat\" , { } ]\r\n".to_owned(),
            json!("d"),
        ),
        (format!("[2,\"{long}\",\"Heartbeat\",{{}}]"), json!(long)),
        (
            "[2,\"\\u0000'<\\\"\",\"Heartbeat\",{}]".to_owned(),
            json!("\u{0}'<\""),
        ),
    ] {
        charger.send_text(text.clone()).await;
        let answer = charger.receive().await;
        assert_eq!(
            (&answer[0], &answer[1]),
            (&json!(3), &id),
            "{text}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_and_long_payloads_are_survived() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for action in [
        "Heartbeat",
        "StatusNotification",
        "MeterValues",
        "DataTransfer",
    ] {
        let text =
            format!(r#"[2,"{action}","{action}",{{"vendorId":"A","data":{deep},"x":{deep}}}]"#);
        charger.send_text(text).await;
        // Answered, whichever way.
        let answer = charger.receive().await;
        assert_eq!(answer[1], action);
        lives(&mut charger).await;
    }
    let sample = json!({"value": "1"});
    let many: Vec<Value> = std::iter::repeat_n(sample, 50_000).collect();
    let told = json!({
        "connectorId": 1,
        "meterValue": [{"timestamp": "2026-11-01T10:00:00Z", "sampledValue": many}],
    });
    charger.call("MeterValues", told).await;
    let value = json!({"timestamp": "2026-11-01T10:00:00Z", "sampledValue": []});
    let many: Vec<Value> = std::iter::repeat_n(value, 15_000).collect();
    charger
        .call("MeterValues", json!({"connectorId": 1, "meterValue": many}))
        .await;
    assert_eq!(server.anonymous().get("/health").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_or_no_text_ends_the_connection_and_nothing_else() {
    let (server, mut witness) = ready(Backend::Sqlite).await;
    server.enter("CP-2").await;
    let too_large = "x".repeat(1024 * 1024 + 1);
    let just = format!(
        "[2,\"a\",\"Heartbeat\",{{\"x\":\"{}\"}}]",
        "x".repeat(1024 * 1024 - 64)
    );
    let part = Frame::text("x".repeat(700_000)).with_fin(false);
    let rest = || Frame::continuation("x".repeat(700_000)).with_fin(false);
    let hostile = [
        ("too large", vec![Frame::text(too_large)]),
        (
            "too large in parts",
            vec![part, rest(), rest(), rest(), rest()],
        ),
        (
            "bad UTF-8",
            vec![Frame::text(b"[2,\"\xff\xfe\",\"Heartbeat\",{}]".to_vec())],
        ),
        ("cut UTF-8", vec![Frame::text(b"[2,\"\xe2\x82".to_vec())]),
        ("bytes", vec![Frame::binary(vec![0xff_u8; 64])]),
        ("a continuation of nothing", vec![Frame::continuation("x")]),
        ("an oversized ping", vec![Frame::ping("x".repeat(200))]),
    ];
    for (what, frames) in hostile {
        let mut charger = server.charger("CP-2").connect().await;
        server.station_when("CP-2", "online", true).await;
        for frame in frames {
            charger.send_frame(frame).await;
        }
        let ended = charger.ended().await;
        if let Ended::Closed(code, _) = &ended {
            assert!((1002..=1009).contains(code), "{what}: {ended:?}");
        }
        server.station_when("CP-2", "online", false).await;
        lives(&mut witness).await;
    }
    // What is as large as allowed is not.
    let mut charger = server.charger("CP-2").connect().await;
    charger.boot().await;
    charger.send_text(just).await;
    assert_eq!(charger.receive().await[1], "a");
    // Some chargers send their text as binary.
    let text = b"[2,\"b\",\"Heartbeat\",{}]".to_vec();
    charger.send_frame(Frame::binary(text)).await;
    assert_eq!(charger.receive().await[1], "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_frame_that_unfolds_into_a_large_one_ends_the_connection() {
    let (server, mut witness) = ready(Backend::Sqlite).await;
    server.enter("CP-2").await;
    let mut charger = server.charger("CP-2").deflate().connect().await;
    charger.send_text(vec![b' '; 64 * 1024 * 1024]).await;
    charger.ended().await;
    server.station_when("CP-2", "online", false).await;
    lives(&mut witness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered_and_a_message_in_parts_is_put_together() {
    let (_server, mut charger) = ready(Backend::Sqlite).await;
    charger.send_frame(Frame::ping("are you there?")).await;
    let pong = charger.next_frame().await.unwrap();
    assert_eq!(
        (pong.opcode(), pong.payload().as_ref()),
        (OpCode::Pong, &b"are you there?"[..])
    );
    for frame in [
        Frame::text("[2,\"a\",").with_fin(false),
        Frame::ping("in between"),
        Frame::continuation("\"Heartbeat\"").with_fin(false),
        Frame::continuation(",{}]"),
    ] {
        charger.send_frame(frame).await;
    }
    assert_eq!(charger.receive().await[1], "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchanges_are_counted_by_action_and_nothing_that_is_made_up() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    lives(&mut charger).await;
    let refusal = charger.try_call("MakeCoffee", json!({})).await;
    refusal.unwrap_err();
    eventually("it is counted", async || {
        let metrics = server.metrics().await;
        let count = |labels: &[&str]| metrics.count("enchufe_ocpp_messages_total", labels);
        let heartbeats = count(&["action=\"Heartbeat\"", "received", "version=\"1.6\""]);
        let made_up = count(&["action=\"unknown\"", "error"]);
        assert!(!metrics.0.contains("MakeCoffee") && !metrics.0.contains("CP-1"));
        (heartbeats >= 1 && made_up >= 1).then_some(())
    })
    .await;
}
