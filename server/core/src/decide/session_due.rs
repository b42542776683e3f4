//! Session due: the limits of a session and the leases of its requests, looked at when the first of
//! them may have been passed.
//!
//! A request that lapses is no activity and no event: it is as if its caller had never been there since
//! its last renewal. What the limits say, and when they are looked at next, is in `deadlines`; here it is done.

use super::{finish, restart_guard, retention, slot};
use crate::deadlines::{self, Approach, WarnedLimit};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::SessionNo;
use crate::reply::Reply;
use crate::session::{ActivityRow, EndIntent, Lifecycle, SessionRow};
use crate::time::Span;

/// Has a session that has not ended looked at by its own timer, at once: whatever was noted of it before is noted anew.
pub(super) fn recheck(draft: &mut Draft<'_>, no: SessionNo) -> Result<Reply, Stop> {
    let session = draft.session_if(no)?;
    if session.is_some_and(|session| !session.is_ended()) {
        let activity = draft.activity(no)?;
        // Another instant than the one on record, or its entry would not be written.
        let soon = draft.now.engine + Span(1);
        let check_at = if activity.check_at == Some(soon) {
            soon + Span(1)
        } else {
            soon
        };
        draft.put_activity_checked_at(ActivityRow {
            check_at: Some(check_at),
            ..activity
        })?;
    }
    Ok(Reply::Done)
}

/// Ends the session if a limit is passed, or looks again when the next one may be.
pub(super) fn session_due(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    let Some(session) = draft.session_if(no)? else {
        return Ok(());
    };
    match &session.lifecycle {
        Lifecycle::Ended(_) => retention::ended_due(draft, &session),
        Lifecycle::Draining(intent) => draining_due(draft, &session, intent),
        Lifecycle::Queued(wait) => slot::waiter_due(draft, &session, *wait),
        Lifecycle::Active => active_due(draft, &session),
    }
}

/// The last request may have lapsed, which may be what the end waited for; or the grace is over.
fn draining_due(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    intent: &EndIntent,
) -> Result<(), Stop> {
    let mut activity = draft.activity(session.no)?;
    activity.requests.drop_lapsed(draft.now.engine);
    let lifted = activity.restart_guard.lift(draft.now.engine);
    let check_at = deadlines::next_check(session, &activity, draft.policy());
    draft.put_activity_checked_at(ActivityRow {
        check_at,
        ..activity
    })?;
    if lifted {
        restart_guard::resume(draft, session)?;
    }
    if finish::nothing_to_wait_for(draft, session, intent.mode)? {
        return finish::finish(draft, session.no, intent);
    }
    if intent.deadline > draft.now.engine {
        return Ok(());
    }
    finish::finish_late(draft, session.no, intent)?;
    if faulty!(EndTwice) {
        let nothing = Particulars::default();
        draft.event(
            EventKind::SessionEnd,
            intent.actor.clone(),
            session.no,
            nothing,
        )?;
    }
    Ok(())
}

fn active_due(draft: &mut Draft<'_>, session: &SessionRow) -> Result<(), Stop> {
    let mut activity = draft.activity(session.no)?;
    let depth = draft.queue(session.queue)?.depth;
    let now = draft.now.engine;
    activity.requests.drop_lapsed(now);
    if let Some(reason) = deadlines::passed(session, &activity, depth, now) {
        return finish::if_live(draft, session.no, reason);
    }
    let lifted = activity.restart_guard.lift(now);
    let policy = draft.policy();
    let near = deadlines::approaching(session, &activity, depth, policy, now);
    for approach in near.iter().filter(|_| !faulty!(WarningForgotten)) {
        match approach.limit {
            WarnedLimit::Idle => activity.warned.idle = Some(approach.end),
            WarnedLimit::Age => activity.warned.age = Some(approach.end),
        }
    }
    let check_at = deadlines::next_look(session, &activity, depth, policy, now);
    draft.put_activity_checked_at(ActivityRow {
        check_at,
        ..activity
    })?;
    for approach in near {
        warn(draft, session.no, approach)?;
    }
    if lifted {
        restart_guard::resume(draft, session)?;
    }
    Ok(())
}

/// Says that a limit will end the session soon, if nothing happens.
fn warn(draft: &mut Draft<'_>, no: SessionNo, approach: Approach) -> Result<(), Stop> {
    let limit = match approach.limit {
        WarnedLimit::Idle => "idle",
        WarnedLimit::Age => "age",
    };
    let left = approach.end.since(draft.now.engine);
    let mut said = Particulars::attribute("limit", limit);
    said.attributes
        .insert("ends_in_ms".to_owned(), left.0.to_string());
    draft.event(EventKind::LimitWarning, Actor::reaper(), no, said)
}
