//! What is done by one node for all: nodes that fell silent are taken for dead, their stations go
//! offline and their commands end, and what is old is forgotten.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::{CommandId, NodeId};
use jiff::SignedDuration;
use store::StoreError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Cluster;
use super::membership::Standing;
use crate::app::{App, AppError};

/// How often the stations and commands of nodes that are gone are looked for though no node died
/// just now: what an interrupted sweep left.
const SWEEP: Duration = Duration::from_secs(30);
/// How much longer than its timeout a command may stay open before it counts as lost: it never
/// reached its node.
const OPEN_SLACK: Duration = Duration::from_secs(30);
/// How long a request with an `Idempotency-Key` is remembered.
const REMEMBER_REQUESTS: SignedDuration = SignedDuration::from_hours(24);

/// Keeps house after each beat of this node's, when it is its turn. Beats go on meanwhile, and keep
/// it this node's turn.
pub async fn run(app: App, mut told: watch::Receiver<Standing>) {
    let mut house = House::default();
    while told.changed().await.is_ok() {
        let standing = *told.borrow_and_update();
        if standing.hears_since.is_none() {
            continue;
        }
        if !standing.keeps_house {
            house.open.0.clear();
            continue;
        }
        if let Err(error) = house.keep(&app, standing).await {
            tracing::warn!(%error, "house not kept");
        }
    }
}

/// What the node that keeps house remembers between two rounds.
#[derive(Default)]
struct House {
    swept: Option<Instant>,
    living: HashSet<NodeId>,
    open: Open,
}

/// Open commands, and since when this node sees them open. By its own steady clock: no other can
/// make a command old.
#[derive(Default)]
struct Open(HashMap<CommandId, Instant>);

impl House {
    /// Does what one node does for all.
    async fn keep(&mut self, app: &App, standing: Standing) -> Result<(), AppError> {
        let Cluster { node, timeout, .. } = &app.cluster;
        // After an outage of the database everybody has been silent.
        let hears = standing.hears_since.map(|since| since.elapsed());
        if hears.is_some_and(|time| time > *timeout) {
            app.store.bury_silent_nodes(*node, *timeout).await?;
        }
        let living: HashSet<_> = app.store.living_nodes().await?.into_iter().collect();
        let one_died = !self.living.is_subset(&living);
        if one_died || self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
            let (stations, commands) = sweep(app, &mut self.open).await?;
            if stations + commands > 0 {
                tracing::warn!(stations, commands, "swept after nodes that are gone");
            }
            self.swept = Some(Instant::now());
            forget_requests(app).await?;
            app.forget_events().await?;
            app.forget_sign_ins().await?;
        }
        self.living = living;
        Ok(())
    }
}

/// Ends what an earlier run of this node, or of another that is gone, left open.
pub(super) async fn sweep_earlier_run(app: &App) -> Result<(), AppError> {
    let (stations, commands) = sweep(app, &mut Open::default()).await?;
    if stations + commands > 0 {
        tracing::info!(stations, commands, "swept after an earlier run");
    }
    Ok(())
}

/// Takes offline the stations of nodes that are gone, and ends their commands. Tells how many.
async fn sweep(app: &App, open: &mut Open) -> Result<(usize, usize), AppError> {
    let stations = app.sweep_connections().await?;
    let limit = app.settings.command_timeout + OPEN_SLACK;
    let mut seen = HashMap::new();
    let commands = app
        .sweep_commands(|record, living| {
            let since = open.0.get(&record.id).copied();
            let since = since.unwrap_or_else(Instant::now);
            seen.insert(record.id, since);
            let carried = record.carrier.is_some_and(|node| living.contains(&node));
            !carried || since.elapsed() > limit
        })
        .await?;
    open.0 = seen;
    Ok((stations, commands))
}

async fn forget_requests(app: &App) -> Result<(), StoreError> {
    match app.clock.now().saturating_sub(REMEMBER_REQUESTS) {
        Ok(before) => app.store.forget_requests(before).await.map(drop),
        Err(_) => Ok(()),
    }
}
