//! Attached: how many sessions of a pool workers hold at once, and who gets one when another is given back.
//!
//! The count is of leases that hold their session, of streams and of claims alike, and lies in memory with their
//! clocks: a pool without the limit pays nothing for it, and a restart finds the leases on record. At the limit no new
//! lease is given: who asks for a session by name is refused, and work that nobody asks for by name waits. What was
//! given before the limit was lowered stays.

use super::hand_out;
use super::slot::pool_of;
use crate::draft::{Draft, PoolKey, Stop};
use crate::ids::{Namespace, QueueId, SessionNo};
use crate::index::{IndexEntry, Scan};
use crate::limits::{ASSIGN_SCAN_MAX, UNHELD_SCAN_MAX};
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::rows::RowKey;
use crate::session::SessionRow;

/// Whether workers may hold one more session of a session's pool.
pub(super) fn has_room(draft: &Draft<'_>, session: &SessionRow) -> bool {
    let limit = draft.policy().pool(&session.pool).max_attached;
    let overrun = u64::from(faulty!(AttachedOverrun));
    limit.is_none_or(|limit| draft.attached(&pool_of(session)) < limit + overrun)
}

/// The refusal of a worker that asks for one more.
pub(super) fn full(draft: &Draft<'_>, session: &SessionRow) -> Stop {
    let limit = draft.policy().pool(&session.pool).max_attached;
    // Without what this decision itself has given, which is taken back.
    let held = &draft.view.presence;
    Rejection::TooManyAttached {
        namespace: session.namespace.clone(),
        pool: session.pool.clone(),
        used: held.attached(&session.namespace, &session.pool),
        limit: limit.unwrap_or(u64::MAX),
    }
    .into()
}

/// Offers the work that waits for a lease, in every pool at its limit of which the decision ended one.
pub(super) fn offer_freed(draft: &mut Draft<'_>) -> Result<(), Stop> {
    for pool in draft.pools_given_back() {
        let limit = draft.policy().pool(&pool.1).max_attached;
        let before = draft.view.presence.attached(&pool.0, &pool.1);
        // With room before, nobody waited for it.
        if limit.is_some_and(|limit| before >= limit && draft.attached(&pool) < limit) {
            offer_unheld(draft, &pool)?;
        }
    }
    Ok(())
}

/// Offers the oldest work of a pool that no worker holds: to claims that wait and to instances that would be assigned it.
fn offer_unheld(draft: &mut Draft<'_>, (namespace, pool): &PoolKey) -> Result<(), Stop> {
    let oldest = draft.scan(&Scan::Unserved(namespace.clone()), UNHELD_SCAN_MAX)?;
    let queues = oldest.into_iter().filter_map(|entry| {
        let IndexEntry::Unserved(_, _, queue) = entry else {
            return None;
        };
        Some(queue)
    });
    let queues: Vec<QueueId> = queues.collect();
    let mut offered = 0;
    // Asked for many at once: each time something is missing the whole decision is taken anew.
    for some in queues.chunks(ASSIGN_SCAN_MAX) {
        draft.know(some.iter().map(|queue| RowKey::Queue(*queue)))?;
        let owners = some.iter().map(|queue| Ok(draft.queue_ref(*queue)?.owner));
        let owners: Vec<SessionNo> = owners.collect::<Result<_, Stop>>()?;
        draft.know(owners.iter().map(|no| RowKey::Session(*no)))?;
        for (queue, owner) in some.iter().zip(owners) {
            if draft.session(owner)?.pool != *pool {
                continue;
            }
            hand_out::offer(draft, *queue)?;
            offered += 1;
            if offered == ASSIGN_SCAN_MAX {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// How many sessions of each pool workers hold.
pub(super) fn counts(draft: &Draft<'_>, namespace: &Namespace) -> Reply {
    Reply::Attached(draft.view.presence.attached_of(namespace))
}
