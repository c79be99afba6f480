//! Every message that is written is held against the schemas of the Open Charge Alliance, as the
//! Python package `ocpp` ships them. They are not ours to copy, so they are read from there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ocpp::v16::*;
use serde::Serialize;
use serde_json::Value;

const HOW_TO_GET_THEM: &str =
    "`make test` provides the Python package they are in; OCPP_SCHEMAS names its directory.";

/// The directory of the Python package.
fn package() -> PathBuf {
    if let Some(directory) = std::env::var_os("OCPP_SCHEMAS") {
        return directory.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pythons = fs::read_dir(root.join(".testenv/python/lib"))
        .into_iter()
        .flatten()
        .flatten();
    pythons
        .map(|python| python.path().join("site-packages/ocpp"))
        .find(|package| package.is_dir())
        .unwrap_or_else(|| panic!("The OCPP schemas are not here. {HOW_TO_GET_THEM}"))
}

fn schema(name: &str) -> Value {
    let path = package()
        .join("v16/schemas")
        .join(name)
        .with_extension("json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}. {HOW_TO_GET_THEM}", path.display());
    });
    serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap()
}

fn conforms(name: &str, message: &impl Serialize) -> Value {
    let written = serde_json::to_value(message).unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema(name))
        .unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&written)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{name} {written}: {errors:?}");
    written
}

/// Writes each message, asks the schema, and reads it back without a deviation.
macro_rules! check_all {
    ($kind:ident, $suffix:literal, $actions:expr, $messages:expr) => {
        let mut seen = BTreeSet::new();
        for message in $messages {
            let action = message.action();
            seen.insert(action);
            let written = conforms(&format!("{action}{}", $suffix), &message).to_string();
            let read = $kind::parse(action, &written).unwrap();
            assert_eq!(read.message, message, "{written}");
            assert!(read.deviations.is_empty(), "{written}: {}", read.deviations);
        }
        assert_eq!(
            seen,
            $actions.iter().copied().collect(),
            "an action has no example"
        );
    };
}

fn now() -> Timestamp {
    "2026-11-21T08:00:00.125Z".parse().unwrap()
}

fn text(characters: usize) -> String {
    "x".repeat(characters)
}

fn meter_value() -> MeterValue {
    let full = SampledValue {
        value: "1234.5".into(),
        context: Some(ReadingContext::SampleClock),
        format: Some(ValueFormat::Raw),
        measurand: Some(Measurand::EnergyActiveImportRegister),
        phase: Some(Phase::L1N),
        location: Some(Location::Outlet),
        unit: Some(UnitOfMeasure::KiloWattHour),
    };
    let bare = SampledValue {
        value: "5".into(),
        ..SampledValue::default()
    };
    MeterValue {
        timestamp: Some(now()),
        sampled_value: vec![full, bare],
    }
}

fn id_tag_info() -> IdTagInfo {
    IdTagInfo {
        status: AuthorizationStatus::ConcurrentTx,
        expiry_date: Some(now()),
        parent_id_tag: Some(text(MAX_ID_TAG)),
    }
}

#[test]
fn what_a_charger_asks() {
    let status = StatusNotification::new(0, ChargePointStatus::SuspendedEvse);
    let transfer = DataTransfer {
        vendor_id: text(MAX_VENDOR_ID),
        ..DataTransfer::default()
    };
    let start = StartTransaction {
        connector_id: Some(1),
        id_tag: Some(text(MAX_ID_TAG)),
        meter_start: Some(0),
        reservation_id: None,
        timestamp: Some(now()),
    };
    let stop = StopTransaction {
        transaction_id: Some(-1),
        meter_stop: Some(i64::from(i32::MAX)),
        timestamp: Some(now()),
        ..StopTransaction::default()
    };
    let values = MeterValues {
        connector_id: Some(0),
        transaction_id: None,
        meter_value: vec![meter_value()],
    };
    let boot = BootNotification {
        charge_point_vendor: Some(text(20)),
        charge_point_model: Some(text(20)),
        ..BootNotification::default()
    };
    let messages: [ChargerCall; 16] = [
        Authorize {
            id_tag: "TAG".into(),
        }
        .into(),
        boot.clone().into(),
        BootNotification {
            charge_point_serial_number: Some(text(25)),
            charge_box_serial_number: Some(text(25)),
            firmware_version: Some(text(50)),
            iccid: Some(text(20)),
            imsi: Some(text(20)),
            meter_type: Some(text(25)),
            meter_serial_number: Some(text(25)),
            ..boot
        }
        .into(),
        transfer.clone().into(),
        DataTransfer {
            message_id: Some(text(MAX_DATA_MESSAGE_ID)),
            data: Some("{}".into()),
            ..transfer
        }
        .into(),
        DiagnosticsStatusNotification {
            status: DiagnosticsStatus::Idle,
        }
        .into(),
        FirmwareStatusNotification {
            status: FirmwareStatus::Installed,
        }
        .into(),
        Heartbeat {}.into(),
        values.clone().into(),
        MeterValues {
            transaction_id: Some(7),
            ..values
        }
        .into(),
        start.clone().into(),
        StartTransaction {
            reservation_id: Some(3),
            ..start
        }
        .into(),
        status.clone().into(),
        StatusNotification {
            error_code: ChargePointErrorCode::EvCommunicationError,
            info: Some(text(50)),
            timestamp: Some(now()),
            vendor_id: Some(text(MAX_VENDOR_ID)),
            vendor_error_code: Some(text(50)),
            ..status
        }
        .into(),
        stop.clone().into(),
        StopTransaction {
            id_tag: Some("TAG".into()),
            reason: Some(Reason::EvDisconnected),
            transaction_data: vec![meter_value()],
            ..stop
        }
        .into(),
    ];
    check_all!(ChargerCall, "", ChargerCall::ACTIONS, messages);
}

#[test]
fn what_the_server_answers() {
    let messages = [
        ServerConf::Authorize(AuthorizeConf {
            id_tag_info: id_tag_info(),
        }),
        ServerConf::BootNotification(BootNotificationConf {
            status: RegistrationStatus::Pending,
            current_time: now(),
            interval: 300,
        }),
        ServerConf::DataTransfer(DataTransferConf {
            status: DataTransferStatus::UnknownVendorId,
            data: None,
        }),
        ServerConf::DiagnosticsStatusNotification(DiagnosticsStatusNotificationConf {}),
        ServerConf::FirmwareStatusNotification(FirmwareStatusNotificationConf {}),
        ServerConf::Heartbeat(HeartbeatConf {
            current_time: now(),
        }),
        ServerConf::MeterValues(MeterValuesConf {}),
        ServerConf::StartTransaction(StartTransactionConf {
            id_tag_info: IdTagInfo::new(AuthorizationStatus::Invalid),
            transaction_id: 1,
        }),
        ServerConf::StatusNotification(StatusNotificationConf {}),
        ServerConf::StopTransaction(StopTransactionConf { id_tag_info: None }),
        ServerConf::StopTransaction(StopTransactionConf {
            id_tag_info: Some(id_tag_info()),
        }),
    ];
    check_all!(ServerConf, "Response", ChargerCall::ACTIONS, messages);
}

#[test]
fn what_the_server_asks() {
    let messages: [ServerCall; 14] = [
        ChangeAvailability {
            connector_id: 0,
            kind: AvailabilityType::Inoperative,
        }
        .into(),
        ChangeConfiguration {
            key: text(MAX_CONFIGURATION_KEY),
            value: text(MAX_CONFIGURATION_VALUE),
        }
        .into(),
        ClearCache {}.into(),
        DataTransfer {
            vendor_id: "ACME".into(),
            ..DataTransfer::default()
        }
        .into(),
        GetConfiguration { key: vec![] }.into(),
        GetConfiguration {
            key: vec![text(MAX_CONFIGURATION_KEY)],
        }
        .into(),
        RemoteStartTransaction {
            connector_id: None,
            id_tag: text(MAX_ID_TAG),
        }
        .into(),
        RemoteStartTransaction {
            connector_id: Some(2),
            id_tag: "TAG".into(),
        }
        .into(),
        RemoteStopTransaction { transaction_id: 7 }.into(),
        Reset {
            kind: ResetType::Hard,
        }
        .into(),
        Reset {
            kind: ResetType::Soft,
        }
        .into(),
        TriggerMessage {
            requested_message: MessageTrigger::Heartbeat,
            connector_id: None,
        }
        .into(),
        TriggerMessage {
            requested_message: MessageTrigger::StatusNotification,
            connector_id: Some(0),
        }
        .into(),
        UnlockConnector { connector_id: 1 }.into(),
    ];
    check_all!(ServerCall, "", ServerCall::ACTIONS, messages);
}

#[test]
fn what_a_charger_answers() {
    let start_stop = RemoteStartStopStatus::Rejected;
    let messages = [
        ChargerConf::ChangeAvailability(ChangeAvailabilityConf {
            status: AvailabilityStatus::Scheduled,
        }),
        ChargerConf::ChangeConfiguration(ChangeConfigurationConf {
            status: ConfigurationStatus::RebootRequired,
        }),
        ChargerConf::ClearCache(ClearCacheConf {
            status: ClearCacheStatus::Accepted,
        }),
        ChargerConf::DataTransfer(DataTransferConf {
            status: DataTransferStatus::Accepted,
            data: Some("x".into()),
        }),
        ChargerConf::GetConfiguration(GetConfigurationConf::default()),
        ChargerConf::GetConfiguration(GetConfigurationConf {
            configuration_key: vec![
                KeyValue {
                    key: "A".into(),
                    readonly: true,
                    value: None,
                },
                KeyValue {
                    key: text(MAX_CONFIGURATION_KEY),
                    readonly: false,
                    value: Some(text(MAX_CONFIGURATION_VALUE)),
                },
            ],
            unknown_key: vec![text(MAX_CONFIGURATION_KEY)],
        }),
        ChargerConf::RemoteStartTransaction(RemoteStartTransactionConf {
            status: start_stop.clone(),
        }),
        ChargerConf::RemoteStopTransaction(RemoteStopTransactionConf { status: start_stop }),
        ChargerConf::Reset(ResetConf {
            status: ResetStatus::Accepted,
        }),
        ChargerConf::TriggerMessage(TriggerMessageConf {
            status: TriggerMessageStatus::NotImplemented,
        }),
        ChargerConf::UnlockConnector(UnlockConnectorConf {
            status: UnlockStatus::UnlockFailed,
        }),
    ];
    check_all!(ChargerConf, "Response", ServerCall::ACTIONS, messages);
}

#[test]
fn the_words_are_those_of_the_schemas() {
    let check = |name: &str, pointer: &str, words: &[&str]| {
        let schema = schema(name);
        let list = schema
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{name} {pointer}"));
        let expect: BTreeSet<_> = list["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(Value::as_str)
            .collect();
        assert_eq!(
            words.iter().copied().map(Some).collect::<BTreeSet<_>>(),
            expect,
            "{name}"
        );
    };
    let status = "/properties/status";
    check(
        "AuthorizeResponse",
        "/properties/idTagInfo/properties/status",
        AuthorizationStatus::WORDS,
    );
    check(
        "BootNotificationResponse",
        status,
        RegistrationStatus::WORDS,
    );
    check(
        "ChangeAvailability",
        "/properties/type",
        AvailabilityType::WORDS,
    );
    check(
        "ChangeAvailabilityResponse",
        status,
        AvailabilityStatus::WORDS,
    );
    check(
        "ChangeConfigurationResponse",
        status,
        ConfigurationStatus::WORDS,
    );
    check("ClearCacheResponse", status, ClearCacheStatus::WORDS);
    check("DataTransferResponse", status, DataTransferStatus::WORDS);
    check(
        "DiagnosticsStatusNotification",
        status,
        DiagnosticsStatus::WORDS,
    );
    check("FirmwareStatusNotification", status, FirmwareStatus::WORDS);
    check(
        "RemoteStartTransactionResponse",
        status,
        RemoteStartStopStatus::WORDS,
    );
    check(
        "RemoteStopTransactionResponse",
        status,
        RemoteStartStopStatus::WORDS,
    );
    check("Reset", "/properties/type", ResetType::WORDS);
    check("ResetResponse", status, ResetStatus::WORDS);
    check("StatusNotification", status, ChargePointStatus::WORDS);
    check(
        "StatusNotification",
        "/properties/errorCode",
        ChargePointErrorCode::WORDS,
    );
    check("StopTransaction", "/properties/reason", Reason::WORDS);
    check(
        "TriggerMessage",
        "/properties/requestedMessage",
        MessageTrigger::WORDS,
    );
    check(
        "TriggerMessageResponse",
        status,
        TriggerMessageStatus::WORDS,
    );
    check("UnlockConnectorResponse", status, UnlockStatus::WORDS);

    let sample = |field: &str, words: &[&str]| {
        let items = "/properties/meterValue/items/properties/sampledValue/items/properties/";
        check("MeterValues", &format!("{items}{field}"), words);
    };
    sample("context", ReadingContext::WORDS);
    sample("format", ValueFormat::WORDS);
    sample("measurand", Measurand::WORDS);
    sample("phase", Phase::WORDS);
    sample("location", Location::WORDS);
    sample("unit", UnitOfMeasure::WORDS);
}
