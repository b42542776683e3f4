//! What Linux says of the cgroup of a process, and of what is mounted.
//!
//! Invariant: what is read is bounded, and what cannot be read in full says nothing. What this deliberately does not do:
//! look at anything below a mount of cgroups.

use std::fs::File;
use std::io::{self, Read as _};

/// The most of a file that is read: a path has 4 KiB and a process stands in a dozen hierarchies; of mounts, a machine full
/// of containers has some thousands.
const BYTES_MAX: u64 = 1 << 20;

/// The path of the cgroup v2 of a process, from our cgroup namespace: one that is outside begins with `/..`. None when the
/// process is not there, or the kernel has no cgroup v2.
pub(crate) fn cgroup_path(pid: i32) -> Option<String> {
    let text = bounded(&format!("/proc/{pid}/cgroup")).ok()?;
    let mut lines = text.lines();
    // Those of version 1 have other numbers, and no name has a newline in it.
    lines.find_map(|line| Some(line.strip_prefix("0::")?.to_owned()))
}

/// What is mounted where, as `mountinfo` has it.
pub(crate) fn mounts() -> io::Result<String> {
    bounded("/proc/self/mountinfo")
}

fn bounded(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::ErrorKind::QuotaExceeded.into());
    }
    // Names need not be text, and those that are looked for are.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
