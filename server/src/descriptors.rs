//! How many files and connections the process may have open.
//!
//! Systems give a process a low soft limit for the sake of old programs that would break with more, and a high hard one for
//! those that ask. What this deliberately does not do: fail; with fewer the server serves fewer.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::DESCRIPTORS_BESIDE;

/// Raises the soft limit to the hard one, and warns if that does not do for so many connections.
pub fn raise(connections: u64) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "failed to raise the limit of open files");
    }
    let needed = connections + DESCRIPTORS_BESIDE;
    if let Some(allowed) = getrlimit(Resource::Nofile).current
        && allowed < needed
    {
        tracing::warn!(
            allowed,
            needed,
            "the process may not open as many files as [server] max_connections asks for; \
             raise its limit (LimitNOFILE=, ulimit -n) or set fewer",
        );
    }
}
