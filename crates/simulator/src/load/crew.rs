//! A run in several parts: each holds its own chargers, one leads, and nobody begins alone.
//!
//! The two ends talk in lines of JSON over any pair of pipes, those of a process or of a test. A
//! part is told its [`Job`] first and then, once, to begin. That its input ends means: stop. What it
//! says is how many are there, that all are, and in the end what came of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::stats::{Snapshot, Stats};
use super::tally::{Gap, Report, Tally};
use super::{Gate, Journal, Options, run_part};

/// Between two words about how it goes. Also how exactly it is known when everybody was back.
const PROGRESS: Duration = Duration::from_millis(100);

/// Words that wait for whoever leads.
const WORDS: usize = 64;

/// What a part has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its own numbers, and its share of the rates.
    pub options: Options,
    /// Where it writes what the server has acknowledged.
    pub record: Option<PathBuf>,
}

impl Job {
    /// Divides a run into parts of about the same size. With more than one, each has a record of
    /// its own beside the one that was asked for.
    pub fn divide(options: &Options, record: Option<&Path>, parts: usize) -> Vec<Self> {
        let parts = parts.clamp(1, options.chargers.max(1));
        let mut jobs = Vec::with_capacity(parts);
        let mut first = options.first;
        for part in 1..=parts {
            let chargers = options.chargers / parts + usize::from(part <= options.chargers % parts);
            let share = super::as_f64(chargers) / super::as_f64(options.chargers.max(1));
            let options = Options {
                first,
                chargers,
                rate: options.rate.map(|rate| rate * share),
                connects: options.connects.map(|rate| rate * share),
                ..options.clone()
            };
            first += chargers as u64;
            let record = record.map(|path| {
                if parts == 1 {
                    return path.to_owned();
                }
                let mut name = path.as_os_str().to_owned();
                name.push(format!(".{part}"));
                name.into()
            });
            jobs.push(Self { options, record });
        }
        jobs
    }
}

/// What a part says.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// How it goes.
    Progress(Snapshot),
    /// All its chargers are there, or as many as will come.
    Gathered,
    /// What came of it, and how many lines its record has.
    Done(Box<Tally>, u64),
    /// It cannot go on.
    Failed(String),
}

/// What a part waits for.
const BEGIN: &str = "begin";

/// Why a run in parts has no result.
#[derive(Debug, thiserror::Error)]
pub enum CrewError {
    /// A part ended before it was done.
    #[error("part {0} of the run ended early")]
    Ended(usize),
    /// A part said why it cannot go on.
    #[error("part {0} of the run cannot go on: {1}")]
    Failed(usize, String),
    /// A part says what nobody understands.
    #[error("part {0} of the run is another program: {1}")]
    Strange(usize, String),
    /// A pipe failed.
    #[error("part {0} of the run cannot be reached: {1}")]
    Pipe(usize, io::Error),
}

/// What came of a run in parts.
#[derive(Debug)]
pub struct Outcome {
    /// The result, added up.
    pub report: Report,
    /// Lines of all records together.
    pub recorded: u64,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Whether the work has begun.
    pub working: bool,
    /// All parts together.
    #[serde(flatten)]
    pub counts: Snapshot,
}

/// Leads the parts of a run: what each says, and where it listens. Ends with the run, or soon after
/// `shutdown`.
pub async fn lead<R, W>(
    parts: Vec<(Job, R, W)>,
    standing: watch::Sender<Standing>,
    shutdown: CancellationToken,
) -> Result<Outcome, CrewError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send,
{
    let count = parts.len();
    let (told, mut words) = mpsc::channel(WORDS);
    let mut listeners = JoinSet::new();
    let mut orders = Vec::with_capacity(count);
    let mut chargers = 0;
    for (number, (job, said, mut order)) in (1..).zip(parts) {
        chargers += job.options.chargers;
        let failed = |error| CrewError::Pipe(number, error);
        let line = to_line(&job).map_err(failed)?;
        order.write_all(&line).await.map_err(failed)?;
        order.flush().await.map_err(failed)?;
        orders.push(order);
        listeners.spawn(listen(number, BufReader::new(said), told.clone()));
    }
    drop(told);
    let mut crew = Crew::new(count, chargers);
    while crew.tallies.len() < count {
        let word = tokio::select! {
            word = words.recv() => word,
            // Their input ends, and with it their work.
            () = shutdown.cancelled(), if !orders.is_empty() => {
                orders.clear();
                continue;
            }
        };
        let Some((number, word)) = word else {
            return Err(CrewError::Ended(count));
        };
        if crew.hear(number, word?, Instant::now())? {
            for (number, order) in (1..).zip(&mut orders) {
                let line = format!("{BEGIN}\n");
                let told = order.write_all(line.as_bytes()).await;
                let told = match told {
                    Ok(()) => order.flush().await,
                    Err(error) => Err(error),
                };
                told.map_err(|error| CrewError::Pipe(number, error))?;
            }
            crew.gaps.begin(Instant::now());
        }
        standing.send_replace(crew.standing());
    }
    Ok(Outcome {
        report: Tally::sum(&crew.tallies).report(crew.gaps.longest),
        recorded: crew.recorded,
    })
}

/// What is known of the parts.
struct Crew {
    counts: Vec<Snapshot>,
    /// Parts that are still connecting.
    waiting: usize,
    tallies: Vec<Tally>,
    recorded: u64,
    gaps: Gaps,
}

impl Crew {
    fn new(parts: usize, chargers: usize) -> Self {
        Self {
            counts: vec![Snapshot::default(); parts],
            waiting: parts,
            tallies: Vec::with_capacity(parts),
            recorded: 0,
            gaps: Gaps::new(chargers),
        }
    }

    /// Takes in what a part says; true when with it all are ready to begin.
    fn hear(&mut self, number: usize, word: Word, now: Instant) -> Result<bool, CrewError> {
        match word {
            Word::Progress(counts) => {
                self.counts[number - 1] = counts;
                let all = self.standing().counts;
                // When the first leaves, the others soon will.
                if all.leaving {
                    self.gaps.end(now);
                }
                self.gaps.note(all.booted, now);
            }
            Word::Gathered => {
                self.waiting = self.waiting.saturating_sub(1);
                return Ok(self.waiting == 0);
            }
            Word::Done(tally, recorded) => {
                self.gaps.end(now);
                self.tallies.push(*tally);
                self.recorded += recorded;
            }
            Word::Failed(why) => return Err(CrewError::Failed(number, why)),
        }
        Ok(false)
    }

    fn standing(&self) -> Standing {
        let mut counts = Snapshot::default();
        self.counts.iter().for_each(|part| counts.add(part));
        Standing {
            working: self.waiting == 0,
            counts,
        }
    }
}

async fn listen(
    number: usize,
    said: impl AsyncBufRead + Unpin,
    told: mpsc::Sender<(usize, Result<Word, CrewError>)>,
) {
    let mut lines = said.lines();
    loop {
        let word = match lines.next_line().await {
            Ok(Some(line)) => serde_json::from_str(&line)
                .map_err(|error| CrewError::Strange(number, error.to_string())),
            Ok(None) => Err(CrewError::Ended(number)),
            Err(error) => Err(CrewError::Pipe(number, error)),
        };
        let last = matches!(word, Err(_) | Ok(Word::Done(..) | Word::Failed(_)));
        // Nobody leads any more: then nobody needs to hear it.
        if told.send((number, word)).await.is_err() || last {
            return;
        }
    }
}

/// One part of a run: reads its job and its orders, and says how it goes.
pub async fn work(
    orders: impl AsyncRead + Unpin + Send + 'static,
    mut said: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut orders = BufReader::new(orders).lines();
    let Some(job) = orders.next_line().await? else {
        return Ok(());
    };
    let job: Job = serde_json::from_str(&job)?;
    let (journal, writing) = match job.record.as_deref().map(Journal::create).transpose() {
        Ok(created) => created.unzip(),
        Err(error) => {
            let path = job.record.unwrap_or_default();
            let why = format!("cannot write {}: {error}", path.display());
            return say(&mut said, &Word::Failed(why)).await;
        }
    };
    let shutdown = CancellationToken::new();
    let (begin, told_to_begin) = oneshot::channel();
    let (gather, mut gathered) = oneshot::channel();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        if matches!(orders.next_line().await, Ok(Some(line)) if line == BEGIN) {
            let _ = begin.send(());
            while matches!(orders.next_line().await, Ok(Some(_))) {}
        }
        stop.cancel();
    });
    let gate = Gate {
        gathered: gather,
        begin: told_to_begin,
    };
    let stats = Arc::new(Stats::default());
    let running = run_part(job.options, stats.clone(), journal, Some(gate), shutdown);
    tokio::pin!(running);
    let mut ticks = tokio::time::interval(PROGRESS);
    let mut gathering = true;
    let tally = loop {
        tokio::select! {
            tally = &mut running => break tally,
            ready = &mut gathered, if gathering => {
                gathering = false;
                if ready.is_ok() {
                    say(&mut said, &Word::Progress(stats.snapshot())).await?;
                    say(&mut said, &Word::Gathered).await?;
                }
            }
            _ = ticks.tick() => say(&mut said, &Word::Progress(stats.snapshot())).await?,
        }
    };
    let recorded = match writing {
        None => Ok(0),
        Some(writing) => writing.await.map_err(io::Error::other).flatten(),
    };
    let word = match recorded {
        Ok(lines) => Word::Done(Box::new(tally), lines),
        Err(error) => Word::Failed(format!("the record was not finished: {error}")),
    };
    say(&mut said, &word).await
}

async fn say(said: &mut (impl AsyncWrite + Unpin), word: &Word) -> io::Result<()> {
    said.write_all(&to_line(word)?).await?;
    said.flush().await
}

fn to_line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Watches for times in which not everybody has a line, once the work has begun.
struct Gaps {
    chargers: usize,
    begun: Option<Instant>,
    /// Since when, and how many were missing at most.
    open: Option<(Instant, usize)>,
    longest: Option<Gap>,
}

impl Gaps {
    fn new(chargers: usize) -> Self {
        Self {
            chargers,
            begun: None,
            open: None,
            longest: None,
        }
    }

    fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    fn note(&mut self, present: usize, now: Instant) {
        let missing = self.chargers.saturating_sub(present);
        if self.begun.is_none() {
            return;
        }
        if missing > 0 {
            let (_, most) = self.open.get_or_insert((now, 0));
            *most = missing.max(*most);
        } else {
            self.close(now, true);
        }
    }

    /// Everybody leaves now; that is no gap.
    fn end(&mut self, now: Instant) {
        self.close(now, false);
        self.begun = None;
    }

    fn close(&mut self, now: Instant, ended: bool) {
        let (Some(begun), Some((since, missing))) = (self.begun, self.open.take()) else {
            return;
        };
        let gap = Gap {
            after_seconds: (since - begun).as_secs_f64(),
            seconds: (now - since).as_secs_f64(),
            missing,
            ended,
        };
        // One that never ended is worse than any that did.
        let worse = |longest: &Gap| (!gap.ended, gap.seconds) > (!longest.ended, longest.seconds);
        if self.longest.as_ref().is_none_or(worse) {
            self.longest = Some(gap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_disjoint_and_rates_are_shared() {
        let options = Options {
            first: 5,
            chargers: 10,
            rate: Some(100.0),
            connects: Some(10.0),
            ..Options::default()
        };
        let jobs = Job::divide(&options, Some(Path::new("record")), 3);
        let parts: Vec<(u64, usize)> = jobs
            .iter()
            .map(|job| (job.options.first, job.options.chargers))
            .collect();
        assert_eq!(parts, [(5, 4), (9, 3), (12, 3)]);
        let rates: f64 = jobs.iter().filter_map(|job| job.options.rate).sum();
        assert!((rates - 100.0).abs() < 1e-9, "{rates}");
        assert_eq!(jobs[2].record.as_deref(), Some(Path::new("record.3")));
        let alone = Job::divide(&options, Some(Path::new("record")), 1);
        assert_eq!(alone[0].record.as_deref(), Some(Path::new("record")));
        assert_eq!(Job::divide(&options, None, 50).len(), 10);
    }

    #[test]
    fn that_all_leave_in_the_end_is_no_gap() {
        let start = Instant::now();
        let mut crew = Crew::new(2, 10);
        crew.gaps.begin(start);
        let mut hear = |part, second, booted, leaving| {
            let counts = Snapshot {
                booted,
                leaving,
                ..Snapshot::default()
            };
            let now = start + Duration::from_secs(second);
            crew.hear(part, Word::Progress(counts), now).unwrap();
            crew.gaps.longest
        };
        hear(1, 0, 5, false);
        hear(2, 1, 5, false);
        hear(2, 2, 3, false);
        let gap = hear(2, 4, 5, false);
        assert!(
            gap.is_some_and(|gap| gap.ended && gap.missing == 2),
            "{gap:?}"
        );
        hear(1, 5, 1, true);
        hear(2, 6, 4, false);
        assert_eq!(hear(2, 9, 0, true), gap);
    }

    #[test]
    fn the_longest_gap_is_found_and_one_that_never_ends_is_worse() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut gaps = Gaps::new(10);
        gaps.note(3, at(0)); // they are still coming
        gaps.begin(at(1));
        for (second, present) in [(2, 10), (3, 6), (4, 8), (6, 10), (7, 9), (8, 10), (9, 10)] {
            gaps.note(present, at(second));
        }
        let gap = gaps.longest.unwrap();
        let expect = Gap {
            after_seconds: 2.0,
            seconds: 3.0,
            missing: 4,
            ended: true,
        };
        assert_eq!(gap, expect);
        gaps.note(9, at(20));
        gaps.end(at(21));
        gaps.note(0, at(22)); // they have left
        let gap = gaps.longest.unwrap();
        assert_eq!((gap.missing, gap.ended), (1, false));
    }
}
