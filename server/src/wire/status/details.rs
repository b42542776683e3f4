//! The two forms of a refusal: a call's status with its details, and the same facts in a frame.

use std::time::Duration;

use sessiond_proto::reason::{ERROR_DOMAIN, Reason};
use sessiond_proto::v1 as pb;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use super::{Refusal, code};
use crate::wire::show::time::duration;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = code(refusal.reason);
        let Refusal {
            reason,
            message,
            metadata,
            retry_after,
            resource,
            violations,
        } = refusal;
        let metadata: std::collections::HashMap<String, String> = metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let mut details = ErrorDetails::new();
        details.set_error_info(reason.as_str(), ERROR_DOMAIN, metadata);
        if let Some(span) = retry_after {
            details.set_retry_info(Some(Duration::from_millis(span.0)));
        }
        if let Some(name) = resource {
            details.set_resource_info(resource_type(reason), name, "", "");
        }
        for violation in violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        Self::with_error_details(code, message, details)
    }
}

impl From<Refusal> for pb::RefusalStatus {
    fn from(refusal: Refusal) -> Self {
        let code = code(refusal.reason) as i32;
        let metadata = refusal
            .metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        let violations = refusal
            .violations
            .into_iter()
            .map(|violation| pb::FieldViolation {
                field: violation.field,
                description: violation.description,
            });
        Self {
            code,
            message: refusal.message,
            reason: refusal.reason.as_str().to_owned(),
            metadata: metadata.collect(),
            retry_after: refusal.retry_after.map(duration),
            violations: violations.collect(),
        }
    }
}

/// What sort of thing a reason is about.
fn resource_type(reason: Reason) -> &'static str {
    match reason {
        Reason::SubscriptionNotFound | Reason::SubscriptionExists | Reason::SubscriptionStale => {
            "subscription"
        }
        Reason::PoolNotFound | Reason::TooManySessions => "pool",
        Reason::RequestNotFound | Reason::RequestIdReused => "request",
        Reason::ResourceNotFound | Reason::ResourceReleased | Reason::ResourceRegistered => {
            "resource"
        }
        Reason::NodeNotFound | Reason::NodeElsewhere | Reason::NodeAway => "node",
        Reason::NamespaceNotFound => "namespace",
        Reason::SessionNotFound
        | Reason::SessionKeyInUse
        | Reason::SessionIdInUse
        | Reason::SessionEnded
        | Reason::SessionDraining
        | Reason::SessionQueued
        | Reason::SessionActive
        | Reason::QueueHeld
        | Reason::ResourcesUnreleased
        | Reason::ExportFailed
        | Reason::SessionUnacknowledged
        | Reason::LeaseHeld
        | Reason::RestartLimited
        | Reason::LeaseFenced
        | Reason::QueueFull
        | Reason::EtagMismatch => "session",
        Reason::StaleDelivery | Reason::MessageTooLarge => "message",
        Reason::Unauthenticated
        | Reason::PermissionDenied
        | Reason::NotBuilt
        | Reason::CauseTooDeep
        | Reason::DrainNotCancellable
        | Reason::QuotaExceeded
        | Reason::RateLimited
        | Reason::StoreFull
        | Reason::Overloaded
        | Reason::RevisionCompacted
        | Reason::LogChanged
        | Reason::ServerDraining
        | Reason::StoreUnavailable
        | Reason::FieldInvalid => "server",
    }
}
