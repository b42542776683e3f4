//! Processes as Linux shows them: rows of `/proc`, and pins, which are pidfds with what was read through them.
//!
//! Invariant: what a pin says was true of the process it holds, not of a later one with its number; what is signalled is
//! the process it holds. What this deliberately does not do: judge who may be signalled.
//!
//! ```text
//! pidfd_open ── read /proc/PID ── does the pidfd still hold PID? ──yes──► what was read is its process's
//!                                          └── no ──► it ended while it was read: gone
//! ```

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FsWord;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal};

use crate::fault::{Fault, Mark, Row};
use crate::marker::Marker;
use crate::terms::PROCESSES_MAX;

#[path = "linux/cgroup.rs"]
mod cgroup;
#[path = "linux/stat.rs"]
mod stat;

pub(crate) use cgroup::{cgroup_path, mounts};

/// What `fstatfs` answers for a pidfd whose inode identifies its process until the next boot (Linux 6.9).
const PID_FS_MAGIC: FsWord = 0x5049_4446;

/// The most of an environment that is read: beyond what Linux lets arguments and environment have together under the
/// default stack limit of 8 MiB.
const ENVIRONMENT_BYTES_MAX: usize = 4 << 20;

/// A process that is held: its number may be used again, the pin does not follow.
#[derive(Debug)]
pub(crate) struct Pin {
    pid: Pid,
    fd: OwnedFd,
    inode: Option<u64>,
    /// As it was when it was pinned.
    start_ticks: u64,
}

/// A random number of this boot.
pub(crate) fn boot_id() -> Result<String, Fault> {
    Ok(text("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The number of this process.
pub(crate) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

/// The real user of this process.
pub(crate) fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// This process, which also shows that `/proc` speaks of the processes that the kernel's calls mean.
pub(crate) fn own_row() -> Result<Row, Fault> {
    let row = stat::parse(&text("/proc/self/stat")?)?;
    if row.pid != own_pid() {
        return Err(Fault::ForeignProc);
    }
    Ok(row)
}

/// Has the kernel give this process whatever below it loses its parent.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

/// Takes note of children that have ended. Their numbers are their own until then, so none of them can be another.
pub(crate) fn reap(spared: Option<u32>) -> Result<(), Fault> {
    let own = own_pid();
    let spared = spared.and_then(|pid| i32::try_from(pid).ok());
    for row in rows(PROCESSES_MAX)? {
        let is_left = row.parent == own && row.state == 'Z' && Some(row.pid) != spared;
        if let Some(pid) = Pid::from_raw(row.pid).filter(|_| is_left) {
            // Somebody else may have done it since; then there is nothing to do.
            let _known = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
    Ok(())
}

/// The process that has the number.
pub(crate) fn row(pid: i32) -> Result<Row, Fault> {
    stat::parse(&text(&format!("/proc/{pid}/stat"))?)
}

/// All processes there are, in order of their numbers; what ends meanwhile may be missing, and where `/proc` is mounted
/// so that it hides what is other users', so is that.
pub(crate) fn rows(max: usize) -> Result<Vec<Row>, Fault> {
    let unreadable = |source| Fault::Unreadable {
        what: "/proc".to_owned(),
        source,
    };
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
        if pids.len() > max {
            return Err(Fault::TooMany { max });
        }
    }
    pids.sort_unstable();
    let mut rows = Vec::with_capacity(pids.len());
    for pid in pids {
        match row(pid) {
            Ok(row) => rows.push(row),
            Err(Fault::Gone) => {}
            Err(Fault::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(rows)
}

/// Whether the process that has the number is of our user and carries the marker; not when that cannot be read.
pub(crate) fn mark(pid: i32, marker: &Marker) -> Mark {
    if is_of_our_user(pid) {
        match environment(pid) {
            Ok(environment) if environment.is_empty() => Mark::NotShown,
            Ok(environment) if marker.is_in(&environment) => Mark::Carried,
            Ok(_) | Err(_) => Mark::Absent,
        }
    } else {
        Mark::Absent
    }
}

/// Whether the process that has the number is of our user; not when that cannot be read.
pub(crate) fn is_of_our_user(pid: i32) -> bool {
    real_uid(pid).is_ok_and(|uid| uid == own_uid())
}

/// Whether this process was started with the marker.
pub(crate) fn are_we_marked(marker: &Marker) -> Result<bool, Fault> {
    let environment = environment(own_pid())?;
    Ok(marker.is_in(&environment))
}

/// Waits until all that is pinned has ended, or for a time.
pub(crate) fn wait_all(pins: &[&Pin], until: Instant) -> Result<(), Fault> {
    let mut left: Vec<&Pin> = pins.to_vec();
    while !left.is_empty() && Instant::now() < until {
        let mut fds: Vec<PollFd<'_>> = left.iter().map(|pin| pin.poll_fd()).collect();
        wait(&mut fds, until)?;
        let ended: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ended = ended.into_iter();
        left.retain(|_| !ended.next().unwrap_or(true));
    }
    Ok(())
}

/// Waits until one of the descriptors is ready, or for a time.
pub(crate) fn wait(fds: &mut [PollFd<'_>], until: Instant) -> Result<(), Fault> {
    let left = until.saturating_duration_since(Instant::now());
    match poll(fds, Some(&timespec(left))) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Fault::Unreadable {
            what: "what is waited for".to_owned(),
            source: errno.into(),
        }),
    }
}

// === impl Pin ===

impl Pin {
    /// Takes hold of the process that has the number; a zombie that its parent has not reaped has one.
    pub(crate) fn take(pid: i32) -> Result<Self, Fault> {
        let number = (pid > 0).then(|| Pid::from_raw(pid)).flatten();
        let number = number.ok_or(Fault::Gone)?;
        let fd = open(number)?;
        let inode = inode(&fd)?;
        let start_ticks = row(pid)?.start_ticks;
        let pin = Self {
            pid: number,
            fd,
            inode,
            start_ticks,
        };
        pin.has_number()?.then_some(pin).ok_or(Fault::Gone)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// What no other process of this boot has; `None` before Linux 6.9.
    pub(crate) fn inode(&self) -> Option<u64> {
        self.inode
    }

    pub(crate) fn start_ticks(&self) -> u64 {
        self.start_ticks
    }

    /// Whether any of its threads runs or could: a zombie does not run.
    pub(crate) fn is_running(&self) -> bool {
        let mut fds = [self.poll_fd()];
        // A look that fails is no proof of an end.
        poll(&mut fds, Some(&timespec(Duration::ZERO))).is_err() || fds[0].revents().is_empty()
    }

    /// Whether the number is still its own, as it is until a zombie is reaped.
    pub(crate) fn has_number(&self) -> Result<bool, Fault> {
        if self.is_running() {
            return Ok(true);
        }
        match open(self.pid) {
            Ok(fd) if self.inode.is_some() => Ok(inode(&fd)? == self.inode),
            Ok(_) => Ok(row(self.pid())?.start_ticks == self.start_ticks),
            Err(Fault::Gone | Fault::NotAProcess) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// How the process stands.
    pub(crate) fn row(&self) -> Result<Row, Fault> {
        let row = row(self.pid())?;
        self.has_number()?.then_some(row).ok_or(Fault::Gone)
    }

    /// Its real user.
    pub(crate) fn uid(&self) -> Result<u32, Fault> {
        let uid = real_uid(self.pid())?;
        self.has_number()?.then_some(uid).ok_or(Fault::Gone)
    }

    /// What it was started with, while it runs; empty in the middle of an exec.
    pub(crate) fn environment(&self) -> Result<Vec<u8>, Fault> {
        let environment = environment(self.pid())?;
        self.is_running().then_some(environment).ok_or(Fault::Gone)
    }

    /// Whether it carries the marker.
    pub(crate) fn is_marked(&self, marker: &Marker) -> bool {
        mark(self.pid(), marker) == Mark::Carried && self.has_number().unwrap_or(false)
    }

    /// Signals it; one that has ended is none the worse.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Fault> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(Fault::Unreadable {
                what: format!("process {}", self.pid()),
                source: errno.into(),
            }),
        }
    }

    /// Becomes ready when the process has ended.
    pub(crate) fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(&self.fd, PollFlags::IN)
    }
}

fn open(pid: Pid) -> Result<OwnedFd, Fault> {
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => Ok(fd),
        Err(Errno::SRCH) => Err(Fault::Gone),
        // A thread other than the first; newer kernels say it with ENOENT.
        Err(Errno::INVAL | Errno::NOENT) => Err(Fault::NotAProcess),
        Err(errno) => Err(Fault::Unreadable {
            what: format!("process {}", pid.as_raw_pid()),
            source: errno.into(),
        }),
    }
}

fn inode(pidfd: &OwnedFd) -> Result<Option<u64>, Fault> {
    let unreadable = |errno: Errno| Fault::Unreadable {
        what: "a pidfd".to_owned(),
        source: errno.into(),
    };
    let volume = rustix::fs::fstatfs(pidfd).map_err(unreadable)?;
    if volume.f_type != PID_FS_MAGIC {
        return Ok(None);
    }
    let inode = rustix::fs::fstat(pidfd).map_err(unreadable)?.st_ino;
    Ok((inode != 0).then_some(inode))
}

fn real_uid(pid: i32) -> Result<u32, Fault> {
    stat::real_uid(&text(&format!("/proc/{pid}/status"))?)
}

/// What the process that has the number was started with. One call, as that is answered from before an exec or from
/// after it: a second one would find nothing after it, and what the first had read would pass for the whole.
fn environment(pid: i32) -> Result<Vec<u8>, Fault> {
    let path = format!("/proc/{pid}/environ");
    let mut environment = Vec::with_capacity(ENVIRONMENT_BYTES_MAX);
    File::open(&path)
        .and_then(|file| Ok(rustix::io::read(file, spare_capacity(&mut environment))?))
        .map_err(|error| fault(&path, error))?;
    Ok(environment)
}

/// A file of `/proc`. Names of processes need not be text, so what is not becomes replacement characters.
fn text(path: &str) -> Result<String, Fault> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(fault(path, error)),
    }
}

/// A process that ends while its file is read makes the read fail with ESRCH.
fn fault(path: &str, source: io::Error) -> Fault {
    let is_gone = source.kind() == io::ErrorKind::NotFound
        || source.raw_os_error() == Some(Errno::SRCH.raw_os_error());
    if is_gone {
        return Fault::Gone;
    }
    Fault::Unreadable {
        what: path.to_owned(),
        source,
    }
}

fn timespec(duration: Duration) -> Timespec {
    // No wait of this crate comes near the bounds.
    Timespec::try_from(duration).unwrap_or_default()
}
