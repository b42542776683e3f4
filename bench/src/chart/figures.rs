//! From records to figures: medians with their extremes, and how people write them.
//!
//! Invariant: a figure is a number and says over how many repetitions it was taken. What it deliberately
//! does not do: choose what is drawn, or place it.

use std::collections::BTreeSet;

use crate::goals::{Metric, Spread};
use crate::record::Record;
use crate::summary::number;

const US_PER_MS: f64 = 1e3;
const MS_PER_S: f64 = 1e3;
const B_PER_KB: f64 = 1e3;

/// What was found on one path of one system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    pub(super) spread: Spread,
    pub(super) repetitions: usize,
}

/// What a figure is counted in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    PerSecond,
    Micros,
    Millis,
    Seconds,
    Bytes,
}

impl Figure {
    /// Over all records of a path and a system; none when no record has the metric.
    pub(super) fn of(
        records: &[&Record],
        path: &str,
        system: &str,
        metric: Metric,
    ) -> Option<Self> {
        let some = records
            .iter()
            .filter(|record| record.path == path && record.system == system);
        let values: Vec<f64> = some.filter_map(|record| metric.of(record)).collect();
        Some(Self {
            spread: Spread::of(values.iter().copied())?,
            repetitions: values.len(),
        })
    }

    /// What one measurement found, with how far it went at most.
    pub(super) fn up_to(self, most: Self) -> Self {
        let spread = Spread {
            most: most.spread.most.max(self.spread.most),
            ..self.spread
        };
        Self { spread, ..self }
    }
}

impl Unit {
    /// A value of it, with three digits that matter.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Self::PerSecond => number(value),
            Self::Micros if value >= US_PER_MS => format!("{} ms", number(value / US_PER_MS)),
            Self::Micros => format!("{value:.0} µs"),
            Self::Seconds if value >= 1.0 => format!("{} s", number(value)),
            Self::Seconds => Self::Millis.text(value * MS_PER_S),
            Self::Millis => format!("{} ms", number(value)),
            Self::Bytes if value >= B_PER_KB => format!("{} kB", number(value / B_PER_KB)),
            Self::Bytes => format!("{value:.0} B"),
        }
    }
}

/// The repetitions behind these figures.
pub(super) fn repetitions(figures: &[Figure]) -> String {
    let counts: BTreeSet<usize> = figures.iter().map(|figure| figure.repetitions).collect();
    match (counts.first(), counts.last()) {
        (Some(1), Some(1)) => "measured once".to_owned(),
        (Some(least), Some(most)) if least == most => format!("{most} repetitions"),
        (Some(least), Some(most)) => format!("{least} to {most} repetitions"),
        _ => String::new(),
    }
}

/// What the disk needed, over all these records.
pub(super) fn disk(records: &[&Record]) -> String {
    let times = records.iter().map(|record| record.fdatasync_p50_us as f64);
    let Some(times) = Spread::of(times) else {
        return String::new();
    };
    let text = |value| Unit::Micros.text(value);
    format!(
        "This machine's fdatasync p50, 4 KiB appended: {} ({} to {}).",
        text(times.median),
        text(times.least),
        text(times.most)
    )
}

/// How long a rate was counted for.
pub(super) fn times(records: &[&Record]) -> String {
    let of = |record: &&Record| {
        let parameters = record.parameters;
        (parameters.duration_ms, parameters.warm_up_ms)
    };
    let all: BTreeSet<(u64, u64)> = records.iter().map(of).collect();
    let text = |ms| Unit::Seconds.text(ms as f64 / MS_PER_S);
    let each = all
        .into_iter()
        .map(|(counted, before)| format!("{} after {} of warm-up", text(counted), text(before)));
    let each: Vec<String> = each.collect();
    format!("Rates and p50 are counted for {}.", each.join(" or "))
}

/// A count, as short as it can be said without rounding.
pub(super) fn count(count: f64) -> String {
    let (millions, thousands) = (count / 1e6, count / 1e3);
    if millions >= 1.0 && millions.fract() == 0.0 {
        format!("{millions}M")
    } else if thousands >= 1.0 && thousands.fract() == 0.0 {
        format!("{thousands}k")
    } else {
        format!("{count}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(Unit::PerSecond.text(45_678.0), "45.7k");
        assert_eq!(Unit::Micros.text(262.4), "262 µs");
        assert_eq!(Unit::Micros.text(1_340.0), "1.34 ms");
        assert_eq!(Unit::Seconds.text(0.042), "42.0 ms");
        assert_eq!(Unit::Seconds.text(1.5), "1.50 s");
        assert_eq!(Unit::Bytes.text(812.4), "812 B");
        assert_eq!(Unit::Bytes.text(20_664.0), "20.7 kB");
        let counts = [0.0, 999.0, 20_000.0, 2_000_000.0, 12_345.0].map(count);
        assert_eq!(counts, ["0", "999", "20k", "2M", "12345"]);
    }
}
