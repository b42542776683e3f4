//! The log file of the hooks, for whoever wonders where an event went.
//!
//! Invariant: bounded, and writing to it never fails and never prints. What this deliberately does
//! not do: hold what the events say.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::output::table::printable;
use crate::state_dir;

/// A log of this many bytes becomes the old one, of which there is one.
const JOURNAL_BYTES_MAX: u64 = 1024 * 1024;

/// One note, in characters.
const NOTE_CHARS_MAX: usize = 2000;

/// A log file, or none when there is nowhere to put it.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    path: Option<PathBuf>,
}

impl Journal {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    /// Adds a line. Nobody can be told when that fails.
    pub(super) fn note(&self, text: &str) {
        let _ = self.try_note(text);
    }

    fn try_note(&self, text: &str) -> std::io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        if let Some(directory) = path.parent() {
            state_dir::create(directory)?;
        }
        if fs::metadata(path).is_ok_and(|metadata| metadata.len() >= JOURNAL_BYTES_MAX) {
            fs::rename(path, path.with_extension("log.old"))?;
        }
        let text: String = text.trim_end().chars().take(NOTE_CHARS_MAX).collect();
        let line = format!(
            "{:.3} {} {}\n",
            Timestamp::now(),
            std::process::id(),
            printable(&text)
        );
        let mut file = state_dir::file_options()
            .append(true)
            .create(true)
            .open(path)?;
        // One write, so that concurrent hooks mix no lines.
        file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_line_and_the_file_is_bounded() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/hook.log");
        let journal = Journal::new(Some(path.clone()));
        journal.note("first\nsecond\u{1b}[2J");
        journal.note(&"x".repeat(NOTE_CHARS_MAX * 2));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("first\\nsecond\\u{1b}[2J"));
        fs::write(&path, vec![b'x'; 1024 * 1024]).unwrap();
        journal.note("after");
        assert!(fs::metadata(&path).unwrap().len() < 100);
        assert!(path.with_extension("log.old").exists());
    }

    #[test]
    fn nothing_fails() {
        Journal::new(None).note("nowhere");
        let place = tempfile::tempdir().unwrap();
        Journal::new(Some(place.path().to_owned())).note("a directory is there");
    }
}
