//! A drain that is only announced, in the reference model: it may be called off until it proceeds.
//!
//! Written from the design's rule 31.

use sessiond_core::command::drain::DrainCommand;
use sessiond_core::drain::{DrainEnd, DrainReply};
use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::ids::SessionNo;
use sessiond_core::time::{Span, WallTime};

use super::marks::drains::Drains;
use super::state::Model;
use super::told::{Expected, Fact};
use super::world::World;

/// What becomes of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noticed {
    /// It goes on, and other things happen beside it.
    GoesOn,
    /// It is over.
    Over,
}

impl Model {
    /// It goes through from here on.
    pub(crate) fn drain_proceeds(&mut self) -> DrainReply {
        if let Some(row) = self.last_drain.as_mut() {
            row.notice_until = None;
        }
        self.drain_stands()
    }

    /// The drain that is open, or what came of the last one.
    pub(crate) fn drain_stands(&self) -> DrainReply {
        let newest = SessionNo(self.sessions.len() as u64);
        match self.last_drain.clone() {
            Some(row) if row.end.is_none() => DrainReply::Open {
                row: row.into(),
                through: self.drain.map_or(newest, |drain| drain.through),
                joined: true,
            },
            other => DrainReply::Reported(other.map(Into::into)),
        }
    }

    pub(crate) fn drain_is_called_off(&mut self, actor: &Actor, out: &mut Expected) -> DrainReply {
        let stands = self.drain_stands();
        let DrainReply::Open { row, .. } = &stands else {
            self.marks.hit(Drains::CancelledNone);
            return stands;
        };
        if row.notice_until.is_none() {
            self.marks.hit(Drains::CancelledLate);
            return stands;
        }
        self.marks.hit(Drains::Cancelled);
        out.facts.push(Fact::ServerStays(actor.clone()));
        self.drain = None;
        let (now, wall) = (self.now, self.wall);
        let row = self.open_drain();
        row.notice_until = None;
        row.end = Some(DrainEnd {
            time: WallTime(wall),
            duration: Span(now.saturating_sub(row.begun_at.0)),
            cancelled: true,
        });
        self.drain_stands()
    }
}

impl World {
    /// A drain was announced for so long, if at all: now that is over, or the drain called off, or neither.
    pub(crate) fn notice(&mut self, notice: Span) -> Noticed {
        if notice > Span(0) && self.rng.bool() {
            return Noticed::GoesOn;
        }
        if self.rng.u32(..3) == 0 {
            self.cancel_drain();
        }
        self.step(DrainCommand::Proceed);
        Noticed::Over
    }

    /// Somebody wants the drain called off, whether it still can be or not.
    pub(crate) fn cancel_drain(&mut self) {
        let actor = Actor::unnamed(ActorKind::Api);
        self.step(DrainCommand::Cancel { actor });
    }
}
