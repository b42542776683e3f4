//! Session due: the limits of a session and the leases of its requests, looked at when the first of
//! them may have been passed.
//!
//! A request that lapses is no activity and no event: it is as if its caller had never been there since
//! its last renewal. What the limits say, and when they are looked at next, is in `deadlines`; here it is done.

use super::finish;
use crate::deadlines;
use crate::draft::{Draft, Stop};
use crate::event::Actor;
use crate::ids::SessionNo;
use crate::session::{ActivityRow, EndIntent, EndMode, Lifecycle, PendingPolicy, SessionRow};

/// Ends the session if a limit is passed, or looks again when the next one may be.
pub(super) fn session_due(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    let Some(session) = draft.session_if(no)? else {
        return Ok(());
    };
    match &session.lifecycle {
        Lifecycle::Ended(_) => Ok(()),
        Lifecycle::Draining(intent) => draining_due(draft, &session, intent),
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
    let check_at = session.next_check(&activity);
    draft.put_activity_checked_at(ActivityRow {
        check_at,
        ..activity
    })?;
    if finish::nothing_to_wait_for(draft, session, intent.mode)? {
        return finish::finish(draft, session.no, intent);
    }
    if intent.deadline > draft.now.engine {
        return Ok(());
    }
    finish::finish_late(draft, session.no, intent)?;
    if faulty!(EndTwice) {
        let nothing = crate::draft::events::Particulars::default();
        draft.event(
            crate::event::EventKind::SessionEnd,
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
        let intent = EndIntent {
            reason,
            detail: String::new(),
            actor: Actor::reaper(),
            mode: EndMode::Immediate,
            deadline: now,
            pending: PendingPolicy::Keep,
            create_time: draft.now.wall,
        };
        return finish::finish(draft, session.no, &intent);
    }
    let pace = draft.policy().cleanup_interval;
    let check_at = deadlines::next_look(session, &activity, depth, now, pace);
    draft.put_activity_checked_at(ActivityRow {
        check_at,
        ..activity
    })
}
