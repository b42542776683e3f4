//! Lapse: a lease that nobody renewed in time ends, and its deliveries go back to the queue.
//!
//! The alarm may come early, since neither renewals nor progress move it: then it is set anew. Before
//! that its holder may be found stuck or with nothing to do, each of which has a file of its own. The
//! attempt counts, unless the holder was never heard of since the server started: that silence is the
//! server's own; or was asked to stop: that comes back uncounted in any case.

use super::release;
use super::returned::{Attempt, Ended, Return};
use super::{cancel, finish, hand_out, rest, restart_guard, stuck};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::Epoch;
use crate::lease::{LeaseMode, LeaseRow};
use crate::presence::LeaseClock;
use crate::reply::{Frame, LeaseLostReason, Reply};
use crate::time::{EngineTime, Limit};

/// Ends the lease if its time is over.
pub(super) fn lapse(draft: &mut Draft<'_>, epoch: Epoch) -> Result<Reply, Stop> {
    let Some(clock) = draft.clock(epoch) else {
        return Ok(Reply::Done);
    };
    let lapse_at = draft.lapse_at(&clock);
    if lapse_at > draft.now.engine {
        look(draft, epoch, clock)?;
        return Ok(Reply::Done);
    }
    let lease = draft.lease(epoch)?;
    let idle = release::in_flight(draft, &lease, 1)?.is_empty();
    tell(draft, &lease, &clock)?;
    let unheard = is_unheard(&clock, lapse_at);
    let spared = unheard || cancel::is_pending(draft, &lease)?;
    release::give_back(draft, &lease, &how(spared))?;
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
    // A silence of the server's own is no failure of the worker's.
    if kind == EventKind::WorkerLost && !unheard {
        restart_guard::count_failure(draft, lease.session)?;
    }
    finish::if_drained(draft, lease.session)?;
    hand_out::offer(draft, lease.queue)?;
    Ok(Reply::Done)
}

/// The alarm of a lease that goes on: its holder may be stuck, or have nothing to do; if not, it is looked
/// at again in time.
fn look(draft: &mut Draft<'_>, epoch: Epoch, mut clock: LeaseClock) -> Result<(), Stop> {
    let patience = clock.patience(draft.policy().stuck_after);
    let rest = clock.rest(draft.policy().worker_idle);
    let over = |limit: Limit| {
        let passed = limit.passed_at(clock.moved_at);
        passed.is_some_and(|at| at <= draft.now.engine)
    };
    let (stuck, idle) = (over(patience), over(rest));
    if stuck || idle {
        let lease = draft.lease(epoch)?;
        let busy = !release::in_flight(draft, &lease, 1)?.is_empty();
        let unsettled = draft.queue_ref(lease.queue)?.depth.unsettled();
        if stuck && busy {
            return stuck::stuck(draft, &lease);
        }
        if idle && unsettled == 0 && rest::would_return(draft, &lease)? {
            return rest::rest(draft, &lease);
        }
    }
    clock.alarm = draft.look_again_at(&clock);
    draft.set_clock(epoch, Some(clock));
    Ok(())
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

/// Whether the holder was not heard of since the server started.
fn is_unheard(clock: &LeaseClock, lapse_at: EngineTime) -> bool {
    clock
        .restored_at
        .is_some_and(|at| at + clock.duration == lapse_at)
}

fn how(spared: bool) -> Return {
    Return {
        attempt: if spared || faulty!(LapseUncounted) {
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
