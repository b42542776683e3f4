//! The table of refusals, with all their details, in both forms: what is missing, what is taken, and what the state of a
//! session forbids.
//!
//! Here is also what every row is held against. What is full is in `status_full`, what the edge itself refuses in
//! `status_edge`, the table of codes in `status_bounds`.

use std::collections::BTreeMap;

use sessiond_core::ids::{
    Epoch, Namespace, PoolName, SessionId, SessionKey, SessionRef, WorkerName,
};
use sessiond_core::rejection::{Liveness, Rejection};
use sessiond_core::requests::RequestToken;
use sessiond_core::session::{Awaited, EndReason};
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::reason::{ERROR_DOMAIN, Reason};
use sessiond_proto::v1 as pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::wire::status::Refusal;

/// What a refusal must tell.
pub(super) struct Expected<'a> {
    pub(super) reason: Reason,
    pub(super) code: Code,
    pub(super) metadata: &'a [(&'a str, &'a str)],
    pub(super) retry_ms: Option<u64>,
    pub(super) resource: Option<(&'a str, &'a str)>,
    pub(super) violations: &'a [&'a str],
}

impl Expected<'_> {
    pub(super) const fn of(reason: Reason, code: Code) -> Self {
        Self {
            reason,
            code,
            metadata: &[],
            retry_ms: None,
            resource: None,
            violations: &[],
        }
    }
}

/// Holds a refusal's status and its frame against what they must tell.
pub(super) fn check(refusal: Refusal, expected: &Expected<'_>) {
    let metadata: BTreeMap<String, String> = expected
        .metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let status = Status::from(refusal.clone());
    assert_eq!(status.code(), expected.code, "{status:?}");
    let first = status.message().chars().next().unwrap();
    assert!(
        !first.is_uppercase() && !status.message().ends_with('.'),
        "{status:?}"
    );
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(info.reason, expected.reason.as_str());
    assert_eq!(info.domain, ERROR_DOMAIN);
    let told: BTreeMap<_, _> = info.metadata.clone().into_iter().collect();
    assert_eq!(told, metadata, "{status:?}");
    let retry = details.retry_info().and_then(|retry| retry.retry_delay);
    let retry = retry.map(|delay| u64::try_from(delay.as_millis()).unwrap());
    assert_eq!(retry, expected.retry_ms, "{status:?}");
    let resource = details.resource_info();
    let resource = resource.map(|one| (one.resource_type.as_str(), one.resource_name.as_str()));
    assert_eq!(resource, expected.resource, "{status:?}");
    let bad = details.bad_request();
    let bad = bad.map_or(&[][..], |bad| &bad.field_violations[..]);
    let fields: Vec<&str> = bad.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, expected.violations, "{status:?}");
    let frame = pb::RefusalStatus::from(refusal);
    assert_eq!(frame.code, expected.code as i32);
    assert_eq!(frame.reason, expected.reason.as_str());
    assert_eq!(frame.message, status.message());
    assert_eq!(frame.metadata, metadata);
    let retry = frame.retry_after.map(|delay| {
        u64::try_from(delay.seconds * 1_000 + i64::from(delay.nanos / 1_000_000)).unwrap()
    });
    assert_eq!(retry, expected.retry_ms);
    let fields: Vec<&str> = frame
        .violations
        .iter()
        .map(|one| one.field.as_str())
        .collect();
    assert_eq!(fields, expected.violations);
}

pub(super) fn session() -> SessionId {
    SessionId::parse("s-1").unwrap()
}

#[test]
fn what_is_missing_is_named() {
    let pool = PoolName::parse("p").unwrap();
    let by_id = SessionRef::Id(session());
    let by_key = SessionRef::Key(SessionKey::parse("k").unwrap());
    check(
        Refusal::rejected(&Rejection::SessionNotFound { asked: by_id }),
        &Expected {
            metadata: &[("session_id", "s-1")],
            resource: Some(("session", "s-1")),
            ..Expected::of(Reason::SessionNotFound, Code::NotFound)
        },
    );
    check(
        Refusal::rejected(&Rejection::SessionNotFound { asked: by_key }),
        &Expected {
            metadata: &[("key", "k")],
            resource: Some(("session", "k")),
            ..Expected::of(Reason::SessionNotFound, Code::NotFound)
        },
    );
    check(
        Refusal::rejected(&Rejection::RequestNotFound {
            session: session(),
            token: RequestToken::parse("rq-1-2"),
        }),
        &Expected {
            metadata: &[("session_id", "s-1")],
            resource: Some(("request", "rq-1-2")),
            ..Expected::of(Reason::RequestNotFound, Code::NotFound)
        },
    );
    check(
        Refusal::rejected(&Rejection::PoolNotFound { pool }),
        &Expected {
            metadata: &[("pool", "p")],
            resource: Some(("pool", "p")),
            ..Expected::of(Reason::PoolNotFound, Code::NotFound)
        },
    );
    check(
        Refusal::namespace_not_found(&Namespace::parse("n").unwrap()),
        &Expected {
            metadata: &[("namespace", "n")],
            resource: Some(("namespace", "n")),
            ..Expected::of(Reason::NamespaceNotFound, Code::NotFound)
        },
    );
}

#[test]
fn what_is_taken_is_named() {
    check(
        Refusal::rejected(&Rejection::SessionKeyInUse {
            session: session(),
            state: Liveness::Active,
        }),
        &Expected {
            metadata: &[("session_id", "s-1"), ("state", "ACTIVE")],
            resource: Some(("session", "s-1")),
            ..Expected::of(Reason::SessionKeyInUse, Code::AlreadyExists)
        },
    );
    check(
        Refusal::rejected(&Rejection::SessionKeyInUse {
            session: session(),
            state: Liveness::Queued,
        }),
        &Expected {
            metadata: &[("session_id", "s-1"), ("state", "QUEUED")],
            resource: Some(("session", "s-1")),
            ..Expected::of(Reason::SessionKeyInUse, Code::AlreadyExists)
        },
    );
    check(
        Refusal::rejected(&Rejection::SessionIdInUse { session: session() }),
        &Expected {
            metadata: &[("session_id", "s-1")],
            resource: Some(("session", "s-1")),
            ..Expected::of(Reason::SessionIdInUse, Code::AlreadyExists)
        },
    );
}

#[test]
fn a_repeat_about_what_was_purged_names_its_request() {
    check(
        Refusal::rejected(&Rejection::SubjectPurged {
            request_id: "r".to_owned(),
        }),
        &Expected {
            metadata: &[("request_id", "r")],
            resource: Some(("session", "r")),
            ..Expected::of(Reason::SessionNotFound, Code::NotFound)
        },
    );
}

#[test]
fn what_the_state_forbids_is_explained() {
    let ended = |successor| {
        Refusal::rejected(&Rejection::SessionEnded {
            session: session(),
            reason: EndReason::Idle,
            successor,
        })
    };
    let facts = [("session_id", "s-1"), ("end_reason", "IDLE")];
    check(
        ended(None),
        &Expected {
            metadata: &facts,
            ..Expected::of(Reason::SessionEnded, Code::FailedPrecondition)
        },
    );
    check(
        ended(Some(SessionId::parse("s-2").unwrap())),
        &Expected {
            metadata: &[facts[0], facts[1], ("successor_id", "s-2")],
            ..Expected::of(Reason::SessionEnded, Code::FailedPrecondition)
        },
    );
    check(
        Refusal::rejected(&Rejection::SessionDraining {
            session: session(),
            reason: EndReason::WorkerStuck,
        }),
        &Expected {
            metadata: &[("session_id", "s-1"), ("end_reason", "WORKER_STUCK")],
            ..Expected::of(Reason::SessionDraining, Code::FailedPrecondition)
        },
    );
    for (awaited, name) in [
        (Awaited::Slot, "SLOT"),
        (Awaited::PredecessorResources, "PREDECESSOR_RESOURCES"),
    ] {
        let session = session();
        check(
            Refusal::rejected(&Rejection::SessionQueued { session, awaited }),
            &Expected {
                metadata: &[("session_id", "s-1"), ("waiting_for", name)],
                ..Expected::of(Reason::SessionQueued, Code::FailedPrecondition)
            },
        );
    }
    check(
        Refusal::rejected(&Rejection::SessionActive { session: session() }),
        &Expected {
            metadata: &[("session_id", "s-1")],
            ..Expected::of(Reason::SessionActive, Code::FailedPrecondition)
        },
    );
    check(
        Refusal::rejected(&Rejection::QueueHeld {
            session: session(),
            messages: 3,
        }),
        &Expected {
            metadata: &[("session_id", "s-1"), ("messages", "3")],
            ..Expected::of(Reason::QueueHeld, Code::FailedPrecondition)
        },
    );
}

#[test]
fn what_others_hold_or_changed_is_explained() {
    check(
        Refusal::rejected(&Rejection::LeaseHeld {
            session: session(),
            holder: WorkerName::parse("w").unwrap(),
            epoch: Epoch(4),
            expire_time: WallTime(9_000),
            expires_in: Span(1_500),
        }),
        &Expected {
            metadata: &[("session_id", "s-1"), ("holder", "w"), ("epoch", "4")],
            retry_ms: Some(1_500),
            ..Expected::of(Reason::LeaseHeld, Code::FailedPrecondition)
        },
    );
    for (current, epoch) in [(Some(Epoch(7)), "7"), (None, "0")] {
        check(
            Refusal::rejected(&Rejection::LeaseFenced {
                session: session(),
                current,
            }),
            &Expected {
                metadata: &[("session_id", "s-1"), ("current_epoch", epoch)],
                ..Expected::of(Reason::LeaseFenced, Code::FailedPrecondition)
            },
        );
    }
    check(
        Refusal::rejected(&Rejection::StreamReplaced),
        &Expected::of(Reason::LeaseFenced, Code::FailedPrecondition),
    );
    check(
        Refusal::rejected(&Rejection::WorkerLeft),
        &Expected {
            violations: &["attach"],
            ..Expected::of(Reason::FieldInvalid, Code::InvalidArgument)
        },
    );
    check(
        Refusal::request_too_large(20, 17),
        &Expected {
            metadata: &[("limit", "17")],
            ..Expected::of(Reason::MessageTooLarge, Code::InvalidArgument)
        },
    );
    check(
        Refusal::rejected(&Rejection::EtagMismatch {
            current: "1f".to_owned(),
        }),
        &Expected {
            metadata: &[("etag", "1f")],
            ..Expected::of(Reason::EtagMismatch, Code::Aborted)
        },
    );
    check(
        Refusal::rejected(&Rejection::RequestIdReused {
            request_id: "r".to_owned(),
        }),
        &Expected {
            metadata: &[("request_id", "r")],
            violations: &["request_id"],
            ..Expected::of(Reason::RequestIdReused, Code::InvalidArgument)
        },
    );
}

#[test]
fn a_suspended_session_says_when_workers_may_have_it() {
    check(
        Refusal::rejected(&Rejection::RestartLimited {
            session: session(),
            failures: 11,
            retry_in: Span(450_000),
        }),
        &Expected {
            metadata: &[("failures", "11"), ("session_id", "s-1")],
            retry_ms: Some(450_000),
            ..Expected::of(Reason::RestartLimited, Code::FailedPrecondition)
        },
    );
}
