//! What chargers really send, and what is made of it.

use ocpp::v16::{
    ChargePointErrorCode, ChargePointStatus, ChargerCall, ChargerConf, GetConfigurationConf,
    KeyValue, MAX_METER_VALUES, MAX_SAMPLED_VALUES, MeterValues, Reason, ServerCall, ServerConf,
    StartTransaction, StatusNotification, StopTransaction,
};
use ocpp::{CallError, Message};

/// Reads a charger's call and compares it with what is understood and what is noted.
fn check(payload: &str, expect: impl Into<ChargerCall>, deviations: &str) {
    let expect = expect.into();
    let read = ChargerCall::parse(expect.action(), payload).unwrap();
    assert_eq!(read.message, expect, "{payload}");
    assert_eq!(read.deviations.to_string(), deviations, "{payload}");
}

fn refusal(action: &str, payload: &str) -> String {
    ChargerCall::parse(action, payload).unwrap_err().to_string()
}

fn start() -> StartTransaction {
    StartTransaction {
        connector_id: Some(1),
        id_tag: Some("TAG".into()),
        meter_start: Some(12),
        reservation_id: None,
        timestamp: Some("2026-11-21T08:00:00Z".parse().unwrap()),
    }
}

#[test]
fn a_start_is_understood_in_many_dialects() {
    check(
        r#"{"connectorId":1,"idTag":"TAG","meterStart":12,"timestamp":"2026-11-21T08:00:00Z"}"#,
        start(),
        "",
    );
    check(
        r#"{"connectorId":"1","idTag":"TAG","meterStart":12.0,"timestamp":"2026-11-21T08:00:00",
            "reservationId":null,"vendorExtra":{"a":1}}"#,
        start(),
        "connectorId: wrong type, meterStart: wrong type, reservationId: null, \
         timestamp: no time zone",
    );
    check(
        r#"{"connectorId":1.0,"idTag":"TAG","meterStart":"11.6","timestamp":1795248000}"#,
        start(),
        "connectorId: wrong type, meterStart: rounded, timestamp: wrong type",
    );
    check(
        r#"{"connectorId":1,"idTag":"T\u0041G\u0000","meterStart":12,"timestamp":"2026-11-21T08:00:00Z"}"#,
        start(),
        "idTag: contains NUL",
    );
    check(
        r#"{"connectorId":9,"connectorId":1,"idTag":"TAG","meterStart":12,"timestamp":"2026-11-21T08:00:00Z"}"#,
        start(),
        "",
    );
}

#[test]
fn a_record_of_a_charge_is_kept_whatever_it_lacks() {
    check(
        "{}",
        StartTransaction::default(),
        "connectorId: missing, idTag: missing, meterStart: missing, timestamp: missing",
    );
    check(
        r#"{"connectorId":[],"idTag":{},"meterStart":"much","timestamp":"yesterday"}"#,
        StartTransaction::default(),
        "connectorId: unreadable, idTag: unreadable, meterStart: unreadable, \
         timestamp: unreadable",
    );
    check(
        r#"{"transactionId":-1,"reason":"Bored","transactionData":"none"}"#,
        StopTransaction {
            transaction_id: Some(-1),
            reason: Some(Reason::Unknown("Bored".into())),
            ..StopTransaction::default()
        },
        "meterStop: missing, timestamp: missing, reason: unknown word, \
         transactionData: wrong type, transactionData: unreadable",
    );
    check(
        r#"{"connectorId":1634030126}"#,
        MeterValues {
            connector_id: Some(1_634_030_126),
            ..MeterValues::default()
        },
        "",
    );
}

#[test]
fn only_what_is_no_object_is_refused_of_a_record() {
    for payload in ["[]", "7", r#""""#, "null", "{", ""] {
        assert_eq!(
            refusal("StopTransaction", payload),
            "FormatViolation: the payload is not a JSON object"
        );
    }
}

#[test]
fn a_status_needs_a_connector_and_a_state() {
    check(
        r#"{"connectorId":0,"errorCode":"NoError","status":"Available"}"#,
        StatusNotification::new(0, ChargePointStatus::Available),
        "",
    );
    check(
        r#"{"connectorId":1,"status":"CHARGING"}"#,
        StatusNotification::new(1, ChargePointStatus::Charging),
        "errorCode: missing, status: letter case",
    );
    check(
        r#"{"connectorId":1,"status":"Occupied","errorCode":"E17"}"#,
        StatusNotification {
            error_code: ChargePointErrorCode::Unknown("E17".into()),
            ..StatusNotification::new(1, ChargePointStatus::Unknown("Occupied".into()))
        },
        "errorCode: unknown word, status: unknown word",
    );

    let check = |payload: &str, expect: &str| {
        assert_eq!(refusal("StatusNotification", payload), expect, "{payload}");
    };
    check(
        r#"{"status":"Available"}"#,
        "OccurrenceConstraintViolation: connectorId: missing",
    );
    check(
        r#"{"connectorId":null,"status":"Available"}"#,
        "OccurrenceConstraintViolation: connectorId: missing",
    );
    check(
        r#"{"connectorId":"one","status":"Available"}"#,
        "TypeConstraintViolation: connectorId: unreadable",
    );
    check(
        r#"{"connectorId":1,"status":4}"#,
        "TypeConstraintViolation: status: unreadable",
    );
}

#[test]
fn an_action_nobody_knows_is_not_implemented() {
    assert_eq!(
        refusal("Reset", "{}"),
        "NotImplemented: Reset is not known here"
    );
    assert_eq!(
        refusal("heartbeat", "{}"),
        "NotImplemented: heartbeat is not known here"
    );
}

#[test]
fn long_text_is_kept_and_very_long_text_is_cut() {
    let read = |length: usize| {
        let payload = format!(r#"{{"idTag":"{}"}}"#, "ñ".repeat(length));
        let parsed = ChargerCall::parse("Authorize", &payload).unwrap();
        let ChargerCall::Authorize(authorize) = parsed.message else {
            panic!("{payload}")
        };
        (
            authorize.id_tag.chars().count(),
            parsed.deviations.to_string(),
        )
    };
    assert_eq!(read(20), (20, String::new()));
    assert_eq!(read(25), (25, "idTag: too long".into()));
    assert_eq!(read(10_000), (256, "idTag: too long".into()));
}

#[test]
fn lists_are_bounded() {
    let samples = vec![r#"{"value":"1"}"#; MAX_SAMPLED_VALUES + 1].join(",");
    let value = format!(r#"{{"timestamp":"2026-11-21T08:00:00Z","sampledValue":[{samples}]}}"#);
    let few = format!(r#"{{"connectorId":1,"meterValue":[{value}]}}"#);
    let read = MeterValues::parse(&few).unwrap();
    assert_eq!(
        read.message.meter_value[0].sampled_value.len(),
        MAX_SAMPLED_VALUES
    );
    assert_eq!(read.deviations.to_string(), "sampledValue: too many");

    let many = vec![r#"{"sampledValue":[]}"#; MAX_METER_VALUES + 1].join(",");
    let many = format!(r#"{{"connectorId":1,"meterValue":[{many}]}}"#);
    let read = MeterValues::parse(&many).unwrap();
    assert_eq!(read.message.meter_value.len(), MAX_METER_VALUES);
    assert_eq!(
        read.deviations.to_string(),
        "meterValue: too many, timestamp: missing"
    );
}

#[test]
fn deep_nesting_is_survived() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for field in ["meterValue", "connectorId", "extra"] {
        let payload = format!(r#"{{"{field}":{nested}}}"#);
        let read = MeterValues::parse(&payload).unwrap();
        assert_eq!(read.message, MeterValues::default());
    }
}

#[test]
fn meter_values_survive_a_bad_element() {
    let payload = r#"{"connectorId":1,"meterValue":[7,null,"x",[1],
        {"timestamp":"?","sampledValue":{"value":5,"unit":"kWh","phase":null}}]}"#;
    let read = MeterValues::parse(payload).unwrap();
    assert_eq!(read.message.meter_value.len(), 1);
    assert_eq!(read.message.meter_value[0].energy_wh(), Some(5000));
    assert_eq!(
        read.deviations.to_string(),
        "meterValue: unreadable, timestamp: unreadable, sampledValue: wrong type, \
         value: wrong type, phase: null"
    );
}

#[test]
fn data_that_is_no_text_is_kept_as_json() {
    let payload = r#"{"vendorId":"ACME","data":{"a":[1,2]}}"#;
    let read = ChargerCall::parse("DataTransfer", payload).unwrap();
    let ChargerCall::DataTransfer(transfer) = read.message else {
        panic!("{payload}")
    };
    assert_eq!(transfer.data.as_deref(), Some(r#"{"a":[1,2]}"#));
    assert_eq!(read.deviations.to_string(), "data: wrong type");
}

#[test]
fn a_charger_answers_in_its_own_words() {
    let check = |action: &str, payload: &str| {
        ChargerConf::parse(action, payload).map(|read| read.deviations.to_string())
    };
    assert_eq!(
        check("Reset", r#"{"status":"Accepted"}"#),
        Ok(String::new())
    );
    assert_eq!(
        check("Reset", r#"{"status":"accepted"}"#),
        Ok("status: letter case".into())
    );
    assert_eq!(
        check("Reset", r#"{"status":"Scheduled"}"#),
        Ok("status: unknown word".into())
    );
    let missing: CallError = check("Reset", "{}").unwrap_err();
    assert_eq!(
        missing.to_string(),
        "OccurrenceConstraintViolation: status: missing"
    );
}

#[test]
fn a_configuration_is_read_setting_by_setting() {
    let payload = r#"{"configurationKey":[{"key":"HeartbeatInterval","readonly":"false","value":300},
        {"readonly":true},{"key":"AuthorizationKey"}],"unknownKey":["Foo"]}"#;
    let read = ChargerConf::parse("GetConfiguration", payload).unwrap();
    let setting = |key: &str, value: Option<&str>| KeyValue {
        key: key.into(),
        readonly: false,
        value: value.map(Into::into),
    };
    let expect = GetConfigurationConf {
        configuration_key: vec![
            setting("HeartbeatInterval", Some("300")),
            setting("AuthorizationKey", None),
        ],
        unknown_key: vec!["Foo".into()],
    };
    assert_eq!(read.message, ChargerConf::GetConfiguration(expect));
    assert_eq!(
        read.deviations.to_string(),
        "readonly: wrong type, value: wrong type, key: missing, readonly: missing"
    );
}

#[test]
fn a_charger_refuses_an_order_it_does_not_understand() {
    let refusal =
        |action: &str, payload: &str| ServerCall::parse(action, payload).unwrap_err().to_string();
    assert_eq!(
        refusal("Reset", r#"{"type":"Gently"}"#),
        "PropertyConstraintViolation: type: unknown word"
    );
    assert_eq!(
        refusal("Heartbeat", "{}"),
        "NotImplemented: Heartbeat is not known here"
    );
    assert_eq!(
        ServerConf::parse("Authorize", r#"{"idTagInfo":{}}"#)
            .unwrap_err()
            .to_string(),
        "OccurrenceConstraintViolation: status: missing"
    );
}
