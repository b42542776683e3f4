//! The rules of dead letters that are brought back and of messages that are thrown away, in the reference model.
//!
//! Written from the design's rules 1, 2, 16, 17 and 23. Each letter is judged by itself, in the order of the call.

use std::collections::BTreeMap;

use sessiond_core::command::letters::{Discard, Requeue};
use sessiond_core::command::{Effect, RequestTag};
use sessiond_core::event::Cause;
use sessiond_core::ids::Namespace;
use sessiond_core::limits::REQUEST_RETENTION;
use sessiond_core::rows::MessageTally;

use super::marks::Mark;
use super::sessions::Verdict;
use super::state::{Fate, Message, Model, Queue, Status};
use super::told::{Answer, Expected, Fact, Refusal};
use super::world::NAMESPACE;

/// What a call has done so far.
#[derive(Debug, Default)]
struct Sweep {
    tally: MessageTally,
    full: BTreeMap<u64, (&'static str, u64, u64)>,
    filled: BTreeMap<u64, u64>,
    cause: Option<Cause>,
}

impl Model {
    pub(crate) fn requeue(&mut self, requeue: &Requeue, out: &mut Expected) -> Verdict {
        if let Some(answer) = self.tally_of(requeue.effect, requeue.request.as_ref())? {
            return Ok(answer);
        }
        let target = match &requeue.into {
            Some(_) if requeue.namespace.as_str() != NAMESPACE => return Err(Refusal::NotFound),
            Some(asked) => Some(self.find_active(asked)?),
            None => None,
        };
        let before = (self.queues.clone(), self.sessions.clone());
        let mut sweep = Sweep {
            cause: requeue.actor.cause,
            ..Sweep::default()
        };
        for (queue, seq) in &requeue.letters {
            self.requeue_one(&requeue.namespace, queue.0, seq.0, target, &mut sweep);
        }
        let refusal = sweep.full.values().next().copied();
        if let (Some(_), 0, Some((what, used, limit))) = (target, sweep.tally.done, refusal) {
            self.marks.hit(Mark::RequeueRefused);
            return Err(Refusal::QueueFull(what, used, limit));
        }
        let some_full = sweep.tally.done > 0 && sweep.tally.no_room > 0;
        self.marks.hit_if(some_full, Mark::RequeueInPart);
        let now = self.now;
        for (queue, letters) in &sweep.filled {
            let owner = self.queue(*queue).owner;
            self.session_mut(owner).last_activity = now;
            if requeue.effect == Effect::Made {
                out.facts.push(Fact::Requeued(owner, *letters, sweep.cause));
            }
        }
        sweep.tally.next = requeue.next;
        if requeue.effect == Effect::LeftOut {
            (self.queues, self.sessions) = before;
            self.marks
                .hit_if(sweep.tally.done > 0, Mark::RequeueForeseen);
        } else {
            let tag = requeue.request.as_ref();
            self.remember_tally(tag, target.unwrap_or_default(), sweep.tally);
        }
        Ok(counted(sweep.tally))
    }

    fn requeue_one(
        &mut self,
        namespace: &Namespace,
        id: u64,
        seq: u64,
        target: Option<u64>,
        sweep: &mut Sweep,
    ) {
        let tally = &mut sweep.tally;
        let Some(letter) = self.letter(namespace, id, seq) else {
            tally.not_found += 1;
            return;
        };
        if letter.is_out() {
            self.marks.hit(Mark::RequeueInFlight);
            tally.in_flight += 1;
            return;
        }
        let owner = self.queue(id).owner;
        let home = self.session(owner).is_live().then_some(owner);
        let Some(session) = target.or(home) else {
            self.marks.hit(Mark::RequeueWithoutSession);
            tally.without_session += 1;
            return;
        };
        let to = self.session(session).queue;
        let policy = &self.policy;
        let queue = self.queue(to);
        let lacks = if queue.unsettled() >= policy.queue_messages_max {
            Some(("messages", queue.unsettled(), policy.queue_messages_max))
        } else if queue.bytes() + letter.bytes > policy.queue_bytes_max {
            Some(("bytes", queue.bytes(), policy.queue_bytes_max))
        } else {
            None
        };
        if sweep.full.contains_key(&to) {
            tally.no_room += 1;
            return;
        }
        if let Some(lacks) = lacks {
            sweep.full.insert(to, lacks);
            tally.no_room += 1;
            return;
        }
        if to != id && self.knows_name(to, &letter) {
            self.marks.hit(Mark::RequeueDuplicate);
            tally.duplicates += 1;
            return;
        }
        tally.done += 1;
        *sweep.filled.entry(to).or_default() += 1;
        let left = self.queue(id).fate == Fate::Dead;
        self.marks.hit_if(left, Mark::RequeueOfEnded);
        let owner = self.session_mut(owner);
        owner.totals.dead_lettered -= 1;
        if to == id {
            self.revive(id, seq, sweep.cause);
        } else {
            self.append(session, id, seq, sweep.cause);
        }
    }

    /// A dead letter, whatever made it one.
    fn letter(&self, namespace: &Namespace, id: u64, seq: u64) -> Option<Message> {
        let known = namespace.as_str() == NAMESPACE && id >= 1 && id <= self.queues.len() as u64;
        let queue = self.queue(known.then_some(id)?);
        let found = queue.messages.get(&seq);
        found
            .filter(|message| message.is_dead() || queue.fate == Fate::Dead)
            .filter(|_| queue.fate != Fate::Purged)
            .cloned()
    }

    fn knows_name(&self, id: u64, letter: &Message) -> bool {
        let name = letter.name.as_ref();
        let known = name.and_then(|name| self.queue(id).names.get(name));
        known.is_some_and(|(_, at)| self.now < at + REQUEST_RETENTION.0)
    }

    fn revive(&mut self, id: u64, seq: u64, cause: Option<Cause>) {
        self.marks.hit(Mark::RequeuedHome);
        let queue = self.queue_mut(id);
        let letter = queue.messages.get_mut(&seq).expect("found before");
        letter.status = Status::Returned;
        letter.attempt = 0;
        letter.cause = cause;
        letter.dead_until = None;
    }

    fn append(&mut self, session: u64, id: u64, seq: u64, cause: Option<Cause>) {
        self.marks.hit(Mark::RequeuedElsewhere);
        let (now, wall) = (self.now, self.wall);
        let letter = self.queue_mut(id).messages.remove(&seq);
        let letter = letter.expect("found before");
        let to = self.session(session).queue;
        let later = letter.not_before.filter(|at| *at > wall);
        let queue = self.queue_mut(to);
        let new_seq = queue.next_seq;
        queue.next_seq += 1;
        if let Some(name) = &letter.name {
            queue.names.insert(name.clone(), (new_seq, now));
        }
        let message = Message {
            status: later.map_or(Status::New, |at| Status::Deferred {
                due: now + (at - wall),
            }),
            attempt: 0,
            latest: None,
            cause,
            dead_until: None,
            enqueued_at: now,
            ..letter
        };
        queue.messages.insert(new_seq, message);
        self.session_mut(session).totals.enqueued += 1;
    }

    // === discard ===

    pub(crate) fn discard(&mut self, discard: &Discard, out: &mut Expected) -> Verdict {
        if let Some(answer) = self.tally_of(discard.effect, discard.request.as_ref())? {
            return Ok(answer);
        }
        let session = self.find_any(&discard.session)?;
        let before = (self.queues.clone(), self.sessions.clone());
        let mut tally = MessageTally::default();
        for seq in &discard.seqs {
            self.discard_one(session, seq.0, &mut tally);
        }
        tally.next = discard.next;
        if discard.effect == Effect::LeftOut {
            (self.queues, self.sessions) = before;
            return Ok(counted(tally));
        }
        if tally.done > 0 {
            out.facts.push(Fact::Discarded(session, tally.done));
            let ended = self.finish_if_drained(session, out);
            self.marks.hit_if(ended, Mark::DrainedByDiscard);
        }
        self.remember_tally(discard.request.as_ref(), session, tally);
        Ok(counted(tally))
    }

    fn discard_one(&mut self, session: u64, seq: u64, tally: &mut MessageTally) {
        let id = self.session(session).queue;
        let queue = self.queue(id);
        let fate = queue.fate;
        let there = |queue: &Queue| {
            let found = queue.messages.get(&seq).cloned();
            found.filter(|m| queue.owner == session && (m.is_dead() || fate != Fate::Discarded))
        };
        let Some(message) = there(queue) else {
            tally.not_found += 1;
            return;
        };
        if message.is_out() {
            self.marks.hit(Mark::DiscardInFlight);
            tally.in_flight += 1;
            return;
        }
        self.queue_mut(id).messages.remove(&seq);
        tally.done += 1;
        let letter = message.is_dead() || fate == Fate::Dead;
        let paused = matches!(message.status, Status::Paused { .. });
        self.marks.hit_if(letter, Mark::DiscardedLetter);
        self.marks.hit_if(!letter, Mark::DiscardedPending);
        self.marks.hit_if(paused && !letter, Mark::DiscardedBarrier);
        let totals = &mut self.session_mut(session).totals;
        totals.discarded += 1;
        totals.dead_lettered -= u64::from(letter);
    }

    // === records ===

    fn tally_of(
        &mut self,
        effect: Effect,
        tag: Option<&RequestTag>,
    ) -> Result<Option<Answer>, Refusal> {
        let tag = tag.filter(|_| effect == Effect::Made);
        let earlier = self.earlier(tag)?;
        Ok(earlier.map(|request| Answer::Counted {
            tally: request.tally.expect("the same body is the same call"),
            duplicate: true,
        }))
    }

    fn remember_tally(&mut self, tag: Option<&RequestTag>, subject: u64, tally: MessageTally) {
        self.remember(tag, subject, false);
        let record = tag.and_then(|tag| self.requests.get_mut(&tag.id));
        if let Some(record) = record {
            record.tally = Some(tally);
        }
    }
}

fn counted(tally: MessageTally) -> Answer {
    Answer::Counted {
        tally,
        duplicate: false,
    }
}
