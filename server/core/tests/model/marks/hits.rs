//! How often the marks were hit, in one run and in all.

use std::fmt;

use super::{ALL, Mark};

/// How often each mark was hit.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    hits: Vec<u64>,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            hits: vec![0; ALL.len()],
        }
    }
}

impl Marks {
    pub(crate) fn hit(&mut self, mark: Mark) {
        self.hits[mark as usize] += 1;
    }

    pub(crate) fn hit_if(&mut self, condition: bool, mark: Mark) {
        if condition {
            self.hit(mark);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, hits) in self.hits.iter_mut().zip(&other.hits) {
            *sum += hits;
        }
    }

    pub(crate) fn missed(&self) -> Vec<Mark> {
        let missed = ALL.iter().filter(|mark| self.hits[**mark as usize] == 0);
        missed.copied().collect()
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mark in ALL {
            write!(f, "{mark:?} {}  ", self.hits[*mark as usize])?;
        }
        Ok(())
    }
}
