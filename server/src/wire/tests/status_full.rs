//! Refusals for want of room or of time: what is full, where it is counted, how much there is and may be, and when to
//! come back.

use std::collections::BTreeSet;

use sessiond_core::ids::{Epoch, Namespace, NodeName, PoolName, WorkerName};
use sessiond_core::node::NodeRejection;
use sessiond_core::presence::Shortage;
use sessiond_core::rejection::{Crowd, Rejection};
use sessiond_core::session::EndReason;
use sessiond_core::subscription::SubscriptionRejection;
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use tonic::{Code, Status};

use super::status::{Expected, check, session};
use crate::engine::Backlog;
use crate::wire::status::{Refusal, code};

/// Reasons of the contract that nothing refuses with yet.
const NOT_YET: &[Reason] = &[Reason::RateLimited];

/// Whether it asks its caller to slow down or to come back, by its reason.
fn is_throttle(reason: Reason) -> bool {
    matches!(code(reason), Code::ResourceExhausted | Code::Unavailable)
}

/// Every rejection that is a throttle. A new one has no place in the match below until somebody says whether it is.
fn throttles() -> Vec<Rejection> {
    let namespace = Namespace::parse("n").unwrap();
    let pool = PoolName::parse("p").unwrap();
    let crowded = |what| Rejection::TooManySessions {
        namespace: namespace.clone(),
        pool: pool.clone(),
        what,
        used: 5,
        limit: 5,
    };
    let full = |what| Rejection::QueueFull {
        session: session(),
        what,
        used: 4,
        limit: 6,
    };
    vec![
        crowded(Crowd::Live),
        crowded(Crowd::Waiting),
        full("messages"),
        full("bytes"),
        Rejection::StoreFull(Shortage {
            free: 1,
            mark: 2,
            enough: 3,
        }),
        Rejection::TooManyLeases { limit: 7 },
        Rejection::TooManyRequests {
            session: session(),
            limit: 128,
        },
        Rejection::TooManyResources {
            session: session(),
            limit: 64,
        },
        Rejection::Node(NodeRejection::TooMany { limit: 5 }),
        Rejection::Node(NodeRejection::Away {
            node: NodeName::parse("far").unwrap(),
        }),
        Rejection::Subscription(SubscriptionRejection::TooMany { limit: 1_024 }),
        Rejection::TooManyAttached {
            namespace: namespace.clone(),
            pool: pool.clone(),
            used: 5,
            limit: 5,
        },
    ]
}

/// The name of a throttle among the rejections of the core.
fn throttle_name(rejection: &Rejection) -> Option<&'static str> {
    match rejection {
        Rejection::TooManySessions { .. } => Some("sessions"),
        Rejection::QueueFull { .. } => Some("queue"),
        Rejection::StoreFull(_) => Some("store"),
        Rejection::TooManyLeases { .. } => Some("leases"),
        Rejection::TooManyRequests { .. } => Some("requests"),
        Rejection::TooManyResources { .. } => Some("resources"),
        Rejection::TooManyAttached { .. } => Some("attached"),
        Rejection::Node(NodeRejection::TooMany { .. }) => Some("nodes"),
        Rejection::Node(NodeRejection::Away { .. }) => Some("node"),
        Rejection::Subscription(SubscriptionRejection::TooMany { .. }) => Some("subscriptions"),
        Rejection::ServerDraining
        | Rejection::SessionNotFound { .. }
        | Rejection::SessionKeyInUse { .. }
        | Rejection::SessionIdInUse { .. }
        | Rejection::SessionEnded { .. }
        | Rejection::SessionDraining { .. }
        | Rejection::SessionQueued { .. }
        | Rejection::SessionActive { .. }
        | Rejection::QueueHeld { .. }
        | Rejection::SessionUnreleased { .. }
        | Rejection::SessionUnexported { .. }
        | Rejection::ResourceNotFound { .. }
        | Rejection::ResourceReleased { .. }
        | Rejection::ResourceRegistered { .. }
        | Rejection::Node(NodeRejection::NotFound { .. })
        | Rejection::Node(NodeRejection::Held { .. })
        | Rejection::Node(NodeRejection::Elsewhere { .. })
        | Rejection::Subscription(
            SubscriptionRejection::NotFound { .. }
            | SubscriptionRejection::Exists { .. }
            | SubscriptionRejection::Held { .. }
            | SubscriptionRejection::Fenced { .. }
            | SubscriptionRejection::Stale { .. }
            | SubscriptionRejection::NotDelivered { .. }
            | SubscriptionRejection::Compacted { .. }
            | SubscriptionRejection::Ahead { .. }
            | SubscriptionRejection::Unheard { .. },
        )
        | Rejection::SubjectPurged { .. }
        | Rejection::PoolNotFound { .. }
        | Rejection::LeaseHeld { .. }
        | Rejection::LeaseFenced { .. }
        | Rejection::RestartLimited { .. }
        | Rejection::RequestNotFound { .. }
        | Rejection::EtagMismatch { .. }
        | Rejection::RequestIdReused { .. }
        | Rejection::StreamReplaced
        | Rejection::WorkerLeft => None,
    }
}

/// A reason that is added with a code that means "not now" fails here until it has its row, and a row without its facts
/// fails too.
///
/// Proves: B18.
#[test]
fn every_throttle_names_what_is_full_where_it_counts_and_when_to_come_back() {
    let rejections = throttles();
    let named: BTreeSet<_> = rejections.iter().filter_map(throttle_name).collect();
    assert_eq!(named.len(), 10, "a throttle of the core has no row");
    let mut refusals: Vec<Refusal> = rejections.iter().map(Refusal::rejected).collect();
    refusals.push(Refusal::overloaded(Backlog {
        of: "commands",
        used: 8,
        limit: 8,
    }));
    refusals.push(Refusal::server_draining());
    refusals.push(Refusal::store_unavailable());
    let mut met = BTreeSet::new();
    for refusal in refusals {
        let told = pb::RefusalStatus::from(refusal.clone());
        let reason: Reason = told.reason.parse().unwrap();
        assert!(is_throttle(reason), "{told:?}");
        let number = |key: &str| told.metadata.get(key).map(|text| text.parse::<u64>());
        let scope = told.metadata.get("scope").map_or("", String::as_str);
        assert!(!scope.is_empty(), "where it counts: {told:?}");
        if code(reason) == Code::ResourceExhausted {
            assert!(
                matches!(number("limit"), Some(Ok(_))),
                "the limit: {told:?}"
            );
            let used = number("used").or_else(|| number("free"));
            assert!(matches!(used, Some(Ok(_))), "the use: {told:?}");
        }
        let wait = told.retry_after.unwrap_or_default();
        assert!(wait.seconds > 0 || wait.nanos > 0, "the wait: {told:?}");
        met.insert(reason);
    }
    for reason in Reason::ALL.iter().filter(|reason| is_throttle(**reason)) {
        let expected = !NOT_YET.contains(reason);
        assert_eq!(met.contains(reason), expected, "the row of {reason}");
    }
}

#[test]
fn what_no_wait_helps_names_none() {
    let ended = Rejection::SessionEnded {
        session: session(),
        reason: EndReason::Idle,
        successor: None,
    };
    for refusal in [
        Refusal::request_too_large(2, 1),
        Refusal::field_invalid("field", "must be so"),
        Refusal::not_built(&["field"]),
        Refusal::rejected(&ended),
    ] {
        let told = pb::RefusalStatus::from(refusal);
        assert_eq!(told.retry_after, None, "{told:?}");
    }
    let held = Rejection::LeaseHeld {
        session: session(),
        holder: WorkerName::parse("w").unwrap(),
        epoch: Epoch(1),
        expire_time: WallTime(0),
        expires_in: Span(5),
    };
    let told = pb::RefusalStatus::from(Refusal::rejected(&held));
    assert!(told.retry_after.is_some(), "a lease lapses: {told:?}");
}

#[test]
fn a_full_pool_names_its_limit_and_when_to_come_back() {
    let crowded = |what| {
        Refusal::rejected(&Rejection::TooManySessions {
            namespace: Namespace::parse("n").unwrap(),
            pool: PoolName::parse("p").unwrap(),
            what,
            used: 6,
            limit: 5,
        })
    };
    check(
        crowded(Crowd::Live),
        &Expected {
            metadata: &[
                ("limit", "5"),
                ("namespace", "n"),
                ("scope", "pool p"),
                ("used", "6"),
            ],
            ..full(Reason::TooManySessions)
        },
    );
    check(
        crowded(Crowd::Waiting),
        &Expected {
            metadata: &[
                ("limit", "5"),
                ("namespace", "n"),
                ("scope", "waiting sessions of pool p"),
                ("used", "6"),
            ],
            ..full(Reason::TooManySessions)
        },
    );
    check(
        Refusal::rejected(&Rejection::TooManyAttached {
            namespace: Namespace::parse("n").unwrap(),
            pool: PoolName::parse("p").unwrap(),
            used: 5,
            limit: 5,
        }),
        &Expected {
            metadata: &[
                ("limit", "5"),
                ("namespace", "n"),
                ("scope", "attached sessions of pool p"),
                ("used", "5"),
            ],
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
                ("used", "128"),
            ],
            ..full(Reason::QuotaExceeded)
        },
    );
    check(
        Refusal::rejected(&Rejection::QueueFull {
            session: session(),
            what: "bytes",
            used: 4,
            limit: 6,
        }),
        &Expected {
            metadata: &[
                ("limit", "6"),
                ("scope", "bytes of a queue"),
                ("session_id", "s-1"),
                ("used", "4"),
            ],
            ..full(Reason::QueueFull)
        },
    );
    check(
        Refusal::rejected(&Rejection::TooManyLeases { limit: 7 }),
        &Expected {
            metadata: &[
                ("limit", "7"),
                ("scope", "sessions of a worker"),
                ("used", "7"),
            ],
            ..full(Reason::QuotaExceeded)
        },
    );
    check(
        Refusal::overloaded(Backlog {
            of: "commands",
            used: 7,
            limit: 8,
        }),
        &Expected {
            metadata: &[
                ("limit", "8"),
                ("scope", "commands waiting for the server"),
                ("used", "7"),
            ],
            retry_ms: Some(250),
            ..full(Reason::Overloaded)
        },
    );
}

#[test]
fn a_full_disk_says_how_much_is_free_and_how_much_must_be() {
    let refusal = Refusal::rejected(&Rejection::StoreFull(Shortage {
        free: 900 << 20,
        mark: 1 << 30,
        enough: 1_152 << 20,
    }));
    let message = Status::from(refusal.clone()).message().to_owned();
    assert_eq!(
        message,
        "the disk of the server has 900 MiB free: below 1024 MiB nothing is added until there are 1152 MiB \
         ([store] min_free_bytes)"
    );
    check(
        refusal,
        &Expected {
            metadata: &[
                ("enough", "1207959552"),
                ("free", "943718400"),
                ("limit", "1073741824"),
                ("scope", "free bytes of the server's disk"),
            ],
            retry_ms: Some(10_000),
            ..full(Reason::StoreFull)
        },
    );
}
