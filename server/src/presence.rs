//! Presence: whether what sessions in use have outside is still there, looked at now and then.
//!
//! A process that ended by itself and a tmux session that somebody closed are found here and go on record as gone, so that
//! the record says what is true, and a reboot leaves no session that waits to end what is no more. Invariant: only what
//! was registered is looked at, and only what is seen to be gone is reported. What this deliberately does not do: end
//! anything, or the session whose processes are gone: it may go on without them, and has its own limits.

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::command::Command;
use sessiond_core::command::resource::{Attempted, Knowledge};
use sessiond_core::ids::{Namespace, SessionNo};
use sessiond_core::resource::{Attempt, ReleaseOutcome, Standing, Target};
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Reader;

use crate::engine::Handle;
use crate::env::{Agent, Presence, ReleaseTerms};
use crate::limits::PRESENCE_PAGE;
use crate::over::Over;
use crate::strays::Strays;

/// Whoever looks.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) reader: Reader,
    pub(crate) engine: Handle,
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) terms: ReleaseTerms,
    pub(crate) namespaces: Vec<Namespace>,
    /// Between two walks over everything.
    pub(crate) every: Duration,
}

/// Looks until the engine has ended. On a thread that may block.
pub(crate) async fn run(watch: Watch) {
    let mut strays = Strays::default();
    loop {
        // Either one.
        tokio::select! {
            () = watch.engine.ended() => return,
            () = tokio::time::sleep(watch.every) => {}
        }
        match watch.look(&mut strays).await {
            Ok(()) => {}
            Err(Over::Ended) => return,
            Err(Over::Fault(fault)) => {
                let fault = fault.describe();
                tracing::error!(fault, "resources are no longer looked at");
                return;
            }
        }
    }
}

impl Watch {
    /// Looks at everything once.
    async fn look(&self, strays: &mut Strays) -> Result<(), Over> {
        for namespace in &self.namespaces {
            self.walk(namespace).await?;
        }
        Ok(strays.look(&self.reader, self.agent.as_ref())?)
    }

    /// One walk over a namespace, a page of sessions at a time.
    async fn walk(&self, namespace: &Namespace) -> Result<(), Over> {
        let mut after = SessionNo(0);
        loop {
            let page = self
                .reader
                .snapshot()?
                .unreleased_after(namespace, after, PRESENCE_PAGE)?;
            for no in &page {
                let gone = self.gone(*no)?;
                if !gone.is_empty() {
                    let told = self.engine.post_group(gone).await?;
                    told.await.map_err(|_| Over::Ended)?;
                }
            }
            match page.last() {
                Some(last) if page.len() == PRESENCE_PAGE && self.engine.is_running() => {
                    after = *last;
                }
                _ => return Ok(()),
            }
        }
    }

    /// What of a session is gone, as reports.
    fn gone(&self, session: SessionNo) -> Result<Vec<Command>, Fault> {
        let Some(row) = self.reader.snapshot()?.resources_of(session)? else {
            return Ok(Vec::new());
        };
        let held = row
            .list
            .iter()
            .filter(|one| one.standing == Standing::Held && one.target != Target::Marked);
        let gone =
            held.filter(|one| self.agent.presence(&one.target, &self.terms) == Presence::Gone);
        Ok(gone
            .map(|one| {
                Command::Attempted(Attempted {
                    session,
                    number: one.number,
                    knew: Knowledge::Identity,
                    attempt: Attempt::Gone(ReleaseOutcome::AlreadyGone),
                })
            })
            .collect())
    }
}
