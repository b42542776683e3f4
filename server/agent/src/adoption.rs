//! Adoption: this process takes the place of parents that end before their children.
//!
//! Invariant: nothing that a child of this process starts gets out from below it, and what has ended below it does not
//! stay as a zombie. What this deliberately does not do: end anything; `release::release_children` does.

use std::io;

use crate::fault::Fault;
use crate::platform;

/// Makes this process the parent of all below it that lose theirs, until it ends.
///
/// # Errors
///
/// What the kernel refuses; on another platform than Linux, that it is not supported.
pub fn adopt_orphans() -> io::Result<()> {
    platform::adopt_orphans()
}

/// Takes note of all children that have ended, but for `spared`, which somebody else waits for.
///
/// # Errors
///
/// Why the children cannot be looked at.
pub fn reap(spared: Option<u32>) -> Result<(), String> {
    platform::reap(spared).map_err(|fault: Fault| fault.describe())
}
