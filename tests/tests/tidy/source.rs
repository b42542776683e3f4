//! The files of the checkout, as git lists them, and what is found in them.
//!
//! Invariant: a file that git would commit is never missed. What it deliberately does not do: read
//! ignored files, or files that are not text.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::mask::mask;

/// Every text file that is tracked or would be.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) files: Vec<Source>,
}

/// One text file.
#[derive(Debug)]
pub(super) struct Source {
    /// From the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// For Rust, the text with comments and literals blanked out; else the text.
    pub(super) code: String,
}

/// Something a rule forbids.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) path: String,
    /// From 1.
    pub(super) line: usize,
    /// What is wrong and what to do about it.
    pub(super) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Tree {
    pub(super) fn read() -> Self {
        let listed = Command::new("git")
            .current_dir(root())
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .output()
            .expect("git runs");
        let said = String::from_utf8_lossy(&listed.stderr);
        assert!(listed.status.success(), "tidy reads a git checkout: {said}");
        let paths = String::from_utf8(listed.stdout).expect("file names are UTF-8");
        let files: Vec<Source> = paths
            .split_terminator('\0')
            .filter_map(Source::read)
            .collect();
        assert!(
            files.iter().any(|file| file.path == "Cargo.toml"),
            "git lists the workspace"
        );
        Self { files }
    }

    pub(super) fn find(&self, path: &str) -> Option<&Source> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") {
            mask(text)
        } else {
            text.to_owned()
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    /// `None` for what is listed but gone, no regular file, or no text.
    fn read(path: &str) -> Option<Self> {
        let place = root().join(path);
        if !place.symlink_metadata().ok()?.is_file() {
            return None;
        }
        let text = String::from_utf8(std::fs::read(place).ok()?).ok()?;
        (!text.contains('\0')).then(|| Self::new(path, &text))
    }

    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, found)| found == extension)
    }

    /// Rust that a person wrote.
    pub(super) fn is_own_rust(&self) -> bool {
        self.has_extension("rs") && !self.is_generated()
    }

    pub(super) fn is_generated(&self) -> bool {
        self.path.split('/').any(|part| part == "generated") || self.path.contains("_pb2")
    }

    pub(super) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            what: what.into(),
        }
    }

    /// One finding for each line of `code` on which `word` stands by itself.
    pub(super) fn words(&self, word: &str, what: &str) -> Vec<Finding> {
        let lines = self.code.lines().enumerate();
        let hits = lines.filter(|(_, line)| has_word(line, word));
        hits.map(|(at, _)| self.finding(at + 1, what)).collect()
    }
}

/// Whether `word` occurs with no letter, digit or underscore on either side.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let continues = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !continues(line[..at].chars().next_back())
            && !continues(line[at + word.len()..].chars().next())
    })
}

/// The line, from 1, on which a byte of a text stands.
pub(super) fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
        + 1
}

pub(super) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("the tests are a folder of the workspace")
        .to_path_buf()
}

#[test]
fn words_stand_alone() {
    assert!(has_word("a sleep(", "sleep") && has_word("sleep", "sleep"));
    assert!(has_word("asleep sleep", "sleep"));
    assert!(!has_word("asleep", "sleep") && !has_word("sleep_ms", "sleep"));
}

#[test]
fn findings_say_where() {
    let source = Source::new("a/b.rs", "fn x() {}\n// sleep\nsleep();\n");
    let findings = source.words("sleep", "wake up");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].to_string(), "a/b.rs:3: wake up");
}
