//! The command and everything it starts.
//!
//! Invariant: all of it carries a mark in its environment and stays below this process, which adopts what its parents leave
//! behind; so all of it is found when it is time, and `Left` says what is true of all of it. What this deliberately does
//! not do: decide when that is.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use sessiond_agent::marker::Marker;
use sessiond_agent::terms::{Released, Survivor, Terms};
use sessiond_agent::{adoption, release};
use sessiond_client::SessionHandle;
use thiserror::Error;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// Variables that tell the command where it belongs.
const SESSION_ID: &str = "SESSIOND_SESSION_ID";
const SESSION_KEY: &str = "SESSIOND_SESSION_KEY";

/// A command that runs, and what it started.
#[derive(Debug)]
pub(super) struct Tree {
    child: Child,
    marker: Marker,
    /// Tells that something below us has ended and is to be reaped.
    ended: Signal,
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
    Ended,
    /// Something that does not end, or must not be signalled.
    Survivors(String),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "nothing of it was left"),
            Self::Ended => write!(f, "what was left of it was ended"),
            Self::Survivors(what) => write!(f, "some of it could not be ended: {what}"),
        }
    }
}

impl Tree {
    /// Starts a command of a session.
    pub(super) fn spawn(
        command: &[OsString],
        session: &SessionHandle,
        addr: &str,
    ) -> Result<Self, SpawnError> {
        let (program, arguments) = command.split_first().expect("clap requires a command");
        let unmarked = |error: &dyn fmt::Display| SpawnError::Unmarked(error.to_string());
        adoption::adopt_orphans().map_err(|error| unmarked(&error))?;
        let ended = signal(SignalKind::child()).map_err(|error| unmarked(&error))?;
        let mark = format!("run-{}", Uuid::now_v7());
        let marker = Marker::new(mark.as_str()).map_err(|error| unmarked(&error))?;
        let child = Command::new(program)
            .args(arguments)
            .env(sessiond_agent::marker::VARIABLE, &mark)
            .env(SESSION_ID, session.id())
            .env(SESSION_KEY, session.key())
            .env(sessiond_client::ADDR_ENV, addr)
            .spawn()
            .map_err(|error| not_spawned(&program.to_string_lossy(), error))?;
        Ok(Self {
            child,
            marker,
            ended,
        })
    }

    /// Waits until the command ends, and meanwhile reaps what it left behind.
    pub(super) async fn exited(&mut self) -> io::Result<ExitStatus> {
        let own = self.child.id();
        loop {
            // Either one; the command itself is reaped by whoever waits for it.
            tokio::select! {
                status = self.child.wait() => return status,
                _ = self.ended.recv() => self.reap(own),
            }
        }
    }

    fn reap(&self, spared: Option<u32>) {
        if let Err(why) = adoption::reap(spared) {
            tracing::debug!(
                why,
                "what has ended is left for whoever comes after this process"
            );
        }
    }

    /// Ends the command and everything it started, and verifies that it is gone; answers with how the command ended, if it
    /// did.
    pub(super) async fn release(
        mut self,
        grace: Duration,
    ) -> anyhow::Result<(Option<ExitStatus>, Left)> {
        let terms = Terms {
            grace,
            marker: Some(self.marker.clone()),
            ..Terms::default()
        };
        let verify = terms.verify;
        let mut ending = spawn_blocking(move || release::release_children(&terms));
        // The command is reaped while it is ended, or it would count as there until the end.
        let reaped = tokio::select! {
            status = self.exited() => Some(status?),
            released = &mut ending => return self.ended(released?, verify).await,
        };
        let released = ending.await.context("the release broke off")?;
        self.reap(None);
        Ok((reaped, left(released)))
    }

    /// The release came to its end before the command was reaped, which may be in a call that does not end.
    async fn ended(
        mut self,
        released: Released,
        within: Duration,
    ) -> anyhow::Result<(Option<ExitStatus>, Left)> {
        let status = tokio::time::timeout(within, self.exited()).await.ok();
        self.reap(None);
        Ok((status.transpose()?, left(released)))
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
        Released::Killed => Left::Ended,
        Released::Denied(denial) => Left::Survivors(denial.to_string()),
        Released::TimedOut { survivors } => {
            let named = |survivor: &Survivor| format!("process {}", survivor.pid);
            let named: Vec<String> = survivors.iter().map(named).collect();
            Left::Survivors(named.join(", "))
        }
    }
}
