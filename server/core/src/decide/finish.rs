//! Finish: the commit in which a session becomes ENDED, whatever led to it.
//!
//! Here, and only here, the end is recorded, its one SESSION_END event written, the slot and the key
//! freed, the lease ended, and the fate of the queue settled: held for the next incarnation, given up
//! as dead letters, discarded, or moved to a successor. All of it in constant time: no message row is
//! touched.

use std::sync::Arc;

use super::slot::{self, Stage};
use super::{drain, end, let_go, release, rest};
use crate::command::Carry;
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, DRAIN_TIMED_OUT, EventKind, WARNING};
use crate::ids::{SessionId, SessionNo};
use crate::limits::HELD_QUEUE_RETENTION;
use crate::queue::{Disposition, QueueRow};
use crate::reply::LeaseLostReason;
use crate::resource::Unreleased;
use crate::rows::{Row, RowKey};
use crate::session::{
    Counts, EndClass, EndIntent, EndMode, EndReason, Lifecycle, PendingPolicy, SessionEnd,
    SessionRow,
};

/// Whether an end of this mode has nothing left to wait for.
pub(super) fn nothing_to_wait_for(
    draft: &Draft<'_>,
    session: &SessionRow,
    mode: EndMode,
) -> Result<bool, Stop> {
    let depth = draft.queue_ref(session.queue)?.depth;
    let done = match mode {
        EndMode::Immediate => return Ok(true),
        EndMode::Graceful => depth.in_flight == 0,
        EndMode::AfterPending => depth.unsettled() == 0,
    };
    let now = draft.now.engine;
    let requested = draft.activity(session.no)?.requests.any_live(now);
    Ok(done && (!requested || faulty!(DrainIgnoresRequests)))
}

/// Ends a draining session if what it waited for has happened.
pub(super) fn if_drained(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    // That of a purged queue is gone.
    let Some(session) = draft.session_if(no)? else {
        return Ok(());
    };
    if let Lifecycle::Draining(intent) = session.lifecycle.clone()
        && nothing_to_wait_for(draft, &session, intent.mode)?
    {
        finish(draft, no, &intent)?;
    }
    Ok(())
}

/// Ends a session that is in use, for a reason that the server found; one that is ending has its reason.
pub(super) fn if_live(draft: &mut Draft<'_>, no: SessionNo, reason: EndReason) -> Result<(), Stop> {
    if !draft.session(no)?.is_active() {
        return Ok(());
    }
    let intent = slot::reaped(draft, reason, String::new());
    finish(draft, no, &intent)
}

/// Ends a session now.
pub(super) fn finish(draft: &mut Draft<'_>, no: SessionNo, intent: &EndIntent) -> Result<(), Stop> {
    let said = Particulars::default();
    finish_with(draft, no, intent, None, said)
}

/// Ends a session whose grace is over, with a warning that names what it waited for in vain.
pub(super) fn finish_late(
    draft: &mut Draft<'_>,
    no: SessionNo,
    intent: &EndIntent,
) -> Result<(), Stop> {
    let session = draft.session(no)?;
    let depth = draft.queue_ref(session.queue)?.depth;
    let requests = draft.activity(no)?.requests.live.len();
    let pending = match intent.mode {
        EndMode::AfterPending => depth.ready + depth.waiting,
        EndMode::Graceful | EndMode::Immediate => 0,
    };
    let open = [
        ("active_requests", requests as u64),
        ("in_flight", depth.in_flight),
        ("pending", pending),
    ];
    let open = open.into_iter().filter(|(_, count)| *count > 0);
    let mut said = Particulars::attribute(WARNING, DRAIN_TIMED_OUT);
    let counts = open.map(|(what, count)| (what.to_owned(), count.to_string()));
    said.attributes.extend(counts);
    drain::count_late(draft, &session.id, requests as u64 + depth.in_flight)?;
    // Nobody else holds it then, and it need not be copied to be changed.
    drop(session);
    finish_with(draft, no, intent, None, said)
}

/// A live session that gives way to a new one.
#[derive(Debug)]
pub(super) struct Succession<'a> {
    /// The session.
    pub(super) old: &'a SessionRow,
    /// Why; of class ROTATED.
    pub(super) reason: EndReason,
    /// The caller's words.
    pub(super) detail: &'a str,
    /// What becomes of its queue.
    pub(super) carry: Carry,
}

/// Ends a session in favour of `successor`, which is about to be made in the same draft.
pub(super) fn give_way(
    draft: &mut Draft<'_>,
    succession: &Succession<'_>,
    actor: &Actor,
    successor: &SessionId,
) -> Result<(), Stop> {
    let intent = EndIntent {
        reason: succession.reason,
        detail: succession.detail.to_owned(),
        actor: actor.clone(),
        mode: EndMode::Immediate,
        deadline: draft.now.engine,
        pending: match succession.carry {
            Carry::Move | Carry::Keep => PendingPolicy::Keep,
            Carry::Discard => PendingPolicy::Discard,
        },
        create_time: draft.now.wall,
    };
    let heir = Heir {
        id: successor,
        carry: succession.carry,
    };
    let said = Particulars::default();
    finish_with(draft, succession.old.no, &intent, Some(&heir), said)
}

/// Who goes on when a session ends, and with what.
#[derive(Clone, Copy, Debug)]
struct Heir<'a> {
    id: &'a SessionId,
    carry: Carry,
}

fn finish_with(
    draft: &mut Draft<'_>,
    no: SessionNo,
    intent: &EndIntent,
    heir: Option<&Heir<'_>>,
    said: Particulars,
) -> Result<(), Stop> {
    let mut session = draft.session(no)?;
    if let Some(heir) = heir {
        Arc::make_mut(&mut session).successor = Some(heir.id.clone());
        draft.put_session(Arc::clone(&session));
    }
    end::free_key(draft, &session)?;
    let lost = match heir {
        Some(_) => LeaseLostReason::Succeeded,
        None => LeaseLostReason::SessionEnded,
    };
    if session.lease.is_some() {
        release::supersede(draft, &session, lost)?;
    }
    rest::end(draft, &session, lost);
    drop(session);
    let_go::of_session(draft, no)?;
    let session = draft.session(no)?;
    let stages = (Stage::of(&session), Stage::after_end(session.unreleased()));
    slot::count(draft, &slot::pool_of(&session), Some(stages.0), stages.1)?;
    let mut queue = draft.queue(session.queue)?;
    // The suspension was this session's; whoever adopts the queue starts with none.
    queue.suspended = false;
    let fate = fate(draft, &session, &queue, intent, heir)?;
    settle_queue(draft, &session, queue.clone(), fate)?;
    let record = record(draft, &session, &queue, intent, fate)?;
    let mut session = Arc::unwrap_or_clone(session);
    session.lifecycle = Lifecycle::Ended(Box::new(record));
    let session = Arc::new(session);
    draft.put_session(Arc::clone(&session));
    let mut activity = draft.activity(no)?;
    activity.requests.void();
    activity.restart_guard.suspended_until = None;
    activity.check_at = draft.policy().session_retention.from(draft.now.engine);
    draft.put_activity_checked_at(activity)?;
    let all_gone = session.resources == Some(Unreleased::default());
    // Nobody else holds it then, and it need not be copied to be changed once more.
    drop(session);
    draft.event(EventKind::SessionEnd, intent.actor.clone(), no, said)?;
    if all_gone {
        let_go::tell(draft, no)
    } else {
        Ok(())
    }
}

/// What becomes of the queue. One that goes over to an heir stays as it is until the heir takes it.
fn fate(
    draft: &Draft<'_>,
    session: &SessionRow,
    queue: &QueueRow,
    intent: &EndIntent,
    heir: Option<&Heir<'_>>,
) -> Result<Disposition, Stop> {
    let now = draft.now.engine;
    if intent.pending == PendingPolicy::Discard && queue.depth.unsettled() > 0 {
        return Ok(Disposition::Discarded { next: now });
    }
    match heir.map(|heir| heir.carry) {
        Some(Carry::Move) => return Ok(queue.disposition),
        Some(Carry::Keep | Carry::Discard) => return Ok(draft.given_up(queue.depth)),
        None => {}
    }
    let adoptable = match intent.reason.class() {
        EndClass::Over => false,
        EndClass::Rotated | EndClass::Interrupted | EndClass::Reaped | EndClass::Lost => true,
    };
    let free = match &session.key {
        Some(key) => {
            let row = draft.key(&session.namespace, key)?;
            row.live.is_none() && row.held.is_none()
        }
        None => false,
    };
    Ok(if adoptable && free {
        Disposition::Held {
            until: now + HELD_QUEUE_RETENTION,
        }
    } else {
        draft.given_up(queue.depth)
    })
}

fn settle_queue(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    queue: QueueRow,
    fate: Disposition,
) -> Result<(), Stop> {
    if let (Disposition::Held { .. }, Some(key)) = (fate, &session.key) {
        let mut row = draft.key(&session.namespace, key)?;
        row.held = Some(queue.id);
        draft.put(
            RowKey::Key(session.namespace.clone(), key.clone()),
            Row::Key(row.into()),
        );
    }
    let mut activity = draft.activity(session.no)?;
    let unsettled = queue.depth.unsettled();
    match fate {
        Disposition::Discarded { .. } => activity.totals.discarded += unsettled,
        Disposition::Dead { .. } => activity.totals.dead_lettered += unsettled,
        Disposition::Serving
        | Disposition::Quiet
        | Disposition::Held { .. }
        | Disposition::Purged { .. } => {}
    }
    draft.put_activity(session, activity)?;
    draft.dispose(queue, fate)
}

fn record(
    draft: &Draft<'_>,
    session: &SessionRow,
    queue: &QueueRow,
    intent: &EndIntent,
    fate: Disposition,
) -> Result<SessionEnd, Stop> {
    let activity = draft.activity(session.no)?;
    let unsettled = queue.depth.unsettled();
    let discarded = matches!(fate, Disposition::Discarded { .. });
    Ok(SessionEnd {
        reason: intent.reason,
        detail: intent.detail.clone(),
        actor: intent.actor.clone(),
        create_time: session.create_time,
        end_time: draft.now.wall,
        duration: draft.now.engine.since(session.created_at),
        counts: Counts {
            totals: activity.totals,
            pending: queue.depth.ready + queue.depth.waiting,
            in_flight: queue.depth.in_flight,
        },
        usage: activity.usage,
        pending_kept: if discarded { 0 } else { unsettled },
        pending_discarded: if discarded { unsettled } else { 0 },
        successor: session.successor.clone(),
        transcript_path: session.profile.transcript_path.clone(),
    })
}
