//! The rules of settlements in the reference model: ack, nack, extend, and how a message comes back or is given up.
//!
//! Written from the design's rules 2, 16, 17 and 18.

use std::collections::BTreeSet;

use sessiond_core::backoff::retry_pause;
use sessiond_core::command::{NackKind, Outcome, Settlement};
use sessiond_core::ids::{Namespace, QueueId, Seq};
use sessiond_core::lease::LeaseMode;
use sessiond_core::message::DeadReason;
use sessiond_core::reply::SettleCode;
use sessiond_core::session::Usage;

use super::marks::Mark;
use super::state::{Fate, Message, Model, State, Status};
use super::told::{Expected, Fact};
use super::world::NAMESPACE;

/// Whether an attempt that came to nothing counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    Counts,
    Refunded,
}

impl Model {
    /// Settles each in turn; answers with the queues that may go on.
    pub(crate) fn settle_all(
        &mut self,
        namespace: &Namespace,
        settlements: &[Settlement],
        out: &mut Expected,
    ) -> (Vec<SettleCode>, BTreeSet<u64>) {
        let mut touched = BTreeSet::new();
        let mut codes = Vec::new();
        for settlement in settlements {
            let code = if namespace.as_str() == NAMESPACE {
                self.settle(settlement, &mut touched, out)
            } else {
                self.marks.hit(Mark::ForeignNamespace);
                SettleCode::UnknownMessage
            };
            let settled = self.shortage.is_some() && code == SettleCode::Ok;
            self.marks.hit_if(settled, Mark::SettledWhileShort);
            codes.push(code);
        }
        (codes, touched)
    }

    /// Ends sessions that waited for settled queues.
    pub(crate) fn after_settle(&mut self, touched: &BTreeSet<u64>, out: &mut Expected) {
        for queue in touched {
            let owner = self.queue(*queue).owner;
            let ended = self.finish_if_drained(owner, out);
            self.marks.hit_if(ended, Mark::DrainedBySettle);
        }
    }

    fn settle(
        &mut self,
        settlement: &Settlement,
        touched: &mut BTreeSet<u64>,
        out: &mut Expected,
    ) -> SettleCode {
        let (id, seq) = (settlement.queue.0, settlement.seq.0);
        let known = id >= 1
            && id <= self.queues.len() as u64
            && !matches!(self.queue(id).fate, Fate::Purged | Fate::Gone);
        if !known || seq == 0 || seq >= self.queue(id).next_seq {
            self.marks.hit(Mark::UnknownMessage);
            return SettleCode::UnknownMessage;
        }
        let Some(message) = self.queue(id).messages.get(&seq).cloned() else {
            self.marks.hit(Mark::AlreadySettled);
            return SettleCode::AlreadySettled;
        };
        if message.latest != Some(settlement.delivery_id.0) {
            let acked = matches!(settlement.outcome, Outcome::Ack { .. });
            self.marks
                .hit_if(acked && message.latest.is_some(), Mark::LateAckRefused);
            return SettleCode::StaleDelivery;
        }
        let epoch = settlement.epoch.0;
        let current = message.status == (Status::Out { epoch })
            && self
                .leases
                .get(&epoch)
                .is_some_and(|lease| lease.until.is_none());
        match &settlement.outcome {
            Outcome::Ack { usage } => {
                self.ack(id, seq, *usage, out);
                touched.insert(id);
            }
            Outcome::Extend { .. } | Outcome::Nack { .. } if !current => {
                self.marks.hit(Mark::Fenced);
                return SettleCode::Fenced;
            }
            Outcome::Extend { by } => self.extend(epoch, by.0),
            Outcome::Nack { kind, delay, .. } => {
                self.nack(id, seq, *kind, delay.map(|span| span.0), out);
                touched.insert(id);
            }
        }
        SettleCode::Ok
    }

    fn ack(&mut self, id: u64, seq: u64, usage: Usage, out: &mut Expected) {
        let now = self.now;
        let message = self
            .queue_mut(id)
            .messages
            .remove(&seq)
            .expect("found before");
        let fate = self.queue(id).fate;
        self.mark_ack(id, &message);
        self.moved(message.status);
        let owner = self.queue(id).owner;
        let session = self.session_mut(owner);
        if !session.failures.is_empty() {
            session.failures.remove(0);
        }
        session.totals.processed += 1;
        session.usage.add(usage);
        if message.is_dead() || fate == Fate::Dead {
            session.totals.dead_lettered = session.totals.dead_lettered.saturating_sub(1);
        } else if fate == Fate::Discarded {
            session.totals.discarded = session.totals.discarded.saturating_sub(1);
        }
        if session.is_live() {
            session.last_activity = now;
        }
        self.circuit_succeeded(owner, &message.kind, out);
    }

    fn mark_ack(&mut self, id: u64, message: &Message) {
        let queue = self.queue(id);
        let (fate, owner) = (queue.fate, queue.owner);
        let moved = match message.status {
            Status::Out { epoch } => self.leases[&epoch].session != owner,
            Status::New
            | Status::Deferred { .. }
            | Status::Debounced
            | Status::Returned
            | Status::Paused { .. }
            | Status::Dead(_) => false,
        };
        let over = matches!(self.session(owner).state, State::Ended(_));
        self.marks.hit_if(moved, Mark::AckAfterMove);
        self.marks.hit_if(over, Mark::AckAfterEnd);
        self.marks.hit_if(message.is_dead(), Mark::AckOfDeadLetter);
        self.marks.hit_if(message.is_ready(), Mark::LateAckAccepted);
        self.marks
            .hit_if(fate == Fate::Discarded, Mark::AckBeforeDiscard);
    }

    /// A settlement of what is out under a lease that holds is progress.
    fn moved(&mut self, status: Status) {
        let now = self.now;
        if let Status::Out { epoch } = status
            && let Some(lease) = self.leases.get_mut(&epoch)
        {
            lease.moved_at = now;
        }
    }

    fn extend(&mut self, epoch: u64, by: u64) {
        let now = self.now;
        let lease = self.leases.get_mut(&epoch).expect("it is current");
        lease.moved_at = now;
        lease.unheard = false;
        let lasts_until = lease.renewed_at + lease.duration;
        match lease.mode {
            LeaseMode::Stream => lease.renewed_at = now,
            LeaseMode::Claim if now + by > lasts_until => {
                lease.renewed_at = now;
                lease.duration = by;
            }
            LeaseMode::Claim => {}
        }
    }

    fn nack(&mut self, id: u64, seq: u64, kind: NackKind, delay: Option<u64>, out: &mut Expected) {
        let now = self.now;
        self.moved(self.queue(id).messages[&seq].status);
        let message = self
            .queue_mut(id)
            .messages
            .get_mut(&seq)
            .expect("found before");
        message.latest = None;
        let attempt = message.attempt;
        let named = message.kind.clone();
        let backoff = self.backoff(id, seq, attempt);
        let defer_pause = self.policy.defer_pause.0;
        match kind {
            NackKind::Retry => {
                let due = now + delay.unwrap_or(backoff);
                let dead = self.give_back(id, seq, Attempt::Counts, Status::Paused { due }, out);
                self.marks.hit_if(dead, Mark::DeadByRetry);
            }
            NackKind::Defer => {
                let due = now + delay.unwrap_or(defer_pause);
                self.give_back(id, seq, Attempt::Refunded, Status::Paused { due }, out);
            }
            NackKind::Permanent => {
                self.marks.hit(Mark::DeadByWord);
                self.give_up(id, seq, DeadReason::Permanent, out);
            }
        }
        let owner = self.queue(id).owner;
        let session = self.session_mut(owner);
        if session.is_live() {
            session.last_activity = now;
        }
        self.circuit_failed(id, &named, kind, out);
    }

    /// How long a message waits after so many attempts: twice as long each time, with a little spread, never more than
    /// the bound.
    fn backoff(&self, id: u64, seq: u64, attempt: u32) -> u64 {
        let policy = &self.policy;
        let (first, longest) = (policy.retry_pause_first.0, policy.retry_pause_max.0);
        let doubled = first * 2_u64.pow(attempt - 1);
        let pause = retry_pause(policy, QueueId(id), Seq(seq), attempt).0;
        let least = doubled.min(longest - longest / 8);
        let most = (doubled + doubled / 8).min(longest);
        assert!(
            (least..=most).contains(&pause),
            "a pause of {pause} ms after attempt {attempt}"
        );
        pause
    }

    // === return ===

    /// Takes a message out of flight; answers whether it was given up instead of `status`.
    pub(crate) fn give_back(
        &mut self,
        id: u64,
        seq: u64,
        attempt: Attempt,
        status: Status,
        out: &mut Expected,
    ) -> bool {
        let max = self.policy.max_attempts;
        let message = self
            .queue_mut(id)
            .messages
            .get_mut(&seq)
            .expect("it is in flight");
        assert!(message.is_out(), "only what is out comes back");
        match attempt {
            Attempt::Counts if message.attempt >= max => {
                self.give_up(id, seq, DeadReason::MaxAttempts, out);
                return true;
            }
            Attempt::Counts => {}
            Attempt::Refunded => message.attempt -= 1,
        }
        let message = self
            .queue_mut(id)
            .messages
            .get_mut(&seq)
            .expect("it is in flight");
        message.status = status;
        false
    }

    fn give_up(&mut self, id: u64, seq: u64, reason: DeadReason, out: &mut Expected) {
        let dead_until = self.dead_until();
        let message = self
            .queue_mut(id)
            .messages
            .get_mut(&seq)
            .expect("it is in flight");
        message.status = Status::Dead(reason);
        message.dead_until = dead_until;
        let cause = message.cause;
        let session = self.queue(id).owner;
        self.session_mut(session).totals.dead_lettered += 1;
        out.facts.push(Fact::DeadLettered {
            session,
            queue: id,
            seq,
            reason: match reason {
                DeadReason::MaxAttempts => "max_attempts",
                DeadReason::Permanent => "permanent",
            },
            cause,
        });
    }

    /// A pause or a sender's deferral is over.
    pub(crate) fn message_due(&mut self, id: u64, seq: u64, out: &mut Expected) {
        let now = self.now;
        if id > self.queues.len() as u64 {
            return;
        }
        let Some(message) = self.queue_mut(id).messages.get_mut(&seq) else {
            return;
        };
        match message.status {
            Status::Paused { due } if due <= now => message.status = Status::Returned,
            Status::Deferred { due } if due <= now => {
                message.status = Status::New;
                self.marks.hit(Mark::DeferredDue);
                self.available(id, seq, out);
            }
            Status::New
            | Status::Returned
            | Status::Paused { .. }
            | Status::Deferred { .. }
            | Status::Debounced
            | Status::Out { .. } => {}
            Status::Dead(_) => self.letter_due(id, seq),
        }
    }
}
