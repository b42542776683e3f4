//! Keys of rows: which table, which bytes, and back.
//!
//! ```text
//! counters, drains                  00
//! sessions, activities, queues,     u64
//!   leases, events, resources
//! messages, dead_letters, payloads  u64 queue | u64 seq
//! keys, session_ids, requests,      u16 length | namespace | text
//!   pools, nodes, subscriptions
//! key_blocks                        u64 queue | u64 block
//! ```
//!
//! All numbers are big-endian: rows lie in the order of their numbers, those of a namespace or a queue together.

use sessiond_core::ids::{Epoch, Namespace, QueueId, Revision, Seq, SessionNo};
use sessiond_core::message::{MessageRow, Standing};
use sessiond_core::rows::{Row, RowKey};

use crate::kv::{Key, Table};
use crate::row::DecodeError;
use crate::row::cursor::{Cursor, one, put_prefixed, two};
use crate::row::text::{Text, text};

/// The only key of a table that has one row.
const ONLY: u8 = 0;

/// Where the row of a key lies.
#[must_use]
pub fn key_of_row(key: &RowKey) -> (Table, Key) {
    match key {
        RowKey::Counters => (Table::Counters, Key::from_slice(&[ONLY])),
        RowKey::Session(no) => (Table::Sessions, one(no.0)),
        RowKey::Activity(no) => (Table::Activities, one(no.0)),
        RowKey::Queue(id) => (Table::Queues, one(id.0)),
        RowKey::Message(queue, seq) => (Table::Messages, two(queue.0, seq.0)),
        RowKey::DeadLetter(queue, seq) => (Table::DeadLetters, two(queue.0, seq.0)),
        RowKey::Payload(queue, seq) => (Table::Payloads, two(queue.0, seq.0)),
        RowKey::Lease(epoch) => (Table::Leases, one(epoch.0)),
        RowKey::Key(namespace, key) => (Table::Keys, scoped(namespace, key.as_str())),
        RowKey::SessionId(namespace, id) => (Table::SessionIds, scoped(namespace, id.as_str())),
        RowKey::KeyBlock(queue, number) => (Table::KeyBlocks, two(queue.0, *number)),
        RowKey::Request(namespace, id) => (Table::Requests, scoped(namespace, id.as_str())),
        RowKey::Pool(namespace, pool) => (Table::Pools, scoped(namespace, pool.as_str())),
        RowKey::Event(revision) => (Table::Events, one(revision.0)),
        RowKey::Resources(no) => (Table::Resources, one(no.0)),
        RowKey::Node(namespace, name) => (Table::Nodes, scoped(namespace, name.as_str())),
        RowKey::Drain => (Table::Drains, Key::from_slice(&[ONLY])),
        RowKey::Subscription(namespace, name) => {
            (Table::Subscriptions, scoped(namespace, name.as_str()))
        }
    }
}

fn scoped(namespace: &Namespace, text: &str) -> Key {
    let mut key = Key::with_capacity(2 + namespace.as_str().len() + text.len());
    put_prefixed(&mut key, namespace.as_str());
    key.extend_from_slice(text.as_bytes());
    key
}

/// The key of the row at `bytes`, or `None` when the table is an index.
pub(crate) fn row_key(table: Table, bytes: &[u8]) -> Option<Result<RowKey, DecodeError>> {
    Some(match table {
        Table::Counters => only(bytes, "is not that of the counters").map(|()| RowKey::Counters),
        Table::Sessions => number(bytes).map(|no| RowKey::Session(SessionNo(no))),
        Table::Activities => number(bytes).map(|no| RowKey::Activity(SessionNo(no))),
        Table::Queues => number(bytes).map(|id| RowKey::Queue(QueueId(id))),
        Table::Messages => place(bytes).map(|(queue, seq)| RowKey::Message(queue, seq)),
        Table::DeadLetters => place(bytes).map(|(queue, seq)| RowKey::DeadLetter(queue, seq)),
        Table::Payloads => place(bytes).map(|(queue, seq)| RowKey::Payload(queue, seq)),
        Table::Leases => number(bytes).map(|epoch| RowKey::Lease(Epoch(epoch))),
        Table::Keys => unscoped(bytes).map(|(namespace, key)| RowKey::Key(namespace, key)),
        Table::SessionIds => {
            unscoped(bytes).map(|(namespace, id)| RowKey::SessionId(namespace, id))
        }
        Table::KeyBlocks => key_block(bytes),
        Table::Requests => unscoped(bytes).map(|(namespace, id)| RowKey::Request(namespace, id)),
        Table::Pools => unscoped(bytes).map(|(namespace, pool)| RowKey::Pool(namespace, pool)),
        Table::Events => number(bytes).map(|revision| RowKey::Event(Revision(revision))),
        Table::Resources => number(bytes).map(|no| RowKey::Resources(SessionNo(no))),
        Table::Nodes => unscoped(bytes).map(|(namespace, name)| RowKey::Node(namespace, name)),
        Table::Drains => only(bytes, "is not that of the drain").map(|()| RowKey::Drain),
        Table::Subscriptions => {
            unscoped(bytes).map(|(namespace, name)| RowKey::Subscription(namespace, name))
        }
        Table::Ready
        | Table::InFlight
        | Table::Returned
        | Table::Debounced
        | Table::Coalesced
        | Table::Due
        | Table::Unserved
        | Table::DeadQueues
        | Table::RequestAges
        | Table::LiveSessions
        | Table::IdleSessions
        | Table::WaitingSessions
        | Table::BehindSessions
        | Table::UnreleasedSessions
        | Table::ReleasingSessions
        | Table::HoldingSubscriptions
        | Table::RequiredSubscriptions => return None,
    })
}

fn only(bytes: &[u8], other: &'static str) -> Result<(), DecodeError> {
    if bytes == [ONLY] {
        Ok(())
    } else {
        Err(DecodeError::Key(other))
    }
}

fn number(bytes: &[u8]) -> Result<u64, DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let number = cursor.u64()?;
    cursor.end()?;
    Ok(number)
}

fn place(bytes: &[u8]) -> Result<(QueueId, Seq), DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let place = (QueueId(cursor.u64()?), Seq(cursor.u64()?));
    cursor.end()?;
    Ok(place)
}

fn unscoped<T: Text>(bytes: &[u8]) -> Result<(Namespace, T), DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let namespace = text(cursor.prefixed()?)?;
    Ok((namespace, text(cursor.text()?)?))
}

fn key_block(bytes: &[u8]) -> Result<RowKey, DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let (queue, number) = (QueueId(cursor.u64()?), cursor.u64()?);
    cursor.end()?;
    Ok(RowKey::KeyBlock(queue, number))
}

/// Whether `row` is of the kind that lies under `key`, and names that key where it names one. Given-up messages lie
/// apart from the others, and only they: that is what lets the keys of `messages` stand for the index of the pending.
pub(crate) fn agree(key: &RowKey, row: &Row) -> bool {
    match (key, row) {
        (RowKey::Counters, Row::Counters(_))
        | (RowKey::Payload(..), Row::Payload(_))
        | (RowKey::Key(..), Row::Key(_))
        | (RowKey::SessionId(..), Row::SessionId(_))
        | (RowKey::KeyBlock(..), Row::KeyBlock(_))
        | (RowKey::Request(..), Row::Request(_))
        | (RowKey::Pool(..), Row::Pool(_))
        | (RowKey::Drain, Row::Drain(_)) => true,
        (RowKey::Session(no), Row::Session(row)) => row.no == *no,
        (RowKey::Activity(no), Row::Activity(row)) => row.session == *no,
        (RowKey::Queue(id), Row::Queue(row)) => row.id == *id,
        (RowKey::Message(queue, seq), Row::Message(row)) => {
            row.queue == *queue && row.seq == *seq && !is_dead(row)
        }
        (RowKey::DeadLetter(queue, seq), Row::Message(row)) => {
            row.queue == *queue && row.seq == *seq && is_dead(row)
        }
        (RowKey::Lease(epoch), Row::Lease(row)) => row.epoch == *epoch,
        (RowKey::Event(revision), Row::Event(row)) => row.revision == *revision,
        (RowKey::Resources(no), Row::Resources(row)) => row.session == *no,
        (RowKey::Node(namespace, name), Row::Node(row)) => {
            row.namespace == *namespace && row.name == *name
        }
        (RowKey::Subscription(namespace, name), Row::Subscription(row)) => {
            row.namespace == *namespace && row.name == *name
        }
        (
            RowKey::Counters
            | RowKey::Session(_)
            | RowKey::Activity(_)
            | RowKey::Queue(_)
            | RowKey::Message(..)
            | RowKey::DeadLetter(..)
            | RowKey::Payload(..)
            | RowKey::Lease(_)
            | RowKey::Key(..)
            | RowKey::SessionId(..)
            | RowKey::KeyBlock(..)
            | RowKey::Request(..)
            | RowKey::Pool(..)
            | RowKey::Event(_)
            | RowKey::Resources(_)
            | RowKey::Node(..)
            | RowKey::Drain
            | RowKey::Subscription(..),
            _,
        ) => false,
    }
}

fn is_dead(row: &MessageRow) -> bool {
    matches!(row.standing, Standing::Dead { .. })
}
