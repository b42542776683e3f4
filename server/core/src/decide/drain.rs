//! Drain: the end of every session, because the server goes away.
//!
//! Invariant: an open drain is in the counters, so every decision knows of it and no session begins beside it; it is closed
//! only when none lives. Each end is a decision of its own, by the one way in which sessions end. What this deliberately does
//! not do: find the sessions or wait for them; the shell does, and recovery.

use std::sync::Arc;

use super::{end, finish};
use crate::command::End;
use crate::command::drain::DrainCommand;
use crate::draft::{Draft, Stop};
use crate::drain::{Drain, DrainReply, DrainStep};
use crate::event::{Actor, ActorKind};
use crate::ids::{SessionNo, SessionRef};
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::session::{EndMode, EndReason, Lifecycle, PendingPolicy, SessionRow};
use crate::time::Span;

/// Takes a step of a drain.
pub(super) fn drain(draft: &mut Draft<'_>, command: DrainCommand) -> Result<Reply, Stop> {
    let reply = match command {
        DrainCommand::Begin { reason } => begin(draft, reason)?,
        DrainCommand::End {
            session,
            mode,
            grace,
            actor,
        } => DrainReply::Step(end_one(draft, session, (mode, grace), actor)?),
        DrainCommand::Close => close(draft)?,
    };
    Ok(Reply::Drain(reply))
}

fn begin(draft: &mut Draft<'_>, reason: EndReason) -> Result<DrainReply, Stop> {
    let mut counters = draft.counters()?;
    if let Some(drain) = counters.drain {
        return Ok(DrainReply::Open {
            drain,
            joined: true,
        });
    }
    let drain = Drain {
        reason,
        through: counters.session,
    };
    counters.drain = Some(drain);
    draft.put_counters(counters);
    Ok(DrainReply::Open {
        drain,
        joined: false,
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
        actor: Actor {
            kind: actor,
            name: String::new(),
        },
    }
}

fn close(draft: &mut Draft<'_>) -> Result<DrainReply, Stop> {
    let mut counters = draft.counters()?;
    let left = counters.queued + counters.active;
    if counters.drain.is_some() && (left == 0 || faulty!(DrainForgotten)) {
        counters.drain = None;
        draft.put_counters(counters);
    }
    Ok(DrainReply::Closed { left })
}
