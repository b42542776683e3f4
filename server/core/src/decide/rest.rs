//! Rest: a worker whose session has had nothing to do for long is let go, and is free for another.
//!
//! One decision sees the empty queue and ends the lease, so a message comes either before, and the worker
//! keeps the session, or after, and finds it free. A worker that asked for the session by name, and would
//! not be assigned it by what it serves, gets it back unasked when there is work again. No attempt and no
//! failure is counted.

use std::sync::Arc;

use super::returned::Return;
use super::{finish, release};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::{Epoch, SessionNo};
use crate::lease::LeaseRow;
use crate::limits::WINDOW_SESSIONS_MAX;
use crate::presence::InstanceKey;
use crate::reply::{Frame, LeaseLostReason};
use crate::session::SessionRow;

/// Whether the holder could be given the session again as things are: one that asked for more sessions than
/// it has assigned keeps what it has.
pub(super) fn would_return(draft: &Draft<'_>, lease: &LeaseRow) -> Result<bool, Stop> {
    let session = draft.session(lease.session)?;
    let holder = (lease.namespace.clone(), lease.instance.clone());
    Ok(draft.instance_ref(&holder).is_none_or(|instance| {
        instance.means(&session) || instance.in_flight.sessions <= instance.window.sessions
    }))
}

/// Lets the holder of a lease go.
pub(super) fn rest(draft: &mut Draft<'_>, lease: &LeaseRow) -> Result<(), Stop> {
    let session = draft.session(lease.session)?;
    let holder = (lease.namespace.clone(), lease.instance.clone());
    draft.push_to(
        &holder,
        Frame::LeaseLost {
            session: session.id.clone(),
            epoch: lease.epoch,
            reason: LeaseLostReason::Idle,
            successor: None,
        },
    );
    release::give_back(draft, lease, &Return::refunded(Actor::reaper()))?;
    if let Some(instance) = draft.instance_mut(&holder)
        && !instance.means(&session)
        && !faulty!(RestForgotten)
    {
        let rests = Arc::make_mut(&mut instance.rests);
        while rests.len() >= WINDOW_SESSIONS_MAX as usize {
            rests.pop_first();
        }
        rests.insert(session.no);
    }
    let mut said = Particulars::attribute("instance_id", lease.instance.as_str());
    said.attributes
        .insert("reason".to_owned(), "idle".to_owned());
    draft.event(
        EventKind::WorkerDetached,
        Actor::reaper(),
        lease.session,
        said,
    )?;
    finish::if_drained(draft, lease.session)
}

/// The session ends: whoever rests from it is told as its holder would be, and waits for it no longer.
pub(super) fn end(draft: &mut Draft<'_>, session: &SessionRow, reason: LeaseLostReason) {
    let here = draft.view.presence.instances_of(&session.namespace);
    let rests = |key: &&InstanceKey| {
        let instance = draft.instance_ref(key);
        instance.is_some_and(|instance| instance.rests.contains(&session.no))
    };
    let resting: Vec<InstanceKey> = here.map(|(key, _)| key).filter(rests).cloned().collect();
    for key in resting {
        forget(draft, &key, session.no);
        draft.push_to(
            &key,
            Frame::LeaseLost {
                session: session.id.clone(),
                epoch: Epoch(0),
                reason,
                successor: session.successor.clone(),
            },
        );
    }
}

/// The worker has the session again, or does not want it any more.
pub(super) fn forget(draft: &mut Draft<'_>, holder: &InstanceKey, session: SessionNo) {
    let rests = draft
        .instance_ref(holder)
        .is_some_and(|instance| instance.rests.contains(&session));
    if rests && let Some(instance) = draft.instance_mut(holder) {
        Arc::make_mut(&mut instance.rests).remove(&session);
    }
}
