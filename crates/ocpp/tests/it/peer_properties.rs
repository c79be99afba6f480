//! Whatever happens on the line, one call is outstanding at most, and every token comes back once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ocpp::frame::{Body, Frame};
use ocpp::peer::{QueueFull, Unanswered};
use ocpp::{CallError, ErrorCode, Peer, Received, Ticket, Version};
use proptest::prelude::*;
use serde_json::json;

#[derive(Clone, Debug)]
enum Step {
    Call { patience: u64 },
    Wait { seconds: u64 },
    ExpireAfter { seconds: u64 },
    TheyAnswer,
    TheyRefuse,
    TheyAnswerSomethingElse { token: usize },
    TheyCall { id: u8, variant: u8 },
    WeAnswer,
    WeRefuse,
    Nonsense { text: String },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u64..40).prop_map(|patience| Step::Call { patience }),
        2 => (0_u64..20).prop_map(|seconds| Step::Wait { seconds }),
        2 => (0_u64..20).prop_map(|seconds| Step::ExpireAfter { seconds }),
        4 => Just(Step::TheyAnswer),
        1 => Just(Step::TheyRefuse),
        1 => (0_usize..20).prop_map(|token| Step::TheyAnswerSomethingElse { token }),
        3 => (0_u8..3, 0_u8..2).prop_map(|(id, variant)| Step::TheyCall { id, variant }),
        2 => Just(Step::WeAnswer),
        1 => Just(Step::WeRefuse),
        1 => ".{0,20}".prop_map(|text| Step::Nonsense { text }),
    ]
}

/// Watches the line from outside, as the other end would.
struct Observer {
    peer: Peer<usize>,
    now: Instant,
    made: usize,
    outstanding: Option<usize>,
    sent: HashSet<usize>,
    returned: HashSet<usize>,
    tickets: Vec<Ticket>,
}

impl Observer {
    fn new() -> Self {
        Self {
            peer: Peer::new(Version::V16),
            now: Instant::now(),
            made: 0,
            outstanding: None,
            sent: HashSet::new(),
            returned: HashSet::new(),
            tickets: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Call { patience } => {
                let token = self.made;
                self.made += 1;
                let deadline = self.now + Duration::from_secs(patience);
                let id = token.to_string();
                match self
                    .peer
                    .call(token, id, "ClearCache", &json!({}), deadline)
                {
                    Ok(frame) => self.went_out(frame),
                    Err(QueueFull(token)) => self.came_back(token),
                }
            }
            Step::Wait { seconds } => self.now += Duration::from_secs(seconds),
            Step::ExpireAfter { seconds } => {
                self.now += Duration::from_secs(seconds);
                let expired = self.peer.expire(self.now);
                for call in expired.calls {
                    self.ended_unanswered(call);
                }
                self.went_out(expired.next);
                assert!(
                    self.peer
                        .next_deadline()
                        .is_none_or(|deadline| deadline > self.now)
                );
            }
            Step::TheyAnswer => self.they_answer(|id| format!(r#"[3,"{id}",{{}}]"#)),
            Step::TheyRefuse => {
                self.they_answer(|id| format!(r#"[4,"{id}","GenericError","",{{}}]"#));
            }
            Step::TheyAnswerSomethingElse { token } => {
                if self.outstanding != Some(token) {
                    let text = format!(r#"[3,"{token}",{{}}]"#);
                    let received = self.peer.receive(&text, self.now);
                    assert!(matches!(received, Received::Ignored(_)), "{received:?}");
                }
            }
            Step::TheyCall { id, variant } => {
                let text = format!(r#"[2,"{id}","Heartbeat",{{"x":{variant}}}]"#);
                match self.peer.receive(&text, self.now) {
                    Received::Call(call) => self.tickets.push(call.ticket),
                    Received::Reply { frame, .. } => {
                        assert_eq!(Frame::parse(&frame).unwrap().id, id.to_string());
                    }
                    Received::Ignored(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            Step::WeAnswer => {
                if let Some(ticket) = self.tickets.pop() {
                    let _ = self.peer.answer(ticket, &json!({}));
                }
            }
            Step::WeRefuse => {
                if let Some(ticket) = self.tickets.pop() {
                    let error = CallError::new(ErrorCode::InternalError, "");
                    let _ = self.peer.refuse(ticket, &error);
                }
            }
            Step::Nonsense { text } => {
                let received = self.peer.receive(&text, self.now);
                assert!(matches!(received, Received::Ignored(_)), "{received:?}");
            }
        }
    }

    fn they_answer(&mut self, frame: impl FnOnce(usize) -> String) {
        let Some(outstanding) = self.outstanding else {
            return;
        };
        match self.peer.receive(&frame(outstanding), self.now) {
            Received::Answered { token, next, .. } => {
                assert_eq!(token, outstanding);
                self.outstanding = None;
                self.came_back(token);
                self.went_out(next);
            }
            other => panic!("{other:?}"),
        }
    }

    fn went_out(&mut self, frame: Option<String>) {
        let Some(frame) = frame else { return };
        let frame = Frame::parse(&frame).unwrap();
        assert!(matches!(frame.body, Body::Call { .. }));
        assert_eq!(self.outstanding, None, "two calls are outstanding");
        let token = frame.id.parse().unwrap();
        assert!(
            !self.returned.contains(&token),
            "a call that had ended was sent"
        );
        assert!(self.sent.insert(token), "a call was sent twice");
        self.outstanding = Some(token);
    }

    fn ended_unanswered(&mut self, call: Unanswered<usize>) {
        assert_eq!(call.sent, self.sent.contains(&call.token));
        if self.outstanding == Some(call.token) {
            self.outstanding = None;
        }
        self.came_back(call.token);
    }

    fn came_back(&mut self, token: usize) {
        assert!(self.returned.insert(token), "a token came back twice");
    }
}

proptest! {
    #[test]
    fn every_call_ends_once_and_one_is_outstanding(steps in prop::collection::vec(step(), 0..80)) {
        let mut line = Observer::new();
        for step in steps {
            line.take(step);
        }
        let peer = std::mem::replace(&mut line.peer, Peer::new(Version::V16));
        for call in peer.close() {
            line.ended_unanswered(call);
        }
        prop_assert_eq!(line.returned.len(), line.made);
        prop_assert_eq!(line.outstanding, None);
    }
}
