//! Requests larger than the server reads, and more unfinished ones than it keeps, refused with a reason before anything
//! decodes them.
//!
//! The transport's own bound answers with a bare status, and every refusal of this server has a reason.
//! So the lengths that a request body announces are looked at as the bytes pass by, and the first one
//! above [`REQUEST_BYTES_MAX`] ends the body with the refusal; calls and streams alike see it as the
//! error of the message they read. So it is with a part of a message that there is no room for, or whose rest
//! does not come in time (`unfinished.rs`). Invariant: bytes pass unchanged, all of those before that message
//! do, and none is kept. What this deliberately does not do: count the messages of a stream together,
//! or look into one.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use tonic::Status;

use super::unfinished::{Room, Unfinished};
use crate::limits::{MESSAGE_WITHIN, REQUEST_BYTES_MAX};
use crate::wire::status::Refusal;

/// Bytes before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The request with its body looked at.
pub(super) fn bounded(request: Request<Body>, room: &Room) -> Request<Body> {
    request.map(|inner| {
        Body::new(Bounded {
            inner,
            place: Place::default(),
            unfinished: room.of_call(),
            end: End::Ahead,
        })
    })
}

/// A body that ends at the first message that is refused.
#[derive(Debug)]
struct Bounded {
    inner: Body,
    place: Place,
    unfinished: Unfinished,
    end: End,
}

/// How a body ends.
#[derive(Debug)]
enum End {
    /// By itself, so far.
    Ahead,
    /// With the refusal of a message, next.
    Refuses(Box<Status>),
    /// It has.
    Behind,
}

/// Where in its messages a body is.
#[derive(Debug, Default)]
struct Place {
    /// The prefix of the next message, as far as it has come.
    prefix: [u8; PREFIX_BYTES],
    has: usize,
    /// How long the current message is.
    length: usize,
    /// What is to come of it.
    left: usize,
}

/// A message that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooLarge {
    length: u32,
    /// How many of the bytes just passed are of messages before it.
    before: usize,
}

impl Place {
    /// What has come of a message that is not there yet.
    fn unfinished(&self) -> usize {
        if self.left > 0 {
            self.length - self.left
        } else {
            0
        }
    }

    /// Goes on behind `bytes`.
    fn pass(&mut self, all: &[u8]) -> Result<(), TooLarge> {
        let mut bytes = all;
        let mut before = 0;
        loop {
            let of_message = self.left.min(bytes.len());
            self.left -= of_message;
            bytes = &bytes[of_message..];
            if self.has == 0 {
                before = all.len() - bytes.len();
            }
            let of_prefix = (PREFIX_BYTES - self.has).min(bytes.len());
            if of_prefix == 0 {
                return Ok(());
            }
            self.prefix[self.has..self.has + of_prefix].copy_from_slice(&bytes[..of_prefix]);
            self.has += of_prefix;
            bytes = &bytes[of_prefix..];
            if self.has == PREFIX_BYTES {
                let [_compressed, length @ ..] = self.prefix;
                let length = u32::from_be_bytes(length);
                self.left = usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= REQUEST_BYTES_MAX)
                    .ok_or(TooLarge { length, before })?;
                self.length = self.left;
                self.has = 0;
            }
        }
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match std::mem::replace(&mut self.end, End::Behind) {
            End::Ahead => self.end = End::Ahead,
            End::Refuses(refusal) => return Poll::Ready(Some(Err(refusal))),
            End::Behind => return Poll::Ready(None),
        }
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                ready!(self.unfinished.poll_late(cx));
                self.end = End::Behind;
                return Poll::Ready(Some(Err(Box::new(late()))));
            }
        };
        let Some(data) = frame.data_ref() else {
            return Poll::Ready(Some(Ok(frame)));
        };
        if let Err(TooLarge { length, before }) = self.place.pass(data) {
            let passed = data.slice(..before);
            self.end = End::Refuses(Box::new(too_large(length)));
            return Poll::Ready(Some(Ok(Frame::data(passed))));
        }
        let unfinished = self.place.unfinished();
        if let Err(backlog) = self.unfinished.hold(unfinished) {
            // Messages that are whole in this piece are refused with it: their callers send them again.
            self.end = End::Behind;
            let refusal: Status = Refusal::overloaded(backlog).into();
            return Poll::Ready(Some(Err(Box::new(refusal))));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self.end {
            End::Ahead => self.inner.is_end_stream(),
            End::Refuses(_) => false,
            End::Behind => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn late() -> Status {
    let seconds = MESSAGE_WITHIN.as_secs();
    let why = format!("must arrive within {seconds} s of its first part");
    Refusal::field_invalid("message", &why).into()
}

fn too_large(length: u32) -> Status {
    Refusal::request_too_large(u64::from(length), REQUEST_BYTES_MAX as u64).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32, bytes: usize) -> Vec<u8> {
        let mut message = vec![0];
        message.extend(length.to_be_bytes());
        message.resize(PREFIX_BYTES + bytes, 7);
        message
    }

    fn whole(bytes: usize) -> Vec<u8> {
        message(u32::try_from(bytes).unwrap(), bytes)
    }

    /// Passes the bytes on in pieces of one size. A message that is too large begins where `too_large`
    /// says, which may be in an earlier piece than the one with the end of its length.
    fn check(bytes: &[u8], piece: usize, too_large: Option<(usize, u32)>) {
        let mut place = Place::default();
        for (number, bytes) in bytes.chunks(piece).enumerate() {
            let Err(found) = place.pass(bytes) else {
                continue;
            };
            let (at, length) = too_large.expect("all of them fit");
            let before = at.saturating_sub(number * piece);
            assert_eq!(found, TooLarge { length, before }, "in pieces of {piece}");
            return;
        }
        assert_eq!(too_large, None, "in pieces of {piece}");
    }

    #[test]
    fn a_length_above_the_bound_is_found_wherever_its_bytes_are_split() {
        let max = u32::try_from(REQUEST_BYTES_MAX).unwrap();
        let fits = [whole(0), whole(1), whole(0), whole(300), whole(17)].concat();
        for piece in 1..=fits.len() + 9 {
            check(&fits, piece, None);
            for length in [max + 1, u32::MAX] {
                let over = [&fits[..], &message(length, 3)].concat();
                check(&over, piece, Some((fits.len(), length)));
            }
        }
        check(&message(max, 9), 4, None);
        let full = whole(REQUEST_BYTES_MAX);
        check(&full, 16 * 1_024, None);
        let over = [&full[..], &message(max + 1, 0)].concat();
        check(&over, 4_096, Some((full.len(), max + 1)));
    }
}
