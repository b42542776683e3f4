//! A private server: made for one session, in a directory that nobody else can reach, and ended with it.
//!
//! Invariant: the server that answers is the one that was made. What this deliberately does not do: make or remove the
//! directory, which is the caller's; the file of the socket stays in it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::client::{Refusal, start};
use super::listing::{one_session, session_format};
use super::{Ownership, Tmux, TmuxError, TmuxIdentity, name, release};
use crate::marker::Marker;
use crate::platform;
use crate::terms::Terms;

/// What group and others may do, in a mode.
const OTHERS: u32 = 0o077;

impl Tmux {
    /// Makes a server with one session of that name, which runs a command and its arguments without a shell. The server
    /// and all it starts carry the marker.
    ///
    /// # Errors
    ///
    /// When the socket exists or others can reach its directory, when the name cannot be kept as it is, or the command
    /// ended at once ([`TmuxError::Ended`]). After [`TmuxError::Hung`] a server may be there, which the marker finds.
    pub fn create(
        &self,
        name: &str,
        command: &[&str],
        marker: Option<&Marker>,
    ) -> Result<TmuxIdentity, TmuxError> {
        name::check_new(name)?;
        self.check_place()?;
        let mut arguments: Vec<String> = [
            "new-session",
            "-d",
            "-P",
            "-F",
            session_format(),
            "-s",
            name,
            "--",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.extend(command.iter().map(|argument| literal(argument)));
        let said = match start(&self.socket, &arguments, marker) {
            Err(Refusal::NoServer | Refusal::NoSession) => return Err(TmuxError::Ended),
            said => said?,
        };
        let identity = self.register(&one_session(&said)?, Ownership::Private)?;
        if identity.name != name {
            release(&identity, &Terms::default())?;
            return Err(name::unnameable(name, "tmux keeps it in another form"));
        }
        Ok(identity)
    }

    fn check_place(&self) -> Result<(), TmuxError> {
        let directory = self.socket.parent().unwrap_or(Path::new("/"));
        let is_private = directory.symlink_metadata().is_ok_and(|directory| {
            directory.is_dir()
                && directory.uid() == platform::own_uid()
                && directory.mode() & OTHERS == 0
        });
        if !is_private {
            return Err(TmuxError::OpenDirectory);
        }
        if self.socket.symlink_metadata().is_ok() {
            let socket = self.socket.clone();
            return Err(TmuxError::SocketTaken { socket });
        }
        Ok(())
    }
}

/// tmux ends a command at an argument with a semicolon at its end, unless that is escaped.
fn literal(argument: &str) -> String {
    match argument.strip_suffix(';') {
        Some(before) => format!("{before}\\;"),
        None => argument.to_owned(),
    }
}
