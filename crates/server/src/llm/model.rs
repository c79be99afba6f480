//! A language model behind an OpenAI-compatible server.
//!
//! ```text
//! admitted?  a place among the questions under way, the server not resting, tokens left
//!    │
//!    ▼
//! asked ──► 429, 5xx, too slow: again, a little later, a few times
//!    │  └──► 400, 422: at once, in a plainer way; that is remembered
//!    │
//!    ▼
//! checked ─► does not hold: asked once more, told why
//! ```
//! All of it has a minute. Whatever the server says on the way stays here: a [`Failure`] is in our
//! own words.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable as _};
use domain::Entry;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Instrument as _;
use url::Url;

use super::breaker::Breaker;
use super::prompt::{self, Question};
use super::story::{Facts, Story};
use super::wire::{self, Answer, Dialect, Usage};
use super::{Asked, Failure, Reading, answer};
use crate::clock::Clock;
use crate::config::{Config, LlmApi, Price};
use crate::metrics::{LlmOperation, Metrics, TokenType};

/// How long a whole analysis may take, with all that is asked again. Below what a request may
/// take, so that the one who waits is told.
const TOTAL_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a question waits for a place among those under way. Longer, and the asker would be
/// better off coming back.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(2);
/// When to come back then.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long a connection to the server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a question is asked again; it doubles, and is drawn out by chance.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// The longest such pause.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(4);
/// The longest pause a server may ask for (`Retry-After`) and get. Beyond it the asker is told.
const MAX_RETRY_AFTER_HEEDED: Duration = Duration::from_secs(10);
/// The longest time anybody is told to stay away because a server said so.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Longest answer read. The longest asked for is below a tenth of it.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// A model, and how it is asked.
pub struct Model {
    name: &'static str,
    api: LlmApi,
    url: Url,
    http: reqwest::Client,
    timeout: Duration,
    retries: usize,
    places: Semaphore,
    breaker: Breaker,
    /// Whether the server was found to know only [`Dialect::Plain`].
    plain: AtomicBool,
    budget: i64,
    price: Option<Price>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Model {
    pub(super) fn new(
        config: &Config,
        server: &Url,
        name: &str,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.llm_api_key {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut http = reqwest::Client::builder();
        if server.scheme() == "http" {
            // A plain line needs no certificates, and a small container has none to load.
            http = http.tls_certs_only([]);
        }
        let http = http
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            // The key is for this server and for no other that it may name.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("no HTTP client for the language model; are CA certificates installed?")?;
        let mut url = server.clone();
        let path = format!(
            "{}/{}",
            url.path().trim_end_matches('/'),
            wire::path(config.llm_api)
        );
        url.set_path(&path);
        Ok(Self {
            // One a process, for labels that live as long.
            name: String::leak(name.to_owned()),
            api: config.llm_api,
            url,
            http,
            timeout: config.llm_timeout,
            retries: usize::try_from(config.llm_retries)?,
            places: Semaphore::new(usize::try_from(config.llm_concurrency)?),
            breaker: Breaker::default(),
            plain: AtomicBool::new(false),
            budget: config.llm_tokens_per_day,
            price: config
                .llm_prices
                .as_ref()
                .and_then(|prices| prices.of(name)),
            metrics,
            clock,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) async fn read(&self, entry: &Entry, spent: i64) -> Asked<Reading> {
        let about = format!(
            "{}\n{}\n{}",
            entry.work.as_str(),
            entry.struggle.as_str(),
            entry.intention.as_str()
        );
        let question = prompt::of_entry(entry);
        self.ask(&question, spent, |text| answer::reading(text, &about))
            .await
    }

    pub(super) async fn tell(&self, facts: &Facts, spent: i64) -> Asked<Story> {
        let question = prompt::of_station(facts);
        self.ask(&question, spent, |text| answer::story(text, facts))
            .await
    }

    /// Asks, within the time there is, and counts what became of it.
    async fn ask<T>(
        &self,
        question: &Question,
        spent: i64,
        check: impl Fn(&str) -> Result<T, answer::Fault>,
    ) -> Asked<T> {
        let conversation = Conversation {
            model: self,
            question,
            spent,
            tokens: AtomicI64::new(0),
        };
        let asking = tokio::time::timeout(TOTAL_TIMEOUT, conversation.hold(check));
        let result = asking.await.unwrap_or(Err(Failure::TimedOut));
        match &result {
            // Said by the breaker itself, or by us: nothing was learned of the server.
            Err(Failure::Resting(_) | Failure::Busy(_) | Failure::OverBudget(_)) => {}
            Err(Failure::TimedOut | Failure::ServerError | Failure::Unreachable) => {
                self.breaker.failed(Instant::now());
            }
            _ => self.breaker.answered(),
        }
        let outcome = result.as_ref().map_or_else(Failure::as_str, |_| "ok");
        self.metrics.llm.ended(self.name, outcome);
        Asked {
            result,
            tokens: conversation.tokens.into_inner(),
        }
    }

    /// A place among the questions under way.
    async fn admit(&self) -> Result<SemaphorePermit<'_>, Failure> {
        let place = tokio::time::timeout(ADMISSION_PATIENCE, self.places.acquire()).await;
        let Ok(Ok(place)) = place else {
            return Err(Failure::Busy(BUSY_RETRY_AFTER));
        };
        let admitted = self.breaker.admit(Instant::now(), TOTAL_TIMEOUT);
        admitted.map_err(Failure::Resting)?;
        Ok(place)
    }
}

/// One question, with all that is said about it.
struct Conversation<'a> {
    model: &'a Model,
    question: &'a Question,
    /// What the day had cost before.
    spent: i64,
    /// What this has cost.
    tokens: AtomicI64,
}

impl Conversation<'_> {
    async fn hold<T>(
        &self,
        check: impl Fn(&str) -> Result<T, answer::Fault>,
    ) -> Result<T, Failure> {
        let _place = self.model.admit().await?;
        let fault = match self.answer(None, &check).await? {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        tracing::info!(
            model = self.model.name,
            fault,
            "the model is asked once more"
        );
        self.answer(Some(fault), &check)
            .await?
            .map_err(Failure::Invalid)
    }

    /// An answer, checked; asked for again where that may help.
    async fn answer<T>(
        &self,
        fault: Option<answer::Fault>,
        check: impl Fn(&str) -> Result<T, answer::Fault>,
    ) -> Result<Result<T, answer::Fault>, Failure> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(RETRY_PAUSE)
            .with_max_delay(MAX_RETRY_PAUSE)
            .with_max_times(self.model.retries)
            .with_jitter();
        let answer = (|| self.call_as_understood(fault))
            .retry(pauses)
            .when(may_pass)
            .adjust(|failure, pause| match failure {
                // Earlier than it says is of no use, and much later of none to the asker.
                Failure::RateLimited(Some(after)) => {
                    let pause = pause.map(|pause| pause.max(*after));
                    pause.filter(|_| *after <= MAX_RETRY_AFTER_HEEDED)
                }
                _ => pause,
            })
            .await?;
        if answer.refused {
            return Err(Failure::Refused);
        }
        if answer.cut && answer.text.is_none() {
            // It would think as long another time, and be paid for it.
            return Err(Failure::Invalid(
                "all its tokens were used up before it began",
            ));
        }
        Ok(answer
            .text
            .ok_or("there is no text in it")
            .and_then(|text| check(&text)))
    }

    /// Sends the question, and once more in a plainer way to a server that does not take it.
    async fn call_as_understood(&self, fault: Option<answer::Fault>) -> Result<Answer, Failure> {
        let plain = &self.model.plain;
        if plain.load(Ordering::Relaxed) {
            return self.call(Dialect::Plain, fault).await.map_err(told);
        }
        match self.call(Dialect::Full, fault).await {
            Err(Trouble::NotUnderstood) => {
                let called = self.call(Dialect::Plain, fault).await;
                if called.is_ok() && !plain.swap(true, Ordering::Relaxed) {
                    tracing::info!(
                        model = self.model.name,
                        "the model's server takes no schema; it is asked without from now on"
                    );
                }
                called.map_err(told)
            }
            called => called.map_err(told),
        }
    }

    /// Sends the question and reads what comes back, once.
    async fn call(
        &self,
        dialect: Dialect,
        fault: Option<answer::Fault>,
    ) -> Result<Answer, Trouble> {
        let model = self.model;
        let now = model.clock.now();
        if self
            .spent
            .saturating_add(self.tokens.load(Ordering::Relaxed))
            >= model.budget
        {
            return Err(Trouble::Failed(Failure::OverBudget(until_tomorrow(now))));
        }
        // The names of OpenTelemetry's conventions for generative AI.
        let span = tracing::info_span!(
            "llm",
            otel.name = %format_args!("chat {}", model.name),
            otel.kind = "client",
            gen_ai.operation.name = "chat",
            gen_ai.provider.name = "openai",
            gen_ai.request.model = model.name,
            gen_ai.usage.input_tokens = tracing::field::Empty,
            gen_ai.usage.output_tokens = tracing::field::Empty,
            server.address = model.url.host_str(),
            error.type = tracing::field::Empty,
        );
        let started = Instant::now();
        let body = wire::request(model.api, dialect, model.name, self.question, fault).to_string();
        let mut bill = Bill::new(&self.tokens, body.len());
        let called = tokio::time::timeout(model.timeout, model.exchange(body, now, &mut bill))
            .instrument(span.clone())
            .await
            .unwrap_or(Err(Trouble::Failed(Failure::TimedOut)));
        let error = called.as_ref().map_or_else(Trouble::as_str, |_| "");
        let seconds = started.elapsed().as_secs_f64();
        let metrics = &model.metrics.llm;
        metrics.called(model.name, LlmOperation::Chat, error, seconds);
        let received = called.inspect_err(|_| {
            span.record("error.type", error);
        })?;
        let answer = wire::answer(model.api, &received);
        if let Some(usage) = answer.usage {
            // An attribute has signed numbers only; others would leave as text.
            span.record("gen_ai.usage.input_tokens", usage.input.cast_signed());
            span.record("gen_ai.usage.output_tokens", usage.output.cast_signed());
            metrics.spent(model.name, TokenType::Input, usage.input);
            metrics.spent(model.name, TokenType::Output, usage.output);
            metrics.cost(model.name, cost(usage, model.price));
        }
        bill.told = answer.usage;
        Ok(answer)
    }
}

/// Why a call came to nothing.
#[derive(Debug)]
enum Trouble {
    /// The server does not take a question put in this way (400, 422).
    NotUnderstood,
    /// Anything else.
    Failed(Failure),
}

impl Trouble {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::NotUnderstood => Failure::Rejected.as_str(),
            Self::Failed(failure) => failure.as_str(),
        }
    }
}

/// What is told of a trouble.
fn told(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::NotUnderstood => Failure::Rejected,
        Trouble::Failed(failure) => failure,
    }
}

/// What a call costs. It is charged in the end whatever the end is, giving up included: the server
/// may have done its work when nobody waits for it any more.
struct Bill<'a> {
    tokens: &'a AtomicI64,
    /// Bytes sent.
    sent: usize,
    /// Bytes received.
    received: usize,
    /// What the server says that it cost.
    told: Option<Usage>,
    /// Whether it cost nothing: the server was not reached, or would not begin.
    free: bool,
}

impl<'a> Bill<'a> {
    const fn new(tokens: &'a AtomicI64, sent: usize) -> Self {
        Self {
            tokens,
            sent,
            received: 0,
            told: None,
            free: false,
        }
    }
}

impl Drop for Bill<'_> {
    fn drop(&mut self) {
        if !self.free {
            // What is not told is guessed for the budget, and for nothing that is shown.
            let usage = self.told;
            let usage = usage.unwrap_or_else(|| Usage::guess(self.sent, self.received));
            self.tokens.fetch_add(usage.total(), Ordering::Relaxed);
        }
    }
}

impl Model {
    /// One HTTP exchange.
    async fn exchange(
        &self,
        body: String,
        now: Timestamp,
        bill: &mut Bill<'_>,
    ) -> Result<Vec<u8>, Trouble> {
        let request = self.http.post(self.url.clone());
        let json = HeaderValue::from_static("application/json");
        let request = request.header(header::CONTENT_TYPE, json).body(body);
        let mut response = request.send().await.map_err(|error| {
            bill.free = error.is_connect();
            sort(&error)
        })?;
        let status = response.status();
        // Told to come back, it was not begun; of other failures of a server nobody knows.
        bill.free = !status.is_success()
            && (!status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE);
        let failure = match status {
            _ if status.is_success() => None,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(Failure::Unauthorized),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Some(Failure::RateLimited(retry_after(response.headers(), now)))
            }
            _ if status.is_server_error() => Some(Failure::ServerError),
            _ => {
                // The one thing that whoever configured it needs to know.
                tracing::warn!(%status, model = self.name, "the model's server refuses the question");
                if matches!(
                    status,
                    StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
                ) {
                    return Err(Trouble::NotUnderstood);
                }
                Some(Failure::Rejected)
            }
        };
        if let Some(failure) = failure {
            return Err(Trouble::Failed(failure));
        }
        let mut read = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| sort(&error))? {
            bill.received += chunk.len();
            if bill.received > MAX_ANSWER_BYTES {
                return Err(Trouble::Failed(Failure::TooLarge));
            }
            read.extend_from_slice(&chunk);
        }
        Ok(read)
    }
}

/// What failed below HTTP.
fn sort(error: &reqwest::Error) -> Trouble {
    Trouble::Failed(if error.is_timeout() {
        Failure::TimedOut
    } else if error.is_connect() {
        Failure::Unreachable
    } else {
        // It was reached, and broke off.
        Failure::ServerError
    })
}

/// Whether asking again may help.
fn may_pass(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::RateLimited(_) | Failure::ServerError | Failure::TimedOut
    )
}

/// How long the server wants to be left alone: seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let time = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(time.clamp(Duration::from_secs(1), MAX_RETRY_AFTER))
}

/// How long this day (UTC) still goes on.
fn until_tomorrow(now: Timestamp) -> Duration {
    let now = now.to_zoned(TimeZone::UTC);
    let tomorrow = now.tomorrow().and_then(|day| day.start_of_day());
    let left = tomorrow.map(|tomorrow| tomorrow.timestamp().duration_since(now.timestamp()));
    left.ok()
        .and_then(|left| Duration::try_from(left).ok())
        .unwrap_or(MAX_RETRY_AFTER)
}

/// In millionths of a millionth of a dollar, exactly.
fn cost(usage: Usage, price: Option<Price>) -> u64 {
    let price = price.unwrap_or_default();
    let of = |tokens: u64, price: u64| tokens.saturating_mul(price);
    of(usage.input, price.input).saturating_add(of(usage.output, price.output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now: Timestamp = "2026-05-17T12:00:00Z".parse().unwrap();
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now).map(|time| time.as_secs())
        };
        assert_eq!(after("7"), Some(7));
        assert_eq!(after("0"), Some(1));
        assert_eq!(after("999999999"), Some(3_600));
        assert_eq!(after("Sun, 17 May 2026 12:00:30 GMT"), Some(30));
        assert_eq!(after("Sun, 17 May 2026 11:00:00 GMT"), Some(1));
        for nonsense in ["soon", "-1", "1.5", ""] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_day_ends_at_midnight_utc() {
        let left = |text: &str| until_tomorrow(text.parse().unwrap()).as_secs();
        assert_eq!(left("2026-05-17T23:59:30Z"), 30);
        assert_eq!(left("2026-05-17T00:00:00Z"), 86_400);
    }

    #[test]
    fn a_cost_is_exact() {
        let usage = Usage {
            input: 1_000,
            output: 3,
        };
        let price = Price {
            input: 250_000,
            output: 2_000_000,
        };
        assert_eq!(cost(usage, Some(price)), 256_000_000);
        assert_eq!(cost(usage, None), 0);
    }
}
