//! `bench`: the side-by-side benchmark, with everything it needs built and installed first.
//!
//! Invariant: what is measured is built from this checkout in the release profile, and a peer that
//! cannot be had is named. Only a smoke run, which measures nothing, takes the programs that tests use.
//! What it deliberately does not do: judge figures, or run beside a build.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::apt::{self, Need};
use crate::process::{Limit, say, stream};
use crate::suites;
use crate::workspace::{cargo, target};

/// The peers by the names the benchmark has for them, and what each needs.
const PEERS: [(&str, Need); 5] = [
    ("redis", Need::Redis),
    ("postgresql", Need::PostgreSql),
    ("postgresql-pooled", Need::PostgreSql),
    ("etcd", Need::Etcd),
    ("beanstalkd", Need::Beanstalkd),
];

/// What to measure.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Smaller numbers: at most 4 minutes instead of 30.
    #[arg(long, conflicts_with = "smoke")]
    quick: bool,

    /// Every path once with tiny numbers: at most 40 seconds. Fails when a path or a peer does.
    ///
    /// It shows that everything works and measures nothing, so it runs the dev profile's programs, which
    /// `cargo xtask test` has built already, with their debug assertions.
    #[arg(long)]
    smoke: bool,

    /// Only this path, or all whose name begins with it up to a `/`; may be given more than once.
    #[arg(long, value_name = "PATH")]
    only: Vec<String>,

    /// Only these peers, separated by commas, or `none`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    peers: Vec<String>,

    /// Write each measurement as a line of JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Draw charts of what was measured into this directory, such as docs/performance.
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,

    /// More options of `sessiond-bench run`.
    #[arg(last = true)]
    options: Vec<String>,
}

/// Builds, installs and measures.
///
/// # Errors
/// When something does not build, or a measurement failed; a peer that cannot be installed is named and
/// left out, except in a smoke run.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for need in arguments.needs() {
        // The benchmark names it again in its summary, and its smoke run fails for it.
        if let Err(error) = apt::require(&[need]) {
            say(&format!("{need:?} will be left out: {error:#}"));
        }
    }
    let mut bench = Command::new(arguments.build()?);
    bench.arg("run").args(arguments.passed_on());
    // It stays in our process group, so that Ctrl-C reaches it; each of its waits has an end.
    stream(bench, Limit::None, |_| {})?.check()
}

impl Arguments {
    /// Builds what is run, and returns where the benchmark is; it finds sessiond beside itself.
    fn build(&self) -> Result<PathBuf> {
        if self.smoke {
            // The very command of the tests: another choice of crates would have other features, and
            // build all dependencies again.
            suites::build_programs()?;
            return Ok(target().join("debug/sessiond-bench"));
        }
        let programs = ["-p", "sessiond", "-p", "sessiond-bench"];
        let mut build = cargo(&["build", "--release", "--locked", "--bins"]);
        crate::process::run(build.args(programs))?;
        Ok(target().join("release/sessiond-bench"))
    }

    /// What the chosen peers need, each once.
    fn needs(&self) -> Vec<Need> {
        let is_chosen =
            |name: &str| self.peers.is_empty() || self.peers.iter().any(|chosen| chosen == name);
        let mut needs = Vec::new();
        for (name, need) in PEERS {
            if is_chosen(name) && !needs.contains(&need) {
                needs.push(need);
            }
        }
        needs
    }

    fn passed_on(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut flag = |name: &str, is_set: bool| all.extend(is_set.then(|| name.to_owned()));
        flag("--quick", self.quick);
        flag("--smoke", self.smoke);
        all.extend(self.only.iter().map(|path| format!("--only={path}")));
        if !self.peers.is_empty() {
            all.push(format!("--peers={}", self.peers.join(",")));
        }
        let json = self.json.iter();
        all.extend(json.map(|file| format!("--json={}", file.display())));
        let charts = self.charts.iter();
        all.extend(charts.map(|directory| format!("--charts={}", directory.display())));
        all.extend(self.options.iter().cloned());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_chosen_peers_are_installed_and_each_package_once() {
        let needs = |peers: &[&str]| {
            let peers = peers.iter().map(|&name| name.to_owned()).collect();
            let arguments = Arguments {
                peers,
                ..Arguments::default()
            };
            arguments.needs()
        };
        let all = [Need::Redis, Need::PostgreSql, Need::Etcd, Need::Beanstalkd];
        assert_eq!(needs(&[]), all);
        assert_eq!(needs(&["none"]), []);
        assert_eq!(needs(&["postgresql-pooled"]), [Need::PostgreSql]);
    }

    #[test]
    fn everything_asked_for_is_passed_on() {
        let arguments = Arguments {
            quick: true,
            only: vec!["work".to_owned(), "wake".to_owned()],
            peers: vec!["redis".to_owned(), "etcd".to_owned()],
            json: Some("x.json".into()),
            charts: Some("x/y".into()),
            options: vec!["--repetitions=7".to_owned()],
            ..Arguments::default()
        };
        let expected = [
            "--quick",
            "--only=work",
            "--only=wake",
            "--peers=redis,etcd",
            "--json=x.json",
            "--charts=x/y",
            "--repetitions=7",
        ];
        assert_eq!(arguments.passed_on(), expected);
        assert!(Arguments::default().passed_on().is_empty());
    }
}
