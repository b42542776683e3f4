//! Rows with a value of their own in every field, so that a field shown in another's place is told.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use sessiond_core::circuit::{Circuit, CircuitState, Circuits};
use sessiond_core::event::{About, Actor, ActorKind, Cause, EventKind, EventRow, MessageRef};
use sessiond_core::ids::{
    CoalesceKey, DeliveryId, Epoch, IdempotencyKey, InstanceId, MessageKind, Namespace, PoolName,
    QueueId, RequestNo, Revision, Seq, SessionId, SessionKey, SessionNo, StreamId, WorkerName,
};
use sessiond_core::lease::LeaseView;
use sessiond_core::message::{Debounce, DeliveryMode, MessageRow, Rank, Standing};
use sessiond_core::presence::{Instance, Intent, Load, Window};
use sessiond_core::queue::Depth;
use sessiond_core::reply::WorkerView;
use sessiond_core::requests::{LiveRequest, Requests};
use sessiond_core::resource::Unreleased;
use sessiond_core::restart_guard::RestartGuard;
use sessiond_core::session::{
    ActivityRow, Counts, EndIntent, EndMode, EndReason, Lifecycle, Ordering, PendingPolicy,
    Profile, SessionEnd, SessionRow, SessionView, Timeouts, Totals, Usage, Volatile, Warned,
};
use sessiond_core::time::{EngineTime, Limit, Now, Span, WallTime};

use super::labels;

/// Engine time runs 1,000,000 ms behind wall time, so that one taken for the other is told.
pub(super) const NOW: Now = Now {
    engine: EngineTime(100_000),
    wall: WallTime(1_100_000),
};

pub(super) fn active() -> SessionView {
    SessionView {
        session: session_row().into(),
        activity: activity_row(),
        depth: Depth {
            ready: 11,
            waiting: 12,
            in_flight: 13,
            dead: 14,
            bytes: 15,
        },
        oldest_pending: Some(WallTime(1_080_002)),
        lease: Some(lease()),
    }
}

pub(super) fn draining() -> SessionView {
    let mut view = active();
    Arc::make_mut(&mut view.session).lifecycle = Lifecycle::Draining(EndIntent {
        reason: EndReason::Shutdown,
        detail: "deploy".to_owned(),
        actor: Actor {
            kind: ActorKind::Drain,
            name: "host".to_owned(),
            cause: None,
        },
        mode: EndMode::Graceful,
        deadline: EngineTime(105_000),
        pending: PendingPolicy::Keep,
        create_time: WallTime(1_099_000),
    });
    view
}

pub(super) fn ended() -> SessionView {
    let mut view = active();
    view.lease = None;
    Arc::make_mut(&mut view.session).lifecycle = Lifecycle::Ended(Box::new(end()));
    view
}

pub(super) fn end() -> SessionEnd {
    SessionEnd {
        reason: EndReason::Compacted,
        detail: "full".to_owned(),
        actor: Actor {
            kind: ActorKind::Api,
            name: "cli".to_owned(),
            cause: None,
        },
        create_time: WallTime(1_050_000),
        end_time: WallTime(1_098_765),
        duration: Span(48_765),
        counts: Counts {
            totals: Totals {
                enqueued: 61,
                processed: 62,
                dead_lettered: 63,
                discarded: 64,
                superseded: 72,
            },
            pending: 65,
            in_flight: 66,
        },
        usage: Usage {
            input_tokens: 67,
            output_tokens: 68,
        },
        pending_kept: 69,
        pending_discarded: 70,
        successor: Some(SessionId::parse("s-end-next").unwrap()),
        transcript_path: "/end".to_owned(),
    }
}

pub(super) fn lease() -> LeaseView {
    LeaseView {
        worker: WorkerName::parse("w").unwrap(),
        instance: InstanceId::parse("i").unwrap(),
        epoch: Epoch(21),
        acquire_time: WallTime(1_090_000),
        expire_time: WallTime(1_115_000),
    }
}

fn session_row() -> SessionRow {
    SessionRow {
        no: SessionNo(1),
        id: SessionId::parse("s-1").unwrap(),
        namespace: Namespace::parse("default").unwrap(),
        key: Some(SessionKey::parse("agent:main").unwrap()),
        pool: PoolName::parse("batch").unwrap(),
        queue: QueueId(31),
        lifecycle: Lifecycle::Active,
        profile: Profile {
            project: "/src".to_owned(),
            source: "hook".to_owned(),
            agent_id: "a-1".to_owned(),
            labels: labels([("team", "blue")]),
            prompt: "secret".to_owned(),
            transcript_path: "/t".to_owned(),
        },
        timeouts: Timeouts {
            idle: Limit::After(Span(60_500)),
            lifetime: Limit::After(Span::seconds(300)),
            owner: Limit::Never,
        },
        ordering: Ordering::Relaxed,
        max_in_flight: NonZeroU32::new(41).unwrap(),
        parent: Some(SessionId::parse("s-parent").unwrap()),
        predecessor: Some(SessionId::parse("s-0").unwrap()),
        successor: Some(SessionId::parse("s-next").unwrap()),
        create_time: WallTime(1_050_000),
        created_at: EngineTime(50_000),
        active_since: EngineTime(50_000),
        ranked_at: EngineTime(50_000),
        lease: Some(Epoch(21)),
        revision: Revision(255),
        resources: Some(Unreleased {
            count: 3,
            lingering: 2,
        }),
    }
}

fn activity_row() -> ActivityRow {
    ActivityRow {
        session: SessionNo(1),
        last_activity: EngineTime(95_000),
        last_activity_time: WallTime(1_095_000),
        owner_seen: EngineTime(90_000),
        touch_count: 51,
        prompt_number: 52,
        usage: Usage {
            input_tokens: 53,
            output_tokens: 54,
        },
        totals: Totals {
            enqueued: 55,
            processed: 56,
            dead_lettered: 57,
            discarded: 58,
            superseded: 60,
        },
        volatile: Volatile {
            instance: Some(InstanceId::parse("i").unwrap()),
            entries: labels([("model", "warm")]),
        },
        requests: Requests {
            begun: RequestNo(60),
            live: vec![LiveRequest {
                number: RequestNo(59),
                lease: Span(30_000),
                until: EngineTime(120_000),
            }],
        },
        circuits: Circuits::of(vec![
            circuit("a", CircuitState::Closed),
            circuit(
                "b",
                CircuitState::Open {
                    retry_at: EngineTime(160_000),
                },
            ),
            circuit(
                "c",
                CircuitState::Probing {
                    retry_at: EngineTime(99_000),
                },
            ),
        ]),
        restart_guard: RestartGuard {
            failures: vec![EngineTime(1), EngineTime(140_000), EngineTime(150_000)],
            suspended_until: Some(EngineTime(140_000)),
        },
        warned: Warned::default(),
        check_at: None,
    }
}

fn circuit(kind: &str, state: CircuitState) -> Circuit {
    Circuit {
        kind: MessageKind::parse(kind).unwrap(),
        failures: 59,
        state,
    }
}

pub(super) fn message_row() -> MessageRow {
    MessageRow {
        queue: QueueId(31),
        seq: Seq(71),
        kind: MessageKind::parse("observation").unwrap(),
        content_type: "text/plain".to_owned(),
        attributes: labels([("tool", "bash")]),
        agent_id: "sub".to_owned(),
        agent_type: "explorer".to_owned(),
        mode: DeliveryMode::Interrupt,
        coalesce_key: Some(CoalesceKey::parse("newest").unwrap()),
        debounce: Some(Debounce {
            quiet: Span::seconds(76),
            max_wait: Span::seconds(77),
        }),
        prompt_number: 72,
        occurred_time: Some(WallTime(1_080_001)),
        enqueue_time: WallTime(1_080_002),
        enqueued_at: EngineTime(80_002),
        idempotency_key: Some(IdempotencyKey::parse("once").unwrap()),
        not_before_time: Some(WallTime(1_080_003)),
        trace_parent: "00-aa-bb-01".to_owned(),
        bytes: 73,
        attempt: 74,
        latest: Some(DeliveryId(75)),
        last_error: "quota".to_owned(),
        cause: None,
        standing: Standing::Ready(Rank::New),
    }
}

pub(crate) fn event_row() -> EventRow {
    EventRow {
        revision: Revision(256),
        kind: EventKind::SessionEnd,
        time: WallTime(1_098_765),
        at: EngineTime(98_765),
        actor: Actor {
            kind: ActorKind::Worker,
            name: "w".to_owned(),
            cause: Some(Cause {
                event: Revision(255),
                depth: 3,
            }),
        },
        about: About::Session(Box::new(ended())),
        message: Some(MessageRef {
            queue: QueueId(31),
            seq: Seq(71),
            kind: "observation".to_owned(),
        }),
        attributes: BTreeMap::from([("limit".to_owned(), "idle".to_owned())]),
        siblings_after: 0,
        offset: 0,
    }
}

/// The session of an event that is about one, to be changed.
pub(crate) fn session_of(event: &mut EventRow) -> &mut SessionRow {
    match &mut event.about {
        About::Session(view) => Arc::make_mut(&mut view.session),
        About::Subscription(_) | About::Server => panic!("it is about no session"),
    }
}

pub(super) fn worker_view() -> WorkerView {
    WorkerView {
        key: (
            Namespace::parse("default").unwrap(),
            InstanceId::parse("i").unwrap(),
        ),
        instance: Instance {
            worker: WorkerName::parse("w").unwrap(),
            stream: Some(StreamId(1)),
            last_seen: EngineTime(99_000),
            last_seen_time: WallTime(1_099_000),
            connect_time: WallTime(1_097_000),
            build_id: "b".into(),
            labels: labels([("zone", "a")]).into(),
            window: window(),
            in_flight: Load {
                messages: 84,
                bytes: 85,
                sessions: 86,
            },
            serves: None,
            rests: Arc::default(),
            intent: Intent::Stays,
            hungry: BTreeSet::new(),
            served: Epoch(0),
        },
        leases: vec![(SessionNo(1), Epoch(21)), (SessionNo(2), Epoch(22))],
    }
}

pub(super) fn window() -> Window {
    Window {
        messages: 81,
        bytes: 82,
        sessions: 83,
    }
}
