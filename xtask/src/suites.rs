//! One run of cargo's tests: which, at what scale, and whether it counts.
//!
//! Invariant: the run passes only if cargo says so and the tally has no complaint. What it
//! deliberately does not do: install what tests need, or choose tests.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{Limit, stream};
use crate::tally::{Selection, Tally};
use crate::workspace::{cargo, target};
use crate::{python, typescript};

/// Read by the tests: how many cases a randomised suite runs.
const SCALE_VARIABLE: &str = "SESSIOND_SCALE";

/// Read by the tests that drive the Python client.
const PYTHON_VARIABLE: &str = "SESSIOND_PYTHON";

/// Read by the tests that run the plugin in TypeScript.
const TYPESCRIPT_VARIABLE: &str = "SESSIOND_TYPESCRIPT";

/// Read by the test programs: how many tests run at once.
const THREADS_VARIABLE: &str = "RUST_TEST_THREADS";

/// Tests that run at once for each core before a commit. At this scale they wait for the disk and for deadlines rather than
/// for a core: the rules took 53 s with two a core, 36 s with four and 29 s with eight, with which deadlines are tight.
const TESTS_PER_CORE: usize = 4;

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

/// What tests use of other languages.
#[derive(Debug)]
pub(crate) struct Others {
    /// An interpreter with the packages of gRPC.
    python: PathBuf,
    /// The folder of the plugin in TypeScript.
    typescript: PathBuf,
}

/// Has it installed and built, unless it is there.
///
/// # Errors
/// When something can't be had; there is no going on without.
pub(crate) fn ensure_others() -> Result<Others> {
    Ok(Others {
        python: python::ensure()?,
        typescript: typescript::ensure()?,
    })
}

/// Builds the programs that tests start; tests find them beside their own binaries.
pub(crate) fn build_programs() -> Result<()> {
    crate::process::run(&mut cargo(&["build", "--workspace", "--bins", "--locked"]))
}

/// Runs the tests of the whole workspace; returns the tally for the summary.
///
/// # Errors
/// When cargo failed, or a suite was ignored, empty or without a result.
pub(crate) fn run_workspace(scale: Scale, names: &Names, others: &Others) -> Result<String> {
    let mut command = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    names.pass_to(&mut command);
    command
        .env(PYTHON_VARIABLE, &others.python)
        .env(TYPESCRIPT_VARIABLE, &others.typescript);
    run(command, scale, Limit::None, names.selection())
}

/// A suite that is built under a condition that no program of ours is built under, apart from all others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Apart {
    package: &'static str,
    /// What it is called, here and in cargo, and the directory below the target directory that it is built in.
    pub(crate) suite: &'static str,
    flags: &'static str,
}

/// The rules with their deliberate faults, each of which the model test has to find.
pub(crate) const FAULTS: Apart = Apart {
    package: "sessiond-core",
    suite: "faults",
    flags: "--cfg sessiond_faults",
};

/// The crate that signals as on a platform that it has no code for, where it has to refuse.
pub(crate) const ELSEWHERE: Apart = Apart {
    package: "sessiond-agent",
    suite: "elsewhere",
    flags: "--cfg sessiond_elsewhere -D warnings",
};

/// Builds and runs such a suite.
///
/// # Errors
/// As [`run_workspace`].
pub(crate) fn run_apart(apart: Apart) -> Result<String> {
    let Apart {
        package,
        suite,
        flags,
    } = apart;
    let mut command = cargo(&["test", "--locked", "-p", package, "--test", suite]);
    command
        .arg("--target-dir")
        .arg(target().join(suite))
        .env("RUSTFLAGS", flags);
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
