//! Cancel: an INTERRUPT message asks the holder of its session to stop what it is doing.
//!
//! From then on nothing new of the queue is handed out under that lease, until everything that was in flight is settled,
//! or comes back: when the worker says that it has stopped, or could not, or when it has said nothing for
//! `cancel_grace`. What comes back is not counted as an attempt. One that says that it had finished has until then to
//! settle. A worker without a stream can be told nothing; its next claim shows that it does something new. What
//! this deliberately does not do: choose what goes out next, which is the order's business.

use super::returned::{self, Ended, Return};
use super::{finish, hand_out, release};
use crate::command::CancelOutcome;
use crate::draft::{Draft, Stop};
use crate::event::Actor;
use crate::ids::{Epoch, QueueId};
use crate::lease::{LeaseMode, LeaseRow, LeaseStanding};
use crate::limits::MAX_IN_FLIGHT_MAX;
use crate::reply::{CancelReason, Frame};

/// Asks the holder of a queue to stop what it has in flight, if it has anything and was not asked before.
pub(super) fn interrupt(draft: &mut Draft<'_>, id: QueueId) -> Result<(), Stop> {
    let queue = draft.queue_ref(id)?;
    let Some(epoch) = queue.lease.filter(|_| queue.depth.in_flight > 0) else {
        return Ok(());
    };
    let mut lease = draft.lease(epoch)?;
    if is_pending(draft, &lease)? || release::in_flight(draft, &lease, 1)?.is_empty() {
        return Ok(());
    }
    lease.cancel_by = Some(draft.now.engine + draft.policy().cancel_grace);
    draft.put_lease(lease.clone())?;
    tell(draft, &lease)
}

/// Tells the holder's stream what to stop; also on a new stream, for what the old one carried may be lost.
pub(super) fn tell(draft: &mut Draft<'_>, lease: &LeaseRow) -> Result<(), Stop> {
    let Some(deadline) = lease.cancel_by.filter(|_| lease.mode == LeaseMode::Stream) else {
        return Ok(());
    };
    let open = release::in_flight(draft, lease, MAX_IN_FLIGHT_MAX as usize)?;
    let deliveries: Vec<_> = open.iter().filter_map(|message| message.latest).collect();
    if deliveries.is_empty() {
        return Ok(());
    }
    let frame = Frame::Cancel {
        session: draft.session(lease.session)?.id.clone(),
        reason: CancelReason::Interrupt,
        deliveries,
        deadline: draft.now.wall_of(deadline),
    };
    draft.push_to(&(lease.namespace.clone(), lease.instance.clone()), frame);
    Ok(())
}

/// Whether a lease is handed nothing for now. A cancel of which everything was settled meanwhile is over.
pub(super) fn holds_back(draft: &mut Draft<'_>, epoch: Epoch) -> Result<bool, Stop> {
    if draft.lease_ref(epoch)?.cancel_by.is_none() || faulty!(CancelIgnored) {
        return Ok(false);
    }
    let mut lease = draft.lease(epoch)?;
    if is_pending(draft, &lease)? {
        return Ok(true);
    }
    lease.cancel_by = None;
    draft.put_lease(lease)?;
    Ok(false)
}

/// Whether something that is to be stopped is still in flight.
pub(super) fn is_pending(draft: &Draft<'_>, lease: &LeaseRow) -> Result<bool, Stop> {
    Ok(lease.cancel_by.is_some() && !release::in_flight(draft, lease, 1)?.is_empty())
}

/// Takes a worker's answer about a lease that it holds; one that was not asked for says nothing.
pub(super) fn answered(
    draft: &mut Draft<'_>,
    lease: &LeaseRow,
    outcome: CancelOutcome,
) -> Result<(), Stop> {
    if lease.cancel_by.is_none() {
        return Ok(());
    }
    match outcome {
        CancelOutcome::Stopped => take_back(draft, lease, Ended::Settled),
        CancelOutcome::Failed => take_back(draft, lease, Ended::Lapsed),
        CancelOutcome::Finished => Ok(()),
    }
}

/// Takes back what a lease has in flight, uncounted, and lets the queue go on. The lease stays.
pub(super) fn take_back(draft: &mut Draft<'_>, lease: &LeaseRow, ended: Ended) -> Result<(), Stop> {
    let how = Return {
        ended,
        attempt: if faulty!(CancelCounted) {
            returned::Attempt::Counts
        } else {
            returned::Attempt::Refunded
        },
        ..Return::refunded(Actor::worker(lease.worker.as_str()))
    };
    for message in release::in_flight(draft, lease, MAX_IN_FLIGHT_MAX as usize)? {
        let bytes = i64::try_from(message.bytes).expect("a message is smaller than an exabyte");
        release::charge(draft, lease.epoch, -1, -bytes);
        returned::give_back(draft, &message, &how)?;
    }
    let mut lease = lease.clone();
    lease.cancel_by = None;
    let queue = lease.queue;
    draft.put_lease(lease)?;
    let owner = draft.queue_ref(queue)?.owner;
    finish::if_drained(draft, owner)?;
    hand_out::offer(draft, queue)
}

/// The time for an answer is over.
pub(super) fn due(draft: &mut Draft<'_>, lease: &LeaseRow) -> Result<(), Stop> {
    let over = lease.cancel_by.is_some_and(|by| by <= draft.now.engine);
    if over && lease.standing == LeaseStanding::Current {
        return take_back(draft, lease, Ended::Lapsed);
    }
    Ok(())
}
