//! `sessiond run`: a command that lives and dies with a session.
//!
//! Invariant: while the command runs, the session is in use; when the session ends, whoever ends it, the command and
//! everything below this process is ended and verified to be gone; a graceful end waits for that as long as its grace is.
//! When the command ends, so does what it left behind, and after that the session, if it was opened here. However this
//! process is made to stop, it stops the command first. The command is a resource of the session, declared before it is
//! started: a KILL of this process leaves it to the server, which ends it with the session, at the latest when its owner is
//! missed. What this deliberately does not do: end processes of other users.

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use sessiond_client::RetryPolicy;

use super::agent::NODE_ENV;

mod bond;
pub(crate) mod connect;
mod pane;
mod signals;
mod tree;

use bond::{Bond, Over};
use connect::ConnectArgs;
use pane::Pane;
use signals::Signals;
use tree::{Left, SpawnError, Tree};

/// What ends the command or the watch over it.
#[derive(Debug)]
enum Cause {
    /// It ended by itself.
    Exited,
    /// Its session is over, or is about to be.
    Session(Over),
    /// Somebody asked us to stop.
    Signalled,
}

/// Our own failures have the codes that `env`, `nice` and `timeout` have for theirs; anything else is the command's.
mod code {
    pub(super) const FAILED: u8 = 125;
    pub(super) const NOT_EXECUTABLE: u8 = 126;
    pub(super) const NOT_FOUND: u8 = 127;
    /// Plus the number of the signal that ended the command.
    pub(super) const SIGNALLED: u8 = 128;
}

/// How long a call is repeated while no server answers: long enough for one that is just starting. What must outlast a
/// longer absence asks again by itself.
const RETRY_TOTAL: Duration = Duration::from_secs(5);

const EXIT_CODES: &str = "Exit codes:
  the command's own, or 128 and the number of the signal that ended it
  125  the session or the tmux server could not be made, or something of the command could not be ended
  126  the command cannot be executed; 127: there is no such command

TERM, HUP, INT and QUIT end the command; on a terminal INT and QUIT are the command's, which gets them as well. HUP and INT
that were ignored when this was started stay so. Processes of other users are not ended.";

/// The arguments of `sessiond run`.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RunArgs {
    /// The key of the session. One that lives already is used as it is and outlives the command; otherwise one is opened,
    /// and ends with the command.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key: String,
    #[command(flatten)]
    connect: ConnectArgs,
    /// The pool that a new session belongs to [default: the server's `default`].
    #[arg(long, default_value = "", hide_default_value = true)]
    pool: String,
    /// The project of a new session.
    #[arg(long, default_value = "", hide_default_value = true)]
    project: String,
    /// In a full pool, wait so many seconds for a slot; the command starts when there is one.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    wait_for_slot: u32,
    /// Seconds from TERM to KILL when the command is ended, for all that it started together; 0 kills at once. A graceful
    /// end of the session waits for its own grace at most, 5 s by default.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    grace: u32,
    /// The name of the agent (`sessiond agent`) that looks after this machine, if the server runs on another one. It ends the
    /// command when this process cannot [default: the server does, on its own machine].
    #[arg(long, env = NODE_ENV, default_value = "", hide_default_value = true)]
    node: String,
    /// Run it in a tmux session of its own, on a private tmux server that ends with it; how to attach is told.
    #[arg(long)]
    tmux: bool,
    /// The command and its arguments.
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command; answers with the exit code.
pub(crate) async fn run(args: RunArgs) -> u8 {
    match supervise(&args).await {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("{error:#}"));
            code::FAILED
        }
    }
}

async fn supervise(args: &RunArgs) -> anyhow::Result<u8> {
    // Before anything exists that a signal could leave behind.
    let mut signals = Signals::take()?;
    let client = args.connect.client();
    let client = client.retry(RetryPolicy::within(RETRY_TOTAL)).build();
    let client = client.context("there can be no client")?;
    let mut bond = Bond::open(&client, args).await?;
    let ready = tokio::select! {
        ready = bond.ready(&args.key) => ready,
        () = signals.any() => Err(anyhow::anyhow!("stopped before the command was started")),
    };
    if let Err(error) = ready {
        bond.give_up(&format!("{error:#}")).await;
        return Err(error);
    }
    let pane = args.tmux.then(Pane::new).transpose();
    let pane = pane.context("there is no place for a tmux server")?;
    let mark = match bond.declare(args).await {
        Ok(mark) => mark,
        Err(error) => {
            bond.give_up(&format!("{error:#}")).await;
            return Err(error);
        }
    };
    let command = match &pane {
        Some(pane) => &pane.around(&args.key, &args.command),
        None => &args.command,
    };
    let mut tree = match Tree::spawn(args, command, bond.session(), &mark) {
        Ok(tree) => tree,
        Err(error) => return Ok(not_started(bond, &error).await),
    };
    if let Some(pane) = &pane {
        let socket = pane.socket();
        say(format_args!(
            "attach with: tmux -S {} attach",
            socket.display()
        ));
    }
    let pid = tree.pid();
    let watched = async {
        if let Some(pid) = pid {
            bond.register(&mark, pid).await;
        }
        bond.over().await
    };
    // Either one; what comes first is why the others follow.
    let cause = tokio::select! {
        _ended = tree.exited() => Cause::Exited,
        over = watched => Cause::Session(over),
        () = signals.ours() => Cause::Signalled,
    };
    if let Cause::Session(over) = &cause {
        say(format_args!("{over}: ending the command"));
    }
    let (status, left) = tree.release(Duration::from_secs(args.grace.into())).await;
    let survived = matches!(left, Left::Survivors(_));
    if survived {
        say(format_args!("{left}"));
    }
    tokio::select! {
        () = bond.untie(&cause, status, &left) => {}
        () = signals.any() => say(format_args!("the end of the session is not told")),
    }
    Ok(match status {
        Some(status) if !survived => exit_code(status),
        Some(_) | None => code::FAILED,
    })
}

/// Tells a person, if there is one: nobody who has gone away keeps the command from being ended.
fn say(what: fmt::Arguments<'_>) {
    let _nobody = writeln!(std::io::stderr(), "sessiond run: {what}");
}

/// A command that cannot be started ends the session that was opened for it.
async fn not_started(bond: Bond, error: &SpawnError) -> u8 {
    say(format_args!("{error}"));
    bond.give_up(&error.to_string()).await;
    match error {
        SpawnError::NotFound(_) => code::NOT_FOUND,
        SpawnError::NotExecutable(..) => code::NOT_EXECUTABLE,
        SpawnError::Unmarked(_) => code::FAILED,
    }
}

/// How the command ended, as a shell tells it.
fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .map(|code| u8::try_from(code).unwrap_or(code::FAILED));
    let signal = || {
        let signal = status.signal().and_then(|signal| u8::try_from(signal).ok());
        code::SIGNALLED.saturating_add(signal.unwrap_or_default())
    };
    code.unwrap_or_else(signal)
}
