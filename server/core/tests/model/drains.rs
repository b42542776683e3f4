//! The drain of the server in the reference model: every session is ended, and none begins meanwhile.
//!
//! Written from the design's rules 14, 30 and 31. What is left of a drain when the server dies, the next start finishes.

use sessiond_core::command::Command;
use sessiond_core::command::drain::{DrainCommand, Undone};
use sessiond_core::drain::{
    Drain, DrainEnd, DrainReply, DrainRow, DrainSessions, DrainStep, DrainWarning, WarningCode,
};
use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::ids::{Namespace, SessionNo};
use sessiond_core::reply::Reply;
use sessiond_core::session::{EndMode, EndReason, PendingPolicy};
use sessiond_core::time::{EngineTime, Span, WallTime};

use super::called_off::Noticed;
use super::marks::drains::Drains;
use super::state::{Ending, Model, State};
use super::told::{Answer, Expected, Fact, Refusal};
use super::world::{NAMESPACE, World};

impl Model {
    pub(crate) fn drain_step(&mut self, command: &DrainCommand, out: &mut Expected) -> Answer {
        let reply = match command {
            DrainCommand::Begin {
                reason,
                sessions,
                notice,
            } => self.drain_begins(*reason, *sessions, *notice, out),
            DrainCommand::Proceed => self.drain_proceeds(),
            DrainCommand::Cancel { actor } => self.drain_is_called_off(actor, out),
            DrainCommand::End {
                session,
                mode,
                grace,
                actor,
            } => DrainReply::Step(self.drain_ends(session.0, (*mode, *grace), *actor, out)),
            DrainCommand::Close => self.drain_closes(),
            DrainCommand::Report { actor, undone } => {
                self.drain_reports(*actor, undone);
                DrainReply::Reported(self.last_drain.clone().map(Into::into))
            }
        };
        Answer::Drain(reply)
    }

    /// Whoever waits is let in where a drain ended somebody, before the start has seen to all that wait.
    pub(crate) fn serve_drained(
        &mut self,
        command: &DrainCommand,
        answer: &Answer,
        out: &mut Expected,
    ) {
        let ended = *answer == Answer::Drain(DrainReply::Step(DrainStep::Ended));
        if let DrainCommand::End { session, .. } = command
            && ended
        {
            self.serve_freed(session.0, out);
        }
    }

    /// Whoever waits in the pool of a session that has ended is let in, unless that keeps its slot for what it has outside.
    pub(crate) fn serve_freed(&mut self, no: u64, out: &mut Expected) {
        let session = self.session(no);
        if !session.is_left() {
            let pool = session.pool.clone();
            self.serve_line(&pool, out);
        }
    }

    fn drain_begins(
        &mut self,
        reason: EndReason,
        sessions: DrainSessions,
        notice: Span,
        out: &mut Expected,
    ) -> DrainReply {
        if let stands @ DrainReply::Open { .. } = self.drain_stands() {
            self.marks.hit(Drains::Joined);
            return stands;
        }
        let through = SessionNo(self.sessions.len() as u64);
        if sessions == DrainSessions::End {
            self.drain = Some(Drain { reason, through });
        } else {
            self.marks.hit(Drains::Kept);
        }
        let why = match reason == EndReason::Restart {
            true => "restart",
            false => "shutdown",
        };
        let ends = sessions == DrainSessions::End;
        out.facts.push(Fact::ServerDraining(why, ends, notice.0));
        self.marks.hit_if(notice > Span(0), Drains::Announced);
        let row = DrainRow {
            reason,
            sessions,
            begin_time: WallTime(self.wall),
            begun_at: EngineTime(self.now),
            notice_until: (notice > Span(0)).then_some(WallTime(self.wall + notice.0)),
            end: None,
            ended: 0,
            late: 0,
            left: 0,
            recovered: false,
            warnings: Vec::new(),
        };
        self.last_drain = Some(row.clone());
        DrainReply::Open {
            row: row.into(),
            through,
            joined: false,
        }
    }

    fn drain_closes(&mut self) -> DrainReply {
        let count = |is_there: fn(&State) -> bool| {
            self.sessions.iter().filter(|s| is_there(&s.state)).count() as u64
        };
        let left = count(|state| matches!(state, State::Queued(_) | State::Active));
        let draining = count(|state| matches!(state, State::Draining(_)));
        self.marks
            .hit_if(left > 0 && self.drain.is_some(), Drains::ClosedEarly);
        if left == 0 && self.drain.take().is_some() {
            self.marks.hit_if(draining > 0, Drains::ClosedWithSomeLeft);
            self.open_drain().left = draining;
        }
        DrainReply::Closed { left }
    }

    fn drain_reports(&mut self, actor: ActorKind, undone: &Undone) {
        if self.drain.is_none() && actor == ActorKind::Drain {
            self.serving = false;
        }
        let open = self
            .last_drain
            .as_ref()
            .is_some_and(|row| row.end.is_none());
        if !open || self.drain.is_some() {
            self.marks.hit(Drains::ReportedOutOfTurn);
            return;
        }
        let (now, wall) = (self.now, self.wall);
        for (session, count) in &undone.unreleased {
            self.warn_of_drain(WarningCode::ResourcesUnreleased, session.as_str(), *count);
        }
        for ((namespace, name), count) in &undone.unheard {
            let subject = format!("{}/{}", namespace.as_str(), name.as_str());
            self.warn_of_drain(WarningCode::SessionEndDrain, &subject, *count);
        }
        let row = self.open_drain();
        row.recovered = actor == ActorKind::Recovery;
        row.notice_until = None;
        row.end = Some(DrainEnd {
            time: WallTime(wall),
            duration: Span(now.saturating_sub(row.begun_at.0)),
            cancelled: false,
        });
    }

    /// A session ends with so much under way.
    pub(crate) fn count_late(&mut self, no: u64, open: u64) {
        if self.drain.is_some() {
            let id = self.session(no).id.clone();
            self.open_drain().late += 1;
            self.warn_of_drain(WarningCode::SessionDrainTimeout, id.as_str(), open);
        }
    }

    pub(crate) fn open_drain(&mut self) -> &mut DrainRow {
        self.last_drain.as_mut().expect("a drain is open")
    }

    fn warn_of_drain(&mut self, code: WarningCode, subject: &str, count: u64) {
        let warnings = &mut self.open_drain().warnings;
        let same = |one: &&mut DrainWarning| one.code == code && one.subject == subject;
        match warnings.iter_mut().find(same) {
            Some(known) => known.count += count,
            None => warnings.push(DrainWarning {
                code,
                subject: subject.to_owned(),
                count,
            }),
        }
    }

    fn drain_ends(
        &mut self,
        no: u64,
        (mode, grace): (EndMode, Span),
        actor: ActorKind,
        out: &mut Expected,
    ) -> DrainStep {
        let known = (1..=self.sessions.len() as u64).contains(&no);
        let Some(drain) = self.drain.filter(|_| known && !self.session(no).purged) else {
            self.marks.hit_if(known, Drains::NoneOpen);
            return DrainStep::Gone;
        };
        match self.session(no).state.clone() {
            State::Queued(_) | State::Active => {
                let wait = if mode == EndMode::Immediate {
                    0
                } else {
                    grace.0
                };
                let ending = Ending {
                    reason: drain.reason,
                    actor: Actor::unnamed(actor),
                    mode,
                    deadline: self.now + wait,
                    pending: PendingPolicy::Keep,
                };
                self.open_drain().ended += 1;
                self.drain_one(no, &ending, out)
            }
            State::Draining(ending) if ending.mode == EndMode::AfterPending => {
                self.marks.hit(Drains::LeftToItsWork);
                DrainStep::Left
            }
            State::Draining(ending) if mode == EndMode::Immediate => {
                self.marks.hit(Drains::EndedLate);
                self.finish_late(no, &ending, out);
                DrainStep::Ended
            }
            State::Draining(_) => DrainStep::Waits,
            State::Ended(_) => DrainStep::Gone,
        }
    }

    fn drain_one(&mut self, no: u64, ending: &Ending, out: &mut Expected) -> DrainStep {
        if matches!(self.session(no).state, State::Queued(_)) {
            self.marks.hit(Drains::WaiterEnded);
            self.finish(no, ending, None, out);
            return DrainStep::Ended;
        }
        if self.drain_or_finish(no, ending, out) {
            return DrainStep::Ended;
        }
        self.marks.hit(Drains::Waits);
        out.facts.push(Fact::Draining(no, ending.reason));
        DrainStep::Waits
    }

    /// Why no session begins, if the server is about to go.
    pub(crate) fn refuse_while_draining(&mut self) -> Result<(), Refusal> {
        if self.drain.is_some() {
            self.marks.hit(Drains::OpenRefused);
            return Err(Refusal::ServerDraining);
        }
        Ok(())
    }
}

impl World {
    /// The server is to go: some of its sessions end, more or less in order, and it may die in the middle. Whatever else
    /// happens then happens beside an open drain.
    pub(crate) fn drain(&mut self) {
        if self.rng.u32(..6) == 0 {
            self.cancel_drain();
        }
        let reasons = [EndReason::Shutdown, EndReason::Restart];
        let sessions = match self.rng.u32(..6) {
            0 => DrainSessions::Keep,
            _ => DrainSessions::End,
        };
        let reason = reasons[self.rng.usize(..2)];
        let notice = Span(u64::from(self.rng.u32(..4) == 0) * 5_000);
        self.step(DrainCommand::Begin {
            reason,
            sessions,
            notice,
        });
        if self.notice(notice) == Noticed::GoesOn {
            return;
        }
        let mode = if self.rng.bool() {
            EndMode::Graceful
        } else {
            EndMode::Immediate
        };
        let all = self.rng.u32(..3) > 0;
        for no in 0..=self.model.sessions.len() as u64 + 1 {
            if all || self.rng.bool() {
                self.drain_end(no, mode, ActorKind::Drain);
            }
        }
        if self.rng.bool() {
            self.step(DrainCommand::Close);
        }
        // It may die now, or live on for a while in which what is under way goes on.
        match self.rng.u32(..8) {
            0 => return self.restart(),
            1 => return,
            2 => drop(self.drain_over(ActorKind::Drain)),
            _ => {}
        }
        for no in 1..=self.model.sessions.len() as u64 {
            self.drain_end(no, EndMode::Immediate, ActorKind::Drain);
        }
        self.step(DrainCommand::Close);
        if self.rng.u32(..4) > 0 {
            self.drain_over(ActorKind::Drain);
        }
    }

    /// What every start does with a drain that it finds.
    pub(crate) fn finish_drain(&mut self) {
        let open = |row: &DrainRow| row.end.is_none();
        if !self.model.last_drain.as_ref().is_some_and(open) {
            return;
        }
        if self.model.drain.is_some() {
            self.model.marks.hit(Drains::FoundAtStart);
            for no in 1..=self.model.sessions.len() as u64 {
                self.drain_end(no, EndMode::Immediate, ActorKind::Recovery);
            }
            let closed = self.step(DrainCommand::Close);
            assert_eq!(closed, DrainReply::Closed { left: 0 }, "all of it ended");
        } else {
            self.model.marks.hit(Drains::FoundUnreported);
        }
        let reported = self.drain_over(ActorKind::Recovery);
        let DrainReply::Reported(Some(row)) = reported else {
            panic!("what is open is reported, not {reported:?}");
        };
        assert!(row.recovered && row.end.is_some(), "it is over");
    }

    /// Says that it is over, with some sessions that have something left outside.
    fn drain_over(&mut self, actor: ActorKind) -> DrainReply {
        let some = self.model.sessions.iter().rev().take(2);
        let mut unreleased: Vec<_> = some
            .map(|session| (session.id.clone(), session.no))
            .collect();
        unreleased.truncate(self.rng.usize(..3));
        let namespace = Namespace::parse(NAMESPACE).unwrap();
        let some = self.rng.usize(..3);
        let names = self.model.subscriptions.keys().take(some);
        let unheard = names
            .map(|name| ((namespace.clone(), name.clone()), 2))
            .collect();
        let undone = Undone {
            unreleased,
            unheard,
        };
        self.step(DrainCommand::Report { actor, undone })
    }

    fn drain_end(&mut self, no: u64, mode: EndMode, actor: ActorKind) {
        self.step(DrainCommand::End {
            session: SessionNo(no),
            mode,
            grace: Span(5_000),
            actor,
        });
    }

    pub(crate) fn step(&mut self, command: DrainCommand) -> DrainReply {
        match self.submit(&Command::Drain(command)) {
            Ok(Reply::Drain(reply)) => reply,
            other => panic!("a step of a drain is answered with {other:?}"),
        }
    }
}
