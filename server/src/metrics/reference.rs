//! The reference of all metrics, for people: made from the table that the server itself goes by.

use super::PREFIX;
use super::metric::{Measured, Metric, Values};
use super::table::METRICS;

/// What there is to say of metrics as a whole.
const INTRODUCTION: &str = include_str!("reference.md");

/// `docs/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for metric in METRICS {
        let (kind, help) = (kind(metric), metric.help);
        text.push_str(&format!("| `{}` | {kind} | {help} |\n", name(metric)));
    }
    text
}

/// What a metric is called in a query.
fn name(metric: &Metric) -> String {
    let unit = match metric.measured {
        Measured::Number => "",
        Measured::Seconds => "_seconds",
        Measured::Bytes => "_bytes",
    };
    let end = match metric.values {
        Values::Counter(_) => "_total",
        Values::Gauge(_) | Values::Histogram(_) => "",
    };
    format!("{PREFIX}_{}{unit}{end}", metric.name)
}

fn kind(metric: &Metric) -> &'static str {
    match metric.values {
        Values::Counter(_) => "counter",
        Values::Gauge(_) => "gauge",
        Values::Histogram(_) => "histogram",
    }
}
