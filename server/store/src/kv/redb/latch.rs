//! The latch that makes a store stop for good at its first fault.
//!
//! Once it holds a fault it never lets go: the only way on is a new process that reads the disk again. It stops
//! commits; whether reads go on is decided by who asks it. A panic below is a fault like any other: redb panics on
//! some damaged pages, and a handler that dies of one must not leave a store behind that goes on.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, OnceLock};

use thiserror::Error;

use crate::fault::{Fault, Step};

/// What redb said is on standard error, where the panic hook wrote it.
#[derive(Debug, Error)]
#[error("redb panicked, which it does on some damaged files")]
struct Panicked;

/// Shared by the store and its snapshots: a row that does not verify stops commits too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latch {
    first: Arc<OnceLock<String>>,
}

impl Latch {
    /// `Fault::Stopped` once anything has failed.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        match self.first.get() {
            None => Ok(()),
            Some(first) => Err(Fault::Stopped {
                first: first.clone(),
            }),
        }
    }

    /// Does `work`, and remembers its fault or its panic when it is the first.
    pub(crate) fn run<T>(
        &self,
        step: Step,
        work: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        // Whatever a panic leaves half done is never used again: the latch stops commits, redb's own locks the rest.
        let result = panic::catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(Fault::storage(step, Panicked)));
        if let Err(fault) = &result {
            self.first.get_or_init(|| {
                let first = fault.describe();
                tracing::error!(fault = first, "the store failed and takes no more commits");
                first
            });
        }
        result
    }
}
