//! `sessiond-bench`: sessiond beside its peers, the same work on the same machine in alternation.
//!
//! Invariant: exit status 0 means that everything chosen was measured; no figure decides it. What it
//! deliberately does not do: build or install anything; `cargo xtask bench` does.

mod caller;
mod chart;
mod disk;
mod goals;
mod noop;
mod path;
mod paths;
mod peer;
mod peers;
mod record;
mod run;
mod samples;
mod scale;
mod server;
mod summary;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::path::{Path, System};
use crate::paths::Plan;
use crate::peer::PeerKind;
use crate::record::Records;
use crate::run::Choice;
use crate::scale::{Scale, Size};
use crate::server::Places;

/// The value of `--peers` that means none.
const NO_PEERS: &str = "none";

/// sessiond beside its peers: the same work on the same machine, in alternation.
#[derive(Debug, Parser)]
#[command(name = "sessiond-bench", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure, and print the table.
    Run(Box<RunArgs>),
    /// Draw charts of a run's records: SVG files that need nothing beside them.
    ///
    /// What the records have no data for is left out and named. A file without anything to draw is an
    /// error, and so is a line that is no record.
    Chart {
        /// The records, a line of JSON each, as `run --json` writes them.
        #[arg(value_name = "FILE.jsonl")]
        records: PathBuf,
        /// Where the files go; the directory is made when it is missing.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Print the names of all paths and the systems each is measured on.
    List,
    /// Serve the no-op server: sessiond's stack without an engine.
    Noop {
        /// Where to listen: HOST:PORT of loopback or unix:PATH.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Smaller numbers: at most 4 minutes.
    #[arg(long, conflicts_with = "smoke")]
    quick: bool,
    /// Every path once with tiny numbers, to see that it works: at most 40 seconds.
    #[arg(long)]
    smoke: bool,
    /// Only this path, or all whose name begins with it up to a `/`; may be given more than once.
    #[arg(long, value_name = "PATH")]
    only: Vec<String>,
    /// Only these systems, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    systems: Vec<String>,
    /// Only these peers, separated by commas, or `none`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    peers: Vec<String>,
    /// How often each system is measured on a path.
    #[arg(long, value_name = "N")]
    repetitions: Option<usize>,
    /// How long one system is measured once; also how long things are followed over time.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Write each measurement as a line of JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw charts of what was measured into this directory, as `chart` does.
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
    /// Where each system gets a directory for its data. Default: the system's temporary one.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The sessiond program. Default: the one beside this program.
    #[arg(long, value_name = "FILE")]
    sessiond: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a process that cannot start threads cannot measure");
    let done = runtime.block_on(async {
        match cli.task {
            Task::Run(args) => Box::pin(measure(&args)).await,
            Task::Chart { records, out } => chart::of_file(&records, &out),
            Task::List => {
                list();
                Ok(())
            }
            Task::Noop { listen } => noop::serve(&listen).await,
        }
    });
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &RunArgs) -> Result<()> {
    let plan = Plan {
        scale: args.scale()?,
        places: args.places()?,
    };
    let choice = args.choice()?;
    if disk::is_in_memory(&plan.places.data)? {
        say("NOTE: the data directory is in memory, so nothing is durable; see --directory");
    }
    if let Some(directory) = &args.charts {
        // A directory that cannot be had is told before half an hour of measuring.
        std::fs::create_dir_all(directory)
            .with_context(|| format!("failed to create {}", directory.display()))?;
    }
    let mut records = Records::to(args.json.as_deref())?;
    let report = tokio::select! {
        report = run::run(&plan, &choice, &mut records) => report?,
        // Dropping the run kills what it started and removes its directories.
        stopped = told_to_stop() => return stopped,
    };
    print(&summary::summary(records.all(), &report));
    if let Some(directory) = &args.charts {
        chart::write(records.all(), directory)?;
    }
    ensure!(
        report.failures.is_empty(),
        "{} measurements or peers failed:\n{}",
        report.failures.len(),
        report.failures.join("\n")
    );
    Ok(())
}

/// Ends with an error when somebody wants the program to end.
async fn told_to_stop() -> Result<()> {
    let mut term = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("failed to wait for SIGINT")?;
    // Either one; they mean the same.
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    bail!("told to stop: nothing is complete")
}

impl RunArgs {
    fn size(&self) -> Size {
        match (self.quick, self.smoke) {
            (false, false) => Size::Full,
            (true, _) => Size::Quick,
            (false, true) => Size::Smoke,
        }
    }

    fn scale(&self) -> Result<Scale> {
        let mut scale = Scale::of(self.size());
        if let Some(repetitions) = self.repetitions {
            ensure!(repetitions > 0, "--repetitions takes 1 or more");
            scale.repetitions = repetitions;
            scale.heavy_repetitions = repetitions;
        }
        if let Some(seconds) = self.seconds {
            let duration = Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|duration| !duration.is_zero());
            let duration = duration.context("--seconds takes a number above 0")?;
            scale.duration = duration;
            scale.follow = duration;
            scale.endurance = duration;
        }
        Ok(scale)
    }

    fn places(&self) -> Result<Places> {
        let sessiond = match &self.sessiond {
            Some(program) => program.clone(),
            None => std::env::current_exe()
                .context("failed to find this program")?
                .with_file_name("sessiond"),
        };
        ensure!(
            sessiond.is_file(),
            "there is no sessiond at {}: build it, or name it with --sessiond",
            sessiond.display()
        );
        Ok(Places {
            sessiond,
            data: self.directory.clone().unwrap_or_else(std::env::temp_dir),
        })
    }

    fn choice(&self) -> Result<Choice> {
        let all = Path::all();
        for only in &self.only {
            if !all.iter().any(|path| path.is_meant_by(only)) {
                bail!("--only {only:?} is no path; `sessiond-bench list` has their names");
            }
        }
        let is_chosen = |path: &Path| {
            self.only.is_empty() || self.only.iter().any(|only| path.is_meant_by(only))
        };
        Ok(Choice {
            size: self.size(),
            paths: all.into_iter().filter(is_chosen).collect(),
            systems: self.systems()?,
            peers: self.peers()?,
        })
    }

    fn systems(&self) -> Result<Option<BTreeSet<System>>> {
        if self.systems.is_empty() {
            return Ok(None);
        }
        let named = self.systems.iter().map(|name| {
            System::named(name).with_context(|| format!("--systems: {name:?} is none"))
        });
        named.collect::<Result<_>>().map(Some)
    }

    fn peers(&self) -> Result<BTreeSet<PeerKind>> {
        if self.peers.is_empty() {
            return Ok(PeerKind::ALL.into());
        }
        if self.peers == [NO_PEERS] {
            return Ok(BTreeSet::new());
        }
        let named = self.peers.iter().map(|name| {
            PeerKind::named(name).with_context(|| format!("--peers: {name:?} is none"))
        });
        named.collect()
    }
}

fn list() {
    for path in Path::all() {
        let systems: Vec<&str> = path.systems().into_iter().map(System::name).collect();
        print(&format!("{path}  {}\n", systems.join(" ")));
    }
}

/// Says one line on standard error.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Prints what was asked for.
#[expect(
    clippy::print_stdout,
    reason = "the table is what the program is run for"
)]
fn print(text: &str) {
    print!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(arguments: &[&str]) -> RunArgs {
        let all = ["sessiond-bench", "run"].into_iter();
        let cli = Cli::try_parse_from(all.chain(arguments.iter().copied())).unwrap();
        match cli.task {
            Task::Run(args) => *args,
            Task::Chart { .. } | Task::List | Task::Noop { .. } => {
                panic!("`run` is parsed as another task")
            }
        }
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        assert!(args(&["--only", "enqueue/3KiB"]).choice().is_err());
        assert!(args(&["--systems", "sessiond,mysql"]).choice().is_err());
        assert!(args(&["--peers", "noop"]).choice().is_err());
        assert!(args(&["--repetitions", "0"]).scale().is_err());
        for bad in ["0", "nan", "inf"] {
            assert!(args(&["--seconds", bad]).scale().is_err(), "{bad}");
        }
        assert!(args(&["--seconds=-1"]).scale().is_err());
    }

    #[test]
    fn a_choice_takes_whole_names() {
        let choice = args(&["--only", "enqueue/2KiB/64", "--systems", "sessiond,noop"]);
        let choice = choice.choice().unwrap();
        assert_eq!(choice.paths.len(), 2);
        assert_eq!(choice.systems.map(|systems| systems.len()), Some(2));
        assert_eq!(args(&["--peers", "none"]).choice().unwrap().peers.len(), 0);
        assert_eq!(args(&["--peers", "etcd"]).choice().unwrap().peers.len(), 1);
        assert_eq!(args(&[]).choice().unwrap().paths, Path::all());
    }
}
