//! Commands to chargers, and what became of them.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::command::{ResetType, Trigger};
use domain::id::{MAX_CONNECTORS, MAX_EVSES};
use domain::{
    Availability, Command, CommandId, CommandRecord, ConnectorNo, EvseNo, Outcome, SessionId,
    StationId,
};
use garde::Validate;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Operator, Viewer};
use super::extract::{self, Page, Params, Path, Post, cut, is_plain, is_plain_if_any, segment};
use super::problem::Problem;
use super::schema;
use crate::app::App;

/// Longest that a request waits for an outcome, in seconds.
const MAX_WAIT: u64 = crate::app::MAX_WAIT.as_secs();
/// Most configuration keys asked for at once.
const MAX_KEYS: usize = 100;

/// The paths of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
}

/// A command and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
pub struct CommandBody {
    /// Its id.
    id: Uuid,
    /// Whose charger.
    #[schema(value_type = String)]
    station_id: StationId,
    /// What is asked.
    #[schema(example = "reset")]
    command: &'static str,
    /// With what. `•••` stands for the value of a configuration key that is a secret.
    #[schema(value_type = Object)]
    parameters: serde_json::Value,
    /// What became of it; null while nobody knows.
    #[schema(value_type = Option<String>)]
    outcome: Option<Outcome>,
    /// In words, where there is more to say.
    detail: Option<String>,
    /// What the charger answered, in its protocol's words. `•••` stands for a secret.
    #[schema(value_type = Option<Object>)]
    response: Option<serde_json::Value>,
    /// When it was taken on.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
}

impl From<CommandRecord> for CommandBody {
    fn from(record: CommandRecord) -> Self {
        let parameters = serde_json::to_value(&record.command).unwrap_or_default();
        let ending = record.ending;
        Self {
            id: record.id.0,
            station_id: record.station_id,
            command: record.command.name(),
            parameters: parameters.get("parameters").cloned().unwrap_or_default(),
            outcome: ending.as_ref().map(|ending| ending.outcome),
            detail: ending.as_ref().and_then(|ending| ending.detail.clone()),
            response: ending.as_ref().and_then(|ending| ending.response.clone()),
            created_at: record.created_at,
            completed_at: ending.map(|ending| ending.at),
        }
    }
}

/// A command to give. Where no parameter is needed they may be left out.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(
    tag = "command",
    content = "parameters",
    rename_all = "snake_case",
    deny_unknown_fields
)]
#[schema(as = NewCommand)]
pub enum NewCommandBody {
    /// Restart.
    Reset(#[garde(dive)] Option<ResetBody>),
    /// Open the lock of a connector.
    UnlockConnector(#[garde(dive)] UnlockBody),
    /// Take the station or a part of it in or out of use, at the charger alone. To take down an
    /// operator's decision use PUT …/availability.
    ChangeAvailability(#[garde(dive)] ChangeAvailabilityBody),
    /// Set a configuration value.
    ChangeConfiguration(#[garde(dive)] ChangeConfigurationBody),
    /// Read configuration values.
    GetConfiguration(#[garde(dive)] Option<GetConfigurationBody>),
    /// Forget the id tags kept in the charger.
    ClearCache(#[garde(dive)] Option<ClearCacheBody>),
    /// Send something now.
    TriggerMessage(#[garde(dive)] TriggerBody),
    /// Begin charging.
    RequestStartTransaction(#[garde(dive)] StartBody),
    /// End charging.
    RequestStopTransaction(#[garde(dive)] StopBody),
    /// Something of the maker's own.
    DataTransfer(#[garde(dive)] DataTransferBody),
}

/// How to restart.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetBody {
    /// After ending what runs, or at once.
    #[garde(skip)]
    #[schema(schema_with = schema::reset_type)]
    #[serde(default = "soft", rename = "type")]
    kind: ResetType,
}

fn soft() -> ResetType {
    ResetType::Soft
}

/// Which connector to unlock.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlockBody {
    /// Its EVSE.
    #[garde(skip)]
    #[schema(value_type = u16, minimum = 1, maximum = 128)]
    evse: EvseNo,
    /// The connector.
    #[garde(skip)]
    #[schema(value_type = u16, minimum = 1, maximum = 16, default = 1)]
    #[serde(default = "one")]
    connector: ConnectorNo,
}

fn one() -> ConnectorNo {
    ConnectorNo::ONE
}

/// What to take in or out of use.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ChangeAvailabilityBody {
    /// The EVSE; without it, the whole station.
    #[garde(skip)]
    #[serde(default)]
    evse: Option<EvseNo>,
    /// The connector; without it, the whole EVSE.
    #[garde(skip)]
    #[serde(default)]
    connector: Option<ConnectorNo>,
    /// In or out.
    #[garde(skip)]
    availability: Availability,
}

impl PartialSchema for ChangeAvailabilityBody {
    fn schema() -> RefOr<Schema> {
        let number = |most: u16, description: &str| {
            ObjectBuilder::new()
                .minimum(Some(1))
                .maximum(Some(most))
                .description(Some(description))
        };
        let evse = || number(MAX_EVSES, "The EVSE; without it, the whole station.");
        let connector = || number(MAX_CONNECTORS, "The connector; without it, the whole EVSE.");
        let whole = || SchemaType::new(Type::Integer);
        let mut availability = schema::availability();
        availability.description = Some("In or out.".to_owned());
        let body = || {
            ObjectBuilder::new()
                .property("availability", availability.clone())
                .required("availability")
                .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        // A connector alone means nothing: every EVSE has a connector 1.
        let large = body().property(
            "evse",
            evse().schema_type(SchemaType::from_iter([Type::Integer, Type::Null])),
        );
        let null = connector().schema_type(Type::Null);
        let small = body()
            .property("evse", evse().schema_type(whole()))
            .property("connector", connector().schema_type(whole()))
            .required("evse")
            .required("connector");
        OneOfBuilder::new()
            .item(large.property("connector", null))
            .item(small)
            .description(Some("What to take in or out of use."))
            .into()
    }
}

impl ToSchema for ChangeAvailabilityBody {}

/// What to set.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeConfigurationBody {
    /// The key.
    #[garde(length(chars, min = 1, max = 50), custom(is_plain))]
    #[schema(
        min_length = 1,
        max_length = 50,
        pattern = "plain",
        example = "HeartbeatInterval"
    )]
    key: String,
    /// The value. That of `AuthorizationKey` and `BasicAuthPassword` is a secret: it goes to the
    /// charger, and no answer tells it.
    #[garde(length(chars, min = 1, max = 500), custom(is_plain))]
    #[schema(min_length = 1, max_length = 500, pattern = "plain", example = "300")]
    value: String,
}

/// What to read.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GetConfigurationBody {
    /// The keys; none is all.
    #[garde(length(max = MAX_KEYS), inner(length(chars, min = 1, max = 50), custom(is_plain)))]
    #[schema(max_items = 100, schema_with = configuration_keys)]
    #[serde(default)]
    keys: Vec<String>,
}

fn configuration_keys() -> utoipa::openapi::schema::Array {
    use utoipa::openapi::schema::ArrayBuilder;
    let key = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(50))
        .pattern(Some(extract::PLAIN));
    ArrayBuilder::new()
        .items(key)
        .max_items(Some(MAX_KEYS))
        .build()
}

/// Nothing.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearCacheBody {}

/// What to send.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerBody {
    /// What.
    #[garde(skip)]
    #[schema(schema_with = schema::trigger)]
    message: Trigger,
    /// Of which EVSE; without it, of all.
    #[garde(skip)]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 128)]
    #[serde(default)]
    evse: Option<EvseNo>,
}

/// How to begin.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// For which tag.
    #[garde(length(chars, min = 1, max = 36), custom(is_plain))]
    #[schema(min_length = 1, max_length = 36, pattern = "plain")]
    id_tag: String,
    /// On which EVSE; without it, the charger's choice.
    #[garde(skip)]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 128)]
    #[serde(default)]
    evse: Option<EvseNo>,
}

/// What to end: one of the two.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct StopBody {
    /// The id that the charger knows the session by.
    #[garde(inner(length(chars, min = 1, max = 36)), custom(is_plain_if_any))]
    #[serde(default)]
    transaction_id: Option<String>,
    /// The session.
    #[garde(skip)]
    #[serde(default)]
    session_id: Option<Uuid>,
}

impl PartialSchema for StopBody {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(36))
            .pattern(Some(extract::PLAIN))
            .description(Some("The id that the charger knows the session by."))
            .examples(["1042"]);
        let one = |name: &str, schema: Object| {
            ObjectBuilder::new()
                .property(name, schema)
                .required(name)
                .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        let mut session = <Uuid as extract::Key>::schema();
        session.description = Some("The session.".to_owned());
        OneOfBuilder::new()
            .item(one("transaction_id", text.build()))
            .item(one("session_id", session))
            .description(Some("What to end: one of the two."))
            .into()
    }
}

impl ToSchema for StopBody {}

/// Something of the maker's own.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DataTransferBody {
    /// Whose vocabulary.
    #[garde(length(chars, min = 1, max = 255), custom(is_plain))]
    #[schema(min_length = 1, max_length = 255, pattern = "plain")]
    vendor_id: String,
    /// Which message.
    #[garde(inner(length(chars, min = 1, max = 50)), custom(is_plain_if_any))]
    #[schema(min_length = 1, max_length = 50, pattern = "plain")]
    #[serde(default)]
    message_id: Option<String>,
    /// The content.
    #[garde(inner(length(chars, max = 8192)), custom(is_plain_if_any))]
    #[schema(max_length = 8192, pattern = "plain")]
    #[serde(default)]
    data: Option<String>,
}

impl NewCommandBody {
    /// The command meant, once a session named is looked up.
    async fn command(self, app: &App, station_id: &StationId) -> Result<Command, Problem> {
        Ok(match self {
            Self::Reset(body) => Command::Reset {
                kind: body.map_or_else(soft, |body| body.kind),
            },
            Self::UnlockConnector(body) => Command::UnlockConnector {
                evse: body.evse,
                connector: body.connector,
            },
            Self::ChangeAvailability(body) => {
                let ChangeAvailabilityBody {
                    evse,
                    connector,
                    availability,
                } = body;
                if connector.is_some() && evse.is_none() {
                    let detail = "name the EVSE too: every EVSE has a connector 1";
                    return Err(Problem::fault("/parameters/evse", detail));
                }
                Command::ChangeAvailability {
                    evse,
                    connector,
                    availability,
                }
            }
            Self::ChangeConfiguration(ChangeConfigurationBody { key, value }) => {
                Command::ChangeConfiguration { key, value }
            }
            Self::GetConfiguration(body) => Command::GetConfiguration {
                keys: body.map_or_else(Vec::new, |body| body.keys),
            },
            Self::ClearCache(_) => Command::ClearCache {},
            Self::TriggerMessage(TriggerBody { message, evse }) => {
                Command::TriggerMessage { message, evse }
            }
            Self::RequestStartTransaction(StartBody { id_tag, evse }) => {
                Command::RequestStartTransaction { id_tag, evse }
            }
            Self::RequestStopTransaction(body) => {
                let transaction_id = match (body.transaction_id, body.session_id) {
                    (Some(id), None) => id,
                    (None, Some(id)) => app.transaction_of(station_id, SessionId(id)).await?,
                    _ => {
                        let detail = "name either transaction_id or session_id";
                        return Err(Problem::fault("/parameters", detail));
                    }
                };
                Command::RequestStopTransaction { transaction_id }
            }
            Self::DataTransfer(DataTransferBody {
                vendor_id,
                message_id,
                data,
            }) => Command::DataTransfer {
                vendor_id,
                message_id,
                data,
            },
        })
    }
}

/// How long to wait.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds to wait for the outcome.
    #[garde(inner(range(max = MAX_WAIT)))]
    #[param(minimum = 0, maximum = 60, nullable = false)]
    wait: Option<u64>,
}

/// Give a station's charger a command.
///
/// 202 and the command as it stands; with `wait`, 200 and its outcome when it ends in time. Every
/// command ends: accepted, rejected, failed, `timed_out` or lost.
#[utoipa::path(post, path = "/stations/{id}/commands", tag = "Commands",
    request_body = NewCommandBody,
    params(("id" = String, Path, description = "The station's identity.", max_length = 48),
        WaitQuery),
    responses((status = 200, description = "The command, ended.", body = CommandBody,
            headers(("Location", description = "Where it is."))),
        (status = 202, description = "The command, taken on.", body = CommandBody,
            headers(("Location", description = "Where it is.")))))]
async fn create(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(id): Path<String>,
    Params(query): Params<WaitQuery>,
    post: Post<NewCommandBody>,
) -> Result<Response, Problem> {
    let id = segment(&id, "Station")?;
    let wait = query.wait.unwrap_or(0);
    let once = post.once(caller.token_id);
    let command = post.body.command(&app, &id).await?;
    let ordered = app.order(&id, command, once, wait > 0).await?;
    let record = app.wait_for(ordered, Duration::from_secs(wait)).await?;
    let ended = wait > 0 && record.ending.is_some();
    let location = format!("/api/v1/commands/{}", record.id);
    let status = if ended {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let mut response = (status, axum::Json(CommandBody::from(record))).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A page of commands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Commands {
    /// The commands, newest first.
    commands: Vec<CommandBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// List a station's commands.
#[utoipa::path(get, path = "/stations/{id}/commands", tag = "Commands",
    params(("id" = String, Path, description = "The station's identity.", max_length = 48), Page<Uuid>),
    responses((status = 200, description = "A page of commands.", body = Commands)))]
async fn list(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
    Params(page): Params<Page<Uuid>>,
) -> Result<axum::Json<Commands>, Problem> {
    let id = segment(&id, "Station")?;
    if app.station(&id).await?.is_none() {
        return Err(Problem::not_found("Station"));
    }
    let limit = page.limit();
    let before = page.cursor()?.map(CommandId);
    let commands = app.commands(&id, before, limit + 1).await?;
    let (commands, next_cursor) = cut(commands, limit, |record| record.id.to_string());
    let commands = commands.into_iter().map(Into::into).collect();
    Ok(axum::Json(Commands {
        commands,
        next_cursor,
    }))
}

/// Read a command.
#[utoipa::path(get, path = "/commands/{id}", tag = "Commands",
    params(("id" = Uuid, Path, description = "The command's id.")),
    responses((status = 200, description = "The command.", body = CommandBody)))]
async fn get(
    _: Viewer,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<axum::Json<CommandBody>, Problem> {
    let id = CommandId(segment(&id, "Command")?);
    let record = app
        .command(id)
        .await?
        .ok_or_else(|| Problem::not_found("Command"))?;
    Ok(axum::Json(record.into()))
}
