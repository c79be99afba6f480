//! `enchufe drill`: the load of a drill from a shell, without a server.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::support::{PATIENCE, eventually};

/// Starts it as in a container: with no variable set, and in a directory that nothing can be
/// written to.
fn drill(arguments: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_enchufe"))
        .arg("drill")
        .args(arguments.split_whitespace())
        .env_clear()
        .current_dir("/proc")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Waits for its end. Tells the exit code, and what it printed.
async fn ended(child: Child) -> (i32, String) {
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("it goes on").unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn pid(child: &Child) -> i32 {
    i32::try_from(child.id().unwrap()).unwrap()
}

/// Processor seconds that it has used.
fn used(child: &Child) -> f64 {
    let stat = procfs::process::Process::new(pid(child)).and_then(|process| process.stat());
    let stat = stat.unwrap();
    let ticks = u32::try_from(stat.utime + stat.stime).unwrap();
    f64::from(ticks) / f64::from(u32::try_from(procfs::ticks_per_second()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_burns_what_it_was_told_and_no_more() {
    let child = drill("--cpu 0.3 --duration 30m");
    let begun = Instant::now();
    eventually("half a second is burned", async || {
        (used(&child) > 0.5).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let limit = server::cgroup::Cgroup::own().read().cpu_limit_cores;
    let most = 0.3 * limit.unwrap_or(1.0) * begun.elapsed().as_secs_f64();
    let used = used(&child);
    // What it takes to start is beside it.
    assert!(used < most + 0.5, "{used} s burned, {most} asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_its_time_is_over() {
    let begun = Instant::now();
    let (code, said) = ended(drill("--cpu 0.1 --memory 0.02 --duration 2s")).await;
    assert_eq!(code, 0, "{said}");
    assert!(begun.elapsed() >= Duration::from_secs(2), "{said}");
    for words in ["a load drill of 2 s", "completed; all of it is given back"] {
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_ends_it_at_once() {
    for signal in [Signal::INT, Signal::TERM] {
        let child = drill("--cpu 0.1 --duration 30m");
        tokio::time::sleep(Duration::from_millis(700)).await;
        let told = Instant::now();
        kill_process(Pid::from_raw(pid(&child)).unwrap(), signal).unwrap();
        let (code, said) = ended(child).await;
        assert_eq!(code, 130, "{said}");
        assert!(said.contains("aborted; all of it is given back"), "{said}");
        assert!(
            told.elapsed() < Duration::from_secs(3),
            "{:?}",
            told.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_out_of_bounds_is_refused() {
    for (arguments, words) in [
        ("--cpu 1.5", "between 0 and 1"),
        ("--memory 0.99", "between 0 and 0.95"),
        ("--duration 2h", "between 1s and 1800s"),
        ("--disk 1", "unexpected argument"),
    ] {
        let (code, said) = ended(drill(arguments)).await;
        assert_eq!(code, 2, "{arguments}: {said}");
        assert!(said.contains(words), "{arguments}: {said}");
    }
}
