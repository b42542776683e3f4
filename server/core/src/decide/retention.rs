//! Retention: what becomes of ended sessions and of dead letters that have been on record long enough.
//!
//! How long that is was fixed by the policy when they ended; once it says `never`, what is there stays. A session stays
//! for as long as messages of it do (those that wait for the next session of its key, and its dead letters), and as
//! anything of it is left outside.
//!
//! Where an export must come before a purge, whoever exports is asked for one, and asked again each `cleanup_interval`
//! until the session is gone: nothing but its record says that it is to go. Its dead letters then go with it, or the file
//! would never have any: they are kept until both have been on record long enough. What this deliberately does not do:
//! export; delete anything itself that has rows without number, the queue is emptied a few at a time.

use std::sync::Arc;

use super::purge;
use crate::command::Retire;
use crate::draft::{Draft, Stop};
use crate::event::Actor;
use crate::ids::{QueueId, Seq};
use crate::limits::{PROTECTED_RECHECK, PURGE_RECHECK};
use crate::message::{MessageRow, Standing};
use crate::purging;
use crate::queue::{Disposition, QueueRow};
use crate::reply::Reply;
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
            None if draft.policy().export_before_purge && !faulty!(RetiredUnexported) => {
                draft.exports.push(session.no);
                Some(now + draft.policy().cleanup_interval)
            }
            None => return purge::delete(draft, session, &Actor::reaper()).map(drop),
        },
    };
    draft.put_activity_checked_at(ActivityRow {
        check_at,
        ..activity
    })
}

/// Deletes a session that was asked to be exported, if it still may go and all that it has was exported.
pub(super) fn retire(draft: &mut Draft<'_>, retire: &Retire) -> Result<Reply, Stop> {
    let Some(session) = draft.session_if(retire.session)? else {
        return Ok(Reply::Done);
    };
    let kept = draft.policy().session_retention == Limit::Never;
    if kept || !session.is_ended() || stays_until(draft, &session)?.is_some() {
        // It is looked at again.
        return Ok(Reply::Done);
    }
    purge::require_export(draft, &session, Some(&retire.exported))?;
    let messages = purge::delete(draft, &session, &Actor::reaper())?;
    Ok(Reply::Purged {
        key: session.key.clone(),
        messages,
    })
}

/// When an ended session goes; none is never, or not while a message of it is kept that does not go with it.
pub(super) fn goes_at(
    draft: &Draft<'_>,
    session: &SessionRow,
    activity: &ActivityRow,
) -> Result<Option<EngineTime>, Stop> {
    let forever = draft.policy().session_retention == Limit::Never;
    if !session.is_ended() || forever {
        return Ok(None);
    }
    let Some(at) = stays_until(draft, session)? else {
        return Ok(activity.check_at);
    };
    // Letters that go with it, unless they never do, say when that is.
    let letters = match draft.policy().dead_letter_retention {
        Limit::After(_) if draft.policy().export_before_purge => purge::own_queue(draft, session)?
            .and_then(|queue| letters_stay_until(draft, session, &queue)),
        Limit::After(_) | Limit::Never => None,
    };
    let goes = activity.check_at.map(|check| check.max(at));
    Ok(goes.filter(|_| letters == Some(at)))
}

/// Until when a session stays at least for its messages, for what it has outside or for whoever must hear of it; none if it
/// has none of these.
fn stays_until(draft: &Draft<'_>, session: &SessionRow) -> Result<Option<EngineTime>, Stop> {
    let now = draft.now.engine;
    if purging::is_left(session) {
        return Ok(Some(now + PURGE_RECHECK));
    }
    if let Some((_, waits)) = purging::awaited(session, purge::behind(draft, session)?, now) {
        return Ok(Some(now + waits.min(PURGE_RECHECK)));
    }
    let own = purge::own_queue(draft, session)?;
    let Some(queue) = own.filter(|_| !faulty!(RetentionBlind)) else {
        return Ok(None);
    };
    let with_letters = draft.policy().export_before_purge;
    if queue.depth.dead > 0 && !with_letters {
        return Ok(Some(now + PURGE_RECHECK));
    }
    Ok(match queue.disposition {
        Disposition::Held { until } if queue.depth.unsettled() > 0 => Some(until),
        Disposition::Held { .. } | Disposition::Dead { .. } if with_letters => {
            letters_stay_until(draft, session, &queue)
        }
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

/// Until when dead letters of an ended session stay, and it with them, before both are exported and go: those that its
/// end left from when they were given up, others from its end, after which none is given up but by a worker that was late.
/// None if it has none or they were kept long enough.
fn letters_stay_until(
    draft: &Draft<'_>,
    session: &SessionRow,
    queue: &QueueRow,
) -> Option<EngineTime> {
    let left = match queue.disposition {
        Disposition::Dead { since, .. } if queue.depth.unsettled() > 0 => Some(since),
        Disposition::Dead { .. }
        | Disposition::Held { .. }
        | Disposition::Serving
        | Disposition::Quiet
        | Disposition::Discarded { .. }
        | Disposition::Purged { .. } => None,
    };
    let single = session.ended_at().filter(|_| queue.depth.dead > 0);
    let now = draft.now.engine;
    let until = match draft.policy().dead_letter_retention {
        Limit::After(span) => left.max(single)? + span,
        Limit::Never => left.max(single).map(|_| now + PURGE_RECHECK)?,
    };
    (until > now).then_some(until)
}

/// Whether dead letters of a queue are deleted with the ended session that has it, and not before.
fn go_with_session(draft: &Draft<'_>, queue: &QueueRow) -> bool {
    draft.policy().export_before_purge && !queue.is_live()
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
    if go_with_session(draft, &queue) {
        let kept = Disposition::Dead {
            since,
            time,
            until: Some(draft.now.engine + PURGE_RECHECK),
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
    let again = match draft.policy().dead_letter_retention {
        Limit::Never => Some(None),
        Limit::After(_) if go_with_session(draft, &queue) => {
            Some(Some(draft.now.engine + PURGE_RECHECK))
        }
        Limit::After(_) => None,
    };
    if let Some(until) = again {
        let mut kept = MessageRow::clone(&letter);
        kept.standing = Standing::Dead {
            reason,
            time,
            until,
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
