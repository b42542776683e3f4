//! Presence: whether what sessions in use have outside is still there, looked at now and then.
//!
//! A process that ended by itself and a tmux session that somebody closed are found here and go on record as gone, so that
//! the record says what is true, and a reboot leaves no session that waits to end what is no more. Invariant: only what
//! was registered is looked at, and only what is seen to be gone is reported. What this deliberately does not do: end
//! anything, or the session whose processes are gone: it may go on without them, and has its own limits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sessiond_core::command::Command;
use sessiond_core::command::resource::{Attempted, Knowledge};
use sessiond_core::ids::{Namespace, NodeName, SessionNo};
use sessiond_core::node::{NodeKey, Witness};
use sessiond_core::resource::{Attempt, ReleaseOutcome, Resource, ResourcesRow, Standing, Target};
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Reader;

use crate::engine::Handle;
use crate::env::{Agent, Presence, ReleaseTerms};
use crate::limits::{PRESENCE_PAGE, PRESENCE_PAUSE};
use crate::nodes::ask::{Ask, Outcome};
use crate::nodes::{Answered, Nodes};
use crate::over::Over;
use crate::strays::Strays;

/// Whoever looks.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) reader: Reader,
    pub(crate) engine: Handle,
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) nodes: Nodes,
    pub(crate) terms: ReleaseTerms,
    pub(crate) namespaces: Vec<Namespace>,
    /// Between two walks over everything.
    pub(crate) every: Duration,
}

/// The nodes whose agents did not answer in one walk.
#[derive(Debug, Default)]
struct Silent(BTreeSet<NodeKey>);

/// Looks until the engine has ended. On a thread that may block.
pub(crate) async fn run(watch: Watch) {
    let mut strays = BTreeMap::new();
    loop {
        // However often agents come and go.
        tokio::select! {
            () = watch.engine.ended() => return,
            () = tokio::time::sleep(PRESENCE_PAUSE) => {}
        }
        // Any one. What is on a machine whose agent comes, perhaps after a boot, may have gone meanwhile.
        tokio::select! {
            () = watch.engine.ended() => return,
            () = watch.nodes.came() => {}
            () = tokio::time::sleep(watch.every) => {}
        }
        let looked = tokio::select! {
            looked = watch.look(&mut strays) => looked,
            // An agent that does not answer holds no server up.
            () = watch.engine.ended() => return,
        };
        match looked {
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
    async fn look(&self, strays: &mut BTreeMap<Option<NodeKey>, Strays>) -> Result<(), Over> {
        let mut silent = Silent::default();
        for namespace in &self.namespaces {
            self.walk(namespace, &mut silent).await?;
        }
        let here = self.nodes.linked();
        strays.retain(|node, _| node.as_ref().is_none_or(|node| here.contains(node)));
        let own = strays.entry(None).or_default();
        own.tell(&self.reader, None, self.agent.marked())?;
        for node in here {
            if let Some(answered) = self.ask(&node, Ask::ListMarked, &mut silent).await
                && let Outcome::Marked(found) = answered.outcome
            {
                let known = strays.entry(Some(node.clone())).or_default();
                known.tell(&self.reader, Some(&node), found)?;
            }
        }
        Ok(())
    }

    /// One walk over a namespace, a page of sessions at a time.
    async fn walk(&self, namespace: &Namespace, silent: &mut Silent) -> Result<(), Over> {
        let mut after = SessionNo(0);
        loop {
            let page = self
                .reader
                .snapshot()?
                .unreleased_after(namespace, after, PRESENCE_PAGE)?;
            for no in &page {
                let gone = self.gone(*no, silent).await?;
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
    async fn gone(&self, session: SessionNo, silent: &mut Silent) -> Result<Vec<Command>, Fault> {
        let Some(row) = self.reader.snapshot()?.resources_of(session)? else {
            return Ok(Vec::new());
        };
        let mut by_machine: BTreeMap<Option<&NodeName>, Vec<&Resource>> = BTreeMap::new();
        let held = row
            .list
            .iter()
            .filter(|one| one.standing == Standing::Held && one.target != Target::Marked);
        for resource in held {
            let on = by_machine.entry(resource.node.as_ref()).or_default();
            on.push(resource);
        }
        let mut gone = Vec::new();
        for (node, resources) in by_machine {
            let (seen, witness) = self.see(&row, node, &resources, silent).await;
            let pairs = resources.into_iter().zip(seen);
            let some = pairs.filter(|(_, presence)| *presence == Presence::Gone);
            gone.extend(some.map(|(one, _)| {
                Command::Attempted(Attempted {
                    session,
                    number: one.number,
                    knew: Knowledge::Identity,
                    attempt: Attempt::Gone(ReleaseOutcome::AlreadyGone),
                    witness,
                })
            }));
        }
        Ok(gone)
    }

    /// Whether resources of one machine are there, and who says so. Of a node that is away nothing is seen.
    async fn see(
        &self,
        row: &ResourcesRow,
        node: Option<&NodeName>,
        resources: &[&Resource],
        silent: &mut Silent,
    ) -> (Vec<Presence>, Witness) {
        let session = row.session;
        let subjects = resources
            .iter()
            .map(|one| (one.token(session), &one.target));
        let Some(name) = node else {
            let seen =
                subjects.map(|(token, target)| self.agent.presence(token, target, &self.terms));
            return (seen.collect(), Witness::Server);
        };
        let subjects = subjects.map(|(token, target)| (token, target.clone()));
        let ask = Ask::Look {
            subjects: subjects.collect(),
            terms: self.terms,
        };
        let node = (row.namespace.clone(), name.clone());
        match self.ask(&node, ask, silent).await {
            Some(Answered {
                epoch,
                outcome: Outcome::Looked(seen),
                ..
            }) => (seen, Witness::Agent(epoch)),
            Some(_) | None => (Vec::new(), Witness::Server),
        }
    }

    /// Asks an agent, unless it did not answer before in this walk: each is waited for once.
    async fn ask(&self, node: &NodeKey, ask: Ask, silent: &mut Silent) -> Option<Answered> {
        if silent.0.contains(node) {
            return None;
        }
        let answered = self.nodes.ask(node, ask).await;
        if answered.is_err() {
            silent.0.insert(node.clone());
        }
        answered.ok()
    }
}
