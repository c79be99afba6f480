//! The one that writes: many commits, one transaction.
//!
//! Callers put their commits into a bounded queue and wait. The writer takes what is there, writes
//! all of it in one transaction, and only then tells each caller. While it is at the disk the next
//! batch gathers, so the load itself sets the size of the batches.
//!
//! One failing commit never fails its neighbours: a guard that does not hold is answered and the
//! rest tried again; a batch with a statement the database refuses is halved until the guilty
//! commit is alone. A database that is away is waited for, by each caller for as long as it likes:
//! what nobody waits for any more is not written. When the database goes away over a commit, it is
//! asked afterwards what became of that, so that nothing is written twice.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use domain::Event;
use tokio::runtime;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::apply::{Applied, Places, number};
use crate::claim::Waiter;
use crate::commit::{Key, Prepared};
use crate::db::Value;
use crate::link::Link;
use crate::{Patience, StoreError};

/// Commits waiting for the writer. At the rate a disk syncs this is some tenths of a second.
pub const MAX_QUEUE: usize = 4096;
/// Commits in one transaction: more would make the first wait for the last.
pub const MAX_BATCH: usize = 512;
/// How long a commit waits for a place in the queue before its caller is told to slow down.
const QUEUE_PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a database that is away is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The place of the last event of the transaction it was part of; 0 when that had none.
    pub seq: i64,
}

/// Somebody who wants to know the size and duration of each transaction, and the events that this
/// process committed with it.
#[derive(Clone, Default)]
pub struct CommitObserver(Option<Arc<Observe>>);

type Observe = dyn Fn(usize, Duration, &[Event]) + Send + Sync;

impl CommitObserver {
    /// Calls `observe` after each transaction.
    pub fn new(observe: impl Fn(usize, Duration, &[Event]) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }
}

impl fmt::Debug for CommitObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitObserver")
    }
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Job>,
}

/// The way to a writer that ends when nobody else has one.
pub(crate) struct WeakWriter {
    queue: mpsc::WeakSender<Job>,
}

impl WeakWriter {
    /// Whether it still takes anything on.
    pub(crate) fn is_there(&self) -> bool {
        self.queue.upgrade().is_some_and(|queue| !queue.is_closed())
    }

    /// Runs one statement by itself.
    pub(crate) async fn run(&self, sql: &'static str) -> Result<(), StoreError> {
        let queue = self.queue.upgrade().ok_or(StoreError::Unavailable)?;
        let patience = Patience::default().commit;
        let writer = Writer { queue };
        writer.run(sql, Vec::new(), patience).await.map(drop)
    }
}

enum Job {
    Commit(Waiting),
    /// One statement by itself, and the number it returns.
    Run {
        sql: &'static str,
        values: Vec<Value>,
        told: Told<Option<i64>>,
    },
    Close {
        told: oneshot::Sender<()>,
    },
}

type Told<T> = oneshot::Sender<Result<T, StoreError>>;

/// A commit and whoever waits for it.
struct Waiting {
    commit: Box<Prepared>,
    told: Told<Committed>,
}

impl Writer {
    pub(crate) fn start(
        link: Link,
        committed: broadcast::Sender<Arc<Vec<Event>>>,
        observer: CommitObserver,
    ) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(MAX_QUEUE);
        let work = Work {
            link,
            jobs,
            committed,
            observer,
        };
        // A transaction is a dozen steps, and everybody waits for it. Among the tasks of a busy
        // server each step would first wait its turn; on a thread of its own none does.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || runtime.block_on(work.run()))?;
        Ok(Self { queue })
    }

    /// The same, for what must not keep it alive.
    pub(crate) fn downgrade(&self) -> WeakWriter {
        WeakWriter {
            queue: self.queue.downgrade(),
        }
    }

    pub(crate) async fn commit(
        &self,
        commit: Prepared,
        patience: Duration,
    ) -> Result<Committed, StoreError> {
        let waiter = Waiter(Arc::clone(&commit.claim));
        let commit = Box::new(commit);
        let asked = self.ask(|told| Job::Commit(Waiting { commit, told }));
        match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer,
            Err(_) if waiter.give_up() => Err(StoreError::InDoubt),
            Err(_) => Err(StoreError::Unavailable),
        }
    }

    /// Runs one statement by itself, and gives the number that it returns.
    pub(crate) async fn run(
        &self,
        sql: &'static str,
        values: Vec<Value>,
        patience: Duration,
    ) -> Result<Option<i64>, StoreError> {
        let asked = self.ask(|told| Job::Run { sql, values, told });
        let answer = tokio::time::timeout(patience, asked).await;
        answer.unwrap_or(Err(StoreError::Unavailable))
    }

    pub(crate) async fn close(&self) {
        let (told, ended) = oneshot::channel();
        if self.queue.send(Job::Close { told }).await.is_ok() {
            // The writer is gone either way.
            let _ = ended.await;
        }
    }

    pub(crate) fn queue_depth(&self) -> usize {
        MAX_QUEUE - self.queue.capacity()
    }

    async fn ask<T>(&self, job: impl FnOnce(Told<T>) -> Job) -> Result<T, StoreError> {
        let (told, answer) = oneshot::channel();
        match self.queue.try_send(job(told)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(StoreError::Unavailable),
            Err(mpsc::error::TrySendError::Full(job)) => {
                match tokio::time::timeout(QUEUE_PATIENCE, self.queue.send(job)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(StoreError::Unavailable),
                    Err(_) => return Err(StoreError::Overloaded),
                }
            }
        }
        answer.await.unwrap_or(Err(StoreError::Unavailable))
    }
}

/// The writer's work.
struct Work {
    link: Link,
    jobs: mpsc::Receiver<Job>,
    committed: broadcast::Sender<Arc<Vec<Event>>>,
    observer: CommitObserver,
}

impl Work {
    async fn run(mut self) {
        let mut received = Vec::with_capacity(MAX_BATCH);
        // Commits on a record that another one of the batch writes: next time.
        let mut deferred: Vec<Waiting> = Vec::new();
        loop {
            if deferred.is_empty() {
                if self.jobs.recv_many(&mut received, MAX_BATCH).await == 0 {
                    return;
                }
            } else {
                while received.len() + deferred.len() < MAX_BATCH
                    && let Ok(job) = self.jobs.try_recv()
                {
                    received.push(job);
                }
            }
            let mut batch = Gathering::default();
            for waiting in std::mem::take(&mut deferred) {
                batch.join(waiting);
            }
            let mut closing = None;
            for job in received.drain(..) {
                match job {
                    Job::Commit(waiting) => batch.join(waiting),
                    Job::Run { sql, values, told } => self.run_alone(sql, &values, told).await,
                    Job::Close { told } => closing = Some(told),
                }
            }
            self.write(batch.batch).await;
            deferred = batch.deferred;
            if let Some(told) = closing {
                for waiting in deferred {
                    self.write(vec![waiting]).await;
                }
                self.jobs.close();
                self.link.close().await;
                let _ = told.send(());
                return;
            }
        }
    }

    /// Writes a batch, and tells everybody in it what became of theirs.
    async fn write(&mut self, mut batch: Vec<Waiting>) {
        loop {
            self.leave_out_given_up(&mut batch);
            if batch.is_empty() {
                return;
            }
            let started = Instant::now();
            let commits: Vec<&Prepared> = batch.iter().map(|w| w.commit.as_ref()).collect();
            match self.link.transaction(&commits).await {
                Ok(Applied::All(places)) => {
                    return self.tell(batch, &places, started.elapsed());
                }
                Ok(Applied::Refused) => match self.link.find_refused(&commits).await {
                    Ok(refused) => batch = tell_refused(batch, &refused),
                    Err(StoreError::Unavailable) => tokio::time::sleep(RETRY_PAUSE).await,
                    Err(error) => batch = self.divide(batch, error).await,
                },
                Ok(Applied::GivenUp) => {}
                Err(StoreError::Unavailable) => tokio::time::sleep(RETRY_PAUSE).await,
                Err(error) => batch = self.divide(batch, error).await,
            }
        }
    }

    /// The database refuses something in a batch: writes one half, and leaves the other to be
    /// written. A commit that is alone is the guilty one.
    async fn divide(&mut self, mut batch: Vec<Waiting>, error: StoreError) -> Vec<Waiting> {
        if batch.len() > 1 {
            tracing::warn!(%error, commits = batch.len(), "batch refused, trying its halves");
            let half = batch.split_off(batch.len() / 2);
            Box::pin(self.write(batch)).await;
            return half;
        }
        if let Some(guilty) = batch.pop() {
            let _ = guilty.told.send(Err(error));
        }
        batch
    }

    /// Leaves out of a batch what nobody waits for any longer. A batch in doubt stays as it is,
    /// since it has one fate, for as long as somebody wants to know that.
    fn leave_out_given_up(&mut self, batch: &mut Vec<Waiting>) {
        if !self.link.is_in_doubt() {
            batch.retain(|waiting| waiting.commit.claim.release());
        } else if batch.iter().all(|w| w.commit.claim.is_given_up()) {
            self.link.forget_doubt();
            batch.clear();
        }
    }

    /// Tells the world, and everybody in a batch, that it is committed.
    fn tell(&self, mut batch: Vec<Waiting>, places: &Places, took: Duration) {
        let mut commits: Vec<&mut Prepared> = batch.iter_mut().map(|w| w.commit.as_mut()).collect();
        let events = number(&mut commits, places);
        if let Some(observe) = &self.observer.0 {
            observe(batch.len(), took, &events);
        }
        if !events.is_empty() {
            // Nobody listening is no fault.
            let _ = self.committed.send(Arc::new(events));
        }
        for waiting in batch {
            let _ = waiting.told.send(Ok(Committed { seq: places.last }));
        }
    }

    /// Runs a statement by itself, for as long as somebody waits for its number.
    async fn run_alone(&mut self, sql: &'static str, values: &[Value], told: Told<Option<i64>>) {
        while !told.is_closed() {
            match self.link.run(sql, values).await {
                Err(StoreError::Unavailable) => tokio::time::sleep(RETRY_PAUSE).await,
                result => {
                    let _ = told.send(result);
                    return;
                }
            }
        }
    }
}

/// A batch that comes together.
#[derive(Default)]
struct Gathering {
    guarded: HashSet<Key>,
    batch: Vec<Waiting>,
    deferred: Vec<Waiting>,
}

impl Gathering {
    /// Puts a commit into the batch, or off to the next when the batch already writes its record.
    fn join(&mut self, waiting: Waiting) {
        if waiting
            .commit
            .guards()
            .any(|guard| self.guarded.contains(guard))
        {
            self.deferred.push(waiting);
        } else {
            self.guarded.extend(waiting.commit.guards().cloned());
            self.batch.push(waiting);
        }
    }
}

/// Answers those whose guard did not hold, and gives back the others.
fn tell_refused(batch: Vec<Waiting>, refused: &HashSet<usize>) -> Vec<Waiting> {
    let mut rest = Vec::with_capacity(batch.len());
    for (number, waiting) in batch.into_iter().enumerate() {
        if refused.contains(&number) {
            let _ = waiting.told.send(Err(StoreError::Conflict));
        } else {
            rest.push(waiting);
        }
    }
    rest
}
