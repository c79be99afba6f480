//! Load drills: started, watched, ended.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::drill::{MAX_LATENCY_MS, MAX_SECONDS, MIN_SECONDS};
use domain::{DrillId, DrillLoad};
use jiff::Timestamp;
use uuid::Uuid;

use super::fault::Fault;
use super::form::{Asked, Fields, Posted};
use super::look;
use super::page::{Page, Place, render};
use super::phrases::Say;
use super::station::Ask;
use super::visit::{Operator, Viewer, go_to};
use super::words;
use crate::app::{App, Drill};

#[derive(Template)]
#[template(path = "drills.html")]
struct Drills {
    page: Page,
    allowed: bool,
    running: Option<Shown>,
    before: Vec<Shown>,
}

/// A drill in words.
struct Shown {
    id: DrillId,
    node: String,
    load: String,
    started_at: Timestamp,
    /// Its end, or when its time is over.
    ends_at: Timestamp,
    outcome: &'static str,
    measured: Vec<(&'static str, String)>,
}

impl Shown {
    fn new(page: &Page, drill: &Drill) -> Self {
        let t = page.t;
        Self {
            id: drill.id,
            node: drill.node.clone(),
            load: load(page, &drill.load),
            started_at: drill.started_at,
            ends_at: drill.ended.map_or_else(|| drill.ends_at(), |(_, at)| at),
            outcome: drill
                .ended
                .map_or(t.drill_runs, |(how, _)| words::drill_end(page.lang, how)),
            measured: measured(page, drill),
        }
    }
}

/// What it does.
fn load(page: &Page, load: &DrillLoad) -> String {
    let percent = |share: f64| format!("{:.0}\u{a0}%", share * 100.0);
    let t = page.t;
    let mut parts = Vec::new();
    if load.cpu > 0.0 {
        parts.push(format!("{}: {}", t.drill_cpu_short, percent(load.cpu)));
    }
    if load.memory > 0.0 {
        parts.push(format!(
            "{}: {}",
            t.drill_memory_short,
            percent(load.memory)
        ));
    }
    if load.latency_ms > 0 {
        parts.push(format!("{}: {}\u{a0}ms", t.drill_delayed, load.latency_ms));
    }
    if load.error_rate > 0.0 {
        parts.push(format!("{}: {}", t.drill_failed, percent(load.error_rate)));
    }
    parts.join(" · ")
}

/// What it has come to.
fn measured(page: &Page, drill: &Drill) -> Vec<(&'static str, String)> {
    let (t, measured) = (page.t, &drill.measured);
    let of = |a: String, b: String| t.drill_of.replace("{a}", &a).replace("{b}", &b);
    let cores = |cores: f64| {
        let text = format!("{cores:.2}");
        text.replace('.', &page.lang.decimal_point().to_string())
    };
    let mut told = Vec::new();
    if drill.load.cpu > 0.0 {
        let used = cores(measured.cpu_used_cores);
        let target = format!("{}\u{a0}{}", cores(measured.cpu_target_cores), t.drill_core);
        told.push((t.drill_cores, of(used, target)));
    }
    if drill.load.memory > 0.0 {
        let held = look::bytes(page.lang, measured.memory_held_bytes);
        let target = look::bytes(page.lang, measured.memory_target_bytes);
        told.push((t.drill_held, of(held, target)));
    }
    if drill.load.latency_ms > 0 {
        told.push((t.drill_delayed, page.count(measured.requests_delayed)));
    }
    if drill.load.error_rate > 0.0 {
        told.push((t.drill_failed, page.count(measured.requests_failed)));
    }
    told
}

/// The page.
pub async fn show(Viewer(visit): Viewer, State(app): State<App>) -> Result<Response, Fault> {
    let t = visit.lang.phrases();
    let page = visit.page(&app, Place::Drills, t.drills).await;
    let drills = app.drills();
    let ended = drills.iter().filter(|drill| drill.ended.is_some());
    let running = drills.iter().find(|drill| drill.ended.is_none());
    let shown = Drills {
        allowed: app.allows_drills(),
        running: running.map(|drill| Shown::new(&page, drill)),
        before: ended.map(|drill| Shown::new(&page, drill)).collect(),
        page,
    };
    Ok(render(shown.render()))
}

/// A whole number within its bounds.
fn within(fields: &Fields, name: &str, label: Say, bounds: [u64; 2]) -> Result<u64, Fault> {
    let number = fields.get(name).and_then(|text| text.parse().ok());
    let number = number.filter(|it| (bounds[0]..=bounds[1]).contains(it));
    number.ok_or_else(|| Fault::invalid(label, |t| t.wrong_number))
}

/// A share in hundredths.
fn share(fields: &Fields, name: &str, label: Say, most: u64) -> Result<f64, Fault> {
    let hundredths = within(fields, name, label, [0, most])?;
    Ok(f64::from(u32::try_from(hundredths).unwrap_or(0)) / 100.0)
}

/// Starts one.
pub async fn start(
    Operator(_): Operator,
    State(app): State<App>,
    posted: Posted,
) -> Result<Response, Fault> {
    let fields = &posted.fields;
    let latency = within(
        fields,
        "latency",
        |t| t.drill_latency,
        [0, MAX_LATENCY_MS.into()],
    )?;
    let load = DrillLoad {
        cpu: share(fields, "cpu", |t| t.drill_cpu, 100)?,
        memory: share(fields, "memory", |t| t.drill_memory, 95)?,
        latency_ms: u32::try_from(latency).unwrap_or(0),
        latency_rate: if latency > 0 { 1.0 } else { 0.0 },
        error_rate: share(fields, "errors", |t| t.drill_errors, 100)?,
        duration_seconds: within(
            fields,
            "seconds",
            |t| t.drill_seconds,
            [MIN_SECONDS, MAX_SECONDS],
        )?,
    };
    app.start_drill(load, posted.once()).await?;
    Ok(go_to("/console/drills"))
}

fn drill_id(fields: &Fields) -> Result<DrillId, Fault> {
    let id = fields.get("id").and_then(|id| Uuid::parse_str(id).ok());
    id.map(DrillId).ok_or(Fault::NotFound)
}

/// Asks before one is ended.
pub async fn ask(
    Operator(visit): Operator,
    State(app): State<App>,
    Asked(query): Asked,
) -> Result<Response, Fault> {
    let id = drill_id(&query)?;
    app.drill(id).ok_or(Fault::NotFound)?;
    let t = visit.lang.phrases();
    let ask = Ask {
        page: visit.page(&app, Place::Drills, t.drill_abort).await,
        question: t.ask_abort.to_owned(),
        consequence: t.ask_abort_means.to_owned(),
        button: t.drill_abort.to_owned(),
        harm: true,
        action: "/console/drills/abort".to_owned(),
        fields: vec![("id".to_owned(), id.to_string())],
        back: "/console/drills".to_owned(),
    };
    Ok(ask.show())
}

/// Ends it.
pub async fn abort(
    Operator(_): Operator,
    State(app): State<App>,
    posted: Posted,
) -> Result<Response, Fault> {
    app.abort_drill(drill_id(&posted.fields)?).await?;
    Ok(go_to("/console/drills"))
}
