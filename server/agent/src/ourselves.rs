//! This process, as far as the deny list needs to know it, and what the list says of others.
//!
//! Invariant: all processes it descends from are named, or none is signalled. What this deliberately does not do: keep
//! what it found; a process gets another parent when its own ends.

use crate::deny::{Denial, Facts, Ourselves, denial};
use crate::fault::{Fault, Row};
use crate::marker::Marker;
use crate::platform::{self, Pin};

/// This process and what it descends from.
pub(crate) fn ourselves() -> Result<Ourselves, Fault> {
    let own = platform::own_row()?;
    let mut ancestors = Vec::new();
    let mut next = own.parent;
    // The first process has the parent 0, and one outside a pid namespace shows as 0.
    while next > 0 && !ancestors.contains(&next) {
        ancestors.push(next);
        next = match platform::row(next) {
            Ok(row) => row.parent,
            // It ended: whoever takes its children in is the first process or an ancestor of it.
            Err(Fault::Gone) => break,
            Err(fault) => return Err(fault),
        };
    }
    Ok(Ourselves {
        pid: own.pid,
        group: own.group,
        session: own.session,
        uid: platform::own_uid(),
        ancestors,
    })
}

/// Why a process that is held must not be signalled, as its row and its user stand; `None` if nothing forbids it.
pub(crate) fn denial_of(
    pin: &Pin,
    row: &Row,
    ourselves: &Ourselves,
) -> Result<Option<Denial>, Fault> {
    let facts = Facts {
        pid: row.pid,
        group: row.group,
        session: row.session,
        uid: pin.uid()?,
        kernel_thread: row.kernel_thread,
    };
    Ok(denial(&facts, ourselves))
}

/// Refuses a marker that this process carries, and so everything it starts.
pub(crate) fn refuse_own_marker(marker: &Marker) -> Result<(), Denial> {
    if platform::are_we_marked(marker)? {
        return Err(Denial::OwnMarker);
    }
    Ok(())
}
