//! Commands to chargers, posted to nodes that may hold them or not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Node;
use crate::bench::http::Http;
use crate::bench::median;

/// Between two commands of the stream.
const EVERY: Duration = Duration::from_millis(50);

/// Between two commands that are timed: one at a time, on a network that is not idle.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a command may be open: the server's own bound (`command_timeout`, 30 s), twice.
const OUTCOME_LIMIT: Duration = Duration::from_mins(1);

/// A stream of commands to any station, posted to any node that is up.
pub struct Stream {
    stop: Arc<AtomicBool>,
    posting: JoinHandle<Posted>,
}

/// What became of the posting.
#[derive(Default)]
pub struct Posted {
    /// Commands that were taken on.
    pub ids: Vec<String>,
    /// What the others were answered with: an offline station is no fault.
    pub refused: BTreeMap<u16, u64>,
    /// Requests that broke off: nobody knows whether they were taken on.
    pub broken: u64,
}

impl Stream {
    /// Begins. The nodes' `up` is looked at before each.
    pub fn begin(nodes: &[Node], stations: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut apis: Vec<(Arc<AtomicBool>, Http)> = nodes
            .iter()
            .map(|node| (Arc::clone(&node.up), node.api()))
            .collect();
        let posting = std::thread::spawn(move || {
            let (mut posted, mut chance) = (Posted::default(), Chance(1));
            while !stopped.load(Relaxed) {
                sleep(EVERY);
                let station = format!("SIM-{}", chance.below(stations) + 1);
                let up: Vec<&mut Http> = apis
                    .iter_mut()
                    .filter(|(up, _)| up.load(Relaxed))
                    .map(|(_, api)| api)
                    .collect();
                let count = up.len() as u64;
                let Some(api) = up.into_iter().nth(chance.index(count)) else {
                    continue;
                };
                match api.ask("POST", &commands(&station), &clear_cache()) {
                    Ok((202, command)) => {
                        posted.ids.extend(command["id"].as_str().map(str::to_owned));
                    }
                    Ok((status, _)) => *posted.refused.entry(status).or_default() += 1,
                    Err(_) => posted.broken += 1,
                }
            }
            posted
        });
        Self { stop, posting }
    }

    /// Ends, and tells what was posted.
    pub fn end(self) -> Result<Posted> {
        self.stop.store(true, Relaxed);
        let ended = self.posting.join();
        ended.map_err(|_| anyhow::anyhow!("the stream of commands broke off"))
    }
}

impl Posted {
    /// Asks for each until it has an outcome, and counts them; `open` is what has none in time.
    pub fn outcomes(&self, api: &mut Http) -> Result<BTreeMap<String, u64>> {
        let begun = Instant::now();
        let mut outcomes = BTreeMap::new();
        for id in &self.ids {
            let outcome = loop {
                let (status, command) = api.ask("GET", &format!("/commands/{id}"), &Value::Null)?;
                ensure!(
                    status == 200,
                    "command {id} is answered with {status}: {command}"
                );
                if let Some(outcome) = command["outcome"].as_str() {
                    break outcome.to_owned();
                }
                if begun.elapsed() > OUTCOME_LIMIT {
                    break "open".to_owned();
                }
                sleep(EVERY);
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
        Ok(outcomes)
    }
}

/// Times from a command's posting to its outcome, in milliseconds.
pub struct Latencies(Vec<f64>);

impl Latencies {
    pub fn p50(&mut self) -> f64 {
        median(&mut self.0)
    }

    pub fn p99(&mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        let index = (self.0.len() * 99).div_ceil(100).saturating_sub(1);
        self.0.get(index).copied().unwrap_or(f64::NAN)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Has commands carried out by chargers whose node is known, in turns: one posted to that node, one
/// to another. `owned` names the stations at each node.
pub fn in_turns(
    nodes: &[Node],
    owned: &[Vec<String>],
    samples: usize,
) -> Result<(Latencies, Latencies)> {
    let mut apis: Vec<Http> = nodes.iter().map(Node::api).collect();
    let (mut own, mut other) = (Vec::new(), Vec::new());
    // Each connection is opened before anything is timed.
    for sample in 0..samples + nodes.len() {
        let holder = sample % nodes.len();
        let stations = &owned[holder];
        let station = &stations[sample / nodes.len() % stations.len()];
        let elsewhere = (holder + 1 + sample / nodes.len() % (nodes.len() - 1)) % nodes.len();
        let direct = timed(&mut apis[holder], station)?;
        sleep(PAUSE);
        let carried = timed(&mut apis[elsewhere], station)?;
        sleep(PAUSE);
        if sample >= nodes.len() {
            own.push(direct);
            other.push(carried);
        }
    }
    Ok((Latencies(own), Latencies(other)))
}

fn timed(api: &mut Http, station: &str) -> Result<f64> {
    let begun = Instant::now();
    let path = format!("{}?wait=20", commands(station));
    let (status, command) = api.ask("POST", &path, &clear_cache())?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let outcome = command["outcome"].as_str().context("no outcome");
    match outcome {
        Ok("accepted") => Ok(took),
        _ => bail!("a command to {station} was answered with {status}: {command}"),
    }
}

fn commands(station: &str) -> String {
    format!("/stations/{station}/commands")
}

/// What every simulated charger accepts, and nothing comes of.
fn clear_cache() -> Value {
    json!({"command": "clear_cache", "parameters": {}})
}

/// Numbers that look random and are the same each time (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }

    fn index(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_above_the_99th_percentile() {
        let mut latencies = Latencies((1..=200).rev().map(f64::from).collect());
        let is = |found: f64, wanted: f64| (found - wanted).abs() < 1e-9;
        assert!(is(latencies.p99(), 198.0));
        assert!(is(latencies.p50(), 100.5));
        assert!(Latencies(Vec::new()).p99().is_nan());
    }

    #[test]
    fn chance_reaches_everything() {
        let mut chance = Chance(1);
        let seen: std::collections::BTreeSet<u64> = (0..1_000).map(|_| chance.below(7)).collect();
        assert_eq!(seen.len(), 7);
    }
}
