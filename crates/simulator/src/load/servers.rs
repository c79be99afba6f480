//! Which server takes the next line.
//!
//! As a balancer in front of them would choose: the one with the fewest lines, none that has just
//! refused to be reached, and not the one this charger was just sent away from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rand::Rng;
use url::Url;

/// For how long a server that cannot be reached is passed over, as long as there are others.
const PASSED_OVER: Duration = Duration::from_secs(2);

/// The servers of a run.
#[derive(Debug)]
pub(super) struct Servers {
    all: Vec<Server>,
    begun: Instant,
}

#[derive(Debug)]
struct Server {
    url: Url,
    /// Lines that are open or being opened.
    lines: AtomicUsize,
    /// Until then it is passed over, in milliseconds of the run.
    away_until: AtomicU64,
}

impl Servers {
    /// # Panics
    ///
    /// When there is none.
    pub(super) fn new(urls: &[Url], now: Instant) -> Arc<Self> {
        assert!(!urls.is_empty(), "a load needs a server");
        let server = |url: &Url| Server {
            url: url.clone(),
            lines: AtomicUsize::new(0),
            away_until: AtomicU64::new(0),
        };
        let all = urls.iter().map(server).collect();
        Arc::new(Self { all, begun: now })
    }

    /// Chooses one, if possible another than `last`.
    pub(super) fn choose(
        self: &Arc<Self>,
        last: Option<usize>,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Seat {
        let now = self.millis(now);
        let count = self.all.len();
        // Of equals any: were it always the first, all would go there at once.
        let first = rng.random_range(0..count);
        let turns = (first..first + count).map(|index| index % count);
        let index = turns.min_by_key(|index| {
            let server = &self.all[*index];
            let away = server.away_until.load(Relaxed) > now;
            (away, Some(*index) == last, server.lines.load(Relaxed))
        });
        let index = index.unwrap_or(first);
        self.all[index].lines.fetch_add(1, Relaxed);
        Seat {
            servers: self.clone(),
            index,
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.begun).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }
}

/// A line's place at a server. The server counts it for as long as it exists.
#[derive(Debug)]
pub(super) struct Seat {
    servers: Arc<Servers>,
    index: usize,
}

impl Seat {
    /// Which server it is, to be passed over next time.
    pub(super) fn server(&self) -> usize {
        self.index
    }

    pub(super) fn url(&self) -> &Url {
        &self.servers.all[self.index].url
    }

    /// The server cannot be reached, or wants no more lines: everybody passes it over for a while.
    pub(super) fn is_away(&self, now: Instant) {
        let until = self.servers.millis(now + PASSED_OVER);
        let server = &self.servers.all[self.index];
        server.away_until.fetch_max(until, Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let server = &self.servers.all[self.index];
        server.lines.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    fn servers(count: usize, now: Instant) -> Arc<Servers> {
        let url = |port| format!("ws://127.0.0.1:{port}/ocpp").parse().unwrap();
        let urls: Vec<Url> = (1..=count).map(url).collect();
        Servers::new(&urls, now)
    }

    #[test]
    fn lines_are_spread_and_whoever_is_sent_away_goes_elsewhere() {
        let (now, mut rng) = (Instant::now(), SmallRng::seed_from_u64(1));
        let servers = servers(3, now);
        let mut seats: Vec<Seat> = (0..300)
            .map(|_| servers.choose(None, now, &mut rng))
            .collect();
        let at = |seats: &[Seat], index| seats.iter().filter(|seat| seat.index == index).count();
        assert_eq!([0, 1, 2].map(|index| at(&seats, index)), [100; 3]);

        // The first goes down. Its hundred are shared by the others, though it has the fewest.
        seats.retain(|seat| seat.index != 0);
        seats.extend((0..100).map(|_| servers.choose(Some(0), now, &mut rng)));
        assert_eq!([0, 1, 2].map(|index| at(&seats, index)), [0, 150, 150]);
    }

    #[test]
    fn one_that_is_away_is_passed_over_for_a_while() {
        let (now, mut rng) = (Instant::now(), SmallRng::seed_from_u64(1));
        let servers = servers(2, now);
        let gone = servers.choose(None, now, &mut rng);
        gone.is_away(now);
        let index = gone.index;
        drop(gone);
        let mut seats = Vec::new();
        for _ in 0..10 {
            // Even by those who were just sent away from the other one.
            seats.push(servers.choose(Some(1 - index), now, &mut rng));
        }
        assert!(seats.iter().all(|seat| seat.index != index));
        let later = now + PASSED_OVER;
        assert_eq!(servers.choose(None, later, &mut rng).index, index);
    }

    #[test]
    fn the_only_one_is_asked_again() {
        let (now, mut rng) = (Instant::now(), SmallRng::seed_from_u64(1));
        let servers = servers(1, now);
        let seat = servers.choose(None, now, &mut rng);
        seat.is_away(now);
        assert_eq!(servers.choose(Some(0), now, &mut rng).index, 0);
    }
}
