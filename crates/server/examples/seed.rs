//! Enters many stations straight into a database, each with the same password: a server would
//! compute each one's hash for itself, which for thousands takes minutes.
//!
//! `seed DATABASE_URL STATIONS [made]` enters `SIM-1`, `SIM-2` and so on, of two EVSEs with a
//! connector each. `ENCHUFE_CHARGER_PASSWORD`, where it is set, is their password; with `made`, one
//! is made and printed. See `cargo xtask bench`.

use anyhow::Context as _;
use domain::station::{ConnectorSpec, EvseSpec, StationSpec};
use domain::{Station, StationId, Watts};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use server::clock::Clock;
use server::gateway::passwords::{Made, Passwords};
use store::{Commit, Credentials, Location, StationWrite, Store};

/// Commits under way together, so that many share a transaction.
const TOGETHER: usize = 1_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (url, stations, own) = match args.as_slice() {
        [url, stations] => (url, stations, false),
        [url, stations, made] if made == "made" => (url, stations, true),
        _ => anyhow::bail!("usage: seed DATABASE_URL STATIONS [made]"),
    };
    let location = Location::parse(url).map_err(anyhow::Error::msg)?;
    let store = Store::open(&location).await?;
    let hash = match std::env::var("ENCHUFE_CHARGER_PASSWORD") {
        _ if own => {
            let made = Made::new()?;
            println!("{}", made.password);
            Some(made.hash)
        }
        Ok(password) => {
            let hash = Passwords::new([0; 32]).hash(&password).await;
            Some(hash.context("the password cannot be hashed")?)
        }
        Err(_) => None,
    };
    let commits = (1..=stations.parse()?).map(|number| commit(number, hash.as_deref()));
    stream::iter(commits)
        .map(async |commit: anyhow::Result<Commit>| {
            store.commit(commit?).await?;
            anyhow::Ok(())
        })
        .buffer_unordered(TOGETHER)
        .try_collect::<()>()
        .await?;
    store.close().await;
    Ok(())
}

fn commit(number: u64, hash: Option<&str>) -> anyhow::Result<Commit> {
    let now = Clock::system().now();
    let id = StationId::new(&format!("SIM-{number}"))?;
    let evse = || EvseSpec {
        number: None,
        connectors: vec![ConnectorSpec {
            kind: Some("cCCS2".to_owned()),
            max_power: Some(Watts(150_000)),
            ..ConnectorSpec::default()
        }],
    };
    let spec = StationSpec {
        id: id.clone(),
        name: format!("Simulated station {number}"),
        location: None,
        evses: vec![evse(), evse()],
    };
    let decided = Station::register(spec, 0, now)?;
    let credentials = hash.map(|hash| Credentials {
        station_id: id,
        hash: hash.to_owned(),
        updated_at: now,
    });
    Ok(Commit {
        station: Some(StationWrite::Insert(decided.station)),
        credentials,
        events: decided.events,
        ..Commit::default()
    })
}
