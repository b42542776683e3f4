//! The byte-level seam under the store: ordered tables, snapshots, one atomic durable commit.
//!
//! Everything above this file speaks rows; everything below it speaks bytes. A backend keeps three
//! promises: a commit is applied whole or not at all, it is durable before `commit` returns, and a
//! snapshot never changes while it is held. After any error the backend refuses every further
//! commit (fail-stop): what a failed flush left behind is not knowable from inside the process.
//! Backends know nothing of what the bytes mean; schema and encodings live in `row`.

pub mod journaled;
pub mod memory;
pub mod redb;
mod table;

use std::fmt;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::fault::Fault;

/// The tables of the store. The name of a table is part of the format on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Store-wide counters, one row.
    Counters,
    /// Cold part of a session: identity, configuration, state, end.
    Sessions,
    /// Warm part of a session: last activity, usage, prompt.
    Activities,
    /// Queues: owner, counters, head.
    Queues,
    /// Message headers by (queue, seq).
    Messages,
    /// Headers of messages that were given up, by (queue, seq). Their payloads stay where they are.
    DeadLetters,
    /// Message payloads by (queue, seq), apart so that a header can be rewritten cheaply.
    Payloads,
    /// Leases by epoch.
    Leases,
    /// Stable keys: the live session, the newest ones, the held queue.
    Keys,
    /// External session ids.
    SessionIds,
    /// Idempotency keys that queues remember, by (queue, block).
    KeyBlocks,
    /// Answered control mutations by (namespace, request id).
    Requests,
    /// Live counts by (namespace, pool).
    Pools,
    /// The event log by revision.
    Events,
    /// Index: messages that may be handed out, in hand-out order.
    Ready,
    /// Index: handed-out messages by lease.
    InFlight,
    /// Index: messages returned and not yet due, by (queue, seq).
    Returned,
    /// Index: messages that wait for a pause of their queue, by (queue, seq).
    Debounced,
    /// Index: pending messages with a coalesce key, by (queue, key).
    Coalesced,
    /// Index: what becomes due, by engine time.
    Due,
    /// Index: queues that have work and no lease, oldest first.
    Unserved,
    /// Index: answered control mutations by age.
    RequestAges,
    /// Index: sessions that have not ended, by (namespace, pool), in the order in which they were opened.
    LiveSessions,
    /// Index: queues that have dead letters, by (namespace, queue).
    DeadQueues,
    /// Index: sessions in use, by (namespace, pool), in order of their rank of idleness.
    IdleSessions,
    /// Index: sessions that wait for a slot, by (namespace, pool), in order of their turns.
    WaitingSessions,
    /// What sessions have outside, by session.
    Resources,
    /// Index: sessions that wait for the resources of another, by that one.
    BehindSessions,
    /// Index: sessions with resources that are not released, by (namespace, session).
    UnreleasedSessions,
    /// Index: sessions with resources that are to go.
    ReleasingSessions,
    /// Other machines and their agents, by (namespace, name).
    Nodes,
    /// The newest drain of the server, one row.
    Drains,
    /// Subscriptions, by (namespace, name).
    Subscriptions,
    /// Index: subscriptions that hold the log, by what they hold it behind.
    HoldingSubscriptions,
    /// Index: those that the deletion of a session waits for, by (namespace, what they acknowledged).
    RequiredSubscriptions,
}

/// Where a row lies in its table. Most keys have 24 bytes or fewer, three numbers, and need no memory of their own.
pub type Key = SmallVec<[u8; 24]>;

/// One row written or removed.
#[derive(Clone, PartialEq, Eq)]
pub struct Op {
    /// Which table.
    pub table: Table,
    /// Ordered by plain byte comparison.
    pub key: Key,
    /// `None` removes the row; removing an absent row is not an error.
    pub value: Option<Bytes>,
    /// What is known of the row before this.
    pub prior: Prior,
}

/// What the writer of a row knows of the row before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prior {
    /// There is none. Saying so where there is one is an error of the writer: when the row is removed later, the old
    /// one may come back.
    Absent,
    /// There may be one.
    Unknown,
}

impl Op {
    /// Writes a row that is not there.
    #[must_use]
    pub fn insert(table: Table, key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        Self {
            prior: Prior::Absent,
            ..Self::put(table, key, value)
        }
    }

    /// Writes a row, whether or not it is there.
    #[must_use]
    pub fn put(table: Table, key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        Self {
            table,
            key: key.into(),
            value: Some(value.into()),
            prior: Prior::Unknown,
        }
    }

    /// Removes a row, whether or not it is there.
    #[must_use]
    pub fn remove(table: Table, key: impl Into<Key>) -> Self {
        Self {
            table,
            key: key.into(),
            value: None,
            prior: Prior::Unknown,
        }
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Op")
            .field("table", &self.table)
            .field("key", &self.key)
            .field("value_len", &self.value.as_ref().map(Bytes::len))
            .field("prior", &self.prior)
            .finish()
    }
}

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Lowest key first.
    Ascending,
    /// Highest key first.
    Descending,
}

/// The rows of one table with `from <= key < to`, at most `limit` of them.
#[derive(Clone, Debug)]
pub struct Range {
    /// Which table.
    pub table: Table,
    /// First key that belongs.
    pub from: Vec<u8>,
    /// First key that no longer belongs; `None` is the end of the table.
    pub to: Option<Vec<u8>>,
    /// Which end comes first.
    pub order: Order,
    /// At most this many rows.
    pub limit: usize,
}

/// A key with its value.
pub type Entry = (Vec<u8>, Bytes);

/// A consistent view of committed rows. Hold it briefly: an open snapshot keeps pages from being reused.
pub trait Snapshot: Send {
    /// The row under `key`, its checksum verified.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault>;

    /// The rows of `range` in its order, checksums verified.
    fn range(&self, range: &Range) -> Result<Vec<Entry>, Fault>;
}

/// Ordered tables with atomic, durable commits. One caller commits; anybody takes snapshots.
pub trait Kv: Send + Sync + fmt::Debug {
    /// A snapshot that sees every commit that has returned.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Fault>;

    /// Applies `ops` in order, all or none, durable when this returns `Ok`.
    fn commit(&self, ops: &[Op]) -> Result<(), Fault>;

    /// Moves what commits have gathered to where it is kept for good. Anybody may call it, beside commits and
    /// snapshots; no promise depends on it, only memory and the time that the next opening takes.
    fn checkpoint(&self) -> Result<(), Fault>;

    /// How much commits have gathered since the last checkpoint began, in bytes.
    fn gathered_bytes(&self) -> u64;

    /// Leaves the store so that its next opening is quick, whatever ends the process. Costs a checkpoint and about a
    /// commit; worth it when the writer has nothing else to do.
    fn settle(&self) -> Result<(), Fault>;
}
