//! Reads frames of a watch without decoding their events: it counts them.
//!
//! Thousands of watchers share the client's processor time; decoding every event for each of them would
//! measure the client. Invariant: the counts are what a full decoding would find. What it deliberately
//! does not do: look into an event.

use anyhow::{Result, bail};
use bytes::Buf;
use prost::Message;
use sessiond_proto::v1 as pb;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The numbers of the fields that are looked at, as in the contract.
const FRAME_BATCH: u64 = 3;
const FRAME_GO_AWAY: u64 = 5;
const BATCH_EVENTS: u64 = 1;
/// The wire type of fields with a length.
const LENGTH_DELIMITED: u64 = 2;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// This many events.
    Events(u64),
    /// The watch is over.
    Over,
    /// Where the watch stands.
    Place,
}

/// The codec of such watches.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CountingCodec;

impl Codec for CountingCodec {
    type Encode = pb::WatchSessionEventsRequest;
    type Decode = Seen;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for CountingCodec {
    type Item = pb::WatchSessionEventsRequest;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(into)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for CountingCodec {
    type Item = Seen;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Seen>, Status> {
        let frame = from.copy_to_bytes(from.remaining());
        let seen = look_at(&frame).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(seen))
    }
}

/// What an encoded frame says.
fn look_at(mut frame: &[u8]) -> Result<Seen> {
    while !frame.is_empty() {
        match field(&mut frame)? {
            (FRAME_BATCH, mut batch) => {
                let mut events = 0;
                while !batch.is_empty() {
                    let (number, _) = field(&mut batch)?;
                    events += u64::from(number == BATCH_EVENTS);
                }
                return Ok(Seen::Events(events));
            }
            (FRAME_GO_AWAY, _) => return Ok(Seen::Over),
            _ => {}
        }
    }
    Ok(Seen::Place)
}

/// The next field's number and contents; every field of a frame and of a batch has a length.
fn field<'a>(from: &mut &'a [u8]) -> Result<(u64, &'a [u8])> {
    let tag = varint(from)?;
    if tag & 7 != LENGTH_DELIMITED {
        bail!("a frame of a watch has a field without a length");
    }
    let length = usize::try_from(varint(from)?)?;
    match from.split_at_checked(length) {
        Some((contents, rest)) => {
            *from = rest;
            Ok((tag >> 3, contents))
        }
        None => bail!("a frame of a watch is cut"),
    }
}

fn varint(from: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let Some((byte, rest)) = from.split_first() else {
            bail!("a frame of a watch is cut");
        };
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a number in a frame of a watch is too long")
}

#[cfg(test)]
mod tests {
    use sessiond_proto::v1::watch_session_events_response::Frame;

    use super::*;

    fn seen(frame: Frame) -> Seen {
        let response = pb::WatchSessionEventsResponse { frame: Some(frame) };
        look_at(&response.encode_to_vec()).unwrap()
    }

    fn batch(events: usize) -> Frame {
        let event = pb::SessionEvent {
            revision: 300,
            event_id: "e".repeat(200),
            session: Some(pb::SessionSnapshot::default()),
            ..pb::SessionEvent::default()
        };
        Frame::Batch(pb::EventBatch {
            events: vec![event; events],
            resume_token: "token".to_owned(),
        })
    }

    #[test]
    fn events_are_counted_as_a_decoder_would() {
        assert_eq!(seen(batch(1)), Seen::Events(1));
        assert_eq!(seen(batch(257)), Seen::Events(257));
        let started = pb::WatchStarted {
            log_id: "log".to_owned(),
            current_revision: u64::MAX,
            ..pb::WatchStarted::default()
        };
        assert_eq!(seen(Frame::Started(started)), Seen::Place);
        assert_eq!(seen(Frame::Bookmark(pb::Bookmark::default())), Seen::Place);
        assert_eq!(seen(Frame::GoAway(pb::GoAway::default())), Seen::Over);
        assert_eq!(look_at(&[]).unwrap(), Seen::Place);
    }

    #[test]
    fn a_broken_frame_is_an_error_and_never_a_count() {
        let frame = pb::WatchSessionEventsResponse {
            frame: Some(batch(2)),
        };
        let whole = frame.encode_to_vec();
        for cut in 1..whole.len() {
            assert!(look_at(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(look_at(&[0xff; 11]).is_err());
        assert!(look_at(&[1 << 3, 1]).is_err());
    }
}
