//! The rules of what goes for good in the reference model: purges, retention, queues that nobody took over.
//!
//! Written from the design's rules 2 and 15 and the contract's words about what stays and for how long.

use sessiond_core::command::{Command, Purge};
use sessiond_core::event::Actor;
use sessiond_core::ids::SessionId;
use sessiond_core::limits::{PROTECTED_RECHECK, PURGE_RECHECK};
use sessiond_core::session::PendingPolicy;

use super::finding::queued;
use super::marks::Mark;
use super::marks::exports::Exports;
use super::marks::outside::Outside;
use super::marks::subscriptions::Subscriptions;
use super::sessions::Verdict;
use super::state::{Fate, Model, State};
use super::told::{Answer, Expected, Fact, Refusal};
use super::world::World;

impl Model {
    pub(crate) fn purge(&mut self, purge: &Purge, out: &mut Expected) -> Verdict {
        let found = self.sessions.iter().find(|s| s.id == purge.session);
        let session = found.ok_or(Refusal::NotFound)?;
        let no = session.no;
        match &session.state {
            State::Queued(_) => return Err(queued(session)),
            State::Active => return Err(Refusal::Active(session.id.clone())),
            State::Draining(ending) => {
                return Err(Refusal::Draining(session.id.clone(), ending.reason));
            }
            State::Ended(_) => {}
        }
        let left = session.unreleased();
        if left > 0 {
            self.marks.hit(Outside::PurgeRefused);
            let left = u32::try_from(left).expect("a session has a few");
            return Err(Refusal::Unreleased(purge.session.clone(), left));
        }
        if let Some(id) = self.own_queue(no)
            && let Fate::Held { .. } = self.queue(id).fate
            && self.queue(id).unsettled() > 0
        {
            let unsettled = self.queue(id).unsettled();
            if purge.pending == PendingPolicy::Keep {
                self.marks.hit(Mark::PurgeOfHeldRefused);
                return Err(Refusal::QueueHeld(purge.session.clone(), unsettled));
            }
            self.marks.hit(Mark::PurgeOfHeld);
        }
        self.require_heard(no, &purge.session)?;
        self.require_export(no)?;
        let messages = self.delete(no, &purge.actor, out);
        Ok(Answer::Purged(messages))
    }

    /// The queue of an ended session, unless a successor took it over.
    pub(crate) fn own_queue(&self, no: u64) -> Option<u64> {
        let id = self.session(no).queue;
        let queue = self.queue(id);
        (queue.owner == no && queue.fate != Fate::Gone).then_some(id)
    }

    pub(crate) fn delete(&mut self, no: u64, actor: &Actor, out: &mut Expected) -> u64 {
        let own = self.own_queue(no);
        let messages = own.map_or(0, |id| {
            let queue = self.queue(id);
            if queue.fate == Fate::Discarded {
                queue.given_up()
            } else {
                queue.messages.len() as u64
            }
        });
        let in_flight = own.is_some_and(|id| self.queue(id).out() > 0);
        self.marks.hit_if(in_flight, Mark::PurgeInFlight);
        let moved = own.is_none() && self.queue(self.session(no).queue).fate != Fate::Gone;
        self.marks.hit_if(moved, Mark::PurgeOfPredecessor);
        if let Some(key) = self.session(no).key.clone() {
            if let Some(sessions) = self.of_key.get_mut(&key) {
                sessions.retain(|other| *other != no);
            }
            if own.is_some() && self.held.get(&key).copied() == own {
                self.held.remove(&key);
            }
        }
        if let Some(id) = own {
            let queue = self.queue_mut(id);
            let fresh = queue.next_seq == 1;
            queue.fate = if fresh { Fate::Gone } else { Fate::Purged };
            queue.dead_until = None;
        }
        let session = self.session_mut(no);
        let some = session.declared > 0;
        session.purged = true;
        session.key = None;
        session.check_at = None;
        // Nobody asks for such an id.
        session.id = SessionId::parse(format!("purged {no}")).unwrap();
        self.marks.hit_if(some, Outside::PurgedWithRecord);
        let unheard = self.unheard(no);
        self.marks
            .hit_if(!unheard.is_empty(), Subscriptions::DeletedUnheard);
        out.facts
            .push(Fact::Purged(no, actor.clone(), messages, unheard));
        messages
    }

    /// An ended session has been on record long enough, unless something of it must stay.
    pub(crate) fn ended_due(&mut self, no: u64, out: &mut Expected) {
        let now = self.now;
        if self.session(no).check_at.is_none_or(|at| at > now) {
            return;
        }
        match self.stays_until(no) {
            Some(at) => {
                let left = self.session(no).unreleased() > 0;
                let unheard = !left && self.stays_for_hearing(no).is_some();
                self.marks.hit_if(unheard, Subscriptions::RetentionUnheard);
                self.marks.hit(Mark::RetentionExcused);
                self.marks.hit_if(left, Outside::RetentionExcused);
                self.session_mut(no).check_at = Some(at.max(now) + 1);
            }
            None if self.policy.export_before_purge => {
                let letters = self.own_queue(no).map(|id| self.queue(id).messages.len());
                let some = letters.is_some_and(|letters| letters > 0);
                self.marks.hit(Exports::Asked);
                self.marks.hit_if(some, Exports::AskedWithLetters);
                self.session_mut(no).check_at = Some(now + self.policy.cleanup_interval.0);
                out.exports.push(no);
            }
            None => {
                self.marks.hit(Mark::SessionRetired);
                self.delete(no, &Actor::reaper(), out);
            }
        }
    }

    pub(crate) fn stays_until(&self, no: u64) -> Option<u64> {
        if self.session(no).unreleased() > 0 {
            return Some(self.now + PURGE_RECHECK.0);
        }
        if let Some(at) = self.stays_for_hearing(no) {
            return Some(at);
        }
        let queue = self.queue(self.own_queue(no)?);
        if self.policy.export_before_purge {
            return self.stays_with_letters(no, queue);
        }
        if queue.given_up() > 0 {
            return Some(self.now + PURGE_RECHECK.0);
        }
        let unsettled = queue.unsettled() > 0;
        match queue.fate {
            Fate::Held { until } if unsettled => Some(until),
            Fate::Dead if unsettled => Some(queue.dead_until.unwrap_or(self.now + PURGE_RECHECK.0)),
            Fate::Discarded => Some(self.now + PROTECTED_RECHECK.0),
            Fate::Held { .. }
            | Fate::Dead
            | Fate::Serving
            | Fate::Quiet
            | Fate::Purged
            | Fate::Gone => None,
        }
    }

    /// A message that was given up by itself has been kept long enough.
    pub(crate) fn letter_due(&mut self, id: u64, seq: u64) {
        let now = self.now;
        let exported = self.policy.export_before_purge;
        let queue = self.queue_mut(id);
        let until = queue.messages[&seq].dead_until;
        if until.is_none_or(|until| until > now) {
            return;
        }
        if exported && matches!(queue.fate, Fate::Held { .. } | Fate::Dead | Fate::Discarded) {
            queue.messages.get_mut(&seq).unwrap().dead_until = Some(now + PURGE_RECHECK.0);
            self.marks.hit(Exports::LettersStayed);
            return;
        }
        queue.messages.remove(&seq);
        // Nobody's any more, so nobody counts it.
        if queue.fate == Fate::Purged {
            return;
        }
        let owner = queue.owner;
        self.count_deleted(owner, 1);
        self.marks.hit(Mark::LetterExpired);
    }

    fn count_deleted(&mut self, session: u64, messages: u64) {
        let totals = &mut self.session_mut(session).totals;
        totals.dead_lettered = totals.dead_lettered.saturating_sub(messages);
        totals.discarded += messages;
    }

    /// A held queue waited long enough, what was given up was kept long enough, or a queue is emptied.
    pub(crate) fn queue_due(&mut self, id: u64, out: &mut Expected) {
        if id > self.queues.len() as u64 {
            return;
        }
        self.pause_due(id, out);
        let queue = self.queue(id);
        let (fate, unsettled, owner) = (queue.fate, queue.unsettled(), queue.owner);
        match fate {
            Fate::Held { until } if until <= self.now => self.held_due(id, out),
            Fate::Discarded => {
                self.marks.hit(Mark::Discarded);
                let queue = self.queue_mut(id);
                queue.messages.retain(|_, message| message.is_dead());
                queue.fate = Fate::Dead;
                queue.dead_until = None;
            }
            Fate::Dead if queue.dead_until.is_some_and(|until| until <= self.now) => {
                self.queue_mut(id).dead_until = None;
                if unsettled > 0 && self.policy.export_before_purge {
                    self.queue_mut(id).dead_until = Some(self.now + PURGE_RECHECK.0);
                    self.marks.hit(Exports::LettersStayed);
                } else if unsettled > 0 {
                    self.marks.hit(Mark::DeadQueueExpired);
                    self.queue_mut(id).fate = Fate::Discarded;
                    self.count_deleted(owner, unsettled);
                }
            }
            Fate::Purged => {
                let queue = self.queue_mut(id);
                queue.messages.clear();
                queue.names.clear();
                queue.fate = Fate::Gone;
            }
            Fate::Held { .. } | Fate::Serving | Fate::Quiet | Fate::Dead | Fate::Gone => {}
        }
    }

    fn held_due(&mut self, id: u64, out: &mut Expected) {
        self.marks.hit(Mark::HeldExpired);
        let (now, dead_until) = (self.now, self.dead_until());
        let queue = self.queue_mut(id);
        let (unsettled, owner) = (queue.unsettled(), queue.owner);
        queue.fate = Fate::Dead;
        queue.dead_since = now;
        queue.dead_until = dead_until.filter(|_| unsettled > 0);
        self.held.retain(|_, held| *held != id);
        self.session_mut(owner).totals.dead_lettered += unsettled;
        if unsettled > 0 {
            out.facts.push(Fact::HeldGivenUp(owner, unsettled));
        }
    }
}

impl World {
    /// Somebody deletes a session, mostly one that has ended.
    pub(crate) fn purge(&mut self) {
        let ended: Vec<SessionId> = {
            let sessions = self.model.sessions.iter();
            let ended = sessions.filter(|s| matches!(s.state, State::Ended(_)) && !s.purged);
            ended.map(|s| s.id.clone()).collect()
        };
        let session = match self.pick(&ended) {
            Some(id) if self.rng.u32(..4) > 0 => id,
            Some(_) | None => self.some_id(),
        };
        let purge = Purge {
            namespace: self.namespace.clone(),
            exported: self.some_export(&session),
            session,
            pending: if self.rng.bool() {
                PendingPolicy::Keep
            } else {
                PendingPolicy::Discard
            },
            actor: Actor::unnamed(sessiond_core::event::ActorKind::Api),
        };
        let _ = self.submit(&Command::Purge(purge));
    }
}
