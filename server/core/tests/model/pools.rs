//! The rules of pools in the reference model: who has a slot, who waits, who gives one up.
//!
//! Written from the design's rules 5 to 7, 11 and 13. Nothing is ranked or remembered here: the idlest session is found by
//! looking at all of them.

use sessiond_core::command::Open;
use sessiond_core::event::Actor;
use sessiond_core::ids::PoolName;
use sessiond_core::lease::LeaseMode;
use sessiond_core::limits::{PENDING_PROTECTS, WhenFull};
use sessiond_core::rejection::Crowd;
use sessiond_core::session::{EndMode, EndReason, PendingPolicy};
use sessiond_core::time::Limit;

use super::marks::Mark;
use super::marks::outside::Outside;
use super::state::{Behind, Ending, Fate, Model, Session, State, Turn, Worker};
use super::told::{Answer, Expected, Fact, Refusal};
use super::work::matches;

/// Who would give up a slot, and why.
type Victim = (u64, EndReason);

impl Model {
    fn of_pool<'m>(&'m self, pool: &'m PoolName) -> impl Iterator<Item = &'m Session> {
        self.sessions.iter().filter(move |s| s.pool == *pool)
    }

    /// Sessions of a pool that have a slot.
    pub(crate) fn slots_taken(&self, pool: &PoolName) -> u64 {
        self.of_pool(pool).filter(|s| s.has_slot()).count() as u64
    }

    pub(crate) fn is_full(&self, pool: &PoolName, freed: u64) -> bool {
        let limit = self.policy.pool(pool).max_sessions;
        limit.is_some_and(|limit| self.slots_taken(pool) - freed >= limit)
    }

    /// The sessions that wait for a slot of a pool and nothing else, in order of their turns.
    pub(crate) fn line(&self, pool: &PoolName) -> Vec<u64> {
        let waiting = self.of_pool(pool).filter_map(|s| match s.state {
            State::Queued(turn) if turn.behind.is_none() => Some((turn.place, s.no)),
            State::Queued(_) | State::Active | State::Draining(_) | State::Ended(_) => None,
        });
        let mut line: Vec<(u64, u64)> = waiting.collect();
        line.sort_unstable();
        line.into_iter().map(|(_, no)| no).collect()
    }

    /// Refuses an open that finds no slot and would not wait. The sweep it caused stays done.
    pub(crate) fn refuse_crowded(
        &mut self,
        open: &Open,
        pool: &PoolName,
        replaced: Option<u64>,
        out: &mut Expected,
    ) -> Result<(), Refusal> {
        let old = replaced.map(|old| self.session(old));
        let inherits = old.is_some_and(|old| old.pool == *pool);
        if self.behind_of(open, pool, old).is_some() {
            return Ok(());
        }
        let waits = open.wait.is_some() || self.policy.pool(pool).default_wait().is_some();
        if inherits || waits {
            return Ok(());
        }
        let victims = self.victims(pool);
        if self.line(pool).is_empty() && !self.is_full(pool, self.freed_by(&victims)) {
            return Ok(());
        }
        if self.line(pool).is_empty() {
            self.marks.hit_if(!victims.is_empty(), Mark::SweptInVain);
            self.end_all(&victims, out);
        }
        self.marks.hit(Mark::TooManySessions);
        let limit = self.policy.pool(pool).max_sessions;
        let used = self.slots_taken(pool);
        Err(Refusal::TooManySessions(Crowd::Live, used, limit.unwrap()))
    }

    /// How a new session begins, and who ends for it.
    pub(crate) fn begin(
        &mut self,
        open: &Open,
        pool: &PoolName,
        (replaced, behind): (Option<&Session>, Option<Behind>),
        no: u64,
        out: &mut Expected,
    ) -> State {
        let before = replaced.filter(|old| old.pool == *pool);
        let now = self.now;
        let own = open.wait.map(|wait| now + wait.0);
        match before.map(|old| &old.state) {
            Some(State::Queued(turn)) => {
                self.marks.hit(Mark::PlaceTakenOver);
                let (until, place) = (own.or(turn.until), turn.place);
                return State::Queued(Turn {
                    until,
                    place,
                    behind,
                });
            }
            Some(State::Active | State::Draining(_) | State::Ended(_)) => {
                let waits = behind.is_some().then_some(Turn {
                    until: own,
                    place: no,
                    behind,
                });
                return waits.map_or(State::Active, State::Queued);
            }
            None => {}
        }
        if behind.is_none() && self.line(pool).is_empty() {
            let victims = self.victims(pool);
            self.end_all(&victims, out);
            if !self.is_full(pool, 0) {
                self.mark_overtaken(pool, no);
                return State::Active;
            }
        }
        let default = self.policy.pool(pool).default_wait();
        let until = own.or(default.map(|wait| now + wait.0));
        let bounded = until.is_some() || behind.is_some();
        assert!(bounded, "one that does not wait was refused");
        self.marks.hit_if(behind.is_none(), Mark::Queued);
        State::Queued(Turn {
            until,
            place: no,
            behind,
        })
    }

    // === who gives up a slot ===

    /// How many slots would be free at once if these ended: what something is left of keeps its own.
    fn freed_by(&self, victims: &[Victim]) -> u64 {
        let gone = |(no, _): &&Victim| self.session(*no).unreleased() == 0;
        victims.iter().filter(gone).count() as u64
    }

    /// Whether a slot is about to be free, of a session that is over or is to be: whatever it has goes, as far as is known.
    fn slot_comes(&self, pool: &PoolName, victims: &[Victim]) -> bool {
        let goes = |s: &Session| s.unreleased() > 0 && s.lingering() == 0;
        let over = self.of_pool(pool).any(|s| s.is_left() && goes(s));
        over || victims.iter().any(|(no, _)| goes(self.session(*no)))
    }

    /// Who would end now to make room in a pool. Nobody if there is room.
    pub(crate) fn victims(&mut self, pool: &PoolName) -> Vec<Victim> {
        let policy = self.policy.pool(pool);
        let over = |limit: Limit, since: u64| match limit {
            Limit::After(span) => self.now - since > span.0,
            Limit::Never => false,
        };
        let free: Vec<&Session> = self
            .of_pool(pool)
            .filter(|s| s.is_active() && !self.is_in_use(s))
            .collect();
        let mut victims: Vec<Victim> = Vec::new();
        if self.is_full(pool, 0) {
            let mut idle: Vec<(u64, u64)> = free
                .iter()
                .filter(|s| over(policy.emergency_idle, s.idle_since()))
                .map(|s| (s.idle_since(), s.no))
                .collect();
            idle.sort_unstable();
            victims.extend(idle.into_iter().map(|(_, no)| (no, EndReason::Idle)));
        }
        let left = |victims: &[Victim], no: u64| victims.iter().all(|(gone, _)| *gone != no);
        if self.is_full(pool, self.freed_by(&victims)) {
            let aged: Vec<Victim> = free
                .iter()
                .filter(|s| left(&victims, s.no) && over(policy.emergency_age, s.active_since))
                .map(|s| (s.no, EndReason::Expired))
                .collect();
            victims.extend(aged);
        }
        let taken = self.slots_taken(pool) - self.freed_by(&victims);
        if policy.when_full == WhenFull::Evict && policy.max_sessions == Some(taken) {
            let comes = self.slot_comes(pool, &victims);
            let left = free.iter().filter(|s| left(&victims, s.no));
            let idlest = left.min_by_key(|s| (s.idle_since(), s.no));
            let idlest = idlest.map(|s| (s.no, EndReason::Evicted));
            victims.extend(idlest.filter(|_| !comes));
            self.marks
                .hit_if(comes && idlest.is_some(), Outside::EvictionHeldBack);
        }
        victims
    }

    pub(crate) fn end_all(&mut self, victims: &[Victim], out: &mut Expected) {
        for (no, reason) in victims {
            self.marks
                .hit_if(*reason == EndReason::Idle, Mark::SweptIdle);
            self.marks
                .hit_if(*reason == EndReason::Expired, Mark::SweptAged);
            self.marks
                .hit_if(*reason == EndReason::Evicted, Mark::Evicted);
            if *reason == EndReason::Evicted {
                let pool = self.session(*no).pool.clone();
                let busy = self.of_pool(&pool).any(|s| {
                    s.is_active()
                        && self.is_in_use(s)
                        && s.idle_since() < self.session(*no).idle_since()
                });
                self.marks.hit_if(busy, Mark::BusyPassedOver);
                let beside = self.of_pool(&pool).any(|s| s.is_left());
                self.marks.hit_if(beside, Outside::EvictedBesideLingering);
            }
            let left = self.session(*no).unreleased() > 0;
            self.marks.hit_if(left, Outside::RoomComes);
            self.reap_now(*no, *reason, out);
        }
    }

    /// An end that nobody asked for.
    pub(crate) fn reap_now(&mut self, no: u64, reason: EndReason, out: &mut Expected) {
        let ending = Ending {
            reason,
            actor: Actor::reaper(),
            mode: EndMode::Immediate,
            deadline: self.now,
            pending: PendingPolicy::Keep,
        };
        self.finish(no, &ending, None, out);
    }

    fn is_in_use(&self, session: &Session) -> bool {
        if !session.live_requests(self.now).is_empty() {
            return true;
        }
        let queue = self.queue(session.queue);
        let recent = self.now - session.idle_since() <= PENDING_PROTECTS.0;
        let pending = queue.unsettled() > queue.out() as u64;
        queue.out() > 0 || (pending && recent && self.is_served(session))
    }

    /// Whether a worker is here that works on a session, or would.
    fn is_served(&self, session: &Session) -> bool {
        let is_here = |worker: &Worker| {
            let heard = self.now < worker.last_seen + self.policy.stream_lease.0;
            worker.stream.is_some() && heard
        };
        if let Some(epoch) = self.lease_of(session.no) {
            let lease = &self.leases[&epoch];
            let holder = self.workers.get(&lease.instance);
            return lease.mode == LeaseMode::Claim || holder.is_some_and(is_here);
        }
        self.workers.values().any(|worker| {
            let filter = worker.serves.as_ref();
            let serves = filter.is_some_and(|filter| matches(filter, session));
            let means = serves || worker.rests.contains(&session.no);
            means && !worker.leaves && is_here(worker)
        })
    }

    // === who is held ===

    /// How many sessions of a pool workers hold.
    pub(crate) fn attached(&self, pool: &PoolName) -> u64 {
        let held = self.leases.values().filter(|lease| lease.until.is_none());
        let of_pool = held.filter(|lease| self.session(lease.session).pool == *pool);
        of_pool.count() as u64
    }

    /// Whether workers may hold one more session of a pool.
    pub(crate) fn may_attach(&self, pool: &PoolName) -> bool {
        let limit = self.policy.pool(pool).max_attached;
        limit.is_none_or(|limit| self.attached(pool) < limit)
    }

    /// Refuses a worker that asks for one more.
    pub(crate) fn refuse_attached(&mut self, session: u64) -> Result<(), Refusal> {
        let pool = self.session(session).pool.clone();
        if self.may_attach(&pool) {
            return Ok(());
        }
        self.marks.hit(Mark::TooManyAttached);
        let limit = self.policy.pool(&pool).max_attached;
        let used = self.attached(&pool);
        Err(Refusal::TooManyAttached(used, limit.unwrap()))
    }

    pub(crate) fn attached_answer(&self) -> Answer {
        let pools = self.policy.pools.keys();
        let held = pools.map(|pool| (pool.to_string(), vec![self.attached(pool)]));
        Answer::Listing(held.filter(|(_, count)| count[0] > 0).collect())
    }

    // === the line ===

    /// How many sessions wait.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = self.sessions.iter();
        waiting
            .filter(|s| matches!(s.state, State::Queued(_)))
            .count()
    }

    /// Lets in whoever waits, as far as slots are free.
    pub(crate) fn serve_line(&mut self, pool: &PoolName, out: &mut Expected) {
        while !self.is_full(pool, 0)
            && let Some(no) = self.line(pool).first().copied()
        {
            self.mark_overtaken(pool, no);
            self.admit(no, out);
        }
    }

    /// A session that waited has its slot.
    pub(crate) fn admit(&mut self, no: u64, out: &mut Expected) {
        let now = self.now;
        let session = self.session_mut(no);
        session.state = State::Active;
        session.active_since = now;
        let queue = session.queue;
        self.queue_mut(queue).fate = Fate::Serving;
        out.facts.push(Fact::Admitted(no));
        let some = self.queue(queue).unsettled() > 0;
        self.marks.hit(Mark::Admitted);
        self.marks.hit_if(some, Mark::AdmittedWithWork);
    }

    pub(crate) fn serve_lines(&mut self, out: &mut Expected) {
        let pools: std::collections::BTreeSet<PoolName> =
            self.sessions.iter().map(|s| s.pool.clone()).collect();
        for pool in pools {
            self.serve_line(&pool, out);
        }
    }

    /// A waiting session's look at its limits and, if its turn is next, for room.
    pub(crate) fn waiter_due(&mut self, no: u64, turn: Turn, out: &mut Expected) {
        let session = self.session(no);
        let pool = session.pool.clone();
        let lost = match session.timeouts.owner {
            Limit::After(span) => self.now - session.owner_seen > span.0,
            Limit::Never => false,
        };
        if lost {
            self.marks.hit(Mark::WaiterLost);
            return self.reap_now(no, EndReason::OwnerLost, out);
        }
        if self.line(&pool).first() == Some(&no) {
            let victims = self.victims(&pool);
            self.end_all(&victims, out);
            if !self.is_full(&pool, 0) {
                self.marks.hit(Mark::RoomMadeForWaiter);
                return;
            }
        }
        if turn.until.is_some_and(|until| until <= self.now) {
            self.marks.hit(Mark::WaitedInVain);
            let behind = turn.behind.is_some();
            self.marks.hit_if(behind, Outside::BehindInVain);
            self.reap_now(no, EndReason::Capacity, out);
        }
    }
}
