//! A load on a server: thousands of chargers that say what real ones say, count and measure.
//!
//! They are simpler than a [`Charger`](crate::Charger): a task each, one call at a time, small
//! buffers. A run has phases: everybody connects, at a pace; everybody works, for a time; and the
//! line is closed in good order. What a server has acknowledged can be written to a [`Journal`], and
//! the server [held to it](verify()) afterwards.
//!
//! One process has only so many sockets. A [crew] of several is led through the same phases
//! together, and their results are added up.

pub mod crew;
mod histogram;
mod journal;
mod ledger;
mod line;
mod member;
mod servers;
mod stats;
mod story;
mod tally;
mod verify;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::Dialer;
use member::Member;
use servers::Servers;
use tally::Times;

pub use histogram::{Histogram, Latencies};
pub use journal::{Entry, Journal, Writing};
pub use ledger::Ledger;
pub use stats::{Action, Snapshot, Stats};
pub use tally::{Gap, Report, Row, Tally};
pub use verify::{Kind, Verdict, VerifyError, verify, verify_journals};

/// Chargers of one process: it has so many sockets, and no more.
pub const MAX_CHARGERS: usize = 60_000;

/// Chargers that share a loopback address, where the server is on this machine: well below the
/// ports that one address has.
const CHARGERS_PER_ADDRESS: u64 = 10_000;

/// Loopback addresses that are made use of, from `127.0.0.1` on.
const ADDRESSES: u64 = 200;

/// Handshakes at the same time. More would only wait in the kernel, and time out there.
const MAX_DIALS: usize = 256;

/// How long connecting may take beyond its pace before the work begins without the missing.
const GATHER_GRACE: Duration = Duration::from_mins(1);

/// How long everybody may take to come back after a storm.
const STORM_LIMIT: Duration = Duration::from_mins(2);

/// Between looks at whether everybody is there.
const LOOK: Duration = Duration::from_millis(20);

/// What the chargers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// They are there. A heartbeat now and then.
    Idle,
    /// Heartbeats.
    Heartbeats,
    /// State changes of one connector.
    Statuses,
    /// Cars come, charge and leave.
    Busy,
    /// All lines are cut at once, and all chargers come back at once.
    Storm,
    /// Busy, and each line is lost every few seconds, often between a call and its answer.
    Flaky,
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// Where chargers connect, without an identity. With several, each line goes to the one with
    /// the fewest, and who is refused or sent away by one tries another.
    pub servers: Vec<Url>,
    /// Identities are this and a number.
    pub prefix: String,
    /// The first number.
    pub first: u64,
    /// How many; at most [`MAX_CHARGERS`].
    pub chargers: usize,
    /// What all of them present, if anything.
    pub password: Option<String>,
    /// The card they charge with.
    pub tag: String,
    /// What they do.
    pub profile: Profile,
    /// Calls a second, of all together. Without, each charger goes on as soon as it is answered.
    pub rate: Option<f64>,
    /// How long they work.
    pub duration: Duration,
    /// New lines a second while everybody connects. Without, as fast as they come.
    pub connects: Option<f64>,
    /// Between the heartbeats of a charger that has nothing else to say.
    pub heartbeat: Duration,
    /// Chance takes the same turns for the same seed.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            prefix: "SIM-".to_owned(),
            first: 1,
            chargers: 1,
            password: None,
            tag: "DEMO-0001".to_owned(),
            profile: Profile::Busy,
            rate: None,
            duration: Duration::from_secs(30),
            connects: None,
            heartbeat: Duration::from_mins(5),
            seed: 1,
        }
    }
}

/// What everybody does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Gather,
    Work,
    /// Counted, so that nobody goes through the same storm twice.
    Storm(u32),
    Over,
}

/// What the chargers of a run share.
struct Shared {
    options: Options,
    servers: Arc<Servers>,
    dialer: Dialer,
    dials: Semaphore,
    stats: Arc<Stats>,
    journal: Option<Journal>,
    /// Chargers that the storm has cut off.
    cut: AtomicUsize,
    /// Between the calls of one charger.
    interval: Option<Duration>,
}

/// Where a run waits for the others it belongs to, between connecting and working.
#[derive(Debug)]
pub struct Gate {
    /// Told when this run's chargers are there, or as many as will come.
    pub gathered: oneshot::Sender<()>,
    /// Told when the work begins.
    pub begin: oneshot::Receiver<()>,
}

/// Runs a load to its end, or until `shutdown`. `stats` can be watched meanwhile.
///
/// # Panics
///
/// When there is no server in the options.
pub async fn run(
    options: Options,
    stats: Arc<Stats>,
    journal: Option<Journal>,
    shutdown: CancellationToken,
) -> Report {
    let tally = run_part(options, stats, journal, None, shutdown).await;
    tally.report(None)
}

/// Runs a part of a load, in step with the others.
///
/// # Panics
///
/// When there is no server in the options.
pub async fn run_part(
    mut options: Options,
    stats: Arc<Stats>,
    journal: Option<Journal>,
    gate: Option<Gate>,
    shutdown: CancellationToken,
) -> Tally {
    options.chargers = options.chargers.min(MAX_CHARGERS);
    let chargers = options.chargers;
    let shared = Arc::new(Shared {
        servers: Servers::new(&options.servers, Instant::now()),
        dialer: Dialer::default().abrupt(),
        dials: Semaphore::new(MAX_DIALS),
        stats: stats.clone(),
        journal,
        cut: AtomicUsize::new(0),
        interval: options.rate.map(|rate| per(rate / as_f64(chargers))),
        options,
    });
    let (phases, phase) = watch::channel(Phase::Gather);
    let mut members = JoinSet::new();
    let pace = shared.options.connects.map_or(Duration::ZERO, per);
    for (index, number) in (0_u32..).zip(shared.options.first..).take(chargers) {
        let member = Member::new(shared.clone(), phase.clone(), number);
        members.spawn(member.live(pace.saturating_mul(index)));
    }
    let mut times = Times::default();
    let conducted = conduct(&shared, &phases, &mut times, pace, gate);
    shutdown.run_until_cancelled(conducted).await;
    let tally = stats.tally(chargers, times);
    stats.leave();
    phases.send_replace(Phase::Over);
    members.join_all().await;
    tally
}

/// Leads everybody through the phases.
async fn conduct(
    shared: &Shared,
    phases: &watch::Sender<Phase>,
    times: &mut Times,
    pace: Duration,
    gate: Option<Gate>,
) {
    let chargers = u32::try_from(shared.options.chargers).unwrap_or(u32::MAX);
    times.gather = everybody(shared, pace.saturating_mul(chargers) + GATHER_GRACE).await;
    if let Some(gate) = gate {
        let _ = gate.gathered.send(());
        // Whoever leads has gone if nothing comes; the run is then shut down.
        let _ = gate.begin.await;
    }
    shared.stats.begin_work();
    if shared.options.profile == Profile::Storm {
        let (begun, there) = (Instant::now(), shared.stats.snapshot().booted);
        phases.send_replace(Phase::Storm(1));
        while shared.cut.load(Relaxed) < there {
            tokio::time::sleep(LOOK).await;
        }
        let back = everybody(shared, STORM_LIMIT).await;
        times.storm = back.map(|_| begun.elapsed());
    }
    phases.send_replace(Phase::Work);
    let begun = Instant::now();
    let rest = tokio::time::sleep(shared.options.duration);
    tokio::pin!(rest);
    // Kept up to date, so that a run that is cut short still knows how long it worked.
    loop {
        let ended = tokio::time::timeout(LOOK, &mut rest).await.is_ok();
        times.work = begun.elapsed();
        if ended {
            break;
        }
    }
}

/// Waits until all are connected and accepted, and tells how long it took.
async fn everybody(shared: &Shared, limit: Duration) -> Option<Duration> {
    let begun = Instant::now();
    while shared.stats.snapshot().booted < shared.options.chargers {
        if begun.elapsed() > limit {
            return None;
        }
        tokio::time::sleep(LOOK).await;
    }
    Some(begun.elapsed())
}

/// The loopback address of a charger, where one for all would run out of ports.
fn source(number: u64) -> Option<Ipv4Addr> {
    let last = number / CHARGERS_PER_ADDRESS % ADDRESSES;
    let last = u8::try_from(last).ok().filter(|last| *last > 0)?;
    Some(Ipv4Addr::new(127, 0, 0, last + 1))
}

fn per(rate: f64) -> Duration {
    Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::ZERO)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2⁵²")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
