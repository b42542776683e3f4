//! Where this user's state is: `$XDG_STATE_HOME/sessiond`, by default `~/.local/state/sessiond`.
//!
//! Invariant: never the working directory, and what is created there is for its owner alone,
//! because it holds what tools printed. What this deliberately does not do: know what is kept there.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const NAME: &str = "sessiond";
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Neither variable says where to keep state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither `XDG_STATE_HOME` nor `HOME` is an absolute path")]
pub(crate) struct NoStateDir;

/// The directory, whether or not it exists.
pub(crate) fn path() -> Result<PathBuf, NoStateDir> {
    path_from(env::var_os("XDG_STATE_HOME"), env::var_os("HOME"))
}

/// Creates a directory and what is above it.
pub(crate) fn create(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
}

/// How files of the state are created.
pub(crate) fn file_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

/// Makes the names in a directory durable.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

fn path_from(state: Option<OsString>, home: Option<OsString>) -> Result<PathBuf, NoStateDir> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = state.and_then(absolute);
    let state = state.or_else(|| Some(home.and_then(absolute)?.join(".local/state")));
    Ok(state.ok_or(NoStateDir)?.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_directories_are_honoured() {
        let check = |state: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            let found = path_from(state.map(Into::into), home.map(Into::into));
            assert_eq!(found.ok(), expected.map(PathBuf::from));
        };
        check(Some("/s"), Some("/h"), Some("/s/sessiond"));
        check(None, Some("/h"), Some("/h/.local/state/sessiond"));
        // The specification says to ignore what is not absolute.
        check(Some("s"), Some("/h"), Some("/h/.local/state/sessiond"));
        check(Some(""), None, None);
        check(None, Some("h"), None);
    }
}
