//! The command and everything it starts.
//!
//! Invariant: all of it carries a mark in its environment and stays below this process, which adopts what its parents leave
//! behind; so all of it is found when it is time, and `Left` says what is true of all of it. Where cgroup v2 is delegated to
//! this process, all of it is in a cgroup of its own besides, by which the server finds it when this process is killed. What
//! this deliberately does not do: decide when that is.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use sessiond_agent::adoption::{self, Children};
use sessiond_agent::cgroup;
use sessiond_agent::marker::Marker;
use sessiond_agent::terms::{Released, Survivor, Terms};
use sessiond_client::{
    ADDR_ENV, CAUSE_ENV, NAMESPACE_ENV, SESSION_ID_ENV, SESSION_KEY_ENV, SessionHandle,
};
use thiserror::Error;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use super::RunArgs;

/// A command that runs, and what it started.
#[derive(Debug)]
pub(super) struct Tree {
    child: Child,
    marker: Marker,
    /// What this process had for children before, which is not the command's.
    before: Children,
    /// Tells that something below us has ended and is to be reaped.
    child_ended: Signal,
}

/// Why a command was not started.
#[derive(Debug, Error)]
pub(super) enum SpawnError {
    #[error("{0}: there is no such command")]
    NotFound(String),
    #[error("{0} cannot be executed: {1}")]
    NotExecutable(String, io::Error),
    #[error("what the command starts could not be kept together: {0}")]
    Unmarked(String),
}

/// What was left of the tree when the command had ended, and what became of it.
#[derive(Debug)]
pub(super) enum Left {
    /// Nothing.
    Nothing,
    /// Something that was ended, and is verified to be gone.
    Released,
    /// Something that does not end, or must not be signalled.
    Survivors(String),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "nothing of it was left"),
            Self::Released => write!(f, "what was left of it was ended"),
            Self::Survivors(what) => write!(f, "some of it could not be ended: {what}"),
        }
    }
}

impl Tree {
    /// Starts the command of a session, marked as a resource of it.
    pub(super) fn spawn(
        args: &RunArgs,
        command: &[OsString],
        session: &SessionHandle,
        mark: &str,
    ) -> Result<Self, SpawnError> {
        let (program, arguments) = command.split_first().expect("clap requires a command");
        let unmarked = |error: &dyn fmt::Display| SpawnError::Unmarked(error.to_string());
        adoption::adopt_orphans().map_err(|error| unmarked(&error))?;
        // Where it cannot be seen what there is, it could not be ended either.
        let before = adoption::children().map_err(|denial| unmarked(&denial))?;
        let child_ended = signal(SignalKind::child()).map_err(|error| unmarked(&error))?;
        let marker = Marker::new(mark).map_err(|error| unmarked(&error))?;
        let mut command = Command::new(program);
        // What was handled when this was started is over; what the command does later is its own doing.
        command
            .args(arguments)
            .env_remove(CAUSE_ENV)
            .env(sessiond_agent::marker::VARIABLE, mark)
            .env(SESSION_ID_ENV, session.id())
            .env(SESSION_KEY_ENV, session.key())
            .env(ADDR_ENV, &args.connect.addr)
            .envs(args.connect.tls().variables());
        if !args.connect.namespace.is_empty() {
            command.env(NAMESPACE_ENV, &args.connect.namespace);
        }
        // Nothing else is started here, so nothing else gets in there.
        let (child, enclosed) = cgroup::start_within(&marker, || command.spawn());
        if let Err(why) = enclosed {
            tracing::trace!(%why, "the command has no cgroup of its own");
        }
        let child = child.map_err(|error| not_spawned(&program.to_string_lossy(), error))?;
        Ok(Self {
            child,
            marker,
            before,
            child_ended,
        })
    }

    /// The number of the command's process, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the command ends, and meanwhile reaps what it left behind; nothing if it cannot be waited for.
    pub(super) async fn exited(&mut self) -> Option<ExitStatus> {
        let own = self.child.id();
        loop {
            // Either one; the command itself is reaped by whoever waits for it.
            tokio::select! {
                status = self.child.wait() => return status.ok(),
                _ = self.child_ended.recv() => reap(own),
            }
        }
    }

    /// Ends the command and everything it started, and verifies that it is gone; answers with how the command ended, if it
    /// did: a process in the middle of a call to a disk does not.
    pub(super) async fn release(mut self, grace: Duration) -> (Option<ExitStatus>, Left) {
        let terms = Terms {
            grace,
            marker: Some(self.marker.clone()),
            ..Terms::default()
        };
        let verify = terms.verify;
        let before = self.before.clone();
        let mut releasing = spawn_blocking(move || adoption::release_children(&before, &terms));
        // The command is reaped while it is ended, or it would count as there until the end.
        let (status, released) = tokio::select! {
            status = self.exited() => (status, releasing.await),
            released = &mut releasing => {
                let status = tokio::time::timeout(verify, self.exited()).await;
                (status.ok().flatten(), released)
            }
        };
        reap(None);
        let left = match released {
            Ok(released) => left(released),
            Err(error) => Left::Survivors(error.to_string()),
        };
        (status, left)
    }
}

fn reap(spared: Option<u32>) {
    if let Err(why) = adoption::reap(spared) {
        tracing::debug!(
            why,
            "what has ended is left for whoever comes after this process"
        );
    }
}

fn not_spawned(program: &str, error: io::Error) -> SpawnError {
    if error.kind() == io::ErrorKind::NotFound {
        SpawnError::NotFound(program.to_owned())
    } else {
        SpawnError::NotExecutable(program.to_owned(), error)
    }
}

fn left(released: Released) -> Left {
    match released {
        Released::AlreadyGone | Released::Mismatch => Left::Nothing,
        Released::Killed => Left::Released,
        Released::Denied(denial) => Left::Survivors(denial.to_string()),
        Released::TimedOut { survivors } => {
            let named = |survivor: &Survivor| match &survivor.denial {
                Some(denial) => format!("process {} ({denial})", survivor.pid),
                None => format!("process {}", survivor.pid),
            };
            let named: Vec<String> = survivors.iter().map(named).collect();
            Left::Survivors(named.join(", "))
        }
    }
}
