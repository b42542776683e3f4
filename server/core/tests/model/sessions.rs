//! The rules of a session's beginning in the reference model: open, and whatever else creates one.
//!
//! Written from the design's rules 1 to 9 and 23. A refusal is found before anything is written.

use std::collections::BTreeMap;

use sessiond_core::command::{Carry, ConflictPolicy, NewSessionId, Open};
use sessiond_core::ids::{PoolName, SessionId};
use sessiond_core::limits::{DEFAULT_POOL, KEY_SESSIONS_MAX, MAX_IN_FLIGHT_DEFAULT};
use sessiond_core::rejection::Liveness;
use sessiond_core::session::{EndMode, EndReason, PendingPolicy, Timeouts, Totals, Usage};

use super::marks::Mark;
use super::marks::outside::Outside;
use super::state::{Ending, Fate, Model, Queue, Session, State};
use super::told::{Answer, Expected, Fact, Refusal};

pub(crate) type Verdict = Result<Answer, Refusal>;

/// A session that gives way to the one that is created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivesWay {
    pub(crate) old: u64,
    pub(crate) reason: EndReason,
    pub(crate) carry: Carry,
}

impl Model {
    pub(crate) fn open(&mut self, open: &Open, out: &mut Expected) -> Verdict {
        if let Some(request) = self.earlier(open.request.as_ref())? {
            return Ok(Answer::Opened {
                session: request.subject,
                created: request.flag,
                duplicate: true,
            });
        }
        let live = open.key.as_ref().and_then(|key| self.live_of(key));
        let (session, created) = match (live, open.conflict) {
            (None, _) => (self.create(open, None, out)?, true),
            (Some(no), ConflictPolicy::UseExisting) => {
                self.use_existing(no, open, out)?;
                (no, false)
            }
            (Some(no), ConflictPolicy::Fail) => {
                self.marks.hit(Mark::KeyInUse);
                return Err(self.key_in_use(no));
            }
            (Some(no), ConflictPolicy::Replace) => {
                let replaced = GivesWay {
                    old: no,
                    reason: EndReason::Replaced,
                    carry: Carry::Move,
                };
                (self.create(open, Some(replaced), out)?, true)
            }
        };
        self.remember(open.request.as_ref(), session, created);
        Ok(Answer::Opened {
            session,
            created,
            duplicate: false,
        })
    }

    /// Why a session cannot be created, if it cannot.
    pub(crate) fn refuse_create(
        &mut self,
        open: &Open,
        replaced: Option<GivesWay>,
        out: &mut Expected,
    ) -> Result<(), Refusal> {
        self.refuse_while_draining()?;
        let id = open.id.id();
        if self.sessions.iter().any(|s| s.id == *id) {
            self.marks.hit(Mark::IdInUse);
            return Err(Refusal::IdInUse(id.clone()));
        }
        let pool = self.pool_of(open, replaced);
        let goes_on = open.pool.is_none() && replaced.is_some();
        if !goes_on && !self.policy.pools.contains_key(&pool) {
            return Err(Refusal::PoolNotFound);
        }
        if replaced.is_none() {
            self.refuse_more()?;
        }
        self.refuse_crowded(open, &pool, replaced.map(|replaced| replaced.old), out)
    }

    /// Why nothing may be added, if nothing may.
    pub(crate) fn refuse_more(&mut self) -> Result<(), Refusal> {
        match self.shortage {
            Some((free, enough)) => {
                self.marks.hit(Mark::StoreFull);
                Err(Refusal::StoreFull(free, enough))
            }
            None => Ok(()),
        }
    }

    fn key_in_use(&self, no: u64) -> Refusal {
        let session = self.session(no);
        let state = if session.is_active() {
            Liveness::Active
        } else {
            Liveness::Queued
        };
        Refusal::KeyInUse(session.id.clone(), state)
    }

    fn pool_of(&self, open: &Open, replaced: Option<GivesWay>) -> PoolName {
        match (&open.pool, replaced) {
            (Some(pool), _) => pool.clone(),
            (None, Some(replaced)) => self.session(replaced.old).pool.clone(),
            (None, None) => PoolName::parse(DEFAULT_POOL).unwrap(),
        }
    }

    pub(crate) fn create(
        &mut self,
        open: &Open,
        replaced: Option<GivesWay>,
        out: &mut Expected,
    ) -> Result<u64, Refusal> {
        self.refuse_create(open, replaced, out)?;
        let pool = self.pool_of(open, replaced);
        let before = replaced.map(|replaced| self.session(replaced.old).clone());
        if let Some(replaced) = replaced {
            self.mark_replace(replaced.old, &pool);
            self.give_way(open, replaced, out);
        }
        let no = self.sessions.len() as u64 + 1;
        let behind = self.behind_of(open, &pool, before.as_ref());
        if let Some(behind) = behind {
            self.mark_behind(behind, &pool, before.as_ref());
        }
        let state = self.begin(open, &pool, (before.as_ref(), behind), no, out);
        let fate = match state {
            State::Queued(_) => Fate::Quiet,
            State::Active | State::Draining(_) | State::Ended(_) => Fate::Serving,
        };
        let queue = self.queue_for(open, no, replaced, fate);
        let predecessor = self
            .join_key(open, no)
            .or(replaced.map(|replaced| replaced.old))
            .map(|before| self.session(before).id.clone());
        let session = Session {
            state,
            ..self.newcomer(open, no, pool, queue, predecessor)
        };
        let waits = !session.is_active();
        self.sessions.push(session);
        out.facts.push(Fact::Opened(no));
        if waits {
            out.facts.push(Fact::Queued(no));
        }
        Ok(no)
    }

    /// Takes the newcomer on the list of its key; answers with the one before it.
    fn join_key(&mut self, open: &Open, no: u64) -> Option<u64> {
        let key = open.key.clone()?;
        let sessions = self.of_key.entry(key).or_default();
        let before = sessions.first().copied();
        sessions.insert(0, no);
        sessions.truncate(KEY_SESSIONS_MAX);
        before
    }

    fn give_way(&mut self, open: &Open, replaced: GivesWay, out: &mut Expected) {
        let ending = Ending {
            reason: replaced.reason,
            actor: open.actor.clone(),
            mode: EndMode::Immediate,
            deadline: self.now,
            pending: match replaced.carry {
                Carry::Move | Carry::Keep => PendingPolicy::Keep,
                Carry::Discard => PendingPolicy::Discard,
            },
        };
        self.session_mut(replaced.old).successor = Some(open.id.id().clone());
        self.finish(replaced.old, &ending, Some(replaced.carry), out);
    }

    fn mark_replace(&mut self, old: u64, pool: &PoolName) {
        let full = self.is_full(pool, 0);
        let in_flight = self.queue(self.session(old).queue).out() > 0;
        let short = self.shortage.is_some();
        self.marks.hit_if(short, Mark::ReplacedWhileShort);
        self.marks.hit_if(full, Mark::ReplaceInFullPool);
        self.marks.hit_if(in_flight, Mark::ReplaceInFlight);
    }

    /// The queue that goes over or that the key holds, or a new one.
    fn queue_for(
        &mut self,
        open: &Open,
        owner: u64,
        replaced: Option<GivesWay>,
        fate: Fate,
    ) -> u64 {
        let inherited = match replaced {
            Some(replaced) if replaced.carry == Carry::Move => {
                Some(self.session(replaced.old).queue)
            }
            Some(_) => None,
            None => open.key.as_ref().and_then(|key| self.held.remove(key)),
        };
        if let Some(id) = inherited {
            let queue = self.queue_mut(id);
            queue.owner = owner;
            queue.fate = fate;
            let (some, dead) = (queue.unsettled() > 0, queue.given_up() > 0);
            let held = replaced.is_none();
            self.marks.hit_if(some && held, Mark::HeldAdopted);
            self.marks.hit_if(dead, Mark::DeadLettersMoved);
            return id;
        }
        self.queues.push(Queue {
            owner,
            fate,
            dead_until: None,
            dead_since: 0,
            next_seq: 1,
            next_delivery: 1,
            messages: BTreeMap::new(),
            pause: None,
            names: BTreeMap::new(),
        });
        self.queues.len() as u64
    }

    fn newcomer(
        &mut self,
        open: &Open,
        no: u64,
        pool: PoolName,
        queue: u64,
        predecessor: Option<SessionId>,
    ) -> Session {
        let beside = self.sessions.iter();
        let beside = beside.filter(|s| matches!(s.state, State::Draining(_)));
        let draining = beside.filter(|s| s.key.is_some() && s.key == open.key);
        let successor = draining.count() > 0;
        self.marks.hit_if(successor, Mark::SuccessorBesideDraining);
        let prompt_number = match open.prompt_number {
            Some(number) => number,
            None => u32::from(!open.profile.prompt.is_empty()),
        };
        Session {
            no,
            id: open.id.id().clone(),
            key: open.key.clone(),
            pool,
            queue,
            state: State::Active,
            profile: open.profile.clone(),
            timeouts: Timeouts {
                idle: open.timeouts.idle.unwrap_or(self.policy.idle_timeout),
                lifetime: open.timeouts.lifetime.unwrap_or(self.policy.max_lifetime),
                owner: open.timeouts.owner.unwrap_or(self.policy.owner_timeout),
            },
            ordering: open.ordering.unwrap_or_default(),
            max_in_flight: open.max_in_flight.map_or(MAX_IN_FLIGHT_DEFAULT, u32::from),
            predecessor,
            successor: None,
            created_at: self.now,
            active_since: self.now,
            last_activity: self.now,
            owner_seen: self.now,
            touches: 0,
            prompt_number,
            usage: Usage::default(),
            totals: Totals {
                enqueued: self.queue(queue).messages.len() as u64,
                dead_lettered: self.queue(queue).given_up(),
                ..Totals::default()
            },
            circuits: BTreeMap::new(),
            volatile: (None, BTreeMap::new()),
            requests: BTreeMap::new(),
            requests_begun: 0,
            failures: Vec::new(),
            resources: Vec::new(),
            declared: 0,
            suspended: None,
            warned: [None, None],
            revision: 0,
            ended_at: 0,
            check_at: None,
            purged: false,
            ends: 0,
            closed: false,
        }
    }

    fn use_existing(&mut self, no: u64, open: &Open, out: &mut Expected) -> Result<(), Refusal> {
        let (now, short) = (self.now, self.shortage.is_some());
        self.marks.hit_if(short, Mark::FoundWhileShort);
        let session = self.session_mut(no);
        let other_id = matches!(&open.id, NewSessionId::Brought(id) if *id != session.id);
        let other_pool = open.pool.as_ref().is_some_and(|pool| *pool != session.pool);
        if other_id || other_pool {
            self.marks.hit(Mark::KeyInUse);
            return Err(self.key_in_use(no));
        }
        let before = shown(session);
        let said = &open.profile;
        let keep = |field: &mut String, said: &String| {
            if !said.is_empty() {
                field.clone_from(said);
            }
        };
        keep(&mut session.profile.project, &said.project);
        keep(&mut session.profile.source, &said.source);
        keep(&mut session.profile.agent_id, &said.agent_id);
        keep(&mut session.profile.transcript_path, &said.transcript_path);
        keep(&mut session.profile.prompt, &said.prompt);
        if !said.labels.is_empty() {
            session.profile.labels = said.labels.clone();
        }
        let limits = &mut session.timeouts;
        limits.idle = open.timeouts.idle.unwrap_or(limits.idle);
        limits.lifetime = open.timeouts.lifetime.unwrap_or(limits.lifetime);
        limits.owner = open.timeouts.owner.unwrap_or(limits.owner);
        session.ordering = open.ordering.unwrap_or(session.ordering);
        session.max_in_flight = open.max_in_flight.map_or(session.max_in_flight, u32::from);
        if let (State::Queued(turn), Some(wait)) = (&mut session.state, open.wait) {
            // Whoever waits for as long as it takes goes on to.
            turn.until = turn.until.map(|until| until.max(now + wait.0));
        }
        session.last_activity = now;
        session.owner_seen = now;
        match open.prompt_number {
            Some(number) => session.prompt_number = number,
            None => session.prompt_number += u32::from(!said.prompt.is_empty()),
        }
        let unbounded = match &session.state {
            State::Queued(turn) => turn.until.is_none() && open.wait.is_some(),
            State::Active | State::Draining(_) | State::Ended(_) => false,
        };
        if shown(session) != before {
            out.facts.push(Fact::Updated(no));
        }
        self.marks.hit_if(unbounded, Outside::WaitUnbounded);
        Ok(())
    }
}

/// What an event about the session would show: everything but the prompt.
fn shown(session: &Session) -> impl PartialEq + use<> {
    let mut profile = session.profile.clone();
    profile.prompt.clear();
    (
        profile,
        session.timeouts,
        session.ordering,
        session.max_in_flight,
    )
}
