//! A delivery as its handler sees it: the message, the session, and what can be
//! said about the work while it goes on.
//!
//! Keeps no lease of its own: everything it says goes through the worker, which
//! may be reconnecting. A handler that ignores a cancellation harms nobody: what
//! it settles too late does not count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sessiond_proto::v1 as pb;
use tokio::sync::{mpsc, oneshot, watch};

use super::flight::FlightKey;
use crate::error::Error;

/// How long [`Delivery::extend`] waits for the answer, a reconnect included.
const EXTEND_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest extension: the server's limit.
const EXTEND_MAX: Duration = Duration::from_secs(3_600);

/// Volatile values of a session: the server's limit.
const VOLATILE_ENTRIES_MAX: usize = 64;

/// Volatile keys and values of a session, in bytes: the server's limit.
const VOLATILE_BYTES_MAX: usize = 8 * 1024;

/// Why a handler should stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// The session is not this worker's any longer. An ack may still count,
    /// until the message is handed out again.
    LeaseLost {
        /// Why.
        reason: pb::LeaseLostReason,
        /// The session under which the conversation goes on; empty when none is
        /// known.
        successor_id: String,
    },
    /// The server asks for it.
    Requested {
        /// Why.
        reason: pb::CancelReason,
    },
    /// The message was handed out again: nothing said about this delivery
    /// counts.
    Superseded,
    /// The worker stops, and the grace is over.
    Stopping,
}

/// One message to work on.
#[derive(Debug)]
pub struct Delivery {
    pub(super) key: FlightKey,
    pub(super) epoch: u64,
    pub(super) message: pb::Message,
    pub(super) session: Option<Arc<pb::Session>>,
    pub(super) deadline: Option<SystemTime>,
    pub(super) cancelled: watch::Receiver<Option<Cancellation>>,
    pub(super) notes: mpsc::Sender<Note>,
}

/// What a handler says while it works.
#[derive(Debug)]
pub(super) enum Note {
    Extend {
        key: FlightKey,
        by: Duration,
        answer: oneshot::Sender<Result<Option<SystemTime>, Error>>,
    },
    Progress(pb::Progress),
}

// === impl Delivery ===

impl Delivery {
    /// The message with everything the server knows about it.
    #[must_use]
    pub fn message(&self) -> &pb::Message {
        &self.message
    }

    /// What sort of work it is.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.message.kind
    }

    /// The work itself.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.message.payload
    }

    /// How often the message was handed out, this time included.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.message.attempt
    }

    /// The session it is worked on in.
    #[must_use]
    pub fn session_id(&self) -> &str {
        &self.message.session_id
    }

    /// The session as it was when this worker took it.
    #[must_use]
    pub fn session(&self) -> Option<&pb::Session> {
        self.session.as_deref()
    }

    /// The number of this hand-out in its queue.
    #[must_use]
    pub fn delivery_id(&self) -> u64 {
        self.key.delivery_id
    }

    /// When it lapses unless the worker is heard of, as of the hand-out. The
    /// worker renews it as long as it is connected.
    #[must_use]
    pub fn deadline(&self) -> Option<SystemTime> {
        self.deadline
    }

    /// Why the work should stop, when it should.
    #[must_use]
    pub fn cancellation(&self) -> Option<Cancellation> {
        self.cancelled.borrow().clone()
    }

    /// Waits until the work should stop, and says why. Never returns otherwise.
    pub async fn cancelled(&self) -> Cancellation {
        let mut cancelled = self.cancelled.clone();
        let why = match cancelled.wait_for(Option::is_some).await {
            Ok(why) => why.clone(),
            // The worker forgot the delivery without cancelling it.
            Err(_) => None,
        };
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// Makes the lease, and with it all its deliveries, hold for `by` from now,
    /// even when the worker is not heard of. More than zero; at most 1 h.
    /// Returns the new deadline.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when the delivery is somebody else's by now or the
    /// worker stopped, [`Error::Deadline`] when no answer came within 15 s,
    /// [`Error::Setting`] for a span out of bounds.
    pub async fn extend(&self, by: Duration) -> Result<Option<SystemTime>, Error> {
        // The server would end the stream, and with it every other work.
        if by.is_zero() || by > EXTEND_MAX {
            return Err(Error::setting(format!(
                "an extension must be more than zero and at most {EXTEND_MAX:?} (got {by:?})"
            )));
        }
        let (answer, answered) = oneshot::channel();
        let note = Note::Extend {
            key: self.key,
            by,
            answer,
        };
        let exchange = async {
            self.notes.send(note).await.map_err(|_| stopped())?;
            answered.await.map_err(|_| stopped())?
        };
        match tokio::time::timeout(EXTEND_TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::deadline(format!(
                "no answer within {EXTEND_TIMEOUT:?}"
            ))),
        }
    }

    /// Says that the work goes on: it counts as activity, and keeps the worker
    /// from being taken for stuck. `volatile` is all that this instance wants
    /// back when it attaches again; empty leaves it as it is. It is not answered,
    /// and may be lost with the connection.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when the worker stopped, [`Error::Setting`] for more
    /// than 64 entries or 8 KiB.
    pub async fn progress(&self, volatile: BTreeMap<String, String>) -> Result<(), Error> {
        let bytes: usize = volatile
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if volatile.len() > VOLATILE_ENTRIES_MAX || bytes > VOLATILE_BYTES_MAX {
            return Err(Error::setting(format!(
                "volatile values must be at most {VOLATILE_ENTRIES_MAX} entries and \
                 {VOLATILE_BYTES_MAX} bytes (got {} and {bytes})",
                volatile.len()
            )));
        }
        let note = Note::Progress(pb::Progress {
            session_id: self.message.session_id.clone(),
            volatile,
            epoch: self.epoch,
        });
        self.notes.send(note).await.map_err(|_| stopped())
    }
}

fn stopped() -> Error {
    Error::lease_lost("the worker has stopped")
}
