//! A cgroup for what a command starts, named after its resource: the server finds
//! by it what cleared its environment and left its parent, its group and its
//! session.
//!
//! Keeps to what is delegated to this process: below its own cgroup, or not at
//! all. Where there is no cgroup v2, or it may not make one, a command has none.
//! It ends nothing, and removes only what was made for nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Where Linux has cgroup v2: alone, or beside the older ones.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// What its name begins with; the id of the resource follows.
const PREFIX: &str = "sessiond-";

/// The file that says which processes are in a cgroup, and takes more.
const PROCESSES: &str = "cgroup.procs";

/// The cgroup of a resource, with nothing in it yet.
#[derive(Debug)]
pub(super) struct Cgroup {
    directory: PathBuf,
}

impl Cgroup {
    /// Makes that of a resource.
    ///
    /// # Errors
    ///
    /// Why there is none: mostly that no cgroup is delegated to this process.
    pub(super) fn make(resource_id: &str) -> io::Result<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if resource_id.is_empty() || !resource_id.chars().all(is_plain) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let directory = own()?.join(format!("{PREFIX}{resource_id}"));
        fs::create_dir(&directory)?;
        Ok(Self { directory })
    }

    /// Moves a process into it, and so whatever that starts from then on.
    ///
    /// # Errors
    ///
    /// Why it was not moved; then the cgroup is removed.
    pub(super) fn take(self, pid: u32) -> io::Result<()> {
        let processes = self.directory.join(PROCESSES);
        let processes = OpenOptions::new().write(true).open(processes);
        let taken = processes.and_then(|mut file| file.write_all(pid.to_string().as_bytes()));
        if taken.is_err() {
            self.remove();
        }
        taken
    }

    /// It was made for nothing.
    pub(super) fn remove(self) {
        // The release of the resource does it otherwise.
        drop(fs::remove_dir(self.directory));
    }
}

/// The cgroup of this process, which lists it.
fn own() -> io::Result<PathBuf> {
    let of = fs::read_to_string("/proc/self/cgroup")?;
    let path = of.lines().find_map(|line| line.strip_prefix("0::/"));
    let path = path.ok_or(io::ErrorKind::Unsupported)?;
    let pid = std::process::id().to_string();
    let is_ours = |directory: &PathBuf| {
        let listed = fs::read_to_string(directory.join(PROCESSES));
        listed.is_ok_and(|listed| listed.lines().any(|one| one == pid))
    };
    let mut directories = MOUNTS.iter().map(|mount| Path::new(mount).join(path));
    directories
        .find(is_ours)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids come from a server, and are no paths.
    #[test]
    fn what_is_no_id_has_no_cgroup() {
        for id in ["", "..", "../a", "a/b", "a b", "a\n"] {
            let refused = Cgroup::make(id).map_err(|error| error.kind());
            assert!(
                matches!(refused, Err(io::ErrorKind::InvalidInput)),
                "{id:?}: {refused:?}"
            );
        }
    }
}
