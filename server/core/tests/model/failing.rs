//! Workers that fail: the rules in the reference model, and what operators and hanging workers do.
//!
//! Written from the design's rules 11, 17 and 18 and its default limits: a worker that holds deliveries and makes no
//! progress loses the lease, one failure too many within the window suspends the session, an operator may take a lease.

use std::num::NonZeroU32;

use sessiond_core::command::{Claim, Command, ResetCircuit, ResetTarget, Revoke, WorkerFrame};
use sessiond_core::ids::{Epoch, SessionId, SessionRef, WorkerName};
use sessiond_core::lease::LeaseMode;
use sessiond_core::limits::WorkerCost;
use sessiond_core::reply::{CancelReason, LeaseLostReason};
use sessiond_core::session::EndReason;
use sessiond_core::time::{Limit, Span};

use super::marks::Mark;
use super::marks::outside::Outside;
use super::script::WORKERS;
use super::sessions::Verdict;
use super::settling::Attempt;
use super::state::{Lease, Model};
use super::told::{Answer, Expected, Fact, Refusal, Told, text};
use super::work::matches;
use super::world::World;

/// Time between two heartbeats of a worker that hangs.
const HANG_STEP_MS: u64 = 12_000;
/// Heartbeats of a worker that hangs: longer than any patience of these tests.
const HANG_STEPS: u64 = 36;

/// Work that moved no sooner than this counts as standing still.
const STALLED_MS: u64 = 60_000;

// === the rules ===

impl Model {
    /// The first instant at which the holder of a lease is stuck, if it has deliveries to be stuck with.
    pub(crate) fn stuck_at(&self, epoch: u64) -> Option<u64> {
        let lease = &self.leases[&epoch];
        let Limit::After(limit) = self.policy.stuck_after else {
            return None;
        };
        let patience = match lease.mode {
            LeaseMode::Stream => limit.0,
            LeaseMode::Claim => limit.0.max(lease.duration),
        };
        let some = !self.out_under(epoch).is_empty();
        some.then_some(lease.moved_at + patience + 1)
    }

    pub(crate) fn is_stuck(&self, epoch: u64) -> bool {
        self.stuck_at(epoch).is_some_and(|at| at <= self.now)
    }

    /// How many leases hold sessions, how many of them have something out, how many of those stand still for a minute, and
    /// the first of those that do so for longest.
    pub(crate) fn lease_progress(&self) -> Answer {
        let held = || {
            self.leases
                .iter()
                .filter(|(_, lease)| lease.until.is_none())
        };
        let works = |(epoch, _): &(&u64, &Lease)| !self.out_under(**epoch).is_empty();
        let working = || held().filter(works);
        let stalled = working().filter(|(_, lease)| self.now - lease.moved_at >= STALLED_MS);
        let offset = self.wall.wrapping_sub(self.now);
        let slowest = working().min_by_key(|(_, lease)| lease.moved_at);
        let slowest = slowest.map_or_else(Vec::new, |(_, lease)| {
            vec![lease.session, lease.moved_at.wrapping_add(offset)]
        });
        let counts = [held().count(), working().count(), stalled.count()];
        let counts = counts.map(|count| count as u64);
        Answer::Listing(vec![
            ("counted".to_owned(), counts.to_vec()),
            ("slowest".to_owned(), slowest),
        ])
    }

    /// Takes the session from a holder that is stuck.
    pub(crate) fn stuck(&mut self, epoch: u64, out: &mut Expected) {
        self.marks.hit(Mark::Stuck);
        let lease = self.leases[&epoch].clone();
        let claimed = lease.mode == LeaseMode::Claim;
        self.marks.hit_if(claimed, Mark::StuckClaim);
        let stream = self.stream_of(&lease.instance);
        let id = self.session(lease.session).id.clone();
        let told = Told::Cancel {
            session: id,
            reason: CancelReason::Stuck,
            deliveries: Vec::new(),
            deadline: self.wall,
        };
        out.tell(stream, told);
        self.tell_lost(epoch, LeaseLostReason::Stuck, out);
        self.mark_outside(epoch, Outside::LeaseStuck);
        let (_, dead) = self.release(epoch, Attempt::Counts, out);
        self.marks.hit_if(dead > 0, Mark::DeadByStuck);
        let instance = text(&lease.instance);
        out.facts.push(Fact::Stuck(lease.session, instance));
        self.count_failure(lease.session, out);
        if self.policy.on_stuck == WorkerCost::End {
            let live = self.session(lease.session).is_active();
            self.marks.hit_if(live, Mark::EndedStuck);
            self.end_if_live(lease.session, EndReason::WorkerStuck, out);
        }
        let ended = self.finish_if_drained(lease.session, out);
        self.marks.hit_if(ended, Mark::DrainedByStuck);
    }

    /// Whether the holder of a lease has had nothing to do for too long.
    pub(crate) fn is_idle(&self, epoch: u64) -> bool {
        let lease = &self.leases[&epoch];
        let Limit::After(limit) = self.policy.worker_idle else {
            return false;
        };
        let empty = self.queue(lease.queue).unsettled() == 0;
        let worker = self.workers.get(&lease.instance);
        let returns = worker.is_none_or(|worker| {
            let serves = worker.serves.as_ref();
            serves.is_some_and(|filter| matches(filter, self.session(lease.session)))
                || self.load_of(&lease.instance).2 <= worker.window.sessions
        });
        let idle = empty && returns && self.now > lease.moved_at + limit.0;
        lease.mode == LeaseMode::Stream && idle
    }

    /// Lets a holder that has nothing to do go.
    pub(crate) fn rest(&mut self, epoch: u64, out: &mut Expected) {
        let lease = self.leases[&epoch].clone();
        let no = lease.session;
        self.tell_lost(epoch, LeaseLostReason::Idle, out);
        self.release(epoch, Attempt::Refunded, out);
        let serves = self.workers.get(&lease.instance).is_some_and(|worker| {
            let serves = worker.serves.as_ref();
            serves.is_some_and(|filter| matches(filter, self.session(no)))
        });
        if let Some(worker) = self.workers.get_mut(&lease.instance)
            && !serves
        {
            worker.rests.insert(no);
        }
        self.marks.hit(Mark::Rested);
        let instance = text(&lease.instance);
        let reason = "idle".to_owned();
        out.facts.push(Fact::Taken(no, instance, reason));
        self.finish_if_drained(no, out);
    }

    pub(crate) fn tell_lost(&self, epoch: u64, reason: LeaseLostReason, out: &mut Expected) {
        let lease = &self.leases[&epoch];
        let told = Told::Lost {
            session: self.session(lease.session).id.clone(),
            epoch,
            reason,
            successor: None,
        };
        out.tell(self.stream_of(&lease.instance), told);
    }

    /// Who rests from a session that ends is told so.
    pub(crate) fn end_rests(&mut self, no: u64, reason: LeaseLostReason, out: &mut Expected) {
        let (id, successor) = {
            let session = self.session(no);
            (session.id.clone(), session.successor.clone())
        };
        for worker in self.workers.values_mut() {
            if !worker.rests.remove(&no) {
                continue;
            }
            let told = Told::Lost {
                session: id.clone(),
                epoch: 0,
                reason,
                successor: successor.clone(),
            };
            out.tell(worker.stream, told);
            self.marks.hit_if(worker.stream.is_some(), Mark::RestEnded);
        }
    }

    /// One more failure of a session's workers, and what it comes to.
    pub(crate) fn count_failure(&mut self, no: u64, out: &mut Expected) {
        let (now, window) = (self.now, self.policy.restart_window.0);
        let limit = self.policy.restart_limit as usize;
        let session = self.session_mut(no);
        if session.ends > 0 {
            return;
        }
        session.failures.retain(|until| *until > now);
        session.failures.push(now + window);
        let count = session.failures.len();
        if count <= limit || session.suspended.is_some() {
            return;
        }
        assert_eq!(
            count,
            limit + 1,
            "nobody fails while nobody has the session"
        );
        session.suspended = session.failures.first().copied();
        self.marks.hit(Mark::RestartLimited);
        let failures = u32::try_from(count).unwrap();
        out.facts.push(Fact::Limited(no, failures));
        if self.policy.on_restart_limit == WorkerCost::End {
            let live = self.session(no).is_active();
            self.marks.hit_if(live, Mark::EndedLimited);
            self.end_if_live(no, EndReason::RestartLimit, out);
        }
    }

    pub(crate) fn refuse_suspended(&mut self, no: u64) -> Result<(), Refusal> {
        let now = self.now;
        let session = self.session(no);
        let Some(until) = session.suspended else {
            return Ok(());
        };
        let fresh = session.failures.iter().filter(|until| **until > now);
        let failures = u32::try_from(fresh.count()).unwrap();
        self.marks.hit(Mark::SuspendedRefused);
        let left = until.saturating_sub(now);
        Err(Refusal::RestartLimited(failures, left))
    }

    /// A suspension whose time is over.
    pub(crate) fn lift(&mut self, no: u64) {
        let now = self.now;
        let session = self.session_mut(no);
        if session.suspended.is_some_and(|until| until <= now) {
            session.suspended = None;
            session.failures.retain(|until| *until > now);
            self.marks.hit(Mark::SuspensionLifted);
        }
    }

    /// Somebody forgets its failures.
    pub(crate) fn reset_guard(&mut self, no: u64) {
        let session = self.session_mut(no);
        session.failures.clear();
        let was = session.suspended.take().is_some();
        self.marks.hit_if(was, Mark::SuspensionReset);
    }

    pub(crate) fn revoke(&mut self, asked: &Revoke, out: &mut Expected) -> Verdict {
        if let Some(request) = self.earlier(asked.request.as_ref())? {
            return Ok(Answer::Revoked(request.subject, None, true));
        }
        let no = self.find_holdable(&asked.session)?;
        let held = self.lease_of(no);
        if asked.epoch.is_some_and(|epoch| Some(epoch.0) != held) {
            self.marks.hit(Mark::RevokeFenced);
            return Err(Refusal::Fenced(held));
        }
        if let Some(epoch) = held {
            self.tell_lost(epoch, LeaseLostReason::Revoked, out);
            let instance = text(&self.leases[&epoch].instance);
            self.mark_outside(epoch, Outside::LeaseRevoked);
            let (open, _) = self.release(epoch, Attempt::Counts, out);
            self.marks.hit_if(open > 0, Mark::Revoked);
            let reason = "revoked".to_owned();
            out.facts.push(Fact::Taken(no, instance, reason));
            self.finish_if_drained(no, out);
        } else {
            self.marks.hit(Mark::RevokeNothing);
        }
        self.remember(asked.request.as_ref(), no, held.is_some());
        Ok(Answer::Revoked(no, held, false))
    }
}

// === operators, and workers that hang ===

impl World {
    pub(crate) fn revoke(&mut self) {
        let epoch = match self.rng.u32(..6) {
            0 => Some(Epoch(self.rng.u64(1..20))),
            1 => self.store.leases().into_iter().next_back(),
            _ => None,
        };
        let revoke = Revoke {
            namespace: self.namespace.clone(),
            session: self.some_session(),
            epoch,
            request: self.tag(8),
            actor: self.actor(),
        };
        let _ = self.submit(&Command::Revoke(revoke));
    }

    pub(crate) fn reset_guard(&mut self) {
        let suspended = self.model.sessions.iter();
        let suspended: Vec<SessionId> = suspended
            .filter(|session| session.suspended.is_some())
            .map(|session| session.id.clone())
            .collect();
        let session = match self.pick(&suspended) {
            Some(id) => SessionRef::Id(id),
            None => self.some_session(),
        };
        let reset = ResetCircuit {
            namespace: self.namespace.clone(),
            session,
            target: ResetTarget::RestartGuard,
            request: self.tag(9),
            actor: self.actor(),
        };
        let _ = self.submit(&Command::ResetCircuit(reset));
    }

    /// A worker without a stream asks for what it has of a session, and so keeps its lease.
    fn claim_again(&mut self, worker: usize) {
        let client = &self.clients.workers[worker];
        let Some(held) = client.in_hand.last() else {
            return;
        };
        let claim = Claim {
            namespace: self.namespace.clone(),
            session: SessionRef::Id(held.session.clone()),
            worker: WorkerName::parse("worker").unwrap(),
            instance: client.instance.clone(),
            lease: Span(20_000),
            max_messages: NonZeroU32::MIN,
        };
        let _ = self.submit(&Command::Claim(claim));
    }

    /// All workers are heard and none of them gets on; those that claim ask again for what they have.
    pub(crate) fn hang(&mut self) {
        let asks = self.rng.bool();
        for _ in 0..self.rng.u64(2..HANG_STEPS) {
            self.engine_ms += HANG_STEP_MS;
            for worker in 0..WORKERS {
                if let Some(stream) = self.clients.workers[worker].stream {
                    self.say(worker, stream, WorkerFrame::Heartbeat);
                } else if asks {
                    self.claim_again(worker);
                }
            }
            self.run_due();
        }
    }
}
