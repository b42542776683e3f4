//! A cgroup for tests, made without the crate under test.
//!
//! Invariant: what is in it is killed and it is removed when it goes, whatever becomes of the test.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use sessiond_agent::marker::Marker;

use super::super::fixture::PATIENCE;

/// Where cgroup v2 is mounted: alone, or beside the older ones.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// What says which processes are in one, and takes more.
const PROCESSES: &str = "cgroup.procs";

/// A cgroup below that of this program.
#[derive(Debug)]
pub(super) struct Home {
    above: PathBuf,
    directory: PathBuf,
}

impl Home {
    /// That of a resource; none where it is not ours to make.
    pub(super) fn of(marker: &Marker) -> Option<Self> {
        Self::named(&name(marker))
    }

    /// One of any name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let above = above()?;
        let directory = above.join(name);
        fs::create_dir(&directory).ok()?;
        let home = Self { above, directory };
        // Whoever may make one need not be allowed to move anything.
        let directories = [&home.above, &home.directory];
        let may_move = directories
            .iter()
            .all(|of| open(&of.join(PROCESSES)).is_ok());
        may_move.then_some(home)
    }

    /// That of a resource which somebody made.
    pub(super) fn made_for(marker: &Marker) -> Self {
        let above = above().expect("we are somewhere");
        let directory = above.join(name(marker));
        assert!(directory.is_dir(), "nobody made {directory:?}");
        Self { above, directory }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path(&self) -> String {
        self.directory.display().to_string()
    }

    pub(super) fn exists(&self) -> bool {
        self.directory.exists()
    }

    pub(super) fn is_frozen(&self) -> bool {
        let frozen = fs::read_to_string(self.directory.join("cgroup.freeze"));
        frozen.expect("it is there").trim() == "1"
    }

    /// Moves a process into it.
    pub(super) fn take(&self, pid: i32) {
        write(&self.directory.join(PROCESSES), &pid.to_string()).expect("it is ours");
    }

    /// Moves a process out of it.
    pub(super) fn leave(&self, pid: i32) {
        write(&self.above.join(PROCESSES), &pid.to_string()).expect("it is ours");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.exists() {
            return;
        }
        // A kernel without it leaves what a test that fails left.
        let _ = write(&self.directory.join("cgroup.kill"), "1");
        let until = Instant::now() + PATIENCE;
        while fs::remove_dir(&self.directory).is_err() && Instant::now() < until {
            std::thread::yield_now();
        }
    }
}

fn name(marker: &Marker) -> String {
    format!("sessiond-{}", marker.value())
}

/// The cgroup of this program.
fn above() -> Option<PathBuf> {
    let of = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = of.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = std::process::id().to_string();
    let is_ours = |directory: &PathBuf| {
        let listed = fs::read_to_string(directory.join(PROCESSES));
        listed.is_ok_and(|listed| listed.lines().any(|pid| pid == own))
    };
    let directories = MOUNTS.iter().map(|mount| Path::new(mount).join(path));
    directories.into_iter().find(is_ours)
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    open(file)?.write_all(text.as_bytes())
}

fn open(file: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(file)
}
