//! Words of short stories: one key, one worker, one message at a time.

use std::num::NonZeroU32;

use sessiond_core::change::Change;
use sessiond_core::command::{
    Claim, Command, ConflictPolicy, End, Enqueue, NewSessionId, Open, TimeoutOverrides,
};
use sessiond_core::event::{Actor, ActorKind};
use sessiond_core::ids::{
    InstanceId, MessageKind, Namespace, SessionId, SessionKey, SessionRef, WorkerName,
};
use sessiond_core::message::{DeliveryMode, NewMessage};
use sessiond_core::rows::{Counters, Row, RowKey};
use sessiond_core::session::{EndMode, EndReason, Labels, PendingPolicy, Profile};
use sessiond_core::time::{EngineTime, Now, Span, WallTime};
use sessiond_store::snapshot::Rows;
use sessiond_store::store::Store;

use crate::world::World;

pub(crate) fn rows(store: &Store) -> Rows {
    store.reader().snapshot().expect("snapshot")
}

pub(crate) fn counted(pending: u64) -> Change {
    let counters = Counters {
        pending,
        ..Counters::default()
    };
    Change::Row(RowKey::Counters, Some(Row::Counters(counters.into())))
}

pub(crate) fn session_key() -> SessionKey {
    SessionKey::parse("k").expect("an id")
}

pub(crate) fn namespace() -> Namespace {
    Namespace::parse("n").expect("an id")
}

fn now(ms: u64) -> Now {
    Now {
        engine: EngineTime(ms),
        wall: WallTime(1_000_000 + ms),
    }
}

fn caller() -> Actor {
    Actor::unnamed(ActorKind::Api)
}

pub(crate) fn open(id: &str) -> Command {
    Command::Open(Box::new(Open {
        namespace: namespace(),
        key: Some(session_key()),
        id: NewSessionId::Drawn(SessionId::parse(id).expect("an id")),
        pool: None,
        profile: Profile::default(),
        prompt_number: None,
        timeouts: TimeoutOverrides::default(),
        conflict: ConflictPolicy::Fail,
        wait: None,
        ordering: None,
        max_in_flight: None,
        parent: None,
        request: None,
        actor: caller(),
    }))
}

pub(crate) fn enqueue() -> Command {
    let message = NewMessage {
        kind: MessageKind::parse("observation").expect("a kind"),
        payload: bytes::Bytes::from_static(b"payload"),
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
    Command::Enqueue(Enqueue {
        namespace: namespace(),
        session: SessionRef::Key(session_key()),
        messages: vec![message],
        cause: None,
        open_if_missing: None,
    })
}

pub(crate) fn claim() -> Command {
    Command::Claim(Claim {
        namespace: namespace(),
        session: SessionRef::Key(session_key()),
        worker: WorkerName::parse("w").expect("an id"),
        instance: InstanceId::parse("i").expect("an id"),
        lease: Span::seconds(60),
        max_messages: NonZeroU32::MIN,
    })
}

pub(crate) fn end(session: &str, mode: EndMode) -> Command {
    Command::End(End {
        namespace: namespace(),
        session: SessionRef::Id(SessionId::parse(session).expect("an id")),
        reason: EndReason::Completed,
        detail: String::new(),
        mode,
        grace: None,
        pending: PendingPolicy::Keep,
        successor: None,
        request: None,
        actor: caller(),
    })
}

pub(crate) fn tell(world: &mut World, command: &Command, at: u64) {
    let outcome = world.tell(command, now(at));
    assert!(outcome.answer.is_ok(), "{:?}", outcome.answer);
}
