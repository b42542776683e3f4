//! Keys of index entries, and the ranges that scans of them are.
//!
//! ```text
//! ready             u64 queue | u8 rank | u64 seq
//! in_flight         u64 queue | u64 epoch | u64 seq
//! returned          u64 queue | u8 lane | u64 seq
//! debounced         u64 queue | u64 seq
//! coalesced         u64 queue | 16 bytes digest | u64 seq
//! due               u64 time | u8 kind | u64 | u64 if a message
//! unserved          u16 length | namespace | u64 time | u64 queue
//! request_ages      u64 time | namespace 00 | text
//! live_sessions     u16 length | namespace | u16 length | pool | u64 session
//! dead_queues       u16 length | namespace | u64 queue
//! idle_sessions     u16 length | namespace | u16 length | pool | u64 time | u64 session
//! waiting_sessions  u16 length | namespace | u16 length | pool | u64 place | u64 session
//! ```
//!
//! Within the group of a scan, and within all that is due, bytes compare as the core's entries do. Values are empty.
//! `Pending` and `GivenUp` have no tables of their own: their entries are the keys of `messages` and of `dead_letters`. So
//! nothing is written for one, and one is never decoded.

use sessiond_core::ids::{Epoch, KeyDigest, Namespace, PoolName, QueueId, Seq, SessionNo};
use sessiond_core::index::{Due, IndexEntry, Scan};
use sessiond_core::message::Rank;
use sessiond_core::time::EngineTime;

use crate::kv::{Key, Order, Range, Table};
use crate::row::DecodeError;
use crate::row::cursor::{Cursor, one, put_ended, put_prefixed, put_u64, two};
use crate::row::numbers::Numbered;
use crate::row::text::text;

// What is due, by kind. The numbers are a promise, and their order is the core's.
const DUE_SESSION: u8 = 1;
const DUE_MESSAGE: u8 = 2;
const DUE_LEASE: u8 = 3;
const DUE_QUEUE: u8 = 4;

/// Where an entry lies. For `Pending` and `GivenUp` that is the key of the message itself.
#[must_use]
pub fn key_of_entry(entry: &IndexEntry) -> (Table, Key) {
    match entry {
        IndexEntry::Ready(queue, rank, seq) => {
            let mut key = one(queue.0);
            key.push(rank_byte(*rank));
            put_u64(&mut key, seq.0);
            (Table::Ready, key)
        }
        IndexEntry::InFlight(queue, epoch, seq) => {
            let mut key = two(queue.0, epoch.0);
            put_u64(&mut key, seq.0);
            (Table::InFlight, key)
        }
        IndexEntry::Returned(queue, lane, seq) => {
            let mut key = one(queue.0);
            key.push(u8::try_from(lane.number()).expect("lanes have small numbers"));
            put_u64(&mut key, seq.0);
            (Table::Returned, key)
        }
        IndexEntry::Debounced(queue, seq) => (Table::Debounced, two(queue.0, seq.0)),
        IndexEntry::Coalesced(queue, digest, seq) => {
            let mut key = coalesced_prefix(*queue, *digest);
            put_u64(&mut key, seq.0);
            (Table::Coalesced, key)
        }
        IndexEntry::Pending(queue, seq) => (Table::Messages, two(queue.0, seq.0)),
        IndexEntry::GivenUp(queue, seq) => (Table::DeadLetters, two(queue.0, seq.0)),
        IndexEntry::Unserved(namespace, since, queue) => {
            let mut key = namespace_prefix(namespace);
            put_u64(&mut key, since.0);
            put_u64(&mut key, queue.0);
            (Table::Unserved, key)
        }
        IndexEntry::DeadLetters(namespace, queue) => {
            let mut key = namespace_prefix(namespace);
            put_u64(&mut key, queue.0);
            (Table::DeadQueues, key)
        }
        IndexEntry::RequestAge(at, namespace, id) => {
            let mut key = one(at.0);
            put_ended(&mut key, namespace.as_str());
            key.extend_from_slice(id.as_str().as_bytes());
            (Table::RequestAges, key)
        }
        IndexEntry::Due(at, due) => (Table::Due, due_key(*at, *due)),
        IndexEntry::Live(namespace, pool, no) => {
            let mut key = pool_prefix(namespace, pool);
            put_u64(&mut key, no.0);
            (Table::LiveSessions, key)
        }
        IndexEntry::Idle(namespace, pool, at, no) => {
            let mut key = pool_prefix(namespace, pool);
            put_u64(&mut key, at.0);
            put_u64(&mut key, no.0);
            (Table::IdleSessions, key)
        }
        IndexEntry::Waiting(namespace, pool, place, no) => {
            let mut key = pool_prefix(namespace, pool);
            put_u64(&mut key, place.0);
            put_u64(&mut key, no.0);
            (Table::WaitingSessions, key)
        }
    }
}

fn rank_byte(rank: Rank) -> u8 {
    u8::try_from(rank.number()).expect("ranks have small numbers")
}

fn coalesced_prefix(queue: QueueId, digest: KeyDigest) -> Key {
    let mut key = one(queue.0);
    key.extend_from_slice(&digest.0);
    key
}

fn due_key(at: EngineTime, due: Due) -> Key {
    let mut key = one(at.0);
    match due {
        Due::Session(no) => {
            key.push(DUE_SESSION);
            put_u64(&mut key, no.0);
        }
        Due::Message(queue, seq) => {
            key.push(DUE_MESSAGE);
            put_u64(&mut key, queue.0);
            put_u64(&mut key, seq.0);
        }
        Due::Lease(epoch) => {
            key.push(DUE_LEASE);
            put_u64(&mut key, epoch.0);
        }
        Due::Queue(queue) => {
            key.push(DUE_QUEUE);
            put_u64(&mut key, queue.0);
        }
    }
    key
}

fn namespace_prefix(namespace: &Namespace) -> Key {
    let mut key = Key::with_capacity(2 + namespace.as_str().len() + 16);
    put_prefixed(&mut key, namespace.as_str());
    key
}

fn pool_prefix(namespace: &Namespace, pool: &PoolName) -> Key {
    let bytes = 2 + namespace.as_str().len() + 2 + pool.as_str().len();
    let mut key = Key::with_capacity(bytes + 16);
    put_prefixed(&mut key, namespace.as_str());
    put_prefixed(&mut key, pool.as_str());
    key
}

/// The entry that `key` stands for. Keys of `messages` are entries of `Pending`, those of `dead_letters` of `GivenUp`.
pub(crate) fn entry(table: Table, key: &[u8]) -> Result<IndexEntry, DecodeError> {
    let mut cursor = Cursor::new(key);
    let entry = match table {
        Table::Ready => {
            let (queue, rank) = (QueueId(cursor.u64()?), u32::from(cursor.u8()?));
            IndexEntry::Ready(queue, Numbered::of_number(rank)?, Seq(cursor.u64()?))
        }
        Table::InFlight => IndexEntry::InFlight(
            QueueId(cursor.u64()?),
            Epoch(cursor.u64()?),
            Seq(cursor.u64()?),
        ),
        Table::Returned => {
            let (queue, lane) = (QueueId(cursor.u64()?), u32::from(cursor.u8()?));
            IndexEntry::Returned(queue, Numbered::of_number(lane)?, Seq(cursor.u64()?))
        }
        Table::Debounced => IndexEntry::Debounced(QueueId(cursor.u64()?), Seq(cursor.u64()?)),
        Table::Coalesced => IndexEntry::Coalesced(
            QueueId(cursor.u64()?),
            KeyDigest(cursor.array()?),
            Seq(cursor.u64()?),
        ),
        Table::Messages => IndexEntry::Pending(QueueId(cursor.u64()?), Seq(cursor.u64()?)),
        Table::DeadLetters => IndexEntry::GivenUp(QueueId(cursor.u64()?), Seq(cursor.u64()?)),
        Table::Due => IndexEntry::Due(EngineTime(cursor.u64()?), due(&mut cursor)?),
        Table::Unserved => IndexEntry::Unserved(
            text(cursor.prefixed()?)?,
            EngineTime(cursor.u64()?),
            QueueId(cursor.u64()?),
        ),
        Table::DeadQueues => {
            IndexEntry::DeadLetters(text(cursor.prefixed()?)?, QueueId(cursor.u64()?))
        }
        Table::RequestAges => {
            let (at, namespace) = (EngineTime(cursor.u64()?), text(cursor.ended()?)?);
            return Ok(IndexEntry::RequestAge(at, namespace, text(cursor.text()?)?));
        }
        Table::LiveSessions => IndexEntry::Live(
            text(cursor.prefixed()?)?,
            text(cursor.prefixed()?)?,
            SessionNo(cursor.u64()?),
        ),
        Table::IdleSessions => IndexEntry::Idle(
            text(cursor.prefixed()?)?,
            text(cursor.prefixed()?)?,
            EngineTime(cursor.u64()?),
            SessionNo(cursor.u64()?),
        ),
        Table::WaitingSessions => IndexEntry::Waiting(
            text(cursor.prefixed()?)?,
            text(cursor.prefixed()?)?,
            SessionNo(cursor.u64()?),
            SessionNo(cursor.u64()?),
        ),
        Table::Counters
        | Table::Sessions
        | Table::Activities
        | Table::Queues
        | Table::Payloads
        | Table::Leases
        | Table::Keys
        | Table::SessionIds
        | Table::KeyBlocks
        | Table::Requests
        | Table::Pools
        | Table::Events => return Err(DecodeError::Key("is that of a row")),
    };
    cursor.end()?;
    Ok(entry)
}

fn due(cursor: &mut Cursor<'_>) -> Result<Due, DecodeError> {
    let kind = cursor.u8()?;
    Ok(match kind {
        DUE_SESSION => Due::Session(SessionNo(cursor.u64()?)),
        DUE_MESSAGE => Due::Message(QueueId(cursor.u64()?), Seq(cursor.u64()?)),
        DUE_LEASE => Due::Lease(Epoch(cursor.u64()?)),
        DUE_QUEUE => Due::Queue(QueueId(cursor.u64()?)),
        number => {
            return Err(DecodeError::UnknownNumber {
                what: "the kind of what is due",
                number: u32::from(number),
            });
        }
    })
}

/// The group of a scan, from its beginning.
pub(crate) fn range_of(scan: &Scan, limit: usize) -> Range {
    let (table, prefix) = match scan {
        Scan::Ready(queue) => (Table::Ready, one(queue.0)),
        Scan::New(queue) => {
            let mut prefix = one(queue.0);
            prefix.push(rank_byte(Rank::New));
            (Table::Ready, prefix)
        }
        Scan::InFlight(queue, epoch) => (Table::InFlight, two(queue.0, epoch.0)),
        Scan::InFlightOfQueue(queue) => (Table::InFlight, one(queue.0)),
        Scan::Returned(queue) => (Table::Returned, one(queue.0)),
        Scan::Debounced(queue) => (Table::Debounced, one(queue.0)),
        Scan::Coalesced(queue, digest) => (Table::Coalesced, coalesced_prefix(*queue, *digest)),
        Scan::Pending(queue) => (Table::Messages, one(queue.0)),
        Scan::GivenUp(queue) => (Table::DeadLetters, one(queue.0)),
        Scan::Unserved(namespace) => (Table::Unserved, namespace_prefix(namespace)),
        Scan::RequestAges => (Table::RequestAges, Key::new()),
        Scan::Live(namespace, pool) => (Table::LiveSessions, pool_prefix(namespace, pool)),
        Scan::Idle(namespace, pool) => (Table::IdleSessions, pool_prefix(namespace, pool)),
        Scan::Waiting(namespace, pool) => (Table::WaitingSessions, pool_prefix(namespace, pool)),
    };
    Range {
        table,
        to: after_prefix(&prefix),
        from: prefix.into_vec(),
        order: Order::Ascending,
        limit,
    }
}

/// The blocks of idempotency keys of a queue, oldest first.
pub(crate) fn key_blocks_of(queue: QueueId) -> Range {
    let prefix = one(queue.0);
    Range {
        table: Table::KeyBlocks,
        to: after_prefix(&prefix),
        from: prefix.into_vec(),
        order: Order::Ascending,
        limit: usize::MAX,
    }
}

/// What is due at `until` or before, earliest first.
pub(crate) fn due_until(until: EngineTime, limit: usize) -> Range {
    Range {
        table: Table::Due,
        from: Vec::new(),
        to: after_prefix(&one(until.0)),
        order: Order::Ascending,
        limit,
    }
}

/// The queues of a namespace that want a worker, behind `after`.
pub(crate) fn unserved_after(
    namespace: &Namespace,
    after: Option<(EngineTime, QueueId)>,
    limit: usize,
) -> Range {
    let mut range = range_of(&Scan::Unserved(namespace.clone()), limit);
    if let Some((since, queue)) = after {
        range.from.extend_from_slice(&two(since.0, queue.0));
        range.from.push(0);
    }
    range
}

/// The sessions of a pool that have a slot, behind `after`.
pub(crate) fn live_after(
    namespace: &Namespace,
    pool: &PoolName,
    after: SessionNo,
    limit: usize,
) -> Range {
    let mut range = range_of(&Scan::Live(namespace.clone(), pool.clone()), limit);
    range.from.extend_from_slice(&one(after.0));
    range.from.push(0);
    range
}

/// The rows of the pools of a namespace.
pub(crate) fn pools_of(namespace: &Namespace) -> Range {
    let prefix = namespace_prefix(namespace);
    Range {
        table: Table::Pools,
        to: after_prefix(&prefix),
        from: prefix.into_vec(),
        order: Order::Ascending,
        limit: usize::MAX,
    }
}

/// The queues of a namespace that have dead letters, from `first` on.
pub(crate) fn dead_queues_from(namespace: &Namespace, first: QueueId, limit: usize) -> Range {
    let mut from = namespace_prefix(namespace);
    let to = after_prefix(&from);
    put_u64(&mut from, first.0);
    Range {
        table: Table::DeadQueues,
        from: from.into_vec(),
        to,
        order: Order::Ascending,
        limit,
    }
}

/// The first key behind all that start with `prefix`; none when there can be no such key.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}
