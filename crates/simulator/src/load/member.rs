//! One of many chargers under load.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ocpp::Message as _;
use ocpp::v16::{
    BootNotification, BootNotificationConf, ChargePointStatus, Heartbeat, RegistrationStatus,
    StatusNotification,
};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;

use super::line::Line;
use super::stats::Action;
use super::story::{Message, Story};
use super::{Phase, Profile, Shared, source};
use crate::link::SERVICE_RESTART;
use crate::{LinkError, Moment};

/// The first wait after a line was lost or could not be had; it doubles with each attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Between boots when the server does not say.
const BOOT_INTERVAL: Duration = Duration::from_secs(5);

/// Calls that would have been made longer ago than this are not made up for.
const MAX_LATE: Duration = Duration::from_secs(1);

/// How long a flaky line holds, in milliseconds.
const LINE_HOLDS: std::ops::Range<u64> = 3_000..15_000;

/// One charger.
pub(super) struct Member {
    id: String,
    source: Option<Ipv4Addr>,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    rng: SmallRng,
    story: Story,
    /// What was not acknowledged yet.
    pending: Option<Message>,
    /// The server that has refused or lost it last: another is tried first.
    left: Option<usize>,
    /// When its line was lost, until it has one again.
    lost_at: Option<Instant>,
    /// When the next message is to be sent, where there is a rate.
    slot: Option<Instant>,
}

/// Why a charger has left its line.
enum Left {
    /// The run is over.
    Over,
    /// The line was cut on purpose.
    Cut,
}

impl Member {
    pub(super) fn new(shared: Arc<Shared>, phase: watch::Receiver<Phase>, number: u64) -> Self {
        let options = &shared.options;
        Self {
            id: format!("{}{number}", options.prefix),
            rng: SmallRng::seed_from_u64(options.seed.wrapping_add(number)),
            story: Story::new(options.profile, &options.tag, number),
            source: source(number),
            pending: None,
            left: None,
            lost_at: None,
            slot: None,
            phase,
            shared,
        }
    }

    /// Lives until the run is over.
    pub(super) async fn live(mut self, first_dial: Duration) {
        let mut wait = first_dial;
        let mut attempts = 0;
        let mut storms = 0;
        while self.sleep(wait).await {
            let error = match self.dial().await {
                Ok(mut line) => match self.work(&mut line, &mut storms, &mut attempts).await {
                    Ok(Left::Over) => {
                        line.close().await;
                        break;
                    }
                    // Power has failed everywhere; it comes back everywhere too.
                    Ok(Left::Cut) => {
                        self.lost();
                        wait = Duration::ZERO;
                        continue;
                    }
                    Err(error) => {
                        self.lost();
                        self.left = Some(line.seat().server());
                        if matches!(
                            error,
                            LinkError::Closed {
                                code: Some(SERVICE_RESTART),
                                ..
                            }
                        ) {
                            line.seat().is_away(Instant::now());
                        }
                        error
                    }
                },
                Err(error) => error,
            };
            self.shared.stats.error(&error.to_string());
            wait = self.backoff(attempts, error.retry_after());
            attempts += 1;
        }
        self.give_up().await;
    }

    /// How long to wait before the next attempt. A server that says when to come back is heeded,
    /// and not by all in the same moment.
    fn backoff(&mut self, attempts: u32, asked: Option<Duration>) -> Duration {
        let longest = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempts));
        let jitter = self.rng.random_range(0.5..=1.0);
        asked.unwrap_or_default() + longest.min(LONGEST_WAIT).mul_f64(jitter)
    }

    fn lost(&mut self) {
        self.shared.stats.sent(Action::Return);
        self.lost_at = Some(Instant::now());
    }

    /// Waits without a line; false when the run is over.
    async fn sleep(&mut self, wait: Duration) -> bool {
        let over = self.phase.wait_for(|phase| *phase == Phase::Over);
        tokio::time::timeout(wait, over).await.is_err()
    }

    async fn dial(&mut self) -> Result<Line, LinkError> {
        let shared = self.shared.clone();
        // A closed semaphore cannot be: nobody closes it.
        let _permit = shared.dials.acquire().await;
        let begun = Instant::now();
        shared.stats.sent(Action::Connect);
        let seat = shared.servers.choose(self.left, begun, &mut self.rng);
        let password = shared.options.password.as_ref().map(String::as_bytes);
        let opening = shared
            .dialer
            .dial_from(seat.url(), &self.id, password, self.source);
        let opened = match opening.await {
            Ok(opened) => opened,
            Err(error) => {
                self.left = Some(seat.server());
                if matches!(error, LinkError::Socket(_) | LinkError::TimedOut) {
                    seat.is_away(Instant::now());
                }
                return Err(error);
            }
        };
        shared.stats.answered(Action::Connect, begun.elapsed());
        let mut line = Line::new(opened, seat, shared.stats.clone());
        if let Err(error) = self.boot(&mut line).await {
            self.left = Some(line.seat().server());
            return Err(error);
        }
        if let Some(lost_at) = self.lost_at.take() {
            shared.stats.answered(Action::Return, lost_at.elapsed());
        }
        self.left = None;
        Ok(line)
    }

    /// Boots until the server accepts the charger, and reports it idle.
    async fn boot(&mut self, line: &mut Line) -> Result<(), LinkError> {
        let boot = BootNotification {
            charge_point_vendor: Some("Enchufe".to_owned()),
            charge_point_model: Some("Load".to_owned()),
            firmware_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..BootNotification::default()
        };
        loop {
            let conf = line
                .call(Action::Boot, &boot, BootNotificationConf::parse)
                .await?;
            let conf = match conf {
                Ok(Ok(conf)) => conf.message,
                Ok(Err(error)) | Err(error) => return Err(LinkError::Boot(error.to_string())),
            };
            let interval = u64::try_from(conf.interval).unwrap_or(0);
            if conf.status == RegistrationStatus::Accepted {
                break;
            }
            let wait = if interval == 0 {
                BOOT_INTERVAL
            } else {
                Duration::from_secs(interval)
            };
            if let Ok(error) = tokio::time::timeout(wait, line.listen()).await {
                return Err(error);
            }
        }
        // Once: afterwards the story tells the state, and keeps its order.
        if self.pending.is_none() && !self.story.has_begun() {
            let idle = StatusNotification::new(1, ChargePointStatus::Available);
            // A refusal is counted; the charger goes on.
            let _ = line.call(Action::Status, &idle, |_| ()).await?;
        }
        line.booted();
        Ok(())
    }

    /// Does what its phase asks for, until the line is lost or the run is over.
    async fn work(
        &mut self,
        line: &mut Line,
        storms: &mut u32,
        attempts: &mut u32,
    ) -> Result<Left, LinkError> {
        let flaky = self.shared.options.profile == Profile::Flaky;
        let holds = Duration::from_millis(self.rng.random_range(LINE_HOLDS));
        let cut_at = flaky.then(|| Instant::now() + holds);
        *attempts = 0;
        loop {
            let phase = *self.phase.borrow_and_update();
            match phase {
                Phase::Over => return Ok(Left::Over),
                Phase::Storm(number) if *storms < number => {
                    *storms = number;
                    self.shared.cut.fetch_add(1, Relaxed);
                    return Ok(Left::Cut);
                }
                Phase::Work => {
                    if cut_at.is_some_and(|at| at <= Instant::now()) {
                        self.speak_into_the_void(line).await?;
                        return Ok(Left::Cut);
                    }
                    if self.until_slot(line).await? {
                        self.speak(line).await?;
                    }
                }
                Phase::Gather | Phase::Storm(_) => {
                    self.listen(line, None).await?;
                }
            }
        }
    }

    /// Waits until the next message is due; false when there is something else to see to first.
    async fn until_slot(&mut self, line: &mut Line) -> Result<bool, LinkError> {
        let now = Instant::now();
        let shared = &self.shared;
        if matches!(shared.options.profile, Profile::Idle | Profile::Storm) {
            self.listen(line, None).await?;
            return Ok(false);
        }
        let Some(interval) = shared.interval else {
            return Ok(true); // as fast as the answers come
        };
        let slot = match self.slot {
            // The first ones are spread over one interval.
            None => now + interval.mul_f64(self.rng.random_range(0.0..1.0)),
            Some(slot) if slot + MAX_LATE < now => {
                shared.stats.behind();
                now
            }
            Some(slot) => slot,
        };
        self.slot = Some(slot);
        if slot > now && !self.listen(line, Some(slot)).await? {
            return Ok(false);
        }
        self.slot = Some(slot + interval);
        Ok(true)
    }

    /// Answers the server until then; false if the phase has changed before.
    async fn listen(&mut self, line: &mut Line, until: Option<Instant>) -> Result<bool, LinkError> {
        let heartbeat = self.shared.options.heartbeat;
        loop {
            let timer = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => tokio::time::sleep(heartbeat).await,
                }
            };
            tokio::select! {
                biased;
                _ = self.phase.changed() => return Ok(false),
                error = line.listen() => return Err(error),
                () = timer => {}
            }
            if until.is_some() {
                return Ok(true);
            }
            let _ = line.call(Action::Heartbeat, &Heartbeat {}, |_| ()).await?;
        }
    }

    /// Says the next thing and waits for the answer. What is lost with the line is said again.
    async fn speak(&mut self, line: &mut Line) -> Result<(), LinkError> {
        let Some(message) = self
            .pending
            .take()
            .or_else(|| self.story.next(Moment::now().time))
        else {
            return Ok(());
        };
        let wanted = message.action == Action::Start;
        let read = |payload: &str| {
            if wanted {
                payload.to_owned()
            } else {
                String::new()
            }
        };
        let answer = line.call(message.action, &message.call, read).await;
        let payload = match &answer {
            Ok(Ok(payload)) => Some(payload.as_str()),
            Ok(Err(_)) => None, // refused: counted, and not said again
            Err(_) => {
                self.pending = Some(message);
                return answer.map(|_| ());
            }
        };
        self.note(message, payload).await;
        Ok(())
    }

    /// Says the next thing and does not wait: the line goes down before the answer.
    async fn speak_into_the_void(&mut self, line: &mut Line) -> Result<(), LinkError> {
        if self.pending.is_none() {
            self.pending = self.story.next(Moment::now().time);
        }
        match &self.pending {
            Some(message) => line.send(message.action, &message.call).await,
            None => Ok(()),
        }
    }

    /// The server may know of what was said last, or not.
    async fn give_up(&mut self) {
        if let Some(message) = self.pending.take() {
            self.note(message, None).await;
        }
    }

    async fn note(&mut self, message: Message, payload: Option<&str>) {
        let entry = self.story.conclude(&self.id, &message, payload);
        if let (Some(journal), Some(entry)) = (&self.shared.journal, entry) {
            journal.add(entry).await;
        }
    }
}
