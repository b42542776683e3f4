//! Reap: one session of a sweep that somebody asked for, judged by its own limits and by tighter ones if they say so.
//!
//! The rules are those of the timer (`deadlines`): the same limits, strictly passed, the same things that excuse. A
//! session that waits for its end already is left to it. What this deliberately does not do: loosen a limit.

use super::finish;
use crate::command::Reap;
use crate::deadlines::{self, Passed};
use crate::draft::{Draft, Stop};
use crate::ids::SessionRef;
use crate::reply::Reply;
use crate::session::{EndIntent, EndMode, PendingPolicy};

/// What a session that is ended by a sweep says of it.
const DETAIL: &str = "sweep";

/// Ends the session if a limit is passed.
pub(super) fn reap(draft: &mut Draft<'_>, reap: &Reap) -> Result<Reply, Stop> {
    let asked = SessionRef::Id(reap.session.clone());
    let session = super::find::any(draft, &reap.namespace, &asked)?;
    let mut passed = None;
    if session.is_active() {
        let activity = draft.activity(session.no)?;
        let depth = draft.queue(session.queue)?.depth;
        passed =
            deadlines::passed_within(&session, &activity, depth, reap.within, draft.now.engine);
    }
    if let Some(Passed { reason, .. }) = passed {
        let intent = EndIntent {
            reason,
            detail: DETAIL.to_owned(),
            actor: reap.actor.clone(),
            mode: EndMode::Immediate,
            deadline: draft.now.engine,
            pending: PendingPolicy::Keep,
            create_time: draft.now.wall,
        };
        finish::finish(draft, session.no, &intent)?;
    }
    Ok(Reply::Reaped {
        session: Box::new(draft.session_view(session.no)?),
        passed: passed.map(|passed| (passed.reason, draft.now.wall_of(passed.at))),
    })
}
