//! Why a command was refused.

use sessiond_core::ids::SessionId;
use sessiond_core::node::NodeRejection;
use sessiond_core::rejection::{Crowd, Liveness, Rejection};
use sessiond_core::resource::{ReleaseOutcome, ResourceToken};
use sessiond_core::session::{Awaited, EndReason};
use sessiond_core::subscription::SubscriptionRejection;

/// Why not, with the facts a caller decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    ServerDraining,
    NotFound,
    KeyInUse(SessionId, Liveness),
    /// Whether it waits for what its predecessor has outside.
    Queued(SessionId, bool),
    IdInUse(SessionId),
    Ended(SessionId, EndReason, Option<SessionId>),
    Draining(SessionId, EndReason),
    Active(SessionId),
    QueueHeld(SessionId, u64),
    /// It must be exported first.
    Unexported(SessionId),
    SubjectPurged,
    PoolNotFound,
    /// Of what, how many there are, and how many there may be; so are the next two.
    TooManySessions(Crowd, u64, u64),
    TooManyAttached(u64, u64),
    QueueFull(&'static str, u64, u64),
    /// How much is free, and how much must be.
    StoreFull(u64, u64),
    /// By which token, and for how long.
    LeaseHeld(u64, u64),
    EtagMismatch,
    RequestIdReused,
    RequestNotFound,
    /// How many failures count, and for how long.
    RestartLimited(u32, u64),
    /// By which token, if any.
    Fenced(Option<u64>),
    TooManyRequests(u64),
    TooManyResources(u64),
    ResourceNotFound(ResourceToken),
    ResourceReleased(ResourceToken, ReleaseOutcome),
    ResourceRegistered(ResourceToken),
    Node(NodeRejection),
    Subscription(SubscriptionRejection),
    /// How many resources of the session are not released.
    Unreleased(SessionId, u32),
    /// The worker said goodbye on this stream.
    WorkerLeft,
    /// None of those that the commands of this test can meet.
    Other(String),
}

impl Refusal {
    pub(crate) fn of(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::ServerDraining => Self::ServerDraining,
            Rejection::SessionNotFound { .. } => Self::NotFound,
            Rejection::SessionKeyInUse { session, state } => {
                Self::KeyInUse(session.clone(), *state)
            }
            Rejection::SessionQueued { session, awaited } => {
                Self::Queued(session.clone(), *awaited == Awaited::PredecessorResources)
            }
            Rejection::SessionIdInUse { session } => Self::IdInUse(session.clone()),
            Rejection::SessionEnded {
                session,
                reason,
                successor,
            } => Self::Ended(session.clone(), *reason, successor.clone()),
            Rejection::SessionDraining { session, reason } => {
                Self::Draining(session.clone(), *reason)
            }
            Rejection::SessionActive { session } => Self::Active(session.clone()),
            Rejection::QueueHeld { session, messages } => {
                Self::QueueHeld(session.clone(), *messages)
            }
            Rejection::SessionUnexported { session, why } => {
                assert_eq!(*why, None, "nothing fails here");
                Self::Unexported(session.clone())
            }
            Rejection::SubjectPurged { .. } => Self::SubjectPurged,
            Rejection::PoolNotFound { .. } => Self::PoolNotFound,
            Rejection::TooManySessions {
                what, used, limit, ..
            } => Self::TooManySessions(*what, *used, *limit),
            Rejection::TooManyAttached { used, limit, .. } => Self::TooManyAttached(*used, *limit),
            Rejection::QueueFull {
                what, used, limit, ..
            } => Self::QueueFull(what, *used, *limit),
            Rejection::StoreFull(shortage) => Self::StoreFull(shortage.free, shortage.enough),
            Rejection::LeaseHeld {
                epoch, expires_in, ..
            } => Self::LeaseHeld(epoch.0, expires_in.0),
            Rejection::EtagMismatch { .. } => Self::EtagMismatch,
            Rejection::RequestIdReused { .. } => Self::RequestIdReused,
            Rejection::RequestNotFound { .. } => Self::RequestNotFound,
            Rejection::TooManyRequests { limit, .. } => Self::TooManyRequests(*limit),
            Rejection::TooManyResources { limit, .. } => Self::TooManyResources(*limit),
            Rejection::ResourceNotFound { token } => Self::ResourceNotFound(*token),
            Rejection::ResourceReleased { token, outcome } => {
                Self::ResourceReleased(*token, *outcome)
            }
            Rejection::ResourceRegistered { token } => Self::ResourceRegistered(*token),
            Rejection::SessionUnreleased { session, resources } => {
                Self::Unreleased(session.clone(), *resources)
            }
            Rejection::RestartLimited {
                failures, retry_in, ..
            } => Self::RestartLimited(*failures, retry_in.0),
            Rejection::LeaseFenced { current, .. } => Self::Fenced(current.map(|epoch| epoch.0)),
            Rejection::WorkerLeft => Self::WorkerLeft,
            Rejection::Node(rejection) => Self::Node(rejection.clone()),
            Rejection::Subscription(rejection) => Self::Subscription(rejection.clone()),
            Rejection::TooManyLeases { .. } | Rejection::StreamReplaced => {
                Self::Other(format!("{rejection:?}"))
            }
        }
    }
}
