//! What was asked for, and how far it is: where calls and signals meet whoever drains.
//!
//! Invariant: the first one who asks says why and what becomes of sessions, and nobody changes that; who joins may have it
//! done sooner. What came of it is told before anybody leaves. One that is called off leaves all this as it was before anybody
//! asked, but for what came of it. What this deliberately does not do: drain.

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::drain::{DrainRow, DrainSessions};
use sessiond_core::event::Actor;
use sessiond_core::session::EndReason;
use sessiond_core::time::Span;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// That the server is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Why sessions end.
    pub reason: EndReason,
    /// What becomes of them.
    pub sessions: DrainSessions,
    /// Until when it is only announced; none if it begins at once.
    pub notice: Option<Instant>,
    /// By when the process is gone.
    pub deadline: Instant,
}

impl Asked {
    /// How long it is only announced from now on.
    pub(super) fn notice_left(&self) -> Span {
        let left = self
            .notice
            .map(|until| until.saturating_duration_since(Instant::now()));
        // Rounded up: what is left of a notice is some time.
        let ms = left.map_or(0, |left| left.as_nanos().div_ceil(1_000_000));
        Span(u64::try_from(ms).unwrap_or(u64::MAX))
    }
}

/// What the configuration says of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long it may take.
    pub budget: Span,
    /// What becomes of sessions.
    pub sessions: DrainSessions,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is on record yet.
    #[default]
    Before,
    /// It is announced on record, and may be called off.
    Announced(Arc<DrainRow>),
    /// It is on record.
    Open(Arc<DrainRow>, Progress),
    /// What came of it is.
    Reported(Arc<DrainRow>),
    /// It was called off, which is on record; another one may be asked for.
    Cancelled(Arc<DrainRow>),
}

/// Why a drain is not called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncancelled {
    /// There is none.
    NotAsked,
    /// It is not only announced, or not any more.
    GoesThrough,
}

/// How many sessions and resources are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Sessions that have ended by it.
    pub(crate) ended: u64,
    /// Sessions that end once nothing of them is under way.
    pub(crate) waiting: u64,
    /// Sessions that are left to their work.
    pub(crate) left: u64,
    /// Resources that are to go and were not tried yet.
    pub(crate) releasing: u64,
}

/// A part of the time, from its beginning on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Half of it: what is under way finishes.
    Requests,
    /// Eight tenths: what sessions have outside is released.
    Releases,
    /// A fifth of what is left: subscriptions acknowledge the ends.
    Delivery,
    /// Nearly nine tenths: all that is done before everybody leaves.
    Sessions,
}

impl Part {
    fn end(self, began: Instant, deadline: Instant) -> Instant {
        let all = deadline.saturating_duration_since(began);
        began
            + match self {
                Self::Requests => all / 2,
                Self::Delivery => all / 5,
                Self::Releases => all * 8 / 10,
                Self::Sessions => all * 17 / 20,
            }
    }
}

/// Where calls and signals meet whoever drains.
#[derive(Clone, Debug)]
pub struct Drains(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    terms: Terms,
    asked: watch::Sender<Option<Asked>>,
    /// Who wants what was asked to be called off.
    cancel: watch::Sender<Option<Actor>>,
    stage: watch::Sender<Stage>,
}

impl Drains {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self(Arc::new(Shared {
            terms,
            asked: watch::Sender::new(None),
            cancel: watch::Sender::new(None),
            stage: watch::Sender::new(Stage::default()),
        }))
    }

    /// What the configuration says.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.0.terms
    }

    /// A signal asks.
    pub fn ask_by_signal(&self) {
        let Terms { budget, sessions } = self.0.terms;
        self.ask(Asked {
            reason: EndReason::Shutdown,
            sessions,
            notice: None,
            deadline: Instant::now() + Duration::from_millis(budget.0),
        });
    }

    /// Asks the server to go, or joins whoever asked before; answers with what holds, and whether it was asked before.
    pub fn ask(&self, asked: Asked) -> (Asked, bool) {
        let mut holds = (asked, false);
        self.0.asked.send_modify(|known| {
            if let Some(known) = known {
                known.deadline = known.deadline.min(asked.deadline);
                // None is sooner than any.
                known.notice = known
                    .notice
                    .zip(asked.notice)
                    .map(|(one, other)| one.min(other));
                holds = (*known, true);
            } else {
                // What became of one that was called off is no news of this one.
                self.0.stage.send_replace(Stage::Before);
                *known = Some(asked);
            }
        });
        holds
    }

    /// Wants what was asked to be called off; answers with what came of that, once it is on record. An error says whether
    /// anything was asked at all: it goes through then.
    pub(crate) async fn cancel(&self, actor: Actor) -> Result<Arc<DrainRow>, Uncancelled> {
        let mut stage = self.0.stage.subscribe();
        // Beside nobody who forgets or asks: it concerns what is asked now, and nothing later.
        self.0.asked.send_if_modified(|asked| {
            if asked.is_some() {
                self.0.cancel.send_replace(Some(actor));
            }
            false
        });
        if *stage.borrow() == Stage::Before && self.0.asked.borrow().is_none() {
            return Err(Uncancelled::NotAsked);
        }
        let is_settled = |stage: &Stage| match stage {
            Stage::Before | Stage::Announced(_) => false,
            Stage::Open(..) | Stage::Reported(_) | Stage::Cancelled(_) => true,
        };
        // The sender lives as long as `self`, so waiting cannot fail.
        match stage.wait_for(is_settled).await.as_deref() {
            Ok(Stage::Cancelled(row)) => Ok(Arc::clone(row)),
            Ok(_) | Err(_) => Err(Uncancelled::GoesThrough),
        }
    }

    /// Completes when somebody wants it to be called off.
    pub(super) async fn cancelled(&self) -> Actor {
        let mut cancel = self.0.cancel.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let wanted = cancel.wait_for(Option::is_some).await;
        let actor = wanted.ok().and_then(|actor| actor.clone());
        actor.expect("somebody wants it")
    }

    /// It was called off: nobody has asked.
    pub(super) fn forget(&self, row: Arc<DrainRow>) {
        self.0.asked.send_modify(|asked| {
            *asked = None;
            self.0.cancel.send_replace(None);
            self.0.stage.send_replace(Stage::Cancelled(row));
        });
    }

    /// Completes when it is not only announced any more, which whoever joins may bring forward.
    pub(super) async fn notice_over(&self) {
        self.passed(|asked| asked.notice.unwrap_or_else(Instant::now))
            .await;
    }

    /// Completes when somebody has asked.
    pub async fn asked(&self) -> Asked {
        let mut asked = self.0.asked.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let known = asked.wait_for(Option::is_some).await;
        known.ok().and_then(|known| *known).expect("somebody asked")
    }

    /// How much time is left, as things stand; all of the budget before anybody has asked.
    #[must_use]
    pub fn left(&self) -> Duration {
        match *self.0.asked.borrow() {
            Some(asked) => asked.deadline.saturating_duration_since(Instant::now()),
            None => Duration::from_millis(self.0.terms.budget.0),
        }
    }

    /// Completes when the time of what was asked is over, and never before anybody has asked.
    pub async fn overdue(&self) {
        self.passed(|asked| asked.deadline).await;
    }

    /// Completes at the end of a part of the time from `began` on.
    pub(crate) async fn over(&self, part: Part, began: Instant) {
        self.passed(|asked| part.end(began, asked.deadline)).await;
    }

    /// Whether a part of the time from `began` on is over.
    pub(super) fn is_over(&self, part: Part, began: Instant) -> bool {
        let asked = *self.0.asked.borrow();
        asked.is_some_and(|asked| part.end(began, asked.deadline) <= Instant::now())
    }

    /// Completes when an instant has passed that follows from what was asked; whoever joins may bring it forward.
    async fn passed(&self, at: impl Fn(&Asked) -> Instant) {
        let mut asked = self.0.asked.subscribe();
        loop {
            let instant = asked.borrow_and_update().as_ref().map(&at);
            let over = async {
                match instant {
                    Some(instant) => sleep_until(instant).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                // The sender lives as long as `self`.
                _ = asked.changed() => {}
            }
        }
    }

    /// How far it is, and each change of that.
    pub(crate) fn follow(&self) -> watch::Receiver<Stage> {
        self.0.stage.subscribe()
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.0.stage.send_replace(stage);
    }

    /// Says how many sessions are where.
    pub(super) fn note(&self, progress: Progress) {
        self.change(|known| *known = progress);
    }

    /// Says how many resources are to go.
    pub(super) fn releasing(&self, count: u64) {
        self.change(|known| known.releasing = count);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        self.0.stage.send_if_modified(|stage| {
            let Stage::Open(_, progress) = stage else {
                return false;
            };
            let before = *progress;
            change(progress);
            *progress != before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn asked(reason: EndReason, deadline: Instant) -> Asked {
        Asked {
            reason,
            sessions: DrainSessions::End,
            notice: None,
            deadline,
        }
    }

    fn drains() -> Drains {
        Drains::new(Terms {
            budget: Span::seconds(10),
            sessions: DrainSessions::End,
        })
    }

    #[tokio::test]
    async fn whoever_joins_may_have_it_done_sooner_and_changes_nothing_else() {
        let drains = drains();
        let later = Instant::now() + HOUR;
        let first = asked(EndReason::Restart, later);
        assert_eq!(drains.ask(first), (first, false));
        assert_eq!(drains.asked().await, first);
        let sooner = asked(EndReason::Shutdown, later - HOUR / 2);
        let holds = asked(EndReason::Restart, sooner.deadline);
        assert_eq!(drains.ask(sooner), (holds, true));
        assert_eq!(drains.ask(first), (holds, true), "not later again");
    }

    #[tokio::test]
    async fn its_parts_end_sooner_when_somebody_joins_who_has_less_time() {
        let drains = drains();
        let began = Instant::now();
        drains.ask(asked(EndReason::Shutdown, began + HOUR));
        assert!(!drains.is_over(Part::Requests, began));
        let over = tokio::time::timeout(HOUR / 4, drains.over(Part::Releases, began));
        let (over, _) = tokio::join!(over, async {
            drains.ask(asked(EndReason::Shutdown, began))
        });
        over.expect("there is no time left");
        assert!(drains.is_over(Part::Requests, began));
        assert_eq!(drains.left(), Duration::ZERO);
    }

    #[tokio::test]
    async fn it_is_overdue_at_the_earliest_deadline_that_anybody_gave() {
        let drains = drains();
        drains.ask(asked(EndReason::Shutdown, Instant::now() + HOUR));
        let overdue = tokio::time::timeout(HOUR / 2, drains.overdue());
        let (over, _) = tokio::join!(overdue, async {
            drains.ask(asked(EndReason::Shutdown, Instant::now()))
        });
        over.expect("whoever joined later had less time");
    }
}
