//! How often the marks were hit, in one run and in all.

use std::fmt;

use super::Mark;
use super::drains::Drains;
use super::exports::Exports;
use super::outside::Outside;
use super::subscriptions::Subscriptions;

/// A mark of any list.
pub(crate) trait Listed: Copy {
    /// Its place among all marks.
    fn place(self) -> usize;
}

impl Listed for Mark {
    fn place(self) -> usize {
        self as usize
    }
}

impl Listed for Outside {
    fn place(self) -> usize {
        Mark::NAMES.len() + self as usize
    }
}

impl Listed for Exports {
    fn place(self) -> usize {
        Mark::NAMES.len() + Outside::NAMES.len() + self as usize
    }
}

impl Listed for Drains {
    fn place(self) -> usize {
        let before = Mark::NAMES.len() + Outside::NAMES.len() + Exports::NAMES.len();
        before + self as usize
    }
}

impl Listed for Subscriptions {
    fn place(self) -> usize {
        let before = [Mark::NAMES, Outside::NAMES, Exports::NAMES, Drains::NAMES];
        before.map(<[&str]>::len).iter().sum::<usize>() + self as usize
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    let others = Outside::NAMES
        .iter()
        .chain(Exports::NAMES)
        .chain(Drains::NAMES)
        .chain(Subscriptions::NAMES);
    Mark::NAMES.iter().chain(others).copied()
}

/// How often each mark was hit.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    hits: Vec<u64>,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            hits: vec![0; names().count()],
        }
    }
}

impl Marks {
    pub(crate) fn hit(&mut self, mark: impl Listed) {
        self.hits[mark.place()] += 1;
    }

    pub(crate) fn hit_if(&mut self, condition: bool, mark: impl Listed) {
        if condition {
            self.hit(mark);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, hits) in self.hits.iter_mut().zip(&other.hits) {
            *sum += hits;
        }
    }

    pub(crate) fn missed(&self) -> Vec<&'static str> {
        let all = names().zip(&self.hits);
        all.filter(|(_, hits)| **hits == 0)
            .map(|(name, _)| name)
            .collect()
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, hits) in names().zip(&self.hits) {
            write!(f, "{name} {hits}  ")?;
        }
        Ok(())
    }
}
