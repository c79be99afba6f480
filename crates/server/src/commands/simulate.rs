//! `enchufe simulate`: chargers that are not there, one to watch or thousands to measure with.

mod crew;

use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use domain::StationId;
use jiff::SignedDuration;
use simulator::load::{MAX_CHARGERS, Options, Profile};
use simulator::rest::Api;
use simulator::{Character, Charger, Dialer, Happening, Moment, Pace, StationPlan, drive};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::files;

/// Files beside the sockets: the terminal, the journal, the runtime's own.
const SPARE_FILES: u64 = 64;

/// Processes of one run: more would only take turns.
const MAX_PROCESSES: usize = 16;

/// The exit code of a program that was interrupted, as shells have it.
const INTERRUPTED: i32 = 130;

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

  ENCHUFE_API_TOKEN=… enchufe simulate --chargers 39000 --processes 3 \\
        --url ws://10.0.0.1:8081/ocpp --url ws://10.0.0.2:8081/ocpp \\
        --connects 500 --rate 1000 --duration 10m --verify
        many chargers on several nodes of one network; in the end everything
        that was acknowledged is looked up, and the exit code is 1 if any of
        it is missing

Secrets come from the environment or from files, never from flags:
  ENCHUFE_CHARGER_PASSWORD  or --password-file   what the chargers present
  ENCHUFE_API_TOKEN         or --api-token-file  an operator's to enter stations,
                                                 a viewer's to verify";

/// What `simulate` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Simulate {
    /// Where chargers connect, without an identity; several nodes of one network share the load,
    /// and who is refused by one or loses it goes to another
    #[arg(long, default_value = "ws://127.0.0.1:8081/ocpp", value_name = "URL")]
    #[arg(value_parser = server)]
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
    #[arg(value_parser = identity)]
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

    /// Divide them among so many processes; without it, as many as the limit of open files asks for
    #[arg(long, value_parser = processes)]
    processes: Option<usize>,

    /// Write what the server has acknowledged to this file, as lines of JSON; several processes
    /// write FILE.1, FILE.2 …
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Look up over the REST API, in the end, whether everything acknowledged is there; needs an API
    /// token, and the exit code is 1 if anything is missing
    #[arg(long)]
    verify: bool,

    /// Print the progress and, as the last line, the result as JSON instead of a table
    #[arg(long)]
    json: bool,

    /// Be one process of several: what to do is read from the standard input
    #[arg(long, hide = true)]
    part: bool,
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
        if self.many.part {
            return crew::part().await;
        }
        let password = secret("ENCHUFE_CHARGER_PASSWORD", self.password_file.as_deref())?;
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        tokio::spawn(async move {
            // Where signals cannot be had, the run still has its end.
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
            // Whoever insists does not want to wait for the result either.
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(INTERRUPTED);
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
        let servers: Vec<&str> = self.url.iter().map(Url::as_str).collect();
        let servers = servers.join(" or ");
        say(&format!("{id} connects to {servers}; Ctrl-C ends it"));
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
        drive(charger, &Dialer::default(), &self.url, shutdown, tell).await;
        Ok(ExitCode::SUCCESS)
    }

    async fn many(
        self,
        password: Option<String>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<ExitCode> {
        let many = &self.many;
        let chargers = many.chargers.unwrap_or(1);
        let processes = make_room(chargers, many.processes)?;
        // Asked for before the run, not after it.
        let servers = if many.verify {
            self.servers("to verify")?
        } else {
            Vec::new()
        };
        let stations = (many.first..).take(chargers).map(|number| {
            let mut station = StationPlan::plain(&format!("{}{number}", many.prefix), 1);
            station.password.clone_from(&password);
            station
        });
        self.create(stations.collect()).await?;
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
        let run = crew::Run {
            options,
            processes,
            record: many.record.clone(),
            servers,
            json: many.json,
        };
        run.run(shutdown).await
    }

    /// Enters the stations, where that was asked for.
    async fn create(&self, stations: Vec<StationPlan>) -> anyhow::Result<()> {
        if !self.create_stations {
            return Ok(());
        }
        let servers = self.servers("to enter stations")?;
        let api = servers.first().context("no --url")?;
        let all = stations.len();
        let new = api.enter(stations, &[&self.tag]).await?;
        eprintln!("{new} stations entered, {} were there already", all - new);
        Ok(())
    }

    /// The REST APIs beside the endpoints for chargers.
    fn servers(&self, what_for: &str) -> anyhow::Result<Vec<Api>> {
        let token = secret("ENCHUFE_API_TOKEN", self.api_token_file.as_deref())?;
        let token = token.with_context(|| format!("{what_for}, set ENCHUFE_API_TOKEN"))?;
        let apis = self.url.iter().map(|url| Api::beside(url, &token));
        Ok(apis.collect::<Result<_, _>>()?)
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

/// Raises the limit of open files, of which each charger needs one, for us and the processes we
/// start. Tells how many processes it takes.
fn make_room(chargers: usize, processes: Option<usize>) -> anyhow::Result<usize> {
    let most = files::most()
        .unwrap_or(u64::MAX)
        .saturating_sub(SPARE_FILES);
    let most = usize::try_from(most)?.clamp(1, MAX_CHARGERS);
    let processes = processes.unwrap_or_else(|| chargers.div_ceil(most));
    let each = chargers.div_ceil(processes);
    let needed = u64::try_from(each)?.saturating_add(SPARE_FILES);
    if each > most || processes > MAX_PROCESSES {
        bail!(
            "{chargers} chargers in {processes} processes need {needed} open files each; the limit \
             allows {most} chargers: raise it (ulimit -n {needed}) or use more processes, at most \
             {MAX_PROCESSES}"
        );
    }
    files::raise_limit().context("cannot raise the limit of open files")?;
    Ok(processes)
}

/// A line to the reader. Who has stopped reading (`| head`) is no error.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{}", line.trim_end());
}

fn server(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "ws" | "wss") && url.has_host());
    url.ok_or_else(|| "write it like ws://host:8081/ocpp".to_owned())
}

fn identity(text: &str) -> Result<String, String> {
    let id = StationId::new(text).map_err(|fault| fault.to_string())?;
    Ok(id.to_string())
}

fn chargers(text: &str) -> Result<usize, String> {
    up_to(text, MAX_CHARGERS * MAX_PROCESSES)
}

fn processes(text: &str) -> Result<usize, String> {
    up_to(text, MAX_PROCESSES)
}

fn up_to(text: &str, most: usize) -> Result<usize, String> {
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("give a number from 1 to {most}"))
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
            "simulate --url http://127.0.0.1:8081/ocpp",
            "simulate --url 127.0.0.1:8081",
            "simulate --id CP:1",
            "simulate --chargers 0",
            "simulate --chargers 1000000",
            "simulate --chargers 10 --processes 0",
            "simulate --chargers 10 --processes 100",
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
