//! Claim: a worker without a stream takes or renews a lease and gets messages in the same commit.
//!
//! While it has unsettled deliveries from an earlier claim, the answer is those again and nothing
//! new: an answer that got lost costs nothing and order holds. A claim that finds nothing to hand out
//! takes no lease and changes nothing. What an INTERRUPT is to stop comes back with the claim.

use super::acquire::{self, Taker};
use super::hand_out::{self, First, Room};
use super::{attached, cancel, find, release, restart_guard};
use crate::command::{CancelOutcome, Claim};
use crate::draft::{Draft, Stop};
use crate::lease::{LeaseMode, LeaseRow};
use crate::limits::{DELIVERY_BYTES_MAX, MAX_IN_FLIGHT_MAX};
use crate::presence::InstanceKey;
use crate::reply::{Delivery, Reply};
use crate::session::SessionRow;

/// Hands out what the claim may have.
pub(super) fn claim(draft: &mut Draft<'_>, claim: &Claim) -> Result<Reply, Stop> {
    let session = find::workable(draft, &claim.namespace, &claim.session)?;
    let key: InstanceKey = (claim.namespace.clone(), claim.instance.clone());
    if let Some(mut lease) = acquire::own_lease(draft, &session, &key)? {
        renew(draft, &lease, claim);
        if lease.mode == LeaseMode::Claim && cancel::is_pending(draft, &lease)? {
            // It asks for something new, so it has stopped what it was to stop.
            cancel::answered(draft, &lease, CancelOutcome::Stopped)?;
            lease = draft.lease(lease.epoch)?;
        }
        let open = again(draft, &session, &lease)?;
        if !open.is_empty() {
            return answer(draft, &session, &lease, open);
        }
        let given = hand_out::hand_out(draft, &session, lease.epoch, room(claim))?;
        return answer(draft, &session, &lease, given.deliveries);
    }
    restart_guard::refuse_suspended(draft, &session)?;
    let taker = Taker {
        key,
        worker: claim.worker.clone(),
        mode: LeaseMode::Claim,
        duration: claim.lease,
    };
    let has_room = attached::has_room(draft, &session);
    let (epoch, _) = acquire::acquire(draft, &session, &taker)?;
    let deliveries = hand_out::hand_out(draft, &session, epoch, room(claim))?.deliveries;
    if deliveries.is_empty() {
        draft.clear();
        return Ok(Reply::Claimed {
            session: session.id.clone(),
            lease: None,
            deliveries,
        });
    }
    if !has_room {
        return Err(attached::full(draft, &session));
    }
    let lease = draft.lease(epoch)?;
    answer(draft, &session, &lease, deliveries)
}

fn room(claim: &Claim) -> Room {
    Room {
        messages: claim.max_messages.get(),
        bytes: DELIVERY_BYTES_MAX,
        first: First::AnySize,
    }
}

fn renew(draft: &mut Draft<'_>, lease: &LeaseRow, claim: &Claim) {
    if let Some(mut clock) = draft.clock(lease.epoch) {
        clock.renewed_at = draft.now.engine;
        clock.restored_at = None;
        if clock.mode == LeaseMode::Claim {
            clock.duration = claim.lease;
        }
        clock.alarm = clock.alarm.min(draft.look_at(&clock));
        draft.set_clock(lease.epoch, Some(clock));
    }
}

/// The unsettled deliveries of an earlier claim, as they were.
fn again(draft: &Draft<'_>, session: &SessionRow, lease: &LeaseRow) -> Result<Vec<Delivery>, Stop> {
    let deadline = draft.lease_view(lease.epoch)?.expire_time;
    let open = release::in_flight(draft, lease, MAX_IN_FLIGHT_MAX as usize)?;
    let deliveries = open.into_iter().map(|message| Delivery {
        session: session.id.clone(),
        payload: None,
        delivery_id: message
            .latest
            .expect("a message in flight has its delivery"),
        epoch: lease.epoch,
        deadline,
        message,
    });
    Ok(deliveries.collect())
}

fn answer(
    draft: &Draft<'_>,
    session: &SessionRow,
    lease: &LeaseRow,
    deliveries: Vec<Delivery>,
) -> Result<Reply, Stop> {
    Ok(Reply::Claimed {
        session: session.id.clone(),
        lease: Some(draft.lease_view(lease.epoch)?),
        deliveries,
    })
}
