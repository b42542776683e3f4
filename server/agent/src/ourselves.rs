//! This process, as far as the deny list needs to know it.
//!
//! Invariant: all processes it descends from are named, or none is signalled. What this deliberately does not do: keep
//! what it found; a process gets another parent when its own ends.

use crate::deny::Ourselves;
use crate::fault::Fault;
use crate::platform;

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
