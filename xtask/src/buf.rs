//! `buf`: the protobuf contract is well formed, and no release is broken by it.
//!
//! Invariant: the contract is linted whole, and compared with the newest release tag as soon as
//! there is one. What it deliberately does not do: generate our code, or fetch modules.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::parts::Parts;
use crate::process::{output, run as run_command, say};
use crate::{apt, workspace};

const PACKAGE: &str = "@bufbuild/buf";
const VERSION: &str = "1.75.0";

/// `buf` as a gate of its own.
pub(crate) fn run() -> Result<()> {
    let mut parts = Parts::new("buf");
    if parts
        .run("packages", || apt::require(&[apt::Need::Npm]))
        .is_some()
    {
        parts.run("buf", check);
    }
    parts.close()
}

/// Lints the contract and compares it with the last release.
///
/// # Errors
/// When buf can't be installed or has a complaint.
pub(crate) fn check() -> Result<()> {
    install()?;
    run_command(buf().arg("lint"))?;
    match last_release()? {
        None => say("no release tag yet: nothing for `buf breaking` to compare with"),
        Some(tag) => {
            run_command(
                buf()
                    .args(["breaking", "--against"])
                    .arg(format!(".git#tag={tag}")),
            )?;
        }
    }
    Ok(())
}

/// Installs buf unless it is there, and returns its program.
///
/// # Errors
/// When it can't be installed.
pub(crate) fn ensure() -> Result<PathBuf> {
    install()?;
    Ok(program())
}

fn program() -> PathBuf {
    workspace::target().join("buf/node_modules/.bin/buf")
}

fn buf() -> Command {
    let mut command = Command::new(program());
    command.current_dir(workspace::root());
    command
}

fn version() -> Option<String> {
    let said = output(buf().arg("--version")).ok()?;
    Some(String::from_utf8_lossy(&said).trim().to_owned())
}

fn install() -> Result<()> {
    if version().as_deref() == Some(VERSION) {
        return Ok(());
    }
    let folder = workspace::target().join("buf");
    fs::create_dir_all(&folder)
        .with_context(|| format!("could not create {}", folder.display()))?;
    // No package's script runs: the binary is inside the package for this platform.
    let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save"];
    let package = format!("{PACKAGE}@{VERSION}");
    run_command(
        Command::new("npm")
            .args(["install", "--prefix"])
            .arg(&folder)
            .args(quiet)
            .arg(package),
    )?;
    let installed = version();
    ensure!(
        installed.as_deref() == Some(VERSION),
        "buf {VERSION} does not run after its installation (found {installed:?})"
    );
    Ok(())
}

/// The newest release tag that this commit descends from.
fn last_release() -> Result<Option<String>> {
    let head = ["rev-parse", "--verify", "--quiet", "HEAD"];
    if output(git().args(head)).is_err() {
        return Ok(None);
    }
    let list = [
        "tag",
        "--list",
        "v[0-9]*",
        "--merged",
        "HEAD",
        "--sort=-version:refname",
    ];
    let tags = output(git().args(list))?;
    Ok(String::from_utf8_lossy(&tags)
        .lines()
        .next()
        .map(str::to_owned))
}

fn git() -> Command {
    let mut command = Command::new("git");
    // A release candidate is older than its release.
    command
        .current_dir(workspace::root())
        .args(["-c", "versionsort.suffix=-"]);
    command
}
