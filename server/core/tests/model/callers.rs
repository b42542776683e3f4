//! Simulated callers: they open, touch, update, end and enqueue, by key and by id, once and twice, in time and late.

use std::num::NonZeroU32;

use bytes::Bytes;
use sessiond_core::command::{
    Command, ConflictPolicy, End, Enqueue, NewSessionId, Open, RequestTag, TimeoutOverrides, Touch,
    Update,
};
use sessiond_core::event::{Actor, ActorKind, Cause};
use sessiond_core::ids::{
    CoalesceKey, IdempotencyKey, MessageKind, PoolName, RequestId, Revision, SessionId, SessionKey,
    SessionRef,
};
use sessiond_core::limits::SUMMARIZE;
use sessiond_core::message::{Debounce, DeliveryMode, NewMessage};
use sessiond_core::session::{EndMode, EndReason, Labels, Ordering, PendingPolicy, Profile, Usage};
use sessiond_core::time::{Limit, Span, WallTime};

use super::world::World;

/// Conversations; few, so that they meet.
const KEYS: u32 = 4;

const REASONS: [EndReason; 9] = [
    EndReason::Completed,
    EndReason::Failed,
    EndReason::Deleted,
    EndReason::Reset,
    EndReason::Compacted,
    EndReason::Shutdown,
    EndReason::Restart,
    EndReason::Idle,
    EndReason::Crashed,
];

impl World {
    fn one_in(&mut self, times: u32) -> bool {
        self.rng.u32(..times) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.rng.usize(..of.len())].clone())
    }

    pub(crate) fn key(&mut self) -> SessionKey {
        SessionKey::parse(format!("k{}", self.rng.u32(..KEYS))).unwrap()
    }

    /// A session by key, by id, or one that never was. Mostly one of the newest.
    pub(crate) fn some_session(&mut self) -> SessionRef {
        if self.one_in(2) {
            return SessionRef::Key(self.key());
        }
        SessionRef::Id(self.some_id())
    }

    pub(crate) fn some_id(&mut self) -> SessionId {
        let known = self.clients.sessions.len();
        let from = if self.one_in(5) {
            0
        } else {
            known.saturating_sub(6)
        };
        if known == 0 || self.one_in(20) {
            return SessionId::parse("nobody").unwrap();
        }
        self.clients.sessions[self.rng.usize(from..known)].clone()
    }

    /// What a call is made for, as if the server had looked it up.
    pub(crate) fn a_cause(&mut self) -> Option<Cause> {
        let cause = Cause {
            event: Revision(self.rng.u64(1..9)),
            depth: self.rng.u32(1..9),
        };
        self.one_in(3).then_some(cause)
    }

    pub(crate) fn actor(&mut self) -> Actor {
        let name = if self.rng.bool() { "ann" } else { "bob" };
        Actor {
            kind: ActorKind::Api,
            name: name.to_owned(),
            cause: None,
        }
    }

    /// A request id, now and then one that was used before, with a body of `kind`.
    pub(crate) fn tag(&mut self, kind: u8) -> Option<RequestTag> {
        if !self.one_in(3) {
            return None;
        }
        let mut body = [0; 32];
        // No body of one kind of call is that of another.
        body[0] = if self.one_in(10) { 90 + kind } else { kind };
        Some(RequestTag {
            id: RequestId::parse(format!("r{}", self.rng.u32(..12))).unwrap(),
            body,
        })
    }

    fn text(&mut self) -> String {
        let texts = ["", "", "a", "b"];
        texts[self.rng.usize(..texts.len())].to_owned()
    }

    fn labels(&mut self) -> Labels {
        let mut labels = Labels::new();
        if self.one_in(4) {
            labels.insert("team".to_owned(), self.text());
        }
        labels
    }

    fn limit(&mut self, least: u64, most: u64) -> Option<Limit> {
        match self.rng.u32(..10) {
            0 => Some(Limit::Never),
            1..3 => Some(Limit::After(Span(self.rng.u64(least..most)))),
            _ => None,
        }
    }

    fn timeouts(&mut self) -> TimeoutOverrides {
        TimeoutOverrides {
            idle: self.limit(5_000, 4_000_000),
            lifetime: self.limit(60_000, 9_000_000),
            owner: self.limit(5_000, 4_000_000),
        }
    }

    fn ordering(&mut self) -> Option<Ordering> {
        let orders = [Ordering::Strict, Ordering::Serial, Ordering::Relaxed];
        (!self.one_in(3)).then(|| orders[self.rng.usize(..orders.len())])
    }

    fn max_in_flight(&mut self) -> Option<NonZeroU32> {
        if self.one_in(3) {
            NonZeroU32::new(self.rng.u32(1..5))
        } else {
            None
        }
    }

    pub(crate) fn an_open(&mut self, key: Option<SessionKey>) -> Open {
        let number = self.clients.name();
        let fresh = SessionId::parse(format!("s{number}")).unwrap();
        let id = match self.rng.u32(..12) {
            0 => NewSessionId::Brought(self.some_id()),
            1 => NewSessionId::Drawn(self.some_id()),
            2..4 => NewSessionId::Brought(fresh),
            _ => NewSessionId::Drawn(fresh),
        };
        let pools = [
            None,
            None,
            None,
            Some("default"),
            Some("small"),
            Some("nowhere"),
        ];
        let pool = pools[self.rng.usize(..pools.len())];
        Open {
            namespace: self.namespace.clone(),
            key,
            id,
            pool: pool.map(|pool| PoolName::parse(pool).unwrap()),
            profile: Profile {
                project: self.text(),
                source: self.text(),
                labels: self.labels(),
                prompt: self.text(),
                ..Profile::default()
            },
            prompt_number: self.one_in(6).then(|| self.rng.u32(..9)),
            timeouts: self.timeouts(),
            conflict: match self.rng.u32(..10) {
                0..3 => ConflictPolicy::Replace,
                3 => ConflictPolicy::Fail,
                _ => ConflictPolicy::UseExisting,
            },
            wait: self.one_in(3).then(|| Span(self.rng.u64(1..90_000))),
            ordering: self.ordering(),
            max_in_flight: self.max_in_flight(),
            parent: None,
            request: self.tag(1),
            actor: self.actor(),
        }
    }

    pub(crate) fn open(&mut self) {
        let key = (!self.one_in(6)).then(|| self.key());
        let open = self.an_open(key);
        let again = self.one_in(8);
        // Refusals are among what the model predicts, so nothing need be done about them here.
        let _ = self.submit(&Command::Open(Box::new(open.clone())));
        if again {
            let _ = self.submit(&Command::Open(Box::new(open)));
        }
    }

    pub(crate) fn update(&mut self) {
        let etag = match self.rng.u32(..6) {
            0 => Some("0".to_owned()),
            1 => {
                let newest = self.model.sessions.last().map_or(0, |s| s.revision);
                Some(format!("{newest:x}"))
            }
            _ => None,
        };
        let update = Update {
            namespace: self.namespace.clone(),
            session: self.some_session(),
            project: self.rng.bool().then(|| self.text()),
            source: None,
            agent_id: None,
            labels: self.rng.bool().then(|| self.labels()),
            transcript_path: None,
            prompt: self.one_in(4).then(|| self.text()),
            prompt_number: self.one_in(8).then(|| self.rng.u32(..9)),
            timeouts: self.timeouts(),
            ordering: self.ordering(),
            max_in_flight: self.max_in_flight(),
            etag,
            request: self.tag(2),
            actor: self.actor(),
        };
        let _ = self.submit(&Command::Update(Box::new(update)));
    }

    pub(crate) fn touch(&mut self) {
        let touch = Touch {
            namespace: self.namespace.clone(),
            session: self.some_session(),
            usage: Usage {
                input_tokens: self.rng.u64(..100),
                output_tokens: self.rng.u64(..100),
            },
        };
        let _ = self.submit(&Command::Touch(touch));
    }

    pub(crate) fn end(&mut self) {
        let end = End {
            namespace: self.namespace.clone(),
            session: self.some_session(),
            reason: REASONS[self.rng.usize(..REASONS.len())],
            detail: self.text(),
            mode: match self.rng.u32(..6) {
                0..2 => EndMode::Immediate,
                2..4 => EndMode::Graceful,
                _ => EndMode::AfterPending,
            },
            grace: self.one_in(3).then(|| Span(self.rng.u64(..30_000))),
            pending: if self.one_in(4) {
                PendingPolicy::Discard
            } else {
                PendingPolicy::Keep
            },
            successor: self.one_in(8).then(|| self.some_id()),
            request: self.tag(3),
            actor: self.actor(),
        };
        let again = self.one_in(4);
        let _ = self.submit(&Command::End(end.clone()));
        if again {
            let shorter = End {
                mode: EndMode::Graceful,
                request: None,
                ..end
            };
            let _ = self.submit(&Command::End(shorter));
        }
    }

    pub(crate) fn message(&mut self) -> NewMessage {
        let kind = if self.one_in(3) {
            SUMMARIZE
        } else {
            "observation"
        };
        let number = self.clients.name();
        let length = match self.rng.u32(..10) {
            0 => self.rng.usize(500..3_000),
            1..4 => self.rng.usize(50..500),
            _ => 10,
        };
        let payload = format!("{number:<length$}");
        let now = self.now().wall.0;
        NewMessage {
            kind: MessageKind::parse(kind).unwrap(),
            payload: Bytes::from(payload),
            content_type: String::new(),
            attributes: Labels::new(),
            agent_id: String::new(),
            agent_type: String::new(),
            prompt_number: self.one_in(5).then(|| self.rng.u32(..9)),
            mode: match self.rng.u32(..12) {
                0 => DeliveryMode::Interrupt,
                1 | 2 => DeliveryMode::Steer,
                3 | 4 => DeliveryMode::Collect,
                _ => DeliveryMode::FollowUp,
            },
            coalesce_key: self.one_in(4).then(|| {
                let key = format!("c{}", self.rng.u32(..2));
                CoalesceKey::parse(key).unwrap()
            }),
            debounce: self.one_in(8).then(|| {
                let quiet = self.rng.u64(1..20_000);
                Debounce {
                    quiet: Span(quiet),
                    max_wait: Span(quiet + self.rng.u64(..20_000)),
                }
            }),
            occurred_time: None,
            not_before_time: match self.rng.u32(..10) {
                0 => Some(WallTime(now + self.rng.u64(..60_000))),
                1 => Some(WallTime(now - self.rng.u64(..60_000))),
                _ => None,
            },
            idempotency_key: self.one_in(2).then(|| {
                let name = format!("i{}", self.rng.u32(..20));
                IdempotencyKey::parse(name).unwrap()
            }),
            trace_parent: String::new(),
        }
    }

    /// A message under a name that was used before.
    pub(crate) fn enqueue_again(&mut self, key: SessionKey, name: IdempotencyKey) {
        let mut open = self.an_open(Some(key.clone()));
        open.request = None;
        let message = NewMessage {
            idempotency_key: Some(name),
            ..self.message()
        };
        let enqueue = Enqueue {
            namespace: self.namespace.clone(),
            session: SessionRef::Key(key),
            messages: vec![message],
            cause: self.a_cause(),
            open_if_missing: Some(Box::new(open)),
        };
        let _ = self.submit(&Command::Enqueue(enqueue));
    }

    /// An open under a request id that was used before.
    pub(crate) fn open_again(&mut self, id: RequestId) {
        let key = self.key();
        let mut open = self.an_open(Some(key));
        let mut body = [0; 32];
        body[0] = 1;
        open.request = Some(RequestTag { id, body });
        let _ = self.submit(&Command::Open(Box::new(open)));
    }

    pub(crate) fn enqueue(&mut self) {
        let session = self.some_session();
        let open = match &session {
            SessionRef::Key(key) if self.one_in(3) => {
                let mut open = self.an_open(Some(key.clone()));
                open.request = None;
                Some(Box::new(open))
            }
            SessionRef::Key(_) | SessionRef::Id(_) => None,
        };
        let count = if self.one_in(3) {
            self.rng.usize(2..6)
        } else {
            1
        };
        let enqueue = Enqueue {
            namespace: self.namespace.clone(),
            session,
            messages: (0..count).map(|_| self.message()).collect(),
            cause: self.a_cause(),
            open_if_missing: open,
        };
        let again = self.one_in(12);
        let _ = self.submit(&Command::Enqueue(enqueue.clone()));
        if again {
            let _ = self.submit(&Command::Enqueue(enqueue));
        }
    }
}
