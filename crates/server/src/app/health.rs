//! Whether the service is ready, dependency by dependency.

use super::App;

/// What the service stands on, and how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the process takes work: `starting`, `ok`, `draining`.
    pub phase: &'static str,
    /// Whether the database answers.
    pub database: bool,
    /// Whether the shared cache answers; `None` without one.
    pub cache: Option<bool>,
}

impl Health {
    /// In one word: `ok`, `degraded` (slower, still ready), or why not ready.
    pub const fn status(self) -> &'static str {
        match self {
            Self {
                database: false, ..
            } if self.takes_work() => "unavailable",
            Self {
                cache: Some(false), ..
            } if self.takes_work() => "degraded",
            Self { phase, .. } => phase,
        }
    }

    /// Whether work is welcome.
    pub const fn is_ready(self) -> bool {
        self.takes_work() && self.database
    }

    const fn takes_work(self) -> bool {
        matches!(self.phase.as_bytes(), b"ok")
    }
}

impl App {
    /// Asks everything the service stands on.
    pub async fn health(&self) -> Health {
        let (database, cache) = tokio::join!(self.store.ping(), self.cache.ping());
        Health {
            phase: self.phase.word(),
            database,
            cache,
        }
    }

    /// Which database it is: `sqlite` or `postgres`.
    pub fn database_kind(&self) -> &'static str {
        self.store.kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_in_a_word() {
        fn check(phase: &'static str, database: bool, cache: Option<bool>, word: &str) {
            let health = Health {
                phase,
                database,
                cache,
            };
            let ready = matches!(word, "ok" | "degraded");
            assert_eq!((health.status(), health.is_ready()), (word, ready));
        }
        check("ok", true, None, "ok");
        check("ok", true, Some(true), "ok");
        check("ok", true, Some(false), "degraded");
        check("ok", false, Some(false), "unavailable");
        check("starting", true, None, "starting");
        check("draining", false, None, "draining");
    }
}
