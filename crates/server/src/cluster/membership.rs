//! This node among the others: it says that it lives, hears what time it is, and learns whether it
//! is the one that keeps [`house`].

use std::collections::HashSet;
use std::time::Duration;

use domain::Hold;
use jiff::Timestamp;
use store::StoreError;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Cluster, house};
use crate::app::{App, AppError};
use crate::metrics::DisconnectReason;

/// How often a node says that it lives within the time after which it counts as dead.
const BEATS: u32 = 5;
/// How many times as long as it is to the next beat one may take.
const MOST: u32 = 2;
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
/// long is done here: however much a node has to do, it does not fall silent over it. What is to be
/// done besides is done on `rest`.
pub async fn run(app: App, told: watch::Sender<Standing>, rest: Handle) {
    let interval = app.cluster.timeout / BEATS;
    let mut standing = Standing::default();
    let mut last: Option<Said> = None;
    loop {
        sleep(interval).await;
        let said = timeout(MOST * interval, say(&app, &rest)).await;
        match said.unwrap_or(Err(StoreError::Unavailable)) {
            Ok(said) => {
                // What others did in a break is not known: they get their time to speak first.
                if !said.follows(last.as_ref(), MOST * interval) {
                    standing.hears_since = None;
                }
                standing.hears_since.get_or_insert(said.heard);
                standing.keeps_house = said.keeps_house;
                last = Some(said);
            }
            Err(error) => {
                if standing.hears_since.is_some() {
                    tracing::warn!(%error, "the database does not hear that this node lives");
                }
                standing = Standing::default();
            }
        }
        told.send_replace(standing);
    }
}

/// What came of a beat.
struct Said {
    /// When, by the database's clock, in microseconds; `None` when this node had to come back.
    at: Option<i64>,
    /// When this node knew.
    heard: Instant,
    keeps_house: bool,
}

impl Said {
    /// Whether it came soon after the one before, by either clock: a machine that was frozen has
    /// not noticed.
    fn follows(&self, before: Option<&Self>, soon: Duration) -> bool {
        let micros = i64::try_from(soon.as_micros()).unwrap_or(i64::MAX);
        before.is_some_and(|before| {
            let apart = self.at.zip(before.at).map(|(now, then)| now - then);
            self.heard.duration_since(before.heard) <= soon
                && apart.is_some_and(|apart| apart <= micros)
        })
    }
}

/// Says that this node lives, comes back when it was taken for dead, and takes its turn to keep
/// house.
async fn say(app: &App, rest: &Handle) -> Result<Said, StoreError> {
    let Cluster { node, timeout, .. } = &app.cluster;
    let asked = Instant::now();
    let at = app.store.beat(*node).await?;
    match at {
        Some(now) => follow(app, now, asked),
        None => come_back(app, rest).await?,
    }
    let keeps_house = app.store.take_lease(*node, *timeout).await?;
    Ok(Said {
        at,
        heard: Instant::now(),
        keeps_house,
    })
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
async fn come_back(app: &App, rest: &Handle) -> Result<(), StoreError> {
    let Cluster { node, name, .. } = &app.cluster;
    // Those that connect from here on are not meant.
    let before = app.fleet.holds();
    let entered = app.store.enter_node(*node, name).await;
    tracing::warn!("this node was taken for dead, and lives");
    let app = app.clone();
    rest.spawn(async move {
        let stopping = app.stopping.clone();
        let knows = async {
            while let Err(error) = let_go(&app, &before).await {
                tracing::warn!(%error, "which chargers were lost meanwhile is not known yet");
                sleep(RETRY_PAUSE).await;
            }
        };
        stopping.run_until_cancelled(knows).await
    });
    entered
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
