//! Refusals on the wire: THE table from reasons to gRPC codes, and what each refusal tells.
//!
//! A reason has one code, whoever refuses with it: in a call's status, in a frame of a stream. Codes
//! are chosen here and nowhere else. The text is for people and may change; clients branch on the
//! reason and on metadata keys. Everything stays under the header bounds of common clients: quoted
//! texts are ids, and faults are bounded where they are collected.

mod details;
mod rejection;
mod resources;
mod subscriptions;

use std::collections::BTreeMap;

use sessiond_core::ids::{Namespace, Revision};
use sessiond_core::time::Span;
use sessiond_proto::reason::Reason;
use tonic::Code;

use super::faults::{Invalid, Violation};
use super::parse::text;
use crate::engine::Backlog;

/// How long to wait for room that others must make: the reaper looks every minute, workers settle
/// within seconds, and a caller that asks each second costs little.
const RETRY_FULL: Span = Span::seconds(1);

/// How long to wait for room on a disk that a person must make; work that is done makes none there.
const RETRY_STORE_FULL: Span = Span::seconds(10);

/// How long to wait when the server has more to do than it can: many times a batch.
const RETRY_OVERLOADED: Span = Span(250);

/// How long to wait for another process in the place of one that stops.
const RETRY_DRAINING: Span = Span::seconds(1);

/// How long to wait for a node's agent that is not linked: it tries again every few seconds.
const RETRY_NODE: Span = Span::seconds(5);

/// How long to wait for a consumer that has what another one wants: that is how long a plugin is missed whose other run stands
/// by, and asking costs little.
const RETRY_CONSUMER: Span = Span::seconds(1);

/// How long to wait for a store that has failed: the process must be started anew.
const RETRY_STORE: Span = Span::seconds(5);

/// The scope of what concerns every caller.
const SERVER: &str = "server";

/// One "no", complete: it becomes a status, or a part of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    reason: Reason,
    message: String,
    metadata: BTreeMap<&'static str, String>,
    retry_after: Option<Span>,
    /// The name of what is missing or taken.
    resource: Option<String>,
    violations: Vec<Violation>,
}

/// The code of a reason, chosen by what the caller should do next.
pub(crate) fn code(reason: Reason) -> Code {
    match reason {
        Reason::SessionNotFound
        | Reason::SubscriptionNotFound
        | Reason::PoolNotFound
        | Reason::RequestNotFound
        | Reason::ResourceNotFound
        | Reason::NodeNotFound
        | Reason::NamespaceNotFound => Code::NotFound,
        Reason::SessionKeyInUse | Reason::SessionIdInUse | Reason::SubscriptionExists => {
            Code::AlreadyExists
        }
        Reason::Unauthenticated => Code::Unauthenticated,
        Reason::PermissionDenied => Code::PermissionDenied,
        Reason::NotBuilt => Code::Unimplemented,
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
        | Reason::LeaseFenced
        | Reason::StaleDelivery
        | Reason::LogChanged
        | Reason::SubscriptionStale => Code::FailedPrecondition,
        Reason::EtagMismatch => Code::Aborted,
        Reason::TooManySessions
        | Reason::QueueFull
        | Reason::QuotaExceeded
        | Reason::RateLimited
        | Reason::StoreFull
        | Reason::Overloaded => Code::ResourceExhausted,
        Reason::RevisionCompacted => Code::OutOfRange,
        Reason::ServerDraining | Reason::NodeAway | Reason::StoreUnavailable => Code::Unavailable,
        Reason::RequestIdReused | Reason::FieldInvalid | Reason::MessageTooLarge => {
            Code::InvalidArgument
        }
    }
}

// === impl Refusal ===

impl Refusal {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            metadata: BTreeMap::new(),
            retry_after: None,
            resource: None,
            violations: Vec::new(),
        }
    }

    fn with(mut self, key: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.metadata.insert(key, value.to_string());
        self
    }

    fn retry(mut self, after: Span) -> Self {
        self.retry_after = Some(after);
        self
    }

    fn about(mut self, resource: &(impl ToString + ?Sized)) -> Self {
        self.resource = Some(resource.to_string());
        self
    }

    /// A request that cannot become a command: FIELD_INVALID if any field is wrong whatever the
    /// server, MESSAGE_TOO_LARGE if only size is, else NOT_BUILT.
    pub(crate) fn invalid(invalid: &Invalid) -> Self {
        let oversize = invalid.too_large.first();
        let mut violations = invalid.violations.clone();
        violations.extend(invalid.too_large.iter().map(|one| one.violation.clone()));
        let mut refusal = match (&violations[..], oversize) {
            ([], _) => return Self::not_built(&invalid.not_built),
            ([first, ..], Some(oversize)) if invalid.violations.is_empty() => Self::new(
                Reason::MessageTooLarge,
                summary(first, &violations, invalid),
            )
            .with("limit", &oversize.limit),
            ([first, ..], _) => {
                Self::new(Reason::FieldInvalid, summary(first, &violations, invalid))
            }
        };
        refusal.violations = violations;
        refusal
    }

    /// One field of a request is not as it must be.
    pub(crate) fn field_invalid(field: &str, description: &str) -> Self {
        Self::invalid(&Invalid {
            violations: vec![Violation {
                field: field.to_owned(),
                description: description.to_owned(),
            }],
            ..Invalid::default()
        })
    }

    /// Fields or frames that the contract has and this server does not honour yet.
    pub(crate) fn not_built(fields: &[impl AsRef<str>]) -> Self {
        let names: Vec<&str> = fields.iter().map(AsRef::as_ref).collect();
        let names = names.join(", ");
        Self::new(Reason::NotBuilt, format!("not built yet: {names}")).with("fields", &names)
    }

    /// The namespace is not configured.
    pub(crate) fn namespace_not_found(namespace: &Namespace) -> Self {
        let message = format!("no namespace {}", text::quoted(namespace.as_str()));
        Self::new(Reason::NamespaceNotFound, message)
            .with("namespace", namespace)
            .about(namespace)
    }

    /// A request is larger than the server reads: nothing of it was looked at, so no field is named.
    pub(crate) fn request_too_large(size: u64, limit: u64) -> Self {
        let message = format!("the request has {size} bytes, and at most {limit} are read");
        Self::new(Reason::MessageTooLarge, message).with("limit", &limit)
    }

    /// Too much waits for the engine.
    pub(crate) fn overloaded(Backlog { of, used, limit }: Backlog) -> Self {
        let message = format!("more to do than the server can: {used} {of} wait, and {limit} may");
        let scope = format!("{of} waiting for the server");
        Self::crowded(Reason::Overloaded, message, &scope, (used, limit)).retry(RETRY_OVERLOADED)
    }

    /// Something holds as much as it may: where it is counted, how much there is and how much there may be.
    fn crowded<N: ToString>(
        reason: Reason,
        message: impl Into<String>,
        scope: &str,
        (used, limit): (N, N),
    ) -> Self {
        Self::new(reason, message)
            .with("scope", scope)
            .with("used", &used)
            .with("limit", &limit)
    }

    /// The server is shutting down.
    pub(crate) fn server_draining() -> Self {
        Self::new(Reason::ServerDraining, "the server is shutting down")
            .with("scope", SERVER)
            .retry(RETRY_DRAINING)
    }

    /// No drain is announced that could be called off: one goes through already, or there is none.
    pub(crate) fn drain_not_cancellable(goes_through: bool) -> Self {
        let message = match goes_through {
            true => "the drain is not only announced any more: it goes through",
            false => "no drain is announced",
        };
        Self::new(Reason::DrainNotCancellable, message)
    }

    /// The store has failed; whether a change was made may be unknown.
    pub(crate) fn store_unavailable() -> Self {
        let message = "the store has failed; the outcome may be unknown";
        Self::new(Reason::StoreUnavailable, message)
            .with("scope", SERVER)
            .retry(RETRY_STORE)
    }

    /// A call is part of handling an event that too many others caused, one by the other.
    pub(crate) fn cause_too_deep(event: Revision, depth: u32, limit: u32) -> Self {
        let message = format!(
            "this would be change {depth} in a chain of which each was made by whoever handled the last, and {limit} \
             may be: a handler feeds itself"
        );
        Self::new(Reason::CauseTooDeep, message)
            .with("depth", &depth)
            .with("limit", &limit)
            .with("cause_revision", &event)
    }

    /// A watch starts before what is kept.
    pub(crate) fn revision_compacted(asked: Revision, oldest: Revision, current: Revision) -> Self {
        let message = format!("events after revision {asked} are gone: the oldest is {oldest}");
        Self::new(Reason::RevisionCompacted, message)
            .with("oldest_revision", &oldest)
            .with("current_revision", &current)
    }

    /// A watch starts in another log, or in the future of this one.
    pub(crate) fn log_changed(log_id: &str, oldest: Revision, current: Revision) -> Self {
        let message = format!("the start is not in this log, whose newest revision is {current}");
        Self::new(Reason::LogChanged, message)
            .with("log_id", log_id)
            .with("oldest_revision", &oldest)
            .with("current_revision", &current)
    }
}

/// The first fault and how many more there are.
fn summary(first: &Violation, violations: &[Violation], invalid: &Invalid) -> String {
    let Violation { field, description } = first;
    match violations.len() - 1 + invalid.left_out {
        0 => format!("`{field}` {description}"),
        more => format!("`{field}` {description}, and {more} more"),
    }
}
