//! One call to tmux, with an end.
//!
//! Invariant: no call takes longer than [`CALL`], whatever its server does, and no client is left behind. What this
//! deliberately does not do: read a configuration, or belong to the tmux session this process may run in.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::{CALL, TmuxError};
use crate::fault::Fault;
use crate::marker::{self, Marker};
use crate::platform::{self, Pin};

/// The most that tmux may answer, in bytes: thousands of sessions.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    NoServer,
    NoSession,
    Other(TmuxError),
}

impl From<TmuxError> for Refusal {
    fn from(error: TmuxError) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for TmuxError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoServer => Self::Unreachable,
            Refusal::NoSession => Self::Ended,
            Refusal::Other(error) => error,
        }
    }
}

/// Runs one command on the server behind a socket, and answers what it prints.
pub(super) fn call<S: AsRef<OsStr>>(socket: &Path, arguments: &[S]) -> Result<String, Refusal> {
    run(command(socket).args(arguments))
}

/// The same for a command that makes a server. All that comes of it carries the marker.
pub(super) fn start<S: AsRef<OsStr>>(
    socket: &Path,
    arguments: &[S],
    marker: Option<&Marker>,
) -> Result<String, Refusal> {
    let mut command = command(socket);
    if let Some(marker) = marker {
        command.env(marker::VARIABLE, marker.value());
    }
    run(command.args(["-f", "/dev/null"]).args(arguments))
}

fn command(socket: &Path) -> Command {
    let mut command = Command::new("tmux");
    command
        .env_remove("TMUX")
        .env_remove("TMUX_PANE")
        // Names are UTF-8 whatever the locale is.
        .arg("-u")
        .arg("-S")
        .arg(socket)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(command: &mut Command) -> Result<String, Refusal> {
    let mut child = command.spawn().map_err(not_run)?;
    let said = listen(&mut child);
    if said.is_err() {
        // Ours and not reaped, so the number is its own. That it has ended meanwhile is no matter.
        let _ = child.kill();
    }
    let status = child.wait().map_err(not_run)?;
    let (out, err) = said?;
    let said = text(err)?;
    if status.success() {
        return text(out);
    }
    Err(
        if said.starts_with("no server running") || said.starts_with("error connecting") {
            Refusal::NoServer
        } else if said.starts_with("can't find session") {
            Refusal::NoSession
        } else {
            refused(said.trim())
        },
    )
}

/// What the client prints, on both ways, until it ends.
fn listen(child: &mut Child) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
    let until = Instant::now() + CALL;
    let mut out = Pipe::new(child.stdout.take())?;
    let mut err = Pipe::new(child.stderr.take())?;
    let pin = Pin::take(child.id().cast_signed()).map_err(|fault| unwatched(&fault))?;
    while pin.is_running() {
        if Instant::now() >= until {
            return Err(TmuxError::Hung.into());
        }
        let mut fds = vec![pin.poll_fd()];
        fds.extend(out.poll_fd());
        fds.extend(err.poll_fd());
        platform::wait(&mut fds, until).map_err(|fault| unwatched(&fault))?;
        out.read()?;
        err.read()?;
    }
    out.read()?;
    err.read()?;
    Ok((out.text, err.text))
}

/// What comes from one end of the client, without waiting for it.
#[derive(Debug)]
struct Pipe<R> {
    /// `None` at its end.
    from: Option<R>,
    text: Vec<u8>,
}

impl<R: Read + AsFd> Pipe<R> {
    fn new(from: Option<R>) -> Result<Self, Refusal> {
        if let Some(from) = &from {
            rustix::io::ioctl_fionbio(from, true).map_err(|errno| not_run(errno.into()))?;
        }
        let text = Vec::new();
        Ok(Self { from, text })
    }

    fn poll_fd(&self) -> Option<PollFd<'_>> {
        let from = self.from.as_ref()?;
        Some(PollFd::new(from, PollFlags::IN))
    }

    fn read(&mut self) -> Result<(), Refusal> {
        let mut bytes = [0; 4096];
        while let Some(from) = &mut self.from {
            match from.read(&mut bytes) {
                Ok(0) => self.from = None,
                Ok(read) => self.text.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(not_run(error)),
            }
            if self.text.len() > ANSWER_BYTES_MAX {
                return Err(refused("more than can be an answer"));
            }
        }
        Ok(())
    }
}

fn text(bytes: Vec<u8>) -> Result<String, Refusal> {
    String::from_utf8(bytes).map_err(|_| refused("what is no text"))
}

pub(super) fn refused(said: &str) -> Refusal {
    let said = said.to_owned();
    TmuxError::Refused { said }.into()
}

fn not_run(source: io::Error) -> Refusal {
    TmuxError::NotRun { source }.into()
}

fn unwatched(fault: &Fault) -> Refusal {
    not_run(io::Error::other(fault.describe()))
}
