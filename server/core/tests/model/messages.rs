//! The rules of messages in the reference model: what is accepted, and what goes out next.
//!
//! Written from the design's rules 1, 4, 16 and 23.

use std::collections::BTreeMap;

use sessiond_core::command::Enqueue;
use sessiond_core::event::Cause;
use sessiond_core::ids::CoalesceKey;
use sessiond_core::limits::{MESSAGE_OVERHEAD_BYTES, REQUEST_RETENTION};
use sessiond_core::message::{DeliveryMode, NewMessage};
use sessiond_core::reply::EnqueueStatus;
use sessiond_core::session::Ordering;

use super::circuits::{self, Admitted, OfSession};
use super::marks::Mark;
use super::sessions::Verdict;
use super::state::{Fate, Message, Model, Status};
use super::told::{Answer, Expected, Handed, Refusal};

impl Model {
    // === accept ===

    pub(crate) fn enqueue(&mut self, enqueue: &Enqueue, out: &mut Expected) -> Verdict {
        let found = self.find_active(&enqueue.session);
        let (no, opened) = match (found, &enqueue.open_if_missing) {
            (Ok(no), _) => {
                let queue = self.session(no).queue;
                let circuits = self.session(no).circuits.clone();
                self.refuse_full(Some(queue), circuits, &enqueue.messages)?;
                (no, false)
            }
            (Err(Refusal::NotFound), Some(open)) => {
                self.refuse_create(open, None, out)?;
                let held = open
                    .key
                    .as_ref()
                    .and_then(|key| self.held.get(key).copied());
                self.refuse_full(held, OfSession::new(), &enqueue.messages)?;
                self.marks.hit(Mark::OpenedByEnqueue);
                (self.create(open, None, out)?, true)
            }
            (Err(refusal), _) => return Err(refusal),
        };
        let mut results = Vec::new();
        for message in &enqueue.messages {
            results.push(self.accept(no, message, enqueue.cause));
        }
        let now_there = results.iter().any(|(seq, status)| {
            let queue = self.queue(self.session(no).queue);
            let there = queue
                .messages
                .get(seq)
                .filter(|_| *status == EnqueueStatus::Enqueued);
            there.is_some_and(|m| m.mode == DeliveryMode::Interrupt && m.status == Status::New)
        });
        let enqueued = |(_, status): &&(u64, EnqueueStatus)| *status == EnqueueStatus::Enqueued;
        let accepted = results.iter().filter(enqueued).count() as u64;
        let now = self.now;
        let session = self.session_mut(no);
        session.last_activity = now;
        session.totals.enqueued += accepted;
        if now_there {
            let queue = self.session(no).queue;
            self.interrupt(queue, out);
        }
        let session = self.session(no);
        Ok(Answer::Enqueued {
            session: session.id.clone(),
            queue: session.queue,
            opened,
            results,
        })
    }

    /// All of a call or none of it.
    fn refuse_full(
        &mut self,
        queue: Option<u64>,
        mut circuits: OfSession,
        messages: &[NewMessage],
    ) -> Result<(), Refusal> {
        let (shortage, id) = (self.shortage.is_some(), queue);
        let queue = id.map(|id| self.queue(id));
        let used = queue.map_or((0, 0), |queue| (queue.unsettled(), queue.bytes()));
        let mut count = queue.map_or(0, |queue| queue.unsettled());
        let mut bytes = queue.map_or(0, |queue| queue.bytes());
        let mut pending: BTreeMap<CoalesceKey, Vec<u64>> = BTreeMap::new();
        let messages_there = queue.iter().flat_map(|queue| queue.messages.values());
        for there in messages_there.filter(|there| there.is_pending()) {
            if let Some(key) = &there.coalesce_key {
                pending.entry(key.clone()).or_default().push(there.bytes);
            }
        }
        let mut new_names = Vec::new();
        let mut twice = false;
        for message in messages {
            if let Some(name) = &message.idempotency_key {
                let known = queue.and_then(|queue| queue.names.get(name));
                let remembered = known.is_some_and(|(_, at)| self.now < at + REQUEST_RETENTION.0);
                twice |= new_names.contains(&name);
                if remembered || new_names.contains(&name) {
                    continue;
                }
            }
            let kind = message.kind.as_str();
            if circuits::admit(&mut circuits, kind, self.now, &self.policy) == Admitted::Skipped {
                continue;
            }
            if shortage {
                return self.refuse_more();
            }
            new_names.extend(&message.idempotency_key);
            let replaced = message.coalesce_key.as_ref();
            let replaced = replaced
                .and_then(|key| pending.remove(key))
                .unwrap_or_default();
            count -= replaced.len() as u64;
            bytes -= replaced.iter().sum::<u64>();
            if count >= self.policy.queue_messages_max {
                self.marks.hit(Mark::FullOfMessages);
                let limit = self.policy.queue_messages_max;
                return Err(Refusal::QueueFull("messages", used.0, limit));
            }
            count += 1;
            bytes += cost(message);
            if bytes > self.policy.queue_bytes_max {
                self.marks.hit(Mark::FullOfBytes);
                let limit = self.policy.queue_bytes_max;
                return Err(Refusal::QueueFull("bytes", used.1, limit));
            }
            if let Some(key) = &message.coalesce_key {
                pending.insert(key.clone(), vec![cost(message)]);
            }
        }
        self.marks.hit_if(twice, Mark::DuplicateInBatch);
        Ok(())
    }

    fn accept(
        &mut self,
        session: u64,
        message: &NewMessage,
        cause: Option<Cause>,
    ) -> (u64, EnqueueStatus) {
        let (now, wall) = (self.now, self.wall);
        let current_prompt = self.session(session).prompt_number;
        let id = self.session(session).queue;
        let named = message.idempotency_key.as_ref();
        let known = named.and_then(|name| self.queue(id).names.get(name).copied());
        if let Some((seq, _)) = known.filter(|(_, at)| now < at + REQUEST_RETENTION.0) {
            self.marks.hit(Mark::DuplicateName);
            let short = self.shortage.is_some();
            self.marks.hit_if(short, Mark::KnownWhileShort);
            return (seq, EnqueueStatus::Duplicate);
        }
        if !self.lets_in(session, message.kind.as_str()) {
            return (0, EnqueueStatus::SkippedCircuitOpen);
        }
        self.marks.hit_if(known.is_some(), Mark::NameForgotten);
        if let Some(key) = &message.coalesce_key {
            self.supersede_pending(session, key);
        }
        let queue = self.queue_mut(id);
        if let Some(name) = named {
            queue.names.insert(name.clone(), (queue.next_seq, now));
        }
        let seq = queue.next_seq;
        queue.next_seq += 1;
        let later = message.not_before_time.filter(|at| at.0 > wall);
        let status = match (later, message.debounce) {
            (Some(at), _) => Status::Deferred {
                due: now + (at.0 - wall),
            },
            (None, Some(_)) => Status::Debounced,
            (None, None) => Status::New,
        };
        if let (Status::Debounced, Some(wanted)) = (status, message.debounce) {
            self.hold_back(id, wanted);
        }
        let queue = self.queue_mut(id);
        let message = Message {
            kind: message.kind.as_str().to_owned(),
            mode: message.mode,
            coalesce_key: message.coalesce_key.clone(),
            status,
            dead_until: None,
            attempt: 0,
            latest: None,
            cause,
            bytes: cost(message),
            prompt_number: message.prompt_number.unwrap_or(current_prompt),
            enqueued_at: now,
            payload: message.payload.clone(),
            name: message.idempotency_key.clone(),
            not_before: message.not_before_time.map(|at| at.0),
        };
        queue.messages.insert(seq, message);
        (seq, EnqueueStatus::Enqueued)
    }

    /// What is pending under a key gives way to a newer message.
    fn supersede_pending(&mut self, session: u64, key: &CoalesceKey) {
        let id = self.session(session).queue;
        let queue = self.queue_mut(id);
        let of_key = |m: &Message| m.coalesce_key.as_ref() == Some(key);
        let spared = queue.messages.values().any(|m| of_key(m) && m.is_out());
        let paused = |m: &Message| matches!(m.status, Status::Paused { .. });
        let freed = queue.messages.values().any(|m| of_key(m) && paused(m));
        let before = queue.messages.len();
        queue.messages.retain(|_, m| !(of_key(m) && m.is_pending()));
        let replaced = (before - queue.messages.len()) as u64;
        self.session_mut(session).totals.superseded += replaced;
        self.marks.hit_if(replaced > 0, Mark::Superseded);
        self.marks.hit_if(replaced > 1, Mark::SupersededSeveral);
        self.marks.hit_if(spared, Mark::InFlightSpared);
        self.marks.hit_if(freed, Mark::SupersededPause);
    }

    // === order ===

    /// The message that must go out next in a frame of its own, if one may.
    pub(crate) fn next_of(&self, id: u64) -> Option<u64> {
        self.next_in_frame(id, None)
    }

    /// The same in a frame whose last message has this mode. What is collected waits until nothing is in flight and
    /// has its frame for itself.
    pub(crate) fn next_in_frame(&self, id: u64, last: Option<DeliveryMode>) -> Option<u64> {
        let queue = self.queue(id);
        let owner = self.session(queue.owner);
        if queue.fate != Fate::Serving || queue.out() >= owner.in_flight_max() {
            return None;
        }
        let lease = self.lease_of(queue.owner);
        if lease.is_some_and(|epoch| self.is_cancelling(epoch)) {
            return None;
        }
        let next = self.unblocked(id)?;
        let collects = queue.messages[&next].mode == DeliveryMode::Collect;
        let may = match last {
            None => !collects || queue.out() == 0,
            Some(last) => collects == (last == DeliveryMode::Collect),
        };
        may.then_some(next)
    }

    /// Whether the next message is collected and waits for what is in flight.
    pub(crate) fn waits_to_collect(&self, id: u64) -> bool {
        let queue = self.queue(id);
        let next = self.unblocked(id);
        let collects = |seq| queue.messages[&seq].mode == DeliveryMode::Collect;
        queue.fate == Fate::Serving && queue.out() > 0 && next.is_some_and(collects)
    }

    /// The message that would go out next if nothing were in flight.
    fn unblocked(&self, id: u64) -> Option<u64> {
        let queue = self.queue(id);
        let paused = queue.messages.iter();
        let paused = paused.filter(|(_, m)| matches!(m.status, Status::Paused { .. }));
        let barrier = match self.session(queue.owner).ordering {
            Ordering::Relaxed => None,
            Ordering::Strict | Ordering::Serial => paused.map(place).min(),
        };
        let ready = queue.messages.iter().filter(|(_, m)| m.is_ready());
        let may = ready.filter(|entry| barrier.is_none_or(|barrier| place(*entry) < barrier));
        let first = may.min_by_key(|entry| {
            let (lane, seq) = place(*entry);
            let last = lane == ORDINARY && entry.1.status == Status::New;
            (lane, last, seq)
        });
        first.map(|(seq, _)| *seq)
    }

    /// Hands a message out; answers with the hand-out.
    pub(crate) fn hand_out(&mut self, id: u64, seq: u64, epoch: u64) -> Handed {
        self.mark_passing(id, seq);
        if self.out_under(epoch).is_empty() {
            let now = self.now;
            self.leases.get_mut(&epoch).expect("it is held").moved_at = now;
        }
        // Nothing goes out while something is stopped, so a cancel is over by now.
        self.leases.get_mut(&epoch).expect("it is held").cancel_by = None;
        let queue = self.queue_mut(id);
        let delivery = queue.next_delivery;
        queue.next_delivery += 1;
        let message = queue.messages.get_mut(&seq).expect("it is there");
        message.status = Status::Out { epoch };
        message.latest = Some(delivery);
        message.attempt += 1;
        let attempt = message.attempt;
        assert!(
            attempt <= self.policy.max_attempts,
            "message {seq} of queue {id} goes out for the {attempt}th time"
        );
        Handed {
            queue: id,
            seq,
            delivery,
            epoch,
            attempt,
        }
    }

    fn mark_passing(&mut self, id: u64, seq: u64) {
        let mut before = self.queue(id).messages.range(..seq);
        let passed = before.any(|(_, m)| matches!(m.status, Status::Paused { .. }));
        let mode = self.queue(id).messages[&seq].mode;
        let steers = mode == DeliveryMode::Steer;
        let mut before = self.queue(id).messages.range(..seq);
        let waits = before.any(|(_, m)| m.is_ready() && m.mode == DeliveryMode::FollowUp);
        self.marks.hit_if(
            passed && mode == DeliveryMode::FollowUp,
            Mark::RelaxedPassed,
        );
        self.marks.hit_if(passed && steers, Mark::SteerPassedPause);
        self.marks.hit_if(waits && steers, Mark::SteerFirst);
    }
}

/// The lane of messages that neither steer nor interrupt.
const ORDINARY: u8 = 2;

/// The place of a message in its queue's order.
fn place((seq, message): (&u64, &Message)) -> (u8, u64) {
    let lane = match message.mode {
        DeliveryMode::Interrupt => 0,
        DeliveryMode::Steer => 1,
        DeliveryMode::FollowUp | DeliveryMode::Collect => ORDINARY,
    };
    (lane, *seq)
}

/// What a message costs its queue.
pub(crate) fn cost(message: &NewMessage) -> u64 {
    message.payload.len() as u64 + MESSAGE_OVERHEAD_BYTES
}
