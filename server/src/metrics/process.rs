//! What the process takes of the machine, as the system says.
//!
//! What this deliberately does not do: fail; what the system does not say is left out.

use rustix::process::{Resource, getrlimit};

/// What it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    /// Memory in use.
    pub(super) resident_bytes: Option<u64>,
    /// Descriptors that are open.
    pub(super) open_files: Option<u64>,
    /// How many may be.
    pub(super) open_files_max: Option<u64>,
}

impl Process {
    /// What it takes now. The system answers from memory, so nobody waits for a disk.
    pub(super) fn now() -> Self {
        Self {
            resident_bytes: resident_bytes(),
            open_files: open_files(),
            open_files_max: getrlimit(Resource::Nofile).current,
        }
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1_024)
}

fn open_files() -> Option<u64> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // Reading them takes one itself.
    u64::try_from(open).ok()?.checked_sub(1)
}
