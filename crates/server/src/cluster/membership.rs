//! This node among the others: it says that it lives, hears what time it is, and learns whether it
//! is the one that keeps [`house`](super::house).

use std::collections::HashSet;
use std::time::Duration;

use domain::Hold;
use jiff::Timestamp;
use store::StoreError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Cluster, house};
use crate::app::{App, AppError};
use crate::metrics::DisconnectReason;

/// How often a node says that it lives within the time after which it counts as dead.
const BEATS: u32 = 5;
/// The pause before what could not be read is read again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How this node stands among the others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Since when it has heard the database without a break.
    pub hears_since: Option<Instant>,
    /// Whether it is the one that keeps house.
    pub keeps_house: bool,
}

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
            return house::sweep_earlier_run(self).await;
        }
        let app = self.clone();
        tokio::spawn(async move {
            if let Err(error) = house::sweep_earlier_run(&app).await {
                // Whoever keeps house does it soon.
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

/// Keeps this node among the living, and tells how it stands after each beat. Nothing that takes
/// long is done here: however much a node has to do, it does not fall silent over it.
pub async fn run(app: App, told: watch::Sender<Standing>) {
    let Cluster { node, timeout, .. } = &app.cluster;
    let mut standing = Standing::default();
    loop {
        sleep(*timeout / BEATS).await;
        match beat(&app).await {
            Ok(()) => {
                standing.hears_since.get_or_insert_with(Instant::now);
            }
            Err(error) => {
                tracing::debug!(%error, "the database does not hear this node");
                // What others did meanwhile is not known: they get their time to speak first.
                standing.hears_since = None;
            }
        }
        let lease = app.store.take_lease(*node, *timeout).await;
        standing.keeps_house = standing.hears_since.is_some() && lease.unwrap_or(false);
        told.send_replace(standing);
    }
}

/// Says that this node lives, and comes back when it was taken for dead.
async fn beat(app: &App) -> Result<(), StoreError> {
    let asked = Instant::now();
    match app.store.beat(app.cluster.node).await? {
        Some(now) => follow(app, now, asked),
        None => come_back(app).await?,
    }
    Ok(())
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

/// This node was taken for dead, and its stations for offline: lives again.
async fn come_back(app: &App) -> Result<(), StoreError> {
    let Cluster { node, name, .. } = &app.cluster;
    // Those that connect from here on are not meant.
    let before = app.fleet.holds();
    app.store.enter_node(*node, name).await?;
    tracing::warn!("this node was taken for dead, and lives");
    let app = app.clone();
    tokio::spawn(async move {
        while let Err(error) = let_go(&app, &before).await {
            tracing::warn!(%error, "which chargers were lost meanwhile is not known yet");
            sleep(RETRY_PAUSE).await;
        }
    });
    Ok(())
}

/// Lets go of the chargers that this node no longer holds. They come back at once, here or
/// elsewhere.
async fn let_go(app: &App, before: &[Hold]) -> Result<(), StoreError> {
    let (mut held, mut after) = (HashSet::new(), None);
    loop {
        let page = app
            .store
            .held_stations(app.cluster.node, after.as_ref())
            .await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        held.extend(page);
    }
    let mut lost = 0;
    for Hold { station_id, epoch } in before {
        if !held.contains(&(station_id.clone(), *epoch)) {
            lost += 1;
            app.fleet
                .outdated(station_id, epoch + 1, DisconnectReason::Disowned);
        }
    }
    tracing::warn!(lost, "chargers lost meanwhile are to connect again");
    Ok(())
}
