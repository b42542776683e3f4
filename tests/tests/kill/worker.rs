//! A client of the storm that claims and settles, and asks again until it knows.
//!
//! Invariant: a settlement of unknown outcome is repeated in the next round before anything else, and every
//! code must be one that the journal can explain. Now and then the worker is a new process that knows
//! nothing, or says again what it said long ago. What this deliberately does not do: use a stream; the
//! processes of `played.rs` do.

use std::sync::Arc;

use fastrand::Rng;
use sessiond_client::{Client, Reason, pb};

use super::draw;
use super::journal::{Barred, Call, Journal, Life, Sign, Told, is_ack};

/// Messages of one claim.
const CLAIM_MAX: u32 = 6;

/// The lease of a claim, in milliseconds: the shortest the server grants, so that lapses happen.
const LEASE_MS: u64 = 1_000;

/// How long a claim that must find something waits, in milliseconds: many work at the end, and who finds nothing keeps the
/// others waiting for that long.
const WAIT_MS: u64 = 40;

/// Settled deliveries that are remembered, to be settled again much later.
const REMEMBERED: usize = 32;

/// One delivery in so many that was not acked is acked right after.
const LATE: u32 = 3;

#[derive(Debug)]
pub(crate) struct Worker {
    name: String,
    rng: Rng,
    journal: Arc<Journal>,
    /// Which process of the worker this is.
    life: u32,
    /// Deliveries it has not settled.
    open: Vec<pb::Delivery>,
    /// What it settled some time ago.
    old: Vec<pb::Settlement>,
    /// A delivery that it gave back, and is about to ack all the same.
    late: Option<pb::Settlement>,
    /// What must be said again.
    unknown: Option<Vec<pb::Settlement>>,
}

/// What a worker does with what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It fails, forgets and repeats itself.
    Wild,
    /// It does its work.
    Steady,
}

// === impl Worker ===

impl Worker {
    pub(crate) fn new(name: String, rng: Rng, journal: Arc<Journal>) -> Self {
        Self {
            name,
            rng,
            journal,
            life: 0,
            open: Vec::new(),
            old: Vec::new(),
            late: None,
            unknown: None,
        }
    }

    /// Makes one call; answers whether the server is there.
    pub(crate) async fn step(&mut self, client: &Client, mood: Mood) -> bool {
        if let Some(settlements) = self.unknown.take() {
            return self.settle(client, settlements).await;
        }
        if mood == Mood::Wild && self.rng.u32(..100) == 0 {
            // Another process of the same name: what this one had is left to lapse.
            self.life += 1;
            self.open.clear();
        }
        if let Some(late) = self.late.take() {
            return self.settle(client, vec![late]).await;
        }
        if mood == Mood::Wild && !self.old.is_empty() && self.rng.u32(..20) == 0 {
            let at = self.rng.usize(..self.old.len());
            let mut again = self.old.swap_remove(at);
            if self.rng.bool() {
                // Whatever was said of it then: an ack counts for the latest hand-out or not at all.
                again.outcome = Some(pb::settlement::Outcome::Ack(pb::Ack::default()));
            }
            return self.settle(client, vec![again]).await;
        }
        if self.open.is_empty() {
            return self.claim(client, mood).await;
        }
        let settlements = self.draw(mood);
        self.settle(client, settlements).await
    }

    fn instance(&self) -> String {
        format!("{}:{}", self.name, self.life)
    }

    fn draw(&mut self, mood: Mood) -> Vec<pb::Settlement> {
        let count = self.rng.usize(1..=self.open.len());
        if mood == Mood::Wild && self.rng.bool() {
            self.rng.shuffle(&mut self.open);
        }
        let deliveries: Vec<_> = self.open.drain(..count).collect();
        let mut settlements = Vec::new();
        for delivery in deliveries {
            let message = delivery.message.as_ref().expect("it was there before");
            let outcome = match mood {
                Mood::Wild => draw::outcome(&mut self.rng),
                Mood::Steady => pb::settlement::Outcome::Ack(pb::Ack::default()),
            };
            settlements.push(pb::Settlement {
                queue_id: message.queue_id,
                seq: message.seq,
                delivery_id: delivery.delivery_id,
                epoch: delivery.epoch,
                outcome: Some(outcome.clone()),
                ..Default::default()
            });
            if let pb::settlement::Outcome::Extend(_) = outcome {
                self.open.push(delivery);
            }
        }
        settlements
    }

    async fn claim(&mut self, client: &Client, mood: Mood) -> bool {
        let instance = self.instance();
        let wait = match mood {
            Mood::Wild => self.rng.u64(0..30),
            Mood::Steady => WAIT_MS,
        };
        let request = pb::ClaimMessagesRequest {
            worker: self.name.clone(),
            instance_id: instance.clone(),
            lease_duration: Some(draw::span(LEASE_MS)),
            max_messages: Some(self.rng.u32(1..=CLAIM_MAX)),
            wait: (wait > 0).then(|| draw::span(wait)),
            target: self.target(mood),
        };
        let known = self.journal.known();
        match Told::of(client.claim(request).await) {
            Told::Done(answer) => {
                self.journal.told(known, answer.revision);
                self.claimed(&instance, answer, known);
                true
            }
            Told::Refused(reason) => {
                let may = matches!(
                    reason,
                    Reason::LeaseHeld | Reason::SessionNotFound | Reason::Overloaded
                );
                assert!(may, "{reason} for a claim");
                self.journal.refused();
                true
            }
            Told::Unknown => {
                self.journal.missed(Call::Claim);
                false
            }
        }
    }

    fn target(&mut self, mood: Mood) -> Option<pb::claim_messages_request::Target> {
        use pb::claim_messages_request::Target;
        match (mood, self.rng.u32(..4)) {
            (Mood::Wild, 0) => {
                let key = draw::lasting_key(&mut self.rng);
                Some(Target::Ref(sessiond_client::session_key(key)))
            }
            (Mood::Wild, 1) => Some(Target::Selector(pb::SessionFilter::default())),
            (Mood::Wild | Mood::Steady, _) => None,
        }
    }

    fn claimed(&mut self, instance: &str, answer: pb::ClaimMessagesResponse, known: u64) {
        let Some(lease) = answer.lease else {
            assert!(answer.deliveries.is_empty(), "deliveries without a lease");
            return;
        };
        assert_eq!(
            (lease.worker.as_str(), lease.instance_id.as_str()),
            (self.name.as_str(), instance)
        );
        let messages = answer
            .deliveries
            .iter()
            .filter_map(|one| one.message.as_ref());
        let seqs: Vec<u64> = messages.clone().map(|message| message.seq).collect();
        assert!(
            !seqs.is_empty() && seqs.is_sorted(),
            "{seqs:?} of one claim"
        );
        let mut queues = messages.map(|message| message.queue_id);
        let queue = queues.next().expect("there is one");
        assert!(
            queues.all(|other| other == queue),
            "a claim over two queues"
        );
        let mut book = self.journal.book();
        book.hold(instance, &lease.session_id, queue, lease.epoch);
        for delivery in &answer.deliveries {
            assert_eq!(delivery.epoch, lease.epoch, "{delivery:?}");
            book.hand_out(instance, delivery);
        }
        book.signs.push(Sign {
            session: lease.session_id,
            what: Life::Worked,
            known,
            revision: answer.revision,
        });
        self.open = answer.deliveries;
    }

    async fn settle(&mut self, client: &Client, settlements: Vec<pb::Settlement>) -> bool {
        let request = pb::SettleMessagesRequest {
            settlements: settlements.clone(),
        };
        let (known, barred) = {
            let mut book = self.journal.book();
            (book.newest, book.settle(&settlements))
        };
        match Told::of(client.settle(request).await) {
            Told::Done(answer) => {
                self.journal.told(known, answer.revision);
                assert_eq!(answer.results.len(), settlements.len());
                for ((said, result), barred) in
                    settlements.into_iter().zip(&answer.results).zip(barred)
                {
                    self.settled(&said, result, barred);
                    self.remember(said);
                }
                true
            }
            Told::Refused(reason) => {
                assert_eq!(reason, Reason::Overloaded, "for a settlement");
                self.cut_off(&settlements);
                self.unknown = Some(settlements);
                self.journal.refused();
                true
            }
            Told::Unknown => {
                self.journal.missed(Call::Settle);
                self.cut_off(&settlements);
                self.unknown = Some(settlements);
                false
            }
        }
    }

    /// Nobody knows whether these counted.
    fn cut_off(&self, settlements: &[pb::Settlement]) {
        let mut book = self.journal.book();
        for said in settlements {
            let settling = book.settling.entry((said.queue_id, said.seq)).or_default();
            settling.acking -= u32::from(is_ack(said));
            settling.ack_unknown |= is_ack(said);
            settling.given_up |= is_for_good(said);
        }
    }

    fn settled(&self, said: &pb::Settlement, result: &pb::SettleResult, barred: Barred) {
        use pb::SettleCode as Code;
        let place = (said.queue_id, said.seq);
        assert_eq!(
            (result.queue_id, result.seq, result.delivery_id),
            (said.queue_id, said.seq, said.delivery_id)
        );
        let mut book = self.journal.book();
        let (session, _) = &book.leases[&said.epoch];
        let is_discarded = book.discarding.contains(session);
        let settling = book.settling.entry(place).or_default();
        settling.acking -= u32::from(is_ack(said));
        match (result.code(), is_ack(said)) {
            (Code::Ok, true) => {
                assert!(!barred.delivery, "{said:?} counted, although {barred:?}");
                book.ack(place, said.delivery_id);
            }
            (Code::Ok, false) => {
                let may = !barred.delivery && !barred.lease;
                assert!(may, "{said:?} counted, although {barred:?}");
                settling.given_up |= is_for_good(said);
                let is_retry = is_nack(said, pb::NackKind::Retry);
                if is_retry || is_nack(said, pb::NackKind::Defer) {
                    book.wait(place, said.delivery_id, is_retry);
                }
            }
            (Code::AlreadySettled, _) => {
                let others = settling.acking > 0;
                let is_gone = settling.acked > 0 || settling.ack_unknown || others || is_discarded;
                assert!(is_gone, "{said:?} is settled, and nobody did");
                if settling.acked == 0 && settling.ack_unknown && !others && !is_discarded {
                    // The ack whose answer nobody saw counted.
                    let last = book.latest[&place];
                    book.ack(place, last);
                }
            }
            (Code::StaleDelivery, _) => {
                let current = result.current_delivery_id;
                assert!(current == 0 || current > said.delivery_id, "{result:?}");
            }
            (Code::Fenced, false) => assert_ne!(result.current_epoch, said.epoch, "{result:?}"),
            (Code::Fenced, true) => panic!("an ack was fenced: {said:?}"),
            (Code::UnknownMessage | Code::Unspecified, _) => {
                panic!("a message that was handed out is not known: {said:?}")
            }
        }
    }

    fn remember(&mut self, said: pb::Settlement) {
        if !is_ack(&said) && self.rng.u32(..LATE) == 0 {
            self.late = Some(pb::Settlement {
                outcome: Some(pb::settlement::Outcome::Ack(pb::Ack::default())),
                ..said.clone()
            });
        }
        if self.old.len() < REMEMBERED {
            self.old.push(said);
        }
    }
}

fn is_for_good(said: &pb::Settlement) -> bool {
    is_nack(said, pb::NackKind::Permanent)
}

fn is_nack(said: &pb::Settlement, kind: pb::NackKind) -> bool {
    match &said.outcome {
        Some(pb::settlement::Outcome::Nack(nack)) => nack.kind() == kind,
        Some(pb::settlement::Outcome::Ack(_) | pb::settlement::Outcome::Extend(_)) | None => false,
    }
}
