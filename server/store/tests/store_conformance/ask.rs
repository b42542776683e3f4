//! Random commands, of few sessions, keys and workers, so that they meet.
//!
//! What was handed out is remembered, so that settlements are mostly of real deliveries. Time jumps, so that whatever
//! can come due does. Here are the times and the commands about sessions.

#[path = "ask_messages.rs"]
mod messages;
#[path = "ask_resources.rs"]
mod resources;
#[path = "ask_subscriptions.rs"]
mod subscriptions;

use std::num::NonZeroU32;

use fastrand::Rng;
use sessiond_core::command::drain::{DrainCommand, Undone};
use sessiond_core::command::{
    Carry, Command, ConflictPolicy, End, NewSessionId, Open, Outcome as SettleOutcome, Purge,
    RequestTag, Reset, Settlement, TimeoutOverrides, Touch,
};
use sessiond_core::drain::DrainSessions;
use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::ids::{Epoch, Namespace, RequestId, SessionId, SessionKey, SessionRef};
use sessiond_core::reply::Reply;
use sessiond_core::session::{EndMode, EndReason, Ordering, PendingPolicy, Profile, Usage};
use sessiond_core::time::{EngineTime, Now, Span, WallTime};

use crate::draw::one_of;
use crate::world::World;

/// Deliveries remembered; older ones were settled long ago or never will be.
const DELIVERIES_MAX: usize = 6;
const HOUR_MS: u64 = 3_600_000;

#[derive(Debug)]
pub(crate) struct Asker {
    rng: Rng,
    now: Now,
    ids: Vec<(Namespace, SessionId)>,
    deliveries: Vec<(Namespace, Settlement)>,
}

impl Asker {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            now: Now {
                engine: EngineTime(1),
                wall: WallTime(1_700_000_000_000),
            },
            ids: Vec::new(),
            deliveries: Vec::new(),
        }
    }

    /// The next command and its time.
    pub(crate) fn next(&mut self, world: &World) -> (Command, Now) {
        self.pass_time();
        let command = match self.rng.u8(..38) {
            0..4 => Command::Open(Box::new(self.open())),
            4..10 => Command::Enqueue(self.enqueue()),
            10..14 => Command::Claim(self.claim()),
            14..18 => Command::Settle(self.settle()),
            18 => Command::Touch(self.touch()),
            19..21 => Command::End(self.end()),
            21 => Command::Reset(Box::new(self.reset())),
            22..25 => Command::Requeue(self.requeue()),
            25..27 => Command::Discard(self.discard()),
            27 => Command::Purge(self.purge()),
            28 => self.lapse(world),
            29..32 => self.resource(world),
            32 => self.drain(),
            33..36 => self.subscription(world),
            _ => self.due(world),
        };
        (command, self.now)
    }

    /// A server that goes without ending its sessions, or says that this is over. Where they end no story would go on.
    fn drain(&mut self) -> Command {
        Command::Drain(match self.rng.u32(..4) {
            0 => DrainCommand::Begin {
                reason: EndReason::Shutdown,
                sessions: DrainSessions::Keep,
                notice: Span(self.rng.u64(..2)),
            },
            1 => DrainCommand::Proceed,
            2 => DrainCommand::Cancel {
                actor: Actor::unnamed(ActorKind::Api),
            },
            _ => DrainCommand::Report {
                actor: ActorKind::Drain,
                undone: Undone::default(),
            },
        })
    }

    /// Takes note of what was handed out.
    pub(crate) fn hear(&mut self, command: &Command, reply: &Reply) {
        let (Command::Claim(claim), Reply::Claimed { deliveries, .. }) = (command, reply) else {
            return;
        };
        for delivery in deliveries {
            let settlement = Settlement {
                queue: delivery.message.queue,
                seq: delivery.message.seq,
                delivery_id: delivery.delivery_id,
                epoch: delivery.epoch,
                outcome: SettleOutcome::Ack {
                    usage: Usage::default(),
                },
            };
            self.deliveries.push((claim.namespace.clone(), settlement));
        }
        let old = self.deliveries.len().saturating_sub(DELIVERIES_MAX);
        self.deliveries.drain(..old);
    }

    fn pass_time(&mut self) {
        let passed = match self.rng.u8(..40) {
            0 => self.rng.u64(..8 * 24 * HOUR_MS),
            1 | 2 => self.rng.u64(..2 * HOUR_MS),
            _ => self.rng.u64(..2_000),
        };
        self.now.engine = self.now.engine + Span(passed);
        self.now.wall = WallTime(self.now.wall.0 + passed);
    }

    fn namespace(&mut self) -> Namespace {
        let name = one_of(&mut self.rng, &["n", "n", "n", "nn"]);
        Namespace::parse(name).expect("an id")
    }

    fn key(&mut self) -> SessionKey {
        let key = one_of(&mut self.rng, &["k", "kk", "nk"]);
        SessionKey::parse(key).expect("an id")
    }

    fn session(&mut self) -> (Namespace, SessionRef) {
        if self.rng.u8(..3) == 0
            && let Some((namespace, id)) = self.rng.choice(&self.ids)
        {
            return (namespace.clone(), SessionRef::Id(id.clone()));
        }
        let namespace = self.namespace();
        (namespace, SessionRef::Key(self.key()))
    }

    fn new_id(&mut self, namespace: &Namespace) -> NewSessionId {
        let text = format!("s{}", self.ids.len());
        let id = SessionId::parse(text).expect("an id");
        self.ids.push((namespace.clone(), id.clone()));
        match self.rng.u8(..4) {
            0 => NewSessionId::Brought(id),
            _ => NewSessionId::Drawn(id),
        }
    }

    fn request(&mut self) -> Option<RequestTag> {
        (self.rng.u8(..3) == 0).then(|| RequestTag {
            id: RequestId::parse(one_of(&mut self.rng, &["r1", "r2", "r3", "r4"])).expect("an id"),
            body: [one_of(&mut self.rng, &[1, 1, 1, 2]); 32],
        })
    }

    fn open(&mut self) -> Open {
        let namespace = self.namespace();
        let key = (self.rng.u8(..6) != 0).then(|| self.key());
        Open {
            key,
            id: self.new_id(&namespace),
            pool: None,
            profile: self.profile(),
            prompt_number: None,
            timeouts: TimeoutOverrides::default(),
            conflict: one_of(
                &mut self.rng,
                &[
                    ConflictPolicy::UseExisting,
                    ConflictPolicy::Replace,
                    ConflictPolicy::Fail,
                ],
            ),
            wait: one_of(&mut self.rng, &[None, None, Some(Span::seconds(30))]),
            ordering: one_of(
                &mut self.rng,
                &[None, Some(Ordering::Relaxed), Some(Ordering::Serial)],
            ),
            max_in_flight: NonZeroU32::new(3),
            parent: None,
            request: self.request(),
            actor: caller(),
            namespace,
        }
    }

    fn purge(&mut self) -> Purge {
        let (namespace, session) = match self.rng.choice(&self.ids) {
            Some(known) => known.clone(),
            None => (self.namespace(), SessionId::parse("s").expect("an id")),
        };
        Purge {
            namespace,
            session,
            pending: one_of(
                &mut self.rng,
                &[PendingPolicy::Keep, PendingPolicy::Discard],
            ),
            exported: None,
            actor: caller(),
        }
    }

    fn reset(&mut self) -> Reset {
        let (namespace, session) = self.session();
        Reset {
            session,
            reason: EndReason::Reset,
            detail: String::new(),
            id: self.new_id(&namespace),
            carry: one_of(&mut self.rng, &[Carry::Move, Carry::Keep, Carry::Discard]),
            profile: self.profile(),
            prompt_number: None,
            timeouts: TimeoutOverrides::default(),
            ordering: None,
            max_in_flight: None,
            parent: None,
            etag: None,
            request: self.request(),
            actor: caller(),
            namespace,
        }
    }

    fn profile(&mut self) -> Profile {
        Profile {
            project: one_of(&mut self.rng, &["", "p"]).to_owned(),
            prompt: one_of(&mut self.rng, &["", "do it"]).to_owned(),
            ..Profile::default()
        }
    }

    fn touch(&mut self) -> Touch {
        let (namespace, session) = self.session();
        Touch {
            namespace,
            session,
            usage: Usage::default(),
        }
    }

    fn end(&mut self) -> End {
        let (namespace, session) = self.session();
        End {
            namespace,
            session,
            reason: one_of(
                &mut self.rng,
                &[EndReason::Completed, EndReason::Reset, EndReason::Crashed],
            ),
            detail: String::new(),
            mode: one_of(
                &mut self.rng,
                &[EndMode::Immediate, EndMode::Graceful, EndMode::AfterPending],
            ),
            grace: None,
            pending: one_of(
                &mut self.rng,
                &[
                    PendingPolicy::Keep,
                    PendingPolicy::Keep,
                    PendingPolicy::Discard,
                ],
            ),
            successor: None,
            request: self.request(),
            actor: caller(),
        }
    }

    fn lapse(&mut self, world: &World) -> Command {
        let lapsing = world.lapsing(self.now.engine);
        let epoch = self.rng.choice(&lapsing).copied();
        Command::Lapse(epoch.unwrap_or(Epoch(self.rng.u64(..4))))
    }

    fn due(&mut self, world: &World) -> Command {
        let rows = world.store.reader().snapshot().expect("snapshot");
        let due = rows.due(self.now.engine, 4).expect("due");
        match self.rng.choice(&due) {
            Some(due) => Command::Due(*due),
            None => Command::Touch(self.touch()),
        }
    }
}

fn caller() -> Actor {
    Actor::unnamed(ActorKind::Api)
}
