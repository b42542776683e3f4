//! Cgroups of this machine, as tests look at them.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

/// Where Linux has cgroup v2: alone, or beside the older ones.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The file that says which processes are in a cgroup, and takes more.
const PROCESSES: &str = "cgroup.procs";

/// The cgroup of a resource that a process is in; none if it is in none.
#[must_use]
pub fn of_resource(pid: u32) -> Option<PathBuf> {
    let directory = of(&pid.to_string())?;
    let is_its_own = |part: &Path| {
        let name = part.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("sessiond-")
    };
    directory
        .ancestors()
        .find(|part| is_its_own(part))
        .map(Path::to_owned)
}

/// Whether this program may make cgroups below its own and move processes between them.
#[must_use]
pub fn are_delegated() -> bool {
    let Some(own) = of("self") else {
        return false;
    };
    let probe = own.join(format!("probe-{}", uuid::Uuid::now_v7().simple()));
    let may_move = || {
        OpenOptions::new()
            .write(true)
            .open(own.join(PROCESSES))
            .is_ok()
    };
    let is_made = fs::create_dir(&probe).is_ok();
    is_made && fs::remove_dir(&probe).is_ok() && may_move()
}

fn of(process: &str) -> Option<PathBuf> {
    let of = fs::read_to_string(Path::new("/proc").join(process).join("cgroup")).ok()?;
    let path = of.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut directories = MOUNTS.iter().map(|mount| Path::new(mount).join(path));
    directories.find(|directory| directory.join(PROCESSES).is_file())
}
