//! The disk under the data: how long a durable append takes, and whether there is a disk at all.
//!
//! Every durable figure is read beside this one. What it deliberately does not do: model what a
//! database does; it appends 4 KiB to a growing file and syncs, nothing else.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::samples::latencies;

/// Bytes of one append.
const APPEND_BYTES: usize = 4_096;
/// Appends of one measurement: enough for a median, few enough to take some 20 ms on a fast disk.
const APPENDS: usize = 150;
/// A slow disk is measured by as many as fit.
const MEASURE_WITHIN: Duration = Duration::from_millis(500);
/// What `statfs` calls a file system in memory.
const TMPFS: u64 = 0x0102_1994;

/// The median time of an append of 4 KiB with `fdatasync`, to a file that grows in this directory.
///
/// # Errors
/// The system's.
pub(crate) fn fdatasync_p50(directory: &Path) -> Result<Duration> {
    let mut file =
        tempfile::tempfile_in(directory).context("failed to make a file to append to")?;
    let block = [0x5a; APPEND_BYTES];
    let mut taken = latencies();
    let start = Instant::now();
    for _ in 0..APPENDS {
        let begun = Instant::now();
        file.write_all(&block).context("failed to append")?;
        file.sync_data().context("failed to sync")?;
        taken.saturating_record(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        if start.elapsed() > MEASURE_WITHIN {
            break;
        }
    }
    Ok(Duration::from_micros(taken.value_at_quantile(0.5)))
}

/// Whether the directory is kept in memory, where nothing is durable and syncing costs nothing.
///
/// # Errors
/// The system's.
pub(crate) fn is_in_memory(directory: &Path) -> Result<bool> {
    let found = rustix::fs::statfs(directory).context("failed to look at the file system")?;
    Ok(u64::try_from(found.f_type).is_ok_and(|kind| kind == TMPFS))
}
