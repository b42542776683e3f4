//! Indexes: ordered sets derived from rows, and scans over their beginnings.
//!
//! Every entry follows from one row by the functions at the end of this file and from nothing else,
//! so an index can be checked against, and rebuilt from, the rows. A scan always starts at the
//! beginning of its group, so that what is known of it is described by how far it is known.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use crate::ids::{Epoch, Namespace, PoolName, QueueId, RequestId, Seq, SessionNo};
use crate::lease::{LeaseRow, LeaseStanding};
use crate::limits::READ_AHEAD;
use crate::message::{MessageRow, Rank, Standing, Turn};
use crate::queue::{Disposition, QueueRow};
use crate::session::{ActivityRow, SessionRow};
use crate::time::EngineTime;

/// One member of an index; the order of variants and fields is the order of the scans.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// A queue that has dead letters.
    DeadLetters(Namespace, QueueId),
    /// A remembered control mutation, by age.
    RequestAge(EngineTime, Namespace, RequestId),
    /// Something that becomes due.
    Due(EngineTime, Due),
    /// A session that has a slot of its pool, in the order in which sessions were opened.
    Live(Namespace, PoolName, SessionNo),
}

impl IndexEntry {
    /// The seq of an entry that stands for a message of a queue.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        match self {
            Self::Ready(_, _, seq)
            | Self::InFlight(_, _, seq)
            | Self::Returned(_, seq)
            | Self::Pending(_, seq) => Some(*seq),
            Self::Unserved(..)
            | Self::DeadLetters(..)
            | Self::RequestAge(..)
            | Self::Due(..)
            | Self::Live(..) => None,
        }
    }

    /// The groups it belongs to.
    fn scans(&self) -> [Option<Scan>; 2] {
        match self {
            Self::Ready(queue, Rank::New, _) => {
                [Some(Scan::Ready(*queue)), Some(Scan::New(*queue))]
            }
            Self::Ready(queue, Rank::Returned, _) => [Some(Scan::Ready(*queue)), None],
            Self::InFlight(queue, epoch, _) => [
                Some(Scan::InFlight(*queue, *epoch)),
                Some(Scan::InFlightOfQueue(*queue)),
            ],
            Self::Returned(queue, _) => [Some(Scan::Returned(*queue)), None],
            Self::Pending(queue, _) => [Some(Scan::Pending(*queue)), None],
            Self::Unserved(namespace, ..) => [Some(Scan::Unserved(namespace.clone())), None],
            Self::RequestAge(..) => [Some(Scan::RequestAges), None],
            Self::DeadLetters(..) | Self::Due(..) => [None, None],
            Self::Live(namespace, pool, _) => {
                [Some(Scan::Live(namespace.clone(), pool.clone())), None]
            }
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
            | Self::DeadLetters(..)
            | Self::RequestAge(..)
            | Self::Due(..)
            | Self::Live(..) => None,
        }
    }
}

/// What becomes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Queues of a namespace that want a worker.
    Unserved(Namespace),
    /// Remembered control mutations.
    RequestAges,
    /// Sessions that have a slot of a pool.
    Live(Namespace, PoolName),
}

impl Scan {
    /// Whether `entry` belongs to the group.
    #[must_use]
    pub fn contains(&self, entry: &IndexEntry) -> bool {
        match (self, entry) {
            (Self::Ready(q), IndexEntry::Ready(e, ..))
            | (Self::Returned(q), IndexEntry::Returned(e, _))
            | (Self::Pending(q), IndexEntry::Pending(e, _)) => q == e,
            (Self::New(q), IndexEntry::Ready(e, rank, _)) => q == e && *rank == Rank::New,
            (Self::InFlightOfQueue(q), IndexEntry::InFlight(e, ..)) => q == e,
            (Self::InFlight(q, lease), IndexEntry::InFlight(e, epoch, _)) => {
                q == e && lease == epoch
            }
            (Self::Unserved(ns), IndexEntry::Unserved(e, ..)) => ns == e,
            (Self::RequestAges, IndexEntry::RequestAge(..)) => true,
            (Self::Live(ns, pool), IndexEntry::Live(e, p, _)) => ns == e && pool == p,
            (
                Self::Ready(_)
                | Self::New(_)
                | Self::InFlight(..)
                | Self::InFlightOfQueue(_)
                | Self::Returned(_)
                | Self::Pending(_)
                | Self::Unserved(_)
                | Self::RequestAges
                | Self::Live(..),
                _,
            ) => false,
        }
    }

    /// The lowest entry the group could have.
    #[must_use]
    pub fn first(&self) -> IndexEntry {
        match self {
            Self::Ready(q) => IndexEntry::Ready(*q, Rank::Returned, Seq(0)),
            Self::New(q) => IndexEntry::Ready(*q, Rank::New, Seq(0)),
            Self::InFlight(q, epoch) => IndexEntry::InFlight(*q, *epoch, Seq(0)),
            Self::InFlightOfQueue(q) => IndexEntry::InFlight(*q, Epoch(0), Seq(0)),
            Self::Returned(q) => IndexEntry::Returned(*q, Seq(0)),
            Self::Pending(q) => IndexEntry::Pending(*q, Seq(0)),
            Self::Unserved(ns) => IndexEntry::Unserved(ns.clone(), EngineTime(0), QueueId(0)),
            Self::RequestAges => {
                IndexEntry::RequestAge(EngineTime(0), Namespace::lowest(), RequestId::lowest())
            }
            Self::Live(ns, pool) => IndexEntry::Live(ns.clone(), pool.clone(), SessionNo(0)),
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

/// What is known of the indexes: of each group that was asked for, its beginning, as it is now.
///
/// Every entry in here is in its index, and none is missing of a group as far as its extent goes. What the open batch
/// changed is in it already, and noted besides: what is loaded later is from before the batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownIndexes {
    groups: IndexMap<Scan, Group, RandomState>,
    /// In the order of the changes: of several about one entry the last holds.
    uncommitted: Vec<(IndexEntry, bool)>,
    /// Entries of all groups.
    entries: usize,
    /// Groups of what was never handed out. Hardly ever is one asked for, and while none is known nothing need be looked
    /// up for it.
    new_groups: usize,
}

/// The beginning of a group.
#[derive(Clone, Debug)]
struct Group {
    entries: BTreeSet<IndexEntry>,
    extent: Extent,
}

impl KnownIndexes {
    /// Takes the beginning of a group as the store has it.
    pub(crate) fn load(&mut self, scan: Scan, entries: Vec<IndexEntry>, extent: Extent) {
        let mut entries: BTreeSet<IndexEntry> = entries.into_iter().collect();
        for (entry, present) in &self.uncommitted {
            if !present {
                entries.remove(entry);
            } else if scan.contains(entry) && extent.reaches(entry) {
                entries.insert(entry.clone());
            }
        }
        self.entries += entries.len();
        let is_new = matches!(scan, Scan::New(_));
        match self.groups.insert(scan, Group { entries, extent }) {
            Some(old) => self.entries -= old.entries.len(),
            None => self.new_groups += usize::from(is_new),
        }
    }

    /// Takes what a decision changed.
    pub(crate) fn apply(&mut self, entry: &IndexEntry, present: bool) {
        for scan in entry.scans().into_iter().flatten() {
            if self.new_groups == 0 && matches!(scan, Scan::New(_)) {
                continue;
            }
            let Some(group) = self.groups.get_mut(&scan) else {
                continue;
            };
            if !present {
                self.entries -= usize::from(group.entries.remove(entry));
            } else if group.extent.reaches(entry) {
                self.entries += usize::from(group.entries.insert(entry.clone()));
            }
        }
        self.uncommitted.push((entry.clone(), present));
    }

    /// The batch is in the store.
    pub(crate) fn committed(&mut self) {
        self.uncommitted.clear();
    }

    /// How many entries are known, and of how many groups something is.
    pub(crate) fn len(&self) -> usize {
        self.entries + self.groups.len()
    }

    /// The first `want` entries of a group with a draft's changes laid over it, or how many must be loaded to know
    /// them.
    pub(crate) fn scan(
        &self,
        scan: &Scan,
        want: usize,
        draft: &IndexDelta,
    ) -> Result<Vec<IndexEntry>, usize> {
        let missing = || {
            let of_batch = self.uncommitted.iter();
            let gone = of_batch.filter(|(entry, present)| !present && scan.contains(entry));
            let given_up = group(draft, scan).filter(|(_, present)| !present);
            want.max(READ_AHEAD) + gone.count() + given_up.count()
        };
        let Some(Group { entries, extent }) = self.groups.get(scan) else {
            return Err(missing());
        };
        let mut found: Vec<&IndexEntry> = entries
            .iter()
            .filter(|entry| draft.get(entry) != Some(&false))
            .take(want)
            .collect();
        let known = found.len();
        let added = group(draft, scan).filter(|(entry, present)| *present && extent.reaches(entry));
        found.extend(added.map(|(entry, _)| entry));
        if found.len() > known {
            found.sort_unstable();
            found.dedup();
        }
        if found.len() < want && *extent != Extent::All {
            return Err(missing());
        }
        Ok(found.into_iter().take(want).cloned().collect())
    }
}

/// What a delta says of a group.
fn group<'a>(
    delta: &'a IndexDelta,
    scan: &'a Scan,
) -> impl Iterator<Item = (&'a IndexEntry, bool)> {
    delta
        .range(scan.first()..)
        .take_while(|(entry, _)| scan.contains(entry))
        .map(|(entry, present)| (entry, *present))
}

/// The entries that follow from one row: at most three.
pub type Entries = [Option<IndexEntry>; 3];

/// The entries of a message row.
#[must_use]
pub fn entries_of_message(row: &MessageRow) -> Entries {
    let (queue, seq) = (row.queue, row.seq);
    let pending = Some(IndexEntry::Pending(queue, seq));
    match row.standing {
        Standing::Ready(rank) => [pending, Some(IndexEntry::Ready(queue, rank, seq)), None],
        Standing::InFlight(epoch) => {
            let in_flight = IndexEntry::InFlight(queue, epoch, seq);
            [pending, Some(in_flight), None]
        }
        Standing::Waiting { due, turn } => {
            let due = IndexEntry::Due(due, Due::Message(queue, seq));
            let kept = turn == Turn::Keeps;
            let returned = kept.then_some(IndexEntry::Returned(queue, seq));
            [pending, Some(due), returned]
        }
        Standing::Dead { .. } => Entries::default(),
    }
}

/// The entries of a queue row.
#[must_use]
pub fn entries_of_queue(row: &QueueRow) -> Entries {
    let unserved = row.wants_worker().then(|| {
        let since = row.oldest.map_or(EngineTime(0), |oldest| oldest.at);
        IndexEntry::Unserved(row.namespace.clone(), since, row.id)
    });
    let due = match row.disposition {
        Disposition::Held { until: due } | Disposition::Discarded { next: due } => {
            Some(IndexEntry::Due(due, Due::Queue(row.id)))
        }
        Disposition::Serving | Disposition::Quiet | Disposition::Dead { .. } => None,
    };
    let dead_letters = row.has_dead_letters();
    let dead_letters = dead_letters.then(|| IndexEntry::DeadLetters(row.namespace.clone(), row.id));
    [unserved, due, dead_letters]
}

/// The entries of a session's cold row.
#[must_use]
pub fn entries_of_session(row: &SessionRow) -> Entries {
    let live = (!row.is_ended())
        .then(|| IndexEntry::Live(row.namespace.clone(), row.pool.clone(), row.no));
    [live, None, None]
}

/// The entries of a session's warm row.
#[must_use]
pub fn entries_of_activity(row: &ActivityRow) -> Entries {
    let due = row
        .check_at
        .map(|at| IndexEntry::Due(at, Due::Session(row.session)));
    [due, None, None]
}

/// The entries of a lease row.
#[must_use]
pub fn entries_of_lease(row: &LeaseRow) -> Entries {
    let due = match row.standing {
        LeaseStanding::Current => None,
        LeaseStanding::Superseded { until } => Some(IndexEntry::Due(until, Due::Lease(row.epoch))),
    };
    [due, None, None]
}
