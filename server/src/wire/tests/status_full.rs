//! The table of refusals: what is full, with its limit and when to come back.

use sessiond_core::ids::{Namespace, PoolName};
use sessiond_core::rejection::{Crowd, Rejection};
use sessiond_proto::reason::Reason;
use tonic::Code;

use super::status::{Expected, check, session};
use crate::wire::status::Refusal;

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

/// Proves: B18.
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
