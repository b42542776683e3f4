//! Reads a refusal of the wire into an [`Error`]: a call's status with its
//! details, or the status of one item inside a stream.
//!
//! Keeps one mapping for both: first by reason, because reasons are stable, then
//! by code for what has none. A reason of another domain is no reason of ours.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::time::Duration;

use sessiond_proto::reason::{ERROR_DOMAIN, Reason};
use sessiond_proto::v1 as pb;
use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tonic_types::StatusExt;

use super::{Error, Origin, Refusal, Violation};

/// How many causes of an error are told, so that a cycle ends.
const CAUSES_TOLD_MAX: usize = 8;

impl From<&Status> for Error {
    fn from(status: &Status) -> Self {
        match status.source() {
            Some(cause) => from_transport(cause),
            None => from_server(status),
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::from(&status)
    }
}

impl From<&pb::RefusalStatus> for Error {
    fn from(status: &pb::RefusalStatus) -> Self {
        let code = Code::from_i32(status.code);
        let violations = status.violations.iter().map(|violation| Violation {
            field: violation.field.clone(),
            description: violation.description.clone(),
        });
        let refusal = Refusal {
            code: code_name(code),
            reason: status.reason.parse().ok(),
            reason_text: status.reason.clone(),
            message: status.message.clone(),
            metadata: status.metadata.clone().into_iter().collect(),
            retry_after: status.retry_after.and_then(|span| span.try_into().ok()),
            origin: Origin::Server,
        };
        classify(code, refusal, violations.collect())
    }
}

/// A status that tonic made from a failure below it: the server did not answer.
fn from_transport(cause: &(dyn StdError + 'static)) -> Error {
    let causes = || causes_of(cause);
    let mut refusal = Refusal::local("UNAVAILABLE", in_words(cause));
    if causes().any(|error| error.is::<ConnectError>()) {
        refusal.origin = Origin::Connect;
    } else if causes().any(|error| error.is::<TimeoutExpired>()) {
        refusal.code = "DEADLINE_EXCEEDED";
        return Error::Deadline(refusal);
    } else {
        refusal.origin = Origin::Transport;
    }
    Error::Unavailable(refusal)
}

/// An error and what caused it, from the outside in.
fn causes_of<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    let causes = std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    });
    causes.take(CAUSES_TOLD_MAX)
}

/// An error and its causes in one line.
pub(crate) fn in_words(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in causes_of(error).map(ToString::to_string) {
        // Many wrappers print what they wrap: tell each thing once.
        if !texts.iter().any(|told| told.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

fn from_server(status: &Status) -> Error {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .filter(|info| info.domain == ERROR_DOMAIN);
    let reason_text = info.map_or_else(String::new, |info| info.reason.clone());
    let refusal = Refusal {
        code: code_name(status.code()),
        reason: reason_text.parse().ok(),
        reason_text,
        message: status.message().to_owned(),
        metadata: info.map_or_else(BTreeMap::new, |info| {
            info.metadata.clone().into_iter().collect()
        }),
        retry_after: details
            .retry_info()
            .and_then(|info| info.retry_delay)
            .filter(|delay| *delay > Duration::ZERO),
        origin: Origin::Server,
    };
    let violations = details.bad_request().map_or_else(Vec::new, |request| {
        let violations = request.field_violations.iter();
        violations
            .map(|violation| Violation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            })
            .collect()
    });
    classify(status.code(), refusal, violations)
}

fn classify(code: Code, refusal: Refusal, violations: Vec<Violation>) -> Error {
    match refusal.reason {
        Some(reason) => by_reason(reason, Box::new(refusal), violations),
        None => by_code(code, Box::new(refusal), violations),
    }
}

fn by_reason(reason: Reason, refusal: Box<Refusal>, violations: Vec<Violation>) -> Error {
    match reason {
        Reason::SessionNotFound
        | Reason::SubscriptionNotFound
        | Reason::PoolNotFound
        | Reason::RequestNotFound
        | Reason::ResourceNotFound
        | Reason::NodeNotFound
        | Reason::NamespaceNotFound => Error::NotFound(refusal),
        Reason::SessionKeyInUse | Reason::SessionIdInUse | Reason::SubscriptionExists => {
            Error::AlreadyExists(refusal)
        }
        Reason::Unauthenticated => Error::Unauthenticated(refusal),
        Reason::PermissionDenied => Error::PermissionDenied(refusal),
        Reason::NotBuilt => Error::NotBuilt(refusal),
        Reason::SessionEnded
        | Reason::SessionDraining
        | Reason::SessionQueued
        | Reason::SessionActive
        | Reason::QueueHeld
        | Reason::ResourceReleased
        | Reason::ResourceRegistered
        | Reason::ResourcesUnreleased
        | Reason::ExportFailed
        | Reason::SessionUnacknowledged
        | Reason::CauseTooDeep
        | Reason::DrainNotCancellable
        | Reason::LeaseHeld
        | Reason::NodeElsewhere
        | Reason::RestartLimited
        | Reason::SubscriptionStale => Error::FailedPrecondition(refusal),
        Reason::LeaseFenced | Reason::StaleDelivery => Error::LeaseLost(refusal),
        Reason::EtagMismatch => Error::Conflict(refusal),
        Reason::TooManySessions
        | Reason::QueueFull
        | Reason::QuotaExceeded
        | Reason::RateLimited
        | Reason::StoreFull
        | Reason::Overloaded => exhausted(refusal),
        Reason::RevisionCompacted => compacted(refusal),
        Reason::LogChanged => Error::LogChanged(refusal),
        Reason::ServerDraining | Reason::NodeAway | Reason::StoreUnavailable => {
            Error::Unavailable(refusal)
        }
        Reason::RequestIdReused | Reason::FieldInvalid | Reason::MessageTooLarge => {
            Error::Invalid {
                violations,
                refusal,
            }
        }
    }
}

fn by_code(code: Code, refusal: Box<Refusal>, violations: Vec<Violation>) -> Error {
    match code {
        Code::NotFound => Error::NotFound(refusal),
        Code::AlreadyExists => Error::AlreadyExists(refusal),
        Code::FailedPrecondition => Error::FailedPrecondition(refusal),
        Code::Aborted => Error::Conflict(refusal),
        Code::InvalidArgument => Error::Invalid {
            violations,
            refusal,
        },
        Code::ResourceExhausted => exhausted(refusal),
        Code::Unavailable => Error::Unavailable(refusal),
        Code::OutOfRange => Error::Protocol(refusal),
        Code::Unauthenticated => Error::Unauthenticated(refusal),
        Code::PermissionDenied => Error::PermissionDenied(refusal),
        Code::Unimplemented => Error::NotBuilt(refusal),
        Code::DeadlineExceeded => Error::Deadline(refusal),
        Code::Cancelled => Error::Cancelled(refusal),
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Error::Internal(refusal),
    }
}

fn exhausted(refusal: Box<Refusal>) -> Error {
    Error::ResourceExhausted {
        retry_after: refusal.retry_after,
        refusal,
    }
}

fn compacted(refusal: Box<Refusal>) -> Error {
    let revision = |name: &str| {
        let text = refusal.metadata.get(name);
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    Error::Compacted {
        oldest: revision("oldest_revision"),
        current: revision("current_revision"),
        refusal,
    }
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests;
