//! Place: the file of a session's export, by names that the server makes.
//!
//! Invariant: no two sessions have the same file, though a session may be opened under the id of one that was purged: the
//! name has the identity of the log, the session's number in it, and when it was opened. What callers chose is there for
//! people to find, escaped and cut, and leads nowhere. What this deliberately does not do: touch a disk.

use std::path::{Path, PathBuf};

use sessiond_core::session::SessionRow;

/// Bytes of a name of a caller's that are kept; with the rest a file's name stays below the 255 that file systems take.
const READABLE_BYTES_MAX: usize = 120;

/// Where an export goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory of all exports.
    pub directory: PathBuf,
    /// The folder in it.
    pub folder: String,
    /// The file in that.
    pub name: String,
}

impl Place {
    /// The place of a session of this log.
    #[must_use]
    pub fn of(directory: &Path, session: &SessionRow, log_id: &str) -> Self {
        let id = readable(session.id.as_str());
        let (no, opened) = (session.no, session.create_time.0);
        Self {
            directory: directory.to_owned(),
            folder: readable(session.namespace.as_str()),
            name: format!("{id}.{no}-{opened}.{log_id}.export"),
        }
    }

    /// The name of the file until it is whole.
    #[must_use]
    pub fn unfinished(&self) -> String {
        format!(".{}.part", self.name)
    }

    /// The file, for people.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.folder).join(&self.name)
    }
}

/// A name as one of a file: what is not a letter, a digit, `-` or `_` is escaped, and so is a dot, so that none is hidden or
/// leads up.
fn readable(name: &str) -> String {
    let mut readable = String::new();
    for byte in name.bytes() {
        let piece = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        if readable.len() + piece.len() > READABLE_BYTES_MAX {
            break;
        }
        readable.push_str(&piece);
    }
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_and_fits() {
        assert_eq!(readable("agent:main-1_a"), "agent%3Amain-1_a");
        assert_eq!(
            readable("../../etc/passwd"),
            "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd"
        );
        assert_eq!(readable("."), "%2E");
        assert_eq!(readable("ü"), "%C3%BC");
        assert_eq!(readable(&"a".repeat(256)).len(), READABLE_BYTES_MAX);
        // An escape is there or not.
        assert_eq!(
            readable(&"/".repeat(256)),
            "%2F".repeat(READABLE_BYTES_MAX / 3)
        );
        let longest = Place {
            directory: PathBuf::new(),
            folder: String::new(),
            name: format!(
                "{}.{}-{}.{}.export",
                "a".repeat(READABLE_BYTES_MAX),
                u64::MAX,
                u64::MAX,
                uuid::Uuid::nil()
            ),
        };
        assert!(
            longest.unfinished().len() <= 255,
            "{}",
            longest.unfinished()
        );
    }
}
