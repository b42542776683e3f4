//! Registration: whether a process may be registered by somebody who only names its pid.
//!
//! What is registered is ended some day, so whoever could register any pid could have any process of our user ended. A
//! process is registered on one of two proofs: it carries a marker, which only its own user could have it started with,
//! or whoever asks is that user, and could end it anyway.
//!
//! Invariant: what an identity is answered for was held from the first question to the last, so it is one process that
//! carried the marker and was not on the deny list. What this deliberately does not do: authenticate whoever asks, or
//! remember anything.

use std::time::Instant;

use crate::deny::Denial;
use crate::fault::Fault;
use crate::identity::{IdentifyError, Identity, identify_held};
use crate::marker::{LOOK_EVERY, Marker, SHOWN_WITHIN};
use crate::ourselves::{denial_of, ourselves, refuse_own_marker};
use crate::platform::{self, Pin};

/// What entitles somebody to have a process registered.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// The process carries the marker of their resource.
    Marker(&'a Marker),
    /// They are the user of this process: the caller has seen it, as by the peer credentials of a UNIX socket.
    SameUser,
}

/// Why a process is not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// It has ended, cannot be looked at, or the platform is another than Linux.
    #[error(transparent)]
    Unidentified(#[from] IdentifyError),
    #[error("process {pid} cannot be registered, as it could not be ended: {denial}")]
    Denied { pid: i32, denial: Denial },
    #[error("process {pid} does not carry {marker}: start it with that in its environment")]
    NotMarked { pid: i32, marker: Marker },
    /// As one does that may not be debugged.
    #[error(
        "process {pid} does not show whether it carries {marker}: {what}; its user can register it without"
    )]
    Hidden {
        pid: i32,
        marker: Marker,
        what: String,
    },
}

/// Identifies a process for somebody who has a proof for it, unless it is on the deny list.
///
/// Blocks for a fifth of a second at most: a process that does not carry the marker may be about to, as whoever started
/// it knows its pid before it has done its exec.
///
/// # Errors
///
/// When the proof does not hold, when a release would be denied, or when the process cannot be identified.
pub fn register(pid: i32, proof: Proof<'_>) -> Result<Identity, RegisterError> {
    let unidentified = |fault| IdentifyError::of(pid, &fault);
    let denied = |denial| RegisterError::Denied { pid, denial };
    let (pin, denial) = hold(pid).map_err(unidentified)?;
    if let Some(denial) = denial {
        return Err(denied(denial));
    }
    match proof {
        Proof::Marker(marker) => {
            refuse_own_marker(marker).map_err(denied)?;
            await_marker(&pin, marker)?;
        }
        Proof::SameUser => {}
    }
    Ok(identify_held(&pin).map_err(unidentified)?)
}

/// Takes hold of a process, and asks the deny list about it.
fn hold(pid: i32) -> Result<(Pin, Option<Denial>), Fault> {
    let ourselves = ourselves()?;
    let pin = Pin::take(pid)?;
    let row = pin.row()?;
    let denial = denial_of(&pin, &row, &ourselves)?;
    Ok((pin, denial))
}

/// Waits for a process to show the marker, until it ends or the time for it is over.
fn await_marker(pin: &Pin, marker: &Marker) -> Result<(), RegisterError> {
    let pid = pin.pid();
    let unidentified = |fault| IdentifyError::of(pid, &fault);
    let until = Instant::now() + SHOWN_WITHIN;
    loop {
        match pin.environment() {
            Ok(environment) if marker.is_in(&environment) => return Ok(()),
            Ok(_) if Instant::now() < until => {}
            Ok(_) => {
                let marker = marker.clone();
                return Err(RegisterError::NotMarked { pid, marker });
            }
            Err(fault @ Fault::Unreadable { .. }) => {
                let (marker, what) = (marker.clone(), fault.describe());
                return Err(RegisterError::Hidden { pid, marker, what });
            }
            Err(fault) => return Err(unidentified(fault).into()),
        }
        let next = until.min(Instant::now() + LOOK_EVERY);
        platform::wait(&mut [pin.poll_fd()], next).map_err(unidentified)?;
    }
}
