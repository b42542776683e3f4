//! `record`: the demo's recording, made from this repository's own history.
//!
//! One commit becomes one agent session: the subject is the prompt, the changed files are edits,
//! git's own account of the commit is what the commands printed, the body is the closing message.
//!
//! Invariant: the file depends on HEAD alone, fits its bound, and names no author. What it
//! deliberately does not do: invent content; every text in it is in the history or was printed by a
//! command that ran.

mod edit;
mod fit;
mod history;
mod hook;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::process::say;
use crate::workspace;
use fit::{Fitted, Session};
use history::Repository;

/// Where the demo expects it, from the root of the workspace.
const RECORDING: &str = "server/demo/recording.jsonl";

/// Commits read, counted from HEAD: enough sessions for a demo of an hour.
const COMMITS_MAX: usize = 100;

/// Bytes of the recording: it is part of the binary.
const RECORDING_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Writes the recording of HEAD and says what is in it.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let fitted = record(&Repository::at(root), RECORDING_BYTES_MAX)?;
    write(&root.join(RECORDING), &fitted.text)?;
    say(&format!(
        "{RECORDING}: {} sessions, {} events, {} bytes; left out to fit: {} edits (the largest), \
         {} sessions (the oldest)",
        fitted.sessions,
        fitted.events,
        fitted.text.len(),
        fitted.edits_left_out,
        fitted.sessions_left_out,
    ));
    Ok(())
}

fn record(repository: &Repository, bytes_max: usize) -> Result<Fitted> {
    let commits = repository.commits(COMMITS_MAX)?;
    ensure!(!commits.is_empty(), "there is no commit to record");
    let sessions: Vec<Session> = commits
        .iter()
        .map(|commit| {
            session(repository, commit).with_context(|| format!("could not record {commit}"))
        })
        .collect::<Result<_>>()?;
    Ok(fit::fit(sessions, bytes_max))
}

fn session(repository: &Repository, commit: &str) -> Result<Session> {
    let message = repository.message(commit)?;
    let mut hooks = hook::Hooks::of(commit);
    let mut session = Session::default();
    session.keep(hooks.start()?);
    session.keep(hooks.prompt(&message.subject)?);
    for change in repository.changes(commit)? {
        if is_recorded(&change.path) {
            session.offer(hooks.edit(&change)?);
        }
    }
    for command in repository.commands(commit)? {
        session.keep(hooks.command(&command)?);
    }
    session.keep(hooks.stop(message.closing())?);
    session.keep(hooks.end()?);
    Ok(session)
}

/// Whether a person wrote this file: what a tool wrote would crowd out everything else.
fn is_recorded(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_locked = matches!(name, "Cargo.lock" | "package-lock.json");
    let is_generated = path.split('/').any(|part| part == "generated") || name.contains("_pb2");
    path != RECORDING && !is_locked && !is_generated
}

/// Replaces the file whole: a reader never sees half a recording.
fn write(path: &Path, text: &str) -> Result<()> {
    let shown = path.display();
    let folder = path.parent().context("the recording has no folder")?;
    fs::create_dir_all(folder)
        .with_context(|| format!("could not create the folder of {shown}"))?;
    let fresh = path.with_extension("jsonl.new");
    fs::write(&fresh, text).with_context(|| format!("could not write beside {shown}"))?;
    fs::rename(&fresh, path).with_context(|| format!("could not replace {shown}"))
}

#[cfg(test)]
mod tests;
