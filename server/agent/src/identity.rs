//! Which process is meant: what is noted of one when it is registered, and the comparison with it later.
//!
//! Invariant: two processes never have equal identities with an inode, and a process has the same one as long as it
//! lives and keeps its user. What this deliberately does not do: read the command line or the name, which a process
//! may change, or signal anything.

use std::fmt;

use crate::deny::Denial;
use crate::fault::Fault;
use crate::platform::{self, Pin};
use crate::terms::WeakIdentities;

/// What is noted of a process. The fields are what a registry stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The kernel's random number of this boot, 36 characters: with another one all processes are others.
    pub boot_id: String,
    pub pid: i32,
    /// Clock ticks from boot to its start.
    pub start_ticks: u64,
    /// The inode of its pidfd, which no other process of the boot has; `None` before Linux 6.9, where an identity is
    /// weak.
    pub inode: Option<u64>,
    /// The real user.
    pub uid: u32,
    /// The process group at registration. Not compared: a process may change it.
    pub group: i32,
    /// The session at registration. Not compared: a process may change it.
    pub session: i32,
}

/// Why a process could not be identified.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    #[error("process {pid} is not there or has ended")]
    Gone { pid: i32 },
    #[error("process {pid} cannot be looked at: {what}")]
    Unreadable { pid: i32, what: String },
    #[error("processes can only be identified on Linux")]
    Unsupported,
}

/// What became of a registered process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is there, as it was registered.
    Alive,
    /// It has ended, with its boot or before.
    AlreadyGone,
    /// Something else has its number.
    Mismatch,
}

/// A registered process that was looked for.
#[derive(Debug)]
pub(crate) enum Found {
    Alive(Pin),
    /// Ended, but its parent has not taken note, so its number is still its own.
    Zombie(Pin),
    Gone,
    OtherBoot,
    Mismatch,
}

/// Notes what tells a process from all others, for as long as it runs.
///
/// # Errors
///
/// When it does not run, cannot be looked at, or the platform is another than Linux.
pub fn identify(pid: i32) -> Result<Identity, IdentifyError> {
    let error = |fault| IdentifyError::of(pid, &fault);
    platform::own_row().map_err(error)?;
    let pin = Pin::take(pid).map_err(error)?;
    identify_held(&pin).map_err(error)
}

/// The same for a process that is held.
pub(crate) fn identify_held(pin: &Pin) -> Result<Identity, Fault> {
    let identity = of(pin)?;
    pin.is_running().then_some(identity).ok_or(Fault::Gone)
}

/// Compares a registered process with what has its number. Nothing is signalled and nothing waited for, and it reads
/// some small files of `/proc`: cheap enough to ask of many resources now and then.
///
/// # Errors
///
/// [`Denial::WeakIdentity`], [`Denial::Unverifiable`] or [`Denial::Unsupported`], when it cannot be told.
pub fn verify(identity: &Identity, weak: WeakIdentities) -> Result<Verdict, Denial> {
    Ok(match find(identity, weak)? {
        Found::Alive(_) => Verdict::Alive,
        Found::Zombie(_) | Found::Gone | Found::OtherBoot => Verdict::AlreadyGone,
        Found::Mismatch => Verdict::Mismatch,
    })
}

/// Takes hold of what has the number first, and compares then: what is held cannot become another.
pub(crate) fn find(identity: &Identity, weak: WeakIdentities) -> Result<Found, Denial> {
    platform::own_row()?;
    if platform::boot_id()? != identity.boot_id {
        return Ok(Found::OtherBoot);
    }
    let held = Pin::take(identity.pid).and_then(|pin| Ok((of(&pin)?, pin)));
    let (now, pin) = match held {
        Ok(held) => held,
        Err(Fault::Gone) => return Ok(Found::Gone),
        Err(Fault::NotAProcess) => return Ok(Found::Mismatch),
        Err(fault) => return Err(fault.into()),
    };
    let same = now.start_ticks == identity.start_ticks && now.uid == identity.uid;
    let both_strong = identity.inode.is_some() && now.inode.is_some();
    if !same || (both_strong && identity.inode != now.inode) {
        return Ok(Found::Mismatch);
    }
    if !both_strong && weak == WeakIdentities::Refused {
        return Err(Denial::WeakIdentity);
    }
    Ok(if pin.is_running() {
        Found::Alive(pin)
    } else {
        Found::Zombie(pin)
    })
}

fn of(pin: &Pin) -> Result<Identity, Fault> {
    let row = pin.row()?;
    Ok(Identity {
        boot_id: platform::boot_id()?,
        pid: pin.pid(),
        start_ticks: pin.start_ticks(),
        inode: pin.inode(),
        uid: pin.uid()?,
        group: row.group,
        session: row.session,
    })
}

impl IdentifyError {
    /// What is told of a process when a fault prevents that it is identified.
    pub(crate) fn of(pid: i32, fault: &Fault) -> Self {
        match fault {
            Fault::Gone => Self::Gone { pid },
            Fault::Unsupported => Self::Unsupported,
            Fault::NotAProcess
            | Fault::Unreadable { .. }
            | Fault::Malformed { .. }
            | Fault::ForeignProc
            | Fault::TooMany { .. } => Self::Unreadable {
                pid,
                what: fault.describe(),
            },
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} started at tick {}",
            self.pid, self.start_ticks
        )
    }
}
