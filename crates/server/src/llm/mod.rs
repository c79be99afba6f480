//! Analysers: who reads the journal, and who tells a station's story.
//!
//! [`Analyser`] is a closed set: a language model behind any OpenAI-compatible server, or rules of
//! our own that need no network. One that is configured and fails is an error; the other never
//! stands in for it silently.
//!
//! What is sent is data and never an instruction ([`prompt`]). What comes back is not trusted:
//! read leniently, checked strictly, asked for once more and then refused (`answer`).

mod answer;
mod breaker;
mod embedded;
mod model;
mod prompt;
pub mod story;
mod text;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Entry, Sentiment};

use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::{LlmOperation, Metrics};
use model::Model;
use story::{Facts, Story};

pub use text::sentences;

/// The name of the analyser that needs no model.
pub const EMBEDDED: &str = "embedded";
/// When to come back to a server that has too much to do and does not say.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(10);
/// Fewest and most topics of an entry.
pub const TOPICS: std::ops::RangeInclusive<usize> = 2..=4;

/// Who analyses.
pub enum Analyser {
    /// A language model.
    Model(Box<Model>),
    /// Our own rules.
    Embedded(Arc<Metrics>),
}

/// What was read out of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How it went.
    pub sentiment: Sentiment,
    /// Two sentences.
    pub summary: String,
    /// Two to four.
    pub topics: Vec<String>,
}

/// What became of a question, and the tokens it cost, whatever became of it.
#[derive(Debug)]
pub struct Asked<T> {
    /// The answer, checked.
    pub result: Result<T, Failure>,
    /// Tokens sent and received.
    pub tokens: i64,
}

/// Why there is no analysis. Nothing of what the model's server said is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The answer was not what was asked for, nor was the next one.
    #[error("the model's answer does not hold: {0}")]
    Invalid(&'static str),
    /// The model would not answer.
    #[error("the model declined to answer")]
    Refused,
    /// The answer went beyond all bounds.
    #[error("the model's answer is too long")]
    TooLarge,
    /// The server did not take the key.
    #[error("the model's server did not accept the configured key")]
    Unauthorized,
    /// The server did not take the question.
    #[error("the model's server did not accept the question; see the configured model and address")]
    Rejected,
    /// The server failed.
    #[error("the model's server failed")]
    ServerError,
    /// The server is not there.
    #[error("the model's server cannot be reached")]
    Unreachable,
    /// There was no answer in time.
    #[error("the model did not answer in time")]
    TimedOut,
    /// The server has too much to do; when to come back, if it said so.
    #[error("the model's server has too much to do")]
    RateLimited(Option<Duration>),
    /// This node has too much to ask.
    #[error("too many analyses are under way")]
    Busy(Duration),
    /// The server failed so often that it is left in peace.
    #[error("the model's server failed several times and is left in peace for a while")]
    Resting(Duration),
    /// The day's tokens are spent.
    #[error("the tokens of the day are spent")]
    OverBudget(Duration),
}

impl Failure {
    /// The word for metrics, logs and traces.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Rejected => "rejected",
            Self::ServerError => "server_error",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::RateLimited(_) => "rate_limited",
            Self::Busy(_) => "busy",
            Self::Resting(_) => "resting",
            Self::OverBudget(_) => "over_budget",
        }
    }

    /// When to come back, where the reason is load.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited(time) => Some(time.unwrap_or(DEFAULT_RETRY_AFTER)),
            Self::Busy(time) | Self::Resting(time) | Self::OverBudget(time) => Some(*time),
            _ => None,
        }
    }
}

impl Analyser {
    /// The analyser that is configured.
    pub fn new(config: &Config, metrics: Arc<Metrics>, clock: Clock) -> anyhow::Result<Self> {
        match (&config.llm_base_url, &config.llm_model) {
            (Some(server), Some(name)) => {
                let model = Model::new(config, server, name, metrics, clock)?;
                Ok(Self::Model(Box::new(model)))
            }
            _ => Ok(Self::Embedded(metrics)),
        }
    }

    /// The name it goes by in answers and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Model(model) => model.name(),
            Self::Embedded(_) => EMBEDDED,
        }
    }

    /// Whether its answers cost tokens.
    pub fn costs(&self) -> bool {
        matches!(self, Self::Model(_))
    }

    /// Reads an entry. `spent` is what the day has cost so far.
    pub async fn read(&self, entry: &Entry, spent: i64) -> Asked<Reading> {
        match self {
            Self::Model(model) => model.read(entry, spent).await,
            Self::Embedded(metrics) => at_home(metrics, || embedded::read(entry)),
        }
    }

    /// Tells a station's story. `spent` is what the day has cost so far.
    pub async fn tell(&self, facts: &Facts, spent: i64) -> Asked<Story> {
        match self {
            Self::Model(model) => model.tell(facts, spent).await,
            Self::Embedded(metrics) => at_home(metrics, || embedded::tell(facts)),
        }
    }
}

/// Has the rules do their work, and counts it.
fn at_home<T>(metrics: &Metrics, work: impl FnOnce() -> T) -> Asked<T> {
    let started = Instant::now();
    let result = Ok(work());
    let seconds = started.elapsed().as_secs_f64();
    metrics
        .llm
        .called(EMBEDDED, LlmOperation::Analyze, "", seconds);
    metrics.llm.ended(EMBEDDED, "ok");
    Asked { result, tokens: 0 }
}
