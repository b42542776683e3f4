//! Detach: a worker gives sessions back cleanly; no attempt is counted.

use std::collections::BTreeSet;

use super::returned::Return;
use super::{finish, hand_out};
use super::{release, rest};
use crate::command::{Command, WorkerCommand, WorkerFrame};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::{Epoch, QueueId, SessionId};
use crate::index::{IndexEntry, Scan};
use crate::lease::LeaseRow;
use crate::limits::{GOODBYE_LEASES_PER_DECISION, MAX_IN_FLIGHT_MAX};
use crate::presence::{InstanceKey, Intent};
use crate::reply::{Frame, GoAwayReason, LeaseLostReason};
use crate::session::SessionRow;

/// Answers a detach frame. A session that the worker does not hold, or that there is not, is told as
/// lost all the same, so that a worker that repeats itself hears the same thing twice.
pub(super) fn detach(
    draft: &mut Draft<'_>,
    key: &InstanceKey,
    asked: &SessionId,
) -> Result<(), Stop> {
    let session = match draft.session_id(&key.0, asked)? {
        Some(no) => Some(draft.session(no)?),
        None => None,
    };
    let epoch = match &session {
        Some(session) => let_go(draft, key, session)?,
        None => Epoch(0),
    };
    draft.push_to(
        key,
        Frame::LeaseLost {
            session: asked.clone(),
            epoch,
            reason: LeaseLostReason::Detached,
            successor: session.and_then(|session| session.successor.clone()),
        },
    );
    hand_out::refill(draft, key)
}

/// Takes back all that a worker has of a session; answers with the lease that held it.
fn let_go(draft: &mut Draft<'_>, key: &InstanceKey, session: &SessionRow) -> Result<Epoch, Stop> {
    let mut held = Epoch(0);
    rest::forget(draft, key, session.no);
    if let Some(epoch) = session.lease {
        let lease = draft.lease(epoch)?;
        if lease.instance == key.1 {
            held = epoch;
            detach_lease(draft, &lease)?;
        }
    }
    return_superseded(draft, key, session)?;
    Ok(held)
}

/// Gives one current lease back and says so in the log.
pub(super) fn detach_lease(draft: &mut Draft<'_>, lease: &LeaseRow) -> Result<(), Stop> {
    let actor = Actor::worker(lease.worker.as_str());
    release::give_back(draft, lease, &Return::refunded(actor.clone()))?;
    draft.event(
        EventKind::WorkerDetached,
        actor,
        lease.session,
        Particulars::attribute("instance_id", lease.instance.as_str()),
    )?;
    finish::if_drained(draft, lease.session)?;
    hand_out::offer(draft, lease.queue)
}

/// What a worker still has in flight of a session that ended or was replaced comes back at once.
fn return_superseded(
    draft: &mut Draft<'_>,
    key: &InstanceKey,
    session: &SessionRow,
) -> Result<(), Stop> {
    // It may be gone with a successor that was purged.
    let Some(queue) = draft.queue_if(session.queue)? else {
        return Ok(());
    };
    for epoch in leases_in_flight(draft, queue.id)? {
        let lease = draft.lease(epoch)?;
        let superseded = session.lease != Some(epoch) && lease.session == session.no;
        if superseded && lease.instance == key.1 {
            let actor = Actor::worker(lease.worker.as_str());
            release::give_back(draft, &lease, &Return::refunded(actor))?;
            finish::if_drained(draft, queue.owner)?;
            hand_out::offer(draft, queue.id)?;
        }
    }
    Ok(())
}

/// The leases that have messages of a queue in flight.
fn leases_in_flight(draft: &Draft<'_>, queue: QueueId) -> Result<BTreeSet<Epoch>, Stop> {
    let entries = draft.scan(&Scan::InFlightOfQueue(queue), MAX_IN_FLIGHT_MAX as usize)?;
    Ok(entries.iter().filter_map(IndexEntry::epoch).collect())
}

/// Gives everything back, a bounded number of leases per decision, then ends the stream.
pub(super) fn goodbye(draft: &mut Draft<'_>, command: &WorkerCommand) -> Result<(), Stop> {
    let key = &command.instance;
    if let Some(mut instance) = draft.instance(key) {
        instance.intent = Intent::Leaves;
        draft.set_instance(key.clone(), Some(instance));
    }
    let leases = draft.leases_of(key);
    for epoch in leases.iter().take(GOODBYE_LEASES_PER_DECISION) {
        let lease = draft.lease(*epoch)?;
        detach_lease(draft, &lease)?;
    }
    if leases.len() > GOODBYE_LEASES_PER_DECISION {
        draft.follow_ups.push(Command::Worker(WorkerCommand {
            frame: WorkerFrame::Goodbye,
            ..command.clone()
        }));
        return Ok(());
    }
    draft.push(
        command.stream,
        Frame::GoAway {
            reason: GoAwayReason::Goodbye,
        },
    );
    Ok(())
}
