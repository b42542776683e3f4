//! One run of cargo's tests: which, at what scale, and whether it counts.
//!
//! Invariant: the run passes only if cargo says so and the tally has no complaint. What it
//! deliberately does not do: install what tests need, or choose tests.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{Limit, stream};
use crate::tally::{Selection, Tally};
use crate::workspace::{cargo, target};

/// Read by the tests: how many cases a randomised suite runs.
const SCALE_VARIABLE: &str = "SESSIOND_SCALE";

/// Read by the tests that drive the Python client.
const PYTHON_VARIABLE: &str = "SESSIOND_PYTHON";

/// Read by the test programs: how many tests run at once.
const THREADS_VARIABLE: &str = "RUST_TEST_THREADS";

/// Tests that run at once for each core before a commit. At this scale they wait for the disk and for deadlines rather than
/// for a core: with one a core, two cores were busy for a third of the time.
const TESTS_PER_CORE: usize = 2;

/// Which tests to run; without any, all.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Names {
    /// Run only tests whose path contains one of these.
    names: Vec<String>,

    /// Options for the test programs themselves, such as `--nocapture`.
    #[arg(last = true)]
    options: Vec<String>,
}

/// How much work randomised suites do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Seconds: before each commit.
    Quick,
    /// Minutes: the full test set.
    Ci,
    /// As much as a nightly part has time for.
    Nightly,
}

impl Scale {
    fn value(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Ci => "ci",
            Self::Nightly => "nightly",
        }
    }
}

impl Names {
    fn selection(&self) -> Selection {
        if self.names.is_empty() && self.options.is_empty() {
            Selection::All
        } else {
            Selection::Named
        }
    }

    fn pass_to(&self, command: &mut Command) {
        if self.selection() == Selection::Named {
            command.arg("--").args(&self.names).args(&self.options);
        }
    }
}

/// Builds the programs that tests start; tests find them beside their own binaries.
pub(crate) fn build_programs() -> Result<()> {
    crate::process::run(&mut cargo(&["build", "--workspace", "--bins", "--locked"]))
}

/// Runs the tests of the whole workspace; returns the tally for the summary.
///
/// # Errors
/// When cargo failed, or a suite was ignored, empty or without a result.
pub(crate) fn run_workspace(scale: Scale, names: &Names, python: &Path) -> Result<String> {
    let mut command = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    names.pass_to(&mut command);
    command.env(PYTHON_VARIABLE, python);
    run(command, scale, Limit::None, names.selection())
}

/// Builds the rules with their deliberate faults and has the model test find each of them.
///
/// A build of its own, apart from all others: no program of ours may contain a fault.
///
/// # Errors
/// As [`run_workspace`].
pub(crate) fn run_faults() -> Result<String> {
    let mut command = cargo(&[
        "test",
        "--locked",
        "-p",
        "sessiond-core",
        "--test",
        "faults",
    ]);
    command
        .arg("--target-dir")
        .arg(target().join("faults"))
        .env("RUSTFLAGS", "--cfg sessiond_faults");
    run(command, Scale::Quick, Limit::None, Selection::All)
}

/// Builds the crate that signals as on a platform that it has no code for, and shows that it refuses.
///
/// # Errors
/// As [`run_workspace`].
pub(crate) fn run_elsewhere() -> Result<String> {
    let mut command = cargo(&[
        "test",
        "--locked",
        "-p",
        "sessiond-agent",
        "--test",
        "elsewhere",
    ]);
    command
        .arg("--target-dir")
        .arg(target().join("elsewhere"))
        .env("RUSTFLAGS", "--cfg sessiond_elsewhere -D warnings");
    run(command, Scale::Quick, Limit::None, Selection::All)
}

/// Runs one test command at a scale; returns the tally for the summary.
///
/// # Errors
/// When it failed or overran, or a suite was ignored, empty or without a result.
pub(crate) fn run(
    mut command: Command,
    scale: Scale,
    limit: Limit,
    selection: Selection,
) -> Result<String> {
    command.env(SCALE_VARIABLE, scale.value());
    if scale == Scale::Quick && std::env::var_os(THREADS_VARIABLE).is_none() {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        command.env(THREADS_VARIABLE, (cores * TESTS_PER_CORE).to_string());
    }
    let mut tally = Tally::default();
    let ending = stream(command, limit, |line| tally.read(line))?;
    let mut complaints = tally.complaints(selection);
    if let Err(error) = ending.check() {
        complaints.insert(0, error.to_string());
    }
    if !complaints.is_empty() {
        bail!("{tally}; {}", complaints.join("; "));
    }
    Ok(tally.to_string())
}
