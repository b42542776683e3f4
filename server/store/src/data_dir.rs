//! The directory a server owns: made, locked, checked, and the store in it opened.
//!
//! One process at a time, its own user only. A refusal is one sentence that says what to do, and leaves the store's
//! file as it was. A file under its final name always holds a whole store: a new one is made under another name, and
//! renamed once its first commit is durable, so what a crash leaves of a creation is recognised and made again.
//! Therefore an empty or cut file under the final name is damage and not a beginning, and is refused.
//! Migrations, backups and the choice of the directory are not here.

mod lock;
mod open_error;

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub use self::open_error::OpenError;

use crate::disk;
use crate::kv::redb::{Identity, RedbKv, Tuning};

/// The file of the store.
pub const STORE_FILE: &str = "state.redb";

/// The file of a store that is being made. What is left of one is nobody's data.
pub const NEW_STORE_FILE: &str = "state.redb.new";

/// The file whose lock makes a process the owner. It is never removed, for another process might just have opened it.
pub const LOCK_FILE: &str = "LOCK";

const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of a group or of others.
const FOREIGN_MODE: u32 = 0o077;

/// Opens the store in `directory`; makes both if they are not there. The directory stays locked until the store is
/// dropped. Nothing is acknowledged before this returns.
///
/// # Errors
///
/// The refusal that applies. The store's file is then as it was, except after `OpenError::Io`, which may leave part of
/// a repair behind that the next open completes.
pub fn open(directory: &Path, identity: &Identity) -> Result<RedbKv, OpenError> {
    make_directory(directory).map_err(|error| OpenError::io(directory, error))?;
    check_directory(directory)?;
    let lock = lock::take(directory)?;
    let kv = match fs::symlink_metadata(directory.join(STORE_FILE)) {
        Ok(file) => open_existing(directory, &file, identity)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(directory, identity)?,
        Err(error) => return Err(OpenError::io(&directory.join(STORE_FILE), error)),
    };
    Ok(kv.with_lock(lock))
}

fn open_existing(
    directory: &Path,
    file: &Metadata,
    identity: &Identity,
) -> Result<RedbKv, OpenError> {
    let path = directory.join(STORE_FILE);
    if !file.is_file() {
        return Err(OpenError::NotAStore {
            path,
            reason: "it is not a regular file".to_owned(),
        });
    }
    let disk = disk::open(&path).map_err(|error| OpenError::io(&path, error))?;
    RedbKv::open_on(disk, identity, Tuning::default())
        .map_err(|refusal| OpenError::refused(&path, refusal))
}

fn create(directory: &Path, identity: &Identity) -> Result<RedbKv, OpenError> {
    let unfinished = directory.join(NEW_STORE_FILE);
    let path = directory.join(STORE_FILE);
    let failed = |error| OpenError::io(&unfinished, error);
    remove_if_there(&unfinished).map_err(failed)?;
    let disk = disk::create(&unfinished).map_err(failed)?;
    let kv = RedbKv::create_on(disk, identity, Tuning::default())
        .map_err(|refusal| OpenError::refused(&unfinished, refusal))?;
    fs::rename(&unfinished, &path)
        .and_then(|()| disk::sync_directory(directory))
        .map_err(|error| OpenError::io(&path, error))?;
    Ok(kv)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the directory and what is missing above it, each entry durable before the next one depends on it.
fn make_directory(directory: &Path) -> io::Result<()> {
    let missing = directory
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .map(Path::to_path_buf)
        .collect::<Vec<PathBuf>>();
    for path in missing.iter().rev() {
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            // Somebody else was quicker; the checks that follow judge what they made.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => disk::sync_directory(parent(path))?,
        }
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

fn check_directory(directory: &Path) -> Result<(), OpenError> {
    let found = fs::metadata(directory).map_err(|error| OpenError::io(directory, error))?;
    if !found.is_dir() {
        return Err(OpenError::NotADirectory {
            path: directory.to_path_buf(),
        });
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & FOREIGN_MODE != 0 {
        return Err(OpenError::TooOpen {
            path: directory.to_path_buf(),
            mode,
        });
    }
    Ok(())
}
