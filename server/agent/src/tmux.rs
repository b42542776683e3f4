//! tmux sessions: found by their exact name, registered by what tmux never uses again, ended with their processes.
//!
//! tmux takes a name for a pattern: `-t abc` means `abc-long` when there is no `abc`. So no name is ever given to it as
//! a target. A session is found in a list and compared here; from then on it is meant by its id, which a server gives
//! once, and by the process of the server, which is identified like any other.
//!
//! Invariant: what is released is the session that was registered, or its panes, or nothing. A server is asked to end a
//! session only in one command in which it compares its own pid and the session's time with those registered. A call
//! to tmux takes at most [`CALL`]. What this deliberately does not do: type into sessions, read from them, or end a
//! pane whose window is linked into another session too.
//!
//! Elsewhere than on Linux whatever needs an identity answers that it is unsupported.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::time::Duration;

use crate::deny::Denial;
use crate::fault::Fault;
use crate::identity::{Found, IdentifyError, Identity, find, identify};
use crate::platform;
use crate::terms::WeakIdentities;

mod client;
mod create;
mod listing;
mod name;
mod release;

pub use release::release;

use client::Refusal;
use listing::{Listed, Pane};

/// How long one call to tmux may take: it answers in milliseconds or, when its server is stopped, never.
pub const CALL: Duration = Duration::from_secs(2);

/// A tmux server that is, or will be, behind a socket.
#[derive(Clone, Debug)]
pub struct Tmux {
    pub socket: PathBuf,
}

/// What is noted of a session. The fields are what a registry stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TmuxIdentity {
    /// Where its server was reached. Another server may be there later.
    pub socket: PathBuf,
    /// The process of its server.
    pub server: Identity,
    /// The number of tmux's id: 3 for `$3`. A server does not give it twice.
    pub session: u32,
    /// When it was created, in seconds since 1970.
    pub created: u64,
    /// Its name at registration. Not compared later: a session can be renamed.
    pub name: String,
    /// The first processes of its panes at registration; they can be ended when the server no longer answers.
    pub panes: Vec<Identity>,
    pub ownership: Ownership,
}

/// What a release covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The server may have other sessions, which stay.
    Adopted,
    /// The server was made for this session, and ends with it.
    Private,
}

/// What prevents something that is asked of tmux.
#[derive(Debug, thiserror::Error)]
pub enum TmuxError {
    #[error("no session can have the exact name {name:?}: {why}")]
    Unnameable { name: String, why: &'static str },
    #[error("{what} is not owned by this user")]
    NotOwned { what: String },
    /// Others could put another server there.
    #[error(
        "the directory of the socket must be there, owned by this user, and closed to others (mode 0700)"
    )]
    OpenDirectory,
    #[error("there is something at {} already", socket.display())]
    SocketTaken { socket: PathBuf },
    #[error("the server does not answer within {} s", CALL.as_secs())]
    Hung,
    /// It runs, but its socket does not lead to it.
    #[error("the server cannot be reached")]
    Unreachable,
    #[error("the process of the server cannot be verified")]
    Unverified {
        #[source]
        source: Denial,
    },
    #[error("the session ended while it was looked at")]
    Ended,
    #[error("tmux says {said:?}")]
    Refused { said: String },
    #[error("tmux could not be run")]
    NotRun {
        #[source]
        source: std::io::Error,
    },
    #[error("the process of a session cannot be identified")]
    Unidentified {
        #[source]
        source: IdentifyError,
    },
}

impl Tmux {
    /// Registers the session of exactly that name, whoever made it; `None` if there is none, or no server.
    ///
    /// # Errors
    ///
    /// [`TmuxError::Unnameable`] for a name that tmux would not keep as it is; [`TmuxError::NotOwned`] when another
    /// user owns the socket or the server; else what tmux says or does not say.
    pub fn find_exact(&self, name: &str) -> Result<Option<TmuxIdentity>, TmuxError> {
        name::check(name)?;
        if !self.is_owned_socket()? {
            return Ok(None);
        }
        let sessions = match listing::sessions(&self.socket) {
            Ok(sessions) => sessions,
            Err(Refusal::NoServer) => return Ok(None),
            Err(refusal) => return Err(refusal.into()),
        };
        let Some(listed) = sessions.into_iter().find(|listed| listed.name == name) else {
            return Ok(None);
        };
        match self.register(&listed, Ownership::Adopted) {
            Err(TmuxError::Ended) => Ok(None),
            registered => Ok(Some(registered?)),
        }
    }

    /// Whether there is a socket; if so, it is our user's.
    fn is_owned_socket(&self) -> Result<bool, TmuxError> {
        let file = match self.socket.symlink_metadata() {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(TmuxError::NotRun { source }),
        };
        if file.uid() != platform::own_uid() || !file.file_type().is_socket() {
            let what = format!("the socket {}", self.socket.display());
            return Err(TmuxError::NotOwned { what });
        }
        Ok(true)
    }

    /// Identifies what was listed, and sees that it is still what the server says of it.
    fn register(&self, listed: &Listed, ownership: Ownership) -> Result<TmuxIdentity, TmuxError> {
        let unidentified = |source| TmuxError::Unidentified { source };
        let server = identify(listed.server).map_err(unidentified)?;
        if server.uid != platform::own_uid() {
            let what = format!("the server {}", server.pid);
            return Err(TmuxError::NotOwned { what });
        }
        let panes = match listing::panes(&self.socket, listed.session) {
            Err(Refusal::NoServer | Refusal::NoSession) => return Err(TmuxError::Ended),
            panes => panes?,
        };
        if panes.is_empty() || panes.iter().any(|pane| pane.of != *listed) {
            return Err(TmuxError::Ended);
        }
        let mut identities = Vec::new();
        for pane in &panes {
            identities.extend(first_process(pane, server.pid)?);
        }
        Ok(TmuxIdentity {
            socket: self.socket.clone(),
            server,
            session: listed.session,
            created: listed.created,
            name: listed.name.clone(),
            panes: identities,
            ownership,
        })
    }
}

impl TmuxIdentity {
    /// Whether the session is still there, and with which panes; to be asked for now and then, as only panes that are
    /// known can be ended when the server does not answer. `None` if it is not: its server has ended, or says so.
    /// Panes may have outlived it.
    ///
    /// Takes two calls to tmux, and none when the server has ended. A weak identity of the server will do, as nothing
    /// is signalled.
    ///
    /// # Errors
    ///
    /// When it cannot be told: the server runs but does not answer, its socket does not lead to it, or the session
    /// ended or was renamed just then.
    pub fn refreshed(&self) -> Result<Option<Self>, TmuxError> {
        let unverified = |source| TmuxError::Unverified { source };
        // Held to the end, so that no other process can answer with its pid.
        let server = match find(&self.server, WeakIdentities::Allowed).map_err(unverified)? {
            Found::Alive(pin) => pin,
            Found::Zombie(_) | Found::Gone | Found::OtherBoot | Found::Mismatch => return Ok(None),
        };
        let sessions = listing::sessions(&self.socket)?;
        if sessions.iter().any(|listed| listed.server != server.pid()) {
            return Err(TmuxError::Unreachable);
        }
        let Some(listed) = sessions.into_iter().find(|listed| listed.is(self)) else {
            return Ok(None);
        };
        let tmux = Tmux {
            socket: self.socket.clone(),
        };
        let now = tmux.register(&listed, self.ownership)?;
        Ok(server.is_running().then_some(now))
    }
}

/// The process that a pane was made with, if it still runs: a pane can outlive it, and its number be another's then.
fn first_process(pane: &Pane, server: i32) -> Result<Option<Identity>, TmuxError> {
    let identity = match identify(pane.pid) {
        Ok(identity) => identity,
        Err(IdentifyError::Gone { .. }) => return Ok(None),
        Err(source) => return Err(TmuxError::Unidentified { source }),
    };
    match platform::row(pane.pid) {
        Ok(row) => Ok((row.parent == server).then_some(identity)),
        Err(Fault::Gone) => Ok(None),
        Err(fault) => {
            let source = IdentifyError::of(pane.pid, &fault);
            Err(TmuxError::Unidentified { source })
        }
    }
}
