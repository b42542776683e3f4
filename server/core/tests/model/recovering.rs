//! What a start makes of live sessions in the reference model.
//!
//! Written from the design's rule 30: they stay, unless they are not to outlive a server that died.

use sessiond_core::command::Command;
use sessiond_core::command::recovery::RecoveryCommand;
use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::ids::SessionNo;
use sessiond_core::session::{EndMode, EndReason, PendingPolicy};

use super::marks::drains::Drains;
use super::state::{Ending, Model, State};
use super::told::Expected;
use super::world::World;

impl Model {
    pub(crate) fn recover_step(&mut self, command: RecoveryCommand, out: &mut Expected) {
        let RecoveryCommand::Crashed(no) = command else {
            self.serving = true;
            return;
        };
        let known = (1..=self.sessions.len() as u64).contains(&no.0);
        let is_live = |state: &State| matches!(state, State::Queued(_) | State::Active);
        if !known || !is_live(&self.session(no.0).state) {
            return;
        }
        self.marks.hit(Drains::Crashed);
        let ending = Ending {
            reason: EndReason::Crashed,
            actor: Actor::unnamed(ActorKind::Recovery),
            mode: EndMode::Immediate,
            deadline: self.now,
            pending: PendingPolicy::Keep,
        };
        self.finish(no.0, &ending, None, out);
        self.serve_freed(no.0, out);
    }
}

impl World {
    /// What every start does with live sessions, and that it serves from then on.
    pub(crate) fn recover(&mut self) {
        let crashed = self.model.serving;
        self.model.marks.hit_if(!crashed, Drains::WentInOrder);
        if crashed && self.rng.u32(..8) == 0 {
            for no in 0..=self.model.sessions.len() as u64 + 1 {
                let crashed = RecoveryCommand::Crashed(SessionNo(no));
                self.submit(&Command::Recovery(crashed)).unwrap();
            }
        }
        let serve = Command::Recovery(RecoveryCommand::Serve);
        self.submit(&serve).unwrap();
    }
}
