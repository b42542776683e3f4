//! Acquire: a worker instance takes the lease of a free session.
//!
//! Every lease gets a new fencing token. Attributes that another instance kept with the session are
//! void from here on.

use std::sync::Arc;

use super::rest;
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::{Epoch, WorkerName};
use crate::lease::{LeaseMode, LeaseRow, LeaseStanding};
use crate::presence::{InstanceKey, LeaseClock, Load};
use crate::rejection::Rejection;
use crate::session::{SessionRow, Volatile};
use crate::time::Span;

/// Who takes a lease and how.
#[derive(Clone, Debug)]
pub(super) struct Taker {
    pub(super) key: InstanceKey,
    pub(super) worker: WorkerName,
    pub(super) mode: LeaseMode,
    pub(super) duration: Span,
}

/// Gives the lease of a session that nobody holds; answers with the token and the voided keys.
pub(super) fn acquire(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    taker: &Taker,
) -> Result<(Epoch, Vec<String>), Stop> {
    let mut counters = draft.counters()?;
    if !faulty!(EpochReused) || counters.epoch == Epoch(0) {
        counters.epoch = counters.epoch.next();
    }
    let epoch = counters.epoch;
    draft.put_counters(counters);
    let lease = LeaseRow {
        epoch,
        namespace: session.namespace.clone(),
        session: session.no,
        queue: session.queue,
        worker: taker.worker.clone(),
        instance: taker.key.1.clone(),
        mode: taker.mode,
        acquire_time: draft.now.wall,
        duration: taker.duration,
        standing: LeaseStanding::Current,
        cancel_by: None,
    };
    // A token never used before has no row, so none need be loaded.
    draft.put(
        crate::rows::RowKey::Lease(epoch),
        crate::rows::Row::Lease(lease.into()),
    );
    let mut row = Arc::unwrap_or_clone(draft.session(session.no)?);
    row.lease = Some(epoch);
    draft.put_session(row);
    let mut queue = draft.queue(session.queue)?;
    queue.lease = Some(epoch);
    draft.put_queue(queue)?;
    start_clock(draft, session, epoch, taker);
    let voided = void_foreign(draft, session, taker)?;
    draft.event(
        EventKind::WorkerAttached,
        Actor::worker(taker.worker.as_str()),
        session.no,
        Particulars::attribute("instance_id", taker.key.1.as_str()),
    )?;
    Ok((epoch, voided))
}

/// Refuses a session that another instance holds; answers with the lease this one has.
pub(super) fn own_lease(
    draft: &Draft<'_>,
    session: &SessionRow,
    key: &InstanceKey,
) -> Result<Option<LeaseRow>, Stop> {
    let Some(epoch) = session.lease else {
        return Ok(None);
    };
    let lease = draft.lease(epoch)?;
    if lease.instance == key.1 || faulty!(HolderIgnored) {
        return Ok(Some(lease));
    }
    let lapse_at = match draft.clock(epoch) {
        Some(clock) => draft.lapse_at(&clock),
        None => draft.now.engine + lease.duration,
    };
    Err(Rejection::LeaseHeld {
        session: session.id.clone(),
        holder: lease.worker,
        epoch,
        expire_time: draft.now.wall_of(lapse_at),
        expires_in: lapse_at.since(draft.now.engine),
    }
    .into())
}

fn start_clock(draft: &mut Draft<'_>, session: &SessionRow, epoch: Epoch, taker: &Taker) {
    let mut clock = LeaseClock {
        holder: taker.key.clone(),
        session: session.no,
        pool: session.pool.clone(),
        queue: session.queue,
        mode: taker.mode,
        renewed_at: draft.now.engine,
        duration: taker.duration,
        moved_at: draft.now.engine,
        restored_at: None,
        load: Load::default(),
        alarm: draft.now.engine + taker.duration,
    };
    clock.alarm = clock.alarm.min(draft.look_at(&clock));
    draft.set_clock(epoch, Some(clock));
    rest::forget(draft, &taker.key, session.no);
    if taker.mode == LeaseMode::Stream
        && let Some(instance) = draft.instance_mut(&taker.key)
    {
        instance.in_flight.sessions += 1;
    }
}

fn void_foreign(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    taker: &Taker,
) -> Result<Vec<String>, Stop> {
    let mut activity = draft.activity(session.no)?;
    let own = activity.volatile.instance.as_ref() == Some(&taker.key.1);
    if own || activity.volatile.entries.is_empty() {
        return Ok(Vec::new());
    }
    let voided = activity.volatile.entries.keys().cloned().collect();
    activity.volatile = Volatile::default();
    // No limit is moved by it, so none need be looked at sooner.
    draft.put_activity_checked_at(activity)?;
    Ok(voided)
}
