//! What ties a command to its session: a request that lasts as long as the command, and an eye on the session's end.
//!
//! Invariant: the session is in use for as long as the bond is tied, whatever becomes of the server in the meantime; its
//! owner's limit is renewed with the request. An end that is decided is seen before it is over, because it waits for the
//! request. What this deliberately does not do: signal anything.

use std::fmt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, bail};
use sessiond_client::{Client, Error, Opened, ReleaseSelection, RequestGuard, SessionHandle, pb};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::tree::Left;
use super::{Cause, RunArgs, say};

/// How long the session counts as in use after this process was heard of last.
const REQUEST_LEASE: Duration = Duration::from_secs(30);
/// After how long without this process a session that was opened here ends: it was killed, or its machine is gone.
const OWNER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the server may take to see that the command is gone.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);
/// Between two attempts to begin the request, or the watch, anew.
const PAUSE: Duration = Duration::from_secs(1);
/// Characters of the name of a resource, of up to four bytes each and 256 together.
const NAME_CHARS: usize = 64;

/// A command's tie to its session.
#[derive(Debug)]
pub(super) struct Bond {
    session: SessionHandle,
    /// Nothing until the session is active.
    holding: Option<JoinHandle<()>>,
    /// What the command is to the server, once it was declared.
    resource: Option<String>,
    let_go: CancellationToken,
}

/// Why a session is of no more use to its command.
#[derive(Debug)]
pub(super) enum Over {
    /// Its end is decided; it waits for those who use it.
    Ending,
    /// It has ended.
    Ended(pb::EndReason),
    /// Its record is gone.
    Purged,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ending => write!(f, "the session is being ended"),
            Self::Ended(reason) => write!(f, "the session has ended ({})", reason.as_str_name()),
            Self::Purged => write!(f, "the session was deleted"),
        }
    }
}

impl Bond {
    /// Opens the session, or takes the one that lives as it is.
    pub(super) async fn open(client: &Client, args: &RunArgs) -> anyhow::Result<Self> {
        let mut open = client
            .session(&args.key)
            .source("sessiond run")
            .owner_timeout(OWNER_TIMEOUT)
            .conflict_policy(pb::ConflictPolicy::Fail);
        if !args.pool.is_empty() {
            open = open.pool(&args.pool);
        }
        if !args.project.is_empty() {
            open = open.project(&args.project);
        }
        if args.wait_for_slot > 0 {
            open = open.wait_for_slot(Duration::from_secs(args.wait_for_slot.into()));
        }
        let opened = match open.open().await {
            // Its limits and what is said of it are not ours to change.
            Err(Error::AlreadyExists(_)) => client.session(&args.key).open().await,
            opened => opened,
        };
        let session = opened.with_context(|| {
            format!(
                "session {:?} cannot be opened at {}",
                args.key, args.connect.addr
            )
        })?;
        Ok(Self {
            session,
            holding: None,
            resource: None,
            let_go: CancellationToken::new(),
        })
    }

    /// Waits for the session's slot, if it must, and begins to use it.
    pub(super) async fn ready(&mut self, key: &str) -> anyhow::Result<()> {
        // A session that waits has an owner too, who is missed.
        let kept = self.session.keep_alive(OWNER_TIMEOUT / 3);
        let now = self.session.admitted().await?;
        drop(kept);
        if now.state() != pb::SessionState::Active {
            let reason = now.end.unwrap_or_default().reason();
            bail!("no slot for session {key:?}: {}", reason.as_str_name());
        }
        // The first one is begun before the command starts, and its refusal is the answer.
        let request = self.session.begin_request_for(REQUEST_LEASE).await?;
        let held = hold(self.session.clone(), request, self.let_go.clone());
        self.holding = Some(tokio::spawn(held));
        Ok(())
    }

    /// Puts the command on record, before it is there; answers with its mark.
    pub(super) async fn declare(&mut self, args: &RunArgs) -> anyhow::Result<String> {
        let program = args
            .command
            .first()
            .map(Path::new)
            .and_then(Path::file_name);
        let name = program.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut declared = self.session.declare_resource().name(printable(&name));
        if !args.node.is_empty() {
            declared = declared.node(&args.node);
        }
        let resource = declared
            .send()
            .await
            .context("the command cannot be declared to the session")?;
        self.resource = Some(resource.resource_id.clone());
        Ok(resource.resource_id)
    }

    /// Says which process the command turned out to be. The server may be on another machine, or another user's.
    pub(super) async fn register(&self, resource: &str, pid: u32) {
        let resources = self.session.client().resources();
        match resources.register_process(resource, pid).await {
            // What was released meanwhile belongs to a session that is over, which is seen soon.
            Ok(_) | Err(Error::FailedPrecondition(_)) => {}
            Err(error) => say(format_args!(
                "the server cannot see the command: this process ends it, the server only what has its mark: {error}"
            )),
        }
    }

    /// The session.
    pub(super) fn session(&self) -> &SessionHandle {
        &self.session
    }

    /// Waits until the session is over or about to be. A server that is away meanwhile is waited for.
    pub(super) async fn over(&self) -> Over {
        loop {
            match self.look().await {
                Ok(over) => return over,
                Err(Error::NotFound(_)) => return Over::Purged,
                Err(error) => tracing::debug!(%error, "the session cannot be watched"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look(&self) -> Result<Over, Error> {
        use pb::SessionState::{Draining, Ended};
        let over = |state| matches!(state, Draining | Ended).then_some(state);
        if self.session.until(over).await? == Draining {
            return Ok(Over::Ending);
        }
        let session = self.session.get().await?;
        Ok(Over::Ended(session.end.unwrap_or_default().reason()))
    }

    /// Says what became of the command: its request is over, and so is the session, if it was opened here. A server that is
    /// away is waited for, for as long as it would wait for us.
    pub(super) async fn untie(self, cause: &Cause, status: Option<ExitStatus>, left: &Left) {
        let well = status.is_some_and(|status| status.success());
        let success = well && matches!(cause, Cause::Exited) && !matches!(left, Left::Survivors(_));
        let reason = if success {
            pb::EndReason::Completed
        } else {
            pb::EndReason::Failed
        };
        let how = match status {
            Some(status) => format!("the command ended with {status}"),
            None => "the command does not end".to_owned(),
        };
        let is_over = matches!(cause, Cause::Session(Over::Ended(_) | Over::Purged));
        self.end(reason, &format!("{how}; {left}"), is_over).await;
    }

    /// There is no command, or none any more.
    pub(super) async fn give_up(self, why: &str) {
        self.end(pb::EndReason::Failed, why, false).await;
    }

    async fn end(self, reason: pb::EndReason, detail: &str, is_over: bool) {
        self.let_go.cancel();
        if let Some(holding) = self.holding {
            // A task that was cut off has held nothing for long.
            drop(holding.await);
        }
        if is_over {
            return;
        }
        if self.session.opened() == Opened::Existing {
            // The session goes on, and the command is gone.
            if let Some(resource) = self.resource {
                let resources = self.session.client().resources();
                let release = resources.release(ReleaseSelection::Ids(vec![resource]));
                if let Err(error) = release.send_all().await {
                    tracing::debug!(%error, "the command is found gone later");
                }
            }
            return;
        }
        let ended = async {
            loop {
                // Nothing of it is left, so it is a matter of a moment, and then its slot is free for whoever comes next.
                let end = self.session.end(reason).detail(detail);
                let end = end.wait(pb::WaitFor::Released, RELEASED_WITHIN);
                match end.send().await {
                    Err(error @ (Error::Unavailable(_) | Error::Deadline(_))) => {
                        tracing::debug!(%error, "the end is told again");
                    }
                    told => return told,
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        match tokio::time::timeout(OWNER_TIMEOUT, ended).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => say(format_args!(
                "the end of the session cannot be told: {error}"
            )),
            Err(_) => say(format_args!(
                "no server hears of the end; the session ends when its owner is missed"
            )),
        }
    }
}

/// As much of a name as a resource may have.
fn printable(name: &str) -> String {
    let shown = name.chars().filter(|c| !c.is_control());
    shown.take(NAME_CHARS).collect()
}

/// Keeps the session in use until it is let go.
async fn hold(session: SessionHandle, mut held: RequestGuard, let_go: CancellationToken) {
    loop {
        tokio::select! {
            error = held.lost() => tracing::debug!(%error, "the request was lost"),
            () = let_go.cancelled() => {
                if let Err(error) = held.end().await {
                    tracing::debug!(%error, "the request ends by its lease");
                }
                return;
            }
        }
        let anew = tokio::select! {
            anew = begin_anew(&session) => anew,
            () = let_go.cancelled() => return,
        };
        held = anew;
    }
}

/// Whoever was away for longer than the lease begins anew; a session that is over refuses that for good.
async fn begin_anew(session: &SessionHandle) -> RequestGuard {
    loop {
        tokio::time::sleep(PAUSE).await;
        match session.begin_request_for(REQUEST_LEASE).await {
            Ok(held) => return held,
            Err(Error::FailedPrecondition(_) | Error::NotFound(_)) => std::future::pending().await,
            Err(error) => tracing::debug!(%error, "the session is not held"),
        }
    }
}
