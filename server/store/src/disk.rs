//! The disk seam: how the one file of a store is opened, and the gate that stands between it and redb.
//!
//! The file is flushed and then dropped from the page cache before anything reads it: after a failed flush the cache
//! may show bytes that never reached the disk, and a store that builds on those loses everything at the next power
//! cut. What redb asks of a disk is `redb::StorageBackend`; the crash tests put a simulated one in its place. Nothing
//! here knows the name of a file or what is in it.

pub(crate) mod gate;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;

/// Only the server's own user reads or writes what agents said.
const FILE_MODE: u32 = 0o600;

/// Creates `path`, which must not exist, for the server's user alone.
///
/// # Errors
///
/// What the operating system reports; `AlreadyExists` when something has that name.
pub fn create(path: &Path) -> io::Result<FileBackend> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    backend(file)
}

/// Opens `path`, which must exist, so that reads show what is on the disk and not what is in the page cache.
///
/// # Errors
///
/// What the operating system reports, a failing flush of what an earlier process left unwritten included.
pub fn open(path: &Path) -> io::Result<FileBackend> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    // In this order: only clean pages can be dropped.
    file.sync_all()?;
    drop_cached_pages(&file)?;
    backend(file)
}

/// Makes the entries of `directory` durable: a file whose name is lost is a lost file.
///
/// # Errors
///
/// What the operating system reports.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn backend(file: File) -> io::Result<FileBackend> {
    FileBackend::new(file).map_err(io::Error::other)
}

#[cfg(target_os = "linux")]
fn drop_cached_pages(file: &File) -> io::Result<()> {
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn drop_cached_pages(_file: &File) -> io::Result<()> {
    // Two-phase commits alone keep the store whole where there is no such call.
    Ok(())
}
