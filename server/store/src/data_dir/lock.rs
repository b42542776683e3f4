//! The lock that makes one process the owner of a data directory.
//!
//! The operating system releases it when the process ends, however it ends. The process id in the file is for the
//! message of whoever comes second and is believed by nobody: only the lock counts.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process;

use super::{LOCK_FILE, OpenError};

const FILE_MODE: u32 = 0o600;

/// The longest content that can be a process id, in bytes.
const PID_BYTES: u64 = 20;

/// Takes the lock of `directory` for as long as the answer lives, without waiting.
pub(crate) fn take(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|error| OpenError::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: directory.to_path_buf(),
            holder: holder(&file),
        }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&path, error)),
    }
}

/// Leaves the process id of the owner in a lock that was taken.
pub(crate) fn sign(lock: &mut File, directory: &Path) -> Result<(), OpenError> {
    leave_pid(lock).map_err(|error| OpenError::io(&directory.join(LOCK_FILE), error))
}

fn leave_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(process::id().to_string().as_bytes())
}

/// Who says to hold the lock, if that can be read at all.
fn holder(file: &File) -> Option<u32> {
    let mut content = String::new();
    file.take(PID_BYTES).read_to_string(&mut content).ok()?;
    content.trim().parse().ok()
}
