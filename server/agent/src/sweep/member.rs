//! One process of a sweep, and how far it has been brought.
//!
//! Invariant: a step sends its signals and no others. What this deliberately does not do: ask whether it may.

use rustix::process::Signal;

use crate::deny::Denial;
use crate::fault::{Fault, Row};
use crate::platform::Pin;
use crate::terms::Survivor;

/// How far a member has been brought, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Gathered,
    /// Asked to end. One that was stopped is let go on, or it could not.
    Asked,
    /// Kept from forking, which would leave the child behind.
    Frozen,
    Killed,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) pin: Pin,
    /// As of the last look.
    pub(super) row: Row,
    pub(super) step: Step,
}

/// Signals what a step means.
pub(super) fn send(pin: &Pin, step: Step) -> Result<(), Fault> {
    match step {
        Step::Gathered => Ok(()),
        Step::Asked => {
            pin.signal(Signal::TERM)?;
            pin.signal(Signal::CONT)
        }
        Step::Frozen => pin.signal(Signal::STOP),
        Step::Killed => pin.signal(Signal::KILL),
    }
}

/// A process as it is told of when it is left.
pub(crate) fn survivor(row: &Row, denial: Option<Denial>) -> Survivor {
    Survivor {
        pid: row.pid,
        start_ticks: row.start_ticks,
        state: row.state,
        denial,
    }
}
