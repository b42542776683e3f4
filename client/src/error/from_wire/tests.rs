//! Every reason and every code, from a call and from within a stream.

use tonic_types::ErrorDetails;

use super::*;

/// The variant of an error by name.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::NotFound(_) => "NotFound",
        Error::AlreadyExists(_) => "AlreadyExists",
        Error::FailedPrecondition(_) => "FailedPrecondition",
        Error::Conflict(_) => "Conflict",
        Error::Invalid { .. } => "Invalid",
        Error::ResourceExhausted { .. } => "ResourceExhausted",
        Error::Unavailable(_) => "Unavailable",
        Error::LeaseLost(_) => "LeaseLost",
        Error::Compacted { .. } => "Compacted",
        Error::LogChanged(_) => "LogChanged",
        Error::Unauthenticated(_) => "Unauthenticated",
        Error::PermissionDenied(_) => "PermissionDenied",
        Error::NotBuilt(_) => "NotBuilt",
        Error::Deadline(_) => "Deadline",
        Error::Cancelled(_) => "Cancelled",
        Error::Internal(_) => "Internal",
        Error::Protocol(_) => "Protocol",
        Error::Setting(_) => "Setting",
    }
}

fn refused(code: Code, reason: &str, domain: &str) -> Status {
    let metadata = [
        ("oldest_revision".to_owned(), "5".to_owned()),
        ("current_revision".to_owned(), "9".to_owned()),
    ];
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, domain, metadata);
    details.set_retry_info(Some(Duration::from_millis(1_500)));
    details.add_bad_request_violation("field", "is wrong");
    Status::with_error_details(code, "refused", details)
}

/// What each reason becomes, spelled out: changed on purpose only.
const KINDS: &str = "\
    SESSION_NOT_FOUND NotFound SUBSCRIPTION_NOT_FOUND NotFound POOL_NOT_FOUND NotFound \
    REQUEST_NOT_FOUND NotFound RESOURCE_NOT_FOUND NotFound NODE_NOT_FOUND NotFound SESSION_KEY_IN_USE AlreadyExists \
    SESSION_ID_IN_USE AlreadyExists SUBSCRIPTION_EXISTS AlreadyExists NAMESPACE_NOT_FOUND NotFound UNAUTHENTICATED \
    Unauthenticated PERMISSION_DENIED PermissionDenied NOT_BUILT NotBuilt SESSION_ENDED \
    FailedPrecondition SESSION_DRAINING FailedPrecondition SESSION_QUEUED FailedPrecondition \
    SESSION_ACTIVE FailedPrecondition QUEUE_HELD FailedPrecondition \
    RESOURCE_RELEASED FailedPrecondition RESOURCE_REGISTERED FailedPrecondition \
    RESOURCES_UNRELEASED FailedPrecondition EXPORT_FAILED FailedPrecondition SESSION_UNACKNOWLEDGED FailedPrecondition \
    CAUSE_TOO_DEEP FailedPrecondition DRAIN_NOT_CANCELLABLE FailedPrecondition LEASE_HELD FailedPrecondition RESTART_LIMITED \
    FailedPrecondition NODE_ELSEWHERE FailedPrecondition LEASE_FENCED LeaseLost STALE_DELIVERY LeaseLost ETAG_MISMATCH Conflict \
    TOO_MANY_SESSIONS ResourceExhausted QUEUE_FULL ResourceExhausted QUOTA_EXCEEDED \
    ResourceExhausted RATE_LIMITED ResourceExhausted STORE_FULL ResourceExhausted OVERLOADED \
    ResourceExhausted REVISION_COMPACTED Compacted LOG_CHANGED LogChanged SUBSCRIPTION_STALE \
    FailedPrecondition SERVER_DRAINING Unavailable NODE_AWAY Unavailable STORE_UNAVAILABLE Unavailable \
    REQUEST_ID_REUSED Invalid FIELD_INVALID Invalid MESSAGE_TOO_LARGE Invalid";

#[test]
fn every_reason_becomes_its_error_with_all_its_facts() {
    let words: Vec<&str> = KINDS.split_whitespace().collect();
    assert_eq!(words.len(), 2 * Reason::ALL.len());
    for pair in words.chunks_exact(2) {
        let (name, expected) = (pair[0], pair[1]);
        // The reason decides, whatever the code.
        let error = Error::from(refused(Code::Unknown, name, ERROR_DOMAIN));
        assert_eq!(kind(&error), expected, "{name}");
        assert_eq!(error.reason().map(Reason::as_str), Some(name));
        assert_eq!(error.metadata()["oldest_revision"], "5");
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1_500)));
        assert_eq!(error.code_name(), "UNKNOWN");
        assert_eq!(error.refusal().message(), "refused");
        assert!(!error.is_connect());
        if let Error::Compacted {
            oldest, current, ..
        } = error
        {
            assert_eq!((oldest, current), (5, 9));
        }
    }
}

#[test]
fn refusal_inside_a_stream_is_the_same() {
    for reason in Reason::ALL {
        let status = pb::RefusalStatus {
            code: Code::FailedPrecondition as i32,
            message: "refused".to_owned(),
            reason: reason.as_str().to_owned(),
            metadata: [("holder".to_owned(), "w2".to_owned())].into(),
            retry_after: Some(prost_types::Duration {
                seconds: 1,
                nanos: 500_000_000,
            }),
            violations: Vec::new(),
        };
        let within = Error::from(&status);
        let called = refused(Code::FailedPrecondition, reason.as_str(), ERROR_DOMAIN);
        assert_eq!(kind(&within), kind(&Error::from(called)), "{reason}");
        assert_eq!(within.reason(), Some(*reason));
        assert_eq!(within.metadata()["holder"], "w2");
        assert_eq!(within.retry_after(), Some(Duration::from_millis(1_500)));
        assert_eq!(within.code_name(), "FAILED_PRECONDITION");
    }
}

#[test]
fn code_decides_where_there_is_no_reason_of_ours() {
    for (code, expected) in [
        (Code::NotFound, "NotFound"),
        (Code::AlreadyExists, "AlreadyExists"),
        (Code::FailedPrecondition, "FailedPrecondition"),
        (Code::Aborted, "Conflict"),
        (Code::InvalidArgument, "Invalid"),
        (Code::ResourceExhausted, "ResourceExhausted"),
        (Code::Unavailable, "Unavailable"),
        (Code::Unauthenticated, "Unauthenticated"),
        (Code::PermissionDenied, "PermissionDenied"),
        (Code::Unimplemented, "NotBuilt"),
        (Code::DeadlineExceeded, "Deadline"),
        (Code::Cancelled, "Cancelled"),
        (Code::OutOfRange, "Protocol"),
        (Code::Unknown, "Internal"),
        (Code::Internal, "Internal"),
        (Code::DataLoss, "Internal"),
    ] {
        let bare = Error::from(Status::new(code, "bare"));
        let newer = Error::from(refused(code, "REASON_OF_TOMORROW", ERROR_DOMAIN));
        let other = Error::from(refused(code, "SESSION_NOT_FOUND", "elsewhere"));
        for error in [&bare, &newer, &other] {
            assert_eq!(kind(error), expected, "{code:?}");
            assert_eq!(error.reason(), None);
        }
        assert_eq!(newer.refusal().reason_text(), "REASON_OF_TOMORROW");
        assert_eq!(other.refusal().reason_text(), "");
    }
}

#[test]
fn causes_are_told_once_each() {
    let cause = std::io::Error::other("the wire is cut");
    let status = Status::from_error(Box::new(cause));
    let error = Error::from(status);
    assert_eq!(kind(&error), "Unavailable");
    assert_eq!(error.to_string(), "unavailable: the wire is cut");
    let refused = ConnectError(Box::new(std::io::Error::other("nobody there")));
    let error = Error::from(Status::from_error(Box::new(refused)));
    assert!(error.is_connect());
    assert!(error.to_string().ends_with("nobody there"), "{error}");
}
