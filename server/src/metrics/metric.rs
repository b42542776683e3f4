//! What a metric is: its name, what it says, and how its values are read off a sample.
//!
//! What this deliberately does not do: know which there are; the table does.

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::sample::Sample;

/// A metric.
#[derive(Debug)]
pub(super) struct Metric {
    /// What it is called.
    pub(super) name: &'static str,
    /// What it says.
    pub(super) help: &'static str,
    /// What it is measured in.
    pub(super) measured: Measured,
    /// Its values.
    pub(super) values: Values,
}

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    /// It is a number of something.
    Number,
    /// Time.
    Seconds,
    /// Size.
    Bytes,
}

/// How the values of a metric are read off a sample.
#[derive(Debug)]
pub(super) enum Values {
    /// Only grows while the server runs.
    Counter(fn(&Sample) -> Vec<Point<u64>>),
    /// Goes up and down.
    Gauge(fn(&Sample) -> Vec<Point<f64>>),
    /// How many were how large.
    Histogram(fn(&Sample) -> &Histogram),
}

/// One value.
#[derive(Clone, Debug)]
pub(super) struct Point<N> {
    /// Which of several.
    pub(super) labels: Vec<(&'static str, String)>,
    /// How much.
    pub(super) value: N,
}

impl Metric {
    /// The unit as the format writes it.
    pub(super) fn unit(&self) -> Option<Unit> {
        match self.measured {
            Measured::Number => None,
            Measured::Seconds => Some(Unit::Seconds),
            Measured::Bytes => Some(Unit::Bytes),
        }
    }
}

/// One of a number that only grows.
pub(super) const fn counter(
    name: &'static str,
    help: &'static str,
    read: fn(&Sample) -> Vec<Point<u64>>,
) -> Metric {
    Metric {
        name,
        help,
        measured: Measured::Number,
        values: Values::Counter(read),
    }
}

/// One that goes up and down.
pub(super) const fn gauge(
    name: &'static str,
    measured: Measured,
    help: &'static str,
    read: fn(&Sample) -> Vec<Point<f64>>,
) -> Metric {
    Metric {
        name,
        help,
        measured,
        values: Values::Gauge(read),
    }
}

/// One of how many were how large.
pub(super) const fn histogram(
    name: &'static str,
    measured: Measured,
    help: &'static str,
    read: fn(&Sample) -> &Histogram,
) -> Metric {
    Metric {
        name,
        help,
        measured,
        values: Values::Histogram(read),
    }
}
