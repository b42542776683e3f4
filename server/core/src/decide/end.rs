//! End: the first commit that leaves ACTIVE fixes the reason; later ends may only shorten the wait.
//!
//! IMMEDIATE ends at once. GRACEFUL hands out nothing new and waits for what is in flight;
//! AFTER_PENDING goes on handing out until the queue is empty. Both end at their deadline whatever is
//! still open. A session that waits for its slot ends at once, whatever the mode: nothing of it goes out,
//! so there is nothing to wait for. Ending an ended session answers with its first reason.

use std::sync::Arc;

use super::slot::{self, Stage};
use super::{find, finish, request};
use crate::command::End;
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::EventKind;
use crate::ids::SessionNo;
use crate::queue::Disposition;
use crate::reply::{Frame, Reply};
use crate::rows::{Row, RowKey};
use crate::session::{EndIntent, EndMode, Lifecycle, SessionRow};
use crate::time::EngineTime;

/// Ends a session, or shortens an end under way.
pub(super) fn end(draft: &mut Draft<'_>, end: &End) -> Result<Reply, Stop> {
    if let Some(row) = request::earlier(draft, &end.namespace, end.request.as_ref())? {
        return answer(draft, row.subject, row.flag, true);
    }
    let session = find::any(draft, &end.namespace, &end.session)?;
    let no = session.no;
    // Decided before this call: the first reason holds from the commit that decides it.
    let already_ended = !session.is_live();
    match session.lifecycle.clone() {
        Lifecycle::Queued(_) | Lifecycle::Active => {
            begin(draft, session, end)?;
        }
        Lifecycle::Draining(intent) => {
            shorten(draft, Arc::unwrap_or_clone(session), intent, end)?;
        }
        Lifecycle::Ended(_) => {}
    }
    request::record(
        draft,
        &end.namespace,
        end.request.as_ref(),
        no,
        already_ended,
    )?;
    answer(draft, no, already_ended, false)
}

fn answer(
    draft: &Draft<'_>,
    no: SessionNo,
    already_ended: bool,
    duplicate: bool,
) -> Result<Reply, Stop> {
    Ok(Reply::Session {
        session: Box::new(draft.session_view(no)?),
        already_ended,
        duplicate,
    })
}

fn deadline(draft: &Draft<'_>, end: &End) -> EngineTime {
    let policy = draft.policy();
    let grace = match end.mode {
        EndMode::Immediate => return draft.now.engine,
        EndMode::Graceful => end.grace.unwrap_or(policy.end_grace),
        EndMode::AfterPending => end.grace.unwrap_or(policy.after_pending_grace),
    };
    draft.now.engine + grace
}

/// Ends a session that has not begun to end, or begins its end.
pub(super) fn begin(
    draft: &mut Draft<'_>,
    mut session: Arc<SessionRow>,
    end: &End,
) -> Result<(), Stop> {
    let intent = EndIntent {
        reason: end.reason,
        detail: end.detail.clone(),
        actor: end.actor.clone(),
        mode: end.mode,
        deadline: deadline(draft, end),
        pending: end.pending,
        create_time: draft.now.wall,
    };
    if session.successor != end.successor {
        Arc::make_mut(&mut session)
            .successor
            .clone_from(&end.successor);
        draft.put_session(Arc::clone(&session));
    }
    let no = session.no;
    if !session.is_active() || finish::nothing_to_wait_for(draft, &session, intent.mode)? {
        return finish::finish(draft, no, &intent);
    }
    leave_active(draft, Arc::unwrap_or_clone(session), &intent)?;
    draft.event(
        EventKind::SessionDraining,
        end.actor.clone(),
        no,
        Particulars::default(),
    )
}

/// Enters DRAINING: the key is free from this commit on.
fn leave_active(
    draft: &mut Draft<'_>,
    mut session: SessionRow,
    intent: &EndIntent,
) -> Result<(), Stop> {
    if !faulty!(KeyKept) {
        free_key(draft, &session)?;
    }
    let pool = slot::pool_of(&session);
    slot::count(draft, &pool, Some(Stage::Active), Stage::Draining)?;
    session.lifecycle = Lifecycle::Draining(intent.clone());
    draft.put_session(session.clone());
    rearm(draft, &session)?;
    set_quiet(draft, &session, intent.mode)?;
    tell_holder(draft, &session, intent)
}

pub(super) fn free_key(draft: &mut Draft<'_>, session: &SessionRow) -> Result<(), Stop> {
    let Some(key) = &session.key else {
        return Ok(());
    };
    let mut row = draft.key(&session.namespace, key)?;
    if row.live == Some(session.no) {
        row.live = None;
        if session.unreleased().count > 0 {
            row.unreleased = Some(session.no);
        }
        draft.put(
            RowKey::Key(session.namespace.clone(), key.clone()),
            Row::Key(row.into()),
        );
    }
    Ok(())
}

fn rearm(draft: &mut Draft<'_>, session: &SessionRow) -> Result<(), Stop> {
    let mut activity = draft.activity(session.no)?;
    activity.check_at = None;
    draft.put_activity(session, activity)
}

fn set_quiet(draft: &mut Draft<'_>, session: &SessionRow, mode: EndMode) -> Result<(), Stop> {
    if mode == EndMode::AfterPending {
        return Ok(());
    }
    let queue = draft.queue(session.queue)?;
    draft.dispose(queue, Disposition::Quiet)
}

fn tell_holder(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    intent: &EndIntent,
) -> Result<(), Stop> {
    let Some(epoch) = session.lease else {
        return Ok(());
    };
    let lease = draft.lease(epoch)?;
    let frame = Frame::SessionEnding {
        session: session.id.clone(),
        reason: intent.reason,
        mode: intent.mode,
        deadline: draft.now.wall_of(intent.deadline),
    };
    draft.push_to(&(lease.namespace, lease.instance), frame);
    Ok(())
}

/// A later end: the first reason stays, the wait may only get shorter.
fn shorten(
    draft: &mut Draft<'_>,
    mut session: SessionRow,
    mut intent: EndIntent,
    end: &End,
) -> Result<(), Stop> {
    let mode = intent.mode.min(end.mode);
    let until = intent.deadline.min(deadline(draft, end));
    if mode == intent.mode && until == intent.deadline {
        return Ok(());
    }
    intent.mode = mode;
    intent.deadline = until;
    if finish::nothing_to_wait_for(draft, &session, mode)? {
        return finish::finish(draft, session.no, &intent);
    }
    session.lifecycle = Lifecycle::Draining(intent.clone());
    draft.put_session(session.clone());
    rearm(draft, &session)?;
    set_quiet(draft, &session, mode)?;
    tell_holder(draft, &session, &intent)
}
