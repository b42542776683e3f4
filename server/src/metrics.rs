//! `/metrics`: what is counted, in the text format of OpenMetrics, for Prometheus and its like.
//!
//! Every value is asked for when somebody scrapes, where the calls and the records have it: what GetStats and
//! ListSubscriptions say is said here too, out of the same answers, so the two cannot disagree. Only what calls do not tell is
//! kept for it: how long commits take and how large they are (`engine::Progress`), and how calls are answered (`calls`).
//! Invariant: every metric is there from the first scrape on, and each has a bounded number of series: for a state, a call, a
//! reason or a subscription, never for a session. What this deliberately does not do: tell of single sessions, or judge.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use crate::grpc::context::Context;

pub(crate) mod calls;
mod metric;
mod process;
pub mod reference;
mod sample;
mod table;

use calls::Calls;
use metric::{Metric, Point, Values};
use sample::Sample;
use table::METRICS;

/// Goes before every name.
const PREFIX: &str = "sessiond";

/// What the text is, as scrapers ask for it.
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/metrics`.
pub(crate) fn route(context: &Arc<Context>, calls: &Calls) -> Router {
    let (context, calls) = (Arc::clone(context), calls.clone());
    let page = move || page(Arc::clone(&context), calls.clone());
    Router::new().route("/metrics", get(page))
}

async fn page(context: Arc<Context>, calls: Calls) -> Response {
    match Sample::take(&context, calls).await {
        Ok(sample) => ([(CONTENT_TYPE, FORMAT)], written(sample)).into_response(),
        // The store cannot be read: the process is about to end.
        Err(status) => {
            let why = format!("{}\n", status.message());
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

/// A sample as text.
fn written(sample: Sample) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(sample));
    let mut page = String::new();
    text::encode(&mut page, &registry).expect("a String takes everything");
    page
}

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        METRICS
            .iter()
            .try_for_each(|metric| metric.write(self, &mut encoder))
    }
}

impl Metric {
    fn write(&self, sample: &Sample, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let unit = self.unit();
        let kind = self.values.kind();
        let mut encoder = encoder.encode_descriptor(self.name, self.help, unit.as_ref(), kind)?;
        match &self.values {
            Values::Counter(read) => each(read(sample), &mut encoder, |point, encoder| {
                let none: Option<&Exemplar<[(&str, &str); 0], f64>> = None;
                encoder.encode_counter(&point, none)
            }),
            Values::Gauge(read) => each(read(sample), &mut encoder, |point, encoder| {
                encoder.encode_gauge(&point)
            }),
            Values::Histogram(read) => read(sample).encode(encoder),
        }
    }
}

impl Values {
    fn kind(&self) -> MetricType {
        match self {
            Self::Counter(_) => MetricType::Counter,
            Self::Gauge(_) => MetricType::Gauge,
            Self::Histogram(_) => MetricType::Histogram,
        }
    }
}

fn each<N: Copy>(
    points: Vec<Point<N>>,
    encoder: &mut MetricEncoder<'_>,
    write: impl Fn(N, &mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    points.into_iter().try_for_each(|point| {
        if point.labels.is_empty() {
            return write(point.value, encoder);
        }
        write(point.value, &mut encoder.encode_family(&point.labels)?)
    })
}
