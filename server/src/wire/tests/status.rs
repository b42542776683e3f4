//! The table of refusals: every rejection and every refusal of the edge, with all its details, in
//! both forms.

use std::collections::BTreeMap;

use sessiond_core::ids::{
    Epoch, Namespace, PoolName, Revision, SessionId, SessionKey, SessionRef, WorkerName,
};
use sessiond_core::rejection::{Crowd, Liveness, Rejection};
use sessiond_core::requests::RequestToken;
use sessiond_core::session::EndReason;
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::reason::{ERROR_DOMAIN, Reason};
use sessiond_proto::v1 as pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::wire::faults::{Faults, Invalid};
use crate::wire::status::Refusal;

/// What a refusal must tell.
struct Expected<'a> {
    reason: Reason,
    code: Code,
    metadata: &'a [(&'a str, &'a str)],
    retry_ms: Option<u64>,
    resource: Option<(&'a str, &'a str)>,
    violations: &'a [&'a str],
}

impl Expected<'_> {
    const fn of(reason: Reason, code: Code) -> Self {
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
fn check(refusal: Refusal, expected: &Expected<'_>) {
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

fn session() -> SessionId {
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
    check(
        Refusal::rejected(&Rejection::SessionQueued { session: session() }),
        &Expected {
            metadata: &[("session_id", "s-1"), ("waiting_for", "SLOT")],
            ..Expected::of(Reason::SessionQueued, Code::FailedPrecondition)
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

#[test]
fn a_full_pool_names_its_limit_and_when_to_come_back() {
    let crowded = |what| {
        Refusal::rejected(&Rejection::TooManySessions {
            namespace: Namespace::parse("n").unwrap(),
            pool: PoolName::parse("p").unwrap(),
            what,
            limit: 5,
        })
    };
    check(
        crowded(Crowd::Live),
        &Expected {
            metadata: &[("limit", "5"), ("scope", "pool p")],
            ..full(Reason::TooManySessions)
        },
    );
    check(
        crowded(Crowd::Waiting),
        &Expected {
            metadata: &[("limit", "5"), ("scope", "waiting sessions of pool p")],
            ..full(Reason::TooManySessions)
        },
    );
    check(
        Refusal::rejected(&Rejection::TooManyAttached {
            pool: PoolName::parse("p").unwrap(),
            limit: 5,
        }),
        &Expected {
            metadata: &[("limit", "5"), ("scope", "attached sessions of pool p")],
            ..full(Reason::QuotaExceeded)
        },
    );
}

/// What something full is refused with.
fn full(reason: Reason) -> Expected<'static> {
    Expected {
        retry_ms: Some(1_000),
        ..Expected::of(reason, Code::ResourceExhausted)
    }
}

#[test]
fn what_is_full_names_its_limit_and_when_to_come_back() {
    check(
        Refusal::rejected(&Rejection::TooManyRequests {
            session: session(),
            limit: 128,
        }),
        &Expected {
            metadata: &[
                ("limit", "128"),
                ("scope", "requests of a session"),
                ("session_id", "s-1"),
            ],
            ..full(Reason::QuotaExceeded)
        },
    );
    check(
        Refusal::rejected(&Rejection::QueueFull {
            session: session(),
            what: "bytes",
            limit: 6,
        }),
        &Expected {
            metadata: &[
                ("limit", "6"),
                ("scope", "bytes of a queue"),
                ("session_id", "s-1"),
            ],
            ..full(Reason::QueueFull)
        },
    );
    check(
        Refusal::rejected(&Rejection::TooManyLeases { limit: 7 }),
        &Expected {
            metadata: &[("limit", "7"), ("scope", "sessions of a worker")],
            ..full(Reason::QuotaExceeded)
        },
    );
    check(
        Refusal::overloaded("commands", 8),
        &Expected {
            metadata: &[("limit", "8"), ("scope", "commands")],
            retry_ms: Some(250),
            ..full(Reason::Overloaded)
        },
    );
}

#[test]
fn what_the_server_cannot_do_now_says_when_it_may() {
    check(
        Refusal::server_draining(),
        &Expected {
            retry_ms: Some(1_000),
            ..Expected::of(Reason::ServerDraining, Code::Unavailable)
        },
    );
    check(
        Refusal::store_unavailable(),
        &Expected {
            retry_ms: Some(5_000),
            ..Expected::of(Reason::StoreUnavailable, Code::Unavailable)
        },
    );
    check(
        Refusal::revision_compacted(Revision(1), Revision(5), Revision(9)),
        &Expected {
            metadata: &[("oldest_revision", "5"), ("current_revision", "9")],
            ..Expected::of(Reason::RevisionCompacted, Code::OutOfRange)
        },
    );
    check(
        Refusal::log_changed("log", Revision(5), Revision(9)),
        &Expected {
            metadata: &[
                ("log_id", "log"),
                ("oldest_revision", "5"),
                ("current_revision", "9"),
            ],
            ..Expected::of(Reason::LogChanged, Code::FailedPrecondition)
        },
    );
    check(
        Refusal::not_built(&["a", "b[1].c"]),
        &Expected {
            metadata: &[("fields", "a, b[1].c")],
            ..Expected::of(Reason::NotBuilt, Code::Unimplemented)
        },
    );
}

pub(super) fn faulty(record: impl FnOnce(&mut Faults)) -> Invalid {
    let mut faults = Faults::default();
    record(&mut faults);
    faults.finish(Some(())).expect_err("a fault was recorded")
}

#[test]
fn what_is_wrong_with_a_request_is_told_at_once() {
    let wrong = faulty(|faults| {
        faults.not_built("later");
        faults.within_item("list", 3, |faults| {
            faults.too_large("payload", 10, 11, None);
            faults.within("inner", |faults| faults.invalid("", "must be so"));
        });
        faults.invalid("last", "must be different");
    });
    let refusal = Refusal::invalid(&wrong);
    check(
        refusal.clone(),
        &Expected {
            violations: &["list[3].inner", "last", "list[3].payload"],
            ..Expected::of(Reason::FieldInvalid, Code::InvalidArgument)
        },
    );
    let message = Status::from(refusal).message().to_owned();
    assert_eq!(message, "`list[3].inner` must be so, and 2 more");
    let large = faulty(|faults| {
        faults.not_built("later");
        faults.too_large("payload", 10, 11, None);
    });
    check(
        Refusal::invalid(&large),
        &Expected {
            metadata: &[("limit", "10")],
            violations: &["payload"],
            ..Expected::of(Reason::MessageTooLarge, Code::InvalidArgument)
        },
    );
    let later = faulty(|faults| faults.not_built("later"));
    check(
        Refusal::invalid(&later),
        &Expected {
            metadata: &[("fields", "later")],
            ..Expected::of(Reason::NotBuilt, Code::Unimplemented)
        },
    );
    check(
        Refusal::field_invalid("hello", "must be the first frame"),
        &Expected {
            violations: &["hello"],
            ..Expected::of(Reason::FieldInvalid, Code::InvalidArgument)
        },
    );
}
