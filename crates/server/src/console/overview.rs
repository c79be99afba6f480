//! The network: what state it is in, what changed, what needs a person, and where it all stands.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::{Event, StationStatus, Status, WattHours, Watts};
use jiff::Timestamp;

use super::board::{Board, Row, Running, Unbilled, folded};
use super::fault::Fault;
use super::form::{Asked, Fields};
use super::look;
use super::map::Map;
use super::page::{Page, Place, render};
use super::tell::{self, Told};
use super::visit::Viewer;
use super::words;
use crate::app::App;

/// Stations on one page of the list.
const ON_A_PAGE: usize = 25;
/// Things that need a person, shown at once.
const MAX_URGENT: usize = 8;
/// Failed commands that unfold below them. Whoever has more looks at the stations.
const MAX_FOLDED: usize = 40;
/// Changes shown.
const MAX_CHANGES: usize = 12;
/// How long a failed command needs somebody, in seconds: an hour.
const FAILED_FOR: i64 = 3_600;
/// Longest text that is searched for.
const MAX_SEARCH: usize = 100;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    page: Page,
    stations: Vec<Tally>,
    total: usize,
    segments: Vec<Segment>,
    connectors: Vec<Tally>,
    connectors_total: u32,
    energy: WattHours,
    power: Watts,
    charging: usize,
    urgent: Attention,
    changes: Vec<Told>,
    map: Map,
    attribution: Option<String>,
    list: List,
}

/// How many have a state, and the list of them.
struct Tally {
    name: &'static str,
    word: &'static str,
    count: i64,
    path: String,
    here: bool,
}

/// A piece of the bar of all stations.
struct Segment {
    name: &'static str,
    x: String,
    width: String,
}

/// Something that needs a person.
struct Urgent {
    key: String,
    state: look::State,
    what: String,
    why: String,
    path: String,
    since: Timestamp,
}

/// What needs a person, the worst first, and how much more of each kind there is.
struct Attention {
    shown: Vec<Urgent>,
    more_stations: usize,
    more_unbilled: usize,
    /// Failed commands that are not shown, and those of them that unfold.
    more_failed: usize,
    folded: Vec<Urgent>,
}

/// The list of stations.
struct List {
    rows: Vec<Arc<Row>>,
    found: usize,
    all: usize,
    search: String,
    status: String,
    statuses: Vec<(&'static str, &'static str)>,
    sort: String,
    sorts: Vec<(&'static str, &'static str)>,
    part: String,
    first: usize,
    last: usize,
    before: Option<String>,
    after: Option<String>,
}

/// The page.
pub async fn show(
    Viewer(visit): Viewer,
    State(app): State<App>,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let t = visit.lang.phrases();
    let page = visit.page(&app, Place::Overview, t.overview).await;
    let board = app.desk.board(&app).await?;
    let running = board.running(&app).await?;
    let overview = Overview::new(&app, page, &board, &query, running);
    Ok(render(overview.render()))
}

impl Overview {
    fn new(app: &App, page: Page, board: &Board, query: &Fields, running: Running) -> Self {
        let state = board.state();
        let settings = &app.settings.console;
        let rows: Vec<_> = state.rows.values().cloned().collect();
        let chosen = choose(&rows, query);
        let tally = |status: &StationStatus| state.stations.get(status).copied().unwrap_or(0);
        let counts: Vec<_> = StationStatus::ALL
            .iter()
            .map(|it| (*it, tally(it)))
            .collect();
        let names: HashMap<_, _> = rows
            .iter()
            .map(|row| (&row.id, row.name.as_str()))
            .collect();
        let changes = state.recent.iter().take(MAX_CHANGES);
        Self {
            stations: stations(&page, &counts, query),
            total: rows.len(),
            segments: segments(&counts),
            connectors: connectors(&page, |status| state.connectors.of(status)),
            connectors_total: Status::ALL.iter().map(|it| state.connectors.of(*it)).sum(),
            energy: WattHours(state.delivered().0.saturating_add(running.energy)),
            power: Watts(running.power),
            charging: running.sessions,
            urgent: Attention::new(&page, &rows, &state),
            changes: changes
                .map(|event| {
                    let id = event.event.station_id.as_ref();
                    let name = id.and_then(|id| names.get(id).copied());
                    tell::of_network(page.lang, event, name)
                })
                .collect(),
            map: Map::draw(page.lang, &chosen, query, settings.map_tiles.as_ref()),
            attribution: settings.map_attribution.clone(),
            list: List::new(&page, chosen, rows.len(), query),
            page,
        }
    }
}

/// How many stations have each state.
fn stations(page: &Page, counts: &[(StationStatus, usize)], query: &Fields) -> Vec<Tally> {
    let chosen = query.get("status");
    let tally = |(status, count): &(StationStatus, usize)| {
        let name = status.as_str();
        let here = chosen == Some(name);
        let other = query.without(&["page", "box"]);
        Tally {
            name,
            word: words::station_status(page.lang, *status),
            count: i64::try_from(*count).unwrap_or(i64::MAX),
            // Chosen again, it is chosen no longer.
            path: format!(
                "/console{}#stations",
                other.with("status", (!here).then_some(name))
            ),
            here,
        }
    };
    counts.iter().map(tally).collect()
}

fn connectors(page: &Page, count: impl Fn(Status) -> u32) -> Vec<Tally> {
    let tally = |status: &Status| Tally {
        name: status.as_str(),
        word: words::status(page.lang, *status),
        count: count(*status).into(),
        path: String::new(),
        here: false,
    };
    Status::ALL.iter().map(tally).collect()
}

/// The bar of all stations, in hundredths of its length.
fn segments(counts: &[(StationStatus, usize)]) -> Vec<Segment> {
    let part = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let all = part(counts.iter().map(|(_, count)| count).sum()).max(1.0);
    let mut from = 0.0;
    let there = counts.iter().filter(|(_, count)| *count > 0);
    there
        .map(|(status, count)| {
            let (x, width) = (from, part(*count) * 100.0 / all);
            from += width;
            Segment {
                name: status.as_str(),
                x: format!("{x:.2}"),
                width: format!("{width:.2}"),
            }
        })
        .collect()
}

impl Attention {
    fn new(page: &Page, rows: &[Arc<Row>], state: &super::board::State) -> Self {
        let mut troubled: Vec<_> = rows.iter().filter(|row| row.needs_a_person()).collect();
        troubled.sort_by(|a, b| {
            let order = a.rank().cmp(&b.rank()).then(b.since.cmp(&a.since));
            order.then_with(|| a.id.cmp(&b.id))
        });
        let lately = |at: Timestamp| page.now.as_second() - at.as_second() < FAILED_FOR;
        let failed = state.failed.iter().filter(|event| lately(event.event.at));
        let failed: Vec<_> = failed.collect();
        // So that no kind hides the others, each has its places.
        let others = failed.len().min(2) + state.unbilled.len().min(2);
        let stations = troubled.len().min(MAX_URGENT - others);
        let commands = failed.len().min(2);
        let unbilled = (MAX_URGENT - stations - commands).min(4);
        let unbilled = state.unbilled.len().min(unbilled);
        let mut shown: Vec<Urgent> = Vec::new();
        let of_stations = troubled.iter().take(stations);
        shown.extend(of_stations.map(|row| Urgent::station(page, row)));
        let of_commands = failed.iter().take(commands);
        shown.extend(of_commands.map(|event| Urgent::command(page, event)));
        let of_sessions = state.unbilled.iter().take(unbilled);
        shown.extend(of_sessions.map(|session| Urgent::unbilled(page, session)));
        let folded = failed.iter().skip(commands).take(MAX_FOLDED);
        Self {
            shown,
            more_stations: troubled.len() - stations,
            more_unbilled: state.unbilled.len() - unbilled,
            more_failed: failed.len() - commands,
            folded: folded.map(|event| Urgent::command(page, event)).collect(),
        }
    }
}

impl Urgent {
    fn station(page: &Page, row: &Row) -> Self {
        let in_part = row.rank() == 2;
        Self {
            key: row.id.to_string(),
            state: if in_part {
                page.state(&Status::Faulted)
            } else {
                page.station(&row.status)
            },
            what: row.name.clone(),
            why: if in_part {
                page.n(page.t.n_connectors_faulted, row.counts.faulted)
            } else {
                words::cause(page.lang, &row.cause)
            },
            path: format!("/console/stations/{}", row.id),
            since: row.since,
        }
    }

    fn command(page: &Page, event: &Event) -> Self {
        let station = event.event.station_id.as_ref();
        Self {
            key: event.seq.to_string(),
            state: look::State::new("failed", page.t.command_failed),
            what: station.map_or_else(String::new, ToString::to_string),
            why: tell::of_station(page.lang, event).text,
            path: station.map_or_else(
                || "/console".to_owned(),
                |id| format!("/console/stations/{id}#commands"),
            ),
            since: event.event.at,
        }
    }

    fn unbilled(page: &Page, session: &Unbilled) -> Self {
        let station = session.station_id.as_ref();
        Self {
            key: session.id.to_string(),
            state: look::State::new("unbilled", page.t.not_billable),
            what: station.map_or_else(String::new, ToString::to_string),
            why: words::problem(page.lang, session.problem).to_owned(),
            path: format!("/console/sessions/{}", session.id),
            since: session.at,
        }
    }
}

/// The stations that the query asks for.
fn choose(rows: &[Arc<Row>], query: &Fields) -> Vec<Arc<Row>> {
    let text = query.get("q").map(folded).unwrap_or_default();
    let text: String = text.chars().take(MAX_SEARCH).collect();
    let status = query.get("status");
    let wanted = |row: &&Arc<Row>| {
        let state = match status {
            None => true,
            Some("trouble") => row.needs_a_person(),
            Some("degraded") => row.degraded,
            Some(word) => row.status.as_str() == word,
        };
        state && (text.is_empty() || row.matches(&text))
    };
    rows.iter().filter(wanted).cloned().collect()
}

impl List {
    fn new(page: &Page, mut rows: Vec<Arc<Row>>, all: usize, query: &Fields) -> Self {
        let t = page.t;
        let known = |sort: &&str| ["name", "id", "since"].contains(sort);
        let sort = query.get("sort").filter(known).unwrap_or("urgency");
        rows.sort_by(|a, b| {
            let order = match sort {
                "name" => a.name.cmp(&b.name),
                "since" => b.since.cmp(&a.since),
                "id" => std::cmp::Ordering::Equal,
                _ => a.rank().cmp(&b.rank()).then_with(|| a.name.cmp(&b.name)),
            };
            order.then_with(|| a.id.cmp(&b.id))
        });
        let found = rows.len();
        let pages = found.div_ceil(ON_A_PAGE).max(1);
        let number = query
            .get("page")
            .and_then(|text| text.parse::<usize>().ok());
        let number = number.unwrap_or(1).clamp(1, pages);
        let start = (number - 1) * ON_A_PAGE;
        let rows: Vec<_> = rows.into_iter().skip(start).take(ON_A_PAGE).collect();
        let to = |number: usize| {
            let number = number.to_string();
            format!("/console{}#stations", query.with("page", Some(&number)))
        };
        let mut statuses = vec![("", t.every_state), ("trouble", t.needs_a_person)];
        let words = StationStatus::ALL.iter();
        statuses.extend(words.map(|it| (it.as_str(), words::station_status(page.lang, *it))));
        statuses.push(("degraded", t.degraded));
        Self {
            found,
            all,
            search: query.get("q").unwrap_or_default().to_owned(),
            status: query.get("status").unwrap_or_default().to_owned(),
            statuses,
            sort: sort.to_owned(),
            sorts: vec![
                ("urgency", t.sort_urgency),
                ("name", t.sort_name),
                ("id", t.sort_id),
                ("since", t.sort_since),
            ],
            part: query.get("box").unwrap_or_default().to_owned(),
            first: if found == 0 { 0 } else { start + 1 },
            last: start + rows.len(),
            before: (number > 1).then(|| to(number - 1)),
            after: (number < pages).then(|| to(number + 1)),
            rows,
        }
    }
}
