//! Random commands about what sessions have outside.

use sessiond_core::command::Command;
use sessiond_core::command::resource::{
    Attempted, Declare, Knowledge, Register, Release, ReleaseManner,
};
use sessiond_core::ids::{ResourceName, ResourceNo, SessionNo};
use sessiond_core::resource::{
    Attempt, LingeringCause, ProcessIdentity, ReleaseOutcome, ResourceToken, Scope, Target,
};

use super::{Asker, caller};
use crate::draw::one_of;
use crate::world::World;

/// All resources of the stories are drawn alike, so that a token is known by session and number.
const SALT: u64 = 7;

impl Asker {
    pub(super) fn resource(&mut self, world: &World) -> Command {
        let (namespace, session) = self.session();
        match self.rng.u8(..6) {
            0..3 => Command::Declare(Box::new(Declare {
                namespace,
                session,
                name: ResourceName::parse("shell").ok(),
                scope: Scope::Session,
                target: Target::Marked,
                salt: SALT,
                request: self.request(),
                actor: caller(),
            })),
            3 => Command::Register(Box::new(Register {
                namespace,
                resource: self.token(world),
                target: Target::Process(process(self.rng.u32(1..3))),
            })),
            4 => Command::Release(Release {
                namespace,
                resource: self.token(world),
                manner: one_of(
                    &mut self.rng,
                    &[ReleaseManner::Verified, ReleaseManner::Forced],
                ),
                actor: caller(),
            }),
            _ => self.attempted(world),
        }
    }

    fn attempted(&mut self, world: &World) -> Command {
        let token = self.token(world);
        let gone = [ReleaseOutcome::Killed, ReleaseOutcome::AlreadyGone];
        Command::Attempted(Attempted {
            session: token.session,
            number: token.number,
            knew: one_of(&mut self.rng, &[Knowledge::Mark, Knowledge::Identity]),
            attempt: match self.rng.u8(..4) {
                0 => Attempt::Left {
                    cause: one_of(
                        &mut self.rng,
                        &[LingeringCause::Denied, LingeringCause::TimedOut],
                    ),
                    detail: "it runs".to_owned(),
                },
                _ => Attempt::Gone(one_of(&mut self.rng, &gone)),
            },
        })
    }

    /// Of a session with something that is to go, if there is one.
    fn token(&mut self, world: &World) -> ResourceToken {
        let rows = world.store.reader().snapshot().expect("snapshot");
        let releasing = rows.releasing_after(SessionNo(0), 4).expect("releasing");
        let session = self.rng.choice(&releasing).copied();
        let any = self.rng.u64(1..=self.ids.len().max(1) as u64);
        ResourceToken {
            session: session.unwrap_or(SessionNo(any)),
            number: ResourceNo(self.rng.u64(1..3)),
            salt: SALT,
        }
    }
}

fn process(pid: u32) -> ProcessIdentity {
    ProcessIdentity {
        boot_id: "boot".to_owned(),
        pid,
        start_ticks: 1,
        inode: Some(1),
        uid: 1,
        group: pid,
        session: pid,
    }
}
