//! Lapse: a lease that nobody renewed in time ends, and its deliveries go back to the queue.
//!
//! The alarm may come early, since renewals do not move it: then it is set anew. The attempt counts,
//! unless the holder was never heard of since the server started: that silence is the server's own.

use super::release;
use super::returned::{Attempt, Ended, Return};
use super::{finish, hand_out};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::Epoch;
use crate::lease::{LeaseMode, LeaseRow};
use crate::presence::LeaseClock;
use crate::reply::{Frame, LeaseLostReason, Reply};

/// Ends the lease if its time is over.
pub(super) fn lapse(draft: &mut Draft<'_>, epoch: Epoch) -> Result<Reply, Stop> {
    let Some(mut clock) = draft.clock(epoch) else {
        return Ok(Reply::Done);
    };
    let lapse_at = draft.lapse_at(&clock);
    if lapse_at > draft.now.engine {
        clock.alarm = lapse_at;
        draft.set_clock(epoch, Some(clock));
        return Ok(Reply::Done);
    }
    let lease = draft.lease(epoch)?;
    let idle = release::in_flight(draft, &lease, 1)?.is_empty();
    tell(draft, &lease, &clock)?;
    release::give_back(draft, &lease, &how(&clock, lapse_at))?;
    // A claim's lease with nothing open is how a simple worker leaves.
    let kind = if idle && lease.mode == LeaseMode::Claim {
        EventKind::WorkerDetached
    } else {
        EventKind::WorkerLost
    };
    draft.event(
        kind,
        Actor::reaper(),
        lease.session,
        Particulars::attribute("instance_id", lease.instance.as_str()),
    )?;
    finish::if_drained(draft, lease.session)?;
    hand_out::offer(draft, lease.queue)?;
    Ok(Reply::Done)
}

fn tell(draft: &mut Draft<'_>, lease: &LeaseRow, clock: &LeaseClock) -> Result<(), Stop> {
    let session = draft.session(lease.session)?;
    draft.push_to(
        &clock.holder,
        Frame::LeaseLost {
            session: session.id.clone(),
            epoch: lease.epoch,
            reason: LeaseLostReason::Lapsed,
            successor: None,
        },
    );
    Ok(())
}

fn how(clock: &LeaseClock, lapse_at: crate::time::EngineTime) -> Return {
    let unheard = clock
        .restored_at
        .is_some_and(|at| at + clock.duration == lapse_at);
    Return {
        attempt: if unheard || faulty!(LapseUncounted) {
            Attempt::Refunded
        } else {
            Attempt::Counts
        },
        pause: None,
        ended: Ended::Lapsed,
        error: None,
        actor: Actor::reaper(),
    }
}
