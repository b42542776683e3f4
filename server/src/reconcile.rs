//! Reconcile: what is on record against what is being watched, a page at a time for as long as the server runs.
//!
//! Every deadline follows from rows and every lease on record has its clock in the engine's memory, so there should be
//! nothing to find. Were it otherwise, by a defect of ours or by a configuration that changed while the server was down, a
//! session would never end or its work never come back, and nobody would hear of it. Invariant: whatever is found is told
//! in the log, counted, and put right by the same commands by which the engine goes on itself. What this deliberately does
//! not do: judge a limit, or write anything; that is decided like everything else.
//!
//! It costs the engine next to nothing: rows are read from a snapshot, and only what looks wrong is asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::deadlines;
use sessiond_core::ids::{Epoch, Namespace, PoolName, SessionNo};
use sessiond_core::index::Due;
use sessiond_core::limits::Policy;
use sessiond_core::reply::Reply;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::time::{EngineTime, Now};
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::{Reader, Rows};

use crate::engine::{Handle, Refused};
use crate::limits::{OVERDUE_AFTER_MS, RECONCILE_EVERY, RECONCILE_PAGE};

/// Whoever compares.
#[derive(Debug)]
pub(crate) struct Reconciler {
    reader: Reader,
    engine: Handle,
    policy: Arc<Policy>,
    /// Where the walk over sessions that have not ended goes on.
    session: Option<(Namespace, PoolName, SessionNo)>,
    /// Where the walk over leases goes on.
    lease: Epoch,
    /// What was overdue at the last look, and is found twice only if nobody looks at it.
    overdue: Option<(EngineTime, Due)>,
}

/// Why a walk ends.
#[derive(Debug)]
enum Stop {
    /// The engine is gone or full; there is no need to hurry.
    Refused(Refused),
    /// The store cannot be read; the engine meets the same.
    Fault(Fault),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Compares until the engine has ended.
pub(crate) async fn run(mut reconciler: Reconciler) {
    loop {
        // Either one; a look that comes too late is of no use to anybody.
        tokio::select! {
            () = reconciler.engine.ended() => return,
            () = tokio::time::sleep(RECONCILE_EVERY) => {}
        }
        match reconciler.look().await {
            Ok(()) | Err(Stop::Refused(Refused::Overloaded(_))) => {}
            Err(Stop::Refused(Refused::Stopped)) => return,
            Err(Stop::Fault(fault)) => {
                tracing::error!(fault = fault.describe(), "records are no longer compared");
                return;
            }
        }
    }
}

impl Reconciler {
    /// Whoever compares what `reader` reads with what `engine` watches.
    pub(crate) fn new(reader: Reader, engine: Handle, policy: Arc<Policy>) -> Self {
        Self {
            reader,
            engine,
            policy,
            session: None,
            lease: Epoch(0),
            overdue: None,
        }
    }

    /// One page of each walk.
    async fn look(&mut self) -> Result<(), Stop> {
        let now = self.engine.clock().now();
        let rows = self.reader.snapshot()?;
        let overdue = self.overdue(&rows, now)?;
        let sessions = self.overlooked(&rows, now)?;
        let epochs = rows.current_leases_after(self.lease, RECONCILE_PAGE)?;
        // A snapshot holds up the reuse of pages; nobody waits for the engine with one.
        drop(rows);
        if let Some(due) = overdue {
            tracing::error!(?due, "what was due was not looked at; it is now");
            self.repair(Command::Due(due)).await?;
        }
        for no in sessions {
            tracing::warn!(
                session = no.0,
                "a session was to be looked at too late; it is now"
            );
            self.repair(Command::Due(Due::Session(no))).await?;
        }
        self.watch_leases(epochs).await
    }

    /// What was overdue at the last look already, and still is.
    fn overdue(&mut self, rows: &Rows, now: Now) -> Result<Option<Due>, Fault> {
        let late = EngineTime(now.engine.0.saturating_sub(OVERDUE_AFTER_MS));
        let found = match rows.next_due()?.filter(|at| *at <= late) {
            Some(at) => rows.due(at, 1)?.first().map(|due| (at, *due)),
            None => None,
        };
        let before = std::mem::replace(&mut self.overdue, found);
        Ok(found.filter(|_| found == before).map(|(_, due)| due))
    }

    /// The sessions of the next page that nobody is going to look at in time.
    fn overlooked(&mut self, rows: &Rows, now: Now) -> Result<Vec<SessionNo>, Fault> {
        let page = rows.live_behind(self.session.as_ref(), RECONCILE_PAGE)?;
        let mut found = Vec::new();
        for (_, _, no) in &page {
            let session = rows.row(&RowKey::Session(*no))?;
            let activity = rows.row(&RowKey::Activity(*no))?;
            if let (Some(Row::Session(session)), Some(Row::Activity(activity))) =
                (session, activity)
                && deadlines::is_overlooked(&session, &activity, &self.policy, now.engine)
            {
                found.push(*no);
            }
        }
        let whole = page.len() == RECONCILE_PAGE;
        self.session = page.into_iter().last().filter(|_| whole);
        Ok(found)
    }

    /// Has the engine watch the leases of a page that it does not.
    async fn watch_leases(&mut self, epochs: Vec<Epoch>) -> Result<(), Stop> {
        let whole = epochs.len() == RECONCILE_PAGE;
        self.lease = epochs.last().copied().filter(|_| whole).unwrap_or(Epoch(0));
        if epochs.is_empty() {
            return Ok(());
        }
        let watched: BTreeSet<Epoch> = self.watched(epochs.clone()).await?;
        let missing = epochs.into_iter().filter(|epoch| !watched.contains(epoch));
        let missing: Vec<Epoch> = missing.collect();
        if missing.is_empty() {
            return Ok(());
        }
        // Most of them were given back since the snapshot.
        let answer = self.engine.ask(Command::Restore(missing)).await?;
        if let Ok(Reply::Restored(restored)) = answer.outcome {
            for epoch in restored {
                tracing::error!(epoch = epoch.0, "a lease was not watched; it is now");
                self.engine.progress().repaired();
            }
        }
        Ok(())
    }

    /// The leases among these that have a clock.
    async fn watched(&self, epochs: Vec<Epoch>) -> Result<BTreeSet<Epoch>, Refused> {
        let answer = self.engine.ask(Command::LeaseTimes(epochs)).await?;
        let Ok(Reply::LeaseTimes(times)) = answer.outcome else {
            panic!("lease times are answered with lease times: {answer:?}");
        };
        Ok(times.into_iter().map(|(epoch, _)| epoch).collect())
    }

    async fn repair(&self, command: Command) -> Result<(), Refused> {
        self.engine.progress().repaired();
        self.engine.tell(vec![command]).await
    }
}
