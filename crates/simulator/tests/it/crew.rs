//! A run in several parts.

use std::collections::BTreeSet;
use std::time::Duration;

use simulator::load::crew::{CrewError, Job, Outcome, Standing, lead, work};
use simulator::load::{Options, Profile};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeServer, Seen};
use crate::load::options;

/// The ends that whoever leads holds: what the part says, and where it listens.
fn part() -> (DuplexStream, DuplexStream) {
    let (orders, heard) = tokio::io::duplex(1024);
    let (told, words) = tokio::io::duplex(1024);
    tokio::spawn(work(heard, told));
    (words, orders)
}

async fn run(
    options: &Options,
    parts: usize,
    record: Option<&std::path::Path>,
    standing: watch::Sender<Standing>,
    shutdown: CancellationToken,
) -> Result<Outcome, CrewError> {
    let jobs = Job::divide(options, record, parts).into_iter();
    let parts = jobs.map(|job| {
        let (words, orders) = part();
        (job, words, orders)
    });
    lead(parts.collect(), standing, shutdown).await
}

#[tokio::test]
async fn parts_begin_together_and_are_added_up() {
    let server = FakeServer::start(|_, _| None).await;
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("record");
    let mut options = options(&server, Profile::Statuses);
    options.chargers = 13;
    // The first part's chargers come over more than a second, and so do the others'.
    options.connects = Some(10.0);
    options.rate = Some(130.0);
    options.duration = Duration::from_secs(1);
    let (standing, watched) = watch::channel(Standing::default());
    let outcome = run(
        &options,
        3,
        Some(&record),
        standing,
        CancellationToken::new(),
    )
    .await
    .unwrap();

    let report = &outcome.report;
    assert_eq!((report.chargers, report.connected), (13, 13), "{report}");
    assert!(report.connect_seconds.unwrap() >= 1.0, "{report}");
    assert!(report.longest_gap.is_none(), "{report}");
    let last = *watched.borrow();
    assert!(last.working && last.counts.booted == 13, "{last:?}");

    let seen = server.seen();
    let boots =
        |seen: &Seen| matches!(seen, Seen::Call(_, _, action, _) if action == "BootNotification");
    let works =
        |seen: &Seen| matches!(seen, Seen::Call(_, _, _, payload) if payload["info"].is_string());
    let all_there = seen.iter().rposition(boots).unwrap();
    let begun = seen.iter().position(works).unwrap();
    assert!(all_there < begun, "{all_there} {begun}");
    let who: BTreeSet<String> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Handshake { path, .. } => Some(path.clone()),
            Seen::Call(..) => None,
        })
        .collect();
    let expect = (1..=13).map(|number| format!("/ocpp/SIM-{number}"));
    assert_eq!(who, expect.collect());

    let said = seen.iter().filter(|seen| works(seen)).count() as u64;
    let row = report
        .actions
        .iter()
        .find(|row| row.action == "StatusNotification");
    assert_eq!(row.unwrap().sent, said, "{report}");
    let mut lines = 0;
    for part in 1..=3 {
        let text = std::fs::read_to_string(format!("{}.{part}", record.display())).unwrap();
        lines += text.lines().count() as u64;
    }
    assert_eq!((lines, outcome.recorded), (said, said));
}

#[tokio::test]
async fn all_stop_when_they_are_told() {
    let server = FakeServer::start(|_, _| None).await;
    let mut options = options(&server, Profile::Heartbeats);
    options.duration = Duration::from_mins(10);
    options.rate = Some(100.0);
    let (standing, mut watched) = watch::channel(Standing::default());
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let _ = watched
            .wait_for(|standing| standing.working && standing.counts.sent > 100)
            .await;
        stop.cancel();
    });
    let running = run(&options, 2, None, standing, shutdown);
    let outcome = tokio::time::timeout(Duration::from_secs(10), running).await;
    let report = outcome.unwrap().unwrap().report;
    assert_eq!(report.connected, 20, "{report}");
    assert!(report.work_seconds < 10.0, "{report}");
}

#[tokio::test]
async fn a_part_that_is_lost_or_cannot_go_on_ends_the_run() {
    let server = FakeServer::start(|_, _| None).await;
    let options = options(&server, Profile::Idle);
    let told = |record| {
        run(
            &options,
            2,
            record,
            watch::channel(Standing::default()).0,
            CancellationToken::new(),
        )
    };
    let nowhere = std::path::Path::new("/nowhere/record");
    let failed = told(Some(nowhere)).await;
    assert!(
        matches!(&failed, Err(CrewError::Failed(_, why)) if why.contains("/nowhere/record")),
        "{failed:?}"
    );

    let mut jobs = Job::divide(&options, None, 2);
    let (words, orders) = part();
    let (lost, mut its_words) = tokio::io::duplex(1024);
    let (its_orders, _heard) = tokio::io::duplex(64 * 1024);
    its_words.write_all(b"{\"Progress\":").await.unwrap();
    drop(its_words);
    let parts = vec![
        (jobs.remove(0), words, orders),
        (jobs.remove(0), lost, its_orders),
    ];
    let ended = lead(
        parts,
        watch::channel(Standing::default()).0,
        CancellationToken::new(),
    )
    .await;
    assert!(matches!(ended, Err(CrewError::Strange(2, _))), "{ended:?}");
}
