//! What a decision says, cut down to what the rules promise: facts, frames, replies, refusals.
//!
//! The model predicts in these words and the decision is translated into them. Times shown to people and texts that
//! only travel through are left out.

mod answers;
mod facts;
mod refusals;

use std::collections::BTreeMap;

use sessiond_core::ids::{InstanceId, SessionId, StreamId};
use sessiond_core::reply::{
    CancelReason, Delivery, Frame, GoAwayReason, LeaseLostReason, SettleCode,
};
use sessiond_core::session::EndReason;

pub(crate) use self::answers::Answer;
pub(crate) use self::facts::{EndFact, Fact, events, fact};
pub(crate) use self::refusals::Refusal;

/// One hand-out: queue, seq, delivery, token, attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) queue: u64,
    pub(crate) seq: u64,
    pub(crate) delivery: u64,
    pub(crate) epoch: u64,
    pub(crate) attempt: u32,
}

impl Handed {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        Self {
            queue: delivery.message.queue.0,
            seq: delivery.message.seq.0,
            delivery: delivery.delivery_id.0,
            epoch: delivery.epoch.0,
            attempt: delivery.message.attempt,
        }
    }
}

/// A frame on a worker's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Welcome,
    Attached {
        session: u64,
        epoch: u64,
        voided: Vec<String>,
    },
    AttachFailed(Refusal),
    Deliveries(Vec<Handed>),
    Settled(Vec<SettleCode>),
    Cancel {
        session: SessionId,
        reason: CancelReason,
        /// None means all of the session.
        deliveries: Vec<u64>,
        deadline: u64,
    },
    Ending(SessionId, EndReason),
    Lost {
        session: SessionId,
        /// Zero when the worker held none.
        epoch: u64,
        reason: LeaseLostReason,
        successor: Option<SessionId>,
    },
    GoAway(GoAwayReason),
}

impl Told {
    pub(crate) fn of(frame: &Frame) -> Self {
        match frame {
            Frame::Welcome { .. } => Self::Welcome,
            Frame::Attached {
                lease,
                session,
                voided_keys,
            } => Self::Attached {
                session: session.session.no.0,
                epoch: lease.epoch.0,
                voided: voided_keys.clone(),
            },
            Frame::AttachFailed { rejection, .. } => Self::AttachFailed(Refusal::of(rejection)),
            Frame::Deliveries(deliveries) => {
                Self::Deliveries(deliveries.iter().map(Handed::of).collect())
            }
            Frame::Settled(results) => Self::Settled(results.iter().map(|r| r.code).collect()),
            Frame::Cancel {
                session,
                reason,
                deliveries,
                deadline,
            } => Self::Cancel {
                session: session.clone(),
                reason: *reason,
                deliveries: deliveries.iter().map(|delivery| delivery.0).collect(),
                deadline: deadline.0,
            },
            Frame::SessionEnding {
                session, reason, ..
            } => Self::Ending(session.clone(), *reason),
            Frame::LeaseLost {
                session,
                epoch,
                reason,
                successor,
            } => Self::Lost {
                session: session.clone(),
                epoch: epoch.0,
                reason: *reason,
                successor: successor.clone(),
            },
            Frame::GoAway { reason } => Self::GoAway(*reason),
        }
    }
}

/// What the model expects of one decision.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) facts: Vec<Fact>,
    pub(crate) frames: BTreeMap<StreamId, Vec<Told>>,
    /// Whether whoever may signal should look.
    pub(crate) releases: bool,
    /// Sessions of which an export is asked for.
    pub(crate) exports: Vec<u64>,
    /// Watches of consumers that are over, and what each is told.
    pub(crate) cuts: Vec<(StreamId, Refusal)>,
}

impl Expected {
    pub(crate) fn tell(&mut self, stream: Option<StreamId>, told: Told) {
        if let Some(stream) = stream {
            self.frames.entry(stream).or_default().push(told);
        }
    }
}

pub(crate) fn text(instance: &InstanceId) -> String {
    instance.as_str().to_owned()
}
