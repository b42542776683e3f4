//! Work that fails again and again, and what is tried when its pause is over.
//!
//! Failures in a row are rare among random settlements; here a worker does nothing else for a while.

use std::num::NonZeroU32;

use sessiond_core::command::{
    Claim, Command, Enqueue, NackKind, Outcome, ResetCircuit, ResetTarget, Settle, Settlement,
};
use sessiond_core::ids::{MessageKind, SessionRef, WorkerName};
use sessiond_core::limits::SUMMARIZE;
use sessiond_core::message::NewMessage;
use sessiond_core::time::Span;

use super::world::World;

/// Hand-outs that fail in one breakdown, a few more than any circuit of a run stands.
const ROUNDS_MAX: usize = 4;

impl World {
    /// A worker takes a session's messages and fails with each of them, some rounds long.
    pub(crate) fn breakdown(&mut self) {
        let key = self.key();
        self.enqueue_summaries(SessionRef::Key(key.clone()), 2);
        let worker = self.a_worker();
        for _ in 0..self.rng.usize(1..=ROUNDS_MAX) {
            let claim = Claim {
                namespace: self.namespace.clone(),
                session: SessionRef::Key(key.clone()),
                worker: WorkerName::parse("worker").unwrap(),
                instance: self.clients.workers[worker].instance.clone(),
                lease: Span::seconds(30),
                max_messages: NonZeroU32::new(2).unwrap(),
            };
            if self.submit(&Command::Claim(claim)).is_err() {
                return;
            }
            let settlements = self.failures(worker);
            if settlements.is_empty() {
                return;
            }
            let namespace = self.namespace.clone();
            let settle = Settle {
                namespace,
                settlements,
            };
            self.submit(&Command::Settle(settle)).unwrap();
            self.run_due();
        }
    }

    /// Everything a worker has, none of it done.
    fn failures(&mut self, worker: usize) -> Vec<Settlement> {
        let in_hand = std::mem::take(&mut self.clients.workers[worker].in_hand);
        let mut failures = Vec::new();
        for held in in_hand {
            let kind = match self.rng.u32(..6) {
                0 => NackKind::Defer,
                1 => NackKind::Permanent,
                _ => NackKind::Retry,
            };
            failures.push(Settlement {
                queue: held.queue,
                seq: held.seq,
                delivery_id: held.delivery,
                epoch: held.epoch,
                outcome: Outcome::Nack {
                    kind,
                    delay: (kind != NackKind::Permanent).then_some(Span(0)),
                    error: String::new(),
                },
            });
        }
        failures
    }

    /// Sends what an open circuit skips, right before or when its pause is over.
    pub(crate) fn probe(&mut self) {
        let active = self.model.sessions.iter().filter(|s| s.is_active());
        let open = active.filter_map(|session| {
            let circuit = session.circuits.get(SUMMARIZE)?;
            Some((session.id.clone(), circuit.open?.retry_at))
        });
        let open: Vec<_> = open.collect();
        if let Some((id, retry_at)) = self.pick(&open) {
            let early = self.rng.u64(..2);
            self.jump(retry_at.saturating_sub(early));
            let count = self.rng.usize(1..3);
            self.enqueue_summaries(SessionRef::Id(id), count);
        }
    }

    fn enqueue_summaries(&mut self, session: SessionRef, count: usize) {
        let messages = (0..count).map(|_| NewMessage {
            kind: MessageKind::parse(SUMMARIZE).unwrap(),
            not_before_time: None,
            ..self.message()
        });
        let messages = messages.collect();
        let namespace = self.namespace.clone();
        let enqueue = Enqueue {
            namespace,
            session,
            messages,
            cause: self.a_cause(),
            open_if_missing: None,
        };
        let _ = self.submit(&Command::Enqueue(enqueue));
    }

    /// An operator resets a circuit, open or not.
    pub(crate) fn reset_circuit(&mut self) {
        let kinds = [SUMMARIZE, SUMMARIZE, SUMMARIZE, "observation"];
        let kind = kinds[self.rng.usize(..kinds.len())];
        let reset = ResetCircuit {
            namespace: self.namespace.clone(),
            session: self.some_session(),
            target: ResetTarget::Kind(MessageKind::parse(kind).unwrap()),
            request: self.tag(7),
            actor: self.actor(),
        };
        let _ = self.submit(&Command::ResetCircuit(reset));
    }
}
