//! Commands of workers: claims, settlements, and the frames of their streams.
//!
//! What this deliberately does not do: say who may; that is decided with the lease.

use std::num::NonZeroU32;

use crate::ids::{
    DeliveryId, Epoch, InstanceId, Namespace, QueueId, Seq, SessionId, SessionRef, StreamId,
    WorkerName,
};
use crate::presence::{InstanceKey, SessionFilter, Window};
use crate::session::{Labels, Usage};
use crate::time::Span;

/// Take or renew a lease and hand out messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where.
    pub namespace: Namespace,
    /// Which session.
    pub session: SessionRef,
    /// Who asks.
    pub worker: WorkerName,
    /// Which run of it.
    pub instance: InstanceId,
    /// How long the lease lasts.
    pub lease: Span,
    /// How many messages at most.
    pub max_messages: NonZeroU32,
}

/// Settle deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// Where.
    pub namespace: Namespace,
    /// One by one.
    pub settlements: Vec<Settlement>,
}

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which queue.
    pub queue: QueueId,
    /// Which message.
    pub seq: Seq,
    /// Which hand-out.
    pub delivery_id: DeliveryId,
    /// Under which lease.
    pub epoch: Epoch,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a worker says of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Ack {
        /// Tokens it took.
        usage: Usage,
    },
    /// It is not done.
    Nack {
        /// Whether trying again makes sense.
        kind: NackKind,
        /// How long to wait; unset takes the kind's default.
        delay: Option<Span>,
        /// What went wrong.
        error: String,
    },
    /// It needs more time: renews the lease.
    Extend {
        /// From now.
        by: Span,
    },
}

/// Whether trying again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NackKind {
    /// Yes; the attempt counts.
    Retry,
    /// Yes, later; the attempt does not count.
    Defer,
    /// No.
    Permanent,
}

/// A frame of a worker's stream, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCommand {
    /// Whose.
    pub instance: InstanceKey,
    /// On which stream.
    pub stream: StreamId,
    /// What.
    pub frame: WorkerFrame,
}

/// What a worker's stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerFrame {
    /// It is here.
    Hello(Box<Hello>),
    /// It wants a session.
    Attach {
        /// Which.
        session: SessionRef,
    },
    /// It gives a session back.
    Detach {
        /// Which, by the worker's word.
        session: SessionId,
    },
    /// It has room for this much.
    Window(Window),
    /// It settles deliveries.
    Settle(Vec<Settlement>),
    /// It is getting on with a session.
    Progress {
        /// Which.
        session: SessionId,
        /// Under which lease; unset is the one the stream holds.
        epoch: Option<Epoch>,
        /// Its volatile attributes, all of them; unset leaves them.
        volatile: Option<Labels>,
    },
    /// What became of a cancel.
    CancelResult {
        /// Of which session.
        session: SessionId,
        /// Whether it stopped.
        outcome: CancelOutcome,
    },
    /// It is alive.
    Heartbeat,
    /// It takes nothing new and gives everything back.
    Goodbye,
    /// The stream is gone.
    Closed,
    /// These could not be written to the stream.
    Unsent(Vec<(QueueId, Seq, DeliveryId)>),
}

/// Whether a worker stopped what it was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It did; what it has not settled may be handed out again.
    Stopped,
    /// It had finished, and has settled everything or is about to.
    Finished,
    /// It could not.
    Failed,
}

/// A worker's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it calls itself.
    pub worker: WorkerName,
    /// Its build.
    pub build_id: String,
    /// Its labels.
    pub labels: Labels,
    /// What it lets in flight.
    pub window: Window,
    /// Which sessions it wants assigned.
    pub serves: Option<SessionFilter>,
    /// What it still holds from an earlier stream.
    pub resume: Vec<Resume>,
}

/// One lease that a worker still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Which session, by the worker's word.
    pub session: SessionId,
    /// The lease.
    pub epoch: Epoch,
    /// The deliveries it has.
    pub deliveries: Vec<DeliveryId>,
}
