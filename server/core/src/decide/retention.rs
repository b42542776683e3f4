//! Retention: what becomes of ended sessions and of dead letters that have been on record long enough.
//!
//! How long that is was fixed by the policy when they ended; once it says `never`, what is there stays. A session stays
//! for as long as messages of it do (those that wait for the next session of its key, and its dead letters), and as
//! anything of it is left outside. What this
//! deliberately does not do: delete anything itself that has rows without number; the queue is emptied a few at a time.

use std::sync::Arc;

use super::purge;
use crate::draft::{Draft, Stop};
use crate::event::Actor;
use crate::ids::{QueueId, Seq};
use crate::limits::{PROTECTED_RECHECK, PURGE_RECHECK};
use crate::message::{MessageRow, Standing};
use crate::purging;
use crate::queue::{Disposition, QueueRow};
use crate::session::{ActivityRow, SessionRow};
use crate::time::{EngineTime, Limit, Span};

/// Purges an ended session that has been on record long enough, or looks again when that may be.
pub(super) fn ended_due(draft: &mut Draft<'_>, session: &Arc<SessionRow>) -> Result<(), Stop> {
    let activity = draft.activity(session.no)?;
    let now = draft.now.engine;
    if activity.check_at.is_none_or(|at| at > now) {
        return Ok(());
    }
    let check_at = match draft.policy().session_retention {
        Limit::Never => None,
        Limit::After(_) => match stays_until(draft, session)? {
            Some(at) => Some(at.max(now) + Span(1)),
            None => return purge::delete(draft, session, &Actor::reaper()).map(drop),
        },
    };
    draft.put_activity_checked_at(ActivityRow {
        check_at,
        ..activity
    })
}

/// When an ended session goes, if no message of it is kept; none is never, or not while one is.
pub(super) fn goes_at(
    draft: &Draft<'_>,
    session: &SessionRow,
    activity: &ActivityRow,
) -> Result<Option<EngineTime>, Stop> {
    let forever = draft.policy().session_retention == Limit::Never;
    if !session.is_ended() || forever || stays_until(draft, session)?.is_some() {
        return Ok(None);
    }
    Ok(activity.check_at)
}

/// Until when a session stays at least for its messages or for what it has outside; none if it has neither.
fn stays_until(draft: &Draft<'_>, session: &SessionRow) -> Result<Option<EngineTime>, Stop> {
    let now = draft.now.engine;
    if purging::is_left(session) {
        return Ok(Some(now + PURGE_RECHECK));
    }
    let own = purge::own_queue(draft, session)?;
    let Some(queue) = own.filter(|_| !faulty!(RetentionBlind)) else {
        return Ok(None);
    };
    if queue.depth.dead > 0 {
        return Ok(Some(now + PURGE_RECHECK));
    }
    Ok(match queue.disposition {
        Disposition::Held { until } if queue.depth.unsettled() > 0 => Some(until),
        Disposition::Dead { until, .. } if queue.depth.unsettled() > 0 => {
            Some(until.unwrap_or(now + PURGE_RECHECK))
        }
        Disposition::Discarded { .. } => Some(now + PROTECTED_RECHECK),
        Disposition::Held { .. }
        | Disposition::Dead { .. }
        | Disposition::Serving
        | Disposition::Quiet
        | Disposition::Purged { .. } => None,
    })
}

/// What an ended session left is deleted, and counted as such.
pub(super) fn dead_queue_due(draft: &mut Draft<'_>, queue: QueueRow) -> Result<(), Stop> {
    let Disposition::Dead { since, time, .. } = queue.disposition else {
        return Ok(());
    };
    let unsettled = queue.depth.unsettled();
    if unsettled == 0 || draft.policy().dead_letter_retention == Limit::Never {
        let kept = Disposition::Dead {
            since,
            time,
            until: None,
        };
        return draft.dispose(queue, kept);
    }
    count_deleted(draft, &queue, unsettled)?;
    let next = draft.now.engine;
    draft.dispose(queue, Disposition::Discarded { next })
}

/// A message that was given up by itself is deleted, and counted as such.
pub(super) fn letter_due(draft: &mut Draft<'_>, id: QueueId, seq: Seq) -> Result<(), Stop> {
    let Some(letter) = draft.dead_letter(id, seq)? else {
        return Ok(());
    };
    let Standing::Dead {
        reason,
        time,
        until: Some(until),
    } = letter.standing
    else {
        return Ok(());
    };
    let queue = draft.queue(id)?;
    if until > draft.now.engine {
        return Ok(());
    }
    if matches!(queue.disposition, Disposition::Purged { .. }) {
        // Nobody's any more, so nobody counts it; one that stayed due would be looked at for ever, before all others.
        return draft.move_message(Some(&letter), None);
    }
    if draft.policy().dead_letter_retention == Limit::Never {
        let mut kept = MessageRow::clone(&letter);
        kept.standing = Standing::Dead {
            reason,
            time,
            until: None,
        };
        return draft.move_message(Some(&letter), Some(kept.into()));
    }
    draft.move_message(Some(&letter), None)?;
    count_deleted(draft, &queue, 1)
}

/// Moves dead letters of a queue to what was deleted, in the totals of the session that has it.
fn count_deleted(draft: &mut Draft<'_>, queue: &QueueRow, messages: u64) -> Result<(), Stop> {
    let session = draft.session(queue.owner)?;
    let mut activity = draft.activity(queue.owner)?;
    let totals = &mut activity.totals;
    totals.dead_lettered = totals.dead_lettered.saturating_sub(messages);
    totals.discarded += messages;
    draft.put_activity(&session, activity)
}
