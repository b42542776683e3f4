//! In which moments of a store's life the power was cut: a test that never met one has not tested it.
//!
//! A moment is told from where a call lies among the calls of a run, not from what the store did. What a promise is
//! worth at a moment is not known here.

use std::sync::atomic::{AtomicU64, Ordering};

/// A moment in which the power can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Some of what a commit wrote to the journal is on the disk and some is not.
    TornAppend,
    /// In a commit that removes from the journal what a checkpoint carried into the state.
    Trim,
    /// A checkpoint is due and has not written anything.
    BeforeCheckpoint,
    /// A checkpoint has written something, or all, and does not know that it counts.
    InCheckpoint,
    /// A checkpoint counts, and the journal still has what it carried.
    AfterCheckpoint,
    /// After a checkpoint that had nothing to carry.
    AfterEmptyCheckpoint,
    /// While the store makes its next opening a quick one.
    InSettle,
    /// While both files are closed.
    InClose,
    /// In an opening that had commits to replay from the journal.
    InReplay,
    /// In an opening that had none.
    InOpening,
    /// In the opening after one that was cut short.
    InNextOpening,
}

impl Moment {
    const COUNT: usize = Self::InNextOpening as usize + 1;
}

/// How often each moment was met.
#[derive(Debug, Default)]
pub(crate) struct Met {
    counts: [AtomicU64; Moment::COUNT],
}

impl Met {
    pub(crate) fn note(&self, moment: Moment) {
        self.counts[moment as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often each of `moments` was met.
    pub(crate) fn counts(&self, moments: &[Moment]) -> Vec<(Moment, u64)> {
        moments
            .iter()
            .map(|moment| {
                (
                    *moment,
                    self.counts[*moment as usize].load(Ordering::Relaxed),
                )
            })
            .collect()
    }
}

/// Fails when one of the moments was never met.
pub(crate) fn assert_all(counts: &[(Moment, u64)]) {
    assert!(counts.iter().all(|(_, count)| *count > 0), "{counts:?}");
}
