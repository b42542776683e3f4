//! `check` and `lint`: what must hold before each commit.
//!
//! Invariant: everything `check` runs is also run by `.ci/run`, at a larger scale. What it
//! deliberately does not do: change a file; it says what is wrong and leaves the fix to the caller.

use anyhow::Result;

use crate::apt;
use crate::parts::Parts;
use crate::process::run as run_command;
use crate::suites::{self, Names, Scale};
use crate::workspace::cargo;

/// Format, lints, and all tests at the quick scale.
pub(crate) fn run(names: &Names) -> Result<()> {
    let mut parts = Parts::new("check");
    run_lints(&mut parts);
    let others = parts.run("other languages", || {
        apt::require(&[apt::Need::Python, apt::Need::Npm, apt::Need::Tmux])?;
        suites::ensure_others()
    });
    let built = parts.run("build", suites::build_programs);
    if let (Some(others), Some(())) = (others, built) {
        let tests = parts.run("tests", || {
            suites::run_workspace(Scale::Quick, names, &others)
        });
        tests.into_iter().for_each(|tally| parts.note(tally));
    }
    parts.close()
}

/// Format and lints only.
pub(crate) fn lint() -> Result<()> {
    let mut parts = Parts::new("lint");
    run_lints(&mut parts);
    parts.close()
}

fn run_lints(parts: &mut Parts) {
    parts.run("format", || {
        run_command(&mut cargo(&["fmt", "--all", "--", "--check"]))
    });
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    parts.run("clippy", || run_command(&mut cargo(&clippy)));
}
