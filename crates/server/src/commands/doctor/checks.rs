//! What a start depends on, one function each.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::{Location, Look, Tables};

use super::super::healthcheck;
use super::Finding;
use crate::clock::Clock;
use crate::config::{Config, ServiceUrl, reachable};
use crate::files;

/// How long a service may take to answer before it counts as away.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Below this much free space the database could fill the disk within a day of trouble.
const LITTLE_SPACE: u64 = 1024 * MIB;

/// Below this the database may not take its next write.
const NO_SPACE: u64 = 64 * MIB;

const MIB: u64 = 1024 * 1024;

/// Below this many file descriptors a small network already gets refused connections.
const FEW_FILES: u64 = 1_024;

/// A network that grows past some thousand chargers should not meet the limit first.
const SOME_FILES: u64 = 8_192;

/// Beyond this, times written here and there no longer tell what came first.
const MAX_SKEW: SignedDuration = SignedDuration::from_secs(2);

/// Years a working clock shows: later than this program, and within the life of its hardware.
const SANE_YEARS: std::ops::Range<i16> = 2025..2100;

/// The settings hold together, since they were loaded; this tells what they open.
pub(super) fn configuration(config: &Config) -> Vec<Finding> {
    let mut findings = vec![Finding::good("settings", "valid")];
    let warnings = config.warnings().into_iter();
    findings.extend(
        warnings.map(|warning| {
            Finding::warning("settings", warning, "leave it so only if you mean it")
        }),
    );
    findings
}

pub(super) fn data_directory(config: &Config) -> Finding {
    const NAME: &str = "data directory";
    let wanted = &config.data_dir;
    let directory = nearest_existing(wanted);
    let probe = tempfile_in(&directory);
    match probe {
        Ok(()) if directory == *wanted => {
            Finding::good(NAME, format!("{} is writable", wanted.display()))
        }
        Ok(()) => Finding::good(NAME, format!("{} will be made", wanted.display())),
        Err(error) => Finding::bad(
            NAME,
            format!("{} is not writable: {error}", directory.display()),
            "give its owner to the user that runs the server, or name another with --data-dir",
        ),
    }
}

/// Writes a file and takes it away again: permission bits alone do not tell of a read-only mount.
fn tempfile_in(directory: &Path) -> std::io::Result<()> {
    let path = directory.join(format!(".enchufe-doctor-{}", std::process::id()));
    std::fs::File::create_new(&path)?;
    std::fs::remove_file(&path)
}

/// The directory itself, or the closest one above it that exists.
fn nearest_existing(wanted: &Path) -> PathBuf {
    let existing = wanted.ancestors().find(|path| path.is_dir());
    // A relative path ends in the empty one, which stands for the current directory.
    existing.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

pub(super) fn free_space(config: &Config) -> Finding {
    const NAME: &str = "free space";
    let directory = nearest_existing(&config.data_dir);
    let free = match rustix::fs::statvfs(&directory) {
        Ok(volume) => volume.f_bavail.saturating_mul(volume.f_frsize),
        Err(error) => {
            let finding = format!("unknown: {error}");
            return Finding::warning(NAME, finding, "look with `df` yourself");
        }
    };
    let finding = format!("{} MiB beneath {}", free / MIB, config.data_dir.display());
    let remedy = "free some, or name a directory on another volume with --data-dir";
    match free {
        ..NO_SPACE => Finding::bad(NAME, finding, remedy),
        NO_SPACE..LITTLE_SPACE => Finding::warning(NAME, finding, remedy),
        LITTLE_SPACE.. => Finding::good(NAME, finding),
    }
}

/// Looks at the database, and leaves it as it is.
pub(super) async fn database(config: &Config, clock: &Clock) -> Vec<Finding> {
    const NAME: &str = "database";
    let url = config.database_url();
    let location = match Location::parse(url.expose()) {
        Ok(location) => location,
        Err(fault) => {
            return vec![Finding::bad(
                NAME,
                format!("{url}: {fault}"),
                "set --database-url",
            )];
        }
    };
    if let Location::Sqlite(file) = &location
        && !file.exists()
    {
        return vec![Finding::good(NAME, format!("{url} will be made"))];
    }
    let looked = tokio::time::timeout(TIMEOUT, Look::at(&location, || clock.now())).await;
    let look = match looked {
        Ok(Ok(look)) => look,
        Ok(Err(error)) => {
            let finding = format!("{url}: {error}");
            return vec![Finding::bad(NAME, finding, database_remedy(&url))];
        }
        Err(_) => {
            let finding = format!("{url}: no answer in time");
            return vec![Finding::bad(NAME, finding, database_remedy(&url))];
        }
    };
    let tables = match look.tables {
        Tables::Absent => {
            "no tables yet: the first `enchufe serve` or `enchufe migrate` makes them".to_owned()
        }
        Tables::Behind { by } => format!(
            "tables of an earlier version: the next `enchufe serve` or `enchufe migrate` applies \
             {by} migration(s)"
        ),
        Tables::UpToDate => "tables are up to date".to_owned(),
    };
    let mut findings = vec![if look.writable {
        Finding::good(NAME, format!("{url} answers; {tables}"))
    } else {
        let finding = format!("{url} can be read and not written");
        Finding::bad(NAME, finding, database_remedy(&url))
    }];
    let skew = look.clock_ahead.map(|ahead| skew("database clock", ahead));
    findings.extend(skew);
    findings
}

/// Whether another machine's clock agrees with this one's.
fn skew(name: &'static str, ahead: SignedDuration) -> Finding {
    let seconds = ahead.abs().as_secs_f64();
    if ahead.abs() < MAX_SKEW {
        return Finding::good(name, format!("within {seconds:.1} s of this machine's"));
    }
    let side = if ahead.is_negative() {
        "behind"
    } else {
        "ahead of"
    };
    Finding::warning(
        name,
        format!("{seconds:.0} s {side} this machine's"),
        "have NTP set the clocks of both (chrony or systemd-timesyncd; see `timedatectl`)",
    )
}

fn database_remedy(url: &ServiceUrl) -> &'static str {
    if url.is_sqlite() {
        "it must be a database of Enchufe's, and the user that runs the server must own it"
    } else {
        "check that it runs, its address, its user's rights, and the password in ENCHUFE_DATABASE_URL"
    }
}

pub(super) async fn redis(config: &Config, clock: &Clock) -> Vec<Finding> {
    const NAME: &str = "redis";
    let Some(url) = &config.redis_url else {
        return vec![Finding::good(NAME, "not set: this node works alone")];
    };
    let tried = async {
        let client = redis::Client::open(url.expose())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let _: String = redis::cmd("PING").query_async(&mut connection).await?;
        let before = clock.now();
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut connection).await?;
        let between = before + clock.now().duration_since(before) / 2;
        let theirs = SignedDuration::from_secs(seconds) + SignedDuration::from_micros(micros);
        Ok::<_, redis::RedisError>(theirs - between.duration_since(Timestamp::UNIX_EPOCH))
    };
    let fault = match tokio::time::timeout(TIMEOUT, tried).await {
        Ok(Ok(ahead)) => {
            let answers = Finding::good(NAME, format!("{url} answers"));
            return vec![answers, skew("redis clock", ahead)];
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    vec![Finding::bad(
        NAME,
        format!("{url}: {fault}"),
        "check that it runs, its address, and the password in ENCHUFE_REDIS_URL",
    )]
}

pub(super) fn clock(clock: &Clock) -> Finding {
    const NAME: &str = "clock";
    let now = clock.now();
    let year = now.to_zoned(jiff::tz::TimeZone::UTC).year();
    let finding = seconds(now);
    if SANE_YEARS.contains(&year) {
        Finding::good(NAME, finding)
    } else {
        Finding::bad(
            NAME,
            finding,
            "set the clock, or let NTP do it: chargers take their time from it",
        )
    }
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub(super) fn open_files() -> Finding {
    const NAME: &str = "open files";
    // A server raises its limit as far as it may.
    let Some(limit) = files::most() else {
        return Finding::good(NAME, "no limit");
    };
    let chargers = files::room_for_chargers(Some(limit));
    let finding = format!("{limit} allowed: room for {chargers} chargers");
    let remedy =
        "raise it: `ulimit -n 65536`, LimitNOFILE= in a systemd unit, `ulimits` in compose";
    match limit {
        ..FEW_FILES => Finding::bad(NAME, finding, remedy),
        FEW_FILES..SOME_FILES => Finding::warning(NAME, finding, remedy),
        SOME_FILES.. => Finding::good(NAME, finding),
    }
}

pub(super) async fn ports(config: &Config) -> [Finding; 2] {
    [
        port(
            "api port",
            config.listen,
            "--listen",
            &Ours {
                path: "/health",
                statuses: &[200],
            },
        )
        .await,
        port(
            "metrics port",
            config.metrics_listen,
            "--metrics-listen",
            &Ours {
                path: "/metrics",
                statuses: &[200, 401],
            },
        )
        .await,
    ]
}

/// How a port answers when it is a running server that holds it.
struct Ours {
    path: &'static str,
    statuses: &'static [u16],
}

async fn port(name: &'static str, address: SocketAddr, flag: &str, ours: &Ours) -> Finding {
    let Err(error) = TcpListener::bind(address) else {
        return Finding::good(name, format!("{address} is free"));
    };
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => {
            let asked = healthcheck::get(reachable(address), ours.path);
            if let Ok(Ok(answer)) = tokio::time::timeout(TIMEOUT, asked).await
                && ours.statuses.contains(&answer.status)
            {
                let found = format!("{address} is served already, as by Enchufe");
                let remedy = format!("to serve here, stop that one, or choose another with {flag}");
                return Finding::warning(name, found, remedy);
            }
            format!("stop the program that holds it, or choose another with {flag}")
        }
        ErrorKind::AddrNotAvailable => {
            format!("that is no address of this machine; choose one with {flag}, such as 0.0.0.0")
        }
        ErrorKind::PermissionDenied => {
            format!("ports below 1024 need privileges; choose a higher one with {flag}")
        }
        _ => format!("choose another with {flag}"),
    };
    Finding::bad(name, format!("{address}: {error}"), remedy)
}

#[cfg(test)]
mod tests {
    use store::Store;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_at_its_birth_is_not_sane() {
        assert_eq!(
            clock(&Clock::manual(Timestamp::UNIX_EPOCH)).verdict,
            Verdict::Bad
        );
        assert_eq!(clock(&Clock::system()).verdict, Verdict::Good);
    }

    #[tokio::test]
    async fn a_port_that_something_else_holds_is_told() {
        let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = holder.local_addr().expect("an address");
        let answering = std::thread::spawn(move || drop(holder.accept()));
        let ours = Ours {
            path: "/health",
            statuses: &[200],
        };
        let finding = port("api port", address, "--listen", &ours).await;
        answering.join().expect("accepted");
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(finding.remedy.expect("a remedy").contains("--listen"));
    }

    #[tokio::test]
    async fn a_database_file_is_looked_at_and_left_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = Config {
            data_dir: directory.path().into(),
            ..Config::defaults()
        };
        let clock = Clock::system();
        let look = async || database(&config, &clock).await.remove(0);
        let files = || {
            let entries = directory.path().read_dir().expect("readable");
            let mut files: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
            files.sort();
            let read = |file| std::fs::read(file).expect("readable");
            files.iter().map(read).collect::<Vec<_>>()
        };
        assert!(look().await.found.ends_with("will be made"));
        assert!(files().is_empty());

        // A file without tables, as an interrupted first start leaves it.
        let file = directory.path().join("enchufe.db");
        std::fs::write(&file, "").expect("written");
        let finding = look().await;
        assert!(finding.found.contains("no tables yet"), "{finding:?}");
        assert_eq!(files(), [b""]);

        let location = Location::parse(config.database_url().expose()).expect("a location");
        let store = Store::open(&location).await.expect("a database");
        // Whether somebody has it open or not.
        assert!(look().await.found.ends_with("tables are up to date"));
        store.close().await;
        let before = files();
        assert!(look().await.found.ends_with("tables are up to date"));
        assert!(files() == before, "the doctor changed something");

        std::fs::write(&file, "this is a letter, not a database").expect("written");
        assert_eq!(look().await.verdict, Verdict::Bad);
    }

    #[test]
    fn clocks_that_disagree_are_told_with_what_to_do() {
        let finding = skew("database clock", SignedDuration::from_millis(-1_900));
        assert_eq!(finding.verdict, Verdict::Good);
        let finding = skew("database clock", SignedDuration::from_secs(-90));
        assert_eq!(finding.found, "90 s behind this machine's");
        let finding = skew("database clock", SignedDuration::from_secs(3));
        assert_eq!(finding.found, "3 s ahead of this machine's");
        assert!(finding.remedy.expect("a remedy").contains("NTP"));
    }

    #[tokio::test]
    async fn a_redis_that_is_away_is_told_without_its_password() {
        let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = holder.local_addr().expect("an address").port();
        drop(holder);
        let set = format!("ENCHUFE_REDIS_URL=redis://:hunter2@127.0.0.1:{port}");
        let (name, url) = set.split_once('=').expect("two parts");
        let environment = [(name.to_owned(), url.to_owned())];
        let config = crate::config::Flags::default()
            .resolve(&environment, None)
            .expect("valid");
        let finding = redis(&config, &Clock::system()).await.remove(0);
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(!finding.found.contains("hunter2"), "{finding:?}");
    }
}
