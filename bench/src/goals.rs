//! The goals, and whether a run holds them.
//!
//! A figure holds when the run reaches 0.85 of its goal, since the machine is noisy. Ratios are taken
//! within a repetition and the median of them counts. What it deliberately does not do: fail a run.

use crate::record::Record;

pub(crate) use table::GOALS;

mod table;

/// The part of a goal that a noisy machine has to reach.
const ENOUGH: f64 = 0.85;
/// What one caller may wait beside the no-op call: so many times the disk's own time, and this.
const ONE_CALLER_FDATASYNCS: f64 = 2.5;
const ONE_CALLER_ALLOWANCE_US: f64 = 50.0;

const SESSIOND: &str = "sessiond";
const NOOP: &str = "noop";

/// Something the run should reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    /// The path it is about.
    pub(crate) path: &'static str,
    /// What is measured, in words.
    pub(crate) what: &'static str,
    of: Metric,
    against: Against,
    bound: Bound,
    stretch: Option<f64>,
}

/// What is taken from a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Metric {
    Rate,
    P50,
    Fact(&'static str),
}

/// What it is divided by.
#[derive(Debug, Clone, Copy)]
enum Against {
    /// Nothing: the figure itself.
    One,
    /// The same metric of another system on the path.
    System(&'static str),
    /// The same metric of a system on another path.
    Elsewhere(&'static str, &'static str),
    /// What one caller may wait.
    OneCaller,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Told beside the others.
    Reported,
}

/// How a goal fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Held,
    Missed,
    Reported,
    /// Something it needs was not measured in this run.
    NotMeasured,
}

/// The median and the extremes of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of the figures that are numbers; none without any.
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.filter(|figure| figure.is_finite()).collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[middle - 1], figures[middle])
        } else {
            figures[middle]
        };
        Some(Self {
            median,
            least,
            most,
        })
    }
}

impl Goal {
    /// The figure in these records; none when something it needs is missing.
    pub(crate) fn figure(&self, records: &[Record]) -> Option<Spread> {
        let ours = records
            .iter()
            .filter(|record| record.path == self.path && record.system == SESSIOND);
        Spread::of(ours.filter_map(|record| self.figure_of(record, records)))
    }

    fn figure_of(&self, record: &Record, records: &[Record]) -> Option<f64> {
        let ours = self.of.of(record)?;
        let beside = |path: &str, system: &str| {
            records.iter().find(|other| {
                other.path == path
                    && other.system == system
                    && other.repetition == record.repetition
            })
        };
        let theirs = match self.against {
            Against::One => 1.0,
            Against::System(system) => self.of.of(beside(self.path, system)?)?,
            Against::Elsewhere(path, system) => self.of.of(beside(path, system)?)?,
            Against::OneCaller => {
                let noop = self.of.of(beside(self.path, NOOP)?)?;
                let disk = record.fdatasync_p50_us as f64;
                noop + ONE_CALLER_FDATASYNCS * disk + ONE_CALLER_ALLOWANCE_US
            }
        };
        Some(ours / theirs)
    }

    /// Whether that figure is enough.
    pub(crate) fn verdict(&self, figure: Option<Spread>) -> Verdict {
        let Some(figure) = figure else {
            return Verdict::NotMeasured;
        };
        let holds = match self.bound {
            Bound::AtLeast(goal) => figure.median >= goal * ENOUGH,
            Bound::AtMost(goal) => figure.median <= goal / ENOUGH,
            Bound::Reported => return Verdict::Reported,
        };
        if holds {
            Verdict::Held
        } else {
            Verdict::Missed
        }
    }

    /// The bound, as people write it, with what would be better still.
    pub(crate) fn bound(&self, figure: impl Fn(f64) -> String) -> String {
        let (sign, mut text) = match self.bound {
            Bound::AtLeast(goal) => (">=", format!(">= {}", figure(goal))),
            Bound::AtMost(goal) => ("<=", format!("<= {}", figure(goal))),
            Bound::Reported => ("", "reported".to_owned()),
        };
        if let Some(stretch) = self.stretch {
            text += &format!(" (stretch {sign} {})", figure(stretch)).replace("  ", " ");
        }
        text
    }
}

impl Metric {
    /// Its value in a record that has it.
    pub(crate) fn of(self, record: &Record) -> Option<f64> {
        match self {
            Self::Rate => record.rate,
            Self::P50 => record.p50_us.map(|us| us as f64),
            Self::Fact(name) => record.facts.get(name).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::table::UNARY_64;
    use super::*;
    use crate::path::{Path, System};
    use crate::record::Parameters;

    fn record(path: &str, system: System, repetition: usize, rate: f64) -> Record {
        Record {
            path: path.to_owned(),
            system: system.name().to_owned(),
            version: None,
            parameters: Parameters {
                payload_bytes: 2_048,
                warm_up_ms: 0,
                duration_ms: 0,
            },
            repetition,
            operations: None,
            rate: Some(rate),
            p50_us: Some(300),
            p99_us: None,
            facts: BTreeMap::new(),
            unix_ms: 0,
            fdatasync_p50_us: 100,
        }
    }

    fn first(path: &str) -> Goal {
        let found = GOALS.into_iter().find(|goal| goal.path == path);
        found.unwrap()
    }

    #[test]
    fn every_goal_names_a_path_and_a_system_that_are_measured() {
        let paths = Path::all();
        let find = |name: &str| paths.iter().find(|path| path.to_string() == name);
        for goal in GOALS {
            let systems = |path: &str| find(path).expect(goal.what).systems();
            let there = |path: &str, system: &str| {
                let named = System::named(system).expect(goal.what);
                assert!(systems(path).contains(&named), "{path} on {system}");
            };
            there(goal.path, SESSIOND);
            match goal.against {
                Against::One => {}
                Against::System(system) => there(goal.path, system),
                Against::Elsewhere(path, system) => there(path, system),
                Against::OneCaller => there(goal.path, NOOP),
            }
        }
    }

    #[test]
    fn ratios_are_taken_within_a_repetition() {
        let records = [
            record(UNARY_64, System::Sessiond, 1, 10.0),
            record(UNARY_64, System::Noop, 1, 100.0),
            record(UNARY_64, System::Sessiond, 2, 90.0),
            record(UNARY_64, System::Noop, 2, 100.0),
            record(UNARY_64, System::Sessiond, 3, 20.0),
            record(UNARY_64, System::Noop, 3, 40.0),
            record(UNARY_64, System::Sessiond, 4, 1.0),
        ];
        let figure = first(UNARY_64).figure(&records).unwrap();
        assert_eq!((figure.least, figure.median, figure.most), (0.1, 0.5, 0.9));
    }

    #[test]
    fn a_figure_holds_from_085_of_its_goal_on() {
        let goal = first(UNARY_64);
        let verdict = |median: f64| {
            let spread = Spread {
                median,
                least: 0.0,
                most: 9.0,
            };
            goal.verdict(Some(spread))
        };
        assert_eq!(verdict(0.45 * 0.85), Verdict::Held);
        assert_eq!(verdict(0.45 * 0.84), Verdict::Missed);
        assert_eq!(goal.verdict(None), Verdict::NotMeasured);
        assert_eq!(goal.verdict(goal.figure(&[])), Verdict::NotMeasured);
    }

    #[test]
    fn one_caller_is_allowed_the_disk_and_a_little() {
        let records = [
            record("enqueue/2KiB/1", System::Sessiond, 1, 1.0),
            record("enqueue/2KiB/1", System::Noop, 1, 1.0),
        ];
        let figure = first("enqueue/2KiB/1").figure(&records).unwrap();
        assert_eq!(figure.median, 300.0 / (300.0 + 250.0 + 50.0));
    }
}
