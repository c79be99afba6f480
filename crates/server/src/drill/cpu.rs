//! Processor time used up, so that all of the container comes to a share of its limit.
//!
//! Each thread burns a part of every few milliseconds and sleeps for the rest. How large a part is
//! steered ten times a second by what the kernel accounts to the whole container: what the service
//! itself uses is not used once more, so it always gets what it needs, and the threads have a low
//! priority besides. From [`PRESS_FROM`] on, every fifth step is burned without a pause: the
//! container then reaches its limit and is held up for a moment, which is what the alert looks for,
//! and the steps between make up for it.
//!
//! Without a limit the figure is a share of one core, used by this process: a group without a limit
//! may be the whole machine, with everything else on it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::{Over, thread};
use crate::cgroup::Cgroup;

/// How long a thread burns and sleeps before it looks up.
const SLOT: Duration = Duration::from_millis(10);
/// How often it is decided how much to burn: once in a period of the kernel's scheduler.
const STEP: Duration = Duration::from_millis(100);
/// From this share of a limit on, the limit is also reached now and then.
const PRESS_FROM: f64 = 0.9;
/// In one of so many steps. Alerts look for one period in ten.
const PRESS_EVERY: u64 = 5;
/// Steps that are made up for later at most, when others left too little to burn.
const MAX_OWED: f64 = 10.0;
/// Threads at most. More cores than this are not kept busy.
const MAX_THREADS: usize = 256;

/// Threads that burn, and one that steers them.
#[derive(Debug)]
pub(super) struct Burn {
    target_cores: f64,
    dial: Arc<Dial>,
}

/// What the one that steers tells the others.
#[derive(Debug)]
struct Dial {
    over: Arc<Over>,
    /// The share of each slot to burn.
    duty: AtomicU64,
    /// Cores used in the last steps.
    used: AtomicU64,
}

impl Burn {
    pub(super) fn start(
        share: f64,
        over: &Arc<Over>,
        threads: &mut Vec<JoinHandle<()>>,
    ) -> io::Result<Self> {
        let plan = Plan::new(share, Cgroup::own(), cores());
        let dial = Arc::new(Dial {
            over: Arc::clone(over),
            duty: AtomicU64::new(0),
            used: AtomicU64::new(0),
        });
        let target_cores = plan.target;
        for _ in 0..plan.threads {
            let dial = Arc::clone(&dial);
            threads.push(thread("drill-cpu", move || dial.burn())?);
        }
        let steered = Arc::clone(&dial);
        threads.push(thread("drill-steer", move || steered.steer(&plan))?);
        Ok(Self { target_cores, dial })
    }

    /// Cores aimed at, and used of late.
    pub(super) fn measured(&self) -> (f64, f64) {
        (self.target_cores, Dial::get(&self.dial.used))
    }
}

/// What to aim at, and by whose account.
#[derive(Debug)]
struct Plan {
    /// Cores to be kept busy.
    target: f64,
    threads: usize,
    /// Whether the limit is to be reached now and then.
    press: bool,
    meter: Meter,
}

/// Who says how much was used.
#[derive(Debug)]
enum Meter {
    /// The kernel, of the container under its limit.
    Container(Box<Cgroup>),
    /// The kernel, of this process.
    Process,
}

impl Plan {
    fn new(share: f64, cgroup: Cgroup, cores: usize) -> Self {
        let reading = cgroup.read();
        let cores = cores.clamp(1, MAX_THREADS);
        let Some(limit) = reading.cpu_limit_cores else {
            return Self {
                target: share,
                threads: 1,
                press: false,
                meter: Meter::Process,
            };
        };
        // One more than the limit has whole cores: fewer could not reach it.
        let threads = (1..cores).find(|threads| as_cores(*threads) > limit);
        let threads = threads.unwrap_or(cores);
        Self {
            target: share * limit.min(as_cores(cores)),
            threads,
            press: share >= PRESS_FROM,
            meter: match reading.cpu_usage {
                Some(_) => Meter::Container(Box::new(cgroup)),
                None => Meter::Process,
            },
        }
    }
}

/// What was used so far, held against what was aimed at.
#[derive(Debug)]
struct Balance {
    /// Steps of a core by which it fell short; below 0, by which it was exceeded.
    owed: f64,
    step: u64,
    /// Cores used of late.
    mean: f64,
}

impl Balance {
    /// The first step only looks at what the service uses.
    fn new(plan: &Plan) -> Self {
        Self {
            owed: -plan.target,
            step: 0,
            mean: 0.0,
        }
    }

    /// The share of the next step that each thread is to burn.
    fn duty(&self, plan: &Plan) -> f64 {
        if plan.press && self.step % PRESS_EVERY == PRESS_EVERY - 1 {
            return 1.0;
        }
        ((plan.target + self.owed) / as_cores(plan.threads)).clamp(0.0, 1.0)
    }

    /// Time for so many steps has passed, and so many steps of a core were used.
    fn passed(&mut self, plan: &Plan, steps: f64, used: f64) {
        let most = plan.target * MAX_OWED;
        self.owed = (self.owed + plan.target * steps - used).clamp(-most, most);
        self.step += 1;
        let now = used / steps.max(f64::EPSILON);
        // Averaged over about ten steps, for people to read.
        self.mean = if self.step == 1 {
            now
        } else {
            self.mean + (now - self.mean) / 10.0
        };
    }
}

impl Meter {
    fn used(&self) -> Option<Duration> {
        match self {
            Self::Container(cgroup) => cgroup.cpu_usage(),
            Self::Process => Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok(),
        }
    }
}

impl Dial {
    fn burn(&self) {
        while !self.over.is() {
            let begun = Instant::now();
            let busy = SLOT.mul_f64(Self::get(&self.duty).min(1.0));
            while begun.elapsed() < busy {
                std::hint::spin_loop();
            }
            let rest = SLOT.saturating_sub(begun.elapsed());
            if !rest.is_zero() {
                self.over.sleep(rest);
            }
        }
    }

    fn steer(&self, plan: &Plan) {
        let mut balance = Balance::new(plan);
        let mut last = (Instant::now(), plan.meter.used());
        while !self.over.is() {
            Self::set(&self.duty, balance.duty(plan));
            self.over.sleep(STEP);
            let now = (Instant::now(), plan.meter.used());
            // What cannot be read for a moment is burned as it was.
            if let (Some(before), Some(after)) = (last.1, now.1) {
                let steps = now.0.duration_since(last.0).as_secs_f64() / STEP.as_secs_f64();
                let used = after.saturating_sub(before).as_secs_f64() / STEP.as_secs_f64();
                balance.passed(plan, steps, used);
                Self::set(&self.used, balance.mean);
            }
            last = now;
        }
    }

    fn get(share: &AtomicU64) -> f64 {
        f64::from_bits(share.load(Ordering::Relaxed))
    }

    fn set(share: &AtomicU64, value: f64) {
        share.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// Cores this process may run on, whatever its limit.
fn cores() -> usize {
    let allowed = rustix::thread::sched_getaffinity(None).map(|set| set.count() as usize);
    allowed.unwrap_or(1)
}

#[expect(clippy::cast_precision_loss, reason = "there are at most 256")]
fn as_cores(threads: usize) -> f64 {
    threads as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(share: f64, limit: f64, threads: usize) -> Plan {
        Plan {
            target: share * limit,
            threads,
            press: share >= PRESS_FROM,
            meter: Meter::Process,
        }
    }

    /// Lets a container of this limit live through so many steps, in which its service wants so
    /// much of a core. Tells the mean use, and in how many steps somebody had to wait.
    fn lived(plan: &Plan, limit: f64, steps: u32, service: impl Fn(u32) -> f64) -> (f64, u32) {
        let mut balance = Balance::new(plan);
        let (mut sum, mut waited) = (0.0, 0);
        for step in 0..steps {
            let asked = service(step) + balance.duty(plan) * as_cores(plan.threads);
            let used = asked.min(limit);
            waited += u32::from(asked > limit);
            sum += used;
            balance.passed(plan, 1.0, used);
        }
        (sum / f64::from(steps), waited)
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 0.02 * expected,
            "{found}, not {expected}"
        );
    }

    #[test]
    fn with_the_service_it_comes_to_the_share_of_the_limit() {
        for (limit, threads) in [(0.2, 1), (0.5, 1), (1.0, 2), (3.5, 4)] {
            for service in [0.0, 0.1, 0.5] {
                let plan = plan(0.7, limit, threads);
                let (mean, waited) = lived(&plan, limit, 300, |_| service * limit);
                near(mean, 0.7 * limit);
                assert_eq!(waited, 0, "{limit} {service}");
                // One that comes and goes.
                let (mean, _) = lived(&plan, limit, 300, |step| {
                    if step % 20 < 10 { service * limit } else { 0.0 }
                });
                near(mean, 0.7 * limit);
            }
        }
    }

    #[test]
    fn just_below_the_limit_it_is_reached_now_and_then() {
        for (limit, threads) in [(0.2, 1), (0.5, 1), (1.0, 2), (3.5, 4)] {
            let (mean, waited) = lived(&plan(0.95, limit, threads), limit, 300, |_| 0.02);
            near(mean, 0.95 * limit);
            assert!((45..150).contains(&waited), "{limit} {waited}");
        }
    }

    #[test]
    fn a_busy_service_leaves_it_nothing_and_what_it_missed_is_soon_forgotten() {
        let plan = plan(0.5, 1.0, 2);
        let mut balance = Balance::new(&plan);
        for _ in 0..1_000 {
            balance.passed(&plan, 1.0, 0.9);
        }
        near(balance.duty(&plan) + 1.0, 1.0);
        for _ in 0..1_000 {
            balance.passed(&plan, 1.0, 0.0);
        }
        // A second's worth.
        near(balance.owed, 5.0);
    }

    #[test]
    fn threads_are_enough_to_reach_the_limit_and_no_more() {
        let threads = |limit: &str, cores| {
            let root = tempfile::TempDir::new().expect("a directory");
            for (file, text) in [
                ("proc/self/cgroup", "0::/"),
                (
                    "proc/self/mountinfo",
                    "1 0 0:1 / /cg rw - cgroup2 cgroup2 rw",
                ),
                ("cg/cpu.max", limit),
                ("cg/cpu.stat", "usage_usec 1"),
            ] {
                let file = root.path().join(file);
                std::fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
                std::fs::write(file, text).expect("a file");
            }
            let plan = Plan::new(0.5, Cgroup::below(root.path()), cores);
            (plan.threads, plan.target)
        };
        assert_eq!(threads("20000 100000", 4), (1, 0.1));
        assert_eq!(threads("100000 100000", 4), (2, 0.5));
        assert_eq!(threads("250000 100000", 4), (3, 1.25));
        // A limit above what the machine has.
        assert_eq!(threads("800000 100000", 2), (2, 1.0));
        // None: half of one core.
        assert_eq!(threads("max 100000", 4), (1, 0.5));
    }
}
