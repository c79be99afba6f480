//! `enchufe simulate`: chargers that are not there, one to watch or thousands to measure with.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use simulator::load::{Action, Journal, MAX_CHARGERS, Options, Profile, Stats, run as load};
use simulator::rest::Api;
use simulator::{Character, Charger, Dialer, Happening, Moment, Pace, StationPlan, drive};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Files beside the sockets: the terminal, the journal, the runtime's own.
const SPARE_FILES: u64 = 64;

/// Between two lines of progress, on a terminal and elsewhere.
const PROGRESS: Duration = Duration::from_secs(1);
const PROGRESS_IN_A_FILE: Duration = Duration::from_secs(10);

/// A secret is a line; a longer file is a mistake.
const MAX_SECRET: usize = 1_024;

const EXAMPLES: &str = "\
Examples:
  enchufe simulate --id CP-1
        one charger that tells what it does; cars come and go until Ctrl-C

  ENCHUFE_API_TOKEN=… enchufe simulate --id CP-1 --create-stations
        the same, and enters the station and its card first

  ENCHUFE_API_TOKEN=… enchufe simulate --chargers 1000 --create-stations \\
        --profile busy --rate 500 --duration 1m --record acknowledged.jsonl
        a thousand chargers, 500 calls a second together, and a list of
        everything the server has acknowledged

Secrets come from the environment or from files, never from flags:
  ENCHUFE_CHARGER_PASSWORD  or --password-file   what the chargers present
  ENCHUFE_API_TOKEN         or --api-token-file  an operator's, to enter stations";

/// What `simulate` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Simulate {
    /// Where chargers connect, without an identity; several share the load
    #[arg(long, default_value = "ws://127.0.0.1:8081/ocpp", value_name = "URL")]
    url: Vec<Url>,

    /// The card that visitors carry; the server must know it to let them charge
    #[arg(long, default_value = "DEMO-0001", value_name = "ID TAG")]
    tag: String,

    /// Chance takes the same turns for the same seed
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Read the chargers' password from this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Enter the stations and the card over the REST API first
    #[arg(long)]
    create_stations: bool,

    /// Read the API token from this file
    #[arg(long, value_name = "FILE")]
    api_token_file: Option<PathBuf>,

    #[command(flatten, next_help_heading = "One charger, to watch")]
    one: One,

    #[command(flatten, next_help_heading = "Many chargers, to measure")]
    many: Many,
}

#[derive(Debug, Args)]
struct One {
    /// The charger's identity
    #[arg(long, conflicts_with_all = ["chargers", "profile"], default_value = "CP-1")]
    id: String,

    /// How many connectors it has
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    connectors: u16,

    /// How many times faster than life cars come and go
    #[arg(long, default_value_t = Pace::DEMO.0, value_parser = clap::value_parser!(u32).range(1..))]
    speed: u32,
}

#[derive(Debug, Args)]
struct Many {
    /// How many
    #[arg(long, value_parser = chargers)]
    chargers: Option<usize>,

    /// What they do
    #[arg(long, value_enum)]
    profile: Option<Word>,

    /// Calls a second, all together; without it, as fast as they are answered
    #[arg(long, value_parser = rate, value_name = "PER SECOND")]
    rate: Option<f64>,

    /// How long they work, once connected
    #[arg(long, default_value = "30s", value_parser = time, value_name = "TIME")]
    duration: Duration,

    /// New connections a second; without it, as fast as they come
    #[arg(long, value_parser = rate, value_name = "PER SECOND")]
    connects: Option<f64>,

    /// Identities are this and a number
    #[arg(long, default_value = "SIM-")]
    prefix: String,

    /// The first number
    #[arg(long, default_value_t = 1)]
    first: u64,

    /// Write what the server has acknowledged to this file, as lines of JSON
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Print the result as JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// The profiles, as they are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Word {
    /// Connected, and a heartbeat now and then
    Idle,
    /// Heartbeats
    Heartbeats,
    /// State changes of one connector
    Statuses,
    /// Cars come, charge and leave
    Busy,
    /// All lines are cut at once, and all chargers come back at once
    Storm,
    /// Busy, on lines that are lost every few seconds
    Flaky,
}

impl From<Word> for Profile {
    fn from(word: Word) -> Self {
        match word {
            Word::Idle => Self::Idle,
            Word::Heartbeats => Self::Heartbeats,
            Word::Statuses => Self::Statuses,
            Word::Busy => Self::Busy,
            Word::Storm => Self::Storm,
            Word::Flaky => Self::Flaky,
        }
    }
}

impl Simulate {
    /// Runs until the work is done, or Ctrl-C.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let password = secret("ENCHUFE_CHARGER_PASSWORD", self.password_file.as_deref())?;
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        tokio::spawn(async move {
            // Where signals cannot be had, the run still has its end.
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
        });
        if self.many.chargers.is_some() || self.many.profile.is_some() {
            self.many(password, shutdown).await
        } else {
            self.one(password, shutdown).await
        }
    }

    async fn one(
        self,
        password: Option<String>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<ExitCode> {
        let One {
            id,
            connectors,
            speed,
        } = &self.one;
        let mut station = StationPlan::plain(id, (*connectors).into());
        station.password = password;
        station.character = Character::TALKATIVE;
        self.create(vec![station.clone()]).await?;
        let server = self.url.first().context("no --url")?;
        say(&format!("{id} connects to {server}; Ctrl-C ends it"));
        let charger = Charger::new(
            station,
            [&*self.tag],
            Pace(*speed),
            self.seed,
            Moment::now(),
        );
        let tell = |happening: &Happening| {
            say(&format!(
                "{}  {happening}",
                Moment::now().time.strftime("%H:%M:%S")
            ));
        };
        drive(charger, &Dialer::default(), server, shutdown, tell).await;
        Ok(ExitCode::SUCCESS)
    }

    async fn many(
        self,
        password: Option<String>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<ExitCode> {
        let many = &self.many;
        let chargers = many.chargers.unwrap_or(1);
        make_room(chargers)?;
        let stations = (many.first..).take(chargers).map(|number| {
            let mut station = StationPlan::plain(&format!("{}{number}", many.prefix), 1);
            station.password.clone_from(&password);
            station
        });
        self.create(stations.collect()).await?;
        let (journal, writing) = match &many.record {
            Some(path) => {
                let created = Journal::create(path);
                let (journal, writing) =
                    created.with_context(|| format!("cannot write {}", path.display()))?;
                (Some(journal), Some(writing))
            }
            None => (None, None),
        };
        let options = Options {
            servers: self.url.clone(),
            prefix: many.prefix.clone(),
            first: many.first,
            chargers,
            password,
            tag: self.tag.clone(),
            profile: many.profile.map_or(Profile::Busy, Into::into),
            rate: many.rate,
            duration: many.duration,
            connects: many.connects,
            seed: self.seed,
            ..Options::default()
        };
        let stats = Arc::new(Stats::default());
        let watching = tokio::spawn(watch(stats.clone(), chargers));
        let report = load(options, stats, journal, shutdown).await;
        watching.abort();
        if stderr().is_terminal() {
            eprintln!();
        }
        if many.json {
            say(&serde_json::to_string(&report)?);
        } else {
            say(&report.to_string());
        }
        if let (Some(writing), Some(path)) = (writing, &many.record) {
            let written = writing.await.context("the journal was not finished")?;
            let lines = written.with_context(|| format!("cannot write {}", path.display()))?;
            eprintln!("{lines} lines in {}", path.display());
        }
        Ok(if report.connected > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Enters the stations, where that was asked for.
    async fn create(&self, stations: Vec<StationPlan>) -> anyhow::Result<()> {
        if !self.create_stations {
            return Ok(());
        }
        let token = secret("ENCHUFE_API_TOKEN", self.api_token_file.as_deref())?;
        let token = token.context("to enter stations, set ENCHUFE_API_TOKEN")?;
        let api = Api::beside(self.url.first().context("no --url")?, &token)?;
        let all = stations.len();
        let new = api.enter(stations, &[&self.tag]).await?;
        eprintln!("{new} stations entered, {} were there already", all - new);
        Ok(())
    }
}

/// A secret from a file, else from the environment.
fn secret(variable: &str, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else {
        return Ok(std::env::var(variable)
            .ok()
            .filter(|secret| !secret.is_empty()));
    };
    let read = || format!("cannot read {}", file.display());
    let text = std::fs::read_to_string(file).with_context(read)?;
    let text = text.trim_end_matches(['\r', '\n']);
    ensure!(
        !text.is_empty() && text.len() <= MAX_SECRET,
        "{} does not hold one line of at most {MAX_SECRET} bytes",
        file.display()
    );
    Ok(Some(text.to_owned()))
}

/// Raises the limit of open files, of which each charger needs one.
fn make_room(chargers: usize) -> anyhow::Result<()> {
    let needed = u64::try_from(chargers)?.saturating_add(SPARE_FILES);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        bail!("{chargers} chargers need {needed} open files; raise the limit (ulimit -n {needed})");
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")
}

/// Tells how it goes: one line that renews itself on a terminal, a line now and then elsewhere.
async fn watch(stats: Arc<Stats>, chargers: usize) {
    let terminal = stderr().is_terminal();
    let every = if terminal {
        PROGRESS
    } else {
        PROGRESS_IN_A_FILE
    };
    let mut before = stats.snapshot();
    loop {
        tokio::time::sleep(every).await;
        let now = stats.snapshot();
        let p99 = Action::ALL
            .into_iter()
            .skip(2)
            .map(|action| stats.p99(action))
            .max();
        let line = format!(
            "{}/{chargers} connected · {} answers/s · {} unanswered · p99 {:.1} ms · {} errors",
            now.booted,
            now.answered.saturating_sub(before.answered) / every.as_secs(),
            now.sent.saturating_sub(now.answered),
            p99.unwrap_or_default().as_secs_f64() * 1e3,
            now.errors,
        );
        if terminal {
            eprint!("\r\x1b[K{line}");
        } else {
            eprintln!("{line}");
        }
        before = now;
    }
}

/// A line to the reader. Who has stopped reading (`| head`) is no error.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{}", line.trim_end());
}

fn chargers(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=MAX_CHARGERS).contains(number));
    number.ok_or_else(|| format!("give a number from 1 to {MAX_CHARGERS}"))
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    number.ok_or_else(|| "give a number above 0".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<SignedDuration>().ok();
    let time = time.and_then(|time| Duration::try_from(time).ok());
    time.ok_or_else(|| "write it like 30s, 5m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        simulate: Simulate,
    }

    fn parse(line: &str) -> Result<Simulate, clap::Error> {
        Line::try_parse_from(line.split_whitespace()).map(|line| line.simulate)
    }

    #[test]
    fn a_newcomer_gets_one_charger_on_this_machine() {
        let simulate = parse("simulate").unwrap();
        assert_eq!(simulate.url[0].as_str(), "ws://127.0.0.1:8081/ocpp");
        assert_eq!(simulate.one.id, "CP-1");
        assert!(simulate.many.chargers.is_none() && simulate.many.profile.is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(
            parse("simulate --chargers 15000 --profile storm --rate 5000 --duration 1m").is_ok()
        );
        for line in [
            "simulate --chargers 0",
            "simulate --chargers 1000000",
            "simulate --rate 0",
            "simulate --rate NaN",
            "simulate --duration soon",
            "simulate --connectors 0",
            "simulate --id CP-1 --chargers 5",
            "simulate --url nowhere",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_secret_is_one_line_of_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "correct horse\n").unwrap();
        assert_eq!(
            secret("UNUSED", Some(&file)).unwrap().as_deref(),
            Some("correct horse")
        );
        std::fs::write(&file, "\n").unwrap();
        assert!(secret("UNUSED", Some(&file)).is_err());
        assert!(secret("UNUSED", Some(&directory.path().join("none"))).is_err());
    }
}
