//! Other programs: finding them, running them, reading what they say.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies inside the checkout")
}

/// A command that starts in the root of the checkout.
pub fn cmd<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// `cargo` with these arguments: the same cargo that runs this chore.
pub fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    cmd(
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        args,
    )
}

/// Runs a command with its output going where ours goes.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` ended with {status}", show(command));
    }
    Ok(())
}

/// Runs a command quietly and returns what it wrote; what it wrote is in the error if it failed.
pub fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| cannot_start(command))?;
    let text = String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}\n{text}\n{errors}",
            show(command),
            output.status
        );
    }
    Ok(text)
}

/// Whether a command succeeds; what it writes is thrown away.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where a program stands on `PATH`.
pub fn which(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// Runs a command, passing its lines on as they come and counting the tests they tell of. Killed
/// when it takes longer than `limit`.
pub fn run_counted(command: &mut Command, limit: Duration, tally: &mut Tally) -> Result<()> {
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let counted = Mutex::new(Tally::default());
    let status = std::thread::scope(|scope| {
        scope.spawn(|| pass_on(stdout, std::io::stdout(), &counted));
        scope.spawn(|| pass_on(stderr, std::io::stderr(), &counted));
        wait(&mut child, limit)
    })?;
    tally.add(&counted.into_inner().unwrap_or_else(PoisonError::into_inner));
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("`{}` ended with {status}", show(command)),
        None => bail!("`{}` took longer than {} s", show(command), limit.as_secs()),
    }
}

/// Waits for a child’s end; `None` when it had to be killed because `limit` passed.
pub fn wait(
    child: &mut std::process::Child,
    limit: Duration,
) -> Result<Option<std::process::ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn pass_on(from: Option<impl Read>, mut to: impl Write, counted: &Mutex<Tally>) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        counted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read_line(&line);
        // A reader of ours that went away must not stop the tests.
        let _ = writeln!(to, "{line}").and_then(|()| to.flush());
    }
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", command.get_program().to_string_lossy())
}

/// Failures that are named again at the end, and how much of each.
const MAX_NAMED: usize = 40;
const MAX_NAME: usize = 300;

/// How many tests passed and failed, as their runners tell it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, timed out or crashed.
    pub failed: u64,
    /// The first of those that failed, by name.
    pub named: Vec<String>,
}

impl Tally {
    /// Takes another’s counts in.
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        other.named.iter().for_each(|name| self.name(name));
    }

    /// Keeps the name of a test that failed, once.
    fn name(&mut self, name: &str) {
        let name: String = name.trim().chars().take(MAX_NAME).collect();
        if self.named.len() < MAX_NAMED && !self.named.contains(&name) {
            self.named.push(name);
        }
    }

    /// Reads one line of a test runner: nextest’s summary, libtest’s result, or the `ok - name` and
    /// `not ok - name` of the client scenarios. Any other line counts for nothing, and neither does
    /// an indented one: that is nextest repeating what a failed test wrote. The names of what failed
    /// are read beside that.
    fn read_line(&mut self, line: &str) {
        let line = &without_colour(line);
        if line.starts_with("ok - ") {
            self.passed += 1;
        } else if let Some(name) = line.strip_prefix("not ok - ") {
            self.failed += 1;
            self.name(name);
        } else if let Some(name) = failure_of_nextest(line).or_else(|| failure_of_libtest(line)) {
            self.name(name);
        } else if (line.trim_start().starts_with("Summary [") && line.contains(" run: "))
            || line.starts_with("test result: ")
        {
            self.passed += number_before(line, " passed");
            self.failed += number_before(line, " failed") + number_before(line, " timed out");
        }
    }
}

/// The test that a line of nextest tells of, which comes when it fails and again at the end.
fn failure_of_nextest(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let told = ["FAIL", "TIMEOUT", "ABORT", "SIG"]
        .iter()
        .any(|word| line.starts_with(word));
    let (_, name) = line
        .split_once(" [")
        .and_then(|(_, rest)| rest.split_once("s] "))?;
    told.then_some(name)
}

/// The test that a line of libtest tells of.
fn failure_of_libtest(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// The number that stands right before `word`, or 0.
fn number_before(line: &str, word: &str) -> u64 {
    let Some((before, _)) = line.split_once(word) else {
        return 0;
    };
    let digits = before
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    digits.parse().unwrap_or_default()
}

/// The line without terminal colour codes.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut inside_code = false;
    for c in line.chars() {
        match (inside_code, c) {
            (false, '\u{1b}') => inside_code = true,
            (false, c) => plain.push(c),
            (true, c) => inside_code = !c.is_ascii_alphabetic(),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], passed: u64, failed: u64) {
        let mut tally = Tally::default();
        for line in lines {
            tally.read_line(line);
        }
        assert_eq!((tally.passed, tally.failed), (passed, failed), "{lines:?}");
    }

    #[test]
    fn reads_what_the_runners_say() {
        check(
            &["     Summary [   1.234s] 12 tests run: 12 passed (1 slow), 3 skipped"],
            12,
            0,
        );
        check(
            &["     Summary [   9s] 7/9 tests run: 4 passed, 2 failed, 1 timed out, 0 skipped"],
            4,
            3,
        );
        check(
            &[
                "\u{1b}[32;1m     Summary\u{1b}[0m [   1.0s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m passed",
            ],
            1,
            0,
        );
        check(
            &["test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured"],
            5,
            0,
        );
        check(
            &["test result: FAILED. 5 passed; 2 failed; 0 ignored"],
            5,
            2,
        );
        check(
            &["ok - boots", "not ok - stops: wrong energy", "ok - leaves"],
            2,
            1,
        );
    }

    #[test]
    fn what_failed_is_named_once() {
        let mut tally = Tally::default();
        for line in [
            "        PASS [   0.1s] enchufe::it goes",
            "\u{1b}[31m        FAIL\u{1b}[0m [   0.1s] (1/9) enchufe::it stops",
            "     TIMEOUT [ 120.0s] enchufe::it hangs",
            "        FAIL [   0.1s] (1/9) enchufe::it stops",
            "not ok - axe: colour",
            "test it_breaks ... FAILED",
            "test it_holds ... ok",
        ] {
            tally.read_line(line);
        }
        let named = [
            "(1/9) enchufe::it stops",
            "enchufe::it hangs",
            "axe: colour",
            "it_breaks",
        ];
        assert_eq!(tally.named, named);
    }

    #[test]
    fn counts_nothing_else() {
        check(
            &["", "all ok - passed", "3 passed", "Summary of 4 passed"],
            0,
            0,
        );
    }

    #[test]
    fn a_command_that_outlives_its_limit_is_stopped() {
        let error = run_counted(
            &mut cmd("sleep", ["60"]),
            Duration::ZERO,
            &mut Tally::default(),
        );
        assert!(error.unwrap_err().to_string().contains("took longer"));
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = read(&mut cmd("sh", ["-c", "echo why >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh -c") && error.contains("why"), "{error}");
        assert!(!succeeds(&mut cmd("false", [""; 0])));
    }
}
