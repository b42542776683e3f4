//! The drain: before the server goes, every live session ends, all at once, and what they have outside is released.
//!
//! ```text
//!  nothing new ──► on record ──► an end each ──► what is under way finishes ──► the rest ends ──► closed on record
//!                                                     releases, until each was tried ──► reported ──► everybody leaves
//! ```
//!
//! Invariant: every wait has its part of one budget, so the next step comes whoever does not get on; a session that has
//! nothing to wait for is not held up by one that has. What a server that dies in between leaves, the next start finishes
//! from the record (`engine/drained.rs`). A session that was to do its work first is left to it, and goes on at the next
//! start. What this deliberately does not do: end a session otherwise than by a decision, or close anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sessiond_core::command::Command;
use sessiond_core::command::drain::DrainCommand;
use sessiond_core::drain::{DrainReply, DrainRow, DrainSessions};
use sessiond_core::event::{ActorKind, EventKind};
use sessiond_core::ids::{Revision, SessionId, SessionNo};
use sessiond_core::reply::{Answer, Reply};
use sessiond_core::resource::Standing;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::{EndMode, EndReason};
use sessiond_core::time::Span;
use sessiond_store::snapshot::{ReadAhead, Reader, Rows};
use tokio::time::{Instant, sleep, timeout_at};

use crate::engine::Handle;
use crate::feed::Feed;
use crate::grpc::context::Context;
use crate::limits::{DRAIN_LOOK_EVERY, DRAIN_PAGE};
use crate::over::Over;
use crate::stopping::Stopping;

mod asked;
mod walk;

pub use asked::{Asked, Drains, Terms};
pub(crate) use asked::{Progress, Stage};
pub(crate) use walk::{Place, Which, page};

use walk::Walk;

/// Who drains.
#[derive(Debug)]
pub(crate) struct Drainer {
    engine: Handle,
    reader: Reader,
    feed: Arc<Feed>,
    stopping: Stopping,
    pub(crate) drains: Drains,
}

/// How long its parts may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Until what is under way has finished.
    pub requests: Duration,
    /// From then on, until what sessions have outside is gone.
    pub releases: Duration,
}

impl Parts {
    /// The parts of a budget: half of it for what is under way, three tenths for what is outside. The rest is for closing.
    #[must_use]
    pub fn of(budget: Duration) -> Self {
        Self {
            requests: budget / 2,
            releases: budget * 3 / 10,
        }
    }
}

impl Drainer {
    /// Who drains the server of this context.
    pub(crate) fn of(context: &Context) -> Self {
        Self {
            engine: context.engine.clone(),
            reader: context.reader.clone(),
            feed: Arc::clone(&context.feed),
            stopping: context.stopping.clone(),
            drains: context.drains.clone(),
        }
    }

    /// Ends every live session for this reason, or puts on record that they are kept; answers with what came of it.
    ///
    /// # Errors
    /// [`Over`] when the engine has ended; what is on record by then the next start finishes.
    pub(crate) async fn run(
        &self,
        reason: EndReason,
        sessions: DrainSessions,
        parts: Parts,
    ) -> Result<Arc<DrainRow>, Over> {
        let began = Instant::now();
        self.stopping.drain();
        let before = self.feed.newest();
        let begin = self.ask(DrainCommand::Begin { reason, sessions }).await?;
        let DrainReply::Open { row, through, .. } = begin else {
            panic!("a drain begins with {begin:?}");
        };
        self.drains.enter(Stage::Open(row, Progress::default()));
        let mut unreleased = Vec::new();
        if sessions == DrainSessions::End {
            self.end_all(through, before, began + parts.requests)
                .await?;
            unreleased = self.release(Instant::now() + parts.releases).await?;
        }
        let actor = ActorKind::Drain;
        let reported = self.ask(DrainCommand::Report { actor, unreleased }).await?;
        let DrainReply::Reported(Some(row)) = reported else {
            panic!("a drain is reported with {reported:?}");
        };
        self.drains.enter(Stage::Reported(Arc::clone(&row)));
        Ok(row)
    }

    /// Ends every session up to `through`: what is under way has until the deadline.
    async fn end_all(
        &self,
        through: SessionNo,
        before: Revision,
        deadline: Instant,
    ) -> Result<(), Over> {
        let grace = deadline.saturating_duration_since(Instant::now());
        let grace = Span(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        let mut walk = Walk::new(self, grace);
        if self.snapshot()?.counters()?.queued > 0 {
            walk.over(Which::Waiting, through).await?;
        }
        walk.over(Which::All, through).await?;
        let (mut open, mut progress) = (walk.open, walk.progress);
        self.wait(&mut open, before, deadline).await?;
        for session in &open {
            self.ask(DrainCommand::End {
                session: *session,
                mode: EndMode::Immediate,
                grace: Span(0),
                actor: ActorKind::Drain,
            })
            .await?;
        }
        progress.ended += std::mem::take(&mut progress.waiting);
        self.drains.note(progress);
        let closed = self.ask(DrainCommand::Close).await?;
        if closed != (DrainReply::Closed { left: 0 }) {
            tracing::error!(
                ?closed,
                "sessions live that were to end; the next start ends them"
            );
        }
        Ok(())
    }

    async fn ask(&self, command: DrainCommand) -> Result<DrainReply, Over> {
        let command = Command::Drain(command);
        let answer = self.engine.post_waiting(command, ReadAhead::default());
        Ok(reply(answer.await?.await.map_err(|_| Over::Ended)?))
    }

    fn snapshot(&self) -> Result<Rows, Over> {
        Ok(self.reader.snapshot()?)
    }

    /// Waits until these sessions have ended, as the log says; those are left that have not at the deadline.
    async fn wait(
        &self,
        open: &mut BTreeSet<SessionNo>,
        after: Revision,
        deadline: Instant,
    ) -> Result<(), Over> {
        let mut news = self.feed.follow();
        let mut told = after;
        while !open.is_empty() {
            let reached = self.feed.look(told, |event| {
                if event.kind == EventKind::SessionEnd {
                    open.remove(&event.session.session.no);
                }
            });
            let reached = reached.map_err(|_| Over::Ended)?;
            if reached != told {
                told = reached;
                continue;
            }
            if !matches!(timeout_at(deadline, news.changed()).await, Ok(Ok(()))) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits until everything that is to go was tried once; answers with the sessions of which something did not go, and how
    /// much. That is tried again by the next start.
    async fn release(&self, deadline: Instant) -> Result<Vec<(SessionId, u64)>, Over> {
        loop {
            let outside = self.outside()?;
            self.drains.releasing(outside.untried);
            if outside.untried == 0 || Instant::now() >= deadline {
                return Ok(outside.left);
            }
            sleep(DRAIN_LOOK_EVERY).await;
        }
    }

    /// What is to go and is not gone.
    fn outside(&self) -> Result<Outside, Over> {
        let rows = self.snapshot()?;
        let mut outside = Outside::default();
        let mut after = SessionNo(0);
        loop {
            let page = rows.releasing_after(after, DRAIN_PAGE)?;
            for no in &page {
                let (Some(row), Some(Row::Session(session))) =
                    (rows.resources_of(*no)?, rows.row(&RowKey::Session(*no))?)
                else {
                    continue;
                };
                let to_go = row.list.iter().filter(|one| one.is_releasing());
                let untried = |standing: &Standing| *standing == Standing::Releasing(None);
                let new = to_go.clone().filter(|one| untried(&one.standing));
                outside.untried += new.count() as u64;
                outside
                    .left
                    .push((session.id.clone(), to_go.count() as u64));
            }
            match page.last() {
                Some(last) if page.len() == DRAIN_PAGE => after = *last,
                Some(_) | None => return Ok(outside),
            }
        }
    }
}

/// What is to go and is not gone.
#[derive(Debug, Default)]
struct Outside {
    /// Resources that nobody has tried yet to end.
    untried: u64,
    /// How many there are of each session.
    left: Vec<(SessionId, u64)>,
}

fn reply(answer: Answer) -> DrainReply {
    match answer.outcome {
        Ok(Reply::Drain(reply)) => reply,
        other => panic!("a step of a drain is answered with {other:?}"),
    }
}
