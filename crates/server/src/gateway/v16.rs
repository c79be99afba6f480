//! OCPP 1.6 and the domain, translated into each other. Connector n of 1.6 is EVSE n, connector 1;
//! connector 0 is the station itself.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use domain::command::{ResetType, Trigger};
use domain::session::{Reading, Stop, StopReason};
use domain::station::{Hardware, Place, Report};
use domain::token::IdTagStatus;
use domain::{
    Availability, Command, ConnectorNo, ConnectorStatus, EventKind, EvseNo, Hold, Outcome,
    WattHours, Watts,
};
use jiff::Timestamp;
use ocpp::v16::{
    self, ChargePointErrorCode, ChargePointStatus, ChargerCall, ServerCall, ServerConf,
};
use ocpp::{CallError, ErrorCode};

use super::pace::ComeBack;
use super::{Connection, GiveUp, Meaning, Reply, patiently};
use crate::app::{App, AppError, Authorization, MeterReport};

/// What a charger's call is answered with.
pub(super) type Conf = ServerConf;
/// What a charger is called with.
pub(super) type Call = ServerCall;
/// The actions a charger may call.
pub(super) const ACTIONS: &[&str] = ChargerCall::ACTIONS;

/// Heartbeat intervals are spread over this share of themselves, so that chargers that booted
/// together do not beat together for ever.
const JITTER_PERCENT: u64 = 10;

/// Carries out what a charger calls for.
pub(super) async fn answer(
    app: &App,
    connection: &mut Connection,
    action: &str,
    payload: &str,
) -> Result<Reply, GiveUp> {
    let parsed = match ChargerCall::parse(action, payload) {
        Ok(parsed) => parsed,
        Err(error) => return Ok(Reply::Refusal(error)),
    };
    let call = parsed.message;
    for deviation in &parsed.deviations {
        app.metrics.ocpp_deviation("1.6", call.action());
        tracing::debug!(
            station.id = %connection.hold.station_id, action = call.action(), field = deviation.field,
            fault = deviation.fault.as_str(), "deviation accepted"
        );
    }
    if !connection.booted && needs_boot(connection, &call) {
        let detail = "send BootNotification first";
        return Ok(Reply::Refusal(CallError::new(
            ErrorCode::SecurityError,
            detail,
        )));
    }
    let keeps_revenue = keeps_revenue(&call);
    match carry_out(app, connection, call).await {
        Ok(conf) => Ok(Reply::Conf(super::Conf::V16(conf))),
        // An error answer would make the charger drop the record; no answer makes it try again.
        Err(AppError::Internal(detail)) if !keeps_revenue => {
            tracing::error!(station.id = %connection.hold.station_id, action, detail, "call failed");
            let detail = "the server could not carry this out; it is logged there";
            Ok(Reply::Refusal(CallError::new(
                ErrorCode::InternalError,
                detail,
            )))
        }
        Err(error) => Err(GiveUp(error)),
    }
}

/// Before a boot was accepted nothing else is welcome (OCPP 1.6 §4.2) but what the charger was asked
/// for; and what carries revenue is kept all the same.
fn needs_boot(connection: &Connection, call: &ChargerCall) -> bool {
    if keeps_revenue(call) {
        return false;
    }
    let asked_for = match call {
        ChargerCall::BootNotification(_) => return false,
        ChargerCall::Heartbeat(_) => Trigger::Heartbeat,
        ChargerCall::StatusNotification(_) => Trigger::StatusNotification,
        ChargerCall::FirmwareStatusNotification(_) => Trigger::FirmwareStatusNotification,
        ChargerCall::DiagnosticsStatusNotification(_) => Trigger::DiagnosticsStatusNotification,
        ChargerCall::MeterValues(_) => Trigger::MeterValues,
        ChargerCall::Authorize(_)
        | ChargerCall::DataTransfer(_)
        | ChargerCall::StartTransaction(_)
        | ChargerCall::StopTransaction(_) => return true,
    };
    !connection.triggered.contains(&asked_for)
}

fn keeps_revenue(call: &ChargerCall) -> bool {
    matches!(
        call,
        ChargerCall::StartTransaction(_)
            | ChargerCall::StopTransaction(_)
            | ChargerCall::MeterValues(_)
    )
}

async fn carry_out(
    app: &App,
    connection: &mut Connection,
    call: ChargerCall,
) -> Result<ServerConf, AppError> {
    let hold = connection.hold.clone();
    Ok(match call {
        ChargerCall::Heartbeat(_) => ServerConf::Heartbeat(v16::HeartbeatConf {
            current_time: app.clock.now(),
        }),
        ChargerCall::StatusNotification(told) => {
            status_notification(app, connection, told).await?;
            ServerConf::StatusNotification(v16::StatusNotificationConf {})
        }
        ChargerCall::MeterValues(told) => {
            let report = meter_report(
                told.connector_id,
                told.transaction_id.map(|id| id.to_string()),
                &told.meter_value,
                app.clock.now(),
            );
            patiently(|| app.meter_values(&hold, report.clone())).await?;
            ServerConf::MeterValues(v16::MeterValuesConf {})
        }
        ChargerCall::StartTransaction(told) => start_transaction(app, connection, told).await?,
        ChargerCall::StopTransaction(told) => stop_transaction(app, connection, told).await?,
        ChargerCall::Authorize(told) => {
            let answer = patiently(|| app.authorize(Some(&told.id_tag))).await?;
            ServerConf::Authorize(v16::AuthorizeConf {
                id_tag_info: id_tag_info(&answer),
            })
        }
        ChargerCall::BootNotification(told) => boot_notification(app, connection, told).await?,
        ChargerCall::DataTransfer(told) => {
            let kind = EventKind::DataReceived {
                vendor_id: told.vendor_id,
                message_id: told.message_id,
                data: told.data,
            };
            patiently(|| app.charger_told(&hold, kind.clone())).await?;
            // No vendor's vocabulary is known here (OCPP 1.6 §4.3).
            let status = v16::DataTransferStatus::UnknownVendorId;
            ServerConf::DataTransfer(v16::DataTransferConf { status, data: None })
        }
        ChargerCall::FirmwareStatusNotification(told) => {
            let kind = EventKind::FirmwareStatus {
                status: told.status.to_string(),
            };
            patiently(|| app.charger_told(&hold, kind.clone())).await?;
            ServerConf::FirmwareStatusNotification(v16::FirmwareStatusNotificationConf {})
        }
        ChargerCall::DiagnosticsStatusNotification(told) => {
            let kind = EventKind::DiagnosticsStatus {
                status: told.status.to_string(),
            };
            patiently(|| app.charger_told(&hold, kind.clone())).await?;
            ServerConf::DiagnosticsStatusNotification(v16::DiagnosticsStatusNotificationConf {})
        }
    })
}

async fn boot_notification(
    app: &App,
    connection: &mut Connection,
    told: v16::BootNotification,
) -> Result<ServerConf, AppError> {
    let hardware = Hardware {
        vendor: told.charge_point_vendor,
        model: told.charge_point_model,
        serial_number: told
            .charge_point_serial_number
            .or(told.charge_box_serial_number),
        firmware_version: told.firmware_version,
    };
    let hold = connection.hold.clone();
    if let Err(ComeBack { seconds }) = app.boots.wait(&hold.station_id).await {
        return Ok(ServerConf::BootNotification(v16::BootNotificationConf {
            // Of one that was accepted before, the acceptance holds (see `booted`).
            status: v16::RegistrationStatus::Pending,
            current_time: app.clock.now(),
            interval: seconds.into(),
        }));
    }
    patiently(|| app.charger_booted(&hold, hardware.clone())).await?;
    connection.booted = true;
    Ok(ServerConf::BootNotification(v16::BootNotificationConf {
        status: v16::RegistrationStatus::Accepted,
        current_time: app.clock.now(),
        interval: interval(app, connection),
    }))
}

/// The heartbeat interval in seconds, a little different for each boot.
fn interval(app: &App, connection: &Connection) -> i64 {
    let base = app.settings.heartbeat_interval.as_secs().max(1);
    let spread = (base * JITTER_PERCENT / 100).max(1);
    // Spread by identity and epoch: no randomness needed, and the same boot gets the same answer.
    let mut hasher = DefaultHasher::new();
    let Hold { station_id, epoch } = &connection.hold;
    (station_id, epoch).hash(&mut hasher);
    let seconds = base - spread / 2 + hasher.finish() % (spread + 1);
    i64::try_from(seconds.max(1)).unwrap_or(i64::MAX)
}

async fn status_notification(
    app: &App,
    connection: &Connection,
    told: v16::StatusNotification,
) -> Result<(), AppError> {
    let place = match told.connector_id {
        0 => Place::Station,
        number => {
            let Ok(evse) = EvseNo::try_from(number) else {
                // No station has such a connector. Answered all the same: it is the charger's
                // number, and an error would only make it insist.
                app.metrics.ocpp_deviation("1.6", "StatusNotification");
                tracing::warn!(
                    station.id = %connection.hold.station_id, connector = number,
                    "status of an impossible connector ignored"
                );
                return Ok(());
            };
            Place::Connector(evse, ConnectorNo::ONE)
        }
    };
    let error = told.error_code != ChargePointErrorCode::NoError;
    let report = Report {
        status: connector_status(&told.status),
        // By arrival: a charger's clock orders nothing.
        since: app.clock.now(),
        error_code: error.then(|| told.error_code.to_string()),
        info: told.info,
        vendor_error_code: told.vendor_error_code,
    };
    let hold = &connection.hold;
    patiently(|| app.charger_reported(hold, place, report.clone())).await?;
    Ok(())
}

fn connector_status(told: &ChargePointStatus) -> ConnectorStatus {
    match told {
        ChargePointStatus::Available => ConnectorStatus::Available,
        ChargePointStatus::Preparing => ConnectorStatus::Preparing,
        ChargePointStatus::Charging => ConnectorStatus::Charging,
        ChargePointStatus::SuspendedEv => ConnectorStatus::SuspendedEv,
        ChargePointStatus::SuspendedEvse => ConnectorStatus::SuspendedEvse,
        ChargePointStatus::Finishing => ConnectorStatus::Finishing,
        ChargePointStatus::Reserved => ConnectorStatus::Reserved,
        ChargePointStatus::Unavailable => ConnectorStatus::Unavailable,
        ChargePointStatus::Faulted => ConnectorStatus::Faulted,
        // Some 1.6 chargers say `Occupied`, as 1.5 and 2.x do.
        ChargePointStatus::Unknown(word) if word.eq_ignore_ascii_case("occupied") => {
            ConnectorStatus::Occupied
        }
        ChargePointStatus::Unknown(_) => ConnectorStatus::Unknown,
    }
}

async fn start_transaction(
    app: &App,
    connection: &Connection,
    told: v16::StartTransaction,
) -> Result<ServerConf, AppError> {
    let place = told
        .connector_id
        .and_then(|number| EvseNo::try_from(number).ok())
        .map(|evse| (evse, ConnectorNo::ONE));
    // What makes a repeated start the same: without a time, two starts cannot be told apart from
    // one told twice, so each is kept.
    let key = told.timestamp.map(|at| {
        format!(
            "{}|{}|{}|{}",
            told.connector_id.unwrap_or(-1),
            told.id_tag.as_deref().unwrap_or("").to_ascii_uppercase(),
            at.as_microsecond(),
            told.meter_start.unwrap_or(-1)
        )
    });
    let meter = told.meter_start.map(WattHours);
    let hold = &connection.hold;
    let started = patiently(|| {
        app.start_charging(
            hold,
            place,
            told.id_tag.clone(),
            told.timestamp,
            meter,
            key.clone(),
        )
    })
    .await?;
    Ok(ServerConf::StartTransaction(v16::StartTransactionConf {
        id_tag_info: id_tag_info(&started.authorization),
        // Ours, and a number: the store gives nothing else to 1.6.
        transaction_id: started.transaction_id.parse().unwrap_or(-1),
    }))
}

async fn stop_transaction(
    app: &App,
    connection: &Connection,
    told: v16::StopTransaction,
) -> Result<ServerConf, AppError> {
    let stop = Stop {
        at: told.timestamp,
        meter: told.meter_stop.map(WattHours),
        reason: told.reason.as_ref().map(stop_reason),
    };
    let transaction_id = told.transaction_id.unwrap_or(-1).to_string();
    let report = meter_report(None, None, &told.transaction_data, app.clock.now());
    let hold = &connection.hold;
    patiently(|| {
        app.stop_charging(
            hold,
            &transaction_id,
            told.id_tag.clone(),
            stop.clone(),
            report.clone(),
        )
    })
    .await?;
    let id_tag_info = match &told.id_tag {
        Some(id_tag) => Some(id_tag_info(
            &patiently(|| app.authorize(Some(id_tag))).await?,
        )),
        None => None,
    };
    Ok(ServerConf::StopTransaction(v16::StopTransactionConf {
        id_tag_info,
    }))
}

fn stop_reason(told: &v16::Reason) -> StopReason {
    match told {
        v16::Reason::DeAuthorized => StopReason::DeAuthorized,
        v16::Reason::EmergencyStop => StopReason::EmergencyStop,
        v16::Reason::EvDisconnected => StopReason::EvDisconnected,
        v16::Reason::HardReset => StopReason::HardReset,
        v16::Reason::Local => StopReason::Local,
        v16::Reason::Other | v16::Reason::Unknown(_) => StopReason::Other,
        v16::Reason::PowerLoss => StopReason::PowerLoss,
        v16::Reason::Reboot => StopReason::Reboot,
        v16::Reason::Remote => StopReason::Remote,
        v16::Reason::SoftReset => StopReason::SoftReset,
        v16::Reason::UnlockCommand => StopReason::UnlockCommand,
    }
}

fn meter_report(
    connector_id: Option<i64>,
    transaction_id: Option<String>,
    values: &[v16::MeterValue],
    now: Timestamp,
) -> MeterReport {
    let reading = |value: &v16::MeterValue| {
        let reading = Reading {
            at: value.timestamp.unwrap_or(now),
            energy: value.energy_wh().map(WattHours),
            power: value.power_w().map(Watts),
        };
        let samples = serde_json::to_string(&value.sampled_value).unwrap_or_default();
        (reading, samples)
    };
    MeterReport {
        // Connector 0 is the station's main meter (OCPP 1.6 §3.13).
        evse: connector_id.and_then(|number| EvseNo::try_from(number).ok()),
        transaction_id,
        readings: values.iter().map(reading).collect(),
    }
}

fn id_tag_info(answer: &Authorization) -> v16::IdTagInfo {
    v16::IdTagInfo {
        status: match answer.status {
            IdTagStatus::Accepted => v16::AuthorizationStatus::Accepted,
            IdTagStatus::Blocked => v16::AuthorizationStatus::Blocked,
            IdTagStatus::Expired => v16::AuthorizationStatus::Expired,
            IdTagStatus::Invalid => v16::AuthorizationStatus::Invalid,
        },
        expiry_date: answer.expires_at,
        // A longer one than 1.6 can carry belongs to chargers of 2.x.
        parent_id_tag: answer
            .parent
            .as_ref()
            .map(|parent| parent.as_str().to_owned())
            .filter(|parent| parent.len() <= v16::MAX_ID_TAG),
    }
}

/// A command as a call, when 1.6 can say it.
pub(super) fn call(command: &Command) -> Result<ServerCall, String> {
    Ok(match command {
        Command::Reset { kind } => ServerCall::from(v16::Reset {
            kind: match kind {
                ResetType::Soft => v16::ResetType::Soft,
                ResetType::Hard => v16::ResetType::Hard,
            },
        }),
        Command::UnlockConnector { evse, connector } => {
            let connector_id = connector_id(Some(*evse), Some(*connector))?;
            ServerCall::from(v16::UnlockConnector { connector_id })
        }
        Command::ChangeAvailability {
            evse,
            connector,
            availability,
        } => ServerCall::from(v16::ChangeAvailability {
            connector_id: connector_id(*evse, *connector)?,
            kind: match availability {
                Availability::Operative => v16::AvailabilityType::Operative,
                Availability::Inoperative => v16::AvailabilityType::Inoperative,
            },
        }),
        Command::ChangeConfiguration { key, value } => ServerCall::from(v16::ChangeConfiguration {
            key: key.clone(),
            value: value.clone(),
        }),
        Command::GetConfiguration { keys } => {
            ServerCall::from(v16::GetConfiguration { key: keys.clone() })
        }
        Command::ClearCache {} => ServerCall::from(v16::ClearCache {}),
        Command::TriggerMessage { message, evse } => ServerCall::from(v16::TriggerMessage {
            requested_message: trigger(*message),
            connector_id: evse.map(i64::from),
        }),
        Command::RequestStartTransaction { id_tag, evse } => {
            if id_tag.chars().count() > v16::MAX_ID_TAG {
                return Err("OCPP 1.6 carries id tags of at most 20 characters".to_owned());
            }
            ServerCall::from(v16::RemoteStartTransaction {
                connector_id: evse.map(i64::from),
                id_tag: id_tag.clone(),
            })
        }
        Command::RequestStopTransaction { transaction_id } => {
            let number = transaction_id.parse();
            let transaction_id =
                number.map_err(|_| "OCPP 1.6 knows transactions by number".to_owned())?;
            ServerCall::from(v16::RemoteStopTransaction { transaction_id })
        }
        Command::DataTransfer {
            vendor_id,
            message_id,
            data,
        } => ServerCall::from(v16::DataTransfer {
            vendor_id: vendor_id.clone(),
            message_id: message_id.clone(),
            data: data.clone(),
        }),
    })
}

fn connector_id(evse: Option<EvseNo>, connector: Option<ConnectorNo>) -> Result<i64, String> {
    match connector {
        None | Some(ConnectorNo::ONE) => Ok(evse.map_or(0, i64::from)),
        Some(_) => Err("in OCPP 1.6 an EVSE has one connector: name connector 1".to_owned()),
    }
}

fn trigger(message: Trigger) -> v16::MessageTrigger {
    match message {
        Trigger::BootNotification => v16::MessageTrigger::BootNotification,
        Trigger::DiagnosticsStatusNotification => {
            v16::MessageTrigger::DiagnosticsStatusNotification
        }
        Trigger::FirmwareStatusNotification => v16::MessageTrigger::FirmwareStatusNotification,
        Trigger::Heartbeat => v16::MessageTrigger::Heartbeat,
        Trigger::MeterValues => v16::MessageTrigger::MeterValues,
        Trigger::StatusNotification => v16::MessageTrigger::StatusNotification,
    }
}

/// What the answer to a call means for the command it came from: the charger does it, or not. What
/// it says beyond that is the detail.
pub(super) fn meaning(action: &'static str, payload: &str) -> Result<Meaning, CallError> {
    // Parsed for its form; an answer without the field it must have counts as a failure.
    let conf = v16::ChargerConf::parse(action, payload)?.message;
    let value = serde_json::to_value(&conf).unwrap_or_default();
    let Some(status) = value.get("status").and_then(serde_json::Value::as_str) else {
        // GetConfiguration has none: an answer is a yes.
        return Ok(Meaning {
            outcome: Outcome::Accepted,
            detail: None,
        });
    };
    Ok(match status {
        "Accepted" | "Unlocked" => Meaning {
            outcome: Outcome::Accepted,
            detail: None,
        },
        "Scheduled" => said(
            Outcome::Accepted,
            "the charger does it when what runs has ended",
        ),
        "RebootRequired" => said(Outcome::Accepted, "it takes effect after a reset"),
        "Rejected" => Meaning {
            outcome: Outcome::Rejected,
            detail: None,
        },
        "UnlockFailed" => said(Outcome::Failed, "the lock did not open"),
        other => said(Outcome::Rejected, other),
    })
}

fn said(outcome: Outcome, detail: &str) -> Meaning {
    Meaning {
        outcome,
        detail: Some(detail.to_owned()),
    }
}
