//! What the tests need and a fresh machine lacks: PostgreSQL, Redis, and other people’s chargers.
//!
//! Everything lives under `.testenv/` but the database cluster, which lies in the system’s temporary
//! directory: PostgreSQL refuses to run as root, and its own user may not be able to read the
//! checkout. Running this again keeps what is there and starts what is not.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{cmd, read, root, run, succeeds, which};

/// Test databases are many and their pools small; PostgreSQL’s own default of 100 runs out.
const POSTGRES_CONNECTIONS: u32 = 200;

/// The settings of `.testenv/env`, in its order.
pub type Settings = Vec<(&'static str, String)>;

/// Prepares everything and returns the settings that `.testenv/env` then holds.
pub fn start() -> Result<Settings> {
    let dir = dir();
    fs::create_dir_all(&dir)?;
    let lock = fs::File::create(dir.join("lock"))?;
    lock.lock().context("cannot lock .testenv")?;

    install_missing_packages()?;
    let python = python(
        "python",
        "tests/clients/python/requirements.txt",
        "ocpp, schemathesis",
    )?;
    let ocpp = "import ocpp, os; print(os.path.dirname(ocpp.__file__))";
    let settings = vec![
        ("TEST_POSTGRES_URL", postgres()?),
        ("TEST_REDIS_URL", redis(&dir)?),
        (
            "OCPP_SCHEMAS",
            read(cmd(&python, ["-c", ocpp]).current_dir("/"))?,
        ),
        ("TEST_PYTHON", text(&python)?),
        ("TEST_NODE_CLIENTS", text(&node()?)?),
        (
            "PG_BIN",
            text(&postgres_bin().context("initdb is not there")?)?,
        ),
    ];
    let lines: Vec<String> = settings
        .iter()
        .map(|(name, value)| {
            format!(
                "{name}={}
",
                quoted(value)
            )
        })
        .collect();
    fs::write(dir.join("env"), lines.concat())?;
    say("settings", "in .testenv/env");
    Ok(settings)
}

/// Stops what [`start`] started and removes the database cluster; what was installed stays.
pub fn stop() -> Result<()> {
    let dir = dir();
    if let Some(redis) = RunningRedis::find(&dir) {
        redis.ask("SHUTDOWN NOSAVE")?;
    }
    say("redis", "stopped");
    if let Some(bin) = postgres_bin() {
        remove_cluster(&bin)?;
    }
    say("postgres", "stopped, its data removed");
    // The settings name servers that are gone: a test that read them would fail with a riddle.
    remove_if_there(&dir.join("env"))
}

/// Whether the library is there that gives a program another time of day.
fn faketime_is_there() -> bool {
    let directories = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = directories.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    libraries.any(|library| library.is_file())
}

/// Whether there are fonts for a browser to draw with.
fn fonts_are_there() -> bool {
    let directories = ["liberation", "liberation2"];
    let mut folders = directories
        .map(|name| Path::new("/usr/share/fonts/truetype").join(name))
        .into_iter();
    folders.any(|folder| folder.is_dir())
}

/// A loopback port nobody listens on at the moment.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn dir() -> PathBuf {
    root().join(".testenv")
}

// ---- Debian packages

fn install_missing_packages() -> Result<()> {
    let venv_works = || succeeds(&mut cmd("python3", ["-c", "import venv, ensurepip"]));
    let missing: Vec<&str> = [
        ("postgresql", postgres_bin().is_some()),
        ("redis-server", which("redis-server").is_some()),
        ("nodejs", which("node").is_some()),
        ("npm", which("npm").is_some()),
        ("python3-venv", venv_works()),
        ("curl", which("curl").is_some()),
        ("libfaketime", faketime_is_there()),
        ("chromium", which("chromium").is_some()),
        // A page without fonts has no text to look at.
        ("fonts-liberation", fonts_are_there()),
    ]
    .into_iter()
    .filter_map(|(package, there)| (!there).then_some(package))
    .collect();
    if missing.is_empty() {
        say("packages", "all there");
        return Ok(());
    }
    let names = missing.join(" ");
    ensure!(
        rustix::process::geteuid().is_root() && which("apt-get").is_some(),
        "the tests need programs this machine lacks; as root on Debian: apt-get install {names}"
    );
    say("packages", &format!("installing {names}"));
    let apt = |args: &[&str]| {
        let mut apt = cmd("apt-get", args);
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        read(&mut apt)
    };
    apt(&["update", "-q"])?;
    let mut args = vec!["install", "-q", "-y", "--no-install-recommends"];
    args.extend(&missing);
    apt(&args).map(drop)
}

// ---- PostgreSQL

/// The newest installed PostgreSQL’s programs; Debian keeps `initdb` and `pg_ctl` off the path.
fn postgres_bin() -> Option<PathBuf> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("bin/initdb").is_file())
        .collect();
    versions.sort_by_key(version);
    let debian = versions.pop().map(|path| path.join("bin"));
    debian.or_else(|| Some(which("pg_ctl")?.parent()?.to_owned()))
}

/// Where this checkout’s cluster lies: always the same place, so that it is found again.
fn cluster() -> PathBuf {
    let name = root().to_string_lossy().replace('/', "-");
    std::env::temp_dir().join(format!("enchufe-testenv{name}"))
}

/// A command run by the user `postgres` when we are root, by ourselves otherwise.
fn as_postgres(program: &Path, args: &[&str]) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = cmd("runuser", ["-u", "postgres", "--"]);
        command.arg(program);
        command
    } else {
        cmd(program, [""; 0])
    };
    command.args(args).current_dir("/");
    command
}

fn postgres() -> Result<String> {
    let bin = postgres_bin().context("initdb is not there")?;
    if let Some(port) = answering_port(&bin) {
        say("postgres", &format!("runs on port {port}"));
        return Ok(postgres_url(port));
    }
    // What does not answer is made anew: it holds nothing worth keeping, and one that was killed
    // may refuse to start again.
    remove_cluster(&bin)?;
    let cluster = cluster();
    fs::create_dir_all(&cluster)?;
    if rustix::process::geteuid().is_root() {
        read(&mut cmd("chown", ["postgres", &text(&cluster)?]))?;
    }
    let data = text(&cluster.join("data"))?;
    let init = [
        "-D",
        &data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
    ];
    read(&mut as_postgres(&bin.join("initdb"), &init))?;
    let port = free_port()?;
    let options = format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' \
         -c max_connections={POSTGRES_CONNECTIONS}"
    );
    let log = text(&cluster.join("log"))?;
    let start = ["start", "-w", "-D", &data, "-l", &log, "-o", &options];
    read(&mut as_postgres(&bin.join("pg_ctl"), &start)).with_context(|| format!("see {log}"))?;
    say("postgres", &format!("started on port {port}"));
    Ok(postgres_url(port))
}

/// Stops the cluster if it answers, and removes its data.
fn remove_cluster(bin: &Path) -> Result<()> {
    let cluster = cluster();
    if answering_port(bin).is_some() {
        let data = text(&cluster.join("data"))?;
        read(&mut as_postgres(
            &bin.join("pg_ctl"),
            &["stop", "-D", &data, "-m", "immediate"],
        ))?;
    }
    match fs::remove_dir_all(&cluster) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The port our cluster answers on. Its lock file names it, in the fourth line, even after a crash.
fn answering_port(bin: &Path) -> Option<u16> {
    let lock = fs::read_to_string(cluster().join("data/postmaster.pid")).ok()?;
    let port = lock.lines().nth(3)?.trim().parse::<u16>().ok()?;
    let ready = ["-q", "-h", "127.0.0.1", "-p", &port.to_string()];
    succeeds(&mut cmd(bin.join("pg_isready"), ready)).then_some(port)
}

fn postgres_url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

// ---- Redis

/// Our Redis, known to run: the process that answers is the one whose id we wrote down.
struct RunningRedis {
    port: u16,
}

impl RunningRedis {
    fn find(dir: &Path) -> Option<Self> {
        let port = fs::read_to_string(dir.join("redis.port"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let pid = fs::read_to_string(dir.join("redis.pid")).ok()?;
        let redis = Self { port };
        let info = redis.ask("INFO server").ok()?;
        let ours = format!("process_id:{}", pid.trim());
        info.lines()
            .any(|line| line.trim() == ours)
            .then_some(redis)
    }

    /// Sends one inline command and returns all that comes back before the connection closes.
    fn ask(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

fn redis(dir: &Path) -> Result<String> {
    if let Some(redis) = RunningRedis::find(dir) {
        say("redis", &format!("runs on port {}", redis.port));
        return Ok(redis.url());
    }
    let port = free_port()?;
    fs::write(dir.join("redis.port"), port.to_string())?;
    let (pid, log) = (text(&dir.join("redis.pid"))?, text(&dir.join("redis.log"))?);
    remove_if_there(Path::new(&pid))?;
    let port_arg = port.to_string();
    // Nothing is kept on disk: tests that need a restart with data start a Redis of their own.
    let args = [
        ["--port", &port_arg],
        ["--bind", "127.0.0.1"],
        ["--save", ""],
        ["--appendonly", "no"],
        ["--daemonize", "yes"],
        ["--dir", &text(dir)?],
        ["--pidfile", &pid],
        ["--logfile", &log],
    ];
    read(&mut cmd("redis-server", args.concat()))?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if let Some(redis) = RunningRedis::find(dir) {
            say("redis", &format!("started on port {port}"));
            return Ok(redis.url());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("redis-server did not answer on port {port} within 10 s; see {log}")
}

// ---- Other people’s chargers

/// The Python of a virtual environment with these requirements, made anew when they changed.
/// `proof` is what it can import once it is whole.
pub fn python(venv: &str, requirements: &str, proof: &str) -> Result<PathBuf> {
    let wanted = root().join(requirements);
    let venv = dir().join(venv);
    let python = venv.join("bin/python");
    let stamp = venv.join("requirements.txt");
    let works = succeeds(&mut cmd(&python, ["-c", &format!("import {proof}")]));
    if works && same(&wanted, &stamp) {
        say("python", &format!("has {requirements}"));
        return Ok(python);
    }
    say("python", &format!("installing {requirements}"));
    read(&mut cmd(
        "python3",
        ["-m", "venv", "--clear", &text(&venv)?],
    ))?;
    let mut pip = cmd(
        &python,
        [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ],
    );
    run(pip.arg("--requirement").arg(&wanted))?;
    fs::copy(&wanted, &stamp)?;
    Ok(python)
}

fn node() -> Result<PathBuf> {
    let clients = root().join("tests/clients/node");
    node_packages("clients", &clients, "ocpp-rpc")?;
    Ok(clients)
}

/// The packages of a folder's lock file, installed anew when it changed. `proof` is one of them.
pub fn node_packages(name: &str, folder: &Path, proof: &str) -> Result<()> {
    let wanted = folder.join("package-lock.json");
    let stamp = dir().join(format!("node-{name}.lock"));
    if folder.join("node_modules").join(proof).is_dir() && same(&wanted, &stamp) {
        say("node", &format!("has the packages of the {name}"));
        return Ok(());
    }
    say("node", &format!("installing the packages of the {name}"));
    read(cmd("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder))?;
    fs::create_dir_all(dir())?;
    fs::copy(&wanted, &stamp)?;
    Ok(())
}

// ---- Small things

fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// The value as a shell reads it back.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

fn say(what: &str, how: &str) {
    println!("  {what:<10}{how}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_settings_back() {
        for value in [
            "postgres://postgres@127.0.0.1:1/postgres",
            "/a b/c",
            "it's",
            "$HOME",
        ] {
            let script = format!("X={}; printf %s \"$X\"", quoted(value));
            assert_eq!(read(&mut cmd("sh", ["-c", &script])).unwrap(), value);
        }
    }
}
