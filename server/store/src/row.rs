//! What rows and index entries look like in the tables: keys and values, both ways.
//!
//! A value is a message of the package `sessiond.storage.v1`, written down as the types in `row/` instead of a `.proto`
//! file; a key is made so that comparing bytes compares what they stand for. Field tags, numbers of enums and key
//! layouts are promises: what is removed is never used again. Encoding cannot fail; decoding refuses whatever this
//! schema could not have written and never panics. Nothing here reads or writes a table.

mod activity;
mod counters;
mod cursor;
mod drain;
mod entry;
mod event;
pub(crate) mod field;
mod key;
mod key_block;
mod lease;
mod lookup;
mod message;
mod node;
mod numbers;
mod queue;
mod range;
mod resources;
mod session;
mod subscription;
mod tally;
mod text;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use sessiond_core::change::{Change, Membership};
use sessiond_core::ids::TextError;
use sessiond_core::index::IndexEntry;
use sessiond_core::rows::{Row, RowKey};
use thiserror::Error;

pub use self::entry::key_of_entry;
pub use self::key::key_of_row;
pub(crate) use self::range::{
    after_prefix, dead_queues_from, due_until, key_blocks_of, live_after, nodes, pools_of,
    range_of, releasing_after, subscriptions_after, unreleased_after, unserved_after,
};

use crate::fault::Fault;
use crate::kv::{Op, Table};

/// Why bytes are no row or entry of this schema. It leaves the crate as `Fault::Malformed`.
#[derive(Debug, Error)]
pub(crate) enum DecodeError {
    /// The value is no message.
    #[error(transparent)]
    Message(#[from] prost::DecodeError),
    /// A part without which the row makes no sense is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An enum has a number that was never given out.
    #[error("{what} has the unknown number {number}")]
    UnknownNumber {
        /// Which enum.
        what: &'static str,
        /// The number.
        number: u32,
    },
    /// A text does not obey the rule for its kind.
    #[error("{what} {error}")]
    Text {
        /// Which kind.
        what: &'static str,
        /// What is wrong with it.
        error: TextError,
    },
    /// A number is zero that never is.
    #[error("{0} is zero")]
    Zero(&'static str),
    /// A field of fixed length has another.
    #[error("{what} has {bytes} bytes")]
    Length {
        /// Which field.
        what: &'static str,
        /// How many bytes it has.
        bytes: usize,
    },
    /// The key ends too soon, goes on too long or is not UTF-8 where it should be.
    #[error("its key {0}")]
    Key(&'static str),
    /// The row names another key than the one it lies under.
    #[error("it belongs under another key")]
    Misplaced,
    /// An index entry has a value.
    #[error("an index entry has no value, this one has {bytes} bytes")]
    Value {
        /// How many bytes it has.
        bytes: usize,
    },
}

/// The write that makes a change; none for an entry of `Pending` or `GivenUp`, which its message's key is.
///
/// # Panics
///
/// When a row is put under a key that is not its own: what could not be read back is not written.
#[must_use]
pub fn encode(change: &Change) -> Option<Op> {
    match change {
        Change::Row(key, row) => {
            let (table, bytes) = key_of_row(key);
            Some(match row {
                Some(row) => Op::put(table, bytes, encode_row(key, row)),
                None => Op::remove(table, bytes),
            })
        }
        Change::Index(IndexEntry::Pending(..) | IndexEntry::GivenUp(..), _) => None,
        Change::Index(entry, membership) => {
            let (table, key) = key_of_entry(entry);
            Some(match membership {
                Membership::In => Op::put(table, key, Bytes::new()),
                Membership::Out => Op::remove(table, key),
            })
        }
    }
}

/// The change that, encoded, writes `value` under `key`: what one line of a table says.
///
/// # Errors
///
/// `Fault::Malformed` when no change does.
pub fn decode(table: Table, key: &[u8], value: Bytes) -> Result<Change, Fault> {
    let decoded = match key::row_key(table, key) {
        Some(row_key) => row_key.and_then(|row_key| {
            let row = decode_row(&row_key, value)?;
            Ok(Change::Row(row_key, Some(row)))
        }),
        None => decode_entry(table, key, &value).map(|entry| Change::Index(entry, Membership::In)),
    };
    decoded.map_err(|error| malformed(table, key, &error))
}

/// The fault that a decode error becomes.
pub(crate) fn malformed(table: Table, key: &[u8], error: &DecodeError) -> Fault {
    Fault::Malformed {
        table,
        key: key.to_vec(),
        reason: error.to_string(),
    }
}

/// The key that lies in the table of rows at `bytes`.
pub(crate) fn decode_key(table: Table, bytes: &[u8]) -> Result<RowKey, DecodeError> {
    key::row_key(table, bytes).unwrap_or(Err(DecodeError::Key("is that of an index entry")))
}

/// The entry that lies in an index table at `key`, or that the key of a message is.
pub(crate) fn decode_entry(
    table: Table,
    key: &[u8],
    value: &[u8],
) -> Result<IndexEntry, DecodeError> {
    if table != Table::Messages && table != Table::DeadLetters && !value.is_empty() {
        return Err(DecodeError::Value { bytes: value.len() });
    }
    entry::entry(table, key)
}

fn encode_row(key: &RowKey, row: &Row) -> Bytes {
    assert!(
        key::agree(key, row),
        "a row is put under its own key: {key:?}"
    );
    match row {
        Row::Counters(row) => counters::Counters::from(&**row).encode_to_vec(),
        Row::Session(row) => session::Session::from(&**row).encode_to_vec(),
        Row::Activity(row) => activity::Activity::from(&**row).encode_to_vec(),
        Row::Queue(row) => queue::Queue::from(&**row).encode_to_vec(),
        Row::Message(row) => message::encode(row),
        // As it is: it may be large, and would have to be copied into anything around it.
        Row::Payload(bytes) => return bytes.clone(),
        Row::Lease(row) => lease::Lease::from(&**row).encode_to_vec(),
        Row::Key(row) => lookup::Key::from(&**row).encode_to_vec(),
        Row::SessionId(no) => lookup::SessionId::from(no).encode_to_vec(),
        Row::KeyBlock(block) => key_block::KeyBlock::from(&**block).encode_to_vec(),
        Row::Request(row) => lookup::Request::from(&**row).encode_to_vec(),
        Row::Pool(row) => lookup::Pool::from(row).encode_to_vec(),
        Row::Event(row) => event::Event::from(&**row).encode_to_vec(),
        Row::Resources(row) => resources::Resources::from(&**row).encode_to_vec(),
        Row::Node(row) => node::Node::from(&**row).encode_to_vec(),
        Row::Drain(row) => drain::Drain::from(&**row).encode_to_vec(),
        Row::Subscription(row) => subscription::Subscription::from(&**row).encode_to_vec(),
    }
    .into()
}

/// The row that lies under `key`.
pub(crate) fn decode_row(key: &RowKey, value: Bytes) -> Result<Row, DecodeError> {
    let row = match key {
        RowKey::Counters => Row::Counters(Arc::new(counters::Counters::decode(value)?.try_into()?)),
        RowKey::Session(_) => Row::Session(Arc::new(session::Session::decode(value)?.try_into()?)),
        RowKey::Activity(_) => {
            Row::Activity(Arc::new(activity::Activity::decode(value)?.try_into()?))
        }
        RowKey::Queue(_) => Row::Queue(Arc::new(queue::Queue::decode(value)?.try_into()?)),
        RowKey::Message(..) | RowKey::DeadLetter(..) => {
            Row::Message(Arc::new(message::Header::decode(value)?.try_into()?))
        }
        RowKey::Payload(..) => Row::Payload(value),
        RowKey::Lease(_) => Row::Lease(Arc::new(lease::Lease::decode(value)?.try_into()?)),
        RowKey::Key(..) => Row::Key(Arc::new(lookup::Key::decode(value)?.into())),
        RowKey::SessionId(..) => Row::SessionId(lookup::SessionId::decode(value)?.try_into()?),
        RowKey::KeyBlock(..) => {
            Row::KeyBlock(Arc::new(key_block::KeyBlock::decode(value)?.try_into()?))
        }
        RowKey::Request(..) => Row::Request(Arc::new(lookup::Request::decode(value)?.try_into()?)),
        RowKey::Pool(..) => Row::Pool(lookup::Pool::decode(value)?.into()),
        RowKey::Event(_) => Row::Event(Arc::new(event::Event::decode(value)?.try_into()?)),
        RowKey::Resources(_) => {
            Row::Resources(Arc::new(resources::Resources::decode(value)?.try_into()?))
        }
        RowKey::Node(..) => Row::Node(Arc::new(node::Node::decode(value)?.try_into()?)),
        RowKey::Drain => Row::Drain(Arc::new(drain::Drain::decode(value)?.try_into()?)),
        RowKey::Subscription(..) => {
            let row = subscription::Subscription::decode(value)?;
            Row::Subscription(Arc::new(row.try_into()?))
        }
    };
    if key::agree(key, &row) {
        Ok(row)
    } else {
        Err(DecodeError::Misplaced)
    }
}

/// A part that has to be there.
fn need<T>(part: Option<T>, what: &'static str) -> Result<T, DecodeError> {
    part.ok_or(DecodeError::Missing(what))
}
