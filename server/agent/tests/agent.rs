//! Real processes and tmux servers, released: what must end ends, what must not lives on.
//!
//! Each test starts its own processes, and a bystander where something is signalled. They need Linux, `sh`, `setsid`,
//! `setpriv` and `unshare` of util-linux, Python, and tmux. What they deliberately do not do: end what they did not
//! start.
#![cfg(all(target_os = "linux", not(sessiond_elsewhere)))]

#[path = "agent/cgroups.rs"]
mod cgroups;
#[path = "agent/children.rs"]
mod children;
#[path = "agent/denials.rs"]
mod denials;
#[path = "agent/fixture.rs"]
mod fixture;
#[path = "agent/forged.rs"]
mod forged;
#[path = "agent/marked.rs"]
mod marked;
#[path = "agent/pid_reuse.rs"]
mod pid_reuse;
#[path = "agent/registration.rs"]
mod registration;
#[path = "agent/strays.rs"]
mod strays;
#[path = "agent/tmux_names.rs"]
mod tmux_names;
#[path = "agent/tmux_places.rs"]
mod tmux_places;
#[path = "agent/tmux_private.rs"]
mod tmux_private;
#[path = "agent/tmux_server.rs"]
mod tmux_server;
#[path = "agent/trees.rs"]
mod trees;
