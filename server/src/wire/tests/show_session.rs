//! Sessions as they are shown, field by field, in every state.

use std::sync::Arc;

use sessiond_core::ids::SessionNo;
use sessiond_core::session::{EndReason, Lifecycle, Ordering, SessionView};
use sessiond_core::time::{Limit, Span};
use sessiond_proto::v1 as pb;

use super::samples::{NOW, active, draining, ended, worker_view};
use super::{labels, never};
use crate::wire::show;

pub(super) fn millis(millis: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp {
        seconds: millis / 1_000,
        nanos: i32::try_from(millis % 1_000).unwrap() * 1_000_000,
    })
}

fn limit(seconds: i64, nanos: i32) -> Option<pb::Limit> {
    let after = prost_types::Duration { seconds, nanos };
    Some(pb::Limit {
        bound: Some(pb::limit::Bound::After(after)),
    })
}

fn shown(view: &SessionView) -> pb::Session {
    show::session::session(view, NOW)
}

#[test]
fn every_field_of_an_active_session_is_shown() {
    let expected = pb::Session {
        session_id: "s-1".to_owned(),
        key: "agent:main".to_owned(),
        state: pb::SessionState::Active.into(),
        pool: "batch".to_owned(),
        project: "/src".to_owned(),
        source: "hook".to_owned(),
        agent_id: "a-1".to_owned(),
        labels: labels([("team", "blue")]),
        prompt: "secret".to_owned(),
        prompt_number: 52,
        transcript_path: "/t".to_owned(),
        volatile: labels([("model", "warm")]),
        usage: Some(pb::Usage {
            input_tokens: 53,
            output_tokens: 54,
        }),
        counts: Some(counts()),
        active_requests: 1,
        create_time: millis(1_050_000),
        last_activity_time: millis(1_095_000),
        namespace: "default".to_owned(),
        idle_timeout: limit(60, 500_000_000),
        max_lifetime: limit(300, 0),
        owner_timeout: never(true),
        oldest_pending_time: millis(1_080_002),
        // 60.5 s after its last activity, sooner than 300 s after it was opened.
        expire_time: millis(1_155_500),
        end_time: None,
        lease: Some(pb::Lease {
            worker: "w".to_owned(),
            instance_id: "i".to_owned(),
            epoch: 21,
            acquire_time: millis(1_090_000),
            expire_time: millis(1_115_000),
            session_id: "s-1".to_owned(),
        }),
        end: None,
        predecessor_id: "s-0".to_owned(),
        successor_id: "s-next".to_owned(),
        parent_session_id: "s-parent".to_owned(),
        queue_id: 31,
        ordering: pb::Ordering::Relaxed.into(),
        max_in_flight: 41,
        waiting_for: pb::WaitingFor::Unspecified.into(),
        circuits: vec![
            circuit("a", pb::CircuitState::Closed, None),
            circuit("b", pb::CircuitState::Open, millis(1_160_000)),
            // Its pause is over: the next message is let through.
            circuit("c", pb::CircuitState::Probing, millis(1_099_000)),
        ],
        // One of three failures no longer counts.
        restart_guard: Some(pb::RestartGuard {
            count: 2,
            suspended_until: millis(1_140_000),
        }),
        touch_count: 51,
        revision: 255,
        etag: "ff".to_owned(),
        unreleased_resources: 3,
        lingering_resources: 2,
    };
    assert_eq!(shown(&active()), expected);
}

fn counts() -> pb::SessionCounts {
    pb::SessionCounts {
        enqueued: 55,
        processed: 56,
        pending: 23,
        in_flight: 13,
        dead_lettered: 57,
        superseded: 60,
        discarded: 58,
    }
}

fn circuit(
    kind: &str,
    state: pb::CircuitState,
    retry_time: Option<prost_types::Timestamp>,
) -> pb::Circuit {
    pb::Circuit {
        kind: kind.to_owned(),
        state: state.into(),
        failures: 59,
        retry_time,
    }
}

#[test]
fn a_session_expires_at_the_first_of_its_limits() {
    let expire = |idle, lifetime, owner| {
        let mut view = active();
        let timeouts = &mut Arc::make_mut(&mut view.session).timeouts;
        (timeouts.idle, timeouts.lifetime, timeouts.owner) = (idle, lifetime, owner);
        show::session::session(&view, NOW).expire_time
    };
    let after = |seconds| Limit::After(Span::seconds(seconds));
    assert_eq!(expire(Limit::Never, Limit::Never, Limit::Never), None);
    assert_eq!(
        expire(after(10), Limit::Never, Limit::Never),
        millis(1_105_000)
    );
    assert_eq!(
        expire(after(10), after(20), Limit::Never),
        millis(1_070_000)
    );
    assert_eq!(expire(after(10), after(99), after(9)), millis(1_099_000));
}

#[test]
fn a_draining_session_shows_why() {
    let view = draining();
    let session = shown(&view);
    assert_eq!(session.state(), pb::SessionState::Draining);
    assert_eq!((session.expire_time, session.end_time), (None, None));
    let expected = pb::SessionEnd {
        reason: pb::EndReason::Shutdown.into(),
        reason_class: pb::EndReasonClass::Interrupted.into(),
        detail: "deploy".to_owned(),
        actor: Some(pb::Actor {
            kind: pb::ActorKind::Drain.into(),
            name: "host".to_owned(),
        }),
        create_time: millis(1_050_000),
        end_time: None,
        duration: None,
        counts: session.counts,
        usage: session.usage,
        pending_kept: 0,
        pending_discarded: 0,
        successor_id: "s-next".to_owned(),
        transcript_path: "/t".to_owned(),
    };
    assert_eq!(session.end, Some(expected));
}

#[test]
fn an_ended_session_shows_how() {
    let session = shown(&ended());
    assert_eq!(session.state(), pb::SessionState::Ended);
    assert_eq!(session.expire_time, None);
    assert_eq!(session.end_time, millis(1_098_765));
    assert_eq!(session.lease, None);
    let expected = pb::SessionEnd {
        reason: pb::EndReason::Compacted.into(),
        reason_class: pb::EndReasonClass::Rotated.into(),
        detail: "full".to_owned(),
        actor: Some(pb::Actor {
            kind: pb::ActorKind::Api.into(),
            name: "cli".to_owned(),
        }),
        create_time: millis(1_050_000),
        end_time: millis(1_098_765),
        duration: Some(prost_types::Duration {
            seconds: 48,
            nanos: 765_000_000,
        }),
        counts: Some(pb::SessionCounts {
            enqueued: 61,
            processed: 62,
            pending: 65,
            in_flight: 66,
            dead_lettered: 63,
            superseded: 72,
            discarded: 64,
        }),
        usage: Some(pb::Usage {
            input_tokens: 67,
            output_tokens: 68,
        }),
        pending_kept: 69,
        pending_discarded: 70,
        successor_id: "s-end-next".to_owned(),
        transcript_path: "/end".to_owned(),
    };
    assert_eq!(session.end, Some(expected));
}

#[test]
fn every_reason_has_its_name_and_class() {
    let classes = [
        ("OVER", &["COMPLETED", "FAILED", "DELETED", "ADMIN"][..]),
        ("ROTATED", &["RESET", "REPLACED", "COMPACTED", "SCHEDULED"]),
        ("INTERRUPTED", &["SHUTDOWN", "RESTART"]),
        ("REAPED", &["IDLE", "EXPIRED", "EVICTED", "CAPACITY"]),
        (
            "LOST",
            &["OWNER_LOST", "WORKER_STUCK", "RESTART_LIMIT", "CRASHED"],
        ),
    ];
    let reasons = [
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
    for reason in reasons {
        let name = show::end::reason_name(reason);
        let mut view = ended();
        if let Lifecycle::Ended(end) = &mut Arc::make_mut(&mut view.session).lifecycle {
            end.reason = reason;
        }
        let end = shown(&view).end.unwrap();
        let class = end.reason_class().as_str_name();
        let class = class.strip_prefix("END_REASON_CLASS_").unwrap();
        let (_, names) = classes.iter().find(|(known, _)| *known == class).unwrap();
        assert!(names.contains(&name), "{name} {class}");
        assert_eq!(end.reason().as_str_name(), format!("END_REASON_{name}"));
    }
}

#[test]
fn serial_means_one_in_flight_and_what_is_unset_is_empty() {
    let mut view = active();
    Arc::make_mut(&mut view.session).ordering = Ordering::Serial;
    Arc::make_mut(&mut view.session).key = None;
    Arc::make_mut(&mut view.session).parent = None;
    Arc::make_mut(&mut view.session).predecessor = None;
    Arc::make_mut(&mut view.session).successor = None;
    let session = shown(&view);
    assert_eq!(session.ordering(), pb::Ordering::Serial);
    assert_eq!(session.max_in_flight, 1);
    let ids = [
        session.key,
        session.parent_session_id,
        session.predecessor_id,
        session.successor_id,
    ];
    assert!(ids.iter().all(String::is_empty), "{ids:?}");
    Arc::make_mut(&mut view.session).ordering = Ordering::Strict;
    assert_eq!(shown(&view).ordering(), pb::Ordering::Strict);
}

#[test]
fn a_worker_shows_what_it_holds() {
    let view = worker_view();
    let info = show::worker::worker_info(&view, |no| {
        (no == SessionNo(1)).then(|| active().session.id.clone())
    });
    let expected = pb::WorkerInfo {
        worker: "w".to_owned(),
        instance_id: "i".to_owned(),
        build_id: "b".to_owned(),
        labels: labels([("zone", "a")]),
        window: Some(pb::Window {
            max_messages: Some(81),
            max_bytes: Some(82),
            max_sessions: Some(83),
        }),
        attached_sessions: vec![pb::AttachedSession {
            session_id: "s-1".to_owned(),
            epoch: 21,
        }],
        in_flight: 84,
        connect_time: millis(1_097_000),
        last_seen_time: millis(1_099_000),
    };
    assert_eq!(info, expected);
}
