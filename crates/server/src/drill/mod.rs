//! Load on purpose: bounded, one drill at a time, and with the service still answering.
//!
//! [`Load`] is the load itself: processor time ([`cpu`]) and memory ([`memory`]), each on threads of
//! its own that the service never waits for, and requests that are slowed or refused
//! ([`requests`]). Every part knows when it is over and ends by itself, whatever becomes of the one
//! that started it. [`Drills`] is what a server knows of its drills: at most one that runs, and the
//! latest that have ended. What happens around a drill (who may, what is written down) is in
//! `app/drills.rs`; `enchufe drill` uses [`Load`] alone.

mod cpu;
mod memory;
mod requests;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use domain::{DrillEnd, DrillId, DrillLoad};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::cpu::Burn;
use self::memory::Hoard;
use self::requests::Trouble;

pub use self::requests::Disturbance;

/// How long threads are waited for that were told to end. They look up every few milliseconds;
/// in a container that is held up at its limit, every tenth of a second.
const GRACE: Duration = Duration::from_secs(2);
/// Drills that are remembered after their end.
const MAX_RECENT: usize = 20;

/// When a load is over: at its time, or when somebody says so.
#[derive(Debug)]
struct Over {
    asked: CancellationToken,
    deadline: Instant,
}

impl Over {
    fn is(&self) -> bool {
        self.asked.is_cancelled() || Instant::now() >= self.deadline
    }

    /// Sleeps, but not beyond the end of the load.
    fn sleep(&self, time: Duration) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        std::thread::sleep(time.min(left));
    }
}

/// The load of a drill. Over when its time is, when it is stopped, and when it is dropped.
#[derive(Debug)]
pub struct Load {
    over: Arc<Over>,
    cpu: Option<Burn>,
    memory: Option<Hoard>,
    trouble: Arc<Trouble>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a drill aims at and has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Cores that it aims to keep busy, with what else the container does.
    pub cpu_target_cores: f64,
    /// Cores that were busy of late.
    pub cpu_used_cores: f64,
    /// Bytes that it aims at: of the container's working set where there is a limit, else of its
    /// own.
    pub memory_target_bytes: u64,
    /// Bytes that it holds itself.
    pub memory_held_bytes: u64,
    /// Requests that it kept waiting.
    pub requests_delayed: u64,
    /// Requests that it answered with an error.
    pub requests_failed: u64,
}

impl Load {
    /// Begins. Fails when the system gives no threads.
    pub fn start(load: &DrillLoad) -> io::Result<Self> {
        let over = Arc::new(Over {
            asked: CancellationToken::new(),
            deadline: Instant::now() + Duration::from_secs(load.duration_seconds),
        });
        let mut started = Self {
            trouble: Arc::new(Trouble::new(load, Arc::clone(&over))),
            over,
            cpu: None,
            memory: None,
            threads: Mutex::default(),
        };
        // Should one part fail, `started` is dropped, and with it what has begun.
        let mut threads = Vec::new();
        if load.cpu > 0.0 {
            started.cpu = Some(Burn::start(load.cpu, &started.over, &mut threads)?);
        }
        if load.memory > 0.0 {
            started.memory = Some(Hoard::start(load.memory, &started.over, &mut threads)?);
        }
        started.threads = Mutex::new(threads);
        Ok(started)
    }

    /// What it has come to.
    pub fn measured(&self) -> Measured {
        let mut measured = Measured::default();
        if let Some(cpu) = &self.cpu {
            (measured.cpu_target_cores, measured.cpu_used_cores) = cpu.measured();
        }
        if let Some(memory) = &self.memory {
            (measured.memory_target_bytes, measured.memory_held_bytes) = memory.measured();
        }
        (measured.requests_delayed, measured.requests_failed) = self.trouble.measured();
        measured
    }

    /// Whether its time is over, or it was stopped.
    pub fn is_over(&self) -> bool {
        self.over.is()
    }

    /// Tells it to end, and waits a little for its threads to do so. Tells whether they did: those
    /// that did not are only late, because each looks at the time by itself.
    pub async fn stop(&self) -> bool {
        self.over.asked.cancel();
        let told = Instant::now();
        loop {
            if locked(&self.threads).iter().all(JoinHandle::is_finished) {
                return true;
            }
            if told.elapsed() > GRACE {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.asked.cancel();
    }
}

/// Starts a thread of a load. Where it and the service want the same core, the service gets nine
/// tenths of it.
fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    /// Lower than usual, and not the lowest: against other containers the kernel weighs this one
    /// by what runs in it, and with hardly any weight it would not come to its limit.
    const NICE: i32 = 10;
    Builder::new().name(name.to_owned()).spawn(move || {
        // On Linux this is the calling thread's alone. Where it is refused, the load is a little
        // less polite.
        let _ = rustix::process::nice(NICE);
        work();
    })
}

/// A drill: what was asked for, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Drill {
    /// Its id.
    pub id: DrillId,
    /// The name of the node that is loaded.
    pub node: String,
    /// With what.
    pub load: DrillLoad,
    /// When it began.
    pub started_at: Timestamp,
    /// How and when it ended; `None` while it runs.
    pub ended: Option<(DrillEnd, Timestamp)>,
    /// What it has come to.
    pub measured: Measured,
}

impl Drill {
    /// When it is over if nobody ends it before.
    pub fn ends_at(&self) -> Timestamp {
        let duration = Duration::from_secs(self.load.duration_seconds);
        let ends_at = self.started_at.saturating_add(duration);
        ends_at.unwrap_or(Timestamp::MAX)
    }
}

/// What this server knows of its drills.
#[derive(Debug)]
pub struct Drills {
    /// One permit: whoever has it may start a drill, and keeps it until that has ended.
    place: Arc<Semaphore>,
    state: Mutex<State>,
    /// What every request looks at.
    trouble: ArcSwapOption<Trouble>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Arc<Running>>,
    /// Newest first.
    recent: VecDeque<Drill>,
}

/// A drill that runs.
#[derive(Debug)]
pub struct Running {
    drill: Drill,
    load: Load,
    /// How it is to end, once somebody has said so.
    how: OnceLock<DrillEnd>,
    asked: CancellationToken,
    /// What it had come to when it ended.
    last: OnceLock<Measured>,
    /// Cancelled when it has ended and that is written down.
    done: CancellationToken,
}

impl Default for Drills {
    fn default() -> Self {
        Self {
            place: Arc::new(Semaphore::new(1)),
            state: Mutex::default(),
            trouble: ArcSwapOption::empty(),
        }
    }
}

impl Drills {
    /// The one place there is, if it is free.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.place).try_acquire_owned().ok()
    }

    /// Begins a drill. Its place must have been taken, and be kept until [`Drills::ended`].
    pub fn start(&self, drill: Drill) -> io::Result<Arc<Running>> {
        let load = Load::start(&drill.load)?;
        self.trouble
            .store(load.trouble.is_any().then(|| Arc::clone(&load.trouble)));
        let running = Arc::new(Running {
            drill,
            load,
            how: OnceLock::new(),
            asked: CancellationToken::new(),
            last: OnceLock::new(),
            done: CancellationToken::new(),
        });
        locked(&self.state).running = Some(Arc::clone(&running));
        Ok(running)
    }

    /// Puts a drill whose load is over among those that have ended.
    pub fn ended(&self, running: &Running, how: DrillEnd, at: Timestamp) {
        self.trouble.store(None);
        let mut state = locked(&self.state);
        state.running = None;
        state.recent.push_front(Drill {
            ended: Some((how, at)),
            ..running.now()
        });
        state.recent.truncate(MAX_RECENT);
    }

    /// The drill that runs and those that ended of late, newest first.
    pub fn list(&self) -> Vec<Drill> {
        let state = locked(&self.state);
        let running = state.running.as_deref().map(Running::now);
        let recent = state.recent.iter().cloned();
        running.into_iter().chain(recent).collect()
    }

    /// The drill that runs.
    pub fn running(&self) -> Option<Arc<Running>> {
        locked(&self.state).running.clone()
    }

    /// What is to become of the next request, if a drill has to do with it.
    pub fn disturbance(&self) -> Option<Disturbance> {
        self.trouble.load().as_ref()?.next()
    }
}

impl Running {
    /// Which drill it is.
    pub fn id(&self) -> DrillId {
        self.drill.id
    }

    /// The drill as it is now.
    pub fn now(&self) -> Drill {
        Drill {
            measured: self
                .last
                .get()
                .copied()
                .unwrap_or_else(|| self.load.measured()),
            ..self.drill.clone()
        }
    }

    /// Ends it, and returns when it has ended and that is written down. Who comes first decides how.
    pub async fn end(&self, how: DrillEnd) {
        self.how.get_or_init(|| how);
        self.asked.cancel();
        self.done.cancelled().await;
    }

    /// Waits until its time is over or somebody ends it, and then for its load to be gone.
    pub async fn over(&self) -> DrillEnd {
        tokio::select! {
            () = self.asked.cancelled() => {}
            () = tokio::time::sleep_until(self.load.over.deadline.into()) => {}
        }
        let how = *self.how.get_or_init(|| DrillEnd::Completed);
        self.last.get_or_init(|| self.load.measured());
        if !self.load.stop().await {
            tracing::warn!(drill.id = %self.drill.id, "threads of a drill are late to end");
        }
        how
    }

    /// Says that its end is written down, to whoever waits for that.
    pub fn done(&self) {
        self.done.cancel();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
