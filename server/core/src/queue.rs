//! Queues: the messages of a session, with a life of their own.
//!
//! A queue outlives the session that opened it: it can be held for the next incarnation of the key,
//! adopted, given up as dead letters or discarded. Its counters equal what its message rows say; only
//! `draft` writes them, beside the row that moves them.

use crate::ids::{DeliveryId, Epoch, Namespace, QueueId, Seq, SessionNo};
use crate::time::EngineTime;

/// The hot row of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Its number.
    pub id: QueueId,
    /// Where it belongs; settlements from elsewhere do not see it.
    pub namespace: Namespace,
    /// The session that owns it, or owned it last.
    pub owner: SessionNo,
    /// What may be done with its messages.
    pub disposition: Disposition,
    /// The lease that takes its messages.
    pub lease: Option<Epoch>,
    /// The seq of the next message.
    pub next_seq: Seq,
    /// The id of the next hand-out.
    pub next_delivery: DeliveryId,
    /// How many messages are where.
    pub depth: Depth,
    /// The oldest unsettled message and when it was accepted.
    pub oldest: Option<(Seq, EngineTime)>,
}

/// How many unsettled messages a queue has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// May be handed out.
    pub ready: u64,
    /// Returned or deferred, not yet due.
    pub waiting: u64,
    /// Handed out.
    pub in_flight: u64,
    /// Given up one by one.
    pub dead: u64,
    /// Bytes of all but the dead.
    pub bytes: u64,
}

impl Depth {
    /// Messages that are neither settled nor given up.
    #[must_use]
    pub fn unsettled(&self) -> u64 {
        self.ready + self.waiting + self.in_flight
    }
}

/// What may be done with a queue's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Handed out to whoever holds the lease.
    Serving,
    /// Not handed out: the session is ending gracefully.
    Quiet,
    /// Waits for the next session of its key until then.
    Held {
        /// When the wait is over.
        until: EngineTime,
    },
    /// Whatever is left are dead letters of an ended session.
    Dead {
        /// Since when.
        since: EngineTime,
    },
    /// Whatever is left is being deleted, a few rows at a time.
    Discarded {
        /// When the next rows go.
        next: EngineTime,
    },
}

impl QueueRow {
    /// An empty queue owned by `owner`.
    #[must_use]
    pub fn new(id: QueueId, namespace: Namespace, owner: SessionNo) -> Self {
        Self {
            id,
            namespace,
            owner,
            disposition: Disposition::Serving,
            lease: None,
            next_seq: Seq(1),
            next_delivery: DeliveryId(1),
            depth: Depth::default(),
            oldest: None,
        }
    }

    /// Whether a worker should be found for it.
    #[must_use]
    pub fn wants_worker(&self) -> bool {
        self.disposition == Disposition::Serving && self.lease.is_none() && self.depth.ready > 0
    }
}
