//! The directory a server owns: made, locked, checked, and the store in it opened.
//!
//! One process at a time, its own user only. A refusal is one sentence that says what to do, and leaves the store's
//! files as they were. A file under its final name is always whole: a new one is made under another name, and renamed
//! once its first commit is durable, the journal first. So what a crash leaves of a creation is a journal in which
//! nothing was ever written, or less; it is recognised and made again. Therefore an empty or cut file under the final
//! name is damage and not a beginning, and so is one file without the other.
//! A full disk opens too, as long as there is ballast to remove (`ballast.rs`).
//! Migrations, backups and the choice of the directory are not here.

mod ballast;
mod lock;
mod open_error;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub use self::ballast::{BALLAST_BYTES, lay as lay_ballast};
pub use self::open_error::OpenError;

use redb::backends::FileBackend;

use crate::disk;
use crate::kv::journaled::{Disks, JournaledKv, Refused};
use crate::kv::redb::{Identity, Tuning};
use crate::space::{self, Space};

/// The file of the tables.
pub const STORE_FILE: &str = "state.redb";
/// The file of the journal.
pub const JOURNAL_FILE: &str = "journal.redb";
/// The tables of a store that is being made. What is left of one is nobody's data.
pub const NEW_STORE_FILE: &str = "state.redb.new";
/// The journal of a store that is being made.
pub const NEW_JOURNAL_FILE: &str = "journal.redb.new";
/// The file whose lock makes a process the owner. It is never removed, for another process might just have opened it.
pub const LOCK_FILE: &str = "LOCK";
/// The file that holds back room, to be removed when there is none left.
pub const BALLAST_FILE: &str = "ballast";

const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of a group or of others.
const FOREIGN_MODE: u32 = 0o077;

/// Opens the store in `directory`; makes both if they are not there. The directory stays locked until the store is
/// dropped. Nothing is acknowledged before this returns. On a full disk its ballast is removed first.
///
/// # Errors
///
/// The refusal that applies. The store's files are then as they were, except after `OpenError::Io`, which may leave part of
/// a repair behind that the next open completes.
pub fn open(directory: &Path, identity: &Identity) -> Result<JournaledKv, OpenError> {
    open_with(directory, identity, &space::of)
}

/// The same where `look` says how much room there is.
///
/// # Errors
///
/// As [`open`].
pub fn open_with(
    directory: &Path,
    identity: &Identity,
    look: &dyn Fn(&Path) -> io::Result<Space>,
) -> Result<JournaledKv, OpenError> {
    make_directory(directory).map_err(|error| OpenError::io(directory, error))?;
    check_directory(directory)?;
    let mut lock = lock::take(directory)?;
    // The first thing that is written on a full disk, be it a process id, needs the room that this makes.
    ballast::relieve(directory, look);
    lock::sign(&mut lock, directory)?;
    let state = find(directory.join(STORE_FILE))?;
    let journal = find(directory.join(JOURNAL_FILE))?;
    let kv = match (state, journal) {
        (Found::File(state), Found::File(journal)) => open_existing(&state, &journal, identity)?,
        (Found::Nothing(_), Found::Nothing(_)) => create(directory, identity)?,
        (Found::Nothing(state), Found::File(journal)) => {
            refuse_used(&state, &journal)?;
            create(directory, identity)?
        }
        (Found::File(_), Found::Nothing(path)) => {
            return Err(OpenError::Corrupted {
                path,
                reason: "it is missing beside the state, and may have held commits".to_owned(),
            });
        }
    };
    Ok(kv.with_lock(lock))
}

/// What has the name of a file of ours.
enum Found {
    File(PathBuf),
    Nothing(PathBuf),
}

fn find(path: PathBuf) -> Result<Found, OpenError> {
    match fs::symlink_metadata(&path) {
        Ok(file) if file.is_file() => Ok(Found::File(path)),
        Ok(_) => Err(OpenError::NotAStore {
            path,
            reason: "it is not a regular file".to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing(path)),
        Err(error) => Err(OpenError::io(&path, error)),
    }
}

fn open_existing(
    state: &Path,
    journal: &Path,
    identity: &Identity,
) -> Result<JournaledKv, OpenError> {
    let disks = Disks {
        state: disk::open(state).map_err(|error| OpenError::io(state, error))?,
        journal: disk::open(journal).map_err(|error| OpenError::io(journal, error))?,
    };
    JournaledKv::open_on(disks, identity, Tuning::default())
        .map_err(|refused| refused.at(state, journal))
}

/// A journal alone is what a crash leaves of a creation, unless something was committed to it.
fn refuse_used(state: &Path, journal: &Path) -> Result<(), OpenError> {
    let disk = disk::open(journal).map_err(|error| OpenError::io(journal, error))?;
    match JournaledKv::is_unused_journal(disk, Tuning::default()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError::Corrupted {
            path: state.to_path_buf(),
            reason: "it is missing beside a journal that holds commits".to_owned(),
        }),
        Err(refusal) => Err(OpenError::refused(journal, refusal)),
    }
}

fn create(directory: &Path, identity: &Identity) -> Result<JournaledKv, OpenError> {
    let state = directory.join(NEW_STORE_FILE);
    let journal = directory.join(NEW_JOURNAL_FILE);
    let disks = Disks {
        state: create_disk(&state)?,
        journal: create_disk(&journal)?,
    };
    let kv = JournaledKv::create_on(disks, identity, Tuning::default())
        .map_err(|refused| refused.at(&state, &journal))?;
    // One after the other: tables without a journal would be damage.
    for (unfinished, name) in [(journal, JOURNAL_FILE), (state, STORE_FILE)] {
        let path = directory.join(name);
        fs::rename(&unfinished, &path)
            .and_then(|()| disk::sync_directory(directory))
            .map_err(|error| OpenError::io(&path, error))?;
    }
    Ok(kv)
}

fn create_disk(path: &Path) -> Result<FileBackend, OpenError> {
    remove_if_there(path)
        .and_then(|()| disk::create(path))
        .map_err(|error| OpenError::io(path, error))
}

impl Refused {
    /// The refusal with the name of the file it is about.
    fn at(self, state: &Path, journal: &Path) -> OpenError {
        match self {
            Self::State(refusal) => OpenError::refused(state, refusal),
            Self::Journal(refusal) => OpenError::refused(journal, refusal),
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a directory and what is missing above it, with mode 0700, each entry durable before the next one depends on it.
///
/// # Errors
///
/// What the operating system reports.
pub fn make_directory(directory: &Path) -> io::Result<()> {
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
