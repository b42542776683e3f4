//! What can go wrong while the kernel is asked about a process, and a process as it answers.
//!
//! Shared by the code of every platform. What it deliberately does not do: say what follows from a fault; a caller
//! that cannot look does not signal.

use std::error::Error as _;
use std::io;

use crate::deny::Denial;

/// A question about a process that has no answer.
#[cfg_attr(
    any(not(target_os = "linux"), sessiond_elsewhere),
    expect(dead_code, reason = "what Linux answers")
)]
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no such process")]
    Gone,
    /// The number is that of a thread, not of a process.
    #[error("the number is no process's")]
    NotAProcess,
    #[error("{what} cannot be read")]
    Unreadable {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("{what} is not in a known form")]
    Malformed { what: String },
    /// Its numbers would be those of other processes.
    #[error("/proc shows another pid namespace than this process is in")]
    ForeignProc,
    #[error("more than {max} processes")]
    TooMany { max: usize },
    #[cfg_attr(
        all(target_os = "linux", not(sessiond_elsewhere)),
        expect(dead_code, reason = "what other platforms answer")
    )]
    #[error("processes can only be identified on Linux")]
    Unsupported,
}

/// A process, as the kernel describes it at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// Clock ticks from boot to its start.
    pub(crate) start_ticks: u64,
    /// The letter of `ps`: R, S, D, T, Z and others.
    pub(crate) state: char,
    pub(crate) kernel_thread: bool,
}

/// What the environment of a process says about the marker.
#[cfg_attr(
    any(not(target_os = "linux"), sessiond_elsewhere),
    expect(dead_code, reason = "what Linux answers")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Carried,
    Absent,
    /// There is none, as in the middle of an exec: soon there may be.
    NotShown,
}

impl Fault {
    /// Itself with its cause, for errors that keep text only.
    pub(crate) fn describe(&self) -> String {
        match self.source() {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// What is told to whoever asked for something that a fault prevents.
impl From<Fault> for Denial {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unsupported => Self::Unsupported,
            Fault::TooMany { max } => Self::TooManyProcesses { max },
            Fault::Gone
            | Fault::NotAProcess
            | Fault::Unreadable { .. }
            | Fault::Malformed { .. }
            | Fault::ForeignProc => Self::Unverifiable {
                what: fault.describe(),
            },
        }
    }
}
