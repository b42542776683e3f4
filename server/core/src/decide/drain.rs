//! Drain: the end of every session, because the server goes away.
//!
//! Invariant: an open drain is in the counters, so every decision knows of it and no session begins beside it; it is closed
//! only when none lives. Each end is a decision of its own, by the one way in which sessions end, and is counted in the same
//! commit. A drain that keeps sessions is on record as one too, and ends none. One that is only announced ends none either, and
//! can be called off until it proceeds. What this deliberately does not do: find the sessions or wait for them, or for the end
//! of a notice; the shell does, and recovery, which skips the notice.

use std::sync::Arc;

use super::{end, finish};
use crate::command::End;
use crate::command::drain::{DrainCommand, Undone};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::drain::{Drain, DrainEnd, DrainReply, DrainRow, DrainSessions, DrainStep, WarningCode};
use crate::event::{About, Actor, ActorKind, EventKind};
use crate::ids::{SessionId, SessionNo, SessionRef};
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::rows::{Row, RowKey};
use crate::session::{EndMode, EndReason, Lifecycle, PendingPolicy, SessionRow};
use crate::time::Span;

/// Takes a step of a drain.
pub(super) fn drain(draft: &mut Draft<'_>, command: &DrainCommand) -> Result<Reply, Stop> {
    let reply = match command {
        DrainCommand::Begin {
            reason,
            sessions,
            notice,
        } => begin(draft, *reason, *sessions, *notice)?,
        DrainCommand::Proceed => proceed(draft)?,
        DrainCommand::Cancel { actor } => cancel(draft, actor)?,
        DrainCommand::End {
            session,
            mode,
            grace,
            actor,
        } => DrainReply::Step(end_one(draft, *session, (*mode, *grace), *actor)?),
        DrainCommand::Close => close(draft)?,
        DrainCommand::Report { actor, undone } => report(draft, *actor, undone)?,
    };
    Ok(Reply::Drain(reply))
}

fn begin(
    draft: &mut Draft<'_>,
    reason: EndReason,
    sessions: DrainSessions,
    notice: Span,
) -> Result<DrainReply, Stop> {
    if let Some(row) = open_row(draft)? {
        return joined(draft, row);
    }
    let mut counters = draft.counters()?;
    let through = counters.session;
    if sessions == DrainSessions::End {
        counters.drain = Some(Drain { reason, through });
        draft.put_counters(counters);
    }
    announce(draft, reason, sessions, notice)?;
    let row = Arc::new(DrainRow {
        reason,
        sessions,
        begin_time: draft.now.wall,
        begun_at: draft.now.engine,
        notice_until: (notice > Span(0)).then(|| draft.now.wall_of(draft.now.engine + notice)),
        end: None,
        ended: 0,
        late: 0,
        left: 0,
        recovered: false,
        warnings: Vec::new(),
    });
    draft.put(RowKey::Drain, Row::Drain(Arc::clone(&row)));
    Ok(DrainReply::Open {
        row,
        through,
        joined: false,
    })
}

/// The drain that is open already.
fn joined(draft: &Draft<'_>, row: DrainRow) -> Result<DrainReply, Stop> {
    let counters = draft.counters()?;
    Ok(DrainReply::Open {
        row: Arc::new(row),
        through: counters
            .drain
            .map_or(counters.session, |drain| drain.through),
        joined: true,
    })
}

/// The notice is over: nobody can call it off any more.
fn proceed(draft: &mut Draft<'_>) -> Result<DrainReply, Stop> {
    note(draft, |row| row.notice_until = None)?;
    match open_row(draft)? {
        Some(row) => joined(draft, row),
        None => Ok(DrainReply::Reported(draft.drain_row()?.cloned())),
    }
}

/// The server stays, and sessions begin again; unless it proceeds already.
fn cancel(draft: &mut Draft<'_>, actor: &Actor) -> Result<DrainReply, Stop> {
    match open_row(draft)? {
        Some(row) if row.notice_until.is_none() && !faulty!(DrainCancelledLate) => {
            return joined(draft, row);
        }
        Some(_) => {}
        None => return Ok(DrainReply::Reported(draft.drain_row()?.cloned())),
    }
    let mut counters = draft.counters()?;
    if counters.drain.take().is_some() {
        draft.put_counters(counters);
    }
    let kind = EventKind::ServerDrainCancelled;
    draft.event_about(kind, actor.clone(), About::Server, Particulars::default())?;
    let now = draft.now;
    note(draft, |row| {
        row.notice_until = None;
        row.end = Some(DrainEnd {
            time: now.wall,
            duration: now.engine.since(row.begun_at),
            cancelled: true,
        });
    })?;
    Ok(DrainReply::Reported(draft.drain_row()?.cloned()))
}

/// Tells everybody that the server goes, when it does, and what becomes of sessions.
fn announce(
    draft: &mut Draft<'_>,
    reason: EndReason,
    sessions: DrainSessions,
    notice: Span,
) -> Result<(), Stop> {
    if faulty!(DrainUnannounced) {
        return Ok(());
    }
    // Nothing else drains a server.
    let reason = match reason == EndReason::Restart {
        true => "restart",
        false => "shutdown",
    };
    let sessions = match sessions {
        DrainSessions::End => "end",
        DrainSessions::Keep => "keep",
    };
    let mut said = Particulars::attribute("reason", reason);
    said.attributes
        .insert("sessions".to_owned(), sessions.to_owned());
    if notice > Span(0) {
        let notice = notice.0.to_string();
        said.attributes.insert("notice_ms".to_owned(), notice);
    }
    let actor = Actor::unnamed(ActorKind::Drain);
    draft.event_about(EventKind::ServerDraining, actor, About::Server, said)
}

/// The drain that is not over, if there is one.
fn open_row(draft: &Draft<'_>) -> Result<Option<DrainRow>, Stop> {
    let row = draft.drain_row()?.filter(|row| row.end.is_none());
    Ok(row.map(|row| DrainRow::clone(row)))
}

/// Changes what is on record of the open drain.
fn note(draft: &mut Draft<'_>, change: impl FnOnce(&mut DrainRow)) -> Result<(), Stop> {
    if let Some(mut row) = open_row(draft)? {
        change(&mut row);
        draft.put(RowKey::Drain, Row::Drain(row.into()));
    }
    Ok(())
}

/// Counts a session that ends with so many requests and deliveries under way, if a drain is open: whether the drain or the
/// session's own deadline is sooner by a moment says nothing.
pub(super) fn count_late(draft: &mut Draft<'_>, id: &SessionId, open: u64) -> Result<(), Stop> {
    if draft.counters()?.drain.is_none() {
        return Ok(());
    }
    note(draft, |row| {
        row.late += 1;
        row.warn(WarningCode::SessionDrainTimeout, id.as_str(), open);
    })
}

/// No session begins while a drain is open: nobody would end it.
pub(super) fn refuse_new(draft: &Draft<'_>) -> Result<(), Stop> {
    if draft.counters()?.drain.is_some() && !faulty!(OpenedWhileDraining) {
        return Err(Rejection::ServerDraining.into());
    }
    Ok(())
}

fn end_one(
    draft: &mut Draft<'_>,
    no: SessionNo,
    (mode, grace): (EndMode, Span),
    actor: ActorKind,
) -> Result<DrainStep, Stop> {
    let Some(drain) = draft.counters()?.drain else {
        return Ok(DrainStep::Gone);
    };
    let Some(session) = draft.session_if(no)? else {
        return Ok(DrainStep::Gone);
    };
    match session.lifecycle.clone() {
        Lifecycle::Queued(_) | Lifecycle::Active => {
            let asked = asked(&session, drain.reason, (mode, grace), actor);
            end::begin(draft, session, &asked)?;
            note(draft, |row| row.ended += 1)?;
        }
        Lifecycle::Draining(intent)
            if intent.mode == EndMode::AfterPending && !faulty!(AfterPendingDrained) =>
        {
            return Ok(DrainStep::Left);
        }
        // It has its own deadline, and its reason.
        Lifecycle::Draining(_) if mode != EndMode::Immediate => {}
        Lifecycle::Draining(intent) => finish::finish_late(draft, no, &intent)?,
        Lifecycle::Ended(_) => return Ok(DrainStep::Gone),
    }
    let ended = draft.session(no)?.is_ended();
    Ok(if ended {
        DrainStep::Ended
    } else {
        DrainStep::Waits
    })
}

fn asked(
    session: &Arc<SessionRow>,
    reason: EndReason,
    (mode, grace): (EndMode, Span),
    actor: ActorKind,
) -> End {
    End {
        namespace: session.namespace.clone(),
        session: SessionRef::Id(session.id.clone()),
        reason,
        detail: String::new(),
        mode,
        grace: Some(grace),
        pending: PendingPolicy::Keep,
        successor: session.successor.clone(),
        request: None,
        actor: Actor::unnamed(actor),
    }
}

fn close(draft: &mut Draft<'_>) -> Result<DrainReply, Stop> {
    let mut counters = draft.counters()?;
    let left = counters.queued + counters.active;
    if counters.drain.is_some() && (left == 0 || faulty!(DrainForgotten)) {
        counters.drain = None;
        draft.put_counters(counters);
        note(draft, |row| row.left = counters.draining)?;
    }
    Ok(DrainReply::Closed { left })
}

/// The drain is over; one whose sessions live is not.
fn report(draft: &mut Draft<'_>, actor: ActorKind, undone: &Undone) -> Result<DrainReply, Stop> {
    let mut counters = draft.counters()?;
    if counters.drain.is_some() {
        return Ok(DrainReply::Reported(draft.drain_row()?.cloned()));
    }
    let now = draft.now;
    note(draft, |row| {
        row.recovered = actor == ActorKind::Recovery;
        row.notice_until = None;
        for (session, count) in &undone.unreleased {
            row.warn(WarningCode::ResourcesUnreleased, session.as_str(), *count);
        }
        for ((namespace, name), count) in &undone.unheard {
            let subject = format!("{namespace}/{name}");
            row.warn(WarningCode::SessionEndDrain, &subject, *count);
        }
        row.end = Some(DrainEnd {
            time: now.wall,
            duration: now.engine.since(row.begun_at),
            cancelled: false,
        });
    })?;
    if actor == ActorKind::Drain && counters.serving {
        // It goes in order: what it kept, it kept on purpose.
        counters.serving = false;
        draft.put_counters(counters);
    }
    Ok(DrainReply::Reported(draft.drain_row()?.cloned()))
}
