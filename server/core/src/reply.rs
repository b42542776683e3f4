//! Replies and frames: what a decision says once it is durable.
//!
//! A reply goes to the caller that waits for the command; a frame goes to a worker's stream. Both are
//! sent only after the commit, in the order of the decisions.

use std::sync::Arc;

use bytes::Bytes;

use crate::drain::DrainReply;
use crate::explanation::Explanation;
use crate::ids::{
    DeliveryId, Epoch, Namespace, PoolName, QueueId, Revision, Seq, SessionId, SessionKey,
    SessionNo, SessionRef, StreamId,
};
use crate::lease::LeaseView;
use crate::message::MessageRow;
use crate::presence::{Instance, InstanceKey};
use crate::rejection::Rejection;
use crate::requests::RequestToken;
use crate::resource::Resource;
use crate::rows::MessageTally;
use crate::session::{EndMode, EndReason, SessionView};
use crate::subscription::SubscriptionReply;
use crate::time::{Span, WallTime};

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to tell.
    Done,
    /// To open.
    Opened {
        /// The session.
        session: Box<SessionView>,
        /// Whether this call created it.
        created: bool,
        /// Whether an earlier call with the same request id did it.
        duplicate: bool,
    },
    /// To begin-request.
    RequestBegun {
        /// The session.
        session: Box<SessionView>,
        /// The name of the request.
        token: RequestToken,
        /// The lease as resolved.
        lease: Span,
        /// When it is over unless renewed.
        expire_time: WallTime,
    },
    /// To update, touch, end-request, reset-restart-guard and end.
    Session {
        /// The session.
        session: Box<SessionView>,
        /// To end and end-request: it had ended before.
        already_ended: bool,
        /// Whether an earlier call with the same request id did it.
        duplicate: bool,
    },
    /// To reset.
    Reset {
        /// The session that gave way; none if it was purged since.
        ended: Option<Box<SessionView>>,
        /// The one that goes on.
        successor: Box<SessionView>,
        /// Whether an earlier call with the same request id did it.
        duplicate: bool,
    },
    /// To revoke.
    Revoked {
        /// The session.
        session: Box<SessionView>,
        /// The lease that was taken; none if nobody held the session, or to a repeat.
        lease: Option<LeaseView>,
        /// Whether an earlier call with the same request id did it.
        duplicate: bool,
    },
    /// To purge.
    Purged {
        /// The key it had.
        key: Option<SessionKey>,
        /// Messages deleted with it, dead letters and others.
        messages: u64,
    },
    /// To enqueue.
    Enqueued {
        /// Which session took the messages.
        session: SessionId,
        /// Into which queue.
        queue: QueueId,
        /// Whether this call opened it.
        opened: bool,
        /// One per message, in order.
        results: Vec<EnqueueResult>,
    },
    /// To claim.
    Claimed {
        /// Which session.
        session: SessionId,
        /// The lease; none if there was nothing to hand out.
        lease: Option<LeaseView>,
        /// What was handed out.
        deliveries: Vec<Delivery>,
    },
    /// To settle.
    Settled(Vec<SettleResult>),
    /// To requeue and discard.
    Counted {
        /// What was done.
        tally: MessageTally,
        /// Whether an earlier call with the same request id did it.
        duplicate: bool,
    },
    /// To declare, register and release.
    Resource {
        /// The session.
        session: Box<SessionView>,
        /// The resource.
        resource: Box<Resource>,
        /// Whether an earlier call with the same request id did it.
        duplicate: bool,
    },
    /// To the hello of a node's agent.
    NodeTaken {
        /// Its fencing token.
        epoch: Epoch,
    },
    /// To what is asked of a subscription.
    Subscription(SubscriptionReply),
    /// To compact: up to where events are deleted now.
    Compacted(Revision),
    /// To a step of a drain.
    Drain(DrainReply),
    /// To restore: those that had no clock and have one now.
    Restored(Vec<Epoch>),
    /// To the question whether what workers took gets on.
    LeaseProgress(LeaseProgress),
    /// To the question when leases lapse; those that nobody holds are left out.
    LeaseTimes(Vec<(Epoch, WallTime)>),
    /// To the question what an instance holds, in order of the leases' epochs.
    Held(Vec<SessionNo>),
    /// To reap.
    Reaped {
        /// The session as it is now.
        session: Box<SessionView>,
        /// The limit that ended it and when it was reached; none left it alone.
        passed: Option<(EndReason, WallTime)>,
    },
    /// To explain.
    Explained(Box<Explanation>),
    /// To the question how many sessions of each pool workers hold; pools of which they hold none are left out.
    Attached(Vec<(PoolName, u64)>),
    /// To the question who is here.
    Workers(Vec<WorkerView>),
}

impl Reply {
    /// What a call did with the messages it named.
    pub(crate) fn counted(tally: MessageTally, duplicate: bool) -> Self {
        Self::Counted { tally, duplicate }
    }
}

/// How many sessions workers hold, and whether what they took gets on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseProgress {
    /// Leases that hold a session.
    pub held: u64,
    /// Those of them with messages in flight.
    pub working: u64,
    /// Those of them under which nothing got on for [`STALLED_AFTER`](crate::limits::STALLED_AFTER).
    pub stalled: u64,
    /// The working one under which nothing got on for longest.
    pub slowest: Option<Slowest>,
}

/// A lease under which nothing got on for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowest {
    /// The session that it holds.
    pub session: SessionNo,
    /// When work under it moved last.
    pub moved_at: WallTime,
}

/// What became of one message of an enqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnqueueResult {
    /// Its seq, or that of the message it repeats; 0 for one that was skipped.
    pub seq: Seq,
    /// Whether it was accepted.
    pub status: EnqueueStatus,
}

/// Whether a message of an enqueue was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnqueueStatus {
    /// It was.
    Enqueued,
    /// It repeats one.
    Duplicate,
    /// Its kind failed too often lately.
    SkippedCircuitOpen,
}

/// What became of one settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettleResult {
    /// Which queue.
    pub queue: QueueId,
    /// Which message.
    pub seq: Seq,
    /// Which hand-out.
    pub delivery_id: DeliveryId,
    /// What became of it.
    pub code: SettleCode,
    /// For FENCED and STALE_DELIVERY: the lease and the hand-out that count now, if any.
    pub current: Current,
    /// For an extension: when the lease lapses now.
    pub deadline: Option<WallTime>,
}

/// What counts instead of what a settlement named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// The queue's lease.
    pub epoch: Option<Epoch>,
    /// The message's latest hand-out.
    pub delivery_id: Option<DeliveryId>,
}

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleCode {
    /// It is done.
    Ok,
    /// The message was settled before.
    AlreadySettled,
    /// The lease is no longer the worker's.
    Fenced,
    /// The message was handed out again since.
    StaleDelivery,
    /// There never was such a message.
    UnknownMessage,
}

/// One hand-out of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whose message.
    pub session: SessionId,
    /// The message.
    pub message: Arc<MessageRow>,
    /// The payload, if it is at hand; otherwise it is read from the store before sending.
    pub payload: Option<Bytes>,
    /// The hand-out.
    pub delivery_id: DeliveryId,
    /// The lease it was made under.
    pub epoch: Epoch,
    /// When that lease lapses unless renewed.
    pub deadline: WallTime,
}

/// An instance and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// Which instance.
    pub key: InstanceKey,
    /// What is known of it.
    pub instance: Instance,
    /// The sessions it holds.
    pub leases: Vec<(SessionNo, Epoch)>,
}

/// Something to send on a worker's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The hello was taken.
    Welcome {
        /// How long its leases last without a frame.
        lease: Span,
    },
    /// A session is held.
    Attached {
        /// The lease.
        lease: LeaseView,
        /// The session.
        session: Box<SessionView>,
        /// Volatile keys of another instance that are void now.
        voided_keys: Vec<String>,
    },
    /// A session is not held.
    AttachFailed {
        /// What was asked for.
        asked: SessionRef,
        /// Why not.
        rejection: Rejection,
    },
    /// Work.
    Deliveries(Vec<Delivery>),
    /// What became of settlements.
    Settled(Vec<SettleResult>),
    /// The session is ending; what is in flight may be settled until the deadline.
    SessionEnding {
        /// Which.
        session: SessionId,
        /// Why.
        reason: EndReason,
        /// What it waits for.
        mode: EndMode,
        /// Until when.
        deadline: WallTime,
    },
    /// Work in progress should stop.
    Cancel {
        /// The session.
        session: SessionId,
        /// Why.
        reason: CancelReason,
        /// Which deliveries; empty means all of the session.
        deliveries: Vec<DeliveryId>,
        /// When the server goes on without an answer.
        deadline: WallTime,
    },
    /// The session is no longer held.
    LeaseLost {
        /// Which.
        session: SessionId,
        /// Which lease.
        epoch: Epoch,
        /// Why.
        reason: LeaseLostReason,
        /// Which goes on.
        successor: Option<SessionId>,
    },
    /// The stream is over.
    GoAway {
        /// Why.
        reason: GoAwayReason,
    },
}

/// Why work should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// A message came that interrupts.
    Interrupt,
    /// It makes no progress.
    Stuck,
}

/// Why a lease is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseLostReason {
    /// It was not renewed in time.
    Lapsed,
    /// The session ended.
    SessionEnded,
    /// The session was replaced by a successor.
    Succeeded,
    /// The worker gave it back.
    Detached,
    /// The worker made no progress.
    Stuck,
    /// An operator took it.
    Revoked,
    /// There was nothing to do for long.
    Idle,
}

/// Why the server ends a worker's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoAwayReason {
    /// The instance opened another one.
    Replaced,
    /// The worker said goodbye.
    Goodbye,
}

/// A frame with its address.
pub type Push = (StreamId, Frame);

/// A queue that has something to hand out and no stream to push it to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wake {
    /// Where.
    pub namespace: Namespace,
    /// Whose queue.
    pub session: SessionNo,
}

/// The newest revision at a commit, with the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The newest event's revision.
    pub revision: Revision,
    /// What the decision says.
    pub outcome: Result<Reply, Rejection>,
}
