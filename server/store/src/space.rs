//! Space: how much the file system of a data directory has left, and how much the store may ask of it next.
//!
//! Both are what the operating system says at one moment. Whether that is enough is judged elsewhere.

use std::io;
use std::path::Path;

use crate::data_dir::{JOURNAL_FILE, STORE_FILE};

/// What redb makes a file longer by at most: a region of a million pages of 4 KiB.
const REGION_BYTES: u64 = 4 << 30;

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What a process without privileges may still write.
    pub free: u64,
    /// What the larger of the store's files grows by when it is full; nothing before there is one.
    pub growth: u64,
}

/// Looks at the file system of a directory and at the store in it.
///
/// # Errors
///
/// What the operating system reports; the directory must be there.
pub fn of(directory: &Path) -> io::Result<Space> {
    let volume = rustix::fs::statvfs(directory)?;
    let mut growth = 0;
    for name in [STORE_FILE, JOURNAL_FILE] {
        growth = growth.max(step(length(&directory.join(name))?));
    }
    Ok(Space {
        free: volume.f_bavail.saturating_mul(volume.f_frsize),
        growth,
    })
}

/// A file of redb doubles until it has a whole region, and then grows by one at a time.
fn step(length: u64) -> u64 {
    length.min(REGION_BYTES)
}

fn length(path: &Path) -> io::Result<u64> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(file.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_file_says_how_much_is_asked_for_next() {
        let directory = tempfile::tempdir().expect("tempdir");
        let empty = of(directory.path()).expect("a look");
        assert_eq!(empty.growth, 0);
        assert!(empty.free > 0, "{empty:?}");
        for (name, length, growth) in [
            (JOURNAL_FILE, 1 << 20, 1 << 20),
            (STORE_FILE, 3 << 20, 3 << 20),
            (STORE_FILE, 4 << 30, 4 << 30),
            // Longer by one region and no more. Nothing is written, so it takes no room.
            (STORE_FILE, 9 << 30, 4 << 30),
        ] {
            let file = std::fs::File::create(directory.path().join(name)).expect("a file");
            file.set_len(length).expect("a length");
            assert_eq!(of(directory.path()).expect("a look").growth, growth);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_cannot_be_looked_at() {
        let directory = tempfile::tempdir().expect("tempdir");
        let error = of(&directory.path().join("none")).expect_err("there is nothing");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
