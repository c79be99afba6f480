//! A station as one sees it on the street, what it is doing, and what can be done about it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::command::{ResetType, Trigger};
use domain::session::Reading;
use domain::station::{Place as Part, Report, Reporting};
use domain::{
    Availability, CommandId, CommandRecord, Connector, ConnectorStatus, Entry, Evse, EvseNo,
    Session, Station, StationId,
};
use jiff::Timestamp;

use super::curve::Curve;
use super::fault::Fault;
use super::form::{Asked, Fields, Posted, Segment};
use super::look::State as StateLook;
use super::page::{Page, Place, render};
use super::tell::{self, Told};
use super::visit::{Admin, Operator, Viewer, go_to};
use super::words;
use crate::app::{App, EntryFilter, SessionFilter};

/// Events on the station's page; the rest is on its history's.
const EVENTS: u32 = 20;
/// Commands, sessions and entries on the station's page.
const COMMANDS: u32 = 8;
const SESSIONS: u32 = 6;
const ENTRIES: u32 = 4;

#[derive(Template)]
#[template(path = "station.html")]
struct StationPage {
    page: Page,
    station: Arc<Station>,
    last_seen: Option<Timestamp>,
    cause: String,
    posts: Vec<Post>,
    running: Vec<Running>,
    events: Vec<Told>,
    commands: Vec<Given>,
    answered: Option<Given>,
    sessions: Vec<Session>,
    entries: Vec<Entry>,
    resets: Vec<(&'static str, &'static str)>,
    triggers: Vec<(&'static str, &'static str)>,
}

/// An EVSE as it stands on the street.
struct Post {
    evse: Evse,
    cause: String,
    sockets: Vec<Socket>,
}

/// A connector, with its face.
struct Socket {
    connector: Connector,
    face: &'static str,
    kind: Option<String>,
    cause: String,
    reported: StateLook,
}

/// A session that runs, with its curve.
pub struct Running {
    /// The session.
    pub session: Session,
    /// Its curve, when there is something to draw.
    pub curve: Option<Curve>,
}

/// A command and what became of it, in words.
pub struct Given {
    /// The command.
    pub record: CommandRecord,
    /// What it asks for.
    pub what: String,
    /// What became of it: `waiting`, or the outcome's word.
    pub class: &'static str,
    /// The same for people.
    pub outcome: &'static str,
    /// More of it.
    pub detail: Option<String>,
    /// What the charger answered, line by line.
    pub response: Option<String>,
}

impl Given {
    /// A command in words.
    pub fn new(page: &Page, record: CommandRecord) -> Self {
        let ending = record.ending.as_ref();
        Self {
            what: words::command_with(page.lang, &record.command),
            class: ending.map_or("waiting", |ending| ending.outcome.as_str()),
            outcome: ending.map_or(page.t.waiting, |ending| {
                words::outcome(page.lang, ending.outcome)
            }),
            detail: ending.and_then(|ending| ending.detail.clone()),
            response: ending
                .and_then(|ending| ending.response.as_ref())
                .and_then(|response| serde_json::to_string_pretty(response).ok())
                .filter(|text| text.len() > 2),
            record,
        }
    }
}

/// A station's id in a path.
pub fn station_id(text: &str) -> Result<StationId, Fault> {
    StationId::new(text).map_err(|_| Fault::NotFound)
}

/// The page.
pub async fn show(
    Viewer(visit): Viewer,
    State(app): State<App>,
    Segment(id): Segment,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let station = app.station(&id).await?.ok_or(Fault::NotFound)?;
    let page = visit.page(&app, Place::Overview, &station.name).await;
    let told = |events: Vec<domain::Event>| {
        let told = events
            .iter()
            .map(|event| tell::of_station(page.lang, event));
        told.collect()
    };
    let events = told(app.history(&id, None, EVENTS).await?);
    let commands = app.commands(&id, None, COMMANDS).await?;
    let answered = match query.get("command").and_then(|id| id.parse().ok()) {
        Some(command) => app.command(CommandId(command)).await?,
        None => None,
    };
    let sessions = SessionFilter {
        station_id: Some(id.clone()),
        ..SessionFilter::default()
    };
    let entries = EntryFilter {
        station_id: Some(id.clone()),
        before: None,
    };
    let active = SessionFilter {
        active: Some(true),
        ..sessions.clone()
    };
    let mut running = Vec::new();
    for session in app.sessions(&active, SESSIONS).await? {
        running.push(run(&app, &page, session).await?);
    }
    let answered = answered.filter(|record| record.station_id == id);
    let shown = StationPage {
        last_seen: app.last_seen(&station),
        cause: words::cause(page.lang, &station.status_cause),
        posts: station.evses.iter().map(|evse| post(&page, evse)).collect(),
        running,
        events,
        commands: commands
            .into_iter()
            .map(|record| Given::new(&page, record))
            .collect(),
        answered: answered.map(|record| Given::new(&page, record)),
        sessions: app.sessions(&sessions, SESSIONS).await?,
        entries: app.entries(&entries, ENTRIES).await?,
        resets: ResetType::ALL
            .iter()
            .map(|it| (it.as_str(), words::reset(page.lang, *it)))
            .collect(),
        triggers: Trigger::ALL
            .iter()
            .map(|it| (it.as_str(), words::trigger(page.lang, *it)))
            .collect(),
        station,
        page,
    };
    Ok(render(shown.render()))
}

/// A running session with its curve.
pub async fn run(app: &App, page: &Page, session: Session) -> Result<Running, Fault> {
    let stored = app.readings(session.id).await?;
    let mut readings: Vec<Reading> = stored.into_iter().map(|it| it.reading).collect();
    if let Some(register) = session.meter_start
        && readings
            .first()
            .is_none_or(|first| first.at > session.started_at)
    {
        let begin = Reading {
            at: session.started_at,
            energy: Some(register),
            power: None,
        };
        readings.insert(0, begin);
    }
    let curve = Curve::draw(page.lang, &readings, session.meter_start);
    Ok(Running { session, curve })
}

fn post(page: &Page, evse: &Evse) -> Post {
    let sockets = evse.connectors.iter().map(|connector| {
        let reported = connector.reported.status;
        Socket {
            face: words::face(connector.kind.as_deref()),
            kind: connector
                .kind
                .as_deref()
                .map(|code| words::kind(code).to_owned()),
            cause: words::cause(page.lang, &connector.status_cause),
            reported: StateLook::new(
                reported.class().as_str(),
                words::reported(page.lang, reported),
            ),
            connector: connector.clone(),
        }
    });
    Post {
        cause: words::cause(page.lang, &evse.status_cause),
        sockets: sockets.collect(),
        evse: evse.clone(),
    }
}

impl StationPage {
    fn is_manual(&self) -> bool {
        self.station.reporting == Reporting::Manual
    }

    /// What is reported of the station itself, in words.
    fn reported(&self, report: &Report) -> StateLook {
        let status: ConnectorStatus = report.status;
        StateLook::new(
            status.class().as_str(),
            words::reported(self.page.lang, status),
        )
    }

    fn session_state(&self, session: &Session) -> &'static str {
        words::session_state(self.page.lang, session.state)
    }

    /// The link that asks before the station is taken out of use, or put back.
    fn ask_station(&self) -> String {
        let to = other(self.station.operator);
        format!("/console/stations/{}/availability?to={to}", self.station.id)
    }

    /// The same for a connector.
    fn ask_part(&self, post: &Post, socket: &Socket) -> String {
        let (id, to) = (&self.station.id, other(socket.connector.operator));
        let (evse, connector) = (post.evse.number, socket.connector.number);
        format!("/console/stations/{id}/availability?to={to}&evse={evse}&connector={connector}")
    }
}

/// Whether the operator has taken a part out of use.
fn is_out(availability: &Availability) -> bool {
    *availability == Availability::Inoperative
}

/// What a decision would become.
const fn other(availability: Availability) -> Availability {
    match availability {
        Availability::Operative => Availability::Inoperative,
        Availability::Inoperative => Availability::Operative,
    }
}

#[derive(Template)]
#[template(path = "ask.html")]
pub struct Ask {
    /// The page.
    pub page: Page,
    /// What is asked.
    pub question: String,
    /// What will follow.
    pub consequence: String,
    /// What the button says.
    pub button: String,
    /// Whether it can do harm.
    pub harm: bool,
    /// Where the form goes.
    pub action: String,
    /// What it carries.
    pub fields: Vec<(String, String)>,
    /// Where it leads back to.
    pub back: String,
}

impl Ask {
    /// The page that asks.
    pub fn show(&self) -> Response {
        render(self.render())
    }
}

/// The part that a form names: the station, an EVSE, a connector.
fn part(fields: &Fields) -> Result<Part, Fault> {
    let evse: Option<EvseNo> = fields.evse()?;
    let connector = fields.number("connector", |t| t.connector)?;
    match (evse, connector) {
        (None, None) => Ok(Part::Station),
        (Some(evse), None) => Ok(Part::Evse(evse)),
        (Some(evse), Some(connector)) => Ok(Part::Connector(evse, connector)),
        // Every EVSE has a connector 1.
        (None, Some(_)) => Err(Fault::invalid(|t| t.evse, |t| t.wrong_missing)),
    }
}

fn wanted(fields: &Fields) -> Result<Availability, Fault> {
    fields.word("to", |t| t.availability, Availability::from_word)
}

/// Asks before a part is taken out of use, or put back.
pub async fn ask_availability(
    Operator(visit): Operator,
    State(app): State<App>,
    Segment(id): Segment,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let station = app.station(&id).await?.ok_or(Fault::NotFound)?;
    let (part, to) = (part(&query)?, wanted(&query)?);
    let t = visit.lang.phrases();
    let name = match part {
        Part::Station => station.name.clone(),
        Part::Evse(evse) => format!("{} · EVSE {evse}", station.name),
        Part::Connector(evse, connector) => {
            format!("{} · {} {evse}/{connector}", station.name, t.connector)
        }
    };
    let out = to == Availability::Inoperative;
    let (question, consequence, button) = if out {
        (t.ask_take_out, t.ask_take_out_means, t.take_out)
    } else {
        (t.ask_put_back, t.ask_put_back_means, t.put_back)
    };
    let page = visit.page(&app, Place::Overview, button).await;
    let ask = Ask {
        page,
        question: question.replace("{name}", &name),
        consequence: consequence.to_owned(),
        button: button.to_owned(),
        harm: out,
        action: format!("/console/stations/{id}/availability"),
        fields: query.pairs().to_vec(),
        back: format!("/console/stations/{id}"),
    };
    Ok(ask.show())
}

/// Takes a part out of use, or puts it back.
pub async fn set_availability(
    Operator(_): Operator,
    State(app): State<App>,
    Segment(id): Segment,
    posted: Posted,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let (part, to) = (part(&posted.fields)?, wanted(&posted.fields)?);
    app.set_availability(&id, part, to, None).await?;
    Ok(go_to(&format!("/console/stations/{id}#street")))
}

/// Asks before the charger's password is replaced.
pub async fn ask_credentials(
    Admin(visit): Admin,
    State(app): State<App>,
    Segment(id): Segment,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let station = app.station(&id).await?.ok_or(Fault::NotFound)?;
    let t = visit.lang.phrases();
    let page = visit.page(&app, Place::Overview, t.make_password).await;
    let ask = Ask {
        page,
        question: t.ask_credentials.replace("{name}", &station.name),
        consequence: t.ask_credentials_means.to_owned(),
        button: t.make_password.to_owned(),
        harm: true,
        action: format!("/console/stations/{id}/credentials"),
        fields: Vec::new(),
        back: format!("/console/stations/{id}"),
    };
    Ok(ask.show())
}

#[derive(Template)]
#[template(path = "secret.html")]
pub struct Secret {
    /// The page.
    pub page: Page,
    /// What it is for.
    pub what: String,
    /// What is to be done with it.
    pub how: String,
    /// The secret; `None` when the form was sent twice: it was shown the first time.
    pub shown: Option<String>,
    /// Where it leads back to.
    pub back: String,
}

impl Secret {
    /// The page that shows it, this once.
    pub fn show(&self) -> Response {
        render(self.render())
    }
}

/// The security profile of passwords made here: HTTP Basic.
const BASIC: u8 = 1;

/// Makes the charger's password, and shows it once.
pub async fn make_credentials(
    Admin(visit): Admin,
    State(app): State<App>,
    Segment(id): Segment,
    posted: Posted,
) -> Result<Response, Fault> {
    let id = station_id(&id)?;
    let station = app.station(&id).await?.ok_or(Fault::NotFound)?;
    let profile = station.security_profile.unwrap_or(BASIC);
    let secret = app.make_credentials(&id, profile, posted.once()).await?;
    let t = visit.lang.phrases();
    let page = visit.page(&app, Place::Overview, t.new_password).await;
    let shown = Secret {
        page,
        what: format!("{}: {}", t.new_password, station.name),
        how: t.new_password_how.to_owned(),
        shown: secret,
        back: format!("/console/stations/{id}"),
    };
    Ok(shown.show())
}
