//! Commands that end with their session, whoever dies.
//!
//! Keeps this order: the command is on record before it is there, and nothing
//! runs that is not. It looks after no command: whoever spawned it waits for it.

use std::io;
use std::path::Path;

use tokio::process::{Child, Command};

mod cgroup;

use cgroup::Cgroup;

use super::SessionHandle;
use crate::cause::CAUSE_ENV;
use crate::error::Error;
use crate::resources::{DeclareBuilder, RESOURCE_ENV, ReleaseSelection};

/// Tells a command the id of its session.
pub const SESSION_ID_ENV: &str = "SESSIOND_SESSION_ID";

/// Tells a command the key of its session.
pub const SESSION_KEY_ENV: &str = "SESSIOND_SESSION_KEY";

/// Characters of the name of a resource, of up to four bytes each and 256
/// together.
const NAME_CHARS: usize = 64;

/// A command that runs as a resource of a session. Dropping it ends nothing: the
/// command ends with its session.
#[derive(Debug)]
pub struct Spawned {
    /// The command itself, to be waited for.
    pub child: Child,
    resource_id: String,
}

/// Why a command does not run.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// It could not be put on record.
    #[error("the command cannot be declared to its session")]
    Declare(#[source] Error),
    /// The system did not start it.
    #[error("the command cannot be started")]
    Start(#[source] io::Error),
    /// The server does not take it for what was declared: it runs on another
    /// machine or as another user, or the session ended meanwhile. The command
    /// was killed.
    #[error("the server does not take the command for a resource of the session")]
    Register(#[source] Error),
}

// === impl SessionHandle ===

impl SessionHandle {
    /// Starts a command of this machine as a resource of the session: it and
    /// everything it starts ends when the session does, is released, or its worker
    /// and this process are gone. The server must run here, as the same user. The
    /// command finds its session in [`SESSION_ID_ENV`] and [`SESSION_KEY_ENV`].
    ///
    /// What it does is not due to an event that is handled now: it does not inherit
    /// `SESSIOND_CAUSE`.
    ///
    /// Where Linux delegates cgroup v2 to this process, the command is moved into a
    /// cgroup of its own as soon as it is started, and all that it starts from then
    /// on is found there. What it starts in the moment before is found as
    /// everything is elsewhere: by its parent, its group, its session, and by the
    /// mark in its environment.
    ///
    /// # Errors
    ///
    /// [`SpawnError`]; nothing is left running then.
    pub async fn spawn(&self, command: Command) -> Result<Spawned, SpawnError> {
        self.spawn_as(self.declare_resource(), command).await
    }

    /// The same on another machine than the server's: the one that its agent,
    /// `sessiond agent`, calls so, which is where this process runs.
    ///
    /// # Errors
    ///
    /// [`SpawnError`]; nothing is left running then.
    pub async fn spawn_on(
        &self,
        node: impl Into<String>,
        command: Command,
    ) -> Result<Spawned, SpawnError> {
        self.spawn_as(self.declare_resource().node(node), command)
            .await
    }

    async fn spawn_as(
        &self,
        declaration: DeclareBuilder,
        mut command: Command,
    ) -> Result<Spawned, SpawnError> {
        let declared = declaration.name(name(&command)).send().await;
        let resource_id = declared.map_err(SpawnError::Declare)?.resource_id;
        forget_cause(&mut command);
        command
            .env(RESOURCE_ENV, &resource_id)
            .env(SESSION_ID_ENV, self.id())
            .env(SESSION_KEY_ENV, self.key());
        let cgroup = Cgroup::make(&resource_id);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                drop(cgroup.map(Cgroup::remove));
                self.release(resource_id).await;
                return Err(SpawnError::Start(error));
            }
        };
        // One that has ended already and was not waited for has its number still.
        let pid = child.id().expect("nobody waited for it");
        // The process that starts it cannot go there for it, as others start theirs
        // from it meanwhile, and nothing else is safe between fork and exec.
        if let Err(why) = cgroup.and_then(|cgroup| cgroup.take(pid)) {
            tracing::trace!(%why, "the command has no cgroup of its own");
        }
        let resources = self.client().resources();
        match resources.register_process(&resource_id, pid).await {
            Ok(_) => Ok(Spawned { child, resource_id }),
            Err(error) => {
                // What it started meanwhile carries the mark, and goes with the release.
                drop(child.kill().await);
                self.release(resource_id).await;
                Err(SpawnError::Register(error))
            }
        }
    }

    /// What was declared is not there; were this not heard, it would be found so at
    /// the end of the session.
    async fn release(&self, resource_id: String) {
        let resources = self.client().resources();
        let release = resources.release(ReleaseSelection::Ids(vec![resource_id]));
        if let Err(error) = release.send_all().await {
            tracing::debug!(%error, "a command that does not run is still declared");
        }
    }
}

// === impl Spawned ===

impl Spawned {
    /// The resource that it is.
    #[must_use]
    pub fn resource_id(&self) -> &str {
        &self.resource_id
    }
}

/// What the resource is called: the name of the program.
fn name(command: &Command) -> String {
    let program = Path::new(command.as_std().get_program()).file_name();
    let name = program.unwrap_or_default().to_string_lossy();
    let shown = name.chars().filter(|c| !c.is_control());
    shown.take(NAME_CHARS).collect()
}

/// What a command does later is its own doing, not that of whoever handles an event
/// now, unless its caller says so.
fn forget_cause(command: &mut Command) {
    let said = command
        .as_std()
        .get_envs()
        .any(|(name, _)| name == CAUSE_ENV);
    if !said {
        command.env_remove(CAUSE_ENV);
    }
}

#[cfg(test)]
mod tests;
