//! The network at a glance: every station in a few words, kept up by following the events.
//!
//! Pages over thousands of stations, and every live stream, are answered from here and not from the
//! database. It is made when somebody first looks and let go when nobody has looked for a while, so
//! a server whose console is not used pays nothing for it.

mod state;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use domain::{Event, Session, Station, StationId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::app::{App, AppError, MAX_PAGE, SessionFilter, StationFilter};
use crate::bus::Follower;

pub use self::state::{Change, Row, State, Unbilled, folded};
use self::state::{MAX_NOTED, MAX_SESSIONS, MAX_STATIONS};

/// How often what changed is taken in: quicker than an eye, slower than a storm.
const TICK: Duration = Duration::from_millis(250);
/// How long it is kept up while nobody looks.
const UNUSED: Duration = Duration::from_mins(15);
/// How long to leave the database alone after it failed.
const REST: Duration = Duration::from_secs(1);
/// Events of before that are looked through for what changed lately.
const LOOKED_BACK: i64 = 500;
/// How long the sum of what runs is good.
const ADDED_UP: Duration = Duration::from_secs(2);

/// Sessions that run, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// How many there are.
    pub sessions: usize,
    /// Watt-hours they have delivered so far.
    pub energy: i64,
    /// Watts they draw, as last metered.
    pub power: i64,
}

/// The network at a glance, and how to hear that it changed.
#[derive(Debug)]
pub struct Board {
    state: RwLock<State>,
    /// What runs, and when that was last added up.
    running: Mutex<Option<(Instant, Running)>>,
    told: watch::Sender<i64>,
    /// When somebody last looked, in seconds since 1970.
    looked: AtomicI64,
    ended: AtomicBool,
}

impl Board {
    /// Reads the network, and begins to follow it.
    pub async fn begin(app: &App) -> Result<Arc<Self>, AppError> {
        // Followed from before it is read, so that nothing falls between the two.
        let follower = app.follow(None, None).await?;
        let mut state = State::after(follower.seen());
        read_stations(app, &mut state).await?;
        look_back(app, &mut state).await?;
        let (told, _) = watch::channel(state.seq);
        let board = Arc::new(Self {
            state: RwLock::new(state),
            running: Mutex::default(),
            told,
            looked: AtomicI64::new(app.clock.now().as_second()),
            ended: AtomicBool::new(false),
        });
        tokio::spawn(keep_up(app.clone(), board.clone(), follower));
        Ok(board)
    }

    /// What is known now. Not to be held across an await.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs now, or did a moment ago: it is added up for all who look at once.
    pub async fn running(&self, app: &App) -> Result<Running, AppError> {
        let mut kept = self.running.lock().await;
        if let Some((at, running)) = *kept
            && at.elapsed() < ADDED_UP
        {
            return Ok(running);
        }
        let running = add_up(app).await?;
        *kept = Some((Instant::now(), running));
        Ok(running)
    }

    /// Hears that something changed: the last event that is taken in.
    pub fn hear(&self) -> watch::Receiver<i64> {
        self.told.subscribe()
    }

    /// Somebody looks.
    pub fn look(&self, now: Timestamp) {
        self.looked.store(now.as_second(), Ordering::Relaxed);
    }

    /// Whether it is kept up no longer.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn is_unused(&self, now: Timestamp) -> bool {
        let unused = now.as_second() - self.looked.load(Ordering::Relaxed);
        self.told.receiver_count() == 0 && unused > UNUSED.as_secs().cast_signed()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

async fn add_up(app: &App) -> Result<Running, AppError> {
    let mut running = Running::default();
    let mut filter = SessionFilter {
        active: Some(true),
        ..SessionFilter::default()
    };
    while running.sessions < MAX_SESSIONS {
        let page = app.sessions(&filter, MAX_PAGE).await?;
        let Some(last) = page.last() else { break };
        filter.before = Some(last.id);
        running.sessions += page.len();
        for session in &page {
            let energy = session.energy().map_or(0, |energy| energy.0.max(0));
            let power = session.last_reading.and_then(|reading| reading.power);
            running.energy = running.energy.saturating_add(energy);
            let power = power.map_or(0, |power| power.0.max(0));
            running.power = running.power.saturating_add(power);
        }
        if page.len() < MAX_PAGE as usize {
            break;
        }
    }
    Ok(running)
}

async fn read_stations(app: &App, state: &mut State) -> Result<(), AppError> {
    let mut filter = StationFilter::default();
    while state.rows.len() < MAX_STATIONS {
        let page = app.stations(&filter, MAX_PAGE).await?;
        let Some(last) = page.last() else { break };
        filter.after = Some(last.id.clone());
        let full = page.len() == MAX_PAGE as usize;
        for station in &page {
            let since = state.since;
            state.put(station, since);
        }
        if !full {
            break;
        }
    }
    Ok(())
}

/// Reads what happened before: the last events, and the sessions of the day.
async fn look_back(app: &App, state: &mut State) -> Result<(), AppError> {
    let now = app.clock.now();
    state.begin_day(now);
    for event in app.latest_events(state.seq, LOOKED_BACK).await? {
        state.note(&event);
    }
    let mut filter = SessionFilter {
        active: Some(false),
        ..SessionFilter::default()
    };
    while state.delivered.len() < MAX_SESSIONS {
        let page = app.sessions(&filter, MAX_PAGE).await?;
        let Some(last) = page.last() else { break };
        filter.before = Some(last.id);
        // Listed by when they began: one that began long before the day ended before it too.
        let older = now.as_second() - last.recorded_at.as_second() > 48 * 3600;
        let full = page.len() == MAX_PAGE as usize;
        for session in &page {
            take_session(state, session);
        }
        if older || !full {
            break;
        }
    }
    Ok(())
}

fn take_session(state: &mut State, session: &Session) {
    let day = |at: Timestamp| Some(at.to_zoned(TimeZone::UTC).date());
    let ended_today = session.ended_at.is_some_and(|at| day(at) == state.today);
    if let Some(energy) = session.energy().filter(|_| ended_today) {
        state.deliver(session.id, energy, &session.problems);
    }
    let known = state.unbilled.iter().any(|it| it.id == session.id);
    if let Some(problem) = session.problems.first()
        && !known
        && state.unbilled.len() < MAX_NOTED
    {
        state.unbilled.push_back(Unbilled {
            id: session.id,
            station_id: Some(session.station_id.clone()),
            problem: *problem,
            at: session.ended_at.unwrap_or(session.recorded_at),
        });
    }
}

/// Takes in what happens, a few times a second, until nobody looks or the server stops.
async fn keep_up(app: App, board: Arc<Board>, mut follower: Follower) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seq, mut stations, mut events) = (board.state().seq, HashSet::new(), Vec::new());
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => break,
            event = follower.next() => match event {
                Ok(Some(event)) => {
                    seq = event.seq;
                    stations.extend(event.event.station_id.clone());
                    events.push(event);
                }
                Ok(None) => break,
                Err(error) => {
                    // It goes on from where it was when the database is back.
                    tracing::debug!(%error, "the console waits for the database");
                    sleep(REST).await;
                }
            },
            _ = tick.tick() => {
                if board.is_unused(app.clock.now()) {
                    break;
                }
                if events.is_empty() {
                    continue;
                }
                match read_changed(&app, &stations).await {
                    Ok(read) => {
                        board.change(|state| take_in(state, seq, &read, &events));
                        stations.clear();
                        events.clear();
                        board.told.send_replace(seq);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the console waits for the database");
                        sleep(REST).await;
                    }
                }
            }
        }
    }
    board.ended.store(true, Ordering::Relaxed);
}

/// Each station as it is now. Later events may be in it already; they are taken in again.
async fn read_changed(
    app: &App,
    ids: &HashSet<StationId>,
) -> Result<Vec<(StationId, Option<Arc<Station>>)>, AppError> {
    let mut read = Vec::with_capacity(ids.len());
    for id in ids {
        read.push((id.clone(), app.station(id).await?));
    }
    Ok(read)
}

fn take_in(
    state: &mut State,
    seq: i64,
    read: &[(StationId, Option<Arc<Station>>)],
    events: &[Event],
) {
    for (id, station) in read {
        match station {
            Some(station) => state.put(station, seq),
            None => state.drop_station(id, seq),
        }
    }
    for event in events {
        state.note(event);
    }
    state.seq = seq;
}
