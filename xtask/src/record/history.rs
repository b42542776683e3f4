//! Reads commits: who changed what is left behind, what changed and why is kept.
//!
//! Invariant: the same commit reads the same on every machine; the caller's git configuration has
//! no say. What it deliberately does not do: follow renames, or read anything but commits.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::output;

/// A checkout whose history is read.
#[derive(Debug)]
pub(super) struct Repository {
    root: PathBuf,
}

/// A commit's message without the people in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) body: String,
}

impl Message {
    /// The body, or the subject of a commit that says no more.
    pub(super) fn closing(&self) -> &str {
        if self.body.is_empty() {
            &self.subject
        } else {
            &self.body
        }
    }
}

/// A text file that a commit wrote.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: String,
    /// `None` for a new file.
    pub(super) before: Option<String>,
    pub(super) after: String,
}

/// A command that was run about a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) command: String,
    pub(super) description: &'static str,
    pub(super) stdout: String,
}

/// What git's raw format calls a file that is there and is a file.
const FILE_MODES: [&str; 2] = ["100644", "100755"];

impl Repository {
    pub(super) fn at(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }

    /// The newest `max` commits that HEAD descends from, oldest first, without merges.
    pub(super) fn commits(&self, max: usize) -> Result<Vec<String>> {
        let count = format!("--max-count={max}");
        let list = self.git(&["rev-list", "--topo-order", "--no-merges", &count, "HEAD"])?;
        let mut commits: Vec<String> = text(list)?.lines().map(str::to_owned).collect();
        commits.reverse();
        Ok(commits)
    }

    pub(super) fn message(&self, commit: &str) -> Result<Message> {
        let whole = text(self.git(&["show", "--no-patch", "--format=%B", commit])?)?;
        let people = text(self.git(&["show", "--no-patch", "--format=%ae%n%ce", commit])?)?;
        let people: Vec<&str> = people.lines().filter(|email| !email.is_empty()).collect();
        let kept: Vec<&str> = whole
            .lines()
            .filter(|line| !names_a_person(line, &people))
            .collect();
        let (subject, body) = kept.split_first().unwrap_or((&"", &[]));
        Ok(Message {
            subject: (*subject).to_owned(),
            body: body.join("\n").trim().to_owned(),
        })
    }

    /// The text files the commit wrote, by path; deleted and binary files are not among them.
    pub(super) fn changes(&self, commit: &str) -> Result<Vec<Change>> {
        let raw = self.git(&[
            "diff-tree",
            "--root",
            "-r",
            "-z",
            "--no-renames",
            "--no-commit-id",
            "--raw",
            commit,
        ])?;
        // Pairs of `:mode mode blob blob status` and path.
        let mut fields = raw.split(|&byte| byte == 0);
        let mut changes = Vec::new();
        while let (Some(entry), Some(path)) = (fields.next(), fields.next()) {
            let entry = str::from_utf8(entry).context("git printed a strange entry")?;
            let entry: Vec<&str> = entry.trim_start_matches(':').split(' ').collect();
            let [old_mode, mode, old_blob, blob, _] = entry[..] else {
                bail!("git printed a strange entry: {entry:?}");
            };
            let (Ok(path), true) = (str::from_utf8(path), FILE_MODES.contains(&mode)) else {
                continue;
            };
            let before = match FILE_MODES.contains(&old_mode) {
                true => self.blob(old_blob)?,
                false => None,
            };
            let Some(after) = self.blob(blob)? else {
                continue;
            };
            if before.as_ref() != Some(&after) {
                changes.push(Change {
                    path: path.to_owned(),
                    before,
                    after,
                });
            }
        }
        Ok(changes)
    }

    /// Runs what a reviewer would run about the commit.
    pub(super) fn commands(&self, commit: &str) -> Result<Vec<Ran>> {
        let parent = format!("{commit}^");
        let is_root = self
            .git(&["rev-parse", "--verify", "--quiet", &parent])
            .is_err();
        let size: &[&str] = match is_root {
            true => &["show", "--shortstat", "--format=", commit],
            false => &["diff", "--shortstat", &parent, commit],
        };
        let paths = [
            "diff-tree",
            "--root",
            "-r",
            "--no-commit-id",
            "--name-status",
            commit,
        ];
        Ok(vec![
            self.ran(
                "Show the files of the commit",
                &["show", "--stat", "--format=%s", commit],
            )?,
            self.ran("Count the changed lines", size)?,
            self.ran("List the changed paths", &paths)?,
        ])
    }

    fn ran(&self, description: &'static str, arguments: &[&str]) -> Result<Ran> {
        let stdout = self.git(arguments)?;
        Ok(Ran {
            command: format!("git {}", arguments.join(" ")),
            description,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
        })
    }

    /// The text of a blob; `None` when it is no text.
    fn blob(&self, blob: &str) -> Result<Option<String>> {
        let bytes = self.git(&["cat-file", "blob", blob])?;
        Ok(String::from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains('\0')))
    }

    fn git(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new("git");
        command.current_dir(&self.root).args(arguments);
        command.env("LC_ALL", "C").env("GIT_CONFIG_NOSYSTEM", "1");
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_COUNT", "1");
        command
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", &self.root);
        // A hook of another repository points these at it; the width would shape the output.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "COLUMNS"] {
            command.env_remove(name);
        }
        output(&mut command)
    }
}

/// `Signed-off-by: …`, an address of the commit's author or committer, or any `<x@y>`.
fn names_a_person(line: &str, people: &[&str]) -> bool {
    let is_trailer = line
        .split_once(": ")
        .is_some_and(|(key, _)| key.ends_with("-by") && !key.contains(' '));
    let has_address = line
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .any(|inside| inside.contains('@') && !inside.contains(' '));
    is_trailer || has_address || people.iter().any(|email| line.contains(email))
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).context("git printed something that is not UTF-8")
}
