//! What a caller names becomes what is put on record: which process, which tmux session, and whether they may.
//!
//! What is registered is ended some day, so a number or a name alone is not enough: what is named carries the mark of the
//! resource, or whoever asks is our own user. The mark is looked at first, so that it is known of a tmux server whether it
//! was made for the resource. Invariant: an identity is one that the crate that may signal found for this proof. What this
//! deliberately does not do: remember anything.

use std::path::{Path, PathBuf};

use sessiond_agent::identity::Identity;
use sessiond_agent::marker::{Marker, VARIABLE};
use sessiond_agent::registration::{self, RegisterError};
use sessiond_agent::tmux::{self, Tmux, TmuxError};
use sessiond_core::limits::PANES_MAX;
use sessiond_core::resource::{ProcessIdentity, Target, TmuxIdentity};

use super::marker_of;
use crate::env::{LocalCaller, Proof, Sought, Unregistered};

/// The field of a request that names a process.
const PID: &str = "process.pid";
/// The field that says where a tmux server is.
const SOCKET: &str = "tmux.socket";
/// The field that names a tmux session.
const SESSION_NAME: &str = "tmux.session_name";

/// Characters of words about what is wrong: a sentence and a path.
const WHY_CHARS_MAX: usize = 512;

/// Finds out what is meant, for somebody who has a proof.
pub(super) fn register(sought: &Sought, proof: Proof) -> Result<Target, Unregistered> {
    let marker = proof.marker.map(marker_of);
    if marker.is_none() && proof.caller == LocalCaller::Unknown {
        let why = format!(
            "not everybody may name something that runs already: declare the resource first, and start it with \
             {VARIABLE} set to its id"
        );
        return Err(Unregistered::NotEntitled { why });
    }
    match sought {
        Sought::Process(pid) => process(*pid, marker.as_ref(), proof.caller),
        Sought::Tmux { socket, name } => {
            let socket = socket.clone().unwrap_or_else(default_socket);
            tmux_session(socket, name, marker.as_ref(), proof.caller)
        }
    }
}

fn process(pid: i32, marker: Option<&Marker>, caller: LocalCaller) -> Result<Target, Unregistered> {
    let as_same_user = || registration::register(pid, registration::Proof::SameUser);
    let registered = match marker {
        None => as_same_user(),
        Some(marker) => match registration::register(pid, registration::Proof::Marker(marker)) {
            Err(RegisterError::NotMarked { .. } | RegisterError::Hidden { .. })
                if caller == LocalCaller::SameUser =>
            {
                as_same_user()
            }
            registered => registered,
        },
    };
    match registered {
        Ok(identity) => Ok(Target::Process(process_of(&identity))),
        Err(error @ (RegisterError::NotMarked { .. } | RegisterError::Hidden { .. })) => {
            Err(not_marked(&error.to_string()))
        }
        Err(error @ (RegisterError::Unidentified(_) | RegisterError::Denied { .. })) => {
            Err(unfit(PID, &error.to_string()))
        }
    }
}

fn tmux_session(
    socket: PathBuf,
    name: &str,
    marker: Option<&Marker>,
    caller: LocalCaller,
) -> Result<Target, Unregistered> {
    let found = Tmux { socket }
        .find_exact(name)
        .map_err(|error| unfit_tmux(&error))?;
    let Some(found) = found else {
        return Err(unfit(SESSION_NAME, "there is no session of this name"));
    };
    // Whatever such a server starts carries the mark as well, and so goes with the resource.
    let private = marker.is_some_and(|marker| is_marked(&found.server, marker));
    if !private && caller == LocalCaller::Unknown {
        let marker = marker.map(ToString::to_string).unwrap_or_default();
        let server = found.server.pid;
        return Err(not_marked(&format!(
            "the tmux server {server} does not carry {marker}: start it with that in its environment"
        )));
    }
    Ok(Target::Tmux(Box::new(tmux_of(&found, private))))
}

fn is_marked(server: &Identity, marker: &Marker) -> bool {
    registration::register(server.pid, registration::Proof::Marker(marker))
        .is_ok_and(|identity| identity == *server)
}

/// Where tmux has its server unless it is told otherwise.
fn default_socket() -> PathBuf {
    let directory = std::env::var_os("TMUX_TMPDIR").filter(|directory| !directory.is_empty());
    let directory = directory.unwrap_or_else(|| "/tmp".into());
    let own = rustix::process::getuid().as_raw();
    Path::new(&directory)
        .join(format!("tmux-{own}"))
        .join("default")
}

fn not_marked(error: &str) -> Unregistered {
    let why = error.to_owned();
    Unregistered::NotEntitled { why }
}

fn unfit(field: &'static str, why: &str) -> Unregistered {
    // tmux may say much, and an answer has little room for it.
    let why = why.chars().take(WHY_CHARS_MAX).collect();
    Unregistered::Unfit { field, why }
}

fn unfit_tmux(error: &TmuxError) -> Unregistered {
    let field = match error {
        TmuxError::Unnameable { .. } | TmuxError::Ended => SESSION_NAME,
        TmuxError::NotOwned { .. }
        | TmuxError::OpenDirectory
        | TmuxError::SocketTaken { .. }
        | TmuxError::Hung
        | TmuxError::Unreachable
        | TmuxError::Unverified { .. }
        | TmuxError::Refused { .. }
        | TmuxError::NotRun { .. }
        | TmuxError::Unidentified { .. } => SOCKET,
    };
    let cause = std::error::Error::source(error);
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    unfit(field, &format!("{error}{cause}"))
}

fn process_of(identity: &Identity) -> ProcessIdentity {
    let number = |number: i32| u32::try_from(number).expect("a process has no negative number");
    ProcessIdentity {
        boot_id: identity.boot_id.clone(),
        pid: number(identity.pid),
        start_ticks: identity.start_ticks,
        inode: identity.inode,
        uid: identity.uid,
        group: number(identity.group),
        session: number(identity.session),
    }
}

fn tmux_of(found: &tmux::TmuxIdentity, private: bool) -> TmuxIdentity {
    TmuxIdentity {
        // As a socket it came from a text, or from the environment.
        socket: found.socket.to_string_lossy().into_owned(),
        server: process_of(&found.server),
        session: found.session,
        created: found.created,
        name: found.name.clone(),
        panes: found.panes.iter().take(PANES_MAX).map(process_of).collect(),
        private,
    }
}
