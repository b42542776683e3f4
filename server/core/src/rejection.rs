//! Rejections: every business "no", with the facts the caller needs.
//!
//! A rejection changes nothing. What a client sees of it, code and reason, is said in the server's
//! status mapping and nowhere else.

use crate::ids::{Epoch, Namespace, PoolName, SessionId, SessionRef, WorkerName};
use crate::node::NodeRejection;
use crate::presence::Shortage;
use crate::requests::RequestToken;
use crate::resource::{ReleaseOutcome, ResourceToken};
use crate::session::{Awaited, EndReason};
use crate::subscription::SubscriptionRejection;
use crate::time::{Span, WallTime};

/// How a session holds its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It waits for its slot.
    Queued,
    /// It is in use.
    Active,
}

/// What a pool has too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// Sessions with a slot.
    Live,
    /// Sessions that wait for one.
    Waiting,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The server goes away, and with it every session.
    ServerDraining,
    /// No such session in this namespace.
    SessionNotFound {
        /// What was asked for.
        asked: SessionRef,
    },
    /// The key has a live session.
    SessionKeyInUse {
        /// Which.
        session: SessionId,
        /// Whether it waits for its slot or is in use.
        state: Liveness,
    },
    /// The id is taken, now or in the past.
    SessionIdInUse {
        /// Which.
        session: SessionId,
    },
    /// The session is over.
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Why it ended.
        reason: EndReason,
        /// Which goes on.
        successor: Option<SessionId>,
    },
    /// The session is ending.
    SessionDraining {
        /// Which.
        session: SessionId,
        /// Why it is ending.
        reason: EndReason,
    },
    /// The session is not in use yet.
    SessionQueued {
        /// Which.
        session: SessionId,
        /// What it waits for.
        awaited: Awaited,
    },
    /// The session is in use, and what was asked for is for sessions that have ended.
    SessionActive {
        /// Which.
        session: SessionId,
    },
    /// The messages of the session wait for the next session of its key.
    QueueHeld {
        /// Which session.
        session: SessionId,
        /// How many messages.
        messages: u64,
    },
    /// The session goes only once an export has all that it has, and none does.
    SessionUnexported {
        /// Which session.
        session: SessionId,
        /// What kept it from being exported, in words; none if nothing did and it changed meanwhile, or nobody tried.
        why: Option<String>,
    },
    /// The session that the request id stands for was purged.
    SubjectPurged {
        /// The request id.
        request_id: String,
    },
    /// The pool is not configured.
    PoolNotFound {
        /// Its name.
        pool: PoolName,
    },
    /// The pool is full.
    TooManySessions {
        /// Where.
        namespace: Namespace,
        /// Its name.
        pool: PoolName,
        /// Which of its limits is reached.
        what: Crowd,
        /// How many there are.
        used: u64,
        /// The limit.
        limit: u64,
    },
    /// The queue holds as many messages or bytes as it may.
    QueueFull {
        /// The session.
        session: SessionId,
        /// `messages` or `bytes`.
        what: &'static str,
        /// What it holds without those of the call.
        used: u64,
        /// The limit that was reached.
        limit: u64,
    },
    /// The disk has too little room to take more.
    StoreFull(Shortage),
    /// Another worker holds the session.
    LeaseHeld {
        /// The session.
        session: SessionId,
        /// Who holds it.
        holder: WorkerName,
        /// Its token.
        epoch: Epoch,
        /// When it lapses unless renewed.
        expire_time: WallTime,
        /// The same, from now.
        expires_in: Span,
    },
    /// The worker does not hold the session.
    LeaseFenced {
        /// The session.
        session: SessionId,
        /// The token that counts now, if anybody holds it.
        current: Option<Epoch>,
    },
    /// The session's workers failed too often.
    RestartLimited {
        /// The session.
        session: SessionId,
        /// How many failures count.
        failures: u32,
        /// When a worker may have it again, from now.
        retry_in: Span,
    },
    /// The worker holds as many sessions as one stream may.
    TooManyLeases {
        /// The limit.
        limit: u32,
    },
    /// No such request of this session is live.
    RequestNotFound {
        /// The session.
        session: SessionId,
        /// What was asked for.
        token: RequestToken,
    },
    /// The session has as many live requests as it may.
    TooManyRequests {
        /// The session.
        session: SessionId,
        /// The limit.
        limit: u64,
    },
    /// No such resource is on record.
    ResourceNotFound {
        /// What was asked for.
        token: ResourceToken,
    },
    /// The resource was released, so nothing can be it any more.
    ResourceReleased {
        /// Which.
        token: ResourceToken,
        /// How that is known.
        outcome: ReleaseOutcome,
    },
    /// What was declared was registered as something else.
    ResourceRegistered {
        /// Which.
        token: ResourceToken,
    },
    /// A node, or its agent, cannot be had.
    Node(NodeRejection),
    /// The session has as many resources as it may.
    TooManyResources {
        /// The session.
        session: SessionId,
        /// The limit.
        limit: u64,
    },
    /// Resources of the session are not released.
    SessionUnreleased {
        /// Which session.
        session: SessionId,
        /// How many.
        resources: u32,
    },
    /// Workers hold as many sessions of the pool as they may.
    TooManyAttached {
        /// Where.
        namespace: Namespace,
        /// Its name.
        pool: PoolName,
        /// How many they hold.
        used: u64,
        /// The limit.
        limit: u64,
    },
    /// The session changed since it was read.
    EtagMismatch {
        /// The etag that counts now.
        current: String,
    },
    /// The request id was used for something else.
    RequestIdReused {
        /// The request id.
        request_id: String,
    },
    /// A subscription is in the way, or cannot be.
    Subscription(SubscriptionRejection),
    /// The stream is not the instance's open one.
    StreamReplaced,
    /// The worker said goodbye on this stream, and takes nothing more on it.
    WorkerLeft,
}
