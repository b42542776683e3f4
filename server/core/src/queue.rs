//! Queues: the messages of a session, with a life of their own.
//!
//! A queue outlives the session that opened it: it can be held for the next incarnation of the key,
//! adopted, given up as dead letters or discarded. Its counters equal what its message rows say; only
//! `draft` writes them, beside the row that moves them.

use crate::ids::{DeliveryId, Epoch, Namespace, QueueId, Seq, SessionNo};
use crate::time::{EngineTime, WallTime};

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
    /// The oldest unsettled message.
    pub oldest: Option<Oldest>,
    /// Whether its owner's restart guard keeps it from workers. Until when is in the session's warm row.
    pub suspended: bool,
    /// Until when messages are held back that wait for a pause; none while there are none.
    pub pause: Option<Pause>,
}

/// The unsettled message of a queue with the lowest seq, which is the one that was accepted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Which.
    pub seq: Seq,
    /// When it was accepted, for age.
    pub at: EngineTime,
    /// When it was accepted, for display.
    pub time: WallTime,
}

/// When messages are let go that wait for a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// If no other one comes.
    pub until: EngineTime,
    /// In any case.
    pub latest: EngineTime,
}

/// How many unsettled messages a queue has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// May be handed out.
    pub ready: u64,
    /// Returned or deferred and not yet due, or held back for a pause.
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
        /// Since when, for age.
        since: EngineTime,
        /// Since when, for display.
        time: WallTime,
        /// When what is left is deleted; none is never, or nothing was left.
        until: Option<EngineTime>,
    },
    /// Whatever is left is being deleted, a few rows at a time.
    Discarded {
        /// When the next rows go.
        next: EngineTime,
    },
    /// Its session is gone, and so will it be, a few rows at a time.
    Purged {
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
            suspended: false,
            pause: None,
        }
    }

    /// Whether its session is there: its messages are handed out, or would be.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self.disposition {
            Disposition::Serving | Disposition::Quiet => true,
            Disposition::Held { .. }
            | Disposition::Dead { .. }
            | Disposition::Discarded { .. }
            | Disposition::Purged { .. } => false,
        }
    }

    /// What counts as the depth of a session that has it, and the oldest message in that: nothing once it is given up,
    /// for what is left then is in the totals of its session, or another's, for a successor's queue is the successor's.
    #[must_use]
    pub fn seen_from(&self, session: SessionNo) -> (Depth, Option<Oldest>) {
        match self.disposition {
            Disposition::Serving | Disposition::Quiet | Disposition::Held { .. }
                if self.owner == session =>
            {
                (self.depth, self.oldest)
            }
            Disposition::Serving
            | Disposition::Quiet
            | Disposition::Held { .. }
            | Disposition::Dead { .. }
            | Disposition::Discarded { .. }
            | Disposition::Purged { .. } => (Depth::default(), None),
        }
    }

    /// Whether it has dead letters: given up one by one, or all that its session's end left.
    #[must_use]
    pub fn has_dead_letters(&self) -> bool {
        match self.disposition {
            Disposition::Dead { .. } => self.depth.dead > 0 || self.depth.unsettled() > 0,
            Disposition::Serving
            | Disposition::Quiet
            | Disposition::Held { .. }
            | Disposition::Discarded { .. } => self.depth.dead > 0,
            Disposition::Purged { .. } => false,
        }
    }

    /// Whether a worker should be found for it.
    #[must_use]
    pub fn wants_worker(&self) -> bool {
        let free = self.lease.is_none() && !self.suspended;
        self.disposition == Disposition::Serving && free && self.depth.ready > 0
    }
}
