//! `sessionctl hook`: what a coding agent runs at each of its events.
//!
//! Invariant: the agent never notices. The process ends within its budget with exit code 0 and
//! nothing on stdout, whatever happens: bad input, no server, a full disk, a panic, wrong
//! arguments (an exit code of 2 would stop the agent). What went wrong stands in `hook.log` in the
//! state directory. What this deliberately does not do: promise that an event arrives at once; one
//! that cannot be sent waits in the spool.
//!
//! ```text
//! 0 ms                    50 ms     350 ms           550 ms              750 ms    800 ms
//! | read, map, connect ---|         | backlog of     | last answer       | spool   | exit
//! |                                 | other sessions | counts            | locks   |
//! ```

mod install;
mod journal;
mod settings;
mod start;
mod strict_json;
mod tell;

use std::ffi::OsString;
use std::io;
use std::panic;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use self::install::InstallArgs;
use self::journal::Journal;
use self::start::start;
pub(crate) use self::tell::request;
use self::tell::{Start, Teller};
use crate::failure::Failure;
use crate::output::Output;
use crate::state_dir;
use crate::target::Target;

/// The whole life of a hook.
const TOTAL: Duration = Duration::from_millis(800);

/// The log of all hooks, in the state directory.
const JOURNAL: &str = "hook.log";

/// The variable that asks every hook to start the server, as its flag does.
const START_ENV: &str = "SESSIOND_HOOK_START_SERVER";

#[derive(Debug, Subcommand)]
pub(crate) enum HookCommand {
    /// Reads one hook event of Claude Code from stdin and passes it on. Always succeeds, within
    /// 800 ms; problems are in `hook.log` in the state directory.
    ClaudeCode(ClaudeCodeArgs),
    /// Writes the hooks into the settings of the agent.
    Install(InstallArgs),
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ClaudeCodeArgs {
    /// Start `sessiond` on this machine when it is not running. It is looked for beside this
    /// program, then in PATH; the event waits in the spool until the next hook.
    #[arg(long, env = START_ENV, value_parser = clap::builder::FalseyValueParser::new())]
    start_server: bool,
}

/// Whether arguments that cannot be parsed were those of a hook, which must succeed nevertheless.
pub(crate) fn is_meant(arguments: &[OsString]) -> bool {
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    has("hook") && has("claude-code") && !has("install")
}

/// Notes why arguments were refused.
pub(crate) fn refuse_arguments(error: &clap::Error) {
    journal().note(&format!("cannot parse the arguments: {error}"));
}

/// Writes the hooks into the settings of the agent.
pub(crate) fn install(
    args: &InstallArgs,
    target: &Target,
    output: &mut Output,
) -> Result<(), Failure> {
    args.run(target, output)
}

/// Passes the event on stdin on, and returns within the budget in any case.
pub(crate) fn run(args: ClaudeCodeArgs, target: Target) {
    let started = Instant::now();
    let journal = journal();
    let panics = journal.clone();
    panic::set_hook(Box::new(move |info| panics.note(&info.to_string())));
    let (finished, is_finished) = mpsc::channel();
    let work = journal.clone();
    let spawned = thread::Builder::new().spawn(move || {
        pass_on(args, target, started, &work);
        // The receiver has given up when the budget is over.
        let _ = finished.send(());
    });
    if let Err(error) = spawned {
        journal.note(&format!("cannot start a thread: {error}"));
        return;
    }
    let left = TOTAL.saturating_sub(started.elapsed());
    if is_finished.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
        journal.note(&format!("gave up after {TOTAL:?}"));
    }
}

fn pass_on(args: ClaudeCodeArgs, target: Target, started: Instant, journal: &Journal) {
    let state = match state_dir::path() {
        Ok(state) => state,
        Err(error) => return journal.note(&error.to_string()),
    };
    let teller = Teller {
        target,
        state,
        started,
        start: args.start_server.then_some(start as Start),
        journal: journal.clone(),
    };
    if let Err(error) = teller.tell(&mut io::stdin().lock()) {
        journal.note(&format!("{error:#}"));
    }
}

fn journal() -> Journal {
    Journal::new(state_dir::path().ok().map(|state| state.join(JOURNAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_known_by_their_words() {
        let meant = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            is_meant(&words)
        };
        assert!(meant("sessionctl hook claude-code --no-such-flag"));
        assert!(meant("sessionctl --addr x hook claude-code extra"));
        assert!(!meant("sessionctl hook install claude-code --bad"));
        assert!(!meant("sessionctl session ls"));
    }
}
