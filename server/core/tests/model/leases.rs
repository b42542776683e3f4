//! The rules of leases in the reference model: take, renew, give back, lapse, supersede, restore, claim.
//!
//! Written from the design's rules 3, 10, 11, 17, 18 and 20.

use std::collections::BTreeMap;

use sessiond_core::command::Claim;
use sessiond_core::ids::{InstanceId, SessionId};
use sessiond_core::lease::LeaseMode;
use sessiond_core::presence::Window;
use sessiond_core::reply::LeaseLostReason;

use super::cancels::Back;
use super::marks::Mark;
use super::marks::outside::Outside;
use super::sessions::Verdict;
use super::settling::Attempt;
use super::state::{Lease, Model, Status};
use super::told::{Answer, Expected, Fact, Handed, Refusal, Told, text};

impl Model {
    /// Gives a free session's lease; answers with its token and the keys that another instance loses.
    pub(crate) fn acquire(
        &mut self,
        session: u64,
        instance: &InstanceId,
        mode: LeaseMode,
        duration: u64,
        out: &mut Expected,
    ) -> (u64, Vec<String>) {
        assert_eq!(self.lease_of(session), None, "two leases of one session");
        self.last_epoch += 1;
        let lease = Lease {
            session,
            queue: self.session(session).queue,
            instance: instance.clone(),
            mode,
            granted_for: duration,
            duration,
            renewed_at: self.now,
            moved_at: self.now,
            unheard: false,
            until: None,
            cancel_by: None,
        };
        self.leases.insert(self.last_epoch, lease);
        if let Some(worker) = self.workers.get_mut(instance) {
            worker.rests.remove(&session);
        }
        let volatile = &mut self.session_mut(session).volatile;
        let own = volatile.0.as_ref() == Some(instance);
        let (kept, mut voided) = (own && !volatile.1.is_empty(), Vec::new());
        if !own && !volatile.1.is_empty() {
            voided = volatile.1.keys().cloned().collect();
            *volatile = (None, BTreeMap::new());
        }
        self.marks.hit_if(kept, Mark::VolatileKept);
        self.marks.hit_if(!voided.is_empty(), Mark::VolatileVoided);
        out.facts.push(Fact::Attached(session, text(instance)));
        (self.last_epoch, voided)
    }

    /// Refuses a session that another instance holds; answers with the token this one has.
    pub(crate) fn own_lease(
        &mut self,
        session: u64,
        instance: &InstanceId,
    ) -> Result<Option<u64>, Refusal> {
        let Some(epoch) = self.lease_of(session) else {
            return Ok(None);
        };
        if self.leases[&epoch].instance == *instance {
            return Ok(Some(epoch));
        }
        self.marks.hit(Mark::LeaseHeld);
        let left = self.lapse_at(epoch).saturating_sub(self.now);
        Err(Refusal::LeaseHeld(epoch, left))
    }

    /// When a current lease lapses unless something renews it.
    pub(crate) fn lapse_at(&self, epoch: u64) -> u64 {
        let lease = &self.leases[&epoch];
        let heard = match lease.mode {
            LeaseMode::Stream => self.workers.get(&lease.instance).map_or(0, |w| w.last_seen),
            LeaseMode::Claim => 0,
        };
        lease.renewed_at.max(heard) + lease.duration
    }

    /// The messages a lease has in flight, in order.
    pub(crate) fn out_under(&self, epoch: u64) -> Vec<u64> {
        let queue = self.queue(self.leases[&epoch].queue);
        let out = queue.messages.iter();
        out.filter(|(_, m)| m.status == (Status::Out { epoch }))
            .map(|(seq, _)| *seq)
            .collect()
    }

    /// A lease stops holding its session; its deliveries stay out for one duration.
    pub(crate) fn supersede(&mut self, epoch: u64, reason: LeaseLostReason, out: &mut Expected) {
        let lease = &self.leases[&epoch];
        let session = self.session(lease.session);
        let told = Told::Lost {
            session: session.id.clone(),
            epoch,
            reason,
            successor: session.successor.clone(),
        };
        out.tell(self.stream_of(&lease.instance), told);
        self.let_go_of(epoch, out);
        if self.out_under(epoch).is_empty() {
            self.leases.remove(&epoch);
        } else {
            let until = self.now + self.leases[&epoch].granted_for;
            let lease = self.leases.get_mut(&epoch).expect("it is there");
            lease.until = Some(until);
            lease.cancel_by = None;
        }
    }

    /// Ends a lease and returns what it has in flight.
    pub(crate) fn release(
        &mut self,
        epoch: u64,
        attempt: Attempt,
        out: &mut Expected,
    ) -> (usize, usize) {
        self.let_go_of(epoch, out);
        let (open, id) = (self.out_under(epoch), self.leases[&epoch].queue);
        let mut dead = 0;
        for seq in &open {
            let gone = self.give_back(id, *seq, attempt, Status::Returned, out);
            dead += usize::from(gone);
        }
        self.leases.remove(&epoch);
        (open.len(), dead)
    }

    /// A worker gives a current lease back.
    pub(crate) fn detach_lease(&mut self, epoch: u64, out: &mut Expected) {
        let lease = self.leases[&epoch].clone();
        self.mark_outside(epoch, Outside::LeaseReturned);
        self.release(epoch, Attempt::Refunded, out);
        let fact = Fact::Detached(lease.session, text(&lease.instance));
        out.facts.push(fact);
        let ended = self.finish_if_drained(lease.session, out);
        self.marks.hit_if(ended, Mark::DrainedByReturn);
    }

    /// A detach is answered the same way whatever the worker holds of the session, if there is one at all.
    pub(crate) fn detach(&mut self, instance: &InstanceId, asked: &SessionId, out: &mut Expected) {
        let mut told = (0, None);
        if let Some(no) = self.sessions.iter().find(|s| s.id == *asked).map(|s| s.no) {
            told.1 = self.session(no).successor.clone();
            told.0 = self.let_go(instance, no, out);
        } else {
            self.marks.hit(Mark::DetachUnknown);
        }
        let lost = Told::Lost {
            session: asked.clone(),
            epoch: told.0,
            reason: LeaseLostReason::Detached,
            successor: told.1,
        };
        out.tell(self.stream_of(instance), lost);
    }

    /// Takes back all that a worker has of a session; answers with the lease that held it.
    fn let_go(&mut self, instance: &InstanceId, no: u64, out: &mut Expected) -> u64 {
        let mut held = 0;
        if let Some(worker) = self.workers.get_mut(instance) {
            worker.rests.remove(&no);
        }
        if let Some(epoch) = self.lease_of(no)
            && self.leases[&epoch].instance == *instance
        {
            held = epoch;
            self.detach_lease(epoch, out);
        }
        let superseded: Vec<u64> = self
            .leases
            .iter()
            .filter(|(_, l)| l.until.is_some() && l.session == no && l.instance == *instance)
            .map(|(epoch, _)| *epoch)
            .collect();
        for epoch in superseded {
            if !self.out_under(epoch).is_empty() {
                self.marks.hit(Mark::SupersededDetached);
                self.return_superseded(epoch, out);
            }
        }
        held
    }

    fn return_superseded(&mut self, epoch: u64, out: &mut Expected) {
        let queue = self.leases[&epoch].queue;
        self.release(epoch, Attempt::Refunded, out);
        let owner = self.queue(queue).owner;
        let ended = self.finish_if_drained(owner, out);
        self.marks.hit_if(ended, Mark::DrainedByReturn);
    }

    /// A superseded lease's time is over, or that of one which should have stopped.
    pub(crate) fn lease_due(&mut self, epoch: u64, out: &mut Expected) {
        let current = self.leases.get(&epoch).filter(|l| l.until.is_none());
        let stops = current.and_then(|lease| lease.cancel_by);
        if stops.is_some_and(|by| by <= self.now) {
            let some = self.is_cancelling(epoch);
            self.marks.hit_if(some, Mark::CancelUnanswered);
            return self.take_back(epoch, Back::Regardless, out);
        }
        let over = self
            .leases
            .get(&epoch)
            .and_then(|lease| lease.until)
            .is_some_and(|until| until <= self.now);
        if over {
            let some = !self.out_under(epoch).is_empty();
            self.marks.hit_if(some, Mark::SupersededReturned);
            self.return_superseded(epoch, out);
        }
    }

    /// Nobody renewed a lease in time.
    pub(crate) fn lapse(&mut self, epoch: u64, out: &mut Expected) {
        let current = self
            .leases
            .get(&epoch)
            .filter(|l| l.until.is_none())
            .cloned();
        let Some(lease) = current else {
            return;
        };
        if self.lapse_at(epoch) > self.now {
            if self.is_stuck(epoch) {
                self.stuck(epoch, out);
            } else if self.is_idle(epoch) {
                self.rest(epoch, out);
            }
            return;
        }
        let told = Told::Lost {
            session: self.session(lease.session).id.clone(),
            epoch,
            reason: LeaseLostReason::Lapsed,
            successor: None,
        };
        out.tell(self.stream_of(&lease.instance), told);
        let stopping = self.is_cancelling(epoch);
        self.mark_outside(epoch, Outside::LeaseLapsed);
        self.marks.hit_if(stopping, Mark::CancelLapsed);
        let attempt = if lease.unheard || stopping {
            Attempt::Refunded
        } else {
            Attempt::Counts
        };
        let (open, dead) = self.release(epoch, attempt, out);
        self.marks.hit_if(dead > 0, Mark::DeadByLapse);
        self.marks.hit_if(open > 0, Mark::LapsedInFlight);
        self.marks
            .hit_if(open > 0 && lease.unheard, Mark::RestartRefund);
        let instance = text(&lease.instance);
        if open == 0 && lease.mode == LeaseMode::Claim {
            out.facts.push(Fact::Detached(lease.session, instance));
        } else {
            out.facts.push(Fact::Lost(lease.session, instance));
            if !lease.unheard {
                self.count_failure(lease.session, out);
            }
        }
        let ended = self.finish_if_drained(lease.session, out);
        self.marks.hit_if(ended, Mark::DrainedByReturn);
    }

    /// The server starts: every current lease gets one full term and nobody has a stream.
    pub(crate) fn restart(&mut self) {
        let now = self.now;
        let in_flight = self.queues.iter().any(|queue| queue.out() > 0);
        self.marks.hit_if(in_flight, Mark::RestartInFlight);
        // It is looked at anew before anything is asked.
        self.shortage = None;
        for node in self.nodes.values_mut() {
            node.link = None;
        }
        self.subscriptions
            .values_mut()
            .for_each(|of| of.reads = None);
        for worker in self.workers.values_mut() {
            worker.stream = None;
            worker.last_seen = now;
            // What it said of itself is forgotten until it says it again.
            worker.serves = None;
            worker.window = Window {
                messages: 0,
                bytes: 0,
                sessions: 0,
            };
        }
        let leases = self.leases.iter();
        let current = leases.filter(|(_, lease)| lease.until.is_none());
        let current: Vec<u64> = current.map(|(epoch, _)| *epoch).collect();
        for epoch in current {
            self.term_anew(epoch);
        }
    }

    /// A current lease gets one full term.
    pub(crate) fn term_anew(&mut self, epoch: u64) {
        let now = self.now;
        let lease = self.leases.get_mut(&epoch).expect("it is on record");
        lease.duration = lease.granted_for;
        lease.renewed_at = now;
        lease.moved_at = now;
        lease.unheard = true;
    }

    // === claim ===

    pub(crate) fn claim(&mut self, claim: &Claim, out: &mut Expected) -> Verdict {
        let no = self.find_workable(&claim.session)?;
        let session = self.session(no).id.clone();
        let queue = self.session(no).queue;
        let most = claim.max_messages.get();
        if let Some(epoch) = self.own_lease(no, &claim.instance)? {
            self.renew(epoch, claim.lease.0);
            if self.leases[&epoch].mode == LeaseMode::Claim && self.is_cancelling(epoch) {
                self.marks.hit(Mark::CancelByClaim);
                self.take_back(epoch, Back::Stopped, out);
            }
            let open = self.again(epoch);
            let deliveries = if open.is_empty() {
                self.take(queue, epoch, most)
            } else {
                self.marks.hit(Mark::ClaimAgain);
                open
            };
            return Ok(Answer::Claimed {
                session,
                lease: Some(epoch),
                deliveries,
            });
        }
        self.refuse_suspended(no)?;
        if self.next_of(queue).is_none() {
            self.marks.hit(Mark::ClaimEmpty);
            return Ok(Answer::Claimed {
                session,
                lease: None,
                deliveries: Vec::new(),
            });
        }
        self.refuse_attached(no)?;
        let (epoch, _) = self.acquire(no, &claim.instance, LeaseMode::Claim, claim.lease.0, out);
        let deliveries = self.take(queue, epoch, most);
        Ok(Answer::Claimed {
            session,
            lease: Some(epoch),
            deliveries,
        })
    }

    fn renew(&mut self, epoch: u64, duration: u64) {
        let now = self.now;
        let lease = self.leases.get_mut(&epoch).expect("it is held");
        lease.renewed_at = now;
        lease.unheard = false;
        if lease.mode == LeaseMode::Claim {
            lease.duration = duration;
        }
    }

    /// What a lease has in flight, as it was handed out.
    pub(crate) fn again(&self, epoch: u64) -> Vec<Handed> {
        let queue = self.leases[&epoch].queue;
        let open = self.out_under(epoch).into_iter();
        open.map(|seq| {
            let message = &self.queue(queue).messages[&seq];
            Handed {
                queue,
                seq,
                delivery: message.latest.expect("what is out has its delivery"),
                epoch,
                attempt: message.attempt,
            }
        })
        .collect()
    }

    /// Hands out everything a claim may have.
    fn take(&mut self, queue: u64, epoch: u64, most: u32) -> Vec<Handed> {
        let (mut taken, mut last) = (Vec::new(), None);
        while taken.len() < most as usize
            && let Some(seq) = self.next_in_frame(queue, last)
        {
            last = Some(self.queue(queue).messages[&seq].mode);
            taken.push(self.hand_out(queue, seq, epoch));
        }
        taken
    }
}
