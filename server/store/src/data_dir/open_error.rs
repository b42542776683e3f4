//! Why a data directory is not opened: each variant one sentence that an operator can act on.
//!
//! The sentences name the path and, where there is one, the command that helps. Causes that only the operating system
//! can word are sources and not part of the sentence.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::kv::redb::Refusal;

/// Why a data directory is not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process owns the directory.
    #[error("data directory {path:?} is in use by another sessiond{}", pid(*holder))]
    InUse {
        /// The directory, or the file in it that is locked.
        path: PathBuf,
        /// The process id the owner left, if it could be read.
        holder: Option<u32>,
    },
    /// The operating system denies access.
    #[error(
        "{path:?} may not be read and written by this user: run as the user that owns it, or change its owner"
    )]
    NotPermitted {
        /// What was tried to open or make.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The path of the directory leads to something else.
    #[error("{path:?} is not a directory: give sessiond a directory of its own")]
    NotADirectory {
        /// The path that was given.
        path: PathBuf,
    },
    /// Other users may look into the directory.
    #[error(
        "data directory {path:?} is open to other users (mode {mode:04o}): run `chmod 700 {path:?}`"
    )]
    TooOpen {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A later version of sessiond wrote the store.
    #[error(
        "store {path:?} was written by sessiond {writer:?} in format {schema}, and this version reads no format above {supported}: run that version or a later one"
    )]
    TooNew {
        /// The file of the store.
        path: PathBuf,
        /// The version that wrote it.
        writer: String,
        /// The format it is in.
        schema: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// An earlier version of sessiond wrote the store, in a format that is not read any more.
    #[error(
        "store {path:?} was written by sessiond {writer:?} in format {schema}, which this version, of format {supported}, does not read: run that version, or give this one a new data directory"
    )]
    TooOld {
        /// The file of the store.
        path: PathBuf,
        /// The version that wrote it.
        writer: String,
        /// The format it is in.
        schema: u32,
        /// The format this version reads.
        supported: u32,
    },
    /// The file is something else than a store.
    #[error("{path:?} is not a sessiond store: {reason}")]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// How that shows, a fragment.
        reason: String,
    },
    /// The file was a store and is damaged.
    #[error("store {path:?} is damaged: {reason}; keep the file and restore a backup")]
    Corrupted {
        /// The file of the store.
        path: PathBuf,
        /// How that shows, a fragment.
        reason: String,
    },
    /// The disk failed, or has no room.
    #[error("failed to open {path:?}")]
    Io {
        /// What was tried to open or make.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Self::NotPermitted { path, source };
        }
        if source.kind() == io::ErrorKind::NotADirectory {
            return Self::NotADirectory { path };
        }
        Self::Io { path, source }
    }

    pub(crate) fn refused(path: &Path, refusal: Refusal) -> Self {
        let path = path.to_path_buf();
        match refusal {
            Refusal::InUse => Self::InUse { path, holder: None },
            Refusal::TooNew {
                writer,
                schema,
                supported,
            } => Self::TooNew {
                path,
                writer,
                schema,
                supported,
            },
            Refusal::TooOld {
                writer,
                schema,
                supported,
            } => Self::TooOld {
                path,
                writer,
                schema,
                supported,
            },
            Refusal::Foreign { reason } => Self::NotAStore { path, reason },
            Refusal::Corrupt { reason } => Self::Corrupted { path, reason },
            Refusal::Io(source) => Self::Io { path, source },
        }
    }
}

fn pid(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the operating system denies a user cannot be shown to a test that may run as root; the sorting can.
    #[test]
    fn what_the_system_denies_is_told_as_such() {
        let denied = OpenError::io(Path::new("data"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            denied.to_string(),
            "\"data\" may not be read and written by this user: run as the user that owns it, or change its owner"
        );
        let full = OpenError::io(Path::new("data"), io::ErrorKind::StorageFull.into());
        assert!(matches!(full, OpenError::Io { .. }), "{full}");
    }
}
