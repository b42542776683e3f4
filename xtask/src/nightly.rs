//! `nightly`: the parts too long for every change, one at a time.
//!
//! Invariant: each part fits its time or is killed and fails. What it deliberately does not do: run
//! several parts at once; they measure the same disk.

use std::time::Duration;

use anyhow::Result;

use crate::parts::Parts;
use crate::process::{self, Limit};
use crate::suites::{self, Scale};
use crate::tally::Selection;
use crate::workspace::cargo;

/// How long one part may run once it is built; the suites size their nightly scale to fit.
const PART_TIME_MAX: Duration = Duration::from_secs(15 * 60);

/// Read by a suite that is too long for one part: which share of its seeds to run.
const PART_VARIABLE: &str = "SESSIOND_PART";

/// The parts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Random commands against a model of the rules: the first quarter of the seeds.
    #[value(name = "model-1")]
    Model1,
    /// The second quarter.
    #[value(name = "model-2")]
    Model2,
    /// The third quarter.
    #[value(name = "model-3")]
    Model3,
    /// The last quarter.
    #[value(name = "model-4")]
    Model4,
    /// Simulated power cuts and disk errors under the store.
    Crash,
    /// Servers killed with SIGKILL while a recording is played, and while they start.
    Kill,
    /// Servers killed with SIGKILL while many clients do whatever they may.
    Storm,
    /// What people complained of, with as many sessions as the largest of them had.
    Scenes,
    /// Plugins and watches that go on from anywhere, while servers and plugins are killed and the log is cut.
    Plugins,
    /// Servers that go: cut short at random, with dead weight, killed at each flush.
    Drains,
    /// Watches that nobody reads, by the ten thousand.
    Watches,
    /// Other processes: among them memory over very many sessions that come and go.
    Process,
}

impl Part {
    /// The package that has the suite.
    fn package(self) -> &'static str {
        match self {
            Self::Model1 | Self::Model2 | Self::Model3 | Self::Model4 => "sessiond-core",
            Self::Crash
            | Self::Kill
            | Self::Storm
            | Self::Plugins
            | Self::Scenes
            | Self::Drains
            | Self::Watches
            | Self::Process => "sessiond-tests",
        }
    }

    fn suite(self) -> &'static str {
        match self {
            Self::Model1 | Self::Model2 | Self::Model3 | Self::Model4 => "model",
            Self::Crash => "crash_redb",
            Self::Kill | Self::Storm | Self::Plugins => "kill",
            Self::Scenes => "scenes",
            Self::Drains | Self::Watches | Self::Process => "process",
        }
    }

    /// Which part of its suite it is; none if it is all of it.
    fn share(self) -> Option<&'static str> {
        match self {
            Self::Model1 => Some("1/4"),
            Self::Model2 => Some("2/4"),
            Self::Model3 => Some("3/4"),
            Self::Model4 => Some("4/4"),
            Self::Crash
            | Self::Kill
            | Self::Storm
            | Self::Plugins
            | Self::Scenes
            | Self::Drains
            | Self::Watches
            | Self::Process => None,
        }
    }

    /// The tests of its suite that it runs, by the beginnings of their names, or that it leaves to other parts; all of them
    /// if it names none.
    fn tests(self) -> &'static [&'static str] {
        match self {
            Self::Kill => &["played::", "recovery::"],
            Self::Storm => &["storm::"],
            Self::Plugins => &["plugins::", "resumed::"],
            Self::Drains => &["drained_often::", "drains_weighed::", "killed_at_flush::"],
            Self::Watches => &["stuck_watchers::"],
            Self::Process => &[
                "--skip",
                "drained_often::",
                "--skip",
                "drains_weighed::",
                "--skip",
                "killed_at_flush::",
                "--skip",
                "stuck_watchers::",
            ],
            Self::Model1
            | Self::Model2
            | Self::Model3
            | Self::Model4
            | Self::Crash
            | Self::Scenes => &[],
        }
    }
}

/// Builds and runs one part.
pub(crate) fn run(part: Part) -> Result<()> {
    let mut parts = Parts::new("nightly");
    let arguments = [
        "test",
        "--release",
        "--locked",
        "-p",
        part.package(),
        "--test",
        part.suite(),
    ];
    let built = parts.run("build", || {
        let programs = ["build", "--release", "--locked", "--workspace", "--bins"];
        process::run(&mut cargo(&programs))?;
        process::run(cargo(&arguments).arg("--no-run"))
    });
    if built.is_some() {
        let limit = Limit::After(PART_TIME_MAX);
        let mut command = cargo(&arguments);
        command.arg("--").args(part.tests());
        if let Some(share) = part.share() {
            command.env(PART_VARIABLE, share);
        }
        let work = || suites::run(command, Scale::Nightly, limit, Selection::All);
        let tests = parts.run(part.suite(), work);
        tests.into_iter().for_each(|tally| parts.note(tally));
    }
    parts.close()
}
