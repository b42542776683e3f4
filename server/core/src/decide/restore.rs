//! Restore: leases found at start get one full term, and their holders a place in presence.
//!
//! Invariant: a lease that has its clock keeps it, so what is found later without one can be restored the same way. What this
//! deliberately does not do: write; which leases there are is on record, and how long they last is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::release;
use crate::draft::{Draft, Stop};
use crate::ids::Epoch;
use crate::lease::{LeaseMode, LeaseRow, LeaseStanding};
use crate::limits::MAX_IN_FLIGHT_MAX;
use crate::presence::{Instance, Intent, LeaseClock, Load, Window};
use crate::reply::Reply;
use crate::rows::RowKey;

/// Starts the clocks of leases that were current when the server stopped.
pub(super) fn restore(draft: &mut Draft<'_>, epochs: &[Epoch]) -> Result<Reply, Stop> {
    // Asked for all at once: each time something is missing the whole decision is taken anew.
    draft.know(epochs.iter().map(|epoch| RowKey::Lease(*epoch)))?;
    let leases = epochs.iter().map(|epoch| draft.lease_if(*epoch));
    let leases: Vec<_> = leases.collect::<Result<_, Stop>>()?;
    let sessions = leases.iter().flatten().map(|lease| lease.session);
    draft.know(sessions.map(RowKey::Session))?;
    release::know_in_flight(draft, leases.iter().flatten())?;
    let mut restored = Vec::new();
    for epoch in epochs {
        let current = draft
            .lease_if(*epoch)?
            .filter(|lease| lease.standing == LeaseStanding::Current);
        if let Some(lease) = current.filter(|_| draft.clock_ref(*epoch).is_none()) {
            restore_lease(draft, &lease)?;
            restored.push(*epoch);
        }
    }
    Ok(Reply::Restored(restored))
}

fn restore_lease(draft: &mut Draft<'_>, lease: &LeaseRow) -> Result<(), Stop> {
    let now = draft.now;
    let holder = (lease.namespace.clone(), lease.instance.clone());
    let open = release::in_flight(draft, lease, MAX_IN_FLIGHT_MAX as usize)?;
    let load = if faulty!(RestoredUnloaded) {
        Load::default()
    } else {
        release::load(&open)
    };
    let mut clock = LeaseClock {
        holder: holder.clone(),
        session: lease.session,
        pool: draft.session(lease.session)?.pool.clone(),
        queue: lease.queue,
        mode: lease.mode,
        renewed_at: now.engine,
        duration: lease.duration,
        moved_at: now.engine,
        restored_at: Some(now.engine),
        load,
        alarm: now.engine + lease.duration,
    };
    // Its holder has no place in presence yet, and needs none to lapse a term from now.
    clock.alarm = clock.alarm.min(draft.look_at(&clock));
    draft.set_clock(lease.epoch, Some(clock));
    if lease.mode == LeaseMode::Claim {
        return Ok(());
    }
    let mut instance = draft.instance(&holder).unwrap_or_else(|| Instance {
        worker: lease.worker.clone(),
        stream: None,
        last_seen: now.engine,
        last_seen_time: now.wall,
        connect_time: now.wall,
        build_id: "".into(),
        labels: Arc::default(),
        window: Window {
            messages: 0,
            bytes: 0,
            sessions: 0,
        },
        in_flight: Load::default(),
        serves: None,
        rests: Arc::default(),
        intent: Intent::Stays,
        hungry: BTreeSet::new(),
        served: Epoch(0),
    });
    instance.in_flight.messages += load.messages;
    instance.in_flight.bytes += load.bytes;
    instance.in_flight.sessions += 1;
    draft.set_instance(holder, Some(instance));
    Ok(())
}
