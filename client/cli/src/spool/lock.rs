//! Locks between processes, on files that are never removed.
//!
//! Invariant: whoever waits does so for a bounded time; the lock of a dead process is free. What
//! this deliberately does not do: queue those who wait.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::state_dir;

/// How often somebody who waits looks again.
const POLL: Duration = Duration::from_millis(2);

/// A lock; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock if it is free.
    pub(super) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = state_dir::file_options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock, waiting for it until `patience` ends; at least one attempt is made.
    pub(super) fn take(path: &Path, patience: Instant) -> io::Result<Option<Self>> {
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(Some(lock));
            }
            if Instant::now() >= patience {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }
}
