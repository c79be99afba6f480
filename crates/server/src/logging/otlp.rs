//! Spans, out to an OpenTelemetry collector.

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    HttpExporterBuilderSet, Protocol, SpanExporter, SpanExporterBuilder, WithExportConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// Where the collector is, by OpenTelemetry's own variable. Without it nothing is sent.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Spans on their way. Dropped, it sends what is left.
#[derive(Debug)]
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts sending, if there is a collector to send to.
    pub(super) fn start<S>() -> anyhow::Result<Option<(Self, impl Layer<S>)>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        if std::env::var_os(ENDPOINT).is_none_or(|value| value.is_empty()) {
            return Ok(None);
        }
        // Without an address it heeds OpenTelemetry's variables, all of them.
        let exporter = exporter()
            .build()
            .with_context(|| format!("{ENDPOINT} cannot be used"))?;
        Ok(Some(Self::through(exporter)))
    }

    fn through<S>(exporter: SpanExporter) -> (Self, impl Layer<S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let resource = Resource::builder().with_service_name("enchufe");
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("enchufe"));
        // Ours alone: the exporter's own requests would be traced for ever.
        let ours = Targets::new().with_target("server", Level::INFO);
        (Self(provider), layer.with_filter(ours))
    }
}

fn exporter() -> SpanExporterBuilder<HttpExporterBuilderSet> {
    SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
}

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that is gone has nothing to gain.
        let _ = self.0.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::{Entry, EntryId, EntryText};
    use jiff::Timestamp;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message as _;
    use serde_json::json;
    use tracing::instrument::WithSubscriber as _;
    use tracing_subscriber::layer::SubscriberExt as _;
    use uuid::Uuid;
    use wiremock::matchers::{method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::llm::Analyser;
    use crate::metrics::Metrics;

    const KIND_CLIENT: i32 = 3;

    /// A server that takes a POST at `at` and answers so.
    async fn answering(at: &str, answer: ResponseTemplate) -> MockServer {
        let server = MockServer::start().await;
        let mock = Mock::given(method("POST")).and(path(at));
        mock.respond_with(answer).mount(&server).await;
        server
    }

    fn entry() -> Entry {
        let text = |text: &str| EntryText::new(text).unwrap();
        Entry {
            id: EntryId(Uuid::from_u128(1)),
            work: text("Changed a fuse"),
            struggle: text("None"),
            intention: text("Watch it"),
            station_id: None,
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// Has the model read an entry, and gives the spans that came to the collector.
    async fn traced(answer: ResponseTemplate) -> Vec<Span> {
        let collector = answering("/v1/traces", ResponseTemplate::new(200)).await;
        let model = answering("/v1/chat/completions", answer).await;
        let config = Config {
            llm_base_url: Some(format!("{}/v1", model.uri()).parse().unwrap()),
            llm_model: Some("test-model".to_owned()),
            llm_retries: 0,
            ..Config::defaults()
        };
        let analyser = Analyser::new(&config, Arc::new(Metrics::new()), Clock::system()).unwrap();
        let address = format!("{}/v1/traces", collector.uri());
        // Its client blocks, which an executor forbids.
        let exporter = move || exporter().with_endpoint(address).build().unwrap();
        let exporter = tokio::task::spawn_blocking(exporter).await.unwrap();
        let (traces, layer) = Traces::through(exporter);
        let subscriber = tracing_subscriber::registry().with(layer);
        let _ = analyser.read(&entry(), 0).with_subscriber(subscriber).await;
        tokio::task::spawn_blocking(move || drop(traces))
            .await
            .unwrap();
        let sent = collector.received_requests().await.unwrap();
        sent.iter()
            .map(|request| ExportTraceServiceRequest::decode(&*request.body).unwrap())
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    fn attribute(span: &Span, name: &str) -> Option<Value> {
        let named = span.attributes.iter().find(|one| one.key == name)?;
        named.value.clone()?.value
    }

    fn text(text: &str) -> Value {
        Value::StringValue(text.to_owned())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_question_leaves_as_a_span_with_the_names_of_the_conventions() {
        let said = json!({
            "sentiment": "positive",
            "summary": "A fuse was changed. It is being watched.",
            "topics": ["fuse", "repair"],
        });
        let answer = ResponseTemplate::new(200).set_body_json(json!({
            "choices": [{"message": {"content": said.to_string()}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 120, "completion_tokens": 30},
        }));
        let spans = traced(answer).await;
        let [span] = &*spans else {
            panic!("{spans:?}");
        };
        assert_eq!(span.name, "chat test-model");
        assert_eq!(span.kind, KIND_CLIENT);
        assert_eq!(attribute(span, "gen_ai.operation.name"), Some(text("chat")));
        assert_eq!(
            attribute(span, "gen_ai.request.model"),
            Some(text("test-model"))
        );
        let tokens = |number| Some(Value::IntValue(number));
        assert_eq!(attribute(span, "gen_ai.usage.input_tokens"), tokens(120));
        assert_eq!(attribute(span, "gen_ai.usage.output_tokens"), tokens(30));
        assert_eq!(attribute(span, "server.address"), Some(text("127.0.0.1")));
        assert_eq!(attribute(span, "error.type"), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_question_that_failed_says_why_and_nothing_of_what_came_back() {
        let spans = traced(ResponseTemplate::new(401).set_body_string("upstream text")).await;
        let [span] = &*spans else {
            panic!("{spans:?}");
        };
        assert_eq!(attribute(span, "error.type"), Some(text("unauthorized")));
        assert_eq!(attribute(span, "gen_ai.usage.input_tokens"), None);
        assert!(!format!("{span:?}").contains("upstream text"));
    }
}
