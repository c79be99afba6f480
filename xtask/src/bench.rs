//! How fast and how small it is, held against what the machine can do.
//!
//! Numbers of a machine mean little on another, so whatever can be is held against a floor that is
//! measured beside it, in turns, so that a machine that gets slower meanwhile slows both: bare
//! servers on the same libraries (`crates/server/examples/floor.rs`). The load comes from the same
//! machine and shares its cores. `docs/performance.md` says what came of it.

pub mod cluster;
mod http;
mod process;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use self::process::{Client, Floor, Server};
use self::table::{Aim, Row, Table};
use crate::env::{self, Settings};
use crate::serve::secret;
use crate::shell::{cargo, cmd, read, run as run_command, which};

/// Files of one process: each charger is one.
const FILES: u64 = 20_000;
/// What wrk does, the same for both sides.
const WRK: [&str; 2] = ["--threads=2", "--connections=64"];
/// What all chargers present, where somebody chose it.
const PASSWORD: &str = "a charger's password";

/// How much is measured.
struct Size {
    /// Turns of each comparison, and how long one side has in each.
    turns: usize,
    seconds: u64,
    /// Connections that ask for round trips.
    askers: usize,
    /// Chargers that report as fast as they are answered, and for how long.
    reporters: usize,
    reporting: u64,
    /// Chargers that are there, and that come back at once.
    network: usize,
    /// How long memory may settle before it is read.
    settle: u64,
    /// Starts of the server.
    starts: usize,
}

const FULL: Size = Size {
    turns: 5,
    seconds: 3,
    askers: 64,
    reporters: 2_000,
    reporting: 15,
    network: 15_000,
    settle: 10,
    starts: 5,
};

const QUICK: Size = Size {
    turns: 3,
    seconds: 1,
    askers: 64,
    reporters: 1_000,
    reporting: 4,
    network: 2_000,
    settle: 3,
    starts: 3,
};

/// A measurement by its name.
type Measurement = (&'static str, fn(&Bench) -> Result<Vec<Row>>);

const MEASUREMENTS: [Measurement; 10] = [
    ("health", Bench::health),
    ("station", Bench::station),
    ("heartbeats", Bench::heartbeats),
    ("statuses-sqlite", |bench| bench.statuses(Database::Sqlite)),
    ("statuses-postgres", |bench| {
        bench.statuses(Database::Postgres)
    }),
    ("memory-sqlite", |bench| bench.memory(Database::Sqlite)),
    ("memory-postgres", |bench| bench.memory(Database::Postgres)),
    ("reconnect", Bench::reconnect),
    ("start", Bench::start),
    ("analysis", Bench::analysis),
];

/// Measures everything, or what is named, and prints the table.
pub fn run(options: &[&str]) -> Result<()> {
    let (flags, names): (Vec<&str>, Vec<&str>) =
        options.iter().partition(|option| option.starts_with("--"));
    let quick = match flags.as_slice() {
        [] => false,
        ["--quick"] => true,
        _ => bail!("bench takes --quick and names, not {}", flags.join(" ")),
    };
    let known = MEASUREMENTS.map(|(name, _)| name);
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        bail!("nothing is called {name}; there are {}", known.join(", "));
    }
    let begun = Instant::now();
    let bench = Bench::prepare(if quick { QUICK } else { FULL })?;
    let mut table = Table::default();
    for (name, measure) in MEASUREMENTS {
        if names.is_empty() || names.contains(&name) {
            table.add(name, measure(&bench));
        }
    }
    println!("\n{table}");
    let file = bench.dir.join("results.json");
    fs::write(&file, format!("{:#}\n", table.json(quick)))?;
    println!(
        "{} cores, load generator beside the server; {:.0} s; also in target/bench/results.json",
        std::thread::available_parallelism()?,
        begun.elapsed().as_secs_f64()
    );
    table.complete()
}

/// What the measurements share.
struct Bench {
    size: Size,
    settings: Settings,
    /// Where the programs are. `TEST_BINARY` names another build's server; its examples lie beside.
    bin: PathBuf,
    /// On a real disk: the system's temporary directory may be none.
    dir: PathBuf,
}

impl Bench {
    fn prepare(size: Size) -> Result<Self> {
        if which("wrk").is_none() {
            run_command(&mut cmd("apt-get", ["install", "-q", "-y", "wrk"]))
                .context("wrk is not there, and could not be installed")?;
        }
        let settings = env::start()?;
        let (bin, dir) = programs()?;
        raise_file_limit()?;
        Ok(Self {
            size,
            settings,
            bin,
            dir,
        })
    }

    /// A directory of its own for a server.
    fn work_dir(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&self.dir)?)
    }

    fn server(&self, dir: &Path, database: Option<&str>) -> Result<Server> {
        Server::start(&self.bin.join("enchufe"), dir, database)
    }

    fn floor(&self, dir: &Path, station: &str) -> Result<Floor> {
        let file = dir.join("station.json");
        fs::write(&file, station)?;
        Floor::start(&self.bin.join("examples/floor"), &file)
    }

    /// Stations `SIM-1` and on, entered while no server runs, with a password if they are to have
    /// one. Gives that.
    fn seed(&self, url: &str, stations: usize, password: Password) -> Result<Option<String>> {
        let mut seed = cmd(self.bin.join("examples/seed"), [url, &stations.to_string()]);
        seed.env_remove("ENCHUFE_CHARGER_PASSWORD");
        match password {
            Password::None => read(&mut seed).map(|_| None),
            Password::Chosen => {
                read(seed.env("ENCHUFE_CHARGER_PASSWORD", PASSWORD))?;
                Ok(Some(PASSWORD.to_owned()))
            }
            Password::Made => {
                let made = read(seed.arg("made"))?;
                Ok(Some(made.trim().to_owned()))
            }
        }
    }

    /// Requests a second at `/health`.
    fn health(&self) -> Result<Vec<Row>> {
        let dir = self.work_dir()?;
        let (server, floor) = (
            self.server(dir.path(), None)?,
            self.floor(dir.path(), "{}")?,
        );
        let turns = self.in_turns(
            || self.wrk(&format!("{}/health", server.url), None),
            || self.wrk(&format!("{}/health", floor.url), None),
        )?;
        let what = "GET /health, beside bare axum";
        Ok(vec![turns.row(what, "req/s", Aim::AtLeast(0.85))])
    }

    /// Requests a second at a station that is in the cache.
    fn station(&self) -> Result<Vec<Row>> {
        let dir = self.work_dir()?;
        self.seed(&sqlite(dir.path()), 100, Password::None)?;
        let server = self.server(dir.path(), None)?;
        let station = server.get("/api/v1/stations/SIM-42")?;
        let floor = self.floor(dir.path(), &station)?;
        let url = format!("{}/api/v1/stations/SIM-42", server.url);
        let turns = self.in_turns(
            || self.wrk(&url, Some(&server.token)),
            || self.wrk(&format!("{}/station", floor.url), None),
        )?;
        let what = format!(
            "GET /api/v1/stations/{{id}} ({} bytes), beside bare axum",
            station.len()
        );
        Ok(vec![turns.row(&what, "req/s", Aim::AtLeast(0.5))])
    }

    /// Heartbeats a second.
    fn heartbeats(&self) -> Result<Vec<Row>> {
        let dir = self.work_dir()?;
        self.seed(&sqlite(dir.path()), self.size.askers, Password::None)?;
        let (server, floor) = (
            self.server(dir.path(), None)?,
            self.floor(dir.path(), "{}")?,
        );
        let turns = self.in_turns(
            || self.round_trips(&server.chargers(), "boot"),
            || self.round_trips(&floor.chargers(), "echo"),
        )?;
        let what = "OCPP Heartbeats, beside bare yawc echo";
        Ok(vec![turns.row(what, "msg/s", Aim::AtLeast(0.7))])
    }

    /// `StatusNotification`s that each change something: how many a second, and how soon each is
    /// answered when there are fewer.
    fn statuses(&self, database: Database) -> Result<Vec<Row>> {
        let dir = self.work_dir()?;
        let opened = database.open(&self.settings, dir.path())?;
        self.seed(&opened.url, self.size.reporters, Password::None)?;
        let server = self.server(dir.path(), Some(&opened.url))?;
        let name = database.name();
        let aim = match database {
            Database::Sqlite => 25_000.0,
            Database::Postgres => 10_000.0,
        };
        let duration = format!("{}s", self.size.reporting);
        let report = |more: &[&str]| -> Result<Value> {
            let chargers = self.size.reporters.to_string();
            let mut args = vec!["--profile", "statuses", "--chargers", &chargers];
            args.extend(["--duration", &duration]);
            args.extend(more);
            let report = self.simulate(&server, &args, None)?;
            let row = report["actions"].as_array().into_iter().flatten();
            row.into_iter()
                .find(|row| row["action"] == "StatusNotification")
                .cloned()
                .with_context(|| format!("no status was reported: {report}"))
        };
        let fastest = report(&[])?;
        let steady = report(&["--rate", "5000"])?;
        let number = |row: &Value, key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let reached = number(&steady, "per_second");
        Ok(vec![
            Row::absolute(
                &format!("durable StatusNotifications, {name}"),
                number(&fastest, "per_second"),
                "msg/s",
                Aim::AtLeast(aim),
            )
            .with_note(&format!(
                "{} chargers, p99 {:.0} ms",
                self.size.reporters,
                number(&fastest, "p99_ms")
            )),
            Row::absolute(
                &format!("p99 of call to answer at 5,000 msg/s, {name}"),
                number(&steady, "p99_ms"),
                "ms",
                Aim::AtMost(20.0),
            )
            .with_note(&format!(
                "{reached:.0} msg/s reached, p50 {:.1} ms",
                number(&steady, "p50_ms")
            )),
        ])
    }

    /// Memory of the process, not of the kernel, for each charger that is connected and idle.
    fn memory(&self, database: Database) -> Result<Vec<Row>> {
        let dir = self.work_dir()?;
        let opened = database.open(&self.settings, dir.path())?;
        self.seed(&opened.url, self.size.network, Password::None)?;
        let server = self.server(dir.path(), Some(&opened.url))?;
        let floor = self.floor(dir.path(), "{}")?;
        let each = |pid: u32, url: &str, kind: &str| -> Result<f64> {
            self.settle();
            let before = process::anonymous_memory(pid)?;
            let lines = self.size.network.to_string();
            let mut client = self.client([url, &lines, "0", kind], None)?;
            client.line()?;
            self.settle();
            let after = process::anonymous_memory(pid)?;
            client.end()?;
            Ok((after - before) / as_f64(self.size.network))
        };
        let bare = each(floor.pid(), &floor.chargers(), "echo")?;
        let measured = each(server.pid(), &server.chargers(), "boot")?;
        let name = database.name();
        let what = format!(
            "memory per idle connection of {}, {name}",
            self.size.network
        );
        let note = match database {
            // A fixed budget of pages that fills once, whoever is connected.
            Database::Sqlite => "with its station, and SQLite's page cache",
            Database::Postgres => "with its station",
        };
        Ok(vec![
            Row::absolute(&what, measured / 1024.0, "KB", Aim::AtMost(6.0))
                .with_floor(bare / 1024.0)
                .with_note(note),
        ])
    }

    /// How long it takes until all chargers are back, whose passwords the server made, and whose
    /// passwords people chose.
    fn reconnect(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (kind, whose) in [
            (Password::Made, "passwords made by the server"),
            (Password::Chosen, "passwords chosen by people"),
        ] {
            let dir = self.work_dir()?;
            let password = self.seed(&sqlite(dir.path()), self.size.network, kind)?;
            let server = self.server(dir.path(), None)?;
            let lines = self.size.network.to_string();
            let url = server.chargers();
            let mut client = self.client([&url, &lines, "0", "boot"], password.as_deref())?;
            let cold = client.line()?["opened_seconds"].as_f64();
            client.end()?;
            // They are told as gone first, which costs what being told as here does.
            sleep(Duration::from_secs(self.size.settle));
            let mut args = vec!["--profile", "storm", "--chargers", &lines];
            args.extend(["--duration", "1s"]);
            let report = self.simulate(&server, &args, password.as_deref())?;
            let warm = report["storm_seconds"].as_f64();
            for (how, seconds) in [("lines cut", warm), ("server restarted", cold)] {
                let what = format!("{lines} chargers reconnect and boot, {how}");
                let seconds = seconds.unwrap_or(f64::NAN);
                let row = Row::absolute(&what, seconds, "s", Aim::AtMost(20.0));
                rows.push(row.with_note(whose));
            }
        }
        Ok(rows)
    }

    /// From the program's start to readiness, and its size when nothing happens.
    fn start(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for stations in [0, 1_000] {
            let mut took = Vec::new();
            let mut idle = Vec::new();
            for _ in 0..self.size.starts {
                let dir = self.work_dir()?;
                if stations > 0 {
                    self.seed(&sqlite(dir.path()), stations, Password::None)?;
                }
                let server = self.server(dir.path(), None)?;
                took.push(server.ready_after.as_secs_f64() * 1e3);
                sleep(Duration::from_secs(1));
                idle.push(process::resident_memory(server.pid())? / 1024.0 / 1024.0);
            }
            let what = match stations {
                0 => "start to ready, empty database".to_owned(),
                _ => format!("start to ready, {stations} stations"),
            };
            let took = median(&mut took);
            rows.push(Row::absolute(&what, took, "ms", Aim::AtMost(200.0)));
            if stations > 0 {
                let what = format!("idle memory, {stations} stations");
                let idle = median(&mut idle);
                rows.push(Row::absolute(&what, idle, "MB", Aim::AtMost(30.0)));
            }
        }
        Ok(rows)
    }

    /// How long the embedded analyser takes over an entry of the journal.
    fn analysis(&self) -> Result<Vec<Row>> {
        let said = read(&mut cmd(self.bin.join("examples/analyse"), [""; 0]))?;
        let microseconds: f64 = said.trim().parse().context("no number")?;
        let what = "embedded analysis of an entry";
        Ok(vec![Row::absolute(
            what,
            microseconds / 1e3,
            "ms",
            Aim::AtMost(1.0),
        )])
    }

    /// Measures two sides in turns.
    fn in_turns(
        &self,
        ours: impl Fn() -> Result<f64>,
        floor: impl Fn() -> Result<f64>,
    ) -> Result<Turns> {
        let mut turns = Turns::default();
        for _ in 0..self.size.turns {
            turns.floor.push(floor()?);
            turns.ours.push(ours()?);
        }
        Ok(turns)
    }

    fn wrk(&self, url: &str, token: Option<&str>) -> Result<f64> {
        let mut wrk = cmd("wrk", WRK);
        wrk.arg(format!("--duration={}s", self.size.seconds))
            .arg(url);
        if let Some(token) = token {
            wrk.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        let said = read(&mut wrk)?;
        let failed = said.contains("Non-2xx") || said.contains("Socket errors");
        ensure!(!failed, "wrk met errors:\n{said}");
        let number = said
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"));
        let number = number.with_context(|| format!("wrk says no rate:\n{said}"))?;
        Ok(number.trim().parse()?)
    }

    fn round_trips(&self, url: &str, kind: &str) -> Result<f64> {
        let (lines, seconds) = (self.size.askers.to_string(), self.size.seconds.to_string());
        let mut client = self.client([url, &lines, &seconds, kind], None)?;
        client.line()?;
        let rate = client.line()?["per_second"].as_f64();
        rate.context("no rate was measured")
    }

    fn client(&self, args: [&str; 4], password: Option<&str>) -> Result<Client> {
        Client::start(&self.bin.join("examples/round_trips"), args, password)
    }

    /// `enchufe simulate`, and what it reports.
    fn simulate(&self, server: &Server, args: &[&str], password: Option<&str>) -> Result<Value> {
        let mut simulate = cmd(self.bin.join("enchufe"), ["simulate", "--json"]);
        simulate.args(["--url", &server.chargers()]).args(args);
        if let Some(password) = password {
            simulate.env("ENCHUFE_CHARGER_PASSWORD", password);
        }
        let said = read(&mut simulate)?;
        // The progress comes before it.
        let report: Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
        ensure!(
            report["connect_seconds"].is_number(),
            "not all chargers connected: {report}"
        );
        if report["errors"]
            .as_object()
            .is_some_and(|errors| !errors.is_empty())
        {
            println!("  the load met errors: {}", report["errors"]);
        }
        Ok(report)
    }

    fn settle(&self) {
        sleep(Duration::from_secs(self.size.settle));
    }
}

/// Two sides, measured in turns.
#[derive(Default)]
struct Turns {
    ours: Vec<f64>,
    floor: Vec<f64>,
}

impl Turns {
    /// The ratio is that of each turn, so that a machine that changes its speed between turns does
    /// not change it.
    fn row(mut self, what: &str, unit: &'static str, aim: Aim) -> Row {
        let turns = self.ours.iter().zip(&self.floor);
        let mut ratios: Vec<f64> = turns.map(|(ours, floor)| ours / floor).collect();
        let ratio = median(&mut ratios);
        Row::ratio(
            what,
            median(&mut self.ours),
            median(&mut self.floor),
            ratio,
            unit,
            aim,
        )
    }
}

/// What chargers present.
#[derive(Clone, Copy)]
enum Password {
    None,
    /// What somebody chose.
    Chosen,
    /// What the server made.
    Made,
}

/// Which database the server keeps its state in.
#[derive(Clone, Copy)]
enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// An empty one: a file in the data directory, or a database on the tests' PostgreSQL.
    fn open(self, settings: &Settings, data: &Path) -> Result<Opened> {
        if let Self::Sqlite = self {
            return Ok(Opened {
                url: sqlite(data),
                on: None,
            });
        }
        Opened::on_postgres(settings)
    }
}

/// A database to measure with. One on a server is removed in the end.
struct Opened {
    url: String,
    on: Option<(String, String)>,
}

impl Opened {
    /// A new one on the tests' PostgreSQL.
    fn on_postgres(settings: &Settings) -> Result<Self> {
        let setting = settings
            .iter()
            .find(|(name, _)| *name == "TEST_POSTGRES_URL");
        let server = setting.context("TEST_POSTGRES_URL is not set")?.1.clone();
        let (base, _) = server.rsplit_once('/').context("a URL without a path")?;
        let name = format!("bench_{}", secret()?);
        psql(&server, &format!("CREATE DATABASE {name}"))?;
        Ok(Self {
            url: format!("{base}/{name}"),
            on: Some((server, name)),
        })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.on
            && let Err(error) = psql(server, &format!("DROP DATABASE {name} WITH (FORCE)"))
        {
            println!("  the database {name} is left behind: {error:#}");
        }
    }
}

/// Runs a statement, and gives what it selects.
fn psql(url: &str, sql: &str) -> Result<String> {
    let quiet = ["--quiet", "--no-psqlrc", "--tuples-only", "--no-align"];
    read(cmd("psql", quiet).args(["--command", sql, url]))
}

fn sqlite(data: &Path) -> String {
    format!("sqlite://{}", data.join("enchufe.db").display())
}

/// Builds what is measured and what measures. Tells where the programs are, and where results and
/// work may be kept.
fn programs() -> Result<(PathBuf, PathBuf)> {
    let metadata = read(&mut cargo(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"].as_str();
    let target = Path::new(target.context("cargo names no target directory")?);
    let dir = target.join("bench");
    fs::create_dir_all(&dir)?;
    let bin = if let Some(binary) = std::env::var_os("TEST_BINARY") {
        Path::new(&binary).with_file_name("")
    } else {
        let build = ["build", "--release", "--package", "enchufe", "--bins"];
        run_command(cargo(build).arg("--examples"))?;
        target.join("release")
    };
    Ok((bin, dir))
}

/// For us and those we start.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= FILES) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(FILES),
        maximum: limit.maximum.map(|maximum| maximum.max(FILES)),
    };
    setrlimit(Resource::Nofile, raised)
        .with_context(|| format!("{FILES} open files are needed (ulimit -n {FILES})"))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2⁵²")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!(median(&mut []).is_nan());
        let is = |found: f64, wanted: f64| (found - wanted).abs() < 1e-9;
        assert!(is(median(&mut [3.0, 1.0, 2.0]), 2.0));
        assert!(is(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5));
    }
}
