//! Messages: the durable units of pending work, and where each one stands.
//!
//! A row exists as long as the message is unsettled; an acknowledged message has none. The payload
//! is a row of its own, never rewritten. Which message goes out next is decided in
//! `decide::hand_out`.

use crate::event::Cause;
use crate::ids::{CoalesceKey, DeliveryId, Epoch, IdempotencyKey, MessageKind, QueueId, Seq};
use crate::session::Labels;
use crate::time::{EngineTime, Span, WallTime};

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
    /// How it relates to work in progress.
    pub mode: DeliveryMode,
    /// A newer message with the same key takes its place while it is pending.
    pub coalesce_key: Option<CoalesceKey>,
    /// It is held back at first until its queue has a pause.
    pub debounce: Option<Debounce>,
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
    /// The event whose handling made somebody hand it in or bring it back; none if nothing is known of one.
    pub cause: Option<Cause>,
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
    /// Held back until the pause of its queue is over; outside the order until then.
    Debounced,
    /// Handed out under this lease.
    InFlight(Epoch),
    /// Given up.
    Dead {
        /// Why.
        reason: DeadReason,
        /// When.
        time: WallTime,
        /// When it is deleted; none is never.
        until: Option<EngineTime>,
    },
}

/// Which ready messages go first. Within a rank the lowest seq does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// It interrupts, handed out before or not.
    Interrupt,
    /// It steers, handed out before or not.
    Steer,
    /// Handed out before and returned.
    Returned,
    /// Never handed out.
    New,
}

/// How a message relates to the work in progress of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Its turn comes in the session's order.
    #[default]
    FollowUp,
    /// It goes before what waits.
    Steer,
    /// It waits until nothing is in flight and goes out with those of its mode that are behind it.
    Collect,
    /// It cancels what is in flight and goes before all others.
    Interrupt,
}

/// How long a message is held back for others like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce {
    /// Until none came for this long.
    pub quiet: Span,
    /// This long at most.
    pub max_wait: Span,
}

/// The part of a queue's order that a message has its place in, by seq. What is in an earlier lane goes before all of
/// the later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Of messages that interrupt.
    Interrupt,
    /// Of messages that steer.
    Steer,
    /// Of all others.
    Ordinary,
}

impl DeliveryMode {
    /// Where its messages have their place.
    #[must_use]
    pub fn lane(self) -> Lane {
        match self {
            Self::Interrupt => Lane::Interrupt,
            Self::Steer => Lane::Steer,
            Self::FollowUp | Self::Collect => Lane::Ordinary,
        }
    }

    /// The rank of a message that may be handed out for the first time.
    #[must_use]
    pub fn rank_of_new(self) -> Rank {
        match self.lane() {
            Lane::Interrupt => Rank::Interrupt,
            Lane::Steer => Rank::Steer,
            Lane::Ordinary => Rank::New,
        }
    }

    /// The rank of a message that was handed out before.
    #[must_use]
    pub fn rank_of_returned(self) -> Rank {
        match self.lane() {
            Lane::Interrupt => Rank::Interrupt,
            Lane::Steer => Rank::Steer,
            Lane::Ordinary => Rank::Returned,
        }
    }
}

impl Rank {
    /// Where messages of this rank have their place.
    #[must_use]
    pub fn lane(self) -> Lane {
        match self {
            Self::Interrupt => Lane::Interrupt,
            Self::Steer => Lane::Steer,
            Self::Returned | Self::New => Lane::Ordinary,
        }
    }
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
    /// How it relates to work in progress.
    pub mode: DeliveryMode,
    /// A newer message with the same key takes its place while it is pending.
    pub coalesce_key: Option<CoalesceKey>,
    /// It is held back at first until its queue has a pause.
    pub debounce: Option<Debounce>,
    /// When it happened.
    pub occurred_time: Option<WallTime>,
    /// Not to be handed out before.
    pub not_before_time: Option<WallTime>,
    /// The caller's name for it.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Trace context.
    pub trace_parent: String,
}
