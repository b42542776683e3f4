//! The table of codes, and the size of the largest refusals.

use sessiond_core::ids::{Epoch, SessionId, WorkerName};
use sessiond_core::rejection::Rejection;
use sessiond_core::session::EndReason;
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::reason::Reason;
use tonic::{Code, Status};

use super::status_edge::faulty;
use crate::wire::faults::FAULTS_MAX;
use crate::wire::status::{Refusal, code};

/// The contract's table once more: a changed row must be changed on purpose.
const CONTRACT: [(Code, &[&str]); 11] = [
    (
        Code::NotFound,
        &[
            "SESSION_NOT_FOUND",
            "SUBSCRIPTION_NOT_FOUND",
            "POOL_NOT_FOUND",
            "REQUEST_NOT_FOUND",
            "RESOURCE_NOT_FOUND",
            "NODE_NOT_FOUND",
            "NAMESPACE_NOT_FOUND",
        ],
    ),
    (
        Code::AlreadyExists,
        &[
            "SESSION_KEY_IN_USE",
            "SESSION_ID_IN_USE",
            "SUBSCRIPTION_EXISTS",
        ],
    ),
    (Code::Unauthenticated, &["UNAUTHENTICATED"]),
    (Code::PermissionDenied, &["PERMISSION_DENIED"]),
    (Code::Unimplemented, &["NOT_BUILT"]),
    (
        Code::FailedPrecondition,
        &[
            "SESSION_ENDED",
            "SESSION_DRAINING",
            "SESSION_QUEUED",
            "SESSION_ACTIVE",
            "QUEUE_HELD",
            "RESOURCE_RELEASED",
            "RESOURCE_REGISTERED",
            "RESOURCES_UNRELEASED",
            "EXPORT_FAILED",
            "SESSION_UNACKNOWLEDGED",
            "CAUSE_TOO_DEEP",
            "DRAIN_NOT_CANCELLABLE",
            "LEASE_HELD",
            "RESTART_LIMITED",
            "NODE_ELSEWHERE",
            "LEASE_FENCED",
            "STALE_DELIVERY",
            "LOG_CHANGED",
            "SUBSCRIPTION_STALE",
        ],
    ),
    (Code::Aborted, &["ETAG_MISMATCH"]),
    (
        Code::ResourceExhausted,
        &[
            "TOO_MANY_SESSIONS",
            "QUEUE_FULL",
            "QUOTA_EXCEEDED",
            "RATE_LIMITED",
            "STORE_FULL",
            "OVERLOADED",
        ],
    ),
    (Code::OutOfRange, &["REVISION_COMPACTED"]),
    (
        Code::Unavailable,
        &["SERVER_DRAINING", "NODE_AWAY", "STORE_UNAVAILABLE"],
    ),
    (
        Code::InvalidArgument,
        &["REQUEST_ID_REUSED", "FIELD_INVALID", "MESSAGE_TOO_LARGE"],
    ),
];

#[test]
fn every_reason_has_the_code_of_the_contract() {
    let mut seen = 0;
    for (expected, reasons) in CONTRACT {
        for reason in reasons {
            assert_eq!(code(reason.parse().unwrap()), expected, "{reason}");
            seen += 1;
        }
    }
    assert_eq!(seen, Reason::ALL.len());
}

/// The header bound of the strictest common client, for all headers of an answer.
const CLIENT_HEADER_BYTES: usize = 8 * 1024;

#[test]
fn the_worst_refusal_fits_the_headers_of_common_clients() {
    let long = "x".repeat(100);
    let worst = faulty(|faults| {
        for index in 0..10 * FAULTS_MAX {
            faults.within_item("open_if_missing.some_list", index, |faults| {
                faults.invalid("transcript_path", long.as_str());
            });
        }
    });
    assert_eq!(worst.left_out, 9 * FAULTS_MAX);
    let largest_id = SessionId::parse("ü".repeat(128)).unwrap();
    for refusal in [
        Refusal::invalid(&worst),
        Refusal::rejected(&Rejection::SessionEnded {
            session: largest_id.clone(),
            reason: EndReason::RestartLimit,
            successor: Some(largest_id.clone()),
        }),
        Refusal::rejected(&Rejection::LeaseHeld {
            session: largest_id,
            holder: WorkerName::parse("ü".repeat(128)).unwrap(),
            epoch: Epoch(u64::MAX),
            expire_time: WallTime(0),
            expires_in: Span(u64::MAX),
        }),
    ] {
        let headers = Status::from(refusal)
            .into_http::<()>()
            .into_parts()
            .0
            .headers;
        let bytes: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum();
        assert!(bytes < CLIENT_HEADER_BYTES, "{bytes}");
    }
}
