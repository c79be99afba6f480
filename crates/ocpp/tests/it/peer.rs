//! The exchange, story by story.

use std::time::{Duration, Instant};

use ocpp::frame::{Body, Frame};
use ocpp::peer::{Expired, MAX_WAITING, QueueFull, Reason, Unanswered};
use ocpp::{CallError, ErrorCode, Peer, Received, Ticket, Version};
use serde_json::json;

struct Line {
    peer: Peer<&'static str>,
    start: Instant,
}

impl Line {
    fn new(version: Version) -> Self {
        Self {
            peer: Peer::new(version),
            start: Instant::now(),
        }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// Calls with the token as message id, and says whether the frame goes out now.
    fn call(&mut self, token: &'static str, deadline: u64) -> bool {
        let deadline = self.at(deadline);
        let frame = self
            .peer
            .call(token, token, "ClearCache", &json!({}), deadline)
            .unwrap();
        frame.is_some_and(|frame| id(&frame) == token)
    }

    /// What a text comes to, in a line.
    fn receive(&mut self, text: &str) -> String {
        match self.peer.receive(text, self.start) {
            Received::Call(call) => format!("call {} {}", call.action, call.payload),
            Received::Send { action, payload } => format!("send {action} {payload}"),
            Received::Answered {
                token,
                result,
                next,
            } => {
                let result = result.map_or_else(|error| error.to_string(), str::to_owned);
                format!("{token}: {result}, next {:?}", next.as_deref().map(id))
            }
            Received::Reply { frame, reason } => format!("reply {frame} because {reason}"),
            Received::Ignored(reason) => format!("ignored because {reason}"),
        }
    }

    fn take(&mut self, text: &str) -> Ticket {
        match self.peer.receive(text, self.start) {
            Received::Call(call) => call.ticket,
            other => panic!("{text} is {other:?}"),
        }
    }
}

fn id(frame: &str) -> String {
    let frame = Frame::parse(frame).unwrap();
    assert!(matches!(frame.body, Body::Call { .. }));
    frame.id.into_owned()
}

#[test]
fn calls_go_out_one_at_a_time() {
    let mut line = Line::new(Version::V16);
    assert!(line.call("a", 30));
    assert!(!line.call("b", 30));
    assert!(!line.call("c", 30));
    assert_eq!(
        line.receive(r#"[3,"a",{"x":1}]"#),
        r#"a: {"x":1}, next Some("b")"#
    );
    assert_eq!(
        line.receive(r#"[4,"b","NotSupported","no",{}]"#),
        r#"b: NotSupported: no, next Some("c")"#
    );
    assert_eq!(line.receive(r#"[3,"c",{}]"#), "c: {}, next None");
    assert!(line.call("d", 30));
}

#[test]
fn calls_of_both_sides_cross() {
    let mut line = Line::new(Version::V16);
    assert!(line.call("1", 30));
    let ticket = line.take(r#"[2,"1","Heartbeat",{}]"#);
    assert_eq!(line.receive(r#"[3,"1",{}]"#), "1: {}, next None");
    assert_eq!(line.peer.answer(ticket, &json!({})), r#"[3,"1",{}]"#);
}

#[test]
fn an_answer_to_nothing_is_ignored() {
    let mut line = Line::new(Version::V16);
    let ignored = "ignored because there is no such call outstanding";
    assert_eq!(line.receive(r#"[3,"a",{}]"#), ignored);
    line.call("a", 30);
    line.call("b", 30);
    assert_eq!(
        line.receive(r#"[3,"b",{}]"#),
        ignored,
        "b has not been sent yet"
    );
    assert_eq!(line.receive(r#"[4,"x","GenericError","",{}]"#), ignored);
    assert_eq!(line.receive(r#"[3,"a",{}]"#), r#"a: {}, next Some("b")"#);
}

#[test]
fn a_call_that_times_out_makes_room_and_its_late_answer_is_ignored() {
    let mut line = Line::new(Version::V16);
    line.call("a", 10);
    line.call("b", 30);
    assert_eq!(line.peer.next_deadline(), Some(line.at(10)));
    assert_eq!(
        line.peer.expire(line.at(9)),
        Expired {
            calls: vec![],
            next: None
        }
    );

    let expired = line.peer.expire(line.at(10));
    assert_eq!(
        expired.calls,
        [Unanswered {
            token: "a",
            sent: true
        }]
    );
    assert_eq!(id(&expired.next.unwrap()), "b");
    assert_eq!(line.peer.next_deadline(), Some(line.at(30)));
    assert_eq!(
        line.receive(r#"[3,"a",{}]"#),
        "ignored because there is no such call outstanding"
    );
    assert_eq!(line.receive(r#"[3,"b",{}]"#), "b: {}, next None");
    assert_eq!(line.peer.next_deadline(), None);
}

#[test]
fn a_call_that_waited_too_long_is_never_sent() {
    let mut line = Line::new(Version::V16);
    line.call("a", 30);
    line.call("b", 10);
    line.call("c", 30);
    // The answer to `a` arrives after `b`'s deadline, and before anybody looked at the clock.
    match line
        .peer
        .receive(r#"[3,"a",{}]"#, line.start + Duration::from_secs(11))
    {
        Received::Answered {
            token: "a",
            next: Some(next),
            ..
        } => assert_eq!(id(&next), "c"),
        other => panic!("{other:?}"),
    }
    let expired = line.peer.expire(line.at(11));
    assert_eq!(
        expired.calls,
        [Unanswered {
            token: "b",
            sent: false
        }]
    );
    assert_eq!(expired.next, None);
}

#[test]
fn a_full_queue_gives_the_token_back() {
    let mut line = Line::new(Version::V16);
    for _ in 0..=MAX_WAITING {
        line.call("a", 30);
    }
    let deadline = line.at(30);
    let refused = line
        .peer
        .call("last", "last", "ClearCache", &json!({}), deadline);
    assert_eq!(refused, Err(QueueFull("last")));
}

#[test]
fn closing_hands_back_what_is_open_and_tells_what_was_sent() {
    let mut line = Line::new(Version::V16);
    line.call("a", 30);
    line.call("b", 30);
    line.receive(r#"[3,"a",{}]"#);
    line.call("c", 30);
    let left: Vec<_> = line.peer.close().collect();
    assert_eq!(
        left,
        [
            Unanswered {
                token: "b",
                sent: true
            },
            Unanswered {
                token: "c",
                sent: false
            }
        ]
    );
}

#[test]
fn a_repeated_call_is_answered_with_the_stored_answer() {
    let mut line = Line::new(Version::V16);
    let start = r#"[2,"7","StartTransaction",{"connectorId":1}]"#;
    let ticket = line.take(start);
    assert_eq!(
        line.receive(start),
        "ignored because the call is being worked on"
    );

    let answer = line.peer.answer(ticket, &json!({"transactionId": 5}));
    let replay = format!("reply {answer} because the call was answered before");
    assert_eq!(line.receive(start), replay);

    // A heartbeat in between does not make it forget.
    let heartbeat = line.take(r#"[2,"8","Heartbeat",{}]"#);
    let _ = line.peer.answer(heartbeat, &json!({}));
    assert_eq!(line.receive(start), replay);
}

#[test]
fn a_refusal_is_repeated_too() {
    let mut line = Line::new(Version::V16);
    let call = r#"[2,"7","Nonsense",{}]"#;
    let ticket = line.take(call);
    assert_eq!(ticket.id(), "7");
    let error = CallError::new(ErrorCode::NotImplemented, "");
    let refusal = line.peer.refuse(ticket, &error);
    assert_eq!(refusal, r#"[4,"7","NotImplemented","",{}]"#);
    assert_eq!(
        line.receive(call),
        format!("reply {refusal} because the call was answered before")
    );
}

#[test]
fn an_id_reused_for_something_else_is_a_new_call() {
    let mut line = Line::new(Version::V16);
    for (text, expect) in [
        (
            r#"[2,"0","StatusNotification",{"connectorId":1}]"#,
            r#"{"connectorId":1}"#,
        ),
        (
            r#"[2,"0","StatusNotification",{"connectorId":2}]"#,
            r#"{"connectorId":2}"#,
        ),
    ] {
        assert_eq!(
            line.receive(text),
            format!("call StatusNotification {expect}")
        );
    }
    assert_eq!(
        line.receive(r#"[2,"0","Heartbeat",{}]"#),
        "call Heartbeat {}"
    );
}

#[test]
fn a_huge_answer_is_not_stored() {
    let mut line = Line::new(Version::V16);
    let call = r#"[2,"7","GetConfiguration",{}]"#;
    let ticket = line.take(call);
    let _ = line.peer.answer(ticket, &json!({"data": "x".repeat(1000)}));
    assert_eq!(line.receive(call), "call GetConfiguration {}");
}

#[test]
fn each_version_has_its_message_types() {
    let check = |version, text: &str, expect: &str| {
        assert_eq!(Line::new(version).receive(text), expect, "{version} {text}");
    };
    let send = r#"[6,"1","NotifyPeriodicEventStream",{}]"#;
    check(
        Version::V16,
        send,
        "ignored because the message type is unknown",
    );
    check(
        Version::V201,
        send,
        r#"reply [4,"1","MessageTypeNotSupported","the message type is unknown",{}] because the message type is unknown"#,
    );
    check(Version::V21, send, "send NotifyPeriodicEventStream {}");

    let complaint = r#"[5,"1","FormatViolation","no",{}]"#;
    check(
        Version::V16,
        complaint,
        "ignored because the message type is unknown",
    );
    check(
        Version::V21,
        complaint,
        "ignored because the answer was refused: FormatViolation: no",
    );
}

#[test]
fn a_broken_frame_is_answered_or_ignored() {
    let mut line = Line::new(Version::V16);
    let text = "nonsense";
    let Received::Ignored(Reason::Malformed(error)) = line.peer.receive(text, line.start) else {
        panic!("{text} was not ignored");
    };
    assert_eq!(error.to_string(), "the frame is not a JSON array");
    assert_eq!(
        line.receive(r#"[2,"1","Heartbeat",{]"#),
        r#"reply [4,"1","FormationViolation","the frame is not a JSON array",{}] because the frame is not a JSON array"#
    );
}

#[test]
fn an_idle_peer_is_small() {
    // A server keeps one for every charger.
    assert!(size_of::<Peer<u64>>() <= 160, "{}", size_of::<Peer<u64>>());
}
