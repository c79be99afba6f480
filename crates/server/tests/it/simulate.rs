//! `enchufe simulate` as a whole: several processes, and the server held to what it has acknowledged.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::support::{ADMIN_TOKEN, Backend, Ground, Process, eventually};

/// Far longer than a run takes.
const LIMIT: Duration = Duration::from_mins(1);

/// Thirty flaky chargers in two processes for eight seconds. Gives whether the run was good, and its
/// result.
async fn simulate(process: &Process) -> (bool, Value) {
    let url = format!("ws://{}/ocpp", process.address);
    let mut command = Command::new(env!("CARGO_BIN_EXE_enchufe"));
    command
        .args(["simulate", "--json", "--verify", "--create-stations"])
        .args(["--chargers", "30", "--processes", "2", "--profile", "flaky"])
        .args(["--rate", "200", "--duration", "8s", "--url", &url])
        .env_clear()
        .env("ENCHUFE_API_TOKEN", ADMIN_TOKEN)
        .env("ENCHUFE_CHARGER_PASSWORD", "a-password-of-theirs")
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(LIMIT, command.output()).await;
    let output = ended.expect("the run ends").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let result = text.lines().last().expect("a result");
    (
        output.status.success(),
        serde_json::from_str(result).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_are_one_run_and_everything_acknowledged_is_found() {
    let ground = Ground::new(Backend::Sqlite);
    let process = Process::start(&ground, &[]).await;
    let (good, result) = simulate(&process).await;
    assert!(good, "{result}");
    assert_eq!(result["chargers"], 30, "{result}");
    // All of them were connected and booted at once; it is null if that never was. Of how many are
    // connected at the very end nothing follows: they are flaky.
    assert!(result["connect_seconds"].as_f64() > Some(0.0), "{result}");
    assert_eq!(result["verified"]["chargers"], 30, "{result}");
    let kinds = result["verified"]["kinds"].as_object().unwrap();
    for kind in ["state_change", "last_state", "begin", "end", "meter_value"] {
        let counts = &kinds[kind];
        assert!(
            counts["acknowledged"].as_u64() > Some(0),
            "{kind}: {result}"
        );
        assert_eq!(counts["acknowledged"], counts["found"], "{kind}: {result}");
    }
    // Lines were lost, and all came back.
    let mut actions = result["actions"].as_array().unwrap().iter();
    let returned = actions
        .find(|row| row["action"] == "(reconnected)")
        .unwrap();
    assert!(returned["answered"].as_u64() > Some(5), "{result}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_fails_when_something_acknowledged_is_gone() {
    let ground = Ground::new(Backend::Sqlite);
    let process = Process::start(&ground, &[]).await;
    let forget = async {
        eventually("some of what it says is acknowledged", async || {
            let changes = process.count_events("SIM-7", "connector.status_changed");
            (changes.await > 3).then_some(())
        })
        .await;
        let gone = process.operator().delete("stations/SIM-7").await;
        assert_eq!(gone.status, 204, "{gone:?}");
    };
    // There already, so that it can be waited for; the run sets its password.
    process.enter("SIM-7").await;
    let ((good, result), ()) = tokio::join!(simulate(&process), forget);
    assert!(!good, "{result}");
    let last = &result["verified"]["kinds"]["last_state"];
    assert_eq!(
        last["acknowledged"].as_u64().unwrap() - last["found"].as_u64().unwrap(),
        1,
        "{result}"
    );
    assert!(
        result["verified"]["named"].to_string().contains("SIM-7"),
        "{result}"
    );
}
