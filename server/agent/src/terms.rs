//! How a release goes about it, and what came of it.
//!
//! Invariant: an outcome says what is true of the whole tree, once. What this deliberately does not do: decide.

use std::time::Duration;

use crate::deny::Denial;
use crate::marker::Marker;

/// How long a tree has to end by itself once it was asked to.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long the kernel has to end what was killed: nearly always milliseconds, but a process in the middle of a call to
/// a disk or a driver ends only after it.
pub const VERIFY: Duration = Duration::from_secs(1);

/// How many processes a machine may have for a look at all of them: a look takes some 20 µs for each, and half a look
/// finds half a tree.
pub(crate) const PROCESSES_MAX: usize = 65_536;

/// How a release goes about it.
#[derive(Clone, Debug)]
pub struct Terms {
    /// From TERM to KILL. Nothing waits longer than it must.
    pub grace: Duration,
    /// From KILL until what is left counts as a survivor.
    pub verify: Duration,
    /// Finds what left the tree but not the resource.
    pub marker: Option<Marker>,
    /// What to do where the kernel cannot tell two processes of one pid apart.
    pub weak: WeakIdentities,
}

/// Whether an identity without an inode will do.
///
/// Pid and start time can agree for two processes: the start is counted in ticks of mostly 10 ms, and a pid can come
/// around within one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeakIdentities {
    #[default]
    Refused,
    Allowed,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            grace: GRACE,
            verify: VERIFY,
            marker: None,
            weak: WeakIdentities::default(),
        }
    }
}

/// What came of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// Something was signalled, and nothing of the tree is left.
    Killed,
    /// There was nothing left to signal.
    AlreadyGone,
    /// The number or the place is another's. Nothing was signalled.
    Mismatch,
    /// It must not be signalled, or cannot be told apart from what must not be. Nothing was signalled, unless the
    /// reason came up in the middle ([`Denial::Unverifiable`], [`Denial::TooManyProcesses`]).
    Denied(Denial),
    /// What is left of the tree after everything was tried.
    TimedOut { survivors: Vec<Survivor> },
}

/// A process of the tree that is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    pub pid: i32,
    /// Clock ticks from boot to its start.
    pub start_ticks: u64,
    /// The letter of `ps`: D does not react even to KILL.
    pub state: char,
    /// Why it was not signalled, if it was not.
    pub denial: Option<Denial>,
}
