//! Gives a charger a socket and the time of day.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use url::Url;
use yawc::Frame;

use crate::link::Link;
use crate::{Charger, Dialer, Happening, LinkError, Moment};

/// The first wait after a line could not be had; it doubles with each attempt.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Runs a charger until `shutdown`, and tells what happens. With several servers, whenever one
/// refuses it or loses its line it goes to the next.
pub async fn drive(
    mut charger: Charger,
    dialer: &Dialer,
    servers: &[Url],
    shutdown: CancellationToken,
    mut tell: impl FnMut(&Happening),
) {
    let mut turns = servers.iter().cycle();
    let Some(mut server) = turns.next() else {
        return;
    };
    let mut link: Option<Link> = None;
    let mut attempts = 0;
    let mut dial_at = Instant::now();
    loop {
        let now = Moment::now();
        charger.tick(now);
        if charger.wants_line() {
            if link.is_none() && now.instant >= dial_at {
                let (id, password) = (charger.id().to_owned(), charger.password());
                let dialled = tokio::select! {
                    biased;
                    () = shutdown.cancelled() => break,
                    dialled = dialer.dial(server, &id, password.as_deref()) => dialled,
                };
                match dialled {
                    Ok(opened) => {
                        attempts = 0;
                        link = Some(opened);
                        charger.connected(Moment::now());
                    }
                    Err(error) => {
                        server = turns.next().unwrap_or(server);
                        let asked = error.retry_after().unwrap_or_default();
                        let wait = asked + charger.jitter(backoff(attempts));
                        attempts += 1;
                        dial_at = Instant::now() + wait;
                        let reason = error.to_string();
                        tell(&Happening::Unreachable { reason, wait });
                    }
                }
            }
        } else if link.take().is_some() {
            // Dropped without a word, as networks do.
            charger.disconnected("the network is gone", Moment::now());
        }

        if let Err(error) = send_all(&mut charger, &mut link).await {
            link = None;
            server = turns.next().unwrap_or(server);
            charger.disconnected(&error.to_string(), Moment::now());
        }
        charger.take_happenings().iter().for_each(&mut tell);

        let dial = (link.is_none() && charger.wants_line()).then_some(dial_at);
        let wake = charger.next_wake().into_iter().chain(dial).min();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            text = receive(&mut link) => match text {
                Ok(text) => charger.receive(text.as_str(), Moment::now()),
                Err(error) => {
                    link = None;
                    server = turns.next().unwrap_or(server);
                    dial_at = Instant::now() + charger.jitter(FIRST_WAIT);
                    charger.disconnected(&error.to_string(), Moment::now());
                }
            },
            () = sleep_until(wake) => {}
        }
    }
    if let Some(mut link) = link {
        link.farewell().await;
    }
}

fn backoff(attempts: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(attempts))
        .min(LONGEST_WAIT)
}

async fn send_all(charger: &mut Charger, link: &mut Option<Link>) -> Result<(), LinkError> {
    let Some(link) = link else {
        return Ok(());
    };
    while let Some(frame) = charger.next_frame(Moment::now()) {
        link.send(frame).await?;
    }
    Ok(())
}

async fn receive(link: &mut Option<Link>) -> Result<Frame, LinkError> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_and_has_an_end() {
        let waits = [0, 1, 2, 5, 40].map(|attempts| backoff(attempts).as_secs());
        assert_eq!(waits, [1, 2, 4, 30, 30]);
    }
}
