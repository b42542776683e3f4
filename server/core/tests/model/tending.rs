//! Simulated people who look after messages: they bring dead letters back and throw messages away, by the right names
//! and by wrong ones, once and twice.

use sessiond_core::command::letters::{Discard, Requeue};
use sessiond_core::command::{Command, Effect};
use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::ids::{Namespace, QueueId, Seq};
use sessiond_core::rows::MessageMark;

use super::state::Fate;
use super::world::{ELSEWHERE, World};

/// Messages that one call names.
const NAMED_MAX: usize = 6;

impl World {
    pub(crate) fn requeue(&mut self) {
        let foreign = self.rng.u32(..25) == 0;
        let namespace = if foreign {
            Namespace::parse(ELSEWHERE).unwrap()
        } else {
            self.namespace.clone()
        };
        let requeue = Requeue {
            namespace,
            letters: self.some_letters(),
            into: self.rng.bool().then(|| self.some_session()),
            next: self.a_mark(),
            effect: self.an_effect(),
            // Names of calls are a namespace's own, and the model keeps those of one.
            request: if foreign { None } else { self.tag(4) },
            actor: Actor {
                cause: self.a_cause(),
                ..Actor::unnamed(ActorKind::Api)
            },
        };
        let again = self.rng.u32(..6) == 0;
        let _ = self.submit(&Command::Requeue(requeue.clone()));
        if again {
            let _ = self.submit(&Command::Requeue(requeue));
        }
    }

    pub(crate) fn discard(&mut self) {
        let session = self.some_session();
        let mut seqs: Vec<Seq> = match self.model.find_any(&session) {
            Ok(no) => {
                let queue = self.model.queue(self.model.session(no).queue);
                queue.messages.keys().map(|seq| Seq(*seq)).collect()
            }
            Err(_) => Vec::new(),
        };
        self.rng.shuffle(&mut seqs);
        seqs.truncate(self.rng.usize(..NAMED_MAX));
        if self.rng.u32(..5) == 0 {
            seqs.push(Seq(self.rng.u64(..40)));
        }
        let discard = Discard {
            namespace: self.namespace.clone(),
            session,
            seqs,
            next: self.a_mark(),
            effect: self.an_effect(),
            request: self.tag(5),
            actor: Actor::unnamed(ActorKind::Api),
        };
        let again = self.rng.u32(..6) == 0;
        let _ = self.submit(&Command::Discard(discard.clone()));
        if again {
            let _ = self.submit(&Command::Discard(discard));
        }
    }

    /// Dead letters of any session, and now and then what is none.
    fn some_letters(&mut self) -> Vec<(QueueId, Seq)> {
        let mut letters = Vec::new();
        for (place, queue) in self.model.queues.iter().enumerate() {
            let dead = queue
                .messages
                .iter()
                .filter(|(_, message)| message.is_dead() || queue.fate == Fate::Dead);
            letters.extend(dead.map(|(seq, _)| (QueueId(place as u64 + 1), Seq(*seq))));
        }
        // Mostly the newest ones: their sessions may live still.
        let old = letters.len().saturating_sub(2 * NAMED_MAX);
        if self.rng.u32(..4) > 0 {
            letters.drain(..old);
        }
        if self.rng.bool() {
            self.rng.shuffle(&mut letters);
        }
        letters.truncate(self.rng.usize(1..=NAMED_MAX));
        if self.rng.u32(..5) == 0 {
            letters.push((QueueId(self.rng.u64(..9)), Seq(self.rng.u64(..40))));
        }
        if let Some(first) = letters.first().copied()
            && self.rng.u32(..8) == 0
        {
            letters.push(first);
        }
        letters
    }

    fn an_effect(&mut self) -> Effect {
        if self.rng.u32(..6) == 0 {
            Effect::LeftOut
        } else {
            Effect::Made
        }
    }

    fn a_mark(&mut self) -> Option<MessageMark> {
        self.rng.bool().then(|| MessageMark {
            queue: QueueId(self.rng.u64(1..9)),
            after: Seq(self.rng.u64(..40)),
            until: Seq(self.rng.u64(..40)),
        })
    }
}
