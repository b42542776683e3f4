//! The frames of a watch as bytes: each a whole gRPC message, put together once for all who send it.
//!
//! A batch is put together from events that were encoded before, which is a copy. Invariant: the bytes
//! are those that encoding the message as a whole gives; a test compares them. What this deliberately
//! does not do: compress, which no call of this server does.

use bytes::Bytes;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use sessiond_core::event::EventRow;
use sessiond_core::ids::Revision;
use sessiond_proto::v1 as pb;

use super::event;
use crate::wire::token::ResumeToken;

/// The number of `WatchSessionEventsResponse.batch`.
const BATCH: u32 = 3;
/// The number of `EventBatch.events`.
const EVENTS: u32 = 1;
/// The number of `EventBatch.resume_token`.
const RESUME_TOKEN: u32 = 2;
/// Bytes before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// A frame on the wire.
pub(crate) fn frame(frame: &pb::WatchSessionEventsResponse) -> Bytes {
    let mut bytes = prefixed(frame.encoded_len());
    frame
        .encode(&mut bytes)
        .expect("a Vec takes what it has no room for");
    bytes.into()
}

/// An event of the log `log_id`, as it lies in a batch.
pub(crate) fn event(row: &EventRow, log_id: &str) -> Bytes {
    use prost::encoding::message;
    let event = event::event(row, log_id);
    let mut bytes = Vec::with_capacity(message::encoded_len(EVENTS, &event));
    message::encode(EVENTS, &event, &mut bytes);
    bytes.into()
}

/// The frame of a batch: encoded events, up to and including `through`.
pub(crate) fn batch(events: &[&Bytes], log_id: &str, through: Revision) -> Bytes {
    use prost::encoding::string;
    let token = ResumeToken::new(log_id, through).encode();
    let of_events: usize = events.iter().map(|event| event.len()).sum();
    let batch = of_events + string::encoded_len(RESUME_TOKEN, &token);
    let length = batch as u64;
    let mut bytes = prefixed(key_len(BATCH) + encoded_len_varint(length) + batch);
    encode_key(BATCH, WireType::LengthDelimited, &mut bytes);
    encode_varint(length, &mut bytes);
    for event in events {
        bytes.extend_from_slice(event);
    }
    string::encode(RESUME_TOKEN, &token, &mut bytes);
    bytes.into()
}

/// The beginning of a message of this length, with room for the rest.
fn prefixed(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + length);
    let announced = u32::try_from(length).expect("a page of events is far below 4 GiB");
    bytes.push(0);
    bytes.extend(announced.to_be_bytes());
    bytes
}
