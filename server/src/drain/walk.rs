//! A walk over the sessions that live, each of which is asked to end.
//!
//! Many are under way at once, so that many ends share a commit; what each decision asks for is read beside the engine.
//! What this deliberately does not do: wait for what is under way in a session.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::command::drain::DrainCommand;
use sessiond_core::drain::{DrainReply, DrainStep};
use sessiond_core::event::ActorKind;
use sessiond_core::ids::{Namespace, PoolName, SessionNo};
use sessiond_core::reply::Answer;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::{EndMode, Lifecycle, SessionRow};
use sessiond_core::time::Span;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::{ReadAhead, Rows};
use tokio::sync::oneshot;

use super::asked::Progress;
use super::{Drainer, reply};
use crate::limits::{DRAIN_AHEAD, DRAIN_PAGE};
use crate::over::Over;

/// A session that lives, where it was found.
pub(crate) type Place = (Namespace, PoolName, SessionNo);

/// Which of the sessions that live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that wait for a slot: first, or each slot that frees would let one in to be ended.
    Waiting,
    /// All.
    All,
}

/// A page of sessions that live.
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

/// One walk.
pub(super) struct Walk<'d> {
    drainer: &'d Drainer,
    grace: Span,
    asked: VecDeque<(SessionNo, oneshot::Receiver<Answer>)>,
    /// Sessions that end once nothing of them is under way.
    pub(super) open: BTreeSet<SessionNo>,
    pub(super) progress: Progress,
}

impl<'d> Walk<'d> {
    /// A walk that gives what is under way so much time.
    pub(super) fn new(drainer: &'d Drainer, grace: Span) -> Self {
        Self {
            drainer,
            grace,
            asked: VecDeque::new(),
            open: BTreeSet::new(),
            progress: Progress::default(),
        }
    }

    /// Asks for the end of the sessions up to `through`; answers when each has its answer.
    pub(super) async fn over(&mut self, which: Which, through: SessionNo) -> Result<(), Over> {
        let mut place: Option<Place> = None;
        loop {
            let page = page(&self.drainer.snapshot()?, place.as_ref(), which, through)?;
            let Some(last) = page.last else {
                break;
            };
            place = Some(last);
            for (session, ahead) in page.sessions {
                self.ask(session.no, EndMode::Graceful, ahead).await?;
            }
            self.drainer.drains.note(self.progress);
            tokio::task::yield_now().await;
        }
        self.note_all().await
    }

    /// Ends these sessions now, whatever of them is under way.
    pub(super) async fn end_now(&mut self, sessions: BTreeSet<SessionNo>) -> Result<(), Over> {
        for session in sessions {
            self.ask(session, EndMode::Immediate, ReadAhead::default())
                .await?;
        }
        self.note_all().await
    }

    async fn ask(
        &mut self,
        session: SessionNo,
        mode: EndMode,
        ahead: ReadAhead,
    ) -> Result<(), Over> {
        let end = Command::Drain(DrainCommand::End {
            session,
            mode,
            grace: self.grace,
            actor: ActorKind::Drain,
        });
        let answer = self.drainer.engine.post_waiting(end, ahead).await?;
        self.asked.push_back((session, answer));
        if self.asked.len() >= DRAIN_AHEAD {
            self.note_one().await?;
        }
        Ok(())
    }

    async fn note_all(&mut self) -> Result<(), Over> {
        while !self.asked.is_empty() {
            self.note_one().await?;
        }
        self.drainer.drains.note(self.progress);
        Ok(())
    }

    async fn note_one(&mut self) -> Result<(), Over> {
        let Some((session, answer)) = self.asked.pop_front() else {
            return Ok(());
        };
        match reply(answer.await.map_err(|_| Over::Ended)?) {
            DrainReply::Step(DrainStep::Ended) => self.progress.ended += 1,
            DrainReply::Step(DrainStep::Waits) => {
                self.open.insert(session);
                self.progress.waiting += 1;
            }
            DrainReply::Step(DrainStep::Left) => self.progress.left += 1,
            DrainReply::Step(DrainStep::Gone) => {}
            other @ (DrainReply::Open { .. }
            | DrainReply::Closed { .. }
            | DrainReply::Reported(_)) => {
                panic!("an end is answered with {other:?}")
            }
        }
        Ok(())
    }
}
