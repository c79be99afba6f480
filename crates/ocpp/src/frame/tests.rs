//! Frames read and written, case by case.

use super::*;

/// A frame in a line: what it is, what it holds, and what was odd about it.
fn read(text: &str) -> String {
    let frame = match Frame::parse(text) {
        Ok(frame) => frame,
        Err(error) => return format!("{:?} to {:?}", error.fault, error.id),
    };
    let id = &frame.id;
    let body = match &frame.body {
        Body::Call { action, payload } => format!("call {id} {action} {payload}"),
        Body::Send { action, payload } => format!("send {id} {action} {payload}"),
        Body::CallResult { payload } => format!("result {id} {payload}"),
        Body::CallError(error) => format!("error {id} {error} {}", error.details()),
        Body::CallResultError(error) => format!("result error {id} {error}"),
    };
    if frame.deviations.is_empty() {
        body
    } else {
        format!("{body} ({})", frame.deviations)
    }
}

#[test]
fn frames_are_read_by_their_type() {
    let check = |text: &str, expect: &str| assert_eq!(read(text), expect, "{text}");
    check(r#"[2,"1","Heartbeat",{}]"#, "call 1 Heartbeat {}");
    check(
        r#" [ 2 , "1" , "Reset" , {"type": "Hard"} ] "#,
        r#"call 1 Reset {"type": "Hard"}"#,
    );
    check(r#"[3,"1",{"a":[1]}]"#, r#"result 1 {"a":[1]}"#);
    check(
        r#"[4,"1","NotSupported","no",{"a":1}]"#,
        r#"error 1 NotSupported: no {"a":1}"#,
    );
    check(
        r#"[5,"1","FormatViolation","no",{}]"#,
        "result error 1 FormatViolation: no",
    );
    check(
        r#"[6,"1","NotifyPeriodicEventStream",{}]"#,
        "send 1 NotifyPeriodicEventStream {}",
    );
    check(r#"[2,"a\u0062\"","x\/y",{}]"#, r#"call ab" x/y {}"#);
}

#[test]
fn what_can_be_understood_is_accepted() {
    let check = |text: &str, expect: &str| assert_eq!(read(text), expect, "{text}");
    check(r#"[2,"1","Heartbeat",null]"#, "call 1 Heartbeat {}");
    check(
        r#"[2,"1","Heartbeat"]"#,
        "call 1 Heartbeat {} (payload: missing)",
    );
    check(r#"[3,"1"]"#, "result 1 {} (payload: missing)");
    check(
        r#"[2,17,"Heartbeat",{}]"#,
        "call 17 Heartbeat {} (messageId: wrong type)",
    );
    check(r#"["2","1","Heartbeat",{}]"#, "call 1 Heartbeat {}");
    check(r#"[3,"1",{},null,7,8]"#, "result 1 {} (frame: too many)");
    check(
        r#"[4,"1"]"#,
        "error 1 GenericError:  {} (errorCode: missing)",
    );
    check(r#"[4,"1","OnFire","",null]"#, "error 1 OnFire:  {}");
    let long = "x".repeat(37);
    check(
        &format!(r#"[3,"{long}",{{}}]"#),
        &format!("result {long} {{}} (messageId: too long)"),
    );
    let accented = "é".repeat(36);
    check(
        &format!(r#"[3,"{accented}",{{}}]"#),
        &format!("result {accented} {{}}"),
    );
}

#[test]
fn what_cannot_be_understood_says_whom_to_answer() {
    let check = |text: &str, expect: &str| assert_eq!(read(text), expect, "{text}");
    check("", "NotAnArray to None");
    check("{}", "NotAnArray to None");
    check("[2", "NotAnArray to None");
    check(r#"[2,"1","Heartbeat",{"a"#, r#"NotAnArray to Some("1")"#);
    check(r#"[2,"1","Heartbeat",{}] []"#, r#"NotAnArray to Some("1")"#);
    check("[]", "UnknownType to None");
    check(r#"[7,"1",{}]"#, r#"UnknownType to Some("1")"#);
    check(r#"[2.5,"1",{}]"#, r#"UnknownType to Some("1")"#);
    check(r#"[2,{},"Heartbeat",{}]"#, "Id to None");
    check(r#"[2,"\ud800","Heartbeat",{}]"#, "Id to None");
    check(
        &format!(r#"[2,"{}","Heartbeat",{{}}]"#, "x".repeat(256)),
        "Id to None",
    );
    check(r#"[2,"1",5,{}]"#, r#"Action to Some("1")"#);
    check(r#"[2,"1"]"#, r#"Action to Some("1")"#);
    check(
        &format!(r#"[2,"1","{}",{{}}]"#, "x".repeat(65)),
        r#"Action to Some("1")"#,
    );
    check(&" ".repeat(MAX_FRAME_BYTES + 1), "TooLarge to None");
    check(&"[".repeat(MAX_FRAME_BYTES), "NotAnArray to None");
}

#[test]
fn a_broken_frame_is_answered_as_its_version_wants() {
    let check = |text: &str, version, expect: Option<&str>| {
        let answer = Frame::parse(text).unwrap_err().answer(version);
        assert_eq!(answer.as_deref(), expect, "{text}");
    };
    let unknown_type = r#"[7,"1",{}]"#;
    check(unknown_type, Version::V16, None);
    check(
        unknown_type,
        Version::V201,
        Some(r#"[4,"1","MessageTypeNotSupported","the message type is unknown",{}]"#),
    );
    let broken = r#"[2,"1","Heartbeat",{"#;
    check(
        broken,
        Version::V16,
        Some(r#"[4,"1","FormationViolation","the frame is not a JSON array",{}]"#),
    );
    let no_id = r#"[2,null,"Heartbeat",{}]"#;
    check(no_id, Version::V16, None);
    check(
        no_id,
        Version::V21,
        Some(r#"[4,"-1","RpcFrameworkError","the message id is unreadable",{}]"#),
    );
    for answer in [
        r#"[3,"1",{"#,
        r#"[4,null,"GenericError","",{}]"#,
        r#"[6,"1"]"#,
    ] {
        check(answer, Version::V201, None);
    }
}

#[test]
fn frames_are_written_as_the_specification_shows_them() {
    let error = CallError::new(ErrorCode::FormatViolation, "no \"x\"");
    let payload = serde_json::json!({"a": 1});
    assert_eq!(call("1", "Reset", &payload), r#"[2,"1","Reset",{"a":1}]"#);
    assert_eq!(call_result("1", &payload), r#"[3,"1",{"a":1}]"#);
    assert_eq!(
        call_error(Version::V16, "1", &error),
        r#"[4,"1","FormationViolation","no \"x\"",{}]"#
    );
    assert_eq!(
        call_result_error("1", &error.with_details(r#"{"b":[]}"#)),
        r#"[5,"1","FormatViolation","no \"x\"",{"b":[]}]"#
    );
    assert_eq!(send("1", "Notify", &payload), r#"[6,"1","Notify",{"a":1}]"#);
}
