//! Simulated workers without a stream, and what all workers say of their deliveries: the truth, late, twice, of others'
//! deliveries, or of none that ever were.

use std::num::NonZeroU32;

use sessiond_core::command::{Claim, Command, NackKind, Outcome, Settle, Settlement};
use sessiond_core::ids::{DeliveryId, Epoch, Namespace, QueueId, Seq, WorkerName};
use sessiond_core::session::Usage;
use sessiond_core::time::Span;

use super::script::Held;
use super::world::{ELSEWHERE, World};

impl World {
    pub(crate) fn claim(&mut self) {
        let worker = self.a_worker();
        let claim = Claim {
            namespace: self.namespace.clone(),
            session: self.some_session(),
            worker: WorkerName::parse("worker").unwrap(),
            instance: self.clients.workers[worker].instance.clone(),
            lease: Span(self.rng.u64(1_000..90_000)),
            max_messages: NonZeroU32::new(self.rng.u32(1..5)).unwrap(),
        };
        let _ = self.submit(&Command::Claim(claim));
    }

    pub(crate) fn settle(&mut self) {
        let worker = self.a_worker();
        let settlements = self.settlements(worker);
        let foreign = self.rng.u32(..25) == 0;
        let namespace = if foreign {
            Namespace::parse(ELSEWHERE).unwrap()
        } else {
            self.namespace.clone()
        };
        if !settlements.is_empty() {
            let settle = Settle {
                namespace,
                settlements,
            };
            self.submit(&Command::Settle(settle)).unwrap();
        }
    }

    // === settlements ===

    /// What a worker has done, and a share of stale, foreign, repeated and invented claims.
    pub(crate) fn settlements(&mut self, worker: usize) -> Vec<Settlement> {
        let mut settlements: Vec<Settlement> = Vec::new();
        for _ in 0..self.rng.usize(1..4) {
            let mine = self.clients.workers[worker].in_hand.len();
            let past = self.clients.past.len();
            let held = match self.rng.u32(..10) {
                0 if past > 0 => self.clients.past[self.rng.usize(..past)].clone(),
                1 if past > 0 => {
                    let recent = past.saturating_sub(8);
                    self.clients.past[self.rng.usize(recent..past)].clone()
                }
                _ if mine > 0 => {
                    let place = self.rng.usize(..mine);
                    self.clients.workers[worker].in_hand.remove(place)
                }
                _ => continue,
            };
            let settlement = self.settlement(&held);
            if self.rng.u32(..12) == 0 {
                settlements.push(settlement.clone());
            }
            settlements.push(settlement);
        }
        settlements
    }

    fn settlement(&mut self, held: &Held) -> Settlement {
        let outcome = self.outcome();
        let mut settlement = Settlement {
            queue: held.queue,
            seq: held.seq,
            delivery_id: held.delivery,
            epoch: held.epoch,
            outcome,
        };
        match self.rng.u32(..60) {
            0 => settlement.queue = QueueId(self.rng.u64(..9)),
            1 => settlement.seq = Seq(self.rng.u64(..40)),
            2 => settlement.delivery_id = DeliveryId(self.rng.u64(..40)),
            3..6 => settlement.epoch = Epoch(self.rng.u64(..20)),
            _ => {}
        }
        settlement
    }

    fn outcome(&mut self) -> Outcome {
        let delays = [
            None,
            None,
            Some(Span(0)),
            Some(Span(700)),
            Some(Span(60_000)),
        ];
        let delay = delays[self.rng.usize(..delays.len())];
        let nack = |kind| Outcome::Nack {
            kind,
            delay,
            error: "broken".to_owned(),
        };
        match self.rng.u32(..12) {
            0..2 => nack(NackKind::Retry),
            2 => nack(NackKind::Defer),
            3 if self.rng.bool() => nack(NackKind::Permanent),
            4 => Outcome::Extend {
                by: Span(self.rng.u64(1_000..90_000)),
            },
            _ => Outcome::Ack {
                usage: Usage {
                    input_tokens: 3,
                    output_tokens: 1,
                },
            },
        }
    }
}
