//! Indexes: ordered sets derived from rows, and scans over their beginnings.
//!
//! Every entry follows from one row by the functions of `derived` and from nothing else,
//! so an index can be checked against, and rebuilt from, the rows. A scan always starts at the
//! beginning of its group, so that what is known of it is described by how far it is known (`known`).

use std::collections::BTreeMap;

use crate::ids::{
    Epoch, KeyDigest, Namespace, PoolName, QueueId, RequestId, Revision, Seq, SessionNo,
    SubscriptionName,
};
use crate::message::{Lane, Rank};
use crate::subscription::SubscriptionKey;
use crate::time::EngineTime;

mod derived;
pub(crate) mod known;

pub use derived::{
    Entries, entries_of_activity, entries_of_lease, entries_of_message, entries_of_queue,
    entries_of_resources, entries_of_session, entries_of_subscription,
};

/// One member of an index; the order of variants and fields is the order of the scans.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexEntry {
    /// A message that may be handed out, in hand-out order.
    Ready(QueueId, Rank, Seq),
    /// A message handed out under a lease.
    InFlight(QueueId, Epoch, Seq),
    /// A returned message that keeps its turn until due.
    Returned(QueueId, Lane, Seq),
    /// Any unsettled message that was not given up.
    Pending(QueueId, Seq),
    /// A message that is held back until its queue has a pause.
    Debounced(QueueId, Seq),
    /// A pending message that a newer one with the same coalesce key replaces.
    Coalesced(QueueId, KeyDigest, Seq),
    /// A message that was given up by itself.
    GivenUp(QueueId, Seq),
    /// A queue that wants a worker, by the age of its oldest message.
    Unserved(Namespace, EngineTime, QueueId),
    /// A queue that has dead letters.
    DeadLetters(Namespace, QueueId),
    /// A remembered control mutation, by age.
    RequestAge(EngineTime, Namespace, RequestId),
    /// Something that becomes due.
    Due(EngineTime, Due),
    /// A session that has not ended, in the order in which those of its pool were opened.
    Live(Namespace, PoolName, SessionNo),
    /// A session in use, by the activity at which it is ranked, which may be earlier than its last.
    Idle(Namespace, PoolName, EngineTime, SessionNo),
    /// A session that waits for a slot of its pool, by its place in the line.
    Waiting(Namespace, PoolName, SessionNo, SessionNo),
    /// A session and one that waits until nothing of it is left outside.
    Behind(SessionNo, SessionNo),
    /// A session with resources that are not released.
    Unreleased(Namespace, SessionNo),
    /// A session with resources that are to go.
    Releasing(SessionNo),
    /// A subscription that keeps the log from being deleted behind what it acknowledged.
    Holding(Revision, Namespace, SubscriptionName),
    /// One of those whose acknowledgement the deletion of a session waits for.
    Required(Namespace, Revision, SubscriptionName),
}

impl IndexEntry {
    /// The seq of an entry that stands for a message of a queue.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        match self {
            Self::Ready(_, _, seq)
            | Self::InFlight(_, _, seq)
            | Self::Returned(_, _, seq)
            | Self::Pending(_, seq)
            | Self::GivenUp(_, seq)
            | Self::Debounced(_, seq)
            | Self::Coalesced(_, _, seq) => Some(*seq),
            Self::Unserved(..)
            | Self::DeadLetters(..)
            | Self::RequestAge(..)
            | Self::Due(..)
            | Self::Live(..)
            | Self::Idle(..)
            | Self::Waiting(..)
            | Self::Behind(..)
            | Self::Unreleased(..)
            | Self::Releasing(_)
            | Self::Holding(..)
            | Self::Required(..) => None,
        }
    }

    /// The groups it belongs to.
    fn scans(&self) -> [Option<Scan>; 2] {
        match self {
            Self::Ready(queue, Rank::New, _) => {
                [Some(Scan::Ready(*queue)), Some(Scan::New(*queue))]
            }
            Self::Ready(queue, Rank::Interrupt | Rank::Steer | Rank::Returned, _) => {
                [Some(Scan::Ready(*queue)), None]
            }
            Self::InFlight(queue, epoch, _) => [
                Some(Scan::InFlight(*queue, *epoch)),
                Some(Scan::InFlightOfQueue(*queue)),
            ],
            Self::Returned(queue, ..) => [Some(Scan::Returned(*queue)), None],
            Self::Pending(queue, _) => [Some(Scan::Pending(*queue)), None],
            Self::Debounced(queue, _) => [Some(Scan::Debounced(*queue)), None],
            Self::Coalesced(queue, key, _) => [Some(Scan::Coalesced(*queue, *key)), None],
            Self::GivenUp(queue, _) => [Some(Scan::GivenUp(*queue)), None],
            Self::Unserved(namespace, ..) => [Some(Scan::Unserved(namespace.clone())), None],
            Self::RequestAge(..) => [Some(Scan::RequestAges), None],
            Self::DeadLetters(..) | Self::Due(..) => [None, None],
            Self::Live(namespace, pool, _) => {
                [Some(Scan::Live(namespace.clone(), pool.clone())), None]
            }
            Self::Idle(namespace, pool, ..) => {
                [Some(Scan::Idle(namespace.clone(), pool.clone())), None]
            }
            Self::Waiting(namespace, pool, ..) => {
                [Some(Scan::Waiting(namespace.clone(), pool.clone())), None]
            }
            Self::Behind(predecessor, _) => [Some(Scan::Behind(*predecessor)), None],
            // Read beside decisions only.
            Self::Unreleased(..) | Self::Releasing(_) => [None, None],
            Self::Holding(..) => [Some(Scan::Holding), None],
            Self::Required(namespace, ..) => [Some(Scan::Required(namespace.clone())), None],
        }
    }

    /// What a required subscription has acknowledged, of an entry that stands for one.
    #[must_use]
    pub fn acked(&self) -> Option<(Revision, SubscriptionName)> {
        if let Self::Required(_, acked, name) = self {
            return Some((*acked, name.clone()));
        }
        None
    }

    /// Behind which event the log is held, of an entry that stands for an active subscription.
    #[must_use]
    pub fn holds_after(&self) -> Option<(Revision, SubscriptionKey)> {
        if let Self::Holding(after, namespace, name) = self {
            return Some((*after, (namespace.clone(), name.clone())));
        }
        None
    }

    /// The lease of an entry that stands for a message in flight.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::InFlight(_, epoch, _) => Some(*epoch),
            Self::Ready(..)
            | Self::Returned(..)
            | Self::Pending(..)
            | Self::Debounced(..)
            | Self::Coalesced(..)
            | Self::GivenUp(..)
            | Self::Unserved(..)
            | Self::DeadLetters(..)
            | Self::RequestAge(..)
            | Self::Due(..)
            | Self::Live(..)
            | Self::Idle(..)
            | Self::Waiting(..)
            | Self::Behind(..)
            | Self::Unreleased(..)
            | Self::Releasing(_)
            | Self::Holding(..)
            | Self::Required(..) => None,
        }
    }

    /// The session of an entry that stands for one.
    #[must_use]
    pub fn session(&self) -> Option<SessionNo> {
        match self {
            Self::Live(_, _, no)
            | Self::Idle(_, _, _, no)
            | Self::Waiting(_, _, _, no)
            | Self::Behind(_, no)
            | Self::Unreleased(_, no)
            | Self::Releasing(no) => Some(*no),
            Self::Ready(..)
            | Self::InFlight(..)
            | Self::Returned(..)
            | Self::Pending(..)
            | Self::Debounced(..)
            | Self::Coalesced(..)
            | Self::GivenUp(..)
            | Self::Unserved(..)
            | Self::DeadLetters(..)
            | Self::RequestAge(..)
            | Self::Due(..)
            | Self::Holding(..)
            | Self::Required(..) => None,
        }
    }
}

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Due {
    /// A session's limits, the deadline of its end, or when it has been on record long enough after it.
    Session(SessionNo),
    /// A returned or deferred message, or one that was given up long ago.
    Message(QueueId, Seq),
    /// A superseded lease, or one that is to stop what it has in flight.
    Lease(Epoch),
    /// A queue that is held, is being emptied, was given up long ago, or whose pause is over.
    Queue(QueueId),
}

/// A group of entries, read from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scan {
    /// What a queue can hand out.
    Ready(QueueId),
    /// What of it was never handed out.
    New(QueueId),
    /// What a lease has in flight.
    InFlight(QueueId, Epoch),
    /// What all leases have in flight of a queue.
    InFlightOfQueue(QueueId),
    /// What holds a queue back.
    Returned(QueueId),
    /// What a queue has.
    Pending(QueueId),
    /// What waits for a pause of its queue.
    Debounced(QueueId),
    /// What a message with this coalesce key replaces.
    Coalesced(QueueId, KeyDigest),
    /// What of a queue was given up one by one.
    GivenUp(QueueId),
    /// Queues of a namespace that want a worker.
    Unserved(Namespace),
    /// Remembered control mutations.
    RequestAges,
    /// Sessions of a pool that have not ended.
    Live(Namespace, PoolName),
    /// Sessions in use of a pool, idlest first as far as it is known.
    Idle(Namespace, PoolName),
    /// Sessions that wait for a slot of a pool.
    Waiting(Namespace, PoolName),
    /// Sessions that wait until nothing of another is left outside.
    Behind(SessionNo),
    /// Subscriptions that hold the log, the one furthest behind first.
    Holding,
    /// Those of a namespace that the deletion of a session waits for, the one furthest behind first.
    Required(Namespace),
}

impl Scan {
    /// Whether `entry` belongs to the group.
    #[must_use]
    pub fn contains(&self, entry: &IndexEntry) -> bool {
        match (self, entry) {
            (Self::Ready(q), IndexEntry::Ready(e, ..))
            | (Self::Returned(q), IndexEntry::Returned(e, ..))
            | (Self::Debounced(q), IndexEntry::Debounced(e, _))
            | (Self::GivenUp(q), IndexEntry::GivenUp(e, _))
            | (Self::Pending(q), IndexEntry::Pending(e, _)) => q == e,
            (Self::New(q), IndexEntry::Ready(e, rank, _)) => q == e && *rank == Rank::New,
            (Self::Coalesced(q, key), IndexEntry::Coalesced(e, other, _)) => q == e && key == other,
            (Self::InFlightOfQueue(q), IndexEntry::InFlight(e, ..)) => q == e,
            (Self::InFlight(q, lease), IndexEntry::InFlight(e, epoch, _)) => {
                q == e && lease == epoch
            }
            (Self::Unserved(ns), IndexEntry::Unserved(e, ..)) => ns == e,
            (Self::RequestAges, IndexEntry::RequestAge(..)) => true,
            (Self::Live(ns, pool), IndexEntry::Live(e, p, _))
            | (Self::Idle(ns, pool), IndexEntry::Idle(e, p, ..))
            | (Self::Waiting(ns, pool), IndexEntry::Waiting(e, p, ..)) => ns == e && pool == p,
            (Self::Behind(no), IndexEntry::Behind(e, _)) => no == e,
            (Self::Holding, IndexEntry::Holding(..)) => true,
            (Self::Required(ns), IndexEntry::Required(e, ..)) => ns == e,
            (
                Self::Ready(_)
                | Self::New(_)
                | Self::InFlight(..)
                | Self::InFlightOfQueue(_)
                | Self::Returned(_)
                | Self::Pending(_)
                | Self::Debounced(_)
                | Self::Coalesced(..)
                | Self::GivenUp(_)
                | Self::Unserved(_)
                | Self::RequestAges
                | Self::Live(..)
                | Self::Idle(..)
                | Self::Waiting(..)
                | Self::Behind(_)
                | Self::Holding
                | Self::Required(_),
                _,
            ) => false,
        }
    }

    /// The lowest entry the group could have.
    #[must_use]
    pub fn first(&self) -> IndexEntry {
        match self {
            Self::Ready(q) => IndexEntry::Ready(*q, Rank::Interrupt, Seq(0)),
            Self::New(q) => IndexEntry::Ready(*q, Rank::New, Seq(0)),
            Self::InFlight(q, epoch) => IndexEntry::InFlight(*q, *epoch, Seq(0)),
            Self::InFlightOfQueue(q) => IndexEntry::InFlight(*q, Epoch(0), Seq(0)),
            Self::Returned(q) => IndexEntry::Returned(*q, Lane::Interrupt, Seq(0)),
            Self::Pending(q) => IndexEntry::Pending(*q, Seq(0)),
            Self::Debounced(q) => IndexEntry::Debounced(*q, Seq(0)),
            Self::Coalesced(q, key) => IndexEntry::Coalesced(*q, *key, Seq(0)),
            Self::GivenUp(q) => IndexEntry::GivenUp(*q, Seq(0)),
            Self::Unserved(ns) => IndexEntry::Unserved(ns.clone(), EngineTime(0), QueueId(0)),
            Self::RequestAges => {
                IndexEntry::RequestAge(EngineTime(0), Namespace::lowest(), RequestId::lowest())
            }
            Self::Live(ns, pool) => IndexEntry::Live(ns.clone(), pool.clone(), SessionNo(0)),
            Self::Idle(ns, pool) => {
                IndexEntry::Idle(ns.clone(), pool.clone(), EngineTime(0), SessionNo(0))
            }
            Self::Waiting(ns, pool) => {
                IndexEntry::Waiting(ns.clone(), pool.clone(), SessionNo(0), SessionNo(0))
            }
            Self::Behind(no) => IndexEntry::Behind(*no, SessionNo(0)),
            Self::Holding => {
                IndexEntry::Holding(Revision(0), Namespace::lowest(), SubscriptionName::lowest())
            }
            Self::Required(ns) => {
                IndexEntry::Required(ns.clone(), Revision(0), SubscriptionName::lowest())
            }
        }
    }
}

/// How far a scan is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Up to and including this entry.
    Through(IndexEntry),
    /// To its end.
    All,
}

impl Extent {
    fn reaches(&self, entry: &IndexEntry) -> bool {
        match self {
            Self::Through(last) => entry <= last,
            Self::All => true,
        }
    }
}

/// Changes on top of what is known: `true` adds an entry, `false` removes it.
pub type IndexDelta = BTreeMap<IndexEntry, bool>;
