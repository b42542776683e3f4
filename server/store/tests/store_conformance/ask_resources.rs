//! Random commands about what sessions have outside.

use sessiond_core::command::Command;
use sessiond_core::command::node::{ForgetNode, NodeCommand, NodeFrame};
use sessiond_core::command::resource::{
    Attempted, Declare, Knowledge, Register, Release, ReleaseManner,
};
use sessiond_core::ids::{
    Epoch, InstanceId, NodeName, ResourceName, ResourceNo, SessionNo, StreamId,
};
use sessiond_core::node::Witness;
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
        let node = self.node();
        match self.rng.u8(..8) {
            6 => Command::Node(NodeCommand {
                node: (namespace, NodeName::parse("far").expect("an id")),
                stream: StreamId(1),
                frame: NodeFrame::Hello {
                    instance: InstanceId::parse("a").expect("an id"),
                    machine: None,
                },
            }),
            7 => Command::ForgetNode(ForgetNode {
                node: (namespace, NodeName::parse("far").expect("an id")),
                epoch: Epoch(self.rng.u64(..4)),
            }),
            0..3 => Command::Declare(Box::new(Declare {
                namespace,
                session,
                name: ResourceName::parse("shell").ok(),
                scope: Scope::Session,
                node,
                target: Target::Marked,
                witness: Witness::Server,
                salt: SALT,
                request: self.request(),
                actor: caller(),
            })),
            3 => {
                let resource = self.token(world);
                Command::Register(Box::new(Register {
                    namespace,
                    resource,
                    target: Target::Process(process(self.rng.u32(1..3))),
                    witness: self.witness(world, resource),
                }))
            }
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
            witness: self.witness(world, token),
        })
    }

    fn node(&mut self) -> Option<NodeName> {
        (self.rng.u8(..3) == 0).then(|| NodeName::parse("far").expect("an id"))
    }

    /// Whoever may speak of it, or an agent that may not any more.
    fn witness(&mut self, world: &World, token: ResourceToken) -> Witness {
        let rows = world.store.reader().snapshot().expect("snapshot");
        let row = rows.resources_of(token.session).expect("resources");
        let resource = row.as_ref().and_then(|row| row.get(token));
        match resource.and_then(|resource| resource.node.as_ref()) {
            Some(_) => Witness::Agent(Epoch(self.rng.u64(..9))),
            None => Witness::Server,
        }
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
