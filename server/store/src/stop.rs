//! The latch above the seam: a row that makes no sense stops commits, as a row that does not verify does below it.
//!
//! The store and all its readers share one. It holds the first fault and never lets go. Reads go on: they show what was
//! committed, and whoever meets the fault ends the process.

use std::sync::{Arc, OnceLock};

use crate::fault::Fault;

/// Shared by the store, its readers and their snapshots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    first: Arc<OnceLock<String>>,
}

impl Stop {
    /// `Fault::Stopped` once anything has failed.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        match self.first.get() {
            None => Ok(()),
            Some(first) => Err(Fault::Stopped {
                first: first.clone(),
            }),
        }
    }

    /// Passes `result` on, and remembers its fault when it is the first.
    pub(crate) fn note<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &result {
            self.first.get_or_init(|| fault.describe());
        }
        result
    }
}
