//! A count that threads add to and wait for: how far a test is.
//!
//! Invariant: who waits is woken by every addition, so nobody polls. What it deliberately does not do:
//! say what is counted.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The count. Clones are the same count.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    count: Mutex<u64>,
    grown: Condvar,
}

impl Progress {
    /// Adds one.
    pub fn step(&self) {
        let count = self.shared.count.lock();
        *count.unwrap_or_else(PoisonError::into_inner) += 1;
        self.shared.grown.notify_all();
    }

    /// How far it is.
    #[must_use]
    pub fn count(&self) -> u64 {
        let count = self.shared.count.lock();
        *count.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the count is at least `goal`; answers the count, which is less when `within` is over.
    #[must_use]
    pub fn reach(&self, goal: u64, within: Duration) -> u64 {
        let count = self.shared.count.lock();
        let count = count.unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .shared
            .grown
            .wait_timeout_while(count, within, |count| *count < goal);
        let (count, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *count
    }
}
