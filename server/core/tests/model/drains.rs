//! The drain of the server in the reference model: every session is ended, and none begins meanwhile.
//!
//! Written from the design's rules 14, 30 and 31. What is left of a drain when the server dies, the next start finishes.

use sessiond_core::command::Command;
use sessiond_core::command::drain::DrainCommand;
use sessiond_core::drain::{Drain, DrainReply, DrainStep};
use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::ids::SessionNo;
use sessiond_core::reply::Reply;
use sessiond_core::session::{EndMode, EndReason, PendingPolicy};
use sessiond_core::time::Span;

use super::marks::drains::Drains;
use super::state::{Ending, Model, State};
use super::told::{Answer, Expected, Fact, Refusal};
use super::world::World;

impl Model {
    pub(crate) fn drain_step(&mut self, command: &DrainCommand, out: &mut Expected) -> Answer {
        let reply = match *command {
            DrainCommand::Begin { reason } => self.drain_begins(reason),
            DrainCommand::End {
                session,
                mode,
                grace,
                actor,
            } => DrainReply::Step(self.drain_ends(session.0, (mode, grace), actor, out)),
            DrainCommand::Close => {
                let live = |state: &State| matches!(state, State::Queued(_) | State::Active);
                let live = self.sessions.iter().filter(|s| live(&s.state));
                let left = live.count() as u64;
                self.marks
                    .hit_if(left > 0 && self.drain.is_some(), Drains::ClosedEarly);
                if left == 0 {
                    self.drain = None;
                }
                DrainReply::Closed { left }
            }
        };
        Answer::Drain(reply)
    }

    fn drain_begins(&mut self, reason: EndReason) -> DrainReply {
        let joined = self.drain.is_some();
        self.marks.hit_if(joined, Drains::Joined);
        let through = SessionNo(self.sessions.len() as u64);
        let drain = *self.drain.get_or_insert(Drain { reason, through });
        DrainReply::Open { drain, joined }
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
                    actor: Actor {
                        kind: actor,
                        name: String::new(),
                    },
                    mode,
                    deadline: self.now + wait,
                    pending: PendingPolicy::Keep,
                };
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
        let reasons = [EndReason::Shutdown, EndReason::Restart];
        let reason = reasons[self.rng.usize(..2)];
        self.step(DrainCommand::Begin { reason });
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
            _ => {}
        }
        for no in 1..=self.model.sessions.len() as u64 {
            self.drain_end(no, EndMode::Immediate, ActorKind::Drain);
        }
        self.step(DrainCommand::Close);
    }

    /// What every start does with a drain that it finds.
    pub(crate) fn finish_drain(&mut self) {
        if self.model.drain.is_none() {
            return;
        }
        self.model.marks.hit(Drains::FoundAtStart);
        for no in 1..=self.model.sessions.len() as u64 {
            self.drain_end(no, EndMode::Immediate, ActorKind::Recovery);
        }
        let closed = self.step(DrainCommand::Close);
        assert_eq!(closed, DrainReply::Closed { left: 0 }, "all of it ended");
    }

    fn drain_end(&mut self, no: u64, mode: EndMode, actor: ActorKind) {
        self.step(DrainCommand::End {
            session: SessionNo(no),
            mode,
            grace: Span(5_000),
            actor,
        });
    }

    fn step(&mut self, command: DrainCommand) -> DrainReply {
        match self.submit(&Command::Drain(command)) {
            Ok(Reply::Drain(reply)) => reply,
            other => panic!("a step of a drain is answered with {other:?}"),
        }
    }
}
