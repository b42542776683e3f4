//! Why a command failed: what it tells a person in three lines, and the exit code.
//!
//! Invariant: one table of exit codes, which the help shows and scripts rely on; one code per kind
//! of remedy. What this deliberately does not do: decide what is repeated.

use std::fmt::Write as _;
use std::io;

use sessiond_client::{Error, Reason};

use crate::output::table::printable;
use crate::target::Target;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok,
    Other,
    Usage,
    CannotConnect,
    Auth,
    NotFound,
    Conflict,
    Deadline,
    Draining,
    Interrupted,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The SDK said so.
    #[error("{0}")]
    Sdk(Box<Error>),
    /// Of the many things that were asked for, some were refused.
    #[error("{failed} of {asked} were refused, the first one with: {first}")]
    Some {
        failed: usize,
        asked: usize,
        /// Stands for all of them.
        first: Box<Error>,
    },
    /// The arguments do not make sense.
    #[error("{0}")]
    Usage(String),
    /// Things are not as the command needs them, and waiting does not help.
    #[error("{0}")]
    Conflict(String),
    /// It took longer than the caller allowed.
    #[error("{0}")]
    Deadline(String),
    /// Anything else of this machine.
    #[error("{0:#}")]
    Other(anyhow::Error),
    /// The user stopped it.
    #[error("interrupted")]
    Interrupted,
    /// Nobody reads what it prints.
    #[error("nobody reads the output")]
    NobodyReads,
}

// === impl Exit ===

impl Exit {
    /// Every way to end, in the order of the help.
    pub(crate) const ALL: [Self; 10] = [
        Self::Ok,
        Self::Other,
        Self::Usage,
        Self::CannotConnect,
        Self::Auth,
        Self::NotFound,
        Self::Conflict,
        Self::Deadline,
        Self::Draining,
        Self::Interrupted,
    ];

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::CannotConnect => 3,
            Self::Auth => 4,
            Self::NotFound => 5,
            Self::Conflict => 6,
            Self::Deadline => 7,
            Self::Draining => 8,
            Self::Interrupted => 130,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Other => "any other failure",
            Self::Usage => "usage: the arguments or the request are not valid",
            Self::CannotConnect => "cannot connect, or the server is unavailable",
            Self::Auth => "not authenticated, or not permitted",
            Self::NotFound => "not found",
            Self::Conflict => "conflict, failed precondition or lost lease",
            Self::Deadline => "deadline exceeded",
            Self::Draining => "the server is shutting down",
            Self::Interrupted => "interrupted",
        }
    }

    /// The table for the help.
    pub(crate) fn table() -> String {
        let mut text = "Exit codes:\n".to_owned();
        for exit in Self::ALL {
            let _ = writeln!(text, "  {:>3}  {}", exit.code(), exit.meaning());
        }
        text
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        if error.reason() == Some(Reason::ServerDraining) {
            return Self::Draining;
        }
        match error {
            Error::NotFound(_) => Self::NotFound,
            Error::AlreadyExists(_)
            | Error::FailedPrecondition(_)
            | Error::Conflict(_)
            | Error::LeaseLost(_)
            | Error::Compacted { .. }
            | Error::LogChanged(_) => Self::Conflict,
            Error::Invalid { .. } | Error::Setting(_) => Self::Usage,
            Error::Unavailable(_) => Self::CannotConnect,
            Error::Unauthenticated(_) | Error::PermissionDenied(_) => Self::Auth,
            Error::Deadline(_) => Self::Deadline,
            Error::ResourceExhausted { .. }
            | Error::NotBuilt(_)
            | Error::Cancelled(_)
            | Error::Internal(_)
            | Error::Protocol(_) => Self::Other,
        }
    }
}

// === impl Failure ===

impl Failure {
    /// Stdout could not be written.
    pub(crate) fn writing(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::NobodyReads;
        }
        Self::Other(anyhow::Error::new(error).context("cannot write to stdout"))
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Sdk(error) | Self::Some { first: error, .. } => Exit::from(&**error),
            Self::Usage(_) => Exit::Usage,
            Self::Conflict(_) => Exit::Conflict,
            Self::Deadline(_) => Exit::Deadline,
            Self::Other(_) => Exit::Other,
            Self::Interrupted => Exit::Interrupted,
            // As if the signal had not been ignored: the reader has what it wanted.
            Self::NobodyReads => Exit::Ok,
        }
    }

    /// What to tell on stderr: what failed, the reason to branch on, and what to do. Empty when
    /// there is nobody to tell, or nothing they do not know.
    pub(crate) fn report(&self, target: &Target) -> String {
        let (reason, hint) = match self {
            Self::Sdk(error) | Self::Some { first: error, .. } => {
                (sdk_reason(error), sdk_hint(error, target))
            }
            Self::Usage(_) => ("USAGE".to_owned(), "see `sessionctl --help`".to_owned()),
            Self::Conflict(_) => (
                "FAILED_PRECONDITION".to_owned(),
                "look at it with `sessionctl session get`".to_owned(),
            ),
            Self::Deadline(_) => (
                "DEADLINE_EXCEEDED".to_owned(),
                "allow it more time, or look at it with `sessionctl session get`".to_owned(),
            ),
            Self::Other(_) => (
                "LOCAL".to_owned(),
                "this machine refused it, not the server".to_owned(),
            ),
            Self::Interrupted | Self::NobodyReads => return String::new(),
        };
        let what = printable(&self.to_string());
        format!(
            "error: {what}\n  reason: {}\n  hint: {}\n",
            printable(&reason),
            printable(&hint)
        )
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sdk(Box::new(error))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// The reason, or the status code when there is none, with the facts that belong to it and how long to wait.
fn sdk_reason(error: &Error) -> String {
    let spelled = error.refusal().reason_text();
    let mut reason = match error.reason() {
        Some(reason) => reason.to_string(),
        None if spelled.is_empty() => error.code_name().to_owned(),
        None => spelled.to_owned(),
    };
    for (name, value) in error.metadata() {
        let _ = write!(reason, "  {name}: {value}");
    }
    if let Some(wait) = error.retry_after() {
        let _ = write!(reason, "  retry_after: {wait:?}");
    }
    reason
}

fn sdk_hint(error: &Error, target: &Target) -> String {
    if error.is_connect() {
        return target.is_it_running();
    }
    if let Some(reason) = error.reason() {
        return reason.hint().to_owned();
    }
    match error {
        Error::Unavailable(_) => target.is_it_running(),
        Error::Setting(_) => "see `sessionctl --help`".to_owned(),
        Error::Deadline(_) => {
            "the outcome is unknown: look, then repeat it with the same --request-id".to_owned()
        }
        Error::NotBuilt(_) => Reason::NotBuilt.hint().to_owned(),
        Error::NotFound(_)
        | Error::AlreadyExists(_)
        | Error::FailedPrecondition(_)
        | Error::Conflict(_)
        | Error::LeaseLost(_)
        | Error::Compacted { .. }
        | Error::LogChanged(_)
        | Error::Invalid { .. }
        | Error::Unauthenticated(_)
        | Error::PermissionDenied(_)
        | Error::ResourceExhausted { .. }
        | Error::Cancelled(_)
        | Error::Internal(_)
        | Error::Protocol(_) => {
            format!("is {} a sessiond of this version?", target.described())
        }
    }
}

#[cfg(test)]
mod tests;
