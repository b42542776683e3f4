//! Session due: the limits of a session, looked at when the first of them may have been passed.
//!
//! What the limits say, and when they are looked at next, is in `deadlines`; here it is done.

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
    let check_at = deadlines::next_look(session, &activity, depth, now);
    draft.put_activity_checked_at(ActivityRow {
        check_at,
        ..activity
    })
}
