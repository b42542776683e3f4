//! Indexes: ordered sets derived from rows, and scans over their beginnings.
//!
//! Every entry follows from one row by the functions at the end of this file and from nothing else,
//! so an index can be checked against, and rebuilt from, the rows. A scan always starts at the
//! beginning of its group, so that what is known of it is described by how far it is known.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Epoch, IdempotencyKey, Namespace, QueueId, RequestId, Seq, SessionNo};
use crate::lease::{LeaseRow, LeaseStanding};
use crate::message::{MessageRow, Rank, Standing, Turn};
use crate::queue::{Disposition, QueueRow};
use crate::session::ActivityRow;
use crate::time::EngineTime;

/// One member of an index; the order of variants and fields is the order of the scans.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexEntry {
    /// A message that may be handed out, in hand-out order.
    Ready(QueueId, Rank, Seq),
    /// A message handed out under a lease.
    InFlight(QueueId, Epoch, Seq),
    /// A returned message that keeps its turn until due.
    Returned(QueueId, Seq),
    /// Any unsettled message that was not given up.
    Pending(QueueId, Seq),
    /// A queue that wants a worker, by the age of its oldest message.
    Unserved(Namespace, EngineTime, QueueId),
    /// A remembered message name, by age.
    IdempotencyAge(QueueId, Seq, IdempotencyKey),
    /// A remembered control mutation, by age.
    RequestAge(EngineTime, Namespace, RequestId),
    /// Something that becomes due.
    Due(EngineTime, Due),
}

impl IndexEntry {
    /// The seq of an entry that stands for a message of a queue.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        match self {
            Self::Ready(_, _, seq)
            | Self::InFlight(_, _, seq)
            | Self::Returned(_, seq)
            | Self::Pending(_, seq)
            | Self::IdempotencyAge(_, seq, _) => Some(*seq),
            Self::Unserved(..) | Self::RequestAge(..) | Self::Due(..) => None,
        }
    }

    /// The lease of an entry that stands for a message in flight.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::InFlight(_, epoch, _) => Some(*epoch),
            Self::Ready(..)
            | Self::Returned(..)
            | Self::Pending(..)
            | Self::Unserved(..)
            | Self::IdempotencyAge(..)
            | Self::RequestAge(..)
            | Self::Due(..) => None,
        }
    }
}

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A session's limits or the deadline of its end.
    Session(SessionNo),
    /// A returned or deferred message.
    Message(QueueId, Seq),
    /// A superseded lease.
    Lease(Epoch),
    /// A held or discarded queue.
    Queue(QueueId),
}

/// A group of entries, read from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scan {
    /// What a queue can hand out.
    Ready(QueueId),
    /// What a lease has in flight.
    InFlight(QueueId, Epoch),
    /// What all leases have in flight of a queue.
    InFlightOfQueue(QueueId),
    /// What holds a queue back.
    Returned(QueueId),
    /// What a queue has.
    Pending(QueueId),
    /// Queues of a namespace that want a worker.
    Unserved(Namespace),
    /// Remembered message names of a queue.
    IdempotencyAges(QueueId),
    /// Remembered control mutations.
    RequestAges,
}

impl Scan {
    /// Whether `entry` belongs to the group.
    #[must_use]
    pub fn contains(&self, entry: &IndexEntry) -> bool {
        match (self, entry) {
            (Self::Ready(q), IndexEntry::Ready(e, ..))
            | (Self::Returned(q), IndexEntry::Returned(e, _))
            | (Self::Pending(q), IndexEntry::Pending(e, _))
            | (Self::IdempotencyAges(q), IndexEntry::IdempotencyAge(e, ..)) => q == e,
            (Self::InFlightOfQueue(q), IndexEntry::InFlight(e, ..)) => q == e,
            (Self::InFlight(q, lease), IndexEntry::InFlight(e, epoch, _)) => {
                q == e && lease == epoch
            }
            (Self::Unserved(ns), IndexEntry::Unserved(e, ..)) => ns == e,
            (Self::RequestAges, IndexEntry::RequestAge(..)) => true,
            (
                Self::Ready(_)
                | Self::InFlight(..)
                | Self::InFlightOfQueue(_)
                | Self::Returned(_)
                | Self::Pending(_)
                | Self::Unserved(_)
                | Self::IdempotencyAges(_)
                | Self::RequestAges,
                _,
            ) => false,
        }
    }

    /// The lowest entry the group could have.
    #[must_use]
    pub fn first(&self) -> IndexEntry {
        match self {
            Self::Ready(q) => IndexEntry::Ready(*q, Rank::Returned, Seq(0)),
            Self::InFlight(q, epoch) => IndexEntry::InFlight(*q, *epoch, Seq(0)),
            Self::InFlightOfQueue(q) => IndexEntry::InFlight(*q, Epoch(0), Seq(0)),
            Self::Returned(q) => IndexEntry::Returned(*q, Seq(0)),
            Self::Pending(q) => IndexEntry::Pending(*q, Seq(0)),
            Self::Unserved(ns) => IndexEntry::Unserved(ns.clone(), EngineTime(0), QueueId(0)),
            Self::IdempotencyAges(q) => {
                IndexEntry::IdempotencyAge(*q, Seq(0), IdempotencyKey::lowest())
            }
            Self::RequestAges => {
                IndexEntry::RequestAge(EngineTime(0), Namespace::lowest(), RequestId::lowest())
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

/// Changes on top of what is loaded: `true` adds an entry, `false` removes it.
pub type IndexDelta = BTreeMap<IndexEntry, bool>;

/// What is loaded of the indexes.
#[derive(Clone, Debug, Default)]
pub struct LoadedIndexes {
    entries: BTreeSet<IndexEntry>,
    extents: BTreeMap<Scan, Extent>,
}

impl LoadedIndexes {
    /// Takes the beginning of a group as the store has it.
    pub fn load(&mut self, scan: Scan, entries: Vec<IndexEntry>, extent: Extent) {
        self.entries.extend(entries);
        self.extents.insert(scan, extent);
    }

    /// The first `want` entries of a group with `deltas` laid over it in order, or how many must be
    /// loaded to know them.
    pub fn scan(
        &self,
        scan: &Scan,
        want: usize,
        deltas: [&IndexDelta; 2],
    ) -> Result<Vec<IndexEntry>, usize> {
        let mut changed: BTreeMap<&IndexEntry, bool> = BTreeMap::new();
        for delta in deltas {
            changed.extend(
                delta
                    .range(scan.first()..)
                    .take_while(|(entry, _)| scan.contains(entry))
                    .map(|(entry, present)| (entry, *present)),
            );
        }
        let Some(extent) = self.extents.get(scan) else {
            return Err(want + changed.len());
        };
        let known = |entry: &IndexEntry| match extent {
            Extent::Through(last) => entry <= last,
            Extent::All => true,
        };
        let mut found: BTreeSet<&IndexEntry> = self
            .entries
            .range(scan.first()..)
            .take_while(|entry| scan.contains(entry) && known(entry))
            .filter(|entry| changed.get(entry) != Some(&false))
            .take(want)
            .collect();
        found.extend(
            changed
                .iter()
                .filter(|(entry, present)| **present && known(entry))
                .map(|(entry, _)| *entry),
        );
        if found.len() < want && *extent != Extent::All {
            return Err(want + changed.len());
        }
        Ok(found.into_iter().take(want).cloned().collect())
    }
}

/// The entries of a message row.
#[must_use]
pub fn entries_of_message(row: &MessageRow) -> Vec<IndexEntry> {
    let (queue, seq) = (row.queue, row.seq);
    let mut entries = vec![IndexEntry::Pending(queue, seq)];
    match row.standing {
        Standing::Ready(rank) => entries.push(IndexEntry::Ready(queue, rank, seq)),
        Standing::InFlight(epoch) => entries.push(IndexEntry::InFlight(queue, epoch, seq)),
        Standing::Waiting { due, turn } => {
            entries.push(IndexEntry::Due(due, Due::Message(queue, seq)));
            if turn == Turn::Keeps {
                entries.push(IndexEntry::Returned(queue, seq));
            }
        }
        Standing::Dead { .. } => entries.clear(),
    }
    entries
}

/// The entries of a queue row.
#[must_use]
pub fn entries_of_queue(row: &QueueRow) -> Vec<IndexEntry> {
    let mut entries = Vec::new();
    if row.wants_worker() {
        let since = row.oldest.map_or(EngineTime(0), |(_, at)| at);
        entries.push(IndexEntry::Unserved(row.namespace.clone(), since, row.id));
    }
    match row.disposition {
        Disposition::Held { until: due } | Disposition::Discarded { next: due } => {
            entries.push(IndexEntry::Due(due, Due::Queue(row.id)));
        }
        Disposition::Serving | Disposition::Quiet | Disposition::Dead { .. } => {}
    }
    entries
}

/// The entries of a session's warm row.
#[must_use]
pub fn entries_of_activity(row: &ActivityRow) -> Vec<IndexEntry> {
    row.check_at
        .map(|at| IndexEntry::Due(at, Due::Session(row.session)))
        .into_iter()
        .collect()
}

/// The entries of a lease row.
#[must_use]
pub fn entries_of_lease(row: &LeaseRow) -> Vec<IndexEntry> {
    match row.standing {
        LeaseStanding::Current => Vec::new(),
        LeaseStanding::Superseded { until } => {
            vec![IndexEntry::Due(until, Due::Lease(row.epoch))]
        }
    }
}
