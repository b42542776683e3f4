//! Which processes carry markers, found by looking at the environments of all: for resources of which no process was
//! ever registered, and for processes whose owner nobody knows.
//!
//! Invariant: what is told of a process is true of one process. What this deliberately does not do: signal anything, or
//! look at this process itself. Not found, besides what carries no marker that can be read, is a process forked during
//! the look by one that ended during it: whoever concludes something from finding none should ask more than once.

use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

use crate::deny::Denial;
use crate::fault::Fault;
use crate::marker::{LOOK_EVERY, Marker, SHOWN_WITHIN};
use crate::ourselves::refuse_own_marker;
use crate::platform::{self, Pin};
use crate::terms::PROCESSES_MAX;

/// A process that carries a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    pub pid: i32,
    /// Clock ticks from boot to its start.
    pub start_ticks: u64,
    pub marker: Marker,
}

/// All processes of our user that carry any marker, but for this one. Whoever asks for many markers asks this once.
///
/// Blocks for a look at all processes, and a fifth of a second more if some show no environment.
///
/// # Errors
///
/// Why a release could not look at all processes either.
pub fn marked_processes() -> Result<Vec<Marked>, Denial> {
    let mut all = Vec::new();
    look(|pin, environment| {
        all.extend(Marker::of(environment).map(|marker| Marked {
            pid: pin.pid(),
            start_ticks: pin.start_ticks(),
            marker,
        }));
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// Whether any other process of our user carries the marker, so that
/// [`release_marked`](crate::release::release_marked) would find it.
///
/// Blocks as [`marked_processes`] does, but only until one is found.
///
/// # Errors
///
/// [`Denial::OwnMarker`] when this process carries it; else why a release could not look at all processes either.
pub fn any_marked(marker: &Marker) -> Result<bool, Denial> {
    refuse_own_marker(marker)?;
    let mut is_found = false;
    look(|_, environment| {
        is_found = marker.is_in(environment);
        if is_found {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(is_found)
}

/// Shows the environments of all other processes of our user until whoever looks has seen enough. Processes in the
/// middle of an exec are looked at again.
fn look(mut see: impl FnMut(&Pin, &[u8]) -> ControlFlow<()>) -> Result<(), Denial> {
    let until = Instant::now() + SHOWN_WITHIN;
    let mut left = others()?;
    loop {
        let mut not_shown = Vec::new();
        for pid in left {
            let Some((pin, environment)) = environment(pid)? else {
                continue;
            };
            if environment.is_empty() {
                not_shown.push(pid);
            } else if see(&pin, &environment).is_break() {
                return Ok(());
            }
        }
        if not_shown.is_empty() || Instant::now() >= until {
            return Ok(());
        }
        left = not_shown;
        platform::wait(&mut [], until.min(Instant::now() + LOOK_EVERY))?;
    }
}

/// The processes that may have an environment, without this one.
fn others() -> Result<Vec<i32>, Fault> {
    let own = platform::own_row()?.pid;
    let rows = platform::rows(PROCESSES_MAX)?.into_iter();
    let others = rows.filter(|row| row.pid != own && !row.kernel_thread && row.state != 'Z');
    Ok(others.map(|row| row.pid).collect())
}

/// The process that has the number, and what it was started with; `None` if it has ended, is another user's, or does
/// not let us read it.
fn environment(pid: i32) -> Result<Option<(Pin, Vec<u8>)>, Fault> {
    let read = || {
        let pin = Pin::take(pid)?;
        let is_ours = pin.uid()? == platform::own_uid();
        let environment = is_ours.then(|| pin.environment()).transpose()?;
        Ok(environment.map(|environment| (pin, environment)))
    };
    match read() {
        Err(Fault::Gone | Fault::NotAProcess) => Ok(None),
        Err(Fault::Unreadable { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Ok(None)
        }
        read => read,
    }
}
