//! A server on simulated time, one session, and what happens to it in words.

use std::num::NonZeroU32;

use bytes::Bytes;
use sessiond_core::command::{
    BeginRequest, Claim, Command, ConflictPolicy, End, EndRequest, Enqueue, Hello, NackKind,
    NewSessionId, Open, Outcome, Settle, Settlement, TimeoutOverrides, Touch, WorkerCommand,
    WorkerFrame,
};
use sessiond_core::event::{Actor, ActorKind, EventKind};
use sessiond_core::ids::{
    InstanceId, MessageKind, SessionId, SessionKey, SessionRef, StreamId, WorkerName,
};
use sessiond_core::limits::Policy;
use sessiond_core::message::{DeliveryMode, NewMessage};
use sessiond_core::presence::{SessionFilter, Window};
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::{Delivery, Frame, Reply};
use sessiond_core::requests::RequestToken;
use sessiond_core::session::{
    EndMode, EndReason, Labels, Lifecycle, PendingPolicy, Profile, Usage,
};
use sessiond_core::time::{Limit, Span};

use super::harness::world::{Trace, World};

/// Milliseconds of a second.
pub(crate) const SECOND: u64 = 1_000;
/// Milliseconds of a minute.
pub(crate) const MINUTE: u64 = 60 * SECOND;

/// The server, with the session `s` under the key `k`.
pub(crate) struct Desk {
    pub(crate) world: World,
    streams: u64,
}

/// A worker with a stream.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) instance: InstanceId,
    pub(crate) stream: StreamId,
}

impl Desk {
    /// A server of a policy, with a session of these limits.
    pub(crate) fn open(policy: Policy, timeouts: TimeoutOverrides) -> Self {
        let world = World::new(policy, Trace::default());
        let mut desk = Self { world, streams: 0 };
        desk.another("s", "k", timeouts);
        desk
    }

    /// One more session.
    pub(crate) fn another(&mut self, id: &str, key: &str, timeouts: TimeoutOverrides) {
        let open = Open {
            namespace: self.world.namespace.clone(),
            key: SessionKey::parse(key).ok(),
            id: NewSessionId::Brought(SessionId::parse(id).expect("an id")),
            pool: None,
            profile: Profile::default(),
            prompt_number: None,
            timeouts,
            conflict: ConflictPolicy::Fail,
            wait: None,
            ordering: None,
            max_in_flight: None,
            parent: None,
            request: None,
            actor: api(),
        };
        self.did(&Command::Open(Box::new(open)));
    }

    /// Does what must not be refused.
    pub(crate) fn did(&mut self, command: &Command) -> Reply {
        match self.world.submit(command) {
            Ok(reply) => reply,
            Err(rejection) => panic!("{command:?} is refused: {rejection:?}"),
        }
    }

    /// Does what must be refused.
    pub(crate) fn refused(&mut self, command: &Command) -> Rejection {
        match self.world.submit(command) {
            Ok(reply) => panic!("{command:?} is not refused: {reply:?}"),
            Err(rejection) => rejection,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.world.engine_ms
    }

    /// Lets time pass and does what is due, at its instant.
    pub(crate) fn pass(&mut self, millis: u64) {
        let target = self.now() + millis;
        while let Some(at) = self.world.next_event().filter(|at| *at <= target) {
            self.world.engine_ms = self.now().max(at);
            self.world.run_due();
        }
        self.world.engine_ms = target;
        self.world.run_due();
    }

    /// The same, while workers are heard.
    pub(crate) fn pass_heard(&mut self, millis: u64, workers: &[&Worker]) {
        let target = self.now() + millis;
        while self.now() < target {
            let step = (target - self.now()).min(5 * SECOND);
            self.pass(step);
            for worker in workers {
                self.say(worker, WorkerFrame::Heartbeat);
            }
        }
    }

    /// What the log says so far.
    pub(crate) fn told(&self) -> Vec<EventKind> {
        self.world.store.events.iter().map(|e| e.kind).collect()
    }

    /// How often it says so.
    pub(crate) fn count(&self, kind: EventKind) -> usize {
        self.told().into_iter().filter(|told| *told == kind).count()
    }

    /// An attribute of the newest event of a kind.
    pub(crate) fn attribute(&self, kind: EventKind, name: &str) -> Option<String> {
        let mut events = self.world.store.events.iter().rev();
        let event = events.find(|event| event.kind == kind)?;
        event.attributes.get(name).cloned()
    }

    /// Why and when, by engine time, the session `s` ended.
    pub(crate) fn end(&self) -> Option<(EndReason, u64)> {
        let mut events = self.world.store.events.iter();
        events.find_map(|event| {
            let session = &event.session()?.session;
            match &session.lifecycle {
                Lifecycle::Ended(end) if session.id.as_str() == "s" => {
                    Some((end.reason, session.created_at.0 + end.duration.0))
                }
                Lifecycle::Queued(_)
                | Lifecycle::Active
                | Lifecycle::Draining(_)
                | Lifecycle::Ended(_) => None,
            }
        })
    }

    // === callers ===

    pub(crate) fn touch(&mut self) {
        let touch = Touch {
            namespace: self.world.namespace.clone(),
            session: s(),
            usage: Usage::default(),
        };
        self.did(&Command::Touch(touch));
    }

    pub(crate) fn send(&mut self, session: SessionRef) {
        let message = NewMessage {
            kind: MessageKind::parse("observation").expect("a kind"),
            payload: Bytes::from_static(b"m"),
            content_type: String::new(),
            attributes: Labels::new(),
            agent_id: String::new(),
            agent_type: String::new(),
            prompt_number: None,
            mode: DeliveryMode::FollowUp,
            coalesce_key: None,
            debounce: None,
            occurred_time: None,
            not_before_time: None,
            idempotency_key: None,
            trace_parent: String::new(),
        };
        let enqueue = Enqueue {
            namespace: self.world.namespace.clone(),
            session,
            messages: vec![message],
            cause: None,
            open_if_missing: None,
        };
        self.did(&Command::Enqueue(enqueue));
    }

    pub(crate) fn finish(&mut self, mode: EndMode) -> Reply {
        let end = End {
            namespace: self.world.namespace.clone(),
            session: s(),
            reason: EndReason::Completed,
            detail: String::new(),
            mode,
            grace: None,
            pending: PendingPolicy::Keep,
            successor: None,
            request: None,
            actor: api(),
        };
        self.did(&Command::End(end))
    }

    pub(crate) fn begin(&mut self, lease: u64, renews: Option<RequestToken>) -> RequestToken {
        let begin = BeginRequest {
            namespace: self.world.namespace.clone(),
            session: s(),
            lease: Some(Span(lease)),
            renews,
        };
        let reply = self.did(&Command::BeginRequest(begin));
        let Reply::RequestBegun { token, .. } = reply else {
            panic!("a request begins with {reply:?}");
        };
        token
    }

    pub(crate) fn over(&mut self, token: RequestToken) {
        let end = EndRequest {
            namespace: self.world.namespace.clone(),
            session: s(),
            token,
        };
        self.did(&Command::EndRequest(end));
    }

    // === workers ===

    /// A worker that serves everything, or only what it attaches to.
    pub(crate) fn hello(&mut self, instance: &str, serves: Option<SessionFilter>) -> Worker {
        self.streams += 1;
        let worker = Worker {
            instance: InstanceId::parse(instance).expect("an id"),
            stream: StreamId(self.streams),
        };
        self.world
            .wire
            .insert(worker.stream, std::collections::VecDeque::new());
        let hello = Hello {
            worker: WorkerName::parse("worker").expect("an id"),
            build_id: String::new(),
            labels: Labels::new(),
            window: Window {
                messages: 16,
                bytes: 1 << 20,
                sessions: 16,
            },
            serves,
            resume: Vec::new(),
        };
        self.say(&worker, WorkerFrame::Hello(Box::new(hello)));
        worker
    }

    pub(crate) fn say(&mut self, worker: &Worker, frame: WorkerFrame) {
        let command = WorkerCommand {
            instance: (self.world.namespace.clone(), worker.instance.clone()),
            stream: worker.stream,
            frame,
        };
        self.did(&Command::Worker(command));
    }

    pub(crate) fn attach(&mut self, worker: &Worker) {
        self.say(worker, WorkerFrame::Attach { session: s() });
    }

    pub(crate) fn close(&mut self, worker: &Worker) {
        self.say(worker, WorkerFrame::Closed);
        self.world.commit();
        self.world.wire.remove(&worker.stream);
    }

    /// What was written to a worker's stream since it was asked last.
    pub(crate) fn frames(&mut self, worker: &Worker) -> Vec<Frame> {
        self.world.commit();
        let frames = self.world.wire.get_mut(&worker.stream);
        frames.expect("its stream is open").drain(..).collect()
    }

    /// The deliveries among them.
    pub(crate) fn handed(&mut self, worker: &Worker) -> Vec<Delivery> {
        let frames = self.frames(worker);
        let deliveries = frames.into_iter().filter_map(|frame| match frame {
            Frame::Deliveries(deliveries) => Some(deliveries),
            Frame::Welcome { .. }
            | Frame::Attached { .. }
            | Frame::AttachFailed { .. }
            | Frame::Settled(_)
            | Frame::SessionEnding { .. }
            | Frame::Cancel { .. }
            | Frame::LeaseLost { .. }
            | Frame::GoAway { .. } => None,
        });
        deliveries.flatten().collect()
    }

    pub(crate) fn claim(&mut self, instance: &str, lease: u64) -> Vec<Delivery> {
        let reply = self.did(&self.a_claim(instance, lease));
        let Reply::Claimed { deliveries, .. } = reply else {
            panic!("a claim is answered with {reply:?}");
        };
        deliveries
    }

    pub(crate) fn a_claim(&self, instance: &str, lease: u64) -> Command {
        Command::Claim(Claim {
            namespace: self.world.namespace.clone(),
            session: s(),
            worker: WorkerName::parse("claimer").expect("an id"),
            instance: InstanceId::parse(instance).expect("an id"),
            lease: Span(lease),
            max_messages: NonZeroU32::MIN,
        })
    }

    pub(crate) fn settle(&mut self, delivery: &Delivery, outcome: Outcome) {
        let settle = Settle {
            namespace: self.world.namespace.clone(),
            settlements: vec![Settlement {
                queue: delivery.message.queue,
                seq: delivery.message.seq,
                delivery_id: delivery.delivery_id,
                epoch: delivery.epoch,
                outcome,
            }],
        };
        self.did(&Command::Settle(settle));
    }

    pub(crate) fn ack(&mut self, delivery: &Delivery) {
        let usage = Usage::default();
        self.settle(delivery, Outcome::Ack { usage });
    }

    pub(crate) fn defer(&mut self, delivery: &Delivery) {
        let nack = Outcome::Nack {
            kind: NackKind::Defer,
            delay: Some(Span(0)),
            error: String::new(),
        };
        self.settle(delivery, nack);
    }
}

/// The session that most of it is about.
pub(crate) fn s() -> SessionRef {
    SessionRef::Id(SessionId::parse("s").expect("an id"))
}

fn api() -> Actor {
    Actor::unnamed(ActorKind::Api)
}

/// No limit of a session at all.
pub(crate) fn unlimited() -> TimeoutOverrides {
    TimeoutOverrides {
        idle: Some(Limit::Never),
        lifetime: Some(Limit::Never),
        owner: Some(Limit::Never),
    }
}

/// A limit in milliseconds.
pub(crate) fn after(millis: u64) -> Option<Limit> {
    Some(Limit::After(Span(millis)))
}

/// Patience without end with workers, so that only what a test sets matters.
pub(crate) fn patient() -> Policy {
    Policy {
        stuck_after: Limit::Never,
        worker_idle: Limit::Never,
        warning_lead: Limit::Never,
        restart_limit: 100,
        max_attempts: 1_000,
        ..Policy::default()
    }
}
