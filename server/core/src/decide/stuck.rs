//! Stuck: a worker that holds deliveries and gets on with none of them loses the session.
//!
//! Progress is a settlement, an extension or a progress frame; a heartbeat only shows that the process is
//! there. The worker is told to stop and what it held goes back, attempts counted: nobody else may wait for
//! it. It costs the lease, and the session only where the policy says so.

use super::returned::{Attempt, Ended, Return};
use super::{finish, hand_out, release, restart_guard};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::lease::LeaseRow;
use crate::limits::WorkerCost;
use crate::reply::{CancelReason, Frame, LeaseLostReason};
use crate::session::EndReason;

/// Takes the session from a holder that is stuck.
pub(super) fn stuck(draft: &mut Draft<'_>, lease: &LeaseRow) -> Result<(), Stop> {
    let session = draft.session(lease.session)?;
    let holder = (lease.namespace.clone(), lease.instance.clone());
    draft.push_to(
        &holder,
        Frame::Cancel {
            session: session.id.clone(),
            reason: CancelReason::Stuck,
            deliveries: Vec::new(),
            deadline: draft.now.wall,
        },
    );
    draft.push_to(
        &holder,
        Frame::LeaseLost {
            session: session.id.clone(),
            epoch: lease.epoch,
            reason: LeaseLostReason::Stuck,
            successor: None,
        },
    );
    let how = Return {
        attempt: if faulty!(StuckUncounted) {
            Attempt::Refunded
        } else {
            Attempt::Counts
        },
        pause: None,
        ended: Ended::Lapsed,
        error: None,
        actor: Actor::reaper(),
    };
    release::give_back(draft, lease, &how)?;
    draft.event(
        EventKind::WorkerStuck,
        Actor::reaper(),
        lease.session,
        Particulars::attribute("instance_id", lease.instance.as_str()),
    )?;
    restart_guard::count_failure(draft, lease.session)?;
    if draft.policy().on_stuck == WorkerCost::End {
        finish::if_live(draft, lease.session, EndReason::WorkerStuck)?;
    }
    finish::if_drained(draft, lease.session)?;
    hand_out::offer_beside(draft, lease.queue, Some(&holder))
}
