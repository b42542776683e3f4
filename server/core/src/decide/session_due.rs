//! Session due: the limits of a session, looked at when the first of them may have been passed.
//!
//! Nothing is idle while it is in use: open deliveries protect a session from its idle limit and, up
//! to twice the limit, from its age limit; pending messages protect it for a day from its last
//! activity. Each limit ends a session only when strictly more time has passed.

use super::finish;
use crate::draft::{Draft, Stop};
use crate::event::Actor;
use crate::ids::SessionNo;
use crate::limits::{LIFETIME_HARD_FACTOR, PENDING_PROTECTS, PROTECTED_RECHECK};
use crate::queue::Depth;
use crate::session::{
    ActivityRow, EndIntent, EndMode, EndReason, Lifecycle, PendingPolicy, SessionRow,
};
use crate::time::{EngineTime, Limit, Span};

/// Ends the session if a limit is passed, or looks again when the next one may be.
pub(super) fn session_due(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    let Some(session) = draft.session_if(no)? else {
        return Ok(());
    };
    match &session.lifecycle {
        Lifecycle::Ended(_) => Ok(()),
        Lifecycle::Draining(intent) if intent.deadline <= draft.now.engine => {
            let intent = intent.clone();
            finish::finish(draft, no, &intent)?;
            if faulty!(EndTwice) {
                let nothing = crate::draft::events::Particulars::default();
                draft.event(
                    crate::event::EventKind::SessionEnd,
                    intent.actor,
                    no,
                    nothing,
                )?;
            }
            Ok(())
        }
        Lifecycle::Draining(intent) => {
            let check_at = Some(intent.deadline);
            let activity = draft.activity(no)?;
            draft.put_activity_checked_at(ActivityRow {
                check_at,
                ..activity
            })
        }
        Lifecycle::Active => active_due(draft, &session),
    }
}

fn active_due(draft: &mut Draft<'_>, session: &SessionRow) -> Result<(), Stop> {
    let activity = draft.activity(session.no)?;
    let depth = draft.queue(session.queue)?.depth;
    let now = draft.now.engine;
    if let Some(reason) = passed(session, &activity, depth, now) {
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
    // A limit that is passed but excused is looked at again at a steady pace, and in time for the age
    // that nothing excuses.
    let at = session.next_check(&activity).map(|at| {
        if at <= now {
            (now + PROTECTED_RECHECK).min(hard_age(session))
        } else {
            at
        }
    });
    draft.put_activity_checked_at(ActivityRow {
        check_at: at,
        ..activity
    })
}

/// The first instant at which a session has reached the age that nothing excuses.
fn hard_age(session: &SessionRow) -> EngineTime {
    match session.timeouts.lifetime {
        Limit::After(span) => {
            let hard = Span(span.0.saturating_mul(LIFETIME_HARD_FACTOR));
            session.created_at + hard + Span(1)
        }
        Limit::Never => EngineTime(u64::MAX),
    }
}

/// The first limit that is passed and not excused.
fn passed(
    session: &SessionRow,
    activity: &ActivityRow,
    depth: Depth,
    now: EngineTime,
) -> Option<EndReason> {
    let over = |limit: Limit, start: EngineTime, factor: u64| match limit {
        Limit::After(span) => now.since(start) > Span(span.0.saturating_mul(factor)),
        Limit::Never => false,
    };
    let in_use = depth.in_flight > 0;
    let pending =
        depth.ready + depth.waiting > 0 && now.since(activity.last_activity) <= PENDING_PROTECTS;
    let limits = &session.timeouts;
    if over(limits.owner, activity.owner_seen, 1) {
        return Some(EndReason::OwnerLost);
    }
    let age_factor = if in_use || pending {
        LIFETIME_HARD_FACTOR
    } else {
        1
    };
    if over(limits.lifetime, session.created_at, age_factor) {
        return Some(EndReason::Expired);
    }
    let idle = over(limits.idle, activity.last_activity, 1) && !in_use && !pending;
    idle.then_some(EndReason::Idle)
}
