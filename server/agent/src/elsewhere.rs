//! Platforms that cannot hold a process: nothing is identified there, so nothing is signalled.
//!
//! Invariant: every question is answered with [`Fault::Unsupported`], and there is no pin to signal through. What this
//! deliberately does not do: make do with pids.

use std::convert::Infallible;
use std::io;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::process::Signal;

use crate::fault::{Fault, Mark, Row};
use crate::marker::Marker;

/// There is none.
#[derive(Debug)]
pub(crate) struct Pin(Infallible);

pub(crate) fn boot_id() -> Result<String, Fault> {
    Err(Fault::Unsupported)
}

pub(crate) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_pid()
}

pub(crate) fn cgroup_path(_pid: i32) -> Option<String> {
    None
}

pub(crate) fn mounts() -> io::Result<String> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

pub(crate) fn own_row() -> Result<Row, Fault> {
    Err(Fault::Unsupported)
}

pub(crate) fn row(_pid: i32) -> Result<Row, Fault> {
    Err(Fault::Unsupported)
}

pub(crate) fn rows(_max: usize) -> Result<Vec<Row>, Fault> {
    Err(Fault::Unsupported)
}

pub(crate) fn adopt_orphans() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn reap(_spared: Option<u32>) -> Result<(), Fault> {
    Err(Fault::Unsupported)
}

pub(crate) fn is_of_our_user(_pid: i32) -> bool {
    false
}

pub(crate) fn mark(_pid: i32, _marker: &Marker) -> Mark {
    Mark::Absent
}

pub(crate) fn are_we_marked(_marker: &Marker) -> Result<bool, Fault> {
    Err(Fault::Unsupported)
}

pub(crate) fn wait_all(_pins: &[&Pin], _until: Instant) -> Result<(), Fault> {
    Err(Fault::Unsupported)
}

pub(crate) fn wait(_fds: &mut [PollFd<'_>], _until: Instant) -> Result<(), Fault> {
    Err(Fault::Unsupported)
}

impl Pin {
    pub(crate) fn take(_pid: i32) -> Result<Self, Fault> {
        Err(Fault::Unsupported)
    }

    pub(crate) fn pid(&self) -> i32 {
        match self.0 {}
    }

    pub(crate) fn inode(&self) -> Option<u64> {
        match self.0 {}
    }

    pub(crate) fn start_ticks(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn is_running(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn has_number(&self) -> Result<bool, Fault> {
        match self.0 {}
    }

    pub(crate) fn row(&self) -> Result<Row, Fault> {
        match self.0 {}
    }

    pub(crate) fn uid(&self) -> Result<u32, Fault> {
        match self.0 {}
    }

    pub(crate) fn environment(&self) -> Result<Vec<u8>, Fault> {
        match self.0 {}
    }

    pub(crate) fn is_marked(&self, _marker: &Marker) -> bool {
        match self.0 {}
    }

    pub(crate) fn signal(&self, _signal: Signal) -> Result<(), Fault> {
        match self.0 {}
    }

    pub(crate) fn poll_fd(&self) -> PollFd<'_> {
        match self.0 {}
    }
}
