//! Any text is survived, and every frame that is written reads back.

use ocpp::frame::{self, Body, Frame};
use ocpp::{CallError, ErrorCode, Version, v16};
use proptest::prelude::*;
use serde_json::{Value, json};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(field_name(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Names the messages really have, so that their readers are reached.
const FIELDS: [&str; 25] = [
    "connectorId",
    "idTag",
    "status",
    "errorCode",
    "timestamp",
    "meterStart",
    "meterStop",
    "meterValue",
    "sampledValue",
    "value",
    "unit",
    "phase",
    "measurand",
    "transactionData",
    "transactionId",
    "configurationKey",
    "key",
    "readonly",
    "idTagInfo",
    "data",
    "vendorId",
    "type",
    "interval",
    "currentTime",
    "reason",
];

fn field_name() -> impl Strategy<Value = String> {
    prop_oneof![8 => prop::sample::select(&FIELDS[..]).prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn every_action() -> impl Strategy<Value = &'static str> {
    let actions: Vec<_> = v16::ChargerCall::ACTIONS
        .iter()
        .chain(v16::ServerCall::ACTIONS)
        .copied()
        .collect();
    prop::sample::select(actions)
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".*") {
        let _ = Frame::parse(&text);
    }

    #[test]
    fn any_array_is_survived(elements in prop::collection::vec(any_json(), 0..7)) {
        let text = Value::from(elements).to_string();
        let _ = Frame::parse(&text);
    }

    #[test]
    fn a_frame_cut_anywhere_is_survived(cut in 0_usize..64) {
        let text = r#"[4,"1234","GenericError","Größe falsch",{"a":[1,"\u00e9"]}]"#;
        if let Some(start) = text.get(..cut.min(text.len())) {
            let _ = Frame::parse(start);
        }
    }

    #[test]
    fn a_call_reads_back(id in ".{1,36}", action in "[A-Za-z]{1,64}", payload in any_json()) {
        let text = frame::call(&id, &action, &payload);
        let frame = Frame::parse(&text).unwrap();
        prop_assert_eq!(&frame.id, &id);
        let Body::Call { action: read, payload: json } = frame.body else { panic!("{text}") };
        prop_assert_eq!(read, action);
        let expect = if payload.is_null() { json!({}) } else { payload };
        prop_assert_eq!(serde_json::from_str::<Value>(json).unwrap(), expect);
        prop_assert!(frame.deviations.is_empty());
    }

    #[test]
    fn an_error_reads_back(id in ".{1,36}", description in ".{0,300}") {
        let error = CallError::new(ErrorCode::OccurrenceConstraintViolation, description);
        for version in Version::ALL {
            let text = frame::call_error(version, &id, &error);
            let frame = Frame::parse(&text).unwrap();
            prop_assert_eq!(frame.body, Body::CallError(error.clone()));
        }
    }

    #[test]
    fn any_payload_is_survived(action in every_action(), payload in any_json()) {
        let payload = payload.to_string();
        let _ = v16::ChargerCall::parse(action, &payload);
        let _ = v16::ServerConf::parse(action, &payload);
        let _ = v16::ServerCall::parse(action, &payload);
        let _ = v16::ChargerConf::parse(action, &payload);
    }

    /// A refusal would make the charger drop the record of a charge.
    #[test]
    fn records_of_a_charge_are_never_refused(payload in any_json()) {
        if payload.is_object() {
            for action in ["StartTransaction", "StopTransaction", "MeterValues"] {
                prop_assert!(v16::ChargerCall::parse(action, &payload.to_string()).is_ok());
            }
        }
    }
}
