//! What a store says when it cannot do its work.
//!
//! A fault is never a business answer: it means that the disk, the file or the store itself failed, and the only
//! right reaction is to stop acknowledging and end the process. Refusals at the time of opening are not here, they
//! are `OpenError`; and nothing here tells one I/O error from another, because none of them may be retried.

use std::error::Error;
use std::fmt;

use thiserror::Error;

use crate::kv::Table;

/// What the store was doing when the layer below it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Beginning or ending a read view, or reading through one.
    Read,
    /// Writing rows into a commit.
    Write,
    /// Making a commit durable.
    Commit,
    /// Verifying the whole file.
    Check,
}

/// The store failed. After any of these the store refuses every further commit.
#[derive(Debug, Error)]
pub enum Fault {
    /// A row was read whose checksum does not match its bytes: it is not what was once committed.
    #[error("row {} of table {} is corrupt: its checksum does not match", Hex(key), table.name())]
    Corrupt {
        /// The table of the row.
        table: Table,
        /// The key of the row as it was read.
        key: Vec<u8>,
    },
    /// A row has the right checksum and still is no row of this schema: a defect of the writer, not of the disk.
    #[error("row {} of table {} cannot be decoded: {reason}", Hex(key), table.name())]
    Malformed {
        /// The table of the row.
        table: Table,
        /// The key of the row.
        key: Vec<u8>,
        /// What is wrong with it, a fragment.
        reason: String,
    },
    /// The file or the disk under the store failed.
    #[error("failed to {step}")]
    Storage {
        /// What the store was doing.
        step: Step,
        /// What the layer below reported.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An earlier fault stopped the store; nothing was tried.
    #[error("the store stopped at an earlier fault: {first}")]
    Stopped {
        /// The first fault in words, its causes included.
        first: String,
    },
}

impl Fault {
    /// The fault and its causes in one line.
    pub fn describe(&self) -> String {
        let mut words = self.to_string();
        let mut cause = self.source();
        while let Some(inner) = cause {
            words.push_str(": ");
            words.push_str(&inner.to_string());
            cause = inner.source();
        }
        words
    }

    pub(crate) fn storage(step: Step, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Storage {
            step,
            source: Box::new(source),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read from the store",
            Self::Write => "write rows to the store",
            Self::Commit => "make a commit durable",
            Self::Check => "verify the store",
        })
    }
}

/// The longest part of a key that is shown, in bytes. Keys are short; a damaged one may be anything.
const SHOWN_KEY_BYTES: usize = 64;

/// Shows a key in hexadecimal, for keys are bytes and may hold what a terminal obeys.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        for byte in self.0.iter().take(SHOWN_KEY_BYTES) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > SHOWN_KEY_BYTES {
            write!(f, "... ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrupt_row_is_named_by_table_and_key() {
        let fault = Fault::Corrupt {
            table: Table::Sessions,
            key: vec![0, 0x1b, 0xff],
        };
        assert_eq!(
            fault.to_string(),
            "row 0x001bff of table sessions.v1 is corrupt: its checksum does not match"
        );
    }

    #[test]
    fn a_long_key_is_cut_and_its_length_told() {
        let shown = Hex(&[7; 100]).to_string();
        assert!(shown.starts_with("0x0707"), "{shown}");
        assert!(shown.ends_with("... (100 bytes)"), "{shown}");
    }

    #[test]
    fn a_description_holds_the_causes() {
        let fault = Fault::storage(Step::Commit, std::io::Error::other("disk on fire"));
        assert_eq!(
            fault.describe(),
            "failed to make a commit durable: disk on fire"
        );
    }
}
