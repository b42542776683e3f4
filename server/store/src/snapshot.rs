//! Reads round the engine: rows as they were right after one commit.
//!
//! Everything read through one [`Rows`] is of one commit, and nothing uncommitted is ever seen. Hold one for a page at
//! most: pages it can see are not reused meanwhile. What only presence knows (when a lease really lapses) is not here;
//! whoever shows a session lays it over. Reads that answer with several rows are in `snapshot/lists.rs`.

mod ahead;
mod lists;
mod log;
mod resources;
mod subscriptions;

pub use ahead::ReadAhead;
pub(crate) use ahead::beside;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sessiond_core::drain::DrainRow;
use sessiond_core::ids::{
    Epoch, Namespace, QueueId, Seq, SessionId, SessionKey, SessionNo, SessionRef,
};
use sessiond_core::index::{Extent, IndexEntry, Scan};
use sessiond_core::lease::{LeaseRow, LeaseView};
use sessiond_core::queue::{Depth, QueueRow};
use sessiond_core::resource::ResourcesRow;
use sessiond_core::rows::{Counters, KeyRow, Row, RowKey};
use sessiond_core::session::{ActivityRow, SessionRow, SessionView};
use sessiond_core::time::WallTime;

use crate::fault::Fault;
use crate::kv::{Entry, Kv, Range, Snapshot};
use crate::row::{self, DecodeError};
use crate::stop::Stop;

/// Takes snapshots of what is committed.
#[derive(Clone, Debug)]
pub struct Reader {
    kv: Arc<dyn Kv>,
    stop: Stop,
    /// How many commits have returned.
    commits: Arc<AtomicU64>,
}

/// One consistent snapshot. Every read of it may fail as the tables do, or with `Fault::Malformed` when a row cannot be
/// decoded or a row that another one points at is not there; either stops the store.
pub struct Rows {
    snapshot: Box<dyn Snapshot>,
    stop: Stop,
    /// It sees this many commits, or more.
    commits: u64,
}

impl Reader {
    pub(crate) fn new(kv: Arc<dyn Kv>, stop: Stop, commits: Arc<AtomicU64>) -> Self {
        Self { kv, stop, commits }
    }

    /// A snapshot that sees every commit that has returned.
    ///
    /// # Errors
    ///
    /// What the tables report.
    pub fn snapshot(&self) -> Result<Rows, Fault> {
        // First: what is committed from here on may be seen as well, and does no harm.
        let commits = self.commits.load(Ordering::Acquire);
        Ok(Rows {
            snapshot: self.stop.note(self.kv.snapshot())?,
            stop: self.stop.clone(),
            commits,
        })
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

/// Takes a decoded row as what it is. `row::decode_row` answers with the kind that belongs under the key, or not at all.
macro_rules! of_kind {
    ($row:expr, $variant:ident) => {{
        let row = $row;
        let sessiond_core::rows::Row::$variant(row) = row else {
            unreachable!("a decoded row is of the kind of its key: {row:?}");
        };
        row
    }};
}
pub(crate) use of_kind;

/// A getter of rows of one kind.
macro_rules! getter {
    ($name:ident, $variant:ident, $row:ty, ($($arg:ident: $ty:ty),*), $key:expr) => {
        fn $name(&self, $($arg: $ty),*) -> Result<Option<$row>, Fault> {
            Ok(self.row(&$key)?.map(|row| of_kind!(row, $variant)))
        }
    };
}

/// A getter of rows of one kind that nobody shares yet.
macro_rules! owned_getter {
    ($name:ident, $variant:ident, $row:ty, ($($arg:ident: $ty:ty),*), $key:expr) => {
        fn $name(&self, $($arg: $ty),*) -> Result<Option<$row>, Fault> {
            let row = self.row(&$key)?.map(|row| of_kind!(row, $variant));
            Ok(row.map(Arc::unwrap_or_clone))
        }
    };
}

impl Rows {
    /// The row under a key, of any kind.
    pub fn row(&self, key: &RowKey) -> Result<Option<Row>, Fault> {
        let (table, bytes) = row::key_of_row(key);
        let Some(value) = self.stop.note(self.snapshot.get(table, &bytes))? else {
            return Ok(None);
        };
        let row =
            row::decode_row(key, value).map_err(|error| row::malformed(table, &bytes, &error));
        self.stop.note(row).map(Some)
    }

    /// The store-wide counters; all zero in a store that nothing was ever committed to.
    pub fn counters(&self) -> Result<Counters, Fault> {
        Ok(self.counters_if()?.unwrap_or_default())
    }

    /// The newest drain of the server; none if there never was one.
    pub fn drain(&self) -> Result<Option<Arc<DrainRow>>, Fault> {
        self.drain_if()
    }

    /// The session that a reader means: by id that one; by key the live one, else the newest that has not ended, else
    /// the newest.
    pub fn find(
        &self,
        namespace: &Namespace,
        asked: &SessionRef,
    ) -> Result<Option<SessionNo>, Fault> {
        match asked {
            SessionRef::Id(id) => self.session_id(namespace, id),
            SessionRef::Key(key) => self.find_by_key(namespace, key),
        }
    }

    fn find_by_key(
        &self,
        namespace: &Namespace,
        key: &SessionKey,
    ) -> Result<Option<SessionNo>, Fault> {
        let row = self.key(namespace, key)?.unwrap_or_default();
        if row.live.is_some() {
            return Ok(row.live);
        }
        for no in &row.sessions {
            let session = self.session(*no)?;
            if !self.on_record(session, &RowKey::Session(*no))?.is_ended() {
                return Ok(Some(*no));
            }
        }
        Ok(row.sessions.first().copied())
    }

    /// A session as readers see it. The expire time of its lease is that of a lease never renewed: acquire time plus
    /// duration.
    pub fn session_view(&self, no: SessionNo) -> Result<Option<SessionView>, Fault> {
        let Some(session) = self.session(no)? else {
            return Ok(None);
        };
        let activity = self.on_record(self.activity(no)?, &RowKey::Activity(no))?;
        let (depth, oldest) = match self.queue(session.queue)? {
            Some(queue) => queue.seen_from(no),
            // It went with a successor that was purged.
            None => (Depth::default(), None),
        };
        let lease = match session.lease {
            Some(epoch) => {
                let lease = self.on_record(self.lease(epoch)?, &RowKey::Lease(epoch))?;
                Some(lease_view(lease))
            }
            None => None,
        };
        Ok(Some(SessionView {
            depth,
            oldest_pending: oldest.map(|oldest| oldest.time),
            session,
            activity,
            lease,
        }))
    }

    /// A message's payload, whether it is pending or given up.
    pub fn payload(&self, queue: QueueId, seq: Seq) -> Result<Option<Bytes>, Fault> {
        self.payload_if(queue, seq)
    }

    /// The first entries of a group, and how far that makes the group known. A limit of zero counts as one: how far
    /// nothing reaches cannot be said.
    pub fn scan(&self, scan: &Scan, limit: usize) -> Result<(Vec<IndexEntry>, Extent), Fault> {
        let limit = limit.max(1);
        let entries = self.entries(&row::range_of(scan, limit))?;
        let extent = match entries.last() {
            Some(last) if entries.len() >= limit => Extent::Through(last.clone()),
            Some(_) | None => Extent::All,
        };
        Ok((entries, extent))
    }

    getter!(drain_if, Drain, Arc<DrainRow>, (), RowKey::Drain);
    owned_getter!(counters_if, Counters, Counters, (), RowKey::Counters);
    getter!(session, Session, Arc<SessionRow>, (no: SessionNo), RowKey::Session(no));
    owned_getter!(activity, Activity, ActivityRow, (no: SessionNo), RowKey::Activity(no));
    owned_getter!(queue, Queue, QueueRow, (id: QueueId), RowKey::Queue(id));
    getter!(resources, Resources, Arc<ResourcesRow>, (no: SessionNo), RowKey::Resources(no));
    owned_getter!(lease, Lease, LeaseRow, (epoch: Epoch), RowKey::Lease(epoch));
    owned_getter!(key, Key, KeyRow, (ns: &Namespace, key: &SessionKey), RowKey::Key(ns.clone(), key.clone()));
    getter!(session_id, SessionId, SessionNo, (ns: &Namespace, id: &SessionId), RowKey::SessionId(ns.clone(), id.clone()));
    getter!(payload_if, Payload, Bytes, (queue: QueueId, seq: Seq), RowKey::Payload(queue, seq));

    /// What a row on record points at.
    fn on_record<T>(&self, row: Option<T>, key: &RowKey) -> Result<T, Fault> {
        let (table, bytes) = row::key_of_row(key);
        let missing = DecodeError::Missing("the row itself, which another points at,");
        self.stop
            .note(row.ok_or_else(|| row::malformed(table, &bytes, &missing)))
    }

    fn range(&self, range: &Range) -> Result<Vec<Entry>, Fault> {
        self.stop.note(self.snapshot.range(range))
    }

    /// The entries of an index range.
    fn entries(&self, range: &Range) -> Result<Vec<IndexEntry>, Fault> {
        self.decoded(range, |key, value| {
            row::decode_entry(range.table, key, &value)
        })
    }

    fn decoded<T>(
        &self,
        range: &Range,
        decode: impl Fn(&[u8], Bytes) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, Fault> {
        let entries = self.range(range)?.into_iter();
        let decoded = entries.map(|(key, value)| {
            decode(&key, value).map_err(|error| row::malformed(range.table, &key, &error))
        });
        self.stop.note(decoded.collect())
    }
}

fn lease_view(lease: LeaseRow) -> LeaseView {
    LeaseView {
        worker: lease.worker,
        instance: lease.instance,
        epoch: lease.epoch,
        acquire_time: lease.acquire_time,
        expire_time: WallTime(lease.acquire_time.0.saturating_add(lease.duration.0)),
    }
}
