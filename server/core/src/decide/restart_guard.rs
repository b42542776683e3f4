//! Restart guard: a session whose workers fail too often is given to none for a while.
//!
//! A failure is a worker that was lost or stuck, or that came back without what it held: its process was
//! started anew. Messages stay where they are. The suspension ends in time, or when somebody resets it; the
//! queue is then offered again. Only where the policy says so does it cost the session.

use super::{finish, hand_out};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::SessionNo;
use crate::limits::WorkerCost;
use crate::rejection::Rejection;
use crate::restart_guard::{RestartGuard, Verdict};
use crate::session::{EndReason, SessionRow};

/// Counts a failure of a session's worker, whose lease has ended.
pub(super) fn count_failure(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    let session = draft.session(no)?;
    if session.is_ended() || faulty!(FailureUncounted) {
        return Ok(());
    }
    let (window, limit) = (draft.policy().restart_window, draft.policy().restart_limit);
    let mut activity = draft.activity(no)?;
    let verdict = activity
        .restart_guard
        .failed(draft.now.engine, window, limit);
    let count = activity.restart_guard.count(draft.now.engine);
    draft.put_activity(&session, activity)?;
    if verdict == Verdict::Counted {
        return Ok(());
    }
    let mut queue = draft.queue(session.queue)?;
    queue.suspended = !faulty!(SuspendedServed);
    draft.put_queue(queue)?;
    let mut said = Particulars::attribute("failures", count.to_string());
    said.attributes
        .insert("limit".to_owned(), limit.to_string());
    draft.event(EventKind::RestartLimited, Actor::reaper(), no, said)?;
    if draft.policy().on_restart_limit == WorkerCost::End {
        finish::if_live(draft, no, EndReason::RestartLimit)?;
    }
    Ok(())
}

/// Refuses a suspended session to whoever wants its lease.
pub(super) fn refuse_suspended(draft: &Draft<'_>, session: &SessionRow) -> Result<(), Stop> {
    if !draft.queue_ref(session.queue)?.suspended {
        return Ok(());
    }
    let guard = draft.activity(session.no)?.restart_guard;
    let until = guard
        .suspended_until
        .expect("a suspended queue's session says until when");
    Err(Rejection::RestartLimited {
        session: session.id.clone(),
        failures: guard.count(draft.now.engine),
        retry_in: until.since(draft.now.engine),
    }
    .into())
}

/// Lets workers have the session again; its warm row says so already.
pub(super) fn resume(draft: &mut Draft<'_>, session: &SessionRow) -> Result<(), Stop> {
    let mut queue = draft.queue(session.queue)?;
    queue.suspended = false;
    draft.put_queue(queue)?;
    hand_out::offer(draft, session.queue)
}

/// Forgets all failures of a session.
pub(super) fn reset(draft: &mut Draft<'_>, session: &SessionRow) -> Result<(), Stop> {
    let mut activity = draft.activity(session.no)?;
    let before = std::mem::take(&mut activity.restart_guard);
    if before != RestartGuard::default() {
        draft.put_activity(session, activity)?;
    }
    if before.suspended_until.is_some() {
        resume(draft, session)?;
    }
    Ok(())
}
