//! A client for both sides of a comparison: it sends a text and waits for the answer, over many
//! lines at once, and does not care whether a charging network answers or a bare echo.
//!
//! `round_trips URL LINES SECONDS boot|echo` prints one line of JSON when all lines are open and,
//! where asked for, booted, works for so long, and prints another. With 0 seconds it then holds the
//! lines open until its standard input ends. `ENCHUFE_CHARGER_PASSWORD` is what the lines present.
//! See `cargo xtask bench`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use simulator::Dialer;
use simulator::link::Link;
use simulator::load::Histogram;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

/// As the load generator: more would only wait in the kernel.
const MAX_DIALS: usize = 256;
/// How long one line may take to open and boot. Passwords may have to be computed for all of them.
const OPEN_LIMIT: Duration = Duration::from_mins(10);
/// Before a line that could not be opened is tried again.
const RETRY: Duration = Duration::from_millis(500);

const BOOT: &str = r#"[2,"boot","BootNotification",{"chargePointVendor":"Enchufe","chargePointModel":"Load","firmwareVersion":"1"}]"#;

/// The real server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, lines, seconds, kind] = args.as_slice() else {
        anyhow::bail!("usage: round_trips URL LINES SECONDS boot|echo");
    };
    let work = Arc::new(Work {
        server: url.parse()?,
        boot: kind == "boot",
        password: std::env::var("ENCHUFE_CHARGER_PASSWORD").ok(),
        dialer: Dialer::default().abrupt(),
        dials: Semaphore::new(MAX_DIALS),
        over: AtomicBool::new(false),
        done: AtomicU64::new(0),
        latency: Histogram::default(),
    });
    let lines: u64 = lines.parse()?;
    let seconds: f64 = seconds.parse()?;

    let begun = Instant::now();
    let mut opening = JoinSet::new();
    for number in 1..=lines {
        opening.spawn(open(work.clone(), number));
    }
    let mut open_links = Vec::new();
    while let Some(opened) = opening.join_next().await {
        open_links.push(opened??);
    }
    println!(
        "{}",
        json!({"opened_seconds": begun.elapsed().as_secs_f64()})
    );

    if seconds == 0.0 {
        return hold(open_links).await;
    }
    let begun = Instant::now();
    let mut working = JoinSet::new();
    for link in open_links {
        working.spawn(ask(work.clone(), link));
    }
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    work.over.store(true, Ordering::Relaxed);
    let (done, took) = (work.done.load(Ordering::Relaxed), begun.elapsed());
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2⁵²")]
    let per_second = done as f64 / took.as_secs_f64();
    let p99_ms = work.latency.quantile(990).as_secs_f64() * 1e3;
    println!("{}", json!({"per_second": per_second, "p99_ms": p99_ms}));
    Ok(())
}

struct Work {
    server: Url,
    boot: bool,
    password: Option<String>,
    dialer: Dialer,
    dials: Semaphore,
    over: AtomicBool,
    done: AtomicU64,
    latency: Histogram,
}

/// Opens a line, however often it takes.
async fn open(work: Arc<Work>, number: u64) -> anyhow::Result<Link> {
    let _permit = work.dials.acquire().await?;
    let begun = Instant::now();
    loop {
        match dial(&work, number).await {
            Ok(link) => return Ok(link),
            Err(error) if begun.elapsed() > OPEN_LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn dial(work: &Work, number: u64) -> anyhow::Result<Link> {
    let id = format!("SIM-{number}");
    let password = work.password.as_ref().map(String::as_bytes);
    let mut link = work.dialer.dial(&work.server, &id, password).await?;
    if work.boot {
        link.send(BOOT.to_owned()).await?;
        let answer = link.next().await?;
        anyhow::ensure!(answer.as_str().starts_with("[3,"), "{}", answer.as_str());
    }
    Ok(link)
}

/// Asks and waits, until the time is over.
async fn ask(work: Arc<Work>, mut link: Link) -> anyhow::Result<()> {
    let mut number = 0_u64;
    while !work.over.load(Ordering::Relaxed) {
        number += 1;
        let begun = Instant::now();
        link.send(format!(r#"[2,"{number}","Heartbeat",{{}}]"#))
            .await?;
        let answer = link.next().await?;
        anyhow::ensure!(!answer.as_str().starts_with("[4"), "{}", answer.as_str());
        work.latency.record(begun.elapsed());
        work.done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Keeps the lines open, and answers pings, until standard input ends.
async fn hold(open_links: Vec<Link>) -> anyhow::Result<()> {
    let end = CancellationToken::new();
    let mut holding = JoinSet::new();
    for mut link in open_links {
        let end = end.clone();
        holding.spawn(async move {
            while let Some(Ok(_)) = end.run_until_cancelled(link.next()).await {}
        });
    }
    let mut told = Vec::new();
    let read = tokio::io::stdin().read_to_end(&mut told).await;
    read.context("standard input cannot be read")?;
    end.cancel();
    holding.join_all().await;
    Ok(())
}
