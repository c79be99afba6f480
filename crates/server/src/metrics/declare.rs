//! How a metric is declared: its name as a scraper sees it, its labels and its meaning, once.

use std::fmt::Write as _;
use std::hash::Hash;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry};

use super::Series;

/// A registry that remembers what was declared in it.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    registry: Registry,
    list: Vec<Declared>,
}

/// One declared metric.
#[derive(Debug)]
pub(super) struct Declared {
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    meaning: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn of(kind: MetricType) -> Self {
        match kind {
            MetricType::Counter => Self::Counter,
            MetricType::Histogram => Self::Histogram,
            MetricType::Gauge | MetricType::Info | MetricType::Unknown => Self::Gauge,
        }
    }
}

impl Declarations {
    /// Declares a metric without labels.
    pub(super) fn metric(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        metric: impl Metric,
    ) {
        self.labelled(name, &[], meaning, metric);
    }

    /// Declares a metric that only has a value when that is known. It is absent otherwise: a 0 would
    /// be a figure.
    pub(super) fn if_known<M: Metric + TypedMetric>(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        meaning: &'static str,
        metric: Option<M>,
    ) {
        match metric {
            Some(metric) => self.labelled(name, labels, meaning, metric),
            None => self.list.push(Declared {
                name,
                kind: Kind::of(M::TYPE),
                labels,
                meaning,
            }),
        }
    }

    /// Declares a counter without labels.
    pub(super) fn counter(&mut self, name: &'static str, meaning: &'static str) -> Counter {
        let counter = Counter::default();
        self.metric(name, meaning, counter.clone());
        counter
    }

    /// Declares a family whose series `make` makes.
    pub(super) fn series<L, M>(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        meaning: &'static str,
        make: fn() -> M,
    ) -> Series<L, M>
    where
        L: Clone + Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
        M: Clone + EncodeMetric + TypedMetric + std::fmt::Debug + Send + Sync + 'static,
    {
        let family = Family::new_with_constructor(make);
        self.labelled(name, labels, meaning, family.clone());
        family
    }

    /// Declares a metric with labels.
    pub(super) fn labelled(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        meaning: &'static str,
        metric: impl Metric,
    ) {
        let kind = Kind::of(metric.metric_type());
        // The encoder adds `_total` to counters by itself.
        let registered = name.strip_suffix("_total").unwrap_or(name);
        self.registry.register(registered, meaning, metric);
        self.list.push(Declared {
            name,
            kind,
            labels,
            meaning,
        });
    }

    /// What was declared, in order.
    pub(super) fn list(&self) -> &[Declared] {
        &self.list
    }

    /// The names declared, in order.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.list.iter().map(|declared| declared.name)
    }

    /// The present values in the Prometheus text format.
    ///
    /// The encoder writes `OpenMetrics`, where a counter's header omits the `_total` of its samples.
    /// Read as the older and universal text format, such a header belongs to no sample; so it is
    /// given the samples' name.
    pub(super) fn render(&self) -> String {
        let mut open_metrics = String::new();
        // Writing into a string cannot fail.
        let _ = encode_registry(&mut open_metrics, &self.registry);
        let mut text = String::with_capacity(open_metrics.len() + 1_024);
        for line in open_metrics.lines() {
            let header = line.strip_prefix("# HELP ").map(|rest| ("# HELP ", rest));
            let header = header.or(line.strip_prefix("# TYPE ").map(|rest| ("# TYPE ", rest)));
            match header.and_then(|(start, rest)| Some((start, rest.split_once(' ')?))) {
                Some((start, (name, rest))) if self.is_counter(name) => {
                    let _ = writeln!(text, "{start}{name}_total {rest}");
                }
                _ => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        text
    }

    fn is_counter(&self, registered: &str) -> bool {
        self.list.iter().any(|declared| {
            declared.kind == Kind::Counter
                && declared.name.strip_suffix("_total") == Some(registered)
        })
    }
}

const INTRODUCTION: &str = "\
# Metrics

<!-- Generated from crates/server/src/metrics.rs by `cargo xtask generate`. Do not edit. -->

Served at `/metrics` on the metrics port, in the Prometheus text format, to whoever presents the
metrics token. Counters follow committed events; gauges are read at scrape. No label holds an
identity (a station, a user, an id tag): the number of series is bounded by the code.

| name | type | labels | meaning |
| --- | --- | --- | --- |
";

/// The reference of these metrics, as Markdown.
pub(super) fn reference(declared: &[&Declared]) -> String {
    let mut text = INTRODUCTION.to_owned();
    for Declared {
        name,
        kind,
        labels,
        meaning,
    } in declared
    {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            text,
            "| `{name}` | {kind} | {} | {meaning}. |",
            labels.join(", ")
        );
    }
    text
}
