//! The drain: before the server goes, every live session ends, all at once, and what they have outside is released.
//!
//! ```text
//!  announced, if it is to be, and called off or:
//!  nothing new ──► on record ──► an end each ──► what is under way finishes ──► the rest ends ──► closed on record
//!                                                     releases, until each was tried ──► reported ──► everybody leaves
//! ```
//!
//! Invariant: every wait for others has its part of one budget, and whoever runs this has everybody leave when its time is
//! over; a session that has nothing to wait for is not held up by one that has. What a server that dies in between leaves,
//! the next start finishes from the record (`engine/drained.rs`). A session that was to do its work first is left to it, and
//! goes on at the next start. What this deliberately does not do: end a session otherwise than by a decision, or close
//! anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::command::drain::{DrainCommand, Undone};
use sessiond_core::drain::{DrainReply, DrainRow, DrainSessions};
use sessiond_core::event::{ActorKind, EventKind};
use sessiond_core::ids::{Revision, SessionNo};
use sessiond_core::reply::{Answer, Reply};
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::EndReason;
use sessiond_core::time::Span;
use sessiond_store::snapshot::{ReadAhead, Reader, Rows};
use tokio::time::{Instant, sleep};

use crate::consumers::Consumers;
use crate::engine::Handle;
use crate::feed::{Feed, Unread};
use crate::grpc::context::Context;
use crate::limits::DRAIN_LOOK_EVERY;
use crate::over::Over;
use crate::stopping::Stopping;

mod asked;
mod heard;
pub(crate) mod outside;
mod walk;

use asked::Part;
pub use asked::{Asked, Drains, Terms};
pub(crate) use asked::{Progress, Stage, Uncancelled};
pub(crate) use walk::{Place, Which, page};

use walk::Walk;

/// Who drains.
#[derive(Debug)]
pub(crate) struct Drainer {
    engine: Handle,
    reader: Reader,
    feed: Arc<Feed>,
    consumers: Consumers,
    stopping: Stopping,
    pub(crate) drains: Drains,
}

impl Drainer {
    /// Who drains the server of this context.
    pub(crate) fn of(context: &Context) -> Self {
        Self {
            engine: context.engine.clone(),
            reader: context.reader.clone(),
            feed: Arc::clone(&context.feed),
            consumers: context.consumers.clone(),
            stopping: context.stopping.clone(),
            drains: context.drains.clone(),
        }
    }

    /// Announces what was asked, if it is to be, and waits until that is over; answers whether the server goes, as it does unless
    /// that is called off.
    pub(crate) async fn announce(&self, asked: Asked) -> bool {
        match self.give_notice(asked).await {
            Ok(goes) => goes,
            Err(Over::Ended) => true,
            Err(Over::Fault(fault)) => {
                tracing::error!(fault = fault.describe(), "the drain cannot be announced");
                true
            }
        }
    }

    async fn give_notice(&self, asked: Asked) -> Result<bool, Over> {
        let notice = asked.notice_left();
        if notice == Span(0) {
            return Ok(true);
        }
        let (reason, sessions) = (asked.reason, asked.sessions);
        let begin = DrainCommand::Begin {
            reason,
            sessions,
            notice,
        };
        let DrainReply::Open { row, .. } = self.ask(begin).await? else {
            panic!("a drain that begins is open");
        };
        tracing::info!(
            notice_ms = notice.0,
            "the drain is announced; until then it may be called off"
        );
        self.drains.enter(Stage::Announced(row));
        tokio::select! {
            () = self.drains.notice_over() => {}
            actor = self.drains.cancelled() => {
                let DrainReply::Reported(Some(row)) = self.ask(DrainCommand::Cancel { actor }).await? else {
                    panic!("nobody but this has the drain proceed");
                };
                tracing::info!("the drain is called off; the server serves on");
                self.drains.forget(row);
                return Ok(false);
            }
        }
        self.ask(DrainCommand::Proceed).await?;
        Ok(true)
    }

    /// The same as `run` within its part of the time; none if that was not enough, or the engine has ended.
    pub(crate) async fn run_in_time(
        &self,
        reason: EndReason,
        sessions: DrainSessions,
    ) -> Option<Arc<DrainRow>> {
        let began = Instant::now();
        tokio::select! {
            drained = self.run(reason, sessions) => match drained {
                Ok(row) => Some(row),
                Err(Over::Ended) => None,
                Err(Over::Fault(fault)) => {
                    tracing::error!(fault = fault.describe(), "the drain cannot go on");
                    None
                }
            },
            () = self.drains.over(Part::Sessions, began) => None,
        }
    }

    /// Ends every live session for this reason, or puts on record that they are kept; answers with what came of it.
    ///
    /// # Errors
    /// [`Over`] when the engine has ended, or the store cannot be read; what is on record by then the next start finishes.
    async fn run(&self, reason: EndReason, sessions: DrainSessions) -> Result<Arc<DrainRow>, Over> {
        let began = Instant::now();
        self.stopping.drain();
        let before = self.feed.newest();
        let begin = DrainCommand::Begin {
            reason,
            sessions,
            notice: Span(0),
        };
        let DrainReply::Open { row, through, .. } = self.ask(begin).await? else {
            panic!("a drain that begins is open");
        };
        self.drains.enter(Stage::Open(row, Progress::default()));
        let mut undone = Undone::default();
        if sessions == DrainSessions::End {
            self.end_all(through, before, began).await?;
            let releases = self.wait_for_releases(began);
            let ((), unheard) = tokio::try_join!(releases, self.wait_for_subscribers(before))?;
            undone = Undone {
                unreleased: outside::unreleased(&self.snapshot()?)?,
                unheard,
            };
        }
        let actor = ActorKind::Drain;
        let reported = self.ask(DrainCommand::Report { actor, undone }).await?;
        let DrainReply::Reported(Some(row)) = reported else {
            panic!("a drain is reported with {reported:?}");
        };
        self.drains.enter(Stage::Reported(Arc::clone(&row)));
        Ok(row)
    }

    /// Ends every session up to `through`: what is under way has its part of the time.
    async fn end_all(
        &self,
        through: SessionNo,
        before: Revision,
        began: Instant,
    ) -> Result<(), Over> {
        // Its sessions say so; whoever joins and has less time ends them sooner.
        let grace = self.drains.left() / 2;
        let grace = Span(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        let mut walk = Walk::new(self, grace);
        if self.snapshot()?.counters()?.queued > 0 {
            walk.over(Which::Waiting, through).await?;
        }
        walk.over(Which::All, through).await?;
        let mut open = std::mem::take(&mut walk.open);
        let all = walk.progress;
        let note = |open: &BTreeSet<SessionNo>| {
            let waiting = open.len() as u64;
            self.drains.note(Progress {
                ended: all.ended + all.waiting - waiting,
                waiting,
                ..all
            });
        };
        tokio::select! {
            waited = self.wait(&mut open, before, &note) => waited?,
            () = self.drains.over(Part::Requests, began) => {}
            () = self.engine.ended() => return Err(Over::Ended),
        }
        walk.end_now(open).await?;
        note(&BTreeSet::new());
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

    /// Waits until these sessions have ended, as the log says; says each time which are left.
    async fn wait(
        &self,
        open: &mut BTreeSet<SessionNo>,
        after: Revision,
        note: impl Fn(&BTreeSet<SessionNo>),
    ) -> Result<(), Over> {
        let mut news = self.feed.follow();
        let mut told = after;
        while !open.is_empty() {
            let looked = self.feed.look(told, |event| {
                if let (EventKind::SessionEnd, Some(view)) = (event.kind, event.session()) {
                    open.remove(&view.session.no);
                }
            });
            let reached = match looked {
                Ok(reached) => reached,
                Err(Unread::Compacted { oldest, .. }) => {
                    self.forget_ended(open)?;
                    Revision(oldest.0 - 1)
                }
                Err(Unread::Fault(fault)) => return Err(fault.into()),
            };
            note(open);
            if reached == told {
                // The feed lives as long as `self`.
                drop(news.changed().await);
            } else {
                told = reached;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Forgets those that have ended: what the log said of them is deleted.
    fn forget_ended(&self, open: &mut BTreeSet<SessionNo>) -> Result<(), Over> {
        let rows = self.snapshot()?;
        let mut ended = Vec::new();
        for no in open.iter() {
            match rows.row(&RowKey::Session(*no))? {
                Some(Row::Session(session)) if !session.is_ended() => {}
                Some(_) | None => ended.push(*no),
            }
        }
        for no in ended {
            open.remove(&no);
        }
        Ok(())
    }

    /// Waits until everything that is to go was tried once. What did not go is tried again by the next start.
    async fn wait_for_releases(&self, began: Instant) -> Result<(), Over> {
        loop {
            let untried = outside::untried(&self.snapshot()?)?;
            self.drains.releasing(untried);
            if untried == 0 || self.drains.is_over(Part::Releases, began) {
                return Ok(());
            }
            if !self.engine.is_running() {
                return Err(Over::Ended);
            }
            sleep(DRAIN_LOOK_EVERY).await;
        }
    }
}

fn reply(answer: Answer) -> DrainReply {
    match answer.outcome {
        Ok(Reply::Drain(reply)) => reply,
        other => panic!("a step of a drain is answered with {other:?}"),
    }
}
