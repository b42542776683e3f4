//! Reconcile: what is on record against what is being watched, a page at a time for as long as the server runs.
//!
//! Every deadline follows from rows and every lease on record has its clock in the engine's memory, so there should be
//! nothing to find. Were it otherwise, by a defect of ours or by a configuration that changed while the server was down, a
//! session would never end or its work never come back, and nobody would hear of it. Compared are the beginning of the due
//! index with the time, sessions that have not ended with what is noted of their deadlines, and leases with their clocks.
//! Invariant: whatever is found is put right by the same commands by which the engine goes on itself, and then counted and
//! told in the log. What this deliberately does not do: judge a limit, or write anything; compare what waits in queues,
//! whose entries a start of the server could not find again either.
//!
//! It costs the engine next to nothing: rows are read from a snapshot, and only what looks wrong is asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::deadlines;
use sessiond_core::ids::{Epoch, Namespace, PoolName, SessionNo};
use sessiond_core::index::Due;
use sessiond_core::limits::Policy;
use sessiond_core::reply::{Answer, Reply};
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::SessionRow;
use sessiond_core::time::{EngineTime, Now};
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::{ReadAhead, Reader, Rows};

use crate::engine::{Handle, Refused};
use crate::limits::{OVERDUE_AFTER_MS, RECONCILE_EVERY, RECONCILE_PAGE, STALL_EXCUSED};
use crate::over::Over;

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

/// Compares until the engine has ended.
pub(crate) async fn run(mut reconciler: Reconciler) {
    loop {
        // Either one; a look that comes too late is of no use to anybody.
        tokio::select! {
            () = reconciler.engine.ended() => return,
            () = tokio::time::sleep(RECONCILE_EVERY) => {}
        }
        match reconciler.look().await {
            Ok(()) => {}
            Err(Over::Ended) => return,
            Err(Over::Fault(fault)) => {
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
    async fn look(&mut self) -> Result<(), Over> {
        let rows = self.reader.snapshot()?;
        // After it, so that nothing in it was written later.
        let now = self.engine.clock().now();
        let overdue = self.overdue(&rows, now)?;
        let sessions = self.overlooked(&rows, now)?;
        let epochs = rows.current_leases_after(self.lease, RECONCILE_PAGE)?;
        // A snapshot holds up the reuse of pages; nobody waits for the engine with one.
        drop(rows);
        if let Some(due) = overdue {
            self.repair(vec![Command::Due(due)]).await?;
            tracing::error!(?due, "what was due was not looked at; it is now");
        }
        if let Some(first) = sessions.first() {
            let (session_id, namespace) = (first.id.clone(), first.namespace.clone());
            let recheck = |session: &Arc<SessionRow>| Command::Recheck(session.no);
            self.repair(sessions.iter().map(recheck).collect()).await?;
            tracing::warn!(
                sessions = sessions.len(),
                %session_id,
                %namespace,
                "sessions were to be looked at too late, this one among them; they are now"
            );
        }
        self.watch_leases(epochs).await
    }

    /// What was overdue at the last look already, and still is.
    fn overdue(&mut self, rows: &Rows, now: Now) -> Result<Option<Due>, Fault> {
        let stalled = self
            .engine
            .progress()
            .batch_age(self.engine.clock().monotonic_ms());
        if stalled > STALL_EXCUSED {
            // A disk that hangs holds up everything; that is told by health.
            self.overdue = None;
            return Ok(None);
        }
        let late = EngineTime(now.engine.0.saturating_sub(OVERDUE_AFTER_MS));
        let found = match rows.next_due()?.filter(|at| *at <= late) {
            Some(at) => rows.due(at, 1)?.first().map(|due| (at, *due)),
            None => None,
        };
        let before = std::mem::replace(&mut self.overdue, found);
        Ok(found.filter(|_| found == before).map(|(_, due)| due))
    }

    /// The sessions of the next page that nobody is going to look at in time.
    fn overlooked(&mut self, rows: &Rows, now: Now) -> Result<Vec<Arc<SessionRow>>, Fault> {
        let page = rows.live_behind(self.session.as_ref(), RECONCILE_PAGE)?;
        let mut found = Vec::new();
        for (_, _, no) in &page {
            let session = rows.row(&RowKey::Session(*no))?;
            let activity = rows.row(&RowKey::Activity(*no))?;
            let (Some(Row::Session(session)), Some(Row::Activity(activity))) = (session, activity)
            else {
                continue;
            };
            let noted = match activity.check_at {
                Some(at) => rows.is_noted(at, Due::Session(*no))?,
                None => true,
            };
            let late = deadlines::is_overlooked(&session, &activity, &self.policy, now.engine);
            if late || !noted {
                found.push(session);
            }
        }
        let whole = page.len() == RECONCILE_PAGE;
        self.session = page.into_iter().last().filter(|_| whole);
        Ok(found)
    }

    /// Has the engine watch the leases of a page that it does not.
    async fn watch_leases(&mut self, epochs: Vec<Epoch>) -> Result<(), Over> {
        let whole = epochs.len() == RECONCILE_PAGE;
        let next = epochs.last().copied().filter(|_| whole);
        if !epochs.is_empty() {
            let watched = self.watched(epochs.clone()).await?;
            let missing = epochs.into_iter().filter(|epoch| !watched.contains(epoch));
            self.restore(missing.collect()).await?;
        }
        self.lease = next.unwrap_or(Epoch(0));
        Ok(())
    }

    /// Has the engine watch leases. Most of them were given back since the snapshot.
    async fn restore(&self, missing: Vec<Epoch>) -> Result<(), Refused> {
        if missing.is_empty() {
            return Ok(());
        }
        let answer = self.ask(Command::Restore(missing)).await?;
        let Ok(Reply::Restored(restored)) = answer.outcome else {
            panic!("a restore is answered with what was restored: {answer:?}");
        };
        for epoch in restored {
            tracing::error!(epoch = epoch.0, "a lease was not watched; it is now");
            self.engine.progress().repaired(1);
        }
        Ok(())
    }

    /// The leases among these that have a clock.
    async fn watched(&self, epochs: Vec<Epoch>) -> Result<BTreeSet<Epoch>, Refused> {
        let answer = self.ask(Command::LeaseTimes(epochs)).await?;
        let Ok(Reply::LeaseTimes(times)) = answer.outcome else {
            panic!("lease times are answered with lease times: {answer:?}");
        };
        Ok(times.into_iter().map(|(epoch, _)| epoch).collect())
    }

    /// Asks the engine, however busy it is.
    async fn ask(&self, command: Command) -> Result<Answer, Refused> {
        let answer = self.engine.post_waiting(command, ReadAhead::default());
        answer.await?.await.map_err(|_| Refused::Stopped)
    }

    /// Has the engine look at what it should have looked at, and counts it then.
    async fn repair(&self, looks: Vec<Command>) -> Result<(), Refused> {
        let count = looks.len();
        let answers = self.engine.post_group(looks).await?;
        answers.await.map_err(|_| Refused::Stopped)?;
        self.engine.progress().repaired(count as u64);
        Ok(())
    }
}
