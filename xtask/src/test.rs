//! `test`: the full test set, from an empty checkout to a verdict.
//!
//! Invariant: whatever the tests need is installed first or the run stops with what to type; no
//! test finds a tool missing and passes; and the model test is shown to find deliberate faults. What it deliberately does not do: format and lints, which
//! are `lint`'s.

use anyhow::Result;

use crate::parts::Parts;
use crate::suites::{self, Names, Scale};
use crate::{apt, buf};

/// Installs, builds, then runs everything at the CI scale.
pub(crate) fn run(names: &Names) -> Result<()> {
    let mut parts = Parts::new("test");
    let needs = [apt::Need::Python, apt::Need::Npm, apt::Need::Tmux];
    if parts.run("packages", || apt::require(&needs)).is_none() {
        return parts.close();
    }
    let others = parts.run("other languages", suites::ensure_others);
    parts.run("buf", buf::check);
    let built = parts.run("build", suites::build_programs);
    if let (Some(others), Some(())) = (others, built) {
        let tests = parts.run("tests", || suites::run_workspace(Scale::Ci, names, &others));
        tests.into_iter().for_each(|tally| parts.note(tally));
        for apart in [suites::FAULTS, suites::ELSEWHERE] {
            let tally = parts.run(apart.suite, || suites::run_apart(apart));
            tally.into_iter().for_each(|tally| parts.note(tally));
        }
    }
    parts.close()
}
