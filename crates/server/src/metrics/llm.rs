//! What analysers do: the names are those of OpenTelemetry's conventions for generative AI, as
//! Prometheus spells them, and our own.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::Series;
use super::declare::Declarations;

/// Seconds, as the conventions advise: a model takes its time.
const SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
/// Tokens, likewise.
const TOKENS: [f64; 9] = [
    1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0,
];

/// What is asked of an analyser, in the words of the conventions where they have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlmOperation {
    /// A call of a language model.
    Chat,
    /// Work of the embedded analyser.
    Analyze,
}

/// Which way tokens go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// To the model.
    Input,
    /// From it.
    Output,
}

impl LlmOperation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Analyze => "analyze",
        }
    }
}

impl TokenType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    model: &'static str,
    operation: &'static str,
    error_type: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    model: &'static str,
    token_type: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    model: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: &'static str,
}

/// The metrics of analysers. `model` is the configured model's name, or `embedded`; `error` and
/// `outcome` the word of a [`Failure`](crate::llm::Failure). So their series are few.
#[derive(Debug)]
pub struct LlmMetrics {
    duration: Series<OperationLabels, Histogram>,
    tokens: Series<TokenLabels, Histogram>,
    requests: Series<RequestLabels, Counter>,
    cost: Series<ModelLabel, Counter<f64, AtomicU64>>,
}

impl LlmMetrics {
    pub(super) fn declare(declare: &mut Declarations) -> Self {
        Self {
            duration: declare.series(
                "gen_ai_client_operation_duration_seconds",
                &["model", "operation", "error_type"],
                "Time of one call of an analyser; error_type is empty when it succeeded",
                (|| Histogram::new(SECONDS)) as fn() -> Histogram,
            ),
            tokens: declare.series(
                "gen_ai_client_token_usage",
                &["model", "token_type"],
                "Tokens of one call of a language model, as its server counts them",
                (|| Histogram::new(TOKENS)) as fn() -> Histogram,
            ),
            requests: declare.series(
                "enchufe_llm_requests_total",
                &["model", "outcome"],
                "Analyses asked for, by how they ended",
                Counter::default as fn() -> Counter,
            ),
            cost: declare.series(
                "enchufe_llm_cost_dollars_total",
                &["model"],
                "Cost of the tokens by the price table that is set; 0 without one",
                Counter::default as fn() -> Counter<f64, AtomicU64>,
            ),
        }
    }

    /// An analyser was called. `error` is empty when it succeeded.
    pub fn called(
        &self,
        model: &'static str,
        operation: LlmOperation,
        error: &'static str,
        seconds: f64,
    ) {
        let labels = OperationLabels {
            model,
            operation: operation.as_str(),
            error_type: error,
        };
        self.duration.get_or_create(&labels).observe(seconds);
    }

    /// A call of a language model cost so many tokens one way.
    pub fn spent(&self, model: &'static str, way: TokenType, tokens: u64) {
        let token_type = way.as_str();
        let labels = TokenLabels { model, token_type };
        #[expect(clippy::cast_precision_loss, reason = "bounded far below 2^52")]
        self.tokens.get_or_create(&labels).observe(tokens as f64);
    }

    /// Tokens cost this many millionths of a millionth of a dollar.
    pub fn cost(&self, model: &'static str, cost: u64) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "it is added up exactly by call, and shown as a fraction"
        )]
        let dollars = cost as f64 / 1e12;
        let counter = self.cost.get_or_create(&ModelLabel { model });
        counter.inc_by(dollars);
    }

    /// An analysis ended: `ok`, or the word of a failure.
    pub fn ended(&self, model: &'static str, outcome: &'static str) {
        let labels = RequestLabels { model, outcome };
        self.requests.get_or_create(&labels).inc();
    }
}
