//! A store of maps: what is committed, what the open batch adds, and answers to what a decision misses.
//!
//! Rows that the open batch changed are always known to the view, so reads find the rest in the same map; scans are
//! answered from the committed indexes alone, as a real store would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sessiond_core::change::{Change, Membership};
use sessiond_core::event::{EventKind, EventRow};
use sessiond_core::ids::{Epoch, PoolName, Revision, SessionNo};
use sessiond_core::index::{
    Due, Entries, Extent, IndexEntry, entries_of_activity, entries_of_lease, entries_of_message,
    entries_of_queue, entries_of_resources, entries_of_session, entries_of_subscription,
};
use sessiond_core::resource::Resource;
use sessiond_core::rows::{Read, Row, RowKey};
use sessiond_core::time::EngineTime;
use sessiond_core::view::View;

/// Rows and indexes.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// All rows but events, the open batch's changes included.
    pub(crate) rows: BTreeMap<RowKey, Row>,
    /// The log, with what of it was deleted.
    pub(crate) events: Vec<EventRow>,
    /// How much of its beginning was deleted.
    pub(crate) compacted: usize,
    index: BTreeSet<IndexEntry>,
    committed: BTreeSet<IndexEntry>,
    uncommitted: Vec<(IndexEntry, bool)>,
}

/// Where an event is in the log.
fn place_of(revision: Revision) -> usize {
    usize::try_from(revision.0 - 1).expect("revisions are small here")
}

impl Store {
    /// Answers a read, and `more` than was asked for.
    pub(crate) fn load(&self, view: &mut View, read: Read, more: usize) {
        match read {
            Read::Row(RowKey::Event(revision)) => {
                let place = place_of(revision);
                assert!(place >= self.compacted, "{revision} was deleted");
                let event = Arc::new(self.events[place].clone());
                view.load_row(RowKey::Event(revision), Some(Row::Event(event)));
            }
            Read::Row(key) => {
                if more > 0 {
                    self.load_neighbours(view, &key);
                }
                self.load_row(view, key);
            }
            Read::KeyBlocks(queue) => {
                let first = RowKey::KeyBlock(queue, 0);
                let blocks = self
                    .rows
                    .range(first..)
                    .map_while(|(key, row)| match (key, row) {
                        (RowKey::KeyBlock(of, number), Row::KeyBlock(block)) if *of == queue => {
                            Some((*number, block.clone()))
                        }
                        _ => None,
                    });
                view.load_key_blocks(queue, blocks.collect());
            }
            Read::Scan { scan, limit } => {
                let limit = limit + more;
                let of_scan = self.committed.range(scan.first()..);
                let found: Vec<IndexEntry> = of_scan
                    .take_while(|entry| scan.contains(entry))
                    .take(limit)
                    .cloned()
                    .collect();
                let extent = match found.last() {
                    Some(last) if found.len() == limit => Extent::Through(last.clone()),
                    _ => Extent::All,
                };
                for entry in found.iter().filter(|_| more > 0) {
                    if let IndexEntry::Ready(queue, _, seq)
                    | IndexEntry::InFlight(queue, _, seq)
                    | IndexEntry::Pending(queue, seq) = entry
                    {
                        self.load_row(view, RowKey::Message(*queue, *seq));
                    }
                }
                view.load_scan(scan, found, extent);
            }
        }
    }

    fn load_row(&self, view: &mut View, key: RowKey) {
        let row = self.rows.get(&key).cloned();
        view.load_row(key, row);
    }

    /// Loads what is likely asked for next, as an engine that reads ahead would.
    fn load_neighbours(&self, view: &mut View, key: &RowKey) {
        match self.rows.get(key) {
            Some(Row::Session(row)) => {
                self.load_row(view, RowKey::Counters);
                self.load_row(view, RowKey::Activity(row.no));
                self.load_row(view, RowKey::Queue(row.queue));
                if let Some(epoch) = row.lease {
                    self.load_row(view, RowKey::Lease(epoch));
                }
            }
            Some(Row::Queue(row)) => {
                self.load_row(view, RowKey::Counters);
                self.load_row(view, RowKey::Session(row.owner));
                self.load_row(view, RowKey::Activity(row.owner));
            }
            Some(Row::Lease(row)) => {
                self.load_row(view, RowKey::Queue(row.queue));
                self.load_row(view, RowKey::Session(row.session));
            }
            Some(Row::SessionId(no)) => self.load_neighbours(view, &RowKey::Session(*no)),
            Some(Row::Key(row)) => {
                if let Some(no) = row.live {
                    self.load_row(view, RowKey::Session(no));
                    self.load_neighbours(view, &RowKey::Session(no));
                }
            }
            _ => {}
        }
    }

    /// Takes a decision's changes; panics when an index does not follow its rows.
    pub(crate) fn apply(&mut self, changes: Vec<Change>) {
        let mut derived: BTreeMap<IndexEntry, i32> = BTreeMap::new();
        let mut said: BTreeMap<IndexEntry, i32> = BTreeMap::new();
        let mut sessions = Vec::new();
        for change in changes {
            match change {
                Change::Row(RowKey::Event(revision), None) => {
                    assert_eq!(place_of(revision), self.compacted, "a hole in the log");
                    assert!(self.compacted < self.events.len(), "there is no such event");
                    self.compacted += 1;
                }
                Change::Row(RowKey::Event(revision), row) => {
                    let Some(Row::Event(event)) = row else {
                        panic!("event {revision} is not written as one");
                    };
                    assert_eq!(event.revision, revision, "the place of an event");
                    self.events.push(Arc::unwrap_or_clone(event));
                }
                Change::Row(key, row) => {
                    if let RowKey::Session(no) = key {
                        sessions.push(no);
                    }
                    self.put(key, row, &mut derived);
                }
                Change::Index(entry, membership) => {
                    let shift = self.enter(&entry, membership);
                    if shift != 0 {
                        said.insert(entry, shift);
                    }
                }
            }
        }
        derived.retain(|_, shift| *shift != 0);
        assert_eq!(said, derived, "the indexes do not follow the rows");
        sessions.into_iter().for_each(|no| self.check_fold(no));
    }

    fn put(&mut self, key: RowKey, row: Option<Row>, derived: &mut BTreeMap<IndexEntry, i32>) {
        for entry in row.iter().flat_map(|row| entries(&key, row)) {
            *derived.entry(entry).or_default() += 1;
        }
        if let Some(old) = self.rows.get(&key) {
            for entry in entries(&key, old) {
                *derived.entry(entry).or_default() -= 1;
            }
        }
        match row {
            Some(row) => self.rows.insert(key, row),
            None => self.rows.remove(&key),
        };
    }

    /// Whether the entry came (1), went (-1) or nothing changed (0).
    fn enter(&mut self, entry: &IndexEntry, membership: Membership) -> i32 {
        let present = membership == Membership::In;
        let changed = if present {
            self.index.insert(entry.clone())
        } else {
            self.index.remove(entry)
        };
        if !changed {
            return 0;
        }
        self.uncommitted.push((entry.clone(), present));
        if present { 1 } else { -1 }
    }

    /// The newest event about a session shows the session's life as it is: identity, state, holder.
    fn check_fold(&self, no: SessionNo) {
        let Some(Row::Session(row)) = self.rows.get(&RowKey::Session(no)) else {
            let mut newest = self.events.iter().rev();
            let is_of = |event: &EventRow| event.session().is_some_and(|of| of.session.no == no);
            let newest = newest.find(|event| is_of(event));
            let kind = newest.map(|event| event.kind);
            return assert_eq!(kind, Some(EventKind::SessionPurged), "session {no} is gone");
        };
        let shown = self.events[place_of(row.revision)].session();
        let shown = &shown.expect("it is about the session").session;
        assert_eq!(
            (shown.no, &shown.id, &shown.key),
            (no, &row.id, &row.key),
            "who it is"
        );
        assert_eq!(
            shown.lease, row.lease,
            "who holds {}, by its newest event",
            row.id
        );
        let state = (shown.is_active(), shown.is_ended());
        assert_eq!(
            state,
            (row.is_active(), row.is_ended()),
            "the state of {}",
            row.id
        );
    }

    /// Makes the batch durable.
    pub(crate) fn commit(&mut self) {
        for (entry, present) in self.uncommitted.drain(..) {
            if present {
                self.committed.insert(entry);
            } else {
                self.committed.remove(&entry);
            }
        }
    }

    /// What the committed due index says has come.
    pub(crate) fn due(&self, now: u64) -> Vec<Due> {
        let entries = self.dues();
        entries
            .take_while(|(at, _)| at.0 <= now)
            .map(|(_, due)| due)
            .collect()
    }

    /// When the next thing becomes due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.dues().next().map(|(at, _)| at.0)
    }

    fn dues(&self) -> impl Iterator<Item = (EngineTime, Due)> {
        let first = IndexEntry::Due(EngineTime(0), Due::Session(SessionNo(0)));
        self.committed
            .range(first..)
            .filter_map(|entry| match entry {
                IndexEntry::Due(at, due) => Some((*at, *due)),
                IndexEntry::Ready(..)
                | IndexEntry::InFlight(..)
                | IndexEntry::Returned(..)
                | IndexEntry::Pending(..)
                | IndexEntry::Debounced(..)
                | IndexEntry::Coalesced(..)
                | IndexEntry::GivenUp(..)
                | IndexEntry::Unserved(..)
                | IndexEntry::DeadLetters(..)
                | IndexEntry::RequestAge(..)
                | IndexEntry::Live(..)
                | IndexEntry::Idle(..)
                | IndexEntry::Waiting(..)
                | IndexEntry::Behind(..)
                | IndexEntry::Unreleased(..)
                | IndexEntry::Releasing(_)
                | IndexEntry::Holding(..)
                | IndexEntry::Required(..) => None,
            })
    }

    /// All resources that the committed index leads to and that are to go.
    pub(crate) fn to_release(&self) -> Vec<(SessionNo, Resource)> {
        let first = IndexEntry::Releasing(SessionNo(0));
        let entries = self.committed.range(first..);
        let mut to_go = Vec::new();
        for no in entries.filter_map(IndexEntry::session) {
            let Some(Row::Resources(row)) = self.rows.get(&RowKey::Resources(no)) else {
                panic!("session {no} has nothing outside");
            };
            let of_session = row.list.iter().filter(|one| one.is_releasing());
            to_go.extend(of_session.map(|one| (no, one.clone())));
        }
        to_go
    }

    /// Whether the indexes are what the rows give when derived from nothing.
    pub(crate) fn check_indexes(&self) {
        let derived: BTreeSet<IndexEntry> = self
            .rows
            .iter()
            .flat_map(|(key, row)| entries(key, row))
            .collect();
        assert_eq!(derived, self.index, "the indexes rebuilt from the rows");
    }

    /// The pools in which sessions wait for slots.
    pub(crate) fn pools_with_waiters(&self) -> Vec<PoolName> {
        let pools = self.rows.iter().filter_map(|(key, row)| match (key, row) {
            (RowKey::Pool(_, pool), Row::Pool(row)) if row.queued > 0 => Some(pool.clone()),
            _ => None,
        });
        pools.collect()
    }

    /// The tokens of all leases on record.
    pub(crate) fn leases(&self) -> Vec<Epoch> {
        let rows = self.rows.values();
        rows.filter_map(|row| match row {
            Row::Lease(lease) => Some(lease.epoch),
            Row::Counters(_)
            | Row::Session(_)
            | Row::Activity(_)
            | Row::Queue(_)
            | Row::Message(_)
            | Row::Payload(_)
            | Row::Key(_)
            | Row::SessionId(_)
            | Row::KeyBlock(_)
            | Row::Request(_)
            | Row::Pool(_)
            | Row::Resources(_)
            | Row::Node(_)
            | Row::Drain(_)
            | Row::Subscription(_)
            | Row::Event(_) => None,
        })
        .collect()
    }
}

/// The entries that follow from a row.
fn entries(key: &RowKey, row: &Row) -> Vec<IndexEntry> {
    let entries = match (key, row) {
        (_, Row::Message(row)) => entries_of_message(row),
        (_, Row::Queue(row)) => entries_of_queue(row),
        (_, Row::Activity(row)) => entries_of_activity(row),
        (_, Row::Lease(row)) => entries_of_lease(row),
        (_, Row::Session(row)) => entries_of_session(row),
        (_, Row::Resources(row)) => entries_of_resources(row),
        (_, Row::Subscription(row)) => entries_of_subscription(row),
        (RowKey::Request(namespace, id), Row::Request(row)) => {
            let age = IndexEntry::RequestAge(row.at, namespace.clone(), id.clone());
            [Some(age), None, None, None]
        }
        _ => Entries::default(),
    };
    entries.into_iter().flatten().collect()
}
