//! Commands to a charger: asked for, confirmed where they can do harm, given.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use domain::command::{ResetType, Trigger};
use domain::{Command, ConnectorNo, SessionId, StationId};

use super::fault::Fault;
use super::form::{Asked, Fields, Posted, Segment};
use super::page::Place;
use super::station::{Ask, station_id};
use super::visit::{Operator, Visit, go_to};
use super::words;
use crate::app::App;

/// How long the page waits for the outcome before it shows itself; the rest comes live.
const WAIT: Duration = Duration::from_millis(2_500);
/// Longest key and value of a configuration (OCPP 1.6 §7.29: 50 and 500 characters).
const MAX_KEY: usize = 50;
const MAX_VALUE: usize = 500;
/// Longest tag, vendor's name, message's name and message.
const MAX_TAG: usize = 36;
const MAX_VENDOR: usize = 255;
const MAX_MESSAGE: usize = 50;
const MAX_DATA: usize = 8_192;
/// Most keys asked for at once.
const MAX_KEYS: usize = 100;

/// The command that a form means.
async fn read(app: &App, station: &StationId, fields: &Fields) -> Result<Command, Fault> {
    let evse = || {
        let wrong = || Fault::invalid(|t| t.evse, |t| t.wrong_missing);
        fields.evse()?.ok_or_else(wrong)
    };
    Ok(match fields.get("command").unwrap_or_default() {
        "reset" => Command::Reset {
            kind: fields.word("type", |t| t.restart_how, ResetType::from_word)?,
        },
        "unlock_connector" => Command::UnlockConnector {
            evse: evse()?,
            connector: fields
                .number("connector", |t| t.connector)?
                .unwrap_or(ConnectorNo::ONE),
        },
        "change_configuration" => Command::ChangeConfiguration {
            key: fields.line("key", |t| t.key, MAX_KEY)?,
            value: fields.line("value", |t| t.value, MAX_VALUE)?,
        },
        "get_configuration" => Command::GetConfiguration {
            keys: keys(fields)?,
        },
        "clear_cache" => Command::ClearCache {},
        "trigger_message" => Command::TriggerMessage {
            message: fields.word("message", |t| t.message, Trigger::from_word)?,
            evse: fields.evse()?,
        },
        "request_start_transaction" => Command::RequestStartTransaction {
            id_tag: fields.line("id_tag", |t| t.id_tag, MAX_TAG)?,
            evse: fields.evse()?,
        },
        "request_stop_transaction" => {
            let session = fields.word("session", |t| t.session, |id| id.parse().ok())?;
            let transaction_id = app.transaction_of(station, SessionId(session)).await?;
            Command::RequestStopTransaction { transaction_id }
        }
        "data_transfer" => Command::DataTransfer {
            vendor_id: fields.line("vendor_id", |t| t.vendor, MAX_VENDOR)?,
            message_id: fields.line_if_any("message_id", |t| t.message, MAX_MESSAGE)?,
            data: fields.line_if_any("data", |t| t.data, MAX_DATA)?,
        },
        _ => return Err(Fault::invalid(|t| t.command, |t| t.wrong_choice)),
    })
}

fn keys(fields: &Fields) -> Result<Vec<String>, Fault> {
    let text = fields.line_if_any("keys", |t| t.key, MAX_KEYS * (MAX_KEY + 1))?;
    let text = text.unwrap_or_default();
    let keys = text.split([',', ' ']).filter(|key| !key.is_empty());
    let keys: Vec<String> = keys.map(str::to_owned).collect();
    if keys.len() > MAX_KEYS || keys.iter().any(|key| key.chars().count() > MAX_KEY) {
        return Err(Fault::invalid(|t| t.key, |t| t.wrong_too_long));
    }
    Ok(keys)
}

/// Asks before a command is given that its address may tell.
pub async fn ask(
    Operator(visit): Operator,
    State(app): State<App>,
    Segment(id): Segment,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let command = read(&app, &id, &query).await?;
    if matches!(command, Command::ChangeConfiguration { .. }) {
        return Err(Fault::NotAllowed);
    }
    question(visit, &app, &id, command, &query).await
}

/// Asks before one is given whose values may be secrets: addresses are kept, in logs and histories.
pub async fn ask_quietly(
    Operator(visit): Operator,
    State(app): State<App>,
    Segment(id): Segment,
    posted: Posted,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let command = read(&app, &id, &posted.fields).await?;
    question(visit, &app, &id, command, &posted.fields).await
}

/// Who comes to that question by its address begins at the station.
pub async fn ask_again(_: Operator, Segment(id): Segment) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    Ok(go_to(&format!("/console/stations/{id}#commands")))
}

async fn question(
    visit: Visit,
    app: &App,
    id: &StationId,
    command: Command,
    fields: &Fields,
) -> Result<Response, Fault> {
    let station = app.station(id).await?.ok_or(Fault::NotFound)?;
    let command = command.without_secrets();
    let t = visit.lang.phrases();
    let what = words::command_with(visit.lang, &command);
    let consequence = match &command {
        Command::Reset {
            kind: ResetType::Hard,
        } => t.ask_reset_hard_means,
        Command::Reset { .. } => t.ask_reset_soft_means,
        Command::RequestStopTransaction { .. } => t.ask_stop_means,
        Command::UnlockConnector { .. } => t.ask_unlock_means,
        Command::ChangeConfiguration { .. } => t.ask_configuration_means,
        Command::ClearCache {} => t.ask_clear_means,
        Command::ChangeAvailability { .. }
        | Command::GetConfiguration { .. }
        | Command::TriggerMessage { .. }
        | Command::RequestStartTransaction { .. }
        | Command::DataTransfer { .. } => t.ask_command_means,
    };
    let button = words::command(visit.lang, command.name()).to_owned();
    let ask = Ask {
        page: visit.page(app, Place::Overview, &button).await,
        question: t
            .ask_command
            .replace("{what}", &what)
            .replace("{name}", &station.name),
        consequence: consequence.to_owned(),
        harm: true,
        button,
        action: format!("/console/stations/{id}/commands"),
        fields: fields.pairs().to_vec(),
        back: format!("/console/stations/{id}#commands"),
    };
    Ok(ask.show())
}

/// Gives a command, and waits a moment for its outcome.
pub async fn give(
    Operator(_): Operator,
    State(app): State<App>,
    Segment(id): Segment,
    posted: Posted,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let command = read(&app, &id, &posted.fields).await?;
    let ordered = app.order(&id, command, posted.once(), true).await?;
    let record = app.wait_for(ordered, WAIT).await?;
    let path = format!("/console/stations/{id}?command={}#commands", record.id);
    Ok(go_to(&path))
}
