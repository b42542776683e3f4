//! Keys of index entries.
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
//! behind_sessions   u64 predecessor | u64 session
//! unreleased_sessions  u16 length | namespace | u64 session
//! releasing_sessions   u64 session
//! holding_subscriptions   u64 revision | namespace 00 | text
//! required_subscriptions  u16 length | namespace | u64 revision | text
//! ```
//!
//! Within the group of a scan, and within all that is due, bytes compare as the core's entries do. Values are empty.
//! `Pending` and `GivenUp` have no tables of their own: their entries are the keys of `messages` and of `dead_letters`. So
//! nothing is written for one, and one is never decoded.

use sessiond_core::ids::{
    Epoch, KeyDigest, Namespace, PoolName, QueueId, Revision, Seq, SessionNo,
};
use sessiond_core::index::{Due, IndexEntry};
use sessiond_core::message::Rank;
use sessiond_core::time::EngineTime;

use crate::kv::{Key, Table};
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
            (Table::Ready, followed(key, [seq.0]))
        }
        IndexEntry::InFlight(queue, epoch, seq) => {
            (Table::InFlight, followed(two(queue.0, epoch.0), [seq.0]))
        }
        IndexEntry::Returned(queue, lane, seq) => {
            let mut key = one(queue.0);
            key.push(u8::try_from(lane.number()).expect("lanes have small numbers"));
            (Table::Returned, followed(key, [seq.0]))
        }
        IndexEntry::Debounced(queue, seq) => (Table::Debounced, two(queue.0, seq.0)),
        IndexEntry::Coalesced(queue, digest, seq) => {
            let prefix = coalesced_prefix(*queue, *digest);
            (Table::Coalesced, followed(prefix, [seq.0]))
        }
        IndexEntry::Pending(queue, seq) => (Table::Messages, two(queue.0, seq.0)),
        IndexEntry::GivenUp(queue, seq) => (Table::DeadLetters, two(queue.0, seq.0)),
        IndexEntry::Unserved(namespace, since, queue) => {
            let prefix = namespace_prefix(namespace);
            (Table::Unserved, followed(prefix, [since.0, queue.0]))
        }
        IndexEntry::DeadLetters(namespace, queue) => {
            let prefix = namespace_prefix(namespace);
            (Table::DeadQueues, followed(prefix, [queue.0]))
        }
        IndexEntry::RequestAge(at, namespace, id) => {
            let mut key = one(at.0);
            put_ended(&mut key, namespace.as_str());
            key.extend_from_slice(id.as_str().as_bytes());
            (Table::RequestAges, key)
        }
        IndexEntry::Due(at, due) => (Table::Due, due_key(*at, *due)),
        IndexEntry::Live(namespace, pool, no) => {
            let prefix = pool_prefix(namespace, pool);
            (Table::LiveSessions, followed(prefix, [no.0]))
        }
        IndexEntry::Idle(namespace, pool, at, no) => {
            let prefix = pool_prefix(namespace, pool);
            (Table::IdleSessions, followed(prefix, [at.0, no.0]))
        }
        IndexEntry::Waiting(namespace, pool, place, no) => {
            let prefix = pool_prefix(namespace, pool);
            (Table::WaitingSessions, followed(prefix, [place.0, no.0]))
        }
        IndexEntry::Behind(predecessor, no) => (Table::BehindSessions, two(predecessor.0, no.0)),
        IndexEntry::Unreleased(namespace, no) => {
            let prefix = namespace_prefix(namespace);
            (Table::UnreleasedSessions, followed(prefix, [no.0]))
        }
        IndexEntry::Releasing(no) => (Table::ReleasingSessions, one(no.0)),
        IndexEntry::Holding(revision, namespace, name) => {
            let mut key = one(revision.0);
            put_ended(&mut key, namespace.as_str());
            key.extend_from_slice(name.as_str().as_bytes());
            (Table::HoldingSubscriptions, key)
        }
        IndexEntry::Required(namespace, revision, name) => {
            let mut key = followed(namespace_prefix(namespace), [revision.0]);
            key.extend_from_slice(name.as_str().as_bytes());
            (Table::RequiredSubscriptions, key)
        }
    }
}

/// A key that goes on with numbers.
fn followed<const N: usize>(mut key: Key, numbers: [u64; N]) -> Key {
    for number in numbers {
        put_u64(&mut key, number);
    }
    key
}

pub(super) fn rank_byte(rank: Rank) -> u8 {
    u8::try_from(rank.number()).expect("ranks have small numbers")
}

pub(super) fn coalesced_prefix(queue: QueueId, digest: KeyDigest) -> Key {
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

pub(super) fn namespace_prefix(namespace: &Namespace) -> Key {
    let mut key = Key::with_capacity(2 + namespace.as_str().len() + 16);
    put_prefixed(&mut key, namespace.as_str());
    key
}

pub(super) fn pool_prefix(namespace: &Namespace, pool: &PoolName) -> Key {
    let bytes = 2 + namespace.as_str().len() + 2 + pool.as_str().len();
    let mut key = Key::with_capacity(bytes + 16);
    put_prefixed(&mut key, namespace.as_str());
    put_prefixed(&mut key, pool.as_str());
    key
}

/// The entry that `key` stands for. Keys of `messages` are entries of `Pending`, those of `dead_letters` of `GivenUp`.
pub(crate) fn entry(table: Table, key: &[u8]) -> Result<IndexEntry, DecodeError> {
    let mut cursor = Cursor::new(key);
    let c = &mut cursor;
    let entry = match table {
        Table::Ready => {
            let (queue, rank) = (queue(c)?, u32::from(c.u8()?));
            IndexEntry::Ready(queue, Numbered::of_number(rank)?, seq(c)?)
        }
        Table::InFlight => IndexEntry::InFlight(queue(c)?, Epoch(c.u64()?), seq(c)?),
        Table::Returned => {
            let (queue, lane) = (queue(c)?, u32::from(c.u8()?));
            IndexEntry::Returned(queue, Numbered::of_number(lane)?, seq(c)?)
        }
        Table::Debounced => IndexEntry::Debounced(queue(c)?, seq(c)?),
        Table::Coalesced => IndexEntry::Coalesced(queue(c)?, KeyDigest(c.array()?), seq(c)?),
        Table::Messages => IndexEntry::Pending(queue(c)?, seq(c)?),
        Table::DeadLetters => IndexEntry::GivenUp(queue(c)?, seq(c)?),
        Table::Due => IndexEntry::Due(EngineTime(c.u64()?), due(c)?),
        Table::Unserved => {
            IndexEntry::Unserved(text(c.prefixed()?)?, EngineTime(c.u64()?), queue(c)?)
        }
        Table::DeadQueues => IndexEntry::DeadLetters(text(c.prefixed()?)?, queue(c)?),
        Table::RequestAges => return request_age(cursor),
        Table::LiveSessions => {
            IndexEntry::Live(text(c.prefixed()?)?, text(c.prefixed()?)?, session(c)?)
        }
        Table::IdleSessions => IndexEntry::Idle(
            text(c.prefixed()?)?,
            text(c.prefixed()?)?,
            EngineTime(c.u64()?),
            session(c)?,
        ),
        Table::WaitingSessions => IndexEntry::Waiting(
            text(c.prefixed()?)?,
            text(c.prefixed()?)?,
            session(c)?,
            session(c)?,
        ),
        Table::BehindSessions => IndexEntry::Behind(session(c)?, session(c)?),
        Table::UnreleasedSessions => IndexEntry::Unreleased(text(c.prefixed()?)?, session(c)?),
        Table::ReleasingSessions => IndexEntry::Releasing(session(c)?),
        Table::HoldingSubscriptions => return holding(cursor),
        Table::RequiredSubscriptions => return required(cursor),
        Table::Counters
        | Table::Resources
        | Table::Nodes
        | Table::Drains
        | Table::Subscriptions
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

fn request_age(mut cursor: Cursor<'_>) -> Result<IndexEntry, DecodeError> {
    let (at, namespace) = (EngineTime(cursor.u64()?), text(cursor.ended()?)?);
    Ok(IndexEntry::RequestAge(at, namespace, text(cursor.text()?)?))
}

fn holding(mut cursor: Cursor<'_>) -> Result<IndexEntry, DecodeError> {
    let (after, namespace) = (Revision(cursor.u64()?), text(cursor.ended()?)?);
    Ok(IndexEntry::Holding(after, namespace, text(cursor.text()?)?))
}

fn required(mut cursor: Cursor<'_>) -> Result<IndexEntry, DecodeError> {
    let (namespace, acked) = (text(cursor.prefixed()?)?, Revision(cursor.u64()?));
    Ok(IndexEntry::Required(
        namespace,
        acked,
        text(cursor.text()?)?,
    ))
}

fn queue(cursor: &mut Cursor<'_>) -> Result<QueueId, DecodeError> {
    cursor.u64().map(QueueId)
}

fn seq(cursor: &mut Cursor<'_>) -> Result<Seq, DecodeError> {
    cursor.u64().map(Seq)
}

fn session(cursor: &mut Cursor<'_>) -> Result<SessionNo, DecodeError> {
    cursor.u64().map(SessionNo)
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
