//! The rules of a session's end in the reference model: end, drain, limits.
//!
//! Written from the design's rules 2, 3, 11, 13, 14 and 29. There is one way to end, whatever led to it.

use sessiond_core::command::{Carry, End};
use sessiond_core::ids::SessionKey;
use sessiond_core::limits::{HELD_QUEUE_RETENTION, LIFETIME_HARD_FACTOR, PENDING_PROTECTS};
use sessiond_core::reply::LeaseLostReason;
use sessiond_core::session::{EndClass, EndMode, EndReason, PendingPolicy};
use sessiond_core::time::{Limit, Span};

use super::finding::session_answer;
use super::marks::Mark;
use super::sessions::Verdict;
use super::state::{Ending, Fate, Model, State};
use super::told::{EndFact, Expected, Fact, Told};

/// What the limits of an active session say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The one that ends it.
    pub(crate) ends: Option<EndReason>,
    /// One is passed, and its use protects it.
    pub(crate) excused: bool,
}

impl Model {
    pub(crate) fn end(&mut self, end: &End, out: &mut Expected) -> Verdict {
        if let Some(request) = self.earlier(end.request.as_ref())? {
            return Ok(session_answer(request.subject, request.flag, true));
        }
        let no = self.find_any(&end.session)?;
        let grace = match end.mode {
            EndMode::Immediate => Span(0),
            EndMode::Graceful => end.grace.unwrap_or(self.policy.end_grace),
            EndMode::AfterPending => end.grace.unwrap_or(self.policy.after_pending_grace),
        };
        let deadline = self.now.saturating_add(grace.0);
        let already_ended = match self.session(no).state.clone() {
            State::Queued(_) => {
                self.marks.hit(Mark::WaiterEnded);
                self.session_mut(no).successor = end.successor.clone();
                let ending = Ending {
                    reason: end.reason,
                    actor: end.actor.clone(),
                    mode: end.mode,
                    deadline,
                    pending: end.pending,
                };
                self.finish(no, &ending, None, out);
                false
            }
            State::Active => {
                self.session_mut(no).successor = end.successor.clone();
                let ending = Ending {
                    reason: end.reason,
                    actor: end.actor.clone(),
                    mode: end.mode,
                    deadline,
                    pending: end.pending,
                };
                if !self.drain_or_finish(no, &ending, out) {
                    out.facts.push(Fact::Draining(no, end.reason));
                }
                false
            }
            State::Draining(mut ending) => {
                let before = (ending.mode, ending.deadline);
                ending.mode = ending.mode.min(end.mode);
                ending.deadline = ending.deadline.min(deadline);
                if before != (ending.mode, ending.deadline) {
                    self.marks.hit(Mark::EndShortened);
                    self.drain_or_finish(no, &ending, out);
                }
                true
            }
            State::Ended(_) => {
                self.marks.hit(Mark::AlreadyEnded);
                true
            }
        };
        self.remember(end.request.as_ref(), no, already_ended);
        Ok(session_answer(no, already_ended, false))
    }

    /// Ends the session if there is nothing to wait for; otherwise it drains and its worker is told.
    pub(crate) fn drain_or_finish(&mut self, no: u64, ending: &Ending, out: &mut Expected) -> bool {
        if self.is_drained(no, ending.mode) {
            self.finish(no, ending, None, out);
            return true;
        }
        let session = self.session_mut(no);
        session.state = State::Draining(ending.clone());
        let (id, queue) = (session.id.clone(), session.queue);
        if ending.mode == EndMode::Graceful {
            self.queue_mut(queue).fate = Fate::Quiet;
        }
        if let Some(epoch) = self.lease_of(no) {
            let stream = self.stream_of(&self.leases[&epoch].instance);
            out.tell(stream, Told::Ending(id, ending.reason));
        }
        false
    }

    fn is_drained(&self, no: u64, mode: EndMode) -> bool {
        let session = self.session(no);
        let used = !session.live_requests(self.now).is_empty();
        let queue = self.queue(session.queue);
        match mode {
            EndMode::Immediate => true,
            EndMode::Graceful => queue.out() == 0 && !used,
            EndMode::AfterPending => queue.unsettled() == 0 && !used,
        }
    }

    /// Ends a draining session if what it waited for has happened; answers whether it did.
    pub(crate) fn finish_if_drained(&mut self, no: u64, out: &mut Expected) -> bool {
        let State::Draining(ending) = self.session(no).state.clone() else {
            return false;
        };
        let drained = self.is_drained(no, ending.mode);
        if drained {
            self.finish(no, &ending, None, out);
        }
        drained
    }

    /// A grace is over, and what it waited for is named.
    pub(crate) fn finish_late(&mut self, no: u64, ending: &Ending, out: &mut Expected) {
        let session = self.session(no);
        let used = session.live_requests(self.now).len();
        let queue = self.queue(session.queue);
        let (out_now, unsettled) = (queue.out() as u64, queue.unsettled());
        let mut open = vec![used as u64, out_now, 0];
        if ending.mode == EndMode::AfterPending {
            open[2] = unsettled - out_now;
        }
        self.count_late(no, used as u64 + out_now);
        self.finish(no, ending, None, out);
        for fact in out.facts.iter_mut().rev() {
            if let Fact::Ended(end) = fact {
                assert_eq!(end.session, no, "who ended last");
                end.late = Some(open);
                return;
            }
        }
        panic!("a session that ends says so");
    }

    /// The one way a session ends; with `carry` in favour of a successor.
    pub(crate) fn finish(
        &mut self,
        no: u64,
        ending: &Ending,
        carry: Option<Carry>,
        out: &mut Expected,
    ) {
        let lost = match carry {
            Some(_) => LeaseLostReason::Succeeded,
            None => LeaseLostReason::SessionEnded,
        };
        self.mark_heir_ended(no);
        let requests = std::mem::take(&mut self.session_mut(no).requests);
        self.marks.hit_if(!requests.is_empty(), Mark::RequestVoided);
        let now = self.now;
        self.session_mut(no).state = State::Ended(ending.reason);
        self.session_mut(no).ended_at = now;
        self.session_mut(no).suspended = None;
        if let Some(epoch) = self.lease_of(no) {
            self.supersede(epoch, lost, out);
        }
        self.end_rests(no, lost, out);
        self.let_go_all(no, out);
        let (id, key) = (self.session(no).queue, self.session(no).key.clone());
        let unsettled = self.queue(id).unsettled();
        let fate = self.fate_of(key.as_ref(), unsettled, ending, carry);
        let dead_until = self.dead_until();
        let queue = self.queue_mut(id);
        queue.fate = fate;
        queue.dead_since = now;
        if fate == Fate::Dead && unsettled > 0 {
            queue.dead_until = dead_until;
        }
        let totals = &mut self.session_mut(no).totals;
        match fate {
            Fate::Discarded => totals.discarded += unsettled,
            Fate::Dead => totals.dead_lettered += unsettled,
            Fate::Held { .. } | Fate::Serving | Fate::Quiet | Fate::Purged | Fate::Gone => {}
        }
        if let (Fate::Held { until }, Some(key)) = (fate, key) {
            assert_eq!(until, self.now + HELD_QUEUE_RETENTION.0);
            self.held.insert(key, id);
        }
        let discarded = if fate == Fate::Discarded {
            unsettled
        } else {
            0
        };
        let check_at = match self.policy.session_retention {
            Limit::After(span) => Some(self.now + span.0),
            Limit::Never => None,
        };
        let session = self.session_mut(no);
        session.ends += 1;
        session.check_at = check_at;
        out.facts.push(Fact::Ended(Box::new(EndFact {
            session: no,
            reason: ending.reason,
            actor: ending.actor.clone(),
            kept: unsettled - discarded,
            discarded,
            successor: session.successor.clone(),
            totals: session.totals,
            late: None,
        })));
        self.tell_if_all_gone(no, out);
    }

    fn fate_of(
        &self,
        key: Option<&SessionKey>,
        unsettled: u64,
        ending: &Ending,
        carry: Option<Carry>,
    ) -> Fate {
        if ending.pending == PendingPolicy::Discard && unsettled > 0 {
            return Fate::Discarded;
        }
        match carry {
            // The successor takes it in the same commit.
            Some(Carry::Move) => return Fate::Serving,
            Some(Carry::Keep | Carry::Discard) => return Fate::Dead,
            None => {}
        }
        let goes_on = ending.reason.class() != EndClass::Over;
        match key {
            Some(key) if goes_on && self.live_of(key).is_none() && !self.held.contains_key(key) => {
                Fate::Held {
                    until: self.now + HELD_QUEUE_RETENTION.0,
                }
            }
            _ => Fate::Dead,
        }
    }

    pub(crate) fn session_due(&mut self, no: u64, out: &mut Expected) {
        if no > self.sessions.len() as u64 {
            return;
        }
        match self.session(no).state.clone() {
            State::Ended(_) => self.ended_due(no, out),
            State::Queued(turn) => self.waiter_due(no, turn, out),
            State::Draining(ending) => {
                let some = !self.session(no).requests.is_empty();
                self.lift(no);
                if self.finish_if_drained(no, out) {
                    self.marks.hit_if(some, Mark::DrainedByLapse);
                } else if ending.deadline <= self.now {
                    self.marks.hit(Mark::DrainedByDeadline);
                    self.marks.hit_if(some, Mark::DrainedInRequest);
                    self.finish_late(no, &ending, out);
                } else {
                    self.drop_lapsed(no);
                }
            }
            State::Active => {
                self.drop_lapsed(no);
                if let Some(reason) = self.limit_passed(no) {
                    self.mark_limit(reason);
                    self.reap_now(no, reason, out);
                } else {
                    self.lift(no);
                    self.warn(no, out);
                }
            }
        }
    }

    /// Ends a session that is in use, for a reason that the server found.
    pub(crate) fn end_if_live(&mut self, no: u64, reason: EndReason, out: &mut Expected) {
        if !self.session(no).is_active() {
            return;
        }
        self.reap_now(no, reason, out);
    }

    fn mark_limit(&mut self, reason: EndReason) {
        self.marks
            .hit_if(reason == EndReason::Idle, Mark::EndedIdle);
        self.marks
            .hit_if(reason == EndReason::Expired, Mark::EndedExpired);
        self.marks
            .hit_if(reason == EndReason::OwnerLost, Mark::EndedOwnerLost);
    }

    /// The limit that ends an active session now, if one does.
    fn limit_passed(&mut self, no: u64) -> Option<EndReason> {
        let limits = self.limits_of(no);
        self.marks.hit_if(limits.excused, Mark::Protected);
        let session = self.session(no);
        let alone = self.queue(session.queue).unsettled() == 0;
        self.marks
            .hit_if(limits.excused && alone, Mark::RequestProtects);
        limits.ends
    }

    /// What an active session's limits say now. Only strictly more than the limit is too much.
    pub(crate) fn limits_of(&self, no: u64) -> Limits {
        let (session, now) = (self.session(no), self.now);
        let queue = self.queue(session.queue);
        let over = |limit: Limit, since: u64, times: u64| match limit {
            Limit::After(span) => now - since > span.0.saturating_mul(times),
            Limit::Never => false,
        };
        let recent = now - session.idle_since() <= PENDING_PROTECTS.0;
        let used = !session.live_requests(now).is_empty();
        let in_use = used || queue.out() > 0 || (recent && queue.unsettled() > 0);
        let limits = session.timeouts;
        let times = if in_use { LIFETIME_HARD_FACTOR } else { 1 };
        let idle = over(limits.idle, session.idle_since(), 1);
        let ends = if over(limits.owner, session.owner_seen, 1) {
            Some(EndReason::OwnerLost)
        } else if over(limits.lifetime, session.active_since, times) {
            Some(EndReason::Expired)
        } else {
            (idle && !in_use).then_some(EndReason::Idle)
        };
        let passed = idle || over(limits.lifetime, session.active_since, 1);
        Limits {
            ends,
            excused: ends.is_none() && in_use && passed,
        }
    }
}
