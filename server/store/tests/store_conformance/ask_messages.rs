//! Random commands about messages: sent, taken, settled, brought back and thrown away.

use std::num::NonZeroU32;

use bytes::Bytes;
use sessiond_core::command::letters::{Discard, Requeue};
use sessiond_core::command::{
    Claim, Effect, Enqueue, NackKind, Open, Outcome as SettleOutcome, Settle, Settlement,
};
use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::ids::{
    CoalesceKey, DeliveryId, Epoch, IdempotencyKey, InstanceId, MessageKind, QueueId, Seq,
    SessionRef, WorkerName,
};
use sessiond_core::message::{Debounce, DeliveryMode, NewMessage};
use sessiond_core::session::{Labels, Usage};
use sessiond_core::time::{Span, WallTime};

use super::Asker;
use crate::draw::{one_of, option};
use crate::draw_session::cause;

impl Asker {
    pub(super) fn enqueue(&mut self) -> Enqueue {
        let (namespace, session) = self.session();
        let open_if_missing = match &session {
            SessionRef::Key(key) if self.rng.bool() => {
                let key = Some(key.clone());
                let id = self.new_id(&namespace);
                let open = self.open();
                Some(Box::new(Open {
                    namespace: namespace.clone(),
                    key,
                    id,
                    request: None,
                    ..open
                }))
            }
            SessionRef::Key(_) | SessionRef::Id(_) => None,
        };
        let count = self.rng.usize(1..5);
        let cause = option(&mut self.rng, cause);
        Enqueue {
            messages: (0..count).map(|_| self.message()).collect(),
            namespace,
            session,
            cause,
            open_if_missing,
        }
    }

    fn message(&mut self) -> NewMessage {
        let name = one_of(
            &mut self.rng,
            &[None, None, Some("i1"), Some("i2"), Some("i3")],
        );
        let deferred = self.rng.u8(..6) == 0;
        let not_before = WallTime(self.now.wall.0 + self.rng.u64(..5_000));
        NewMessage {
            kind: MessageKind::parse("observation").expect("a kind"),
            payload: Bytes::from(vec![self.rng.u8(..); self.rng.usize(..40)]),
            content_type: String::new(),
            attributes: Labels::new(),
            agent_id: String::new(),
            agent_type: String::new(),
            prompt_number: None,
            mode: one_of(
                &mut self.rng,
                &[
                    DeliveryMode::FollowUp,
                    DeliveryMode::FollowUp,
                    DeliveryMode::Steer,
                    DeliveryMode::Interrupt,
                    DeliveryMode::Collect,
                ],
            ),
            coalesce_key: one_of(&mut self.rng, &[None, None, Some("c1"), Some("c2")])
                .map(|key| CoalesceKey::parse(key).expect("an id")),
            debounce: (self.rng.u8(..6) == 0).then_some(Debounce {
                quiet: Span(500),
                max_wait: Span(1_500),
            }),
            occurred_time: None,
            not_before_time: deferred.then_some(not_before),
            idempotency_key: name.map(|name| IdempotencyKey::parse(name).expect("an id")),
            trace_parent: String::new(),
        }
    }

    pub(super) fn claim(&mut self) -> Claim {
        let (namespace, session) = self.session();
        Claim {
            namespace,
            session,
            worker: WorkerName::parse("w").expect("an id"),
            instance: InstanceId::parse(one_of(&mut self.rng, &["i", "i", "i", "j"]))
                .expect("an id"),
            lease: Span::seconds(self.rng.u64(1..60)),
            max_messages: NonZeroU32::new(self.rng.u32(1..4)).expect("not zero"),
        }
    }

    pub(super) fn settle(&mut self) -> Settle {
        let namespace = match self.rng.choice(&self.deliveries) {
            Some((namespace, _)) => namespace.clone(),
            None => self.namespace(),
        };
        let count = self.rng.usize(1..4);
        let settlements = (0..count).map(|_| self.settlement()).collect();
        Settle {
            namespace,
            settlements,
        }
    }

    fn settlement(&mut self) -> Settlement {
        let outcome = self.outcome();
        match self.rng.choice(&self.deliveries) {
            Some((_, settlement)) if self.rng.u8(..12) != 0 => Settlement {
                outcome,
                ..settlement.clone()
            },
            _ => Settlement {
                queue: QueueId(self.rng.u64(..4)),
                seq: Seq(self.rng.u64(..9)),
                delivery_id: DeliveryId(self.rng.u64(..9)),
                epoch: Epoch(self.rng.u64(..4)),
                outcome,
            },
        }
    }

    fn outcome(&mut self) -> SettleOutcome {
        let usage = Usage {
            input_tokens: self.rng.u64(..100),
            output_tokens: self.rng.u64(..100),
        };
        match self.rng.u8(..8) {
            0..3 => SettleOutcome::Ack { usage },
            3 => SettleOutcome::Extend {
                by: Span::seconds(30),
            },
            _ => SettleOutcome::Nack {
                kind: one_of(
                    &mut self.rng,
                    &[NackKind::Retry, NackKind::Defer, NackKind::Permanent],
                ),
                delay: None,
                error: "no".to_owned(),
            },
        }
    }

    pub(super) fn requeue(&mut self) -> Requeue {
        let (namespace, session) = self.session();
        let mut letters = Vec::new();
        for _ in 0..self.rng.usize(1..6) {
            letters.push((QueueId(self.rng.u64(1..9)), Seq(self.rng.u64(1..9))));
        }
        Requeue {
            namespace,
            letters,
            into: self.rng.bool().then_some(session),
            next: None,
            effect: one_of(
                &mut self.rng,
                &[Effect::Made, Effect::Made, Effect::LeftOut],
            ),
            request: None,
            actor: Actor {
                cause: option(&mut self.rng, cause),
                ..Actor::unnamed(ActorKind::Api)
            },
        }
    }

    pub(super) fn discard(&mut self) -> Discard {
        let (namespace, session) = self.session();
        Discard {
            namespace,
            session,
            seqs: vec![Seq(self.rng.u64(1..9)), Seq(self.rng.u64(1..9))],
            next: None,
            effect: Effect::Made,
            request: None,
            actor: Actor::unnamed(ActorKind::Api),
        }
    }
}
