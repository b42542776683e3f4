//! Random sessions, their activity, and the events that carry both.

use std::num::NonZeroU32;

use fastrand::Rng;
use sessiond_core::circuit::{Circuit, CircuitState, Circuits};
use sessiond_core::event::{About, Actor, ActorKind, Cause, EventKind, EventRow, MessageRef};
use sessiond_core::ids::{
    Epoch, InstanceId, MessageKind, PoolName, QueueId, RequestNo, Revision, Seq, SessionId,
    SessionKey, SessionNo, SubscriptionName, WorkerName,
};
use sessiond_core::lease::LeaseView;
use sessiond_core::requests::{LiveRequest, Requests};
use sessiond_core::resource::Unreleased;
use sessiond_core::restart_guard::RestartGuard;
use sessiond_core::session::{
    ActivityRow, Behind, Counts, EndIntent, EndMode, EndReason, Lifecycle, Ordering, PendingPolicy,
    PredecessorSlot, Profile, SessionEnd, SessionRow, SessionView, Timeouts, Totals, Usage,
    Volatile, Wait, Warned,
};
use sessiond_core::time::{Limit, Span};

use crate::draw::{
    depth, engine, free_text, id, labels, namespace, number, one_of, option, small, wall,
};

/// Every reason there is.
pub(crate) const REASONS: [EndReason; 18] = [
    EndReason::Completed,
    EndReason::Failed,
    EndReason::Deleted,
    EndReason::Admin,
    EndReason::Reset,
    EndReason::Replaced,
    EndReason::Compacted,
    EndReason::Scheduled,
    EndReason::Shutdown,
    EndReason::Restart,
    EndReason::Idle,
    EndReason::Expired,
    EndReason::Evicted,
    EndReason::Capacity,
    EndReason::OwnerLost,
    EndReason::WorkerStuck,
    EndReason::RestartLimit,
    EndReason::Crashed,
];

const EVENT_KINDS: [EventKind; 24] = [
    EventKind::SessionOpened,
    EventKind::SessionUpdated,
    EventKind::SessionDraining,
    EventKind::SessionEnd,
    EventKind::SessionPurged,
    EventKind::WorkerAttached,
    EventKind::WorkerDetached,
    EventKind::WorkerLost,
    EventKind::MessageDeadLettered,
    EventKind::CircuitOpened,
    EventKind::CircuitClosed,
    EventKind::WorkerStuck,
    EventKind::RestartLimited,
    EventKind::LimitWarning,
    EventKind::SessionQueued,
    EventKind::SessionAdmitted,
    EventKind::SessionReleased,
    EventKind::ResourceReleased,
    EventKind::ResourceLingering,
    EventKind::SubscriptionStale,
    EventKind::ServerDraining,
    EventKind::ServerDrainCancelled,
    EventKind::MessagesRequeued,
    EventKind::MessagesDiscarded,
];

const ACTOR_KINDS: [ActorKind; 6] = [
    ActorKind::Api,
    ActorKind::Worker,
    ActorKind::Reaper,
    ActorKind::Recovery,
    ActorKind::Drain,
    ActorKind::Agent,
];

pub(crate) fn session(rng: &mut Rng, no: SessionNo) -> SessionRow {
    SessionRow {
        no,
        id: id(rng, SessionId::parse),
        namespace: namespace(rng),
        key: option(rng, |rng| id(rng, SessionKey::parse)),
        pool: id(rng, PoolName::parse),
        queue: QueueId(number(rng)),
        lifecycle: lifecycle(rng),
        profile: Profile {
            project: free_text(rng),
            source: free_text(rng),
            agent_id: free_text(rng),
            labels: labels(rng),
            prompt: free_text(rng),
            transcript_path: free_text(rng),
        },
        timeouts: Timeouts {
            idle: limit(rng),
            lifetime: limit(rng),
            owner: limit(rng),
        },
        ordering: one_of(
            rng,
            &[Ordering::Strict, Ordering::Serial, Ordering::Relaxed],
        ),
        max_in_flight: NonZeroU32::new(small(rng)).unwrap_or(NonZeroU32::MIN),
        parent: option(rng, |rng| id(rng, SessionId::parse)),
        predecessor: option(rng, |rng| id(rng, SessionId::parse)),
        successor: option(rng, |rng| id(rng, SessionId::parse)),
        create_time: wall(rng),
        created_at: engine(rng),
        active_since: engine(rng),
        ranked_at: engine(rng),
        resources: option(rng, |rng| Unreleased {
            count: small(rng),
            lingering: small(rng),
        }),
        lease: option(rng, |rng| Epoch(number(rng))),
        revision: Revision(number(rng)),
    }
}

fn limit(rng: &mut Rng) -> Limit {
    if rng.bool() {
        Limit::After(Span(number(rng)))
    } else {
        Limit::Never
    }
}

fn lifecycle(rng: &mut Rng) -> Lifecycle {
    match rng.u8(..4) {
        0 => Lifecycle::Active,
        3 => Lifecycle::Queued(Wait {
            until: option(rng, engine),
            place: SessionNo(number(rng)),
            behind: option(rng, |rng| Behind {
                predecessor: SessionNo(number(rng)),
                slot: one_of(rng, &[PredecessorSlot::Passes, PredecessorSlot::Frees]),
            }),
        }),
        1 => Lifecycle::Draining(EndIntent {
            reason: one_of(rng, &REASONS),
            detail: free_text(rng),
            actor: actor(rng),
            mode: one_of(
                rng,
                &[EndMode::Immediate, EndMode::Graceful, EndMode::AfterPending],
            ),
            deadline: engine(rng),
            pending: one_of(rng, &[PendingPolicy::Keep, PendingPolicy::Discard]),
            create_time: wall(rng),
        }),
        _ => Lifecycle::Ended(Box::new(SessionEnd {
            reason: one_of(rng, &REASONS),
            detail: free_text(rng),
            actor: actor(rng),
            create_time: wall(rng),
            end_time: wall(rng),
            duration: Span(number(rng)),
            counts: Counts {
                totals: totals(rng),
                pending: number(rng),
                in_flight: number(rng),
            },
            usage: usage(rng),
            pending_kept: number(rng),
            pending_discarded: number(rng),
            successor: option(rng, |rng| id(rng, SessionId::parse)),
            transcript_path: free_text(rng),
        })),
    }
}

fn actor(rng: &mut Rng) -> Actor {
    Actor {
        kind: one_of(rng, &ACTOR_KINDS),
        name: free_text(rng),
        cause: option(rng, cause),
    }
}

pub(crate) fn cause(rng: &mut Rng) -> Cause {
    Cause {
        event: Revision(number(rng)),
        depth: small(rng),
    }
}

fn usage(rng: &mut Rng) -> Usage {
    Usage {
        input_tokens: number(rng),
        output_tokens: number(rng),
    }
}

fn totals(rng: &mut Rng) -> Totals {
    Totals {
        enqueued: number(rng),
        processed: number(rng),
        dead_lettered: number(rng),
        discarded: number(rng),
        superseded: number(rng),
    }
}

pub(crate) fn activity(rng: &mut Rng, session: SessionNo) -> ActivityRow {
    ActivityRow {
        session,
        last_activity: engine(rng),
        last_activity_time: wall(rng),
        owner_seen: engine(rng),
        touch_count: number(rng),
        prompt_number: small(rng),
        usage: usage(rng),
        totals: totals(rng),
        volatile: Volatile {
            instance: option(rng, |rng| id(rng, InstanceId::parse)),
            entries: labels(rng),
        },
        requests: Requests {
            begun: RequestNo(number(rng)),
            live: (0..rng.usize(..3))
                .map(|_| LiveRequest {
                    number: RequestNo(number(rng)),
                    lease: Span(number(rng)),
                    until: engine(rng),
                })
                .collect(),
        },
        restart_guard: RestartGuard {
            failures: (0..rng.usize(..3)).map(|_| engine(rng)).collect(),
            suspended_until: option(rng, engine),
        },
        warned: Warned {
            idle: option(rng, engine),
            age: option(rng, engine),
        },
        check_at: option(rng, engine),
        circuits: circuits(rng),
    }
}

fn circuits(rng: &mut Rng) -> Circuits {
    let circuit = |rng: &mut Rng, kind: &str| {
        let retry_at = engine(rng);
        Circuit {
            kind: MessageKind::parse(kind).expect("a kind"),
            failures: small(rng),
            state: one_of(
                rng,
                &[
                    CircuitState::Closed,
                    CircuitState::Open { retry_at },
                    CircuitState::Probing { retry_at },
                ],
            ),
        }
    };
    let some: &[&str] = one_of(rng, &[&[], &[], &["a"], &["a", "b"]]);
    Circuits::of(some.iter().map(|kind| circuit(rng, kind)).collect())
}

pub(crate) fn event(rng: &mut Rng, revision: Revision) -> EventRow {
    EventRow {
        revision,
        kind: one_of(rng, &EVENT_KINDS),
        time: wall(rng),
        at: engine(rng),
        actor: actor(rng),
        about: about(rng),
        message: option(rng, |rng| MessageRef {
            queue: QueueId(number(rng)),
            seq: Seq(number(rng)),
            kind: free_text(rng),
        }),
        attributes: labels(rng),
        siblings_after: small(rng),
        offset: number(rng),
    }
}

/// Mostly a session.
fn about(rng: &mut Rng) -> About {
    match rng.u8(..16) {
        0 | 1 => return About::Subscription((namespace(rng), id(rng, SubscriptionName::parse))),
        2 => return About::Server,
        _ => {}
    }
    let no = SessionNo(number(rng));
    About::Session(Box::new(SessionView {
        session: session(rng, no).into(),
        activity: activity(rng, no),
        depth: depth(rng),
        oldest_pending: option(rng, wall),
        lease: option(rng, |rng| LeaseView {
            worker: id(rng, WorkerName::parse),
            instance: id(rng, InstanceId::parse),
            epoch: Epoch(number(rng)),
            acquire_time: wall(rng),
            expire_time: wall(rng),
        }),
    }))
}
