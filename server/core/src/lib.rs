//! The rules of sessiond: what every command does, decided purely.
//!
//! [`decide`](decide::decide) looks at rows and presence it already holds, at a command, and at the
//! time it is given, and answers with changes, events, frames and a reply, or with the rows it still
//! needs. Nothing in this crate reads a clock, a disk, a socket or a source of randomness, and no
//! map here iterates in an order that differs between two runs.

/// Whether a deliberate fault is active; never, but in the build that proves that faults are found.
#[cfg(not(sessiond_faults))]
macro_rules! faulty {
    ($fault:ident) => {
        false
    };
}
#[cfg(sessiond_faults)]
macro_rules! faulty {
    ($fault:ident) => {
        crate::fault::active(crate::fault::Fault::$fault)
    };
}

pub mod backoff;
pub mod change;
pub mod circuit;
pub mod command;
pub mod deadlines;
pub mod decide;
pub mod draft;
pub mod drain;
pub mod event;
pub mod explanation;
pub mod exported;
#[cfg(sessiond_faults)]
pub mod fault;
pub mod ids;
pub mod index;
pub mod key_window;
pub mod lease;
pub mod limits;
pub mod message;
pub mod node;
pub mod presence;
pub mod purging;
pub mod queue;
pub mod rejection;
pub mod reply;
pub mod requests;
pub mod resource;
pub mod restart_guard;
pub mod rows;
pub mod session;
pub mod subscription;
pub mod time;
pub mod view;
