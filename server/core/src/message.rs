//! Messages: the durable units of pending work, and where each one stands.
//!
//! A row exists as long as the message is unsettled; an acknowledged message has none. The payload
//! is a row of its own, never rewritten. Which message goes out next is decided in
//! `decide::hand_out`.

use crate::ids::{DeliveryId, Epoch, IdempotencyKey, MessageKind, QueueId, Seq};
use crate::session::Labels;
use crate::time::{EngineTime, WallTime};

/// The header of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Which queue.
    pub queue: QueueId,
    /// Its place there.
    pub seq: Seq,
    /// What kind of work.
    pub kind: MessageKind,
    /// MIME type of the payload; empty when unsaid.
    pub content_type: String,
    /// Free attributes.
    pub attributes: Labels,
    /// The sub-agent it comes from; empty for the main session.
    pub agent_id: String,
    /// The sub-agent's type.
    pub agent_type: String,
    /// The prompt it belongs to.
    pub prompt_number: u32,
    /// When it happened, by the caller's clock.
    pub occurred_time: Option<WallTime>,
    /// When it was accepted, for display.
    pub enqueue_time: WallTime,
    /// When it was accepted, for age.
    pub enqueued_at: EngineTime,
    /// The caller's name for it.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Not handed out before, as the caller said it.
    pub not_before_time: Option<WallTime>,
    /// Trace context.
    pub trace_parent: String,
    /// Bytes charged to the queue.
    pub bytes: u64,
    /// Hand-outs that count.
    pub attempt: u32,
    /// The newest hand-out, until it is settled; the only one whose ack counts.
    pub latest: Option<DeliveryId>,
    /// The error of the newest nack.
    pub last_error: String,
    /// Where it stands.
    pub standing: Standing,
}

/// Where an unsettled message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// May be handed out.
    Ready(Rank),
    /// Not yet due.
    Waiting {
        /// When it is.
        due: EngineTime,
        /// Whether it holds back what is behind it meanwhile.
        turn: Turn,
    },
    /// Handed out under this lease.
    InFlight(Epoch),
    /// Given up.
    Dead {
        /// Why.
        reason: DeadReason,
        /// When.
        time: WallTime,
    },
}

/// Which ready messages go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Handed out before and returned.
    Returned,
    /// Never handed out.
    New,
}

/// Whether a waiting message keeps its place in a strict queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was handed out and returned: nothing behind it goes first.
    Keeps,
    /// It is deferred by its sender: outside the order until due.
    Waives,
}

/// Why a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadReason {
    /// Handed out as often as allowed.
    MaxAttempts,
    /// A worker said that it can never succeed.
    Permanent,
}

/// A message as a caller hands it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// What kind of work.
    pub kind: MessageKind,
    /// The payload, opaque.
    pub payload: bytes::Bytes,
    /// MIME type of the payload.
    pub content_type: String,
    /// Free attributes.
    pub attributes: Labels,
    /// The sub-agent it comes from.
    pub agent_id: String,
    /// The sub-agent's type.
    pub agent_type: String,
    /// The prompt it belongs to; unset takes the session's current one.
    pub prompt_number: Option<u32>,
    /// When it happened.
    pub occurred_time: Option<WallTime>,
    /// Not to be handed out before.
    pub not_before_time: Option<WallTime>,
    /// The caller's name for it.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Trace context.
    pub trace_parent: String,
}
