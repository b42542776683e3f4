//! The sessiond binary: flags, signals, exit codes.
//!
//! What a server is made of is in the library; this file starts one, waits for a signal or a fault,
//! and turns the outcome into an exit code.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hangup::Hangups;
use sessiond::app::{self, Running, StartError, Stopped};
use sessiond::config::problem::{KeyPath, Origin, Problem};
use sessiond::config::{self, Environment, ServeArgs, Settings};
use sessiond::descriptors;
use sessiond::drain::{Asked, Drains};
use sessiond::env::Machine;
use sessiond::logging;
use sessiond_core::drain::DrainSessions;
use tokio::signal::unix::{Signal, SignalKind, signal};

mod agent;
mod demo;
mod hangup;
mod inspect;
mod run;

/// Rows and payloads are made by the threads that read requests and freed by the engine and the checkpoint, many each
/// batch. The system's allocator spent a seventh of the engine's time on that; this one took 0.85 of the time a message.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit codes, told in `--help`.
pub(crate) mod exit {
    pub(crate) const CLEAN: u8 = 0;
    pub(crate) const UNCLEAN: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const DATA_DIR: u8 = 3;
    pub(crate) const ADDRESS: u8 = 4;
    pub(crate) const STORE: u8 = 5;
}

const EXIT_CODES: &str = "Exit codes:
  0  stopped cleanly: everything acknowledged is on disk
  1  stopped by a second signal or before everything was written out; demo, config check: failed
  2  usage: a flag, a variable or the configuration file is not what it should be
  3  the data directory was refused, untouched
  4  the address could not be bound
  5  the store failed; restart it, everything acknowledged is on disk";

/// The durable control plane for agent sessions.
#[derive(Debug, Parser)]
#[command(name = "sessiond", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT. The same as no command at all.
    Serve(Box<ServeArgs>),
    /// Play recorded agent sessions through a real server on a temporary store, kill it in the middle,
    /// and check that nothing was lost or done twice.
    Demo(demo::DemoArgs),
    /// Look after a machine other than the server's: what sessions have on it is identified and ended here.
    Agent(agent::AgentArgs),
    /// Run a command that lives and dies with a session: whoever ends first, nothing of the command is left.
    Run(run::RunArgs),
    /// Check the configuration, or show what it comes to.
    Config(inspect::ConfigArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let serve_args = match cli.command {
        Some(Command::Demo(args)) => return finish(demo::run(args)),
        Some(Command::Agent(args)) => return finish(agent::run(args)),
        Some(Command::Run(args)) => return finish(run::run(args)),
        Some(Command::Config(args)) => return ExitCode::from(inspect::run(&args)),
        Some(Command::Serve(args)) => *args,
        None => cli.serve,
    };
    finish(serve(&serve_args))
}

/// Runs a command to its end, which is an exit code.
fn finish(command: impl Future<Output = u8>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a process that cannot start threads cannot serve");
    let code = runtime.block_on(command);
    // Connections that would not close are not waited for again.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn serve(args: &ServeArgs) -> u8 {
    let loaded = match config::load(args, &Environment::of_process()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            inspect::tell(&problems);
            eprintln!("error: {}; nothing was started", inspect::count(&problems));
            return exit::USAGE;
        }
    };
    let settings = loaded.settings;
    if let Err(why) = logging::start(settings.log.format, &settings.log.level) {
        eprintln!("error: {why}");
        return exit::USAGE;
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    descriptors::raise(settings.max_connections);
    // Taken before the start, so that a signal during recovery is not lost.
    let mut signals = Signals::take();
    let hangups = Hangups::take();
    let mut running = match start(&settings, &mut signals).await {
        Some(Ok(running)) => running,
        Some(Err(error)) => return refused(&error, &loaded.origins),
        None => {
            tracing::info!(
                "stopped before it served; what it had begun the next start begins anew"
            );
            return exit::CLEAN;
        }
    };
    let file = loaded
        .file
        .as_deref()
        .map(|file| tracing::field::display(file.display()));
    tracing::info!(version = app::VERSION, data_dir = %settings.data_dir.display(), config = file, "serving");
    eprintln!("listening on {}", running.address());
    tokio::spawn(hangups.heed(running.tls()));
    let mut asking = Asking {
        drains: running.drains(),
        signals,
        signalled: false,
    };
    let asked = loop {
        // A fault wins over a signal: its exit code tells the supervisor more.
        let asked = tokio::select! {
            biased;
            fault = running.failed() => return store_failed(fault.as_ref()),
            asked = asking.first() => asked,
        };
        let announced = running.announced(asked);
        let goes = tokio::select! {
            biased;
            fault = running.failed() => return store_failed(fault.as_ref()),
            goes = announced => goes,
            code = asking.cut_short() => return code,
        };
        if goes {
            break asked;
        }
    };
    // On a task of its own: signals and the deadline are heard whatever it does.
    let stopped = tokio::spawn(stop(running, asked, asking.drains.clone()));
    tokio::select! {
        code = stopped => code.unwrap_or(exit::UNCLEAN),
        code = asking.cut_short() => code,
    }
}

/// Whoever may ask the server to go.
struct Asking {
    drains: Drains,
    signals: Signals,
    /// Whether a signal did.
    signalled: bool,
}

impl Asking {
    /// What the first one asks for.
    async fn first(&mut self) -> Asked {
        tokio::select! {
            asked = self.drains.asked() => return asked,
            () = self.signals.next() => self.ask_by_signal(),
        }
        self.drains.asked().await
    }

    fn ask_by_signal(&mut self) {
        self.drains.ask_by_signal();
        self.signalled = true;
    }

    /// Completes with the exit code when there is no more time, or a second signal wants it done now. The first one joins what
    /// a call asked for.
    async fn cut_short(&mut self) -> u8 {
        loop {
            tokio::select! {
                () = self.drains.overdue() => {
                    tracing::error!("the time to stop is over; the next start finishes what is left");
                    return exit::UNCLEAN;
                }
                () = self.signals.next() => {
                    if self.signalled {
                        tracing::warn!("second signal: stopping now");
                        return exit::UNCLEAN;
                    }
                    self.ask_by_signal();
                }
            }
        }
    }
}

/// Starts a server; none if a signal was sooner. Recovery reads what there is without a pause, so it is on another thread than
/// the signals; what it had written by then is as after a KILL.
async fn start(settings: &Settings, signals: &mut Signals) -> Option<Result<Running, StartError>> {
    let settings = settings.clone();
    let starting = tokio::spawn(async move { app::start(&settings, &Machine::env()).await });
    tokio::select! {
        biased;
        started = starting => Some(started.expect("a start does not panic")),
        () = signals.next() => None,
    }
}

/// Stops in order, with what sessions there are ended if they are to be; answers with the exit code.
async fn stop(running: Running, asked: Asked, drains: Drains) -> u8 {
    match asked.sessions {
        DrainSessions::End => tracing::info!("stopping: sessions end"),
        DrainSessions::Keep => tracing::info!("stopping: live sessions stay on record"),
    }
    let drained = running.drain(asked.reason, asked.sessions).await;
    match &drained {
        Some(row) if row.sessions == DrainSessions::End => {
            let (ended, late, left) = (row.ended, row.late, row.left);
            let unreleased = row.unreleased();
            tracing::info!(ended, late, left, unreleased, "sessions have ended");
        }
        Some(_) => {}
        None => {
            tracing::error!("the drain was not over in time; the next start goes on with it");
        }
    }
    match stopped_code(&running.stop_within(drains.left()).await) {
        exit::CLEAN if drained.is_none() => exit::UNCLEAN,
        code => code,
    }
}

fn refused(error: &StartError, origins: &BTreeMap<KeyPath, Origin>) -> u8 {
    let code = match error {
        StartError::Exports { .. } => {
            let problem = (KeyPath::of("session", "export_before_purge"), chain(error));
            return refused_settings([problem], origins);
        }
        StartError::Tls(wrong) => {
            let problems = wrong
                .iter()
                .map(|wrong| (KeyPath::of("tls", wrong.key), wrong.what.clone()));
            return refused_settings(problems, origins);
        }
        StartError::Store(_) => exit::DATA_DIR,
        StartError::Listen { .. } => exit::ADDRESS,
        StartError::Recovery(_) => exit::STORE,
        StartError::Reflection(_) => exit::UNCLEAN,
    };
    eprintln!("error: {}", chain(error));
    code
}

/// What only the disk knows of settings is told as what is wrong with others.
fn refused_settings(
    wrong: impl IntoIterator<Item = (KeyPath, String)>,
    origins: &BTreeMap<KeyPath, Origin>,
) -> u8 {
    let problem = |(key, what)| Problem::of(origins, &key, what);
    let problems: Vec<Problem> = wrong.into_iter().map(problem).collect();
    inspect::tell(&problems);
    eprintln!("error: {}; nothing was started", inspect::count(&problems));
    exit::USAGE
}

fn store_failed(fault: Option<&sessiond_store::fault::Fault>) -> u8 {
    match fault {
        Some(fault) => {
            tracing::error!(fault = fault.describe(), "the store failed; stopping");
            exit::STORE
        }
        None => {
            tracing::error!("the engine died; stopping");
            exit::UNCLEAN
        }
    }
}

fn stopped_code(stopped: &Stopped) -> u8 {
    match stopped {
        Stopped::Clean => exit::CLEAN,
        Stopped::ConnectionsCut => {
            tracing::warn!("connections that did not close in time were cut");
            exit::CLEAN
        }
        Stopped::Fault(fault) => store_failed(Some(fault)),
        Stopped::Unclean => {
            tracing::error!("the engine did not finish in time");
            exit::UNCLEAN
        }
    }
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words.push_str(": ");
        words.push_str(&inner.to_string());
        cause = inner.source();
    }
    words
}

/// SIGTERM and SIGINT, which mean the same.
#[derive(Debug)]
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn take() -> Self {
        let take = |kind| signal(kind).expect("the runtime takes signals");
        Self {
            term: take(SignalKind::terminate()),
            int: take(SignalKind::interrupt()),
        }
    }

    async fn next(&mut self) {
        // Either one; they mean the same.
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
