//! Measures durable status changes per second: every one is decided by the domain, committed on
//! its own, and waited for.
//!
//! ```text
//! cargo run --release -p enchufe-store --example commit_rate -- sqlite://PATH [STATIONS] [SECONDS]
//! ```
//! Each station has one charger that reports as soon as its last report is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::station::{EvseSpec, Place, Report, Source, StationSpec};
use domain::{ConnectorNo, ConnectorStatus, EvseNo, Station, StationId};
use jiff::Timestamp;
use store::{Commit, CommitObserver, Location, StationWrite, Store};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What a charger reports in turn. Every one of them is news.
const STATUSES: [ConnectorStatus; 4] = [
    ConnectorStatus::Available,
    ConnectorStatus::Preparing,
    ConnectorStatus::Charging,
    ConnectorStatus::Finishing,
];

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("name a database")?;
    let stations: usize = arguments.next().map_or(Ok(1000), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(10), |text| text.parse())?;

    let transactions = Arc::new(AtomicUsize::new(0));
    let busy = Arc::new(AtomicU64::new(0));
    let observer = CommitObserver::new({
        let (transactions, busy) = (Arc::clone(&transactions), Arc::clone(&busy));
        move |_, took: Duration, _: &[domain::Event]| {
            transactions.fetch_add(1, Ordering::Relaxed);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            busy.fetch_add(micros, Ordering::Relaxed);
        }
    });
    let store = Store::open_observed(&Location::parse(&url)?, observer).await?;
    let entering: Vec<_> = (0..stations)
        .map(|number| tokio::spawn(enter(store.clone(), number)))
        .collect();
    let mut entered = Vec::with_capacity(stations);
    for station in entering {
        entered.push(station.await??);
    }

    transactions.store(0, Ordering::Relaxed);
    busy.store(0, Ordering::Relaxed);
    let first = store.last_seq().await?;
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let chargers: Vec<_> = entered
        .into_iter()
        .map(|station| tokio::spawn(charge(store.clone(), station, until)))
        .collect();
    let mut waits: Vec<Duration> = Vec::new();
    for charger in chargers {
        waits.extend(charger.await??);
    }
    let (took, commits) = (started.elapsed(), waits.len());
    waits.sort_unstable();
    let wait = |percent: usize| waits.get(commits * percent / 100).map(Duration::as_micros);
    let per_second = |count: u128| count * 1000 / took.as_millis().max(1);
    let transactions = transactions.load(Ordering::Relaxed).max(1);
    println!(
        "{} commits/s  {} events/s  {} commits a transaction, {} transactions/s, {} us each",
        per_second(commits as u128),
        per_second(u128::from((store.last_seq().await? - first).unsigned_abs())),
        commits / transactions,
        per_second(transactions as u128),
        busy.load(Ordering::Relaxed) / transactions as u64,
    );
    println!(
        "wait for durability: median {:?} us, 99 % {:?} us",
        wait(50),
        wait(99)
    );
    store.close().await;
    Ok(())
}

/// A time of the measurement's own: the clock is not what is measured.
fn at(turn: usize) -> Outcome<Timestamp> {
    Ok(Timestamp::from_microsecond(
        1_750_000_000_000_000 + i64::try_from(turn)? * 1_000_003,
    )?)
}

async fn enter(store: Store, number: usize) -> Outcome<Station> {
    let spec = StationSpec {
        id: StationId::new(&format!("CP-{number}-{}", uuid::Uuid::new_v4().simple()))?,
        name: format!("Station {number}"),
        location: None,
        evses: vec![EvseSpec::simple()],
    };
    let decided = Station::register(spec, 1, at(0)?)?;
    let commit = Commit {
        station: Some(StationWrite::Insert(decided.station.clone())),
        events: decided.events,
        ..Commit::default()
    };
    store.commit(commit).await?;
    Ok(decided.station)
}

async fn charge(store: Store, mut station: Station, until: Instant) -> Outcome<Vec<Duration>> {
    let mut waits = Vec::new();
    for (turn, status) in STATUSES.into_iter().cycle().enumerate() {
        let begun = Instant::now();
        if begun >= until {
            break;
        }
        let now = at(turn)?;
        let report = Report {
            status,
            since: now,
            error_code: None,
            info: None,
            vendor_error_code: None,
        };
        let expected = station.version;
        let place = Place::Connector(EvseNo::ONE, ConnectorNo::ONE);
        let decided = station.report(place, &report, Source::Charger, now)?;
        station = decided.station.clone();
        let commit = Commit {
            station: Some(StationWrite::Update {
                station: decided.station,
                expected,
            }),
            events: decided.events,
            ..Commit::default()
        };
        store.commit(commit).await?;
        waits.push(begun.elapsed());
    }
    Ok(waits)
}
