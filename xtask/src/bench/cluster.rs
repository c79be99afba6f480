//! Several nodes as one network: one PostgreSQL, one Redis, chargers on all nodes, commands posted
//! to any. A node is killed, later all are restarted one after the other, and everything that was
//! acknowledged is looked up afterwards.
//!
//! Everything runs on this machine and shares its cores, the load included: the figures say how the
//! parts relate, and what is lost (nothing), more than how fast they are.

mod cores;
mod load;
mod orders;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, getrlimit};
use serde_json::Value;

use self::cores::Cores;
use self::load::Load;
use self::orders::{Posted, Stream, in_turns};
use super::http::Http;
use super::process::{Place, Server, bound, resident_memory};
use super::table::{Aim, Row, Table};
use super::{Opened, as_f64, programs, psql, raise_file_limit};
use crate::env;
use crate::shell::{cmd, read};

/// Files that a node needs beside its chargers: databases, API, metrics, its own.
const SPARE_FILES: u64 = 500;

/// Where nodes listen: below the ports that the kernel gives to the chargers' own ends, so that a
/// node can come back to its own.
const PORTS: std::ops::Range<u16> = 24_000..25_000;

/// Processes that the chargers are divided among.
const PROCESSES: &str = "3";

/// Chargers at each node that are known to be there, to time commands by.
const PROBES: u64 = 10;

/// How much later a command may be that comes through another node, in milliseconds.
const DETOUR_MS: f64 = 10.0;

/// How long chargers may take to come back; longer, and the run is given up.
const BACK_LIMIT: Duration = Duration::from_mins(5);

/// How long the chargers of a node may take to come back to the others, as an aim.
const BACK_AIM: f64 = 60.0;

/// What the event log may say beyond what the chargers themselves have measured, in seconds.
const CLOCKS: f64 = 1.0;

/// What is measured, in this order.
const PARTS: [&str; 3] = [COMMANDS, KILL, RESTART];
const COMMANDS: &str = "commands";
const KILL: &str = "kill";
const RESTART: &str = "restart";

/// How much is measured.
struct Size {
    chargers: u64,
    /// New lines and calls a second, of all together: enough for many cars to come, charge and
    /// leave in three thirds.
    connects: &'static str,
    rate: &'static str,
    /// Calls a second that leave the cores room for more.
    light: &'static str,
    /// A third of the time with a kill, in seconds.
    third: u64,
    /// Commands that are timed, through each way.
    samples: usize,
    /// Between two restarts, in seconds.
    settle: u64,
    /// What a node may take to stop: its chargers are closed one by one, and each end is written
    /// down while the same cores take them in elsewhere.
    drain: &'static str,
}

const FULL: Size = Size {
    chargers: 40_000,
    connects: "400",
    rate: "2000",
    light: "500",
    third: 100,
    samples: 1_000,
    settle: 10,
    drain: "90s",
};

const QUICK: Size = Size {
    chargers: 3_000,
    connects: "300",
    rate: "1000",
    light: "250",
    third: 20,
    samples: 300,
    settle: 3,
    drain: "25s",
};

/// Measures and prints the table. `--nodes 1` shows what a single node does under the same,
/// `--only PART` one part alone.
pub fn run(options: &[&str]) -> Result<()> {
    let (mut quick, mut nodes, mut only) = (false, 3, None);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match (*option, options.as_slice()) {
            ("--quick", _) => quick = true,
            ("--nodes", [count, ..]) => {
                nodes = count.parse().context("--nodes takes a number")?;
                options.next();
            }
            ("--only", [part, ..]) if PARTS.contains(part) => {
                only = Some(*part);
                options.next();
            }
            ("--only", _) => bail!("--only takes one of {}", PARTS.join(", ")),
            (other, _) => {
                bail!("bench-cluster takes --quick, --nodes N and --only PART, not {other}")
            }
        }
    }
    ensure!((1..=9).contains(&nodes), "give 1 to 9 nodes");
    ensure!(
        nodes > 1 || only != Some(COMMANDS),
        "commands have two ways where there are two nodes"
    );
    let begun = Instant::now();
    let mut cluster = Cluster::start(if quick { QUICK } else { FULL }, nodes)?;
    let mut table = Table::default();
    for part in PARTS {
        if only.is_some_and(|only| only != part) {
            continue;
        }
        let rows = match part {
            COMMANDS => cluster.commands(),
            KILL => cluster.kill(),
            _ => cluster.rolling_restart(),
        };
        let go_on = rows.is_ok();
        table.add(part, rows);
        if !go_on {
            break;
        }
    }
    println!("\n{table}");
    let file = cluster.dir.join("cluster.json");
    let mut results = table.json(quick);
    results["nodes"] = nodes.into();
    results["only"] = only.into();
    results["chargers"] = cluster.chargers.into();
    fs::write(&file, format!("{results:#}\n"))?;
    println!(
        "{nodes} nodes, {} chargers, {} cores for all of it, load generator included; {:.0} s; \
         also in target/bench/cluster.json",
        cluster.chargers,
        std::thread::available_parallelism()?,
        begun.elapsed().as_secs_f64()
    );
    table.complete()
}

/// A node's place, and the server that runs there, if one does.
pub struct Node {
    place: Place,
    server: Option<Server>,
    /// Whether requests may be sent to it: others look at this meanwhile.
    up: Arc<AtomicBool>,
}

impl Node {
    fn api(&self) -> Http {
        Http::new(self.place.port, &self.place.token)
    }

    fn start(&mut self, binary: &Path) -> Result<Duration> {
        let server = Server::start_at(binary, &self.place)?;
        let ready_after = server.ready_after;
        self.server = Some(server);
        self.up.store(true, Relaxed);
        Ok(ready_after)
    }

    fn take(&mut self) -> Result<Server> {
        self.up.store(false, Relaxed);
        self.server.take().context("this node does not run")
    }
}

/// The network and what is known of it. Servers end before their databases do: fields are dropped
/// in this order.
struct Cluster {
    nodes: Vec<Node>,
    chargers: u64,
    size: Size,
    binary: PathBuf,
    dir: PathBuf,
    database: Opened,
    _redis: Redis,
    work: tempfile::TempDir,
}

impl Cluster {
    fn start(size: Size, count: usize) -> Result<Self> {
        let settings = env::start()?;
        let (bin, dir) = programs()?;
        raise_file_limit()?;
        let chargers = room_for(size.chargers, count)?;
        let work = tempfile::Builder::new().prefix("run-").tempdir_in(&dir)?;
        let database = Opened::on_postgres(&settings)?;
        let seed = [&database.url, &chargers.to_string()];
        read(&mut cmd(bin.join("examples/seed"), seed))?;
        let mut ports = free_ports();
        let mut port = || ports.next().context("no free port");
        let redis = Redis::start(port()?, work.path())?;
        let mut nodes: Vec<Node> = Vec::with_capacity(count);
        for number in 0..count {
            let data = work.path().join(format!("node-{number}"));
            fs::create_dir(&data)?;
            let settings = [
                ("ENCHUFE_DATABASE_URL", database.url.clone()),
                ("ENCHUFE_REDIS_URL", redis.url.clone()),
                ("ENCHUFE_SHUTDOWN_TIMEOUT", size.drain.to_owned()),
            ];
            let mut place = Place::new([port()?, port()?], &data, &settings)?;
            // One network has one set of tokens.
            if let Some(first) = nodes.first() {
                place.token.clone_from(&first.place.token);
            }
            nodes.push(Node {
                place,
                server: None,
                up: Arc::default(),
            });
        }
        let mut cluster = Self {
            nodes,
            chargers,
            size,
            binary: bin.join("enchufe"),
            dir,
            database,
            _redis: redis,
            work,
        };
        for node in &mut cluster.nodes {
            node.start(&cluster.binary)?;
            println!("  node      {}", node.place.url());
        }
        Ok(cluster)
    }

    /// Commands through either way, while all chargers are there and the cores have room: what the
    /// way costs, and not what waiting for a core does.
    fn commands(&self) -> Result<Vec<Row>> {
        if self.nodes.len() == 1 {
            return Ok(Vec::new());
        }
        let load = self.load(COMMANDS, self.size.light)?;
        let mut rows = self.detour("steady load")?;
        rows.extend(lost("steady load", &load.end()?)?);
        Ok(rows)
    }

    /// A node is killed at a third of the time.
    fn kill(&mut self) -> Result<Vec<Row>> {
        let third = Duration::from_secs(self.size.third);
        let mut load = self.load(KILL, self.size.rate)?;
        let stream = Stream::begin(&self.nodes, self.chargers);
        let begun = Instant::now();
        let mut rows = if self.nodes.len() == 1 {
            Vec::new()
        } else {
            self.detour("full load")?
        };
        rows.push(self.memory()?);
        sleep(third.saturating_sub(begun.elapsed()));

        println!("  kill -9   {}", self.nodes[0].place.url());
        let killed = Instant::now();
        self.nodes[0].take()?.kill()?;
        if self.nodes.len() == 1 {
            self.nodes[0].start(&self.binary)?;
        }
        // Progress comes once a second: what is there now may be from before.
        sleep(Duration::from_secs(2));
        load.is_complete(BACK_LIMIT)?;
        sleep((2 * third).saturating_sub(killed.elapsed()));

        let posted = stream.end()?;
        let result = load.end()?;
        let gap = &result["longest_gap"];
        let returned = action(&result, "(reconnected)");
        rows.extend([
            Row::absolute(
                &format!(
                    "{} chargers connect to {} nodes",
                    self.chargers,
                    self.nodes.len()
                ),
                number(&result["connect_seconds"]),
                "s",
                Aim::None,
            )
            .with_note(&format!("at {} a second", self.size.connects)),
            Row::absolute(
                "kill -9: until all its chargers are back",
                if gap["ended"] == true {
                    number(&gap["seconds"])
                } else {
                    f64::NAN
                },
                "s",
                Aim::AtMost(BACK_AIM),
            )
            .with_note(&format!(
                "{} chargers; each away for {:.1} s (p50), {:.1} s (p99)",
                gap["missing"],
                number(&returned["p50_ms"]) / 1e3,
                number(&returned["p99_ms"]) / 1e3
            )),
        ]);
        rows.extend(lost("kill -9", &result)?);
        rows.push(self.open("kill -9", &posted)?);
        rows.push(answers(&result));
        if self.nodes[0].server.is_none() {
            self.nodes[0].start(&self.binary)?;
        }
        Ok(rows)
    }

    /// All nodes are restarted, one after the other.
    fn rolling_restart(&mut self) -> Result<Vec<Row>> {
        let mut load = self.load(RESTART, self.size.rate)?;
        let stream = Stream::begin(&self.nodes, self.chargers);
        let settle = Duration::from_secs(self.size.settle);
        sleep(settle);
        // From here on: what connected before belongs to the run before.
        let from = self.sql("SELECT value FROM counters WHERE name = 'events'")?;
        let (mut stopped, mut ready) = (Duration::ZERO, Duration::ZERO);
        for index in 0..self.nodes.len() {
            println!("  restart   {}", self.nodes[index].place.url());
            let server = self.nodes[index].take()?;
            stopped = stopped.max(server.stop()?);
            ready = ready.max(self.nodes[index].start(&self.binary)?);
            sleep(settle.max(Duration::from_secs(2)));
            load.is_complete(BACK_LIMIT)?;
        }
        sleep(settle);
        let to = self.sql("SELECT value FROM counters WHERE name = 'events'")?;
        let posted = stream.end()?;
        let result = load.end()?;
        let longest = self.longest_offline(&from, &to)?;
        let returned = action(&result, "(reconnected)");
        let reconnect = number(&returned["max_ms"]) / 1e3;
        let mut rows = vec![
            Row::absolute(
                "rolling restart: longest time offline, by the event log",
                longest,
                "s",
                Aim::AtMost(reconnect + CLOCKS),
            )
            .with_note(&format!(
                "the chargers say {reconnect:.1} s; {} came back, p50 {:.1} s, p99 {:.1} s",
                returned["answered"],
                number(&returned["p50_ms"]) / 1e3,
                number(&returned["p99_ms"]) / 1e3
            )),
            Row::absolute(
                "rolling restart: a node from SIGTERM to its end",
                stopped.as_secs_f64(),
                "s",
                Aim::None,
            )
            .with_note(&format!(
                "the longest; ready again {:.1} s later",
                ready.as_secs_f64()
            )),
        ];
        rows.extend(lost("rolling restart", &result)?);
        rows.push(self.open("rolling restart", &posted)?);
        Ok(rows)
    }

    /// The chargers, at work on all nodes.
    fn load(&self, name: &str, rate: &str) -> Result<Load> {
        let urls: Vec<String> = self
            .nodes
            .iter()
            .map(|node| node.place.chargers())
            .collect();
        let rates = ["--connects", self.size.connects, "--rate", rate];
        let mut args = vec!["--processes", PROCESSES, "--profile", "busy", "--verify"];
        args.extend(rates);
        self.enter_tag()?;
        let log = self.work.path().join(format!("{name}.log"));
        let token = &self.nodes[0].place.token;
        let mut load = Load::start(&self.binary, &urls, self.chargers, &args, token, &log)?;
        println!(
            "  connect   {} chargers, {} a second",
            self.chargers, self.size.connects
        );
        let connects: u64 = self.size.connects.parse()?;
        load.works(Duration::from_secs(2 * self.chargers / connects) + BACK_LIMIT)?;
        Ok(load)
    }

    /// The card that the chargers charge with.
    fn enter_tag(&self) -> Result<()> {
        let body = serde_json::json!({"status": "accepted"});
        let (status, answer) = self.nodes[0]
            .api()
            .ask("PUT", "/id-tags/DEMO-0001", &body)?;
        ensure!(
            (200..300).contains(&status),
            "the card was answered with {status}: {answer}"
        );
        Ok(())
    }

    /// How much longer a command takes through a node that does not hold the charger.
    fn detour(&self, load: &str) -> Result<Vec<Row>> {
        let mut probes = Vec::new();
        let mut owned = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let prefix = format!("PROBE-{number}-");
            let args = [
                "--profile",
                "idle",
                "--create-stations",
                "--prefix",
                &prefix,
            ];
            let log = self.work.path().join(format!("probe-{number}.log"));
            let urls = [node.place.chargers()];
            let token = &node.place.token;
            probes.push(Load::start(
                &self.binary,
                &urls,
                PROBES,
                &args,
                token,
                &log,
            )?);
            owned.push(
                (1..=PROBES)
                    .map(|n| format!("{prefix}{n}"))
                    .collect::<Vec<_>>(),
            );
        }
        for probe in &mut probes {
            probe.works(BACK_LIMIT)?;
        }
        let before = Cores::now()?;
        let (mut own, mut other) = in_turns(&self.nodes, &owned, self.size.samples)?;
        let busy = Cores::now()?.busy_since(&before);
        for probe in probes {
            probe.end()?;
        }
        let row = |what: &str, value: f64, aim| {
            Row::absolute(&format!("{load}: command through {what}"), value, "ms", aim)
        };
        let note = |p50: f64, count: usize| {
            let busy = busy * 100.0;
            format!("p50 {p50:.1} ms; {count} in turns, cores {busy:.0} % busy")
        };
        let (near, far) = (own.p99(), other.p99());
        Ok(vec![
            row("its charger's node, p99", near, Aim::None)
                .with_note(&note(own.p50(), own.count())),
            row("another node, p99", far, Aim::AtMost(near + DETOUR_MS))
                .with_note(&note(other.p50(), other.count())),
        ])
    }

    fn memory(&self) -> Result<Row> {
        let mut largest: f64 = 0.0;
        for server in self.nodes.iter().filter_map(|node| node.server.as_ref()) {
            largest = largest.max(resident_memory(server.pid())?);
        }
        let each = self.chargers / self.nodes.len() as u64;
        Ok(Row::absolute(
            &format!("memory of a node with {each} chargers at work"),
            largest / 1024.0 / 1024.0,
            "MB",
            Aim::None,
        )
        .with_note("resident, the largest of them"))
    }

    /// Commands that nobody ever told what became of them.
    fn open(&self, name: &str, posted: &Posted) -> Result<Row> {
        let running = self.nodes.iter().rfind(|node| node.server.is_some());
        let outcomes = posted.outcomes(&mut running.context("no node runs")?.api())?;
        // Also those whose request broke off before anybody learned their number.
        let open = self.sql("SELECT count(*) FROM commands WHERE ended = 0")?;
        let counted = |counts: &BTreeMap<String, u64>| {
            let counts = counts.iter().map(|(name, count)| format!("{count} {name}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        let refused: BTreeMap<String, u64> = posted
            .refused
            .iter()
            .map(|(status, count)| (format!("answered {status}"), *count))
            .collect();
        let mut told = vec![format!(
            "{} taken on: {}",
            posted.ids.len(),
            counted(&outcomes)
        )];
        if !refused.is_empty() {
            told.push(format!("not taken on: {}", counted(&refused)));
        }
        if posted.broken > 0 {
            told.push(format!("{} requests broke off", posted.broken));
        }
        let note = told.join("; ");
        ensure!(!posted.ids.is_empty(), "no command was taken on; {note}");
        let what = format!("{name}: commands without an outcome");
        Ok(Row::absolute(&what, open.parse()?, "", Aim::AtMost(0.0)).with_note(&note))
    }

    /// The longest time from a station's `disconnected` to its `connected`, in seconds.
    fn longest_offline(&self, from: &str, to: &str) -> Result<f64> {
        let longest = self.sql(&format!(
            "SELECT coalesce(max(next_at - at), 0) / 1e6 FROM (
                 SELECT type, at, lead(at) OVER turn AS next_at, lead(type) OVER turn AS next_type
                 FROM events
                 WHERE type IN ('station.connected', 'station.disconnected')
                   AND station_id LIKE 'SIM-%' AND seq > {from} AND seq <= {to}
                 WINDOW turn AS (PARTITION BY station_id ORDER BY seq)
             ) AS moves
             WHERE type = 'station.disconnected' AND next_type = 'station.connected'"
        ))?;
        Ok(longest.parse()?)
    }

    fn sql(&self, statement: &str) -> Result<String> {
        psql(&self.database.url, statement)
    }
}

/// What was acknowledged and is not there.
fn lost(name: &str, result: &Value) -> Result<Vec<Row>> {
    let verified = &result["verified"];
    let kinds = verified["kinds"]
        .as_object()
        .context("nothing was verified")?;
    let of = |kind: &Value, field: &str| kind[field].as_u64().unwrap_or_default();
    let acknowledged: u64 = kinds.values().map(|kind| of(kind, "acknowledged")).sum();
    let found: u64 = kinds.values().map(|kind| of(kind, "found")).sum();
    ensure!(acknowledged > 0, "nothing was acknowledged: {result}");
    let by_kind: Vec<String> = kinds
        .iter()
        .map(|(name, kind)| format!("{} {name}", of(kind, "acknowledged")))
        .collect();
    for named in verified["named"].as_array().into_iter().flatten() {
        println!("  missing   {named}");
    }
    let doubled = number(&verified["doubled"]);
    let missing = as_f64(usize::try_from(acknowledged - found)?);
    let row =
        |what: &str, value| Row::absolute(&format!("{name}: {what}"), value, "", Aim::AtMost(0.0));
    Ok(vec![
        row("acknowledged and missing", missing)
            .with_note(&format!("of {acknowledged}: {}", by_kind.join(", "))),
        row("kept twice", doubled),
    ])
}

/// How soon chargers were answered.
fn answers(result: &Value) -> Row {
    let status = action(result, "StatusNotification");
    Row::absolute(
        "StatusNotification over the whole time, p99",
        number(&status["p99_ms"]),
        "ms",
        Aim::None,
    )
    .with_note(&format!(
        "p50 {:.1} ms, longest {:.0} ms; {} errors told",
        number(&status["p50_ms"]),
        number(&status["max_ms"]),
        result["errors"].as_object().map_or(0, |errors| {
            errors.values().filter_map(Value::as_u64).sum::<u64>()
        })
    ))
}

fn action(result: &Value, name: &str) -> Value {
    let actions = result["actions"].as_array().into_iter().flatten();
    let mut named = actions.filter(|row| row["action"] == name);
    named.next().cloned().unwrap_or_default()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// How many chargers the nodes can hold when one of them is down, as far as open files go: one
/// process has no more of them than the hard limit says.
fn room_for(wanted: u64, nodes: usize) -> Result<u64> {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let left = u64::try_from(nodes)?.saturating_sub(1).max(1);
    let room = limit.saturating_sub(SPARE_FILES).saturating_mul(left);
    if room < wanted {
        println!(
            "  {wanted} chargers do not fit: a process may open {limit} files, and {left} nodes \
             have to hold all of them while one is down; {room} it is"
        );
    }
    Ok(wanted.min(room))
}

/// Ports that nobody listens on at the moment.
fn free_ports() -> impl Iterator<Item = u16> {
    PORTS.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}

/// A Redis of our own, in memory. It ends with us.
struct Redis {
    url: String,
    child: Child,
}

impl Redis {
    fn start(port: u16, dir: &Path) -> Result<Self> {
        let mut command = bound("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no"]);
        let child = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Self {
            url: format!("redis://127.0.0.1:{port}/"),
            child,
        };
        let begun = Instant::now();
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            ensure!(
                begun.elapsed() < Duration::from_secs(10),
                "redis-server does not answer"
            );
            sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Gone or not, there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
