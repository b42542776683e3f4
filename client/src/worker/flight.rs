//! One delivery between its hand-out and its answer.
//!
//! Keeps the name under which a settlement is judged, and the signal that tells
//! a handler to stop. It knows no other deliveries.

use std::time::SystemTime;

use sessiond_proto::v1 as pb;
use tokio::sync::watch;

use super::delivery::Cancellation;

/// Names a delivery: `delivery_id` counts per queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FlightKey {
    pub(crate) queue_id: u64,
    pub(crate) delivery_id: u64,
}

/// A delivery which this worker has.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) session_id: String,
    pub(super) seq: u64,
    pub(super) epoch: u64,
    pub(super) stage: Stage,
    pub(super) cancel: watch::Sender<Option<Cancellation>>,
}

/// How far a delivery has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// It waits for its turn.
    Waiting(Box<Waiting>),
    /// Its handler runs.
    Running,
    /// Its handler is done, and the server has not answered the settlement.
    Settling,
}

/// What its handler will get.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: pb::Message,
    pub(super) deadline: Option<SystemTime>,
}

// === impl Flight ===

impl Flight {
    /// Tells the handler to stop. The first reason holds, except that nothing
    /// counts any more once the message was handed out again.
    pub(super) fn cancel(&self, why: Cancellation) {
        self.cancel.send_if_modified(|told| {
            let news = told.is_none() || why == Cancellation::Superseded;
            if news {
                *told = Some(why);
            }
            news
        });
    }

    /// A settlement of it.
    pub(super) fn settlement(
        &self,
        key: FlightKey,
        outcome: pb::settlement::Outcome,
    ) -> pb::Settlement {
        pb::Settlement {
            queue_id: key.queue_id,
            seq: self.seq,
            delivery_id: key.delivery_id,
            epoch: self.epoch,
            session_id: self.session_id.clone(),
            outcome: Some(outcome),
        }
    }
}
