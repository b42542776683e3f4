//! The drain: before the server goes, every live session ends, all at once, and what they have outside is released.
//!
//! ```text
//!  readiness off, nothing new ──► on record ──► an end each ──► what is under way finishes ──► the rest ends ──► closed
//!                                                                                releases, until they were tried ──► stop
//! ```
//!
//! Invariant: every wait has its part of one budget, so the next step comes whoever does not get on; a session that has
//! nothing to wait for is not held up by one that has. What a server that dies in between leaves, the next start finishes
//! from the record (`engine/drained.rs`). A session that was to do its work first is left to it, and goes on at the next
//! start. What this deliberately does not do: end a session otherwise than by a decision, or close anything.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sessiond_core::command::Command;
use sessiond_core::command::drain::DrainCommand;
use sessiond_core::drain::{DrainReply, DrainStep};
use sessiond_core::event::{ActorKind, EventKind};
use sessiond_core::ids::{Namespace, PoolName, Revision, SessionNo};
use sessiond_core::reply::{Answer, Reply};
use sessiond_core::resource::Standing;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::{EndMode, EndReason, Lifecycle, SessionRow};
use sessiond_core::time::Span;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::{ReadAhead, Reader, Rows};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::engine::Handle;
use crate::feed::Feed;
use crate::grpc::context::Context;
use crate::limits::{DRAIN_AHEAD, DRAIN_LOOK_EVERY, DRAIN_PAGE};
use crate::over::Over;
use crate::stopping::Stopping;

/// Who drains.
#[derive(Debug)]
pub(crate) struct Drainer {
    engine: Handle,
    reader: Reader,
    feed: Arc<Feed>,
    stopping: Stopping,
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

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Sessions that ended by it.
    pub ended: u64,
    /// Those of them that ended with something under way.
    pub late: u64,
    /// Sessions that were to do their work first and go on at the next start.
    pub left: u64,
}

/// A session that lives, where it was found.
pub(crate) type Place = (Namespace, PoolName, SessionNo);

/// Which of the sessions that live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that wait for a slot: first, or each slot that frees would let one in to be ended.
    Waiting,
    All,
}

/// A walk over the sessions that live.
struct Walk<'d> {
    drainer: &'d Drainer,
    asked: VecDeque<(SessionNo, oneshot::Receiver<Answer>)>,
    /// Sessions that end once nothing of them is under way.
    open: BTreeSet<SessionNo>,
    drained: Drained,
}

impl Drainer {
    /// Who drains the server of this context.
    pub(crate) fn of(context: &Context) -> Self {
        Self {
            engine: context.engine.clone(),
            reader: context.reader.clone(),
            feed: Arc::clone(&context.feed),
            stopping: context.stopping.clone(),
        }
    }

    /// Ends every live session, for this reason.
    ///
    /// # Errors
    /// [`Over`] when the engine has ended; what is on record by then the next start finishes.
    pub(crate) async fn run(&self, reason: EndReason, parts: Parts) -> Result<Drained, Over> {
        let began = Instant::now();
        self.stopping.drain();
        let before = self.feed.newest();
        let begin = self.ask(DrainCommand::Begin { reason }).await?;
        let DrainReply::Open { drain, .. } = begin else {
            panic!("a drain begins with {begin:?}");
        };
        let mut walk = Walk {
            drainer: self,
            asked: VecDeque::new(),
            open: BTreeSet::new(),
            drained: Drained::default(),
        };
        if self.snapshot()?.counters()?.queued > 0 {
            walk.over(Which::Waiting, drain.through, parts.requests)
                .await?;
        }
        walk.over(Which::All, drain.through, parts.requests).await?;
        let Walk {
            mut open,
            mut drained,
            ..
        } = walk;
        drained.ended += open.len() as u64;
        self.wait(&mut open, before, began + parts.requests).await?;
        for session in &open {
            let end = DrainCommand::End {
                session: *session,
                mode: EndMode::Immediate,
                grace: Span(0),
                actor: ActorKind::Drain,
            };
            // One that ended a moment ago by itself did so in time.
            if self.ask(end).await? == DrainReply::Step(DrainStep::Ended) {
                drained.late += 1;
            }
        }
        let closed = self.ask(DrainCommand::Close).await?;
        if closed != (DrainReply::Closed { left: 0 }) {
            tracing::error!(
                ?closed,
                "sessions live that were to end; the next start ends them"
            );
        }
        self.wait_for_releases(Instant::now() + parts.releases)
            .await?;
        Ok(drained)
    }

    async fn ask(&self, command: DrainCommand) -> Result<DrainReply, Over> {
        let answer = self
            .engine
            .post_waiting(Command::Drain(command), ReadAhead::default())
            .await?;
        reply(answer.await.map_err(|_| Over::Ended)?)
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

    /// Waits until everything that is to go was tried once. What did not go is tried again by the next start.
    async fn wait_for_releases(&self, deadline: Instant) -> Result<(), Over> {
        while self.is_untried()? && Instant::now() < deadline {
            sleep(DRAIN_LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Whether anything is to go that nobody has tried yet to end.
    fn is_untried(&self) -> Result<bool, Over> {
        let rows = self.snapshot()?;
        let mut after = SessionNo(0);
        loop {
            let page = rows.releasing_after(after, DRAIN_PAGE)?;
            for no in &page {
                let row = rows.resources_of(*no)?;
                let is_untried = |standing: &Standing| *standing == Standing::Releasing(None);
                if row.is_some_and(|row| row.list.iter().any(|one| is_untried(&one.standing))) {
                    return Ok(true);
                }
            }
            match page.last() {
                Some(last) if page.len() == DRAIN_PAGE => after = *last,
                Some(_) | None => return Ok(false),
            }
        }
    }
}

impl Walk<'_> {
    /// Asks for the end of the sessions up to `through`; answers when each has its answer.
    async fn over(
        &mut self,
        which: Which,
        through: SessionNo,
        grace: Duration,
    ) -> Result<(), Over> {
        let grace = Span(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        let mut place: Option<Place> = None;
        loop {
            let page = page(&self.drainer.snapshot()?, place.as_ref(), which, through)?;
            let Some(last) = page.last else {
                break;
            };
            place = Some(last);
            for (session, ahead) in page.sessions {
                let end = Command::Drain(DrainCommand::End {
                    session: session.no,
                    mode: EndMode::Graceful,
                    grace,
                    actor: ActorKind::Drain,
                });
                let answer = self.drainer.engine.post_waiting(end, ahead).await?;
                self.asked.push_back((session.no, answer));
                if self.asked.len() >= DRAIN_AHEAD {
                    self.note_one().await?;
                }
            }
        }
        while !self.asked.is_empty() {
            self.note_one().await?;
        }
        Ok(())
    }

    async fn note_one(&mut self) -> Result<(), Over> {
        let Some((session, answer)) = self.asked.pop_front() else {
            return Ok(());
        };
        match reply(answer.await.map_err(|_| Over::Ended)?)? {
            DrainReply::Step(DrainStep::Ended) => self.drained.ended += 1,
            DrainReply::Step(DrainStep::Waits) => drop(self.open.insert(session)),
            DrainReply::Step(DrainStep::Left) => self.drained.left += 1,
            DrainReply::Step(DrainStep::Gone) => {}
            other @ (DrainReply::Open { .. } | DrainReply::Closed { .. }) => {
                panic!("an end is answered with {other:?}")
            }
        }
        Ok(())
    }
}

/// A page of a walk over sessions that live.
#[derive(Debug)]
pub(crate) struct Page {
    /// With what their ends ask for.
    pub(crate) sessions: Vec<(Arc<SessionRow>, ReadAhead)>,
    /// Where it ends; none behind the last session.
    pub(crate) last: Option<Place>,
}

/// The sessions of a walk behind a place, up to `through`.
pub(crate) fn page(
    rows: &Rows,
    place: Option<&Place>,
    which: Which,
    through: SessionNo,
) -> Result<Page, Fault> {
    let live = rows.live_behind(place, DRAIN_PAGE)?;
    let mut sessions = Vec::with_capacity(live.len());
    for (_, _, no) in live.iter().filter(|(_, _, no)| *no <= through) {
        if let Some(Row::Session(session)) = rows.row(&RowKey::Session(*no))?
            && (which == Which::All || matches!(session.lifecycle, Lifecycle::Queued(_)))
        {
            let ahead = rows.ahead(&session)?;
            sessions.push((session, ahead));
        }
    }
    Ok(Page {
        sessions,
        last: live.into_iter().next_back(),
    })
}

fn reply(answer: Answer) -> Result<DrainReply, Over> {
    match answer.outcome {
        Ok(Reply::Drain(reply)) => Ok(reply),
        other => panic!("a step of a drain is answered with {other:?}"),
    }
}
