//! The virtual environment that tests of the Python client run in.
//!
//! Invariant: what `ensure` returns can import the pinned packages; an environment made for other
//! pins or another Python is made anew. What it deliberately does not do: touch the system's Python,
//! or fall back to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{output, run, works};
use crate::workspace;

/// Pinned together: generated code refuses a runtime older than its generator.
const REQUIREMENTS: [&str; 2] = ["grpcio==1.85.1", "grpcio-tools==1.85.1"];

/// Written last, so that an interrupted installation is never mistaken for a finished one.
const STAMP: &str = "sessiond-requirements.txt";

/// Makes the environment unless it is there, and returns its interpreter.
///
/// # Errors
/// When Python or the packages can't be had; there is no going on without.
pub(crate) fn ensure() -> Result<PathBuf> {
    let venv = workspace::target().join("venv");
    let python = venv.join("bin").join("python");
    let wanted = stamp()?;
    if is_ready(&venv, &python, &wanted) {
        return Ok(python);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))?;
    let install = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:"];
    run(Command::new(&python).args(install).args(REQUIREMENTS))?;
    fs::write(venv.join(STAMP), &wanted)
        .with_context(|| format!("could not write the stamp of {}", venv.display()))?;
    run(&mut import(&python))?;
    Ok(python)
}

fn is_ready(venv: &Path, python: &Path, wanted: &str) -> bool {
    let found = fs::read_to_string(venv.join(STAMP)).unwrap_or_default();
    found == wanted && works(&mut import(python))
}

fn import(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.args(["-c", "import grpc, grpc_tools.protoc"]);
    command
}

fn stamp() -> Result<String> {
    let version = output(Command::new("python3").args(["-c", "import sys; print(sys.version)"]))?;
    let version = String::from_utf8_lossy(&version).trim().replace('\n', " ");
    Ok(format!("{}\n# python {version}\n", REQUIREMENTS.join("\n")))
}
