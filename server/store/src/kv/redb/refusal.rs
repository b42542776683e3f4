//! Why a file is not opened as a store, in words that need no path.
//!
//! What redb reports is sorted here into what an operator can do about it: wait, run another version, look for another
//! file, restore a backup, or look at the disk. `data_dir` adds where the file is.

use std::io;

use redb::{DatabaseError, StorageError};
use thiserror::Error;

/// Why a file is not opened as a store.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Another process, or this one, has the file open.
    #[error("it is open in another process")]
    InUse,
    /// A later version of sessiond wrote it.
    #[error(
        "it was written by sessiond {writer:?} in format {schema}, and this version reads no format above {supported}"
    )]
    TooNew {
        /// The version that wrote it.
        writer: String,
        /// The format it is in.
        schema: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// An earlier version of sessiond wrote it, in a format that is not read any more.
    #[error(
        "it was written by sessiond {writer:?} in format {schema}, which this version, of format {supported}, does not read"
    )]
    TooOld {
        /// The version that wrote it.
        writer: String,
        /// The format it is in.
        schema: u32,
        /// The format this version reads.
        supported: u32,
    },
    /// It is something else than a store of sessiond.
    #[error("it is not a sessiond store: {reason}")]
    Foreign {
        /// How that shows, a fragment.
        reason: String,
    },
    /// It was a store and is damaged.
    #[error("it is damaged: {reason}")]
    Corrupt {
        /// How that shows, a fragment.
        reason: String,
    },
    /// The disk failed.
    #[error("the disk failed")]
    Io(#[from] io::Error),
}

impl Refusal {
    pub(crate) fn foreign(reason: &str) -> Self {
        Self::Foreign {
            reason: reason.to_owned(),
        }
    }

    /// What redb and the backends report as I/O is partly about the file and partly about the disk.
    fn from_io(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData {
            // redb says so when the magic number is another one.
            return Self::foreign("it does not begin like one");
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::corrupt("it is cut short");
        }
        Self::Io(error)
    }

    pub(crate) fn corrupt(reason: &str) -> Self {
        Self::Corrupt {
            reason: reason.to_owned(),
        }
    }
}

// The errors of redb are open-ended, so what is not known by name came from the file and is told as damage.

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        if let DatabaseError::UpgradeRequired(format) = error {
            return Self::foreign(&format!(
                "it is a redb file of the old format {format}, which sessiond never wrote"
            ));
        }
        redb::Error::from(error).into()
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        redb::Error::from(error).into()
    }
}

impl From<redb::Error> for Refusal {
    fn from(error: redb::Error) -> Self {
        if let redb::Error::Io(error) = error {
            return Self::from_io(error);
        }
        if let redb::Error::Corrupted(reason) = error {
            return Self::Corrupt { reason };
        }
        if matches!(error, redb::Error::DatabaseAlreadyOpen) {
            return Self::InUse;
        }
        Self::corrupt(&error.to_string())
    }
}
