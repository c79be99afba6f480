//! Spans, out to an OpenTelemetry collector.

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
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
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .build()
            .with_context(|| format!("{ENDPOINT} cannot be used"))?;
        let resource = Resource::builder().with_service_name("enchufe");
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("enchufe"));
        // Ours alone: the exporter's own requests would be traced for ever.
        let ours = Targets::new().with_target("server", Level::INFO);
        Ok(Some((Self(provider), layer.with_filter(ours))))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that is gone has nothing to gain.
        let _ = self.0.shutdown();
    }
}
