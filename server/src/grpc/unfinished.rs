//! Messages of which a part has come: what they hold together is bounded, and none may take for ever.
//!
//! A message is kept until all of it is there, which may be 17 MiB for each of a connection's streams, so callers that never
//! finish one could hold any amount of memory. What comes in one piece holds nothing. Invariant: what is held is given back
//! with the message or its call. What this deliberately does not do: look into messages, or share the room out among callers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::time::Sleep;

use crate::engine::Backlog;
use crate::limits::{MESSAGE_WITHIN, UNFINISHED_BYTES_MAX};

/// The room that there is for all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

/// What the message holds that one call is sending.
#[derive(Debug)]
pub(super) struct Unfinished {
    room: Room,
    bytes: usize,
    /// When it must be there; none while nothing of it is.
    end: Option<Pin<Box<Sleep>>>,
}

impl Room {
    /// For the messages of one more call.
    pub(super) fn of_call(&self) -> Unfinished {
        Unfinished {
            room: self.clone(),
            bytes: 0,
            end: None,
        }
    }
}

impl Unfinished {
    /// So many bytes of a message have come, and not all of it; none: there is nothing of one. When there is no room for
    /// them, they are not counted.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Backlog> {
        let used = &self.room.0;
        if bytes <= self.bytes {
            used.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
        } else {
            let more = bytes - self.bytes;
            let before = used.fetch_add(more, Ordering::AcqRel);
            if before + more > UNFINISHED_BYTES_MAX {
                used.fetch_sub(more, Ordering::AcqRel);
                return Err(Backlog {
                    of: "bytes of unfinished messages",
                    used: before,
                    limit: UNFINISHED_BYTES_MAX,
                });
            }
        }
        self.bytes = bytes;
        if bytes == 0 {
            self.end = None;
        }
        Ok(())
    }

    /// Ready when a message of which a part has come has taken too long. For whoever waits for the rest.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes == 0 {
            return Poll::Pending;
        }
        let end = || Box::pin(tokio::time::sleep(MESSAGE_WITHIN));
        self.end.get_or_insert_with(end).as_mut().poll(cx)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

    use super::*;

    #[test]
    fn all_calls_share_the_room_and_give_back_what_they_held() {
        let room = Room::default();
        let (mut one, mut other) = (room.of_call(), room.of_call());
        one.hold(UNFINISHED_BYTES_MAX - 10).expect("room");
        other.hold(10).expect("room");
        let full = other.hold(11).expect_err("no room");
        assert_eq!(full.used, UNFINISHED_BYTES_MAX);
        // A refusal took nothing.
        one.hold(1).expect("less is always had");
        other.hold(UNFINISHED_BYTES_MAX - 1).expect("room");
        drop(other);
        one.hold(UNFINISHED_BYTES_MAX).expect("room");
        drop(one);
        assert_eq!(room.0.load(Ordering::Acquire), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_has_its_time_from_its_first_part_to_its_last() {
        let mut message = Room::default().of_call();
        let hour = Duration::from_secs(3_600);
        let waits = timeout(hour, poll_fn(|cx| message.poll_late(cx))).await;
        assert!(waits.is_err(), "nothing has come");
        let began = Instant::now();
        message.hold(1).expect("room");
        let half = timeout(MESSAGE_WITHIN / 2, poll_fn(|cx| message.poll_late(cx))).await;
        assert!(half.is_err());
        message.hold(2).expect("room");
        poll_fn(|cx| message.poll_late(cx)).await;
        assert_eq!(began.elapsed().as_secs(), MESSAGE_WITHIN.as_secs());
        // The next one has its own.
        message.hold(0).expect("room");
        message.hold(1).expect("room");
        let half = timeout(MESSAGE_WITHIN / 2, poll_fn(|cx| message.poll_late(cx))).await;
        assert!(half.is_err());
    }
}
