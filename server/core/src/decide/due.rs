//! Due: what the due index says has come, checked again before anything is done about it.

use super::returned::Return;
use super::{cancel, debounce, finish, hand_out, purge, release, retention, session_due};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::{Epoch, QueueId, Seq};
use crate::index::{Due, IndexEntry, Scan};
use crate::lease::LeaseStanding;
use crate::limits::DISCARD_ROWS_PER_DECISION;
use crate::message::{DeliveryMode, MessageRow, Standing, Turn};
use crate::queue::{Disposition, QueueRow};
use crate::reply::Reply;
use crate::rows::{Row, RowKey};
use crate::time::Span;

/// Does what is due, if it still is.
pub(super) fn due(draft: &mut Draft<'_>, due: Due) -> Result<Reply, Stop> {
    match due {
        Due::Session(no) => session_due::session_due(draft, no)?,
        Due::Message(queue, seq) => message_due(draft, queue, seq)?,
        Due::Lease(epoch) => lease_due(draft, epoch)?,
        Due::Queue(queue) => queue_due(draft, queue)?,
    }
    Ok(Reply::Done)
}

/// A returned or deferred message may be handed out again.
fn message_due(draft: &mut Draft<'_>, queue: QueueId, seq: Seq) -> Result<(), Stop> {
    let Some(before) = draft.message(queue, seq)? else {
        return retention::letter_due(draft, queue, seq);
    };
    let was = before.standing;
    let rank = match was {
        Standing::Waiting { due, turn } if due <= draft.now.engine => match turn {
            Turn::Keeps => before.mode.rank_of_returned(),
            Turn::Waives => before.mode.rank_of_new(),
        },
        Standing::Waiting { .. }
        | Standing::Ready(_)
        | Standing::InFlight(_)
        | Standing::Debounced
        | Standing::Dead { .. } => return Ok(()),
    };
    let mut message = MessageRow::clone(&before);
    message.standing = Standing::Ready(rank);
    draft.move_message(Some(&before), Some(message.into()))?;
    // What came back from a worker has interrupted once.
    let first_time = matches!(
        was,
        Standing::Waiting {
            turn: Turn::Waives,
            ..
        }
    );
    if first_time && before.mode == DeliveryMode::Interrupt {
        cancel::interrupt(draft, queue)?;
    }
    hand_out::offer(draft, queue)
}

/// What a superseded lease still has in flight returns, uncounted; also what one should have stopped.
fn lease_due(draft: &mut Draft<'_>, epoch: Epoch) -> Result<(), Stop> {
    let Some(lease) = draft.lease_if(epoch)? else {
        return Ok(());
    };
    match lease.standing {
        LeaseStanding::Superseded { until } if until <= draft.now.engine => {
            release::give_back(draft, &lease, &Return::refunded(Actor::reaper()))?;
            let Some(queue) = draft.queue_if(lease.queue)? else {
                // It was purged since.
                return Ok(());
            };
            finish::if_drained(draft, queue.owner)?;
            hand_out::offer(draft, lease.queue)
        }
        LeaseStanding::Superseded { .. } => Ok(()),
        LeaseStanding::Current => cancel::due(draft, &lease),
    }
}

fn queue_due(draft: &mut Draft<'_>, id: QueueId) -> Result<(), Stop> {
    let Some(queue) = draft.queue_if(id)? else {
        return Ok(());
    };
    debounce::due(draft, &queue)?;
    let now = draft.now.engine;
    match queue.disposition {
        Disposition::Held { until } if until <= now => held_due(draft, queue),
        Disposition::Discarded { next } if next <= now => discard_some(draft, id),
        Disposition::Purged { next } if next <= now => purge::purge_some(draft, id),
        Disposition::Dead {
            until: Some(until), ..
        } if until <= now => retention::dead_queue_due(draft, queue),
        Disposition::Held { .. }
        | Disposition::Discarded { .. }
        | Disposition::Purged { .. }
        | Disposition::Serving
        | Disposition::Quiet
        | Disposition::Dead { .. } => Ok(()),
    }
}

/// No session of the key came for what was held: it is given up, all of it at once.
fn held_due(draft: &mut Draft<'_>, queue: QueueRow) -> Result<(), Stop> {
    let owner = queue.owner;
    let session = draft.session(owner)?;
    if let Some(key) = &session.key {
        let mut row = draft.key(&session.namespace, key)?;
        row.held = None;
        draft.put(
            RowKey::Key(session.namespace.clone(), key.clone()),
            Row::Key(row.into()),
        );
    }
    let unsettled = queue.depth.unsettled();
    let mut activity = draft.activity(owner)?;
    activity.totals.dead_lettered += unsettled;
    draft.put_activity(&session, activity)?;
    let given_up = draft.given_up(queue.depth);
    draft.dispose(queue, given_up)?;
    if unsettled == 0 {
        return Ok(());
    }
    let particulars = Particulars {
        message: None,
        attributes: [
            ("reason".to_owned(), "session_ended".to_owned()),
            ("messages".to_owned(), unsettled.to_string()),
        ]
        .into(),
    };
    let actor = Actor::reaper();
    draft.event(EventKind::MessageDeadLettered, actor, owner, particulars)
}

/// Deletes a bounded number of rows of a discarded queue; the rest follows at the next tick.
fn discard_some(draft: &mut Draft<'_>, id: QueueId) -> Result<(), Stop> {
    let entries = draft.scan(&Scan::Pending(id), DISCARD_ROWS_PER_DECISION)?;
    let more = entries.len() == DISCARD_ROWS_PER_DECISION;
    for entry in entries {
        if let IndexEntry::Pending(_, seq) = entry {
            let message = draft
                .message(id, seq)?
                .expect("an indexed message is on record");
            draft.move_message(Some(&message), None)?;
        }
    }
    let queue = draft.queue(id)?;
    let now = draft.now.engine;
    let disposition = if more {
        Disposition::Discarded {
            next: now + Span(1),
        }
    } else {
        draft.given_up(queue.depth)
    };
    draft.dispose(queue, disposition)
}
