//! What is outside: callers that declare and register it, operators that let it go, and the one that ends it.
//!
//! The releaser does what the server's own does: it looks for what is marked, tries, and reports. Most goes at once, some
//! only when it is tried again, and a little not before all is well. What this deliberately does not do: run a process.

use sessiond_core::command::resource::{
    Attempted, Declare, Knowledge, Register, Release, ReleaseManner,
};
use sessiond_core::command::{Command, RequestTag};
use sessiond_core::ids::{
    Epoch, Namespace, RequestId, ResourceName, ResourceNo, SessionNo, SessionRef,
};
use sessiond_core::limits::RESOURCES_PER_SESSION_MAX;
use sessiond_core::node::Witness;
use sessiond_core::resource::{
    Attempt, LingeringCause, ProcessIdentity, ReleaseOutcome, ResourceToken, Scope, Target,
    TmuxIdentity,
};

use super::state::State;
use super::world::{ELSEWHERE, World};

/// Of so many resources one does not go while anything is not well.
const STUBBORN: u64 = 20;
/// And the numbers below this one do not go at first.
const SLOW: u64 = 5;

const OUTCOMES: [ReleaseOutcome; 3] = [
    ReleaseOutcome::Killed,
    ReleaseOutcome::AlreadyGone,
    ReleaseOutcome::Mismatch,
];

impl World {
    // === callers ===

    /// A caller that declares a resource, mostly of a session in use, now and then twice.
    pub(crate) fn declare(&mut self) {
        if self.rng.u32(..80) == 0 {
            return self.declare_many();
        }
        let session = self.some_user();
        let declare = self.a_resource(session);
        let again = self.rng.u32(..6) == 0;
        let _ = self.submit(&Command::Declare(Box::new(declare.clone())));
        if again {
            let salt = self.rng.u64(..);
            let again = Declare { salt, ..declare };
            let _ = self.submit(&Command::Declare(Box::new(again)));
        }
    }

    /// A session in use with something outside, if there is one.
    pub(crate) fn some_bearer(&mut self) -> Option<SessionRef> {
        let active = self.model.sessions.iter().filter(|s| s.is_active());
        let bearers = active.filter(|s| s.unreleased() > 0);
        let bearers: Vec<_> = bearers.map(|s| s.id.clone()).collect();
        self.pick(&bearers).map(SessionRef::Id)
    }

    /// A session, mostly one in use.
    fn some_user(&mut self) -> SessionRef {
        let active = self.model.sessions.iter().filter(|s| s.is_active());
        let active: Vec<_> = active.map(|s| s.id.clone()).collect();
        match self.pick(&active) {
            Some(id) if self.rng.bool() => SessionRef::Id(id),
            Some(_) | None => self.some_session(),
        }
    }

    fn a_resource(&mut self, session: SessionRef) -> Declare {
        let scope = match self.rng.u32(..6) {
            0 => Scope::Lease(Epoch(self.rng.u64(1..20))),
            1..4 => self.lease_scope(&session),
            _ => Scope::Session,
        };
        let named = self.rng.u32(..3) == 0;
        let target = match self.rng.u32(..4) {
            0 => a_process(self.rng.u32(1..4)),
            _ => Target::Marked,
        };
        let node = self.some_machine();
        let witness = self.some_witness(node.as_ref());
        Declare {
            namespace: self.namespace.clone(),
            session,
            name: named.then(|| ResourceName::parse("shell").unwrap()),
            scope,
            node,
            target,
            witness,
            salt: self.rng.u64(..),
            request: self.tag(10),
            actor: self.actor(),
        }
    }

    /// The lease that the session has, if it has one.
    fn lease_scope(&self, session: &SessionRef) -> Scope {
        let found = self.model.find_any(session).ok();
        let lease = found.and_then(|no| self.model.lease_of(no));
        lease.map_or(Scope::Session, |epoch| Scope::Lease(Epoch(epoch)))
    }

    /// A caller that declares as many as a session may have; the first one may be gone by then, and is asked for again.
    fn declare_many(&mut self) {
        let session = self.some_user();
        let mut body = [0; 32];
        body[0] = 10;
        let first = Declare {
            scope: Scope::Session,
            request: Some(RequestTag {
                id: RequestId::parse(format!("r{}", self.rng.u32(..12))).unwrap(),
                body,
            }),
            ..self.a_resource(session)
        };
        let _ = self.submit(&Command::Declare(Box::new(first.clone())));
        if self.rng.bool() {
            self.report_newest();
        }
        for salt in 0..=RESOURCES_PER_SESSION_MAX as u64 {
            let declare = Declare {
                request: None,
                salt,
                ..first.clone()
            };
            let _ = self.submit(&Command::Declare(Box::new(declare)));
        }
        let _ = self.submit(&Command::Declare(Box::new(first)));
    }

    fn report_newest(&mut self) {
        if let Some(token) = self.clients.resources.last().copied() {
            self.tell(token, Attempt::Gone(ReleaseOutcome::AlreadyGone));
        }
    }

    /// A resource that was declared, mostly one of the newest; now and then one that there never was.
    fn some_resource(&mut self) -> ResourceToken {
        let known = self.clients.resources.len();
        if known == 0 || self.rng.u32(..20) == 0 {
            return ResourceToken {
                session: SessionNo(self.rng.u64(..9)),
                number: ResourceNo(self.rng.u64(..4)),
                salt: self.rng.u64(..),
            };
        }
        let first = if self.rng.u32(..4) == 0 {
            0
        } else {
            known.saturating_sub(5)
        };
        self.clients.resources[self.rng.usize(first..known)]
    }

    fn some_namespace(&mut self) -> Namespace {
        if self.rng.u32(..25) == 0 {
            Namespace::parse(ELSEWHERE).unwrap()
        } else {
            self.namespace.clone()
        }
    }

    /// A caller that says what a resource is, in time, twice, otherwise, or while it is to go.
    pub(crate) fn register(&mut self) {
        let to_go: Vec<ResourceToken> = {
            let sessions = self.model.sessions.iter();
            let all = sessions.flat_map(|s| s.resources.iter().map(move |r| (s.no, r)));
            let to_go = all.filter(|(_, r)| r.is_releasing() && r.target == Target::Marked);
            to_go.map(|(no, r)| r.token(no)).collect()
        };
        let resource = match self.pick(&to_go) {
            Some(token) if self.rng.u32(..3) == 0 => token,
            Some(_) | None => self.some_resource(),
        };
        let target = match self.rng.u32(..3) {
            0 => a_tmux(),
            _ => a_process(self.rng.u32(1..3)),
        };
        let node = self.machine_of(resource);
        let register = Register {
            namespace: self.some_namespace(),
            resource,
            target,
            witness: self.some_witness(node.as_ref()),
        };
        let _ = self.submit(&Command::Register(Box::new(register)));
    }

    /// A caller that has a resource go, or an operator that does not wait for it.
    pub(crate) fn let_go(&mut self) {
        let release = Release {
            namespace: self.some_namespace(),
            resource: self.some_resource(),
            manner: match self.rng.u32(..3) {
                0 => ReleaseManner::Forced,
                _ => ReleaseManner::Verified,
            },
            actor: self.actor(),
        };
        let _ = self.submit(&Command::Release(release));
    }

    // === whoever may signal ===

    /// What comes of an attempt that began just now.
    fn tell(&mut self, token: ResourceToken, attempt: Attempt) {
        let knew = self.knowledge(token);
        self.tell_known(token, knew, attempt);
    }

    fn knowledge(&self, token: ResourceToken) -> Knowledge {
        let known = self.model.resource(token.session.0, token.number.0);
        known.map_or(Knowledge::Mark, |known| Knowledge::of(&known.target))
    }

    fn tell_known(&mut self, token: ResourceToken, knew: Knowledge, attempt: Attempt) {
        let witness = self.witness(self.machine_of(token).as_ref());
        self.tell_as(witness, token, knew, attempt);
    }

    fn tell_as(
        &mut self,
        witness: Witness,
        token: ResourceToken,
        knew: Knowledge,
        attempt: Attempt,
    ) {
        let attempted = Attempted {
            session: token.session,
            number: token.number,
            knew,
            attempt,
            witness,
        };
        self.submit(&Command::Attempted(attempted)).unwrap();
    }

    /// A report about any resource, whatever became of it.
    pub(crate) fn report(&mut self) {
        let draining: Vec<ResourceToken> = {
            let sessions = self.model.sessions.iter();
            let drain = sessions.filter(|s| matches!(s.state, State::Draining(_)));
            let all = drain.flat_map(|s| s.resources.iter().map(move |r| r.token(s.no)));
            all.collect()
        };
        let token = match self.pick(&draining) {
            Some(token) if self.rng.bool() => token,
            Some(_) | None => self.some_resource(),
        };
        let attempt = match self.rng.u32(..3) {
            0 => self.left(),
            _ => self.gone(),
        };
        if self.rng.u32(..4) == 0 {
            // Somebody else may have the node since, or the server may not reach it.
            let node = self.machine_of(token);
            let (witness, knew) = (self.some_witness(node.as_ref()), self.knowledge(token));
            return self.tell_as(witness, token, knew, attempt);
        }
        if self.rng.u32(..3) == 0 {
            // It may have been registered since it began.
            return self.tell_known(token, Knowledge::Mark, attempt);
        }
        self.tell(token, attempt);
    }

    fn gone(&mut self) -> Attempt {
        Attempt::Gone(OUTCOMES[self.rng.usize(..OUTCOMES.len())])
    }

    fn left(&mut self) -> Attempt {
        let causes = [
            LingeringCause::Denied,
            LingeringCause::TimedOut,
            LingeringCause::NodeAway,
        ];
        let cause = causes[self.rng.usize(..causes.len())];
        Attempt::Left {
            cause,
            detail: format!("{cause:?} {}", self.rng.u32(..3)),
        }
    }

    /// Everything that is to go is tried once.
    pub(crate) fn release_some(&mut self) {
        self.commit();
        for (no, resource) in self.store.to_release() {
            let slow = resource.salt % STUBBORN;
            let attempt = match slow {
                0 => continue,
                1..SLOW if self.rng.u32(..3) > 0 => self.left(),
                _ => self.gone(),
            };
            self.tell(resource.token(no), attempt);
        }
    }

    /// Everything goes that is to.
    pub(crate) fn release_all(&mut self) {
        self.commit();
        for (no, resource) in self.store.to_release() {
            let gone = Attempt::Gone(ReleaseOutcome::Killed);
            self.tell(resource.token(no), gone);
        }
    }
}

fn a_process(pid: u32) -> Target {
    Target::Process(identity(pid))
}

fn identity(pid: u32) -> ProcessIdentity {
    ProcessIdentity {
        boot_id: "boot".to_owned(),
        pid,
        start_ticks: 1,
        inode: None,
        uid: 1,
        group: pid,
        session: pid,
    }
}

fn a_tmux() -> Target {
    Target::Tmux(Box::new(TmuxIdentity {
        socket: "/tmp/tmux".to_owned(),
        server: identity(9),
        session: 3,
        created: 1,
        name: "main".to_owned(),
        panes: vec![identity(8)],
        private: true,
    }))
}
