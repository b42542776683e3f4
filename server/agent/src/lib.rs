//! Identity and verified kill of processes and tmux sessions on this machine: the one crate that signals anything.
//!
//! A number is not a process: pids are used again, and a tmux name can be anybody's. So whatever is to be ended is
//! registered with an [`identity`] the kernel vouches for, and compared with it again at the end, through a handle that
//! cannot come to mean another process in between. [`release`](release::release) then ends a whole tree: it asks, waits,
//! kills, and looks whether anything is left; what was started in a [`cgroup`] of its own is ended as one. [`tmux`] does the same for a session of a tmux server. [`registration`]
//! says who may have a process ended by naming its pid, and [`strays`] what carries markers, whoever's they are.
//!
//! Invariant: a signal is sent through a pidfd only, to a process that was found to belong to what is released, and
//! never to one that [`deny`] names; a cgroup is killed only when that is true of all that is in it. All calls block, for
//! a time that their terms bound: call them from a thread that may.
//!
//! What this deliberately does not do: know of sessions, calls or stores; remember anything between two calls; end
//! the processes of other machines or users. Elsewhere than on Linux everything answers that it is unsupported.

pub mod adoption;
pub mod cgroup;
pub mod deny;
pub mod identity;
pub mod marker;
mod ourselves;
pub mod registration;
pub mod release;
pub mod strays;
mod sweep;
pub mod terms;
pub mod tmux;

#[cfg(all(target_os = "linux", not(sessiond_elsewhere)))]
mod linux;
#[cfg(all(target_os = "linux", not(sessiond_elsewhere)))]
use linux as platform;

#[cfg(any(not(target_os = "linux"), sessiond_elsewhere))]
mod elsewhere;
#[cfg(any(not(target_os = "linux"), sessiond_elsewhere))]
use elsewhere as platform;

mod fault;
