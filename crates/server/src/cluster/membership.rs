//! This node among the others: it says that it lives, hears what time it is, and, when it is its
//! turn, does what one node does for all.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::{CommandId, Hold, NodeId};
use jiff::{SignedDuration, Timestamp};
use store::StoreError;
use tokio::time::{Instant, sleep};

use super::Cluster;
use crate::app::{App, AppError};
use crate::metrics::DisconnectReason;

/// How often a node says that it lives within the time after which it counts as dead.
const BEATS: u32 = 5;
/// How often the stations and commands of nodes that are gone are looked for though no node died
/// just now: what an interrupted sweep left.
const SWEEP: Duration = Duration::from_secs(30);
/// How much longer than its timeout a command may stay open before it counts as lost: it never
/// reached its node.
const OPEN_SLACK: Duration = Duration::from_secs(30);
/// How long a request with an `Idempotency-Key` is remembered.
const REMEMBER_REQUESTS: SignedDuration = SignedDuration::from_hours(24);

impl App {
    /// Writes this node down as living, takes over the network's time, and ends what an earlier run
    /// left open.
    ///
    /// Alone, it returns only then: nobody is to be told that a station is available whose charger
    /// went away with the earlier run. Where others live, they show the same stations already, and
    /// thousands of them take a while: the node serves meanwhile.
    pub async fn join(&self) -> Result<(), AppError> {
        let cluster = &self.cluster;
        self.store.enter_node(cluster.node, &cluster.name).await?;
        let asked = Instant::now();
        if let Some(now) = self.store.beat(cluster.node).await? {
            follow(self, now, asked);
        }
        let living = self.store.living_nodes().await?;
        if living.iter().all(|node| *node == cluster.node) {
            return sweep_earlier_run(self).await;
        }
        let app = self.clone();
        tokio::spawn(async move {
            if let Err(error) = sweep_earlier_run(&app).await {
                // Whoever keeps house does it within `SWEEP`.
                tracing::warn!(%error, "not all is swept after an earlier run");
            }
        });
        Ok(())
    }

    /// Removes this node from those that live: it holds no charger any more.
    pub async fn leave(&self) -> Result<(), AppError> {
        Ok(self.store.leave_node(self.cluster.node).await?)
    }
}

/// Keeps this node among the living, until it is told to end.
pub async fn run(app: App) {
    let beat = app.cluster.timeout / BEATS;
    let mut house = House::default();
    loop {
        sleep(beat).await;
        let asked = Instant::now();
        match app.store.beat(app.cluster.node).await {
            Ok(Some(now)) => follow(&app, now, asked),
            Ok(None) => {
                if let Err(error) = come_back(&app).await {
                    tracing::warn!(%error, "this node is not among the living");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the database does not hear this node");
                // What others did meanwhile is not known: they get their time to speak first.
                house.hears_since = None;
                continue;
            }
        }
        if let Err(error) = house.keep(&app).await {
            tracing::warn!(%error, "house not kept");
        }
    }
}

/// Takes over the database's time.
fn follow(app: &App, micros: i64, asked: Instant) {
    let told = Timestamp::from_microsecond(micros).ok();
    if let Some(off) = told.and_then(|told| app.clock.follow(told, asked.elapsed())) {
        tracing::warn!(
            seconds = off.as_secs_f64(),
            "this machine's clock was off the database's, which is followed"
        );
    }
}

/// This node was taken for dead, and its stations for offline: lives again, and lets go of the
/// chargers that it no longer holds. They come back at once, here or elsewhere.
async fn come_back(app: &App) -> Result<(), StoreError> {
    let Cluster { node, name, .. } = &app.cluster;
    // Those that connect from here on are not meant.
    let before = app.fleet.holds();
    app.store.enter_node(*node, name).await?;
    let (mut held, mut after) = (HashSet::new(), None);
    loop {
        let page = app.store.held_stations(*node, after.as_ref()).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        held.extend(page);
    }
    let mut lost = 0;
    for Hold { station_id, epoch } in before {
        if !held.contains(&(station_id.clone(), epoch)) {
            lost += 1;
            app.fleet
                .outdated(&station_id, epoch + 1, DisconnectReason::Disowned);
        }
    }
    tracing::warn!(
        lost,
        "this node was taken for dead; lost chargers are to connect again"
    );
    Ok(())
}

/// What the node that keeps house remembers between two rounds.
#[derive(Default)]
struct House {
    /// Since when this node has heard the database without a break.
    hears_since: Option<Instant>,
    swept: Option<Instant>,
    living: HashSet<NodeId>,
    open: Open,
}

/// Open commands, and since when this node sees them open. By its own steady clock: no other can
/// make a command old.
#[derive(Default)]
struct Open(HashMap<CommandId, Instant>);

impl House {
    /// Does what one node does for all, if it is this one's turn.
    async fn keep(&mut self, app: &App) -> Result<(), AppError> {
        let Cluster { node, timeout, .. } = &app.cluster;
        let hears_since = *self.hears_since.get_or_insert_with(Instant::now);
        if !app.store.take_lease(*node, *timeout).await? {
            self.open.0.clear();
            return Ok(());
        }
        // After an outage of the database everybody has been silent.
        if hears_since.elapsed() > *timeout {
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

async fn sweep_earlier_run(app: &App) -> Result<(), AppError> {
    let (stations, commands) = sweep(app, &mut Open::default()).await?;
    if stations + commands > 0 {
        tracing::info!(stations, commands, "swept after an earlier run");
    }
    Ok(())
}

/// Takes offline the stations of nodes that are gone, and ends their commands. Tells how many.
async fn sweep(app: &App, open: &mut Open) -> Result<(usize, usize), AppError> {
    let stations = app.sweep_connections().await?;
    let living: HashSet<_> = app.store.living_nodes().await?.into_iter().collect();
    let limit = app.settings.command_timeout + OPEN_SLACK;
    let mut seen = HashMap::new();
    let commands = app
        .sweep_commands(|record| {
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
