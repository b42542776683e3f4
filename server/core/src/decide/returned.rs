//! Returned messages: what happens to a delivery that did not end in an ack.
//!
//! It goes back to its place in the queue, now or after a pause, or, once it was handed out as often
//! as allowed, to the dead letters. Whether the attempt counts is the caller's finding.

use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind, MessageRef};
use crate::message::{DeadReason, MessageRow, Standing, Turn};
use crate::time::Span;

/// How a delivery ended without an ack.
#[derive(Clone, Debug)]
pub(super) struct Return {
    /// Whether the attempt counts.
    pub(super) attempt: Attempt,
    /// How long it waits; none is not at all.
    pub(super) pause: Option<Span>,
    /// Whether the worker said so itself, which voids a later ack.
    pub(super) ended: Ended,
    /// What the worker said went wrong.
    pub(super) error: Option<String>,
    /// Who is named in the event if the message is given up.
    pub(super) actor: Actor,
}

/// Whether an attempt counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It does, and may have been the last.
    Counts,
    /// It does not.
    Refunded,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The worker settled it.
    Settled,
    /// Nobody did; a late ack still counts.
    Lapsed,
}

impl Return {
    /// Back at once, as if it had not been handed out.
    pub(super) fn refunded(actor: Actor) -> Self {
        Self {
            attempt: Attempt::Refunded,
            pause: None,
            ended: Ended::Lapsed,
            error: None,
            actor,
        }
    }
}

/// Takes a message out of flight.
pub(super) fn give_back(
    draft: &mut Draft<'_>,
    before: &MessageRow,
    how: &Return,
) -> Result<(), Stop> {
    let mut message = before.clone();
    if how.ended == Ended::Settled {
        message.latest = None;
    }
    if let Some(error) = &how.error {
        message.last_error.clone_from(error);
    }
    match how.attempt {
        Attempt::Counts if message.attempt >= draft.policy().max_attempts => {
            return give_up(draft, before, message, DeadReason::MaxAttempts, &how.actor);
        }
        Attempt::Counts => {}
        Attempt::Refunded => message.attempt = message.attempt.saturating_sub(1),
    }
    message.standing = match how.pause {
        Some(pause) => Standing::Waiting {
            due: draft.now.engine + pause,
            turn: Turn::Keeps,
        },
        None => Standing::Ready(message.mode.rank_of_returned()),
    };
    draft.move_message(Some(before), Some(message.into()))
}

/// Moves a message to the dead letters and says so.
pub(super) fn give_up(
    draft: &mut Draft<'_>,
    before: &MessageRow,
    mut message: MessageRow,
    reason: DeadReason,
    actor: &Actor,
) -> Result<(), Stop> {
    message.standing = Standing::Dead {
        reason,
        time: draft.now.wall,
        until: draft.policy().dead_letter_retention.from(draft.now.engine),
    };
    let named = MessageRef {
        queue: message.queue,
        seq: message.seq,
        kind: message.kind.as_str().to_owned(),
    };
    let owner = draft.queue(message.queue)?.owner;
    let actor = actor.also_due_to(message.cause);
    draft.move_message(Some(before), Some(message.into()))?;
    let session = draft.session(owner)?;
    let mut activity = draft.activity(owner)?;
    activity.totals.dead_lettered += 1;
    draft.put_activity(&session, activity)?;
    let why = match reason {
        DeadReason::MaxAttempts => "max_attempts",
        DeadReason::Permanent => "permanent",
    };
    draft.event(
        EventKind::MessageDeadLettered,
        actor,
        owner,
        Particulars {
            message: Some(named),
            ..Particulars::attribute("reason", why)
        },
    )
}
