//! The rules of what a session has outside in the reference model: declare, register, release, reports.
//!
//! Written from the design's rules 7, 31 and 32: a resource is on record before it is there, goes at the end of what it
//! belongs to, and counts until it was seen to be gone or an operator forced it. Nothing is counted here: whatever is
//! not released is found by looking at all of them.

use sessiond_core::command::resource::{
    Attempted, Declare, Knowledge, Register, Release, ReleaseManner,
};
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, ResourceNo, SessionNo};
use sessiond_core::limits::RESOURCES_PER_SESSION_MAX;
use sessiond_core::node::{NodeRejection, Witness};
use sessiond_core::resource::{
    Attempt, LingeringCause, ReleaseOutcome, ResourceToken, Scope, Target,
};

use super::marks::outside::Outside;
use super::sessions::Verdict;
use super::state::{Model, Resource, Standing, State};
use super::told::{Answer, Expected, Fact, Refusal};
use super::world::NAMESPACE;

impl Model {
    pub(crate) fn declare(&mut self, asked: &Declare) -> Verdict {
        if let Some(request) = self.earlier(asked.request.as_ref())? {
            let number = request.resource.expect("the same body is the same call");
            return self.declared_before(request.subject, number);
        }
        let no = self.find_in_use(&asked.session)?;
        if let Some(name) = &asked.node
            && !self.nodes.contains_key(name)
        {
            self.marks.hit(Outside::NodeUnknown);
            let node = name.clone();
            return Err(Refusal::Node(NodeRejection::NotFound { node }));
        }
        let known = asked.target != Target::Marked;
        if known {
            self.refuse_other_witness(asked.node.as_ref(), asked.witness)?;
        }
        let lease = match asked.scope {
            Scope::Session => None,
            Scope::Lease(epoch) => Some(epoch.0),
        };
        let held = self.lease_of(no);
        if lease.is_some() && lease != held {
            self.marks.hit(Outside::DeclareFenced);
            return Err(Refusal::Fenced(held));
        }
        self.make_room_for_one(no)?;
        let wall = self.wall;
        let session = self.session_mut(no);
        session.declared += 1;
        let number = session.declared;
        session.resources.push(Resource {
            number,
            salt: asked.salt,
            name: asked.name.clone(),
            lease,
            node: asked.node.clone(),
            target: asked.target.clone(),
            standing: Standing::Held,
            declared: wall,
        });
        self.remember_resource(asked.request.as_ref(), no, number);
        Ok(self.resource_answer(no, number, false))
    }

    fn declared_before(&mut self, no: u64, number: u64) -> Verdict {
        let known = self.resource(no, number);
        let gone = known.is_some_and(Resource::is_released);
        let known = known.is_some();
        self.marks.hit_if(gone, Outside::GoneRepeated);
        if known {
            return Ok(self.resource_answer(no, number, true));
        }
        self.marks.hit(Outside::ForgottenRepeated);
        Err(Refusal::ResourceNotFound(ResourceToken {
            session: SessionNo(no),
            number: ResourceNo(number),
            salt: 0,
        }))
    }

    /// Forgets the oldest resource that is gone, if there are as many as may be.
    fn make_room_for_one(&mut self, no: u64) -> Result<(), Refusal> {
        let session = self.session_mut(no);
        if session.resources.len() < RESOURCES_PER_SESSION_MAX {
            return Ok(());
        }
        let oldest = session.resources.iter().position(Resource::is_released);
        if let Some(oldest) = oldest {
            session.resources.remove(oldest);
            self.marks.hit(Outside::Forgotten);
            return Ok(());
        }
        self.marks.hit(Outside::TooMany);
        let limit = RESOURCES_PER_SESSION_MAX as u64;
        Err(Refusal::TooManyResources(limit))
    }

    pub(crate) fn register(&mut self, asked: &Register, out: &mut Expected) -> Verdict {
        let token = asked.resource;
        let (no, number) = self.named(&asked.namespace, token)?;
        let node = self.resource_mut(no, number).node.clone();
        self.refuse_other_witness(node.as_ref(), asked.witness)?;
        let resource = self.resource_mut(no, number);
        let to_go = resource.is_releasing();
        if let Standing::Released(outcome, _) = resource.standing {
            self.marks.hit(Outside::RegisteredLate);
            return Err(Refusal::ResourceReleased(token, outcome));
        }
        if resource.target == Target::Marked {
            resource.target = asked.target.clone();
            out.releases |= to_go;
            self.marks.hit_if(to_go, Outside::RegisteredInRelease);
        } else if resource.target == asked.target {
            self.marks.hit(Outside::RegisteredAgain);
        } else {
            self.marks.hit(Outside::RegisteredOther);
            return Err(Refusal::ResourceRegistered(token));
        }
        Ok(self.resource_answer(no, number, false))
    }

    /// Somebody has one resource go.
    pub(crate) fn release_one(&mut self, asked: &Release, out: &mut Expected) -> Verdict {
        let (no, number) = self.named(&asked.namespace, asked.resource)?;
        let ended = matches!(self.session(no).state, State::Ended(_));
        let resource = self.resource_mut(no, number);
        let left = resource.is_lingering();
        match (&resource.standing, asked.manner) {
            (Standing::Released(..), _) => {}
            (_, ReleaseManner::Forced) => {
                self.marks.hit(Outside::Forced);
                self.marks.hit_if(left, Outside::ForcedLingering);
                self.gone(no, number, ReleaseOutcome::Forced, &asked.actor, out);
            }
            (Standing::Held, ReleaseManner::Verified) => {
                resource.standing = Standing::Releasing;
                out.releases = true;
                self.marks.hit_if(!ended, Outside::ReleasedInUse);
            }
            (Standing::Releasing | Standing::Lingering(..), ReleaseManner::Verified) => {
                out.releases = true;
            }
        }
        Ok(self.resource_answer(no, number, false))
    }

    /// An attempt to release a resource is over, or it was found gone.
    pub(crate) fn attempted(&mut self, report: &Attempted, out: &mut Expected) {
        let (no, number) = (report.session.0, report.number.0);
        let Some(node) = self.resource(no, number).map(|one| one.node.clone()) else {
            return self.marks.hit(Outside::ReportStale);
        };
        let is_away = matches!(
            report.attempt,
            Attempt::Left {
                cause: LingeringCause::NodeAway,
                ..
            }
        );
        let counts = match report.witness {
            Witness::Server if is_away => node.is_some(),
            Witness::Server | Witness::Agent(_) => self.may_speak(node.as_ref(), report.witness),
        };
        if !counts {
            return self.marks.hit(Outside::ReportUnheard);
        }
        let known = self.resource(no, number);
        let Some(resource) = known.filter(|resource| !resource.is_released()) else {
            return self.marks.hit(Outside::ReportStale);
        };
        let marked = resource.target == Target::Marked;
        if (report.knew == Knowledge::Mark) != marked {
            // It knew less of it than is known by now, or more than ever was.
            return self.marks.hit(Outside::ReportOutdated);
        }
        let held = resource.standing == Standing::Held;
        match &report.attempt {
            Attempt::Gone(outcome) => {
                self.marks.hit_if(held, Outside::FoundGone);
                self.gone(no, number, *outcome, &Actor::agent(), out);
            }
            Attempt::Left { .. } if held => self.marks.hit(Outside::LeftInUse),
            Attempt::Left { cause, detail } => self.left(no, number, *cause, detail, out),
        }
    }

    /// A resource did not go when it was to, which is told once.
    fn left(
        &mut self,
        no: u64,
        number: u64,
        cause: LingeringCause,
        detail: &str,
        out: &mut Expected,
    ) {
        let wall = self.wall;
        let resource = self.resource_mut(no, number);
        if let Standing::Lingering(before, words, _) = &mut resource.standing {
            if *before != cause {
                *before = cause;
                detail.clone_into(words);
                self.marks.hit(Outside::LingersOtherwise);
            }
            return;
        }
        resource.standing = Standing::Lingering(cause, detail.to_owned(), wall);
        let (token, name) = (resource.token(no), resource.name.clone());
        self.marks.hit(Outside::Lingers);
        out.facts.push(Fact::ResourceLingering {
            token,
            name,
            cause,
            detail: detail.to_owned(),
        });
    }

    /// A resource is gone, and with the last of them what was waited for.
    fn gone(
        &mut self,
        no: u64,
        number: u64,
        outcome: ReleaseOutcome,
        actor: &Actor,
        out: &mut Expected,
    ) {
        let wall = self.wall;
        let resource = self.resource_mut(no, number);
        resource.standing = Standing::Released(outcome, wall);
        out.facts.push(Fact::ResourceReleased {
            token: resource.token(no),
            name: resource.name.clone(),
            outcome,
            actor: actor.clone(),
        });
        if self.session(no).unreleased() == 0 {
            self.mark_last(no);
            if let State::Ended(_) = self.session(no).state {
                out.facts.push(Fact::Released(no));
            }
            self.nothing_left(no, out);
        }
    }

    fn mark_last(&mut self, no: u64) {
        let session = self.session(no);
        let drains = matches!(session.state, State::Draining(_));
        let (pool, ended) = (session.pool.clone(), !drains && !session.is_active());
        self.marks.hit_if(drains, Outside::GoneInDrain);
        let heir = self.sessions.iter().filter_map(|s| s.behind());
        let passes = heir.filter(|behind| behind.predecessor == no && behind.inherits);
        let passes = passes.count() > 0;
        let waits = !self.line(&pool).is_empty();
        self.marks
            .hit_if(ended && waits && !passes, Outside::SlotFreed);
    }

    // === what goes with what it belongs to ===

    /// A session has ended: nothing of it may be left, or it keeps its slot.
    pub(crate) fn tell_if_all_gone(&mut self, no: u64, out: &mut Expected) {
        let session = self.session(no);
        let (some, left) = (session.declared > 0, session.unreleased() > 0);
        if some && !left {
            self.marks.hit(Outside::GoneBeforeEnd);
            out.facts.push(Fact::Released(no));
        }
        let waits = left && !self.line(&self.session(no).pool).is_empty();
        self.marks.hit_if(waits, Outside::SlotKept);
    }

    /// Everything that a session has is to go, at its end.
    pub(crate) fn let_go_all(&mut self, no: u64, out: &mut Expected) {
        for resource in &mut self.session_mut(no).resources {
            if resource.standing == Standing::Held {
                resource.standing = Standing::Releasing;
                out.releases = true;
            }
        }
    }

    /// Marks the end of a lease that has something outside which must not outlive it.
    pub(crate) fn mark_outside(&mut self, epoch: u64, mark: Outside) {
        let resources = &self.session(self.leases[&epoch].session).resources;
        let mut held = resources.iter().filter(|r| r.standing == Standing::Held);
        let some = held.any(|resource| resource.lease == Some(epoch));
        self.marks.hit_if(some, mark);
    }

    /// What belongs to a lease that holds its session no more is to go.
    pub(crate) fn let_go_of(&mut self, epoch: u64, out: &mut Expected) {
        let no = self.leases[&epoch].session;
        let mut spared = false;
        for resource in &mut self.session_mut(no).resources {
            let held = resource.standing == Standing::Held;
            if held && resource.lease == Some(epoch) {
                resource.standing = Standing::Releasing;
                out.releases = true;
            }
            spared |= held && resource.lease != Some(epoch);
        }
        self.marks.hit_if(spared, Outside::LeaseSpared);
    }

    // === finding them ===

    /// The resource that a token names.
    fn named(&self, namespace: &Namespace, token: ResourceToken) -> Result<(u64, u64), Refusal> {
        let (no, number) = (token.session.0, token.number.0);
        let found = self.resource(no, number);
        let found = found.filter(|found| found.salt == token.salt);
        match found {
            Some(_) if namespace.as_str() == NAMESPACE => Ok((no, number)),
            Some(_) | None => Err(Refusal::ResourceNotFound(token)),
        }
    }

    pub(crate) fn resource(&self, no: u64, number: u64) -> Option<&Resource> {
        let mut sessions = self.sessions.iter();
        let session = sessions.find(|s| s.no == no && !s.purged)?;
        session.resources.iter().find(|r| r.number == number)
    }

    fn resource_mut(&mut self, no: u64, number: u64) -> &mut Resource {
        let mut resources = self.session_mut(no).resources.iter_mut();
        let found = resources.find(|resource| resource.number == number);
        found.expect("it was found before")
    }

    fn resource_answer(&self, no: u64, number: u64, duplicate: bool) -> Answer {
        let resource = self.resource(no, number).expect("it is on record");
        Answer::Resource {
            session: no,
            resource: Box::new(resource.clone()),
            duplicate,
        }
    }
}
