//! Hello: a worker instance is here, new or again.
//!
//! A second stream of an instance replaces the first. Leases it lists in `resume` go on where they
//! stood: deliveries it did not list are sent again as they were, and leases that are gone are told as
//! lost. Leases it holds and does not list are given back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{cancel, detach, hand_out, release, restart_guard};
use crate::command::{Hello, Resume, WorkerCommand};
use crate::draft::{Draft, Stop};
use crate::ids::{Epoch, PoolName};
use crate::lease::{LeaseMode, LeaseRow, LeaseStanding};
use crate::limits::MAX_IN_FLIGHT_MAX;
use crate::message::MessageRow;
use crate::presence::{Instance, InstanceKey, Intent, LeaseClock, Load};
use crate::reply::{Delivery, Frame, GoAwayReason, LeaseLostReason};

/// Takes a hello.
pub(super) fn hello(
    draft: &mut Draft<'_>,
    command: &WorkerCommand,
    hello: &Hello,
) -> Result<(), Stop> {
    let key = &command.instance;
    if let Some(old) = draft.instance_ref(key).and_then(|instance| instance.stream) {
        draft.push(
            old,
            Frame::GoAway {
                reason: GoAwayReason::Replaced,
            },
        );
    }
    let held = draft.leases_of(key);
    draft.set_instance(key.clone(), Some(newcomer(draft, command, hello)));
    draft.push(
        command.stream,
        Frame::Welcome {
            lease: draft.policy().stream_lease,
        },
    );
    let listed: BTreeMap<Epoch, &Resume> = hello
        .resume
        .iter()
        .map(|resume| (resume.epoch, resume))
        .collect();
    for epoch in held {
        let lease = draft.lease(epoch)?;
        if !listed.contains_key(&epoch) && lease.mode == LeaseMode::Stream {
            let had_some = !release::in_flight(draft, &lease, 1)?.is_empty();
            // The new process knows nothing of it; its load was not counted for this stream.
            if let Some(clock) = draft.clock(epoch) {
                draft.set_clock(
                    epoch,
                    Some(LeaseClock {
                        load: Load::default(),
                        ..clock
                    }),
                );
            }
            detach::detach_lease(draft, &lease)?;
            if had_some {
                // Whoever had them is gone, and came back under its name sooner than its lease would tell.
                restart_guard::count_failure(draft, lease.session)?;
            }
        }
    }
    for resume in listed.values() {
        resume_lease(draft, key, resume)?;
    }
    hand_out::refill(draft, key)
}

fn newcomer(draft: &Draft<'_>, command: &WorkerCommand, hello: &Hello) -> Instance {
    Instance {
        worker: hello.worker.clone(),
        stream: Some(command.stream),
        last_seen: draft.now.engine,
        last_seen_time: draft.now.wall,
        connect_time: draft.now.wall,
        build_id: hello.build_id.as_str().into(),
        labels: Arc::new(hello.labels.clone()),
        window: hello.window,
        in_flight: Load::default(),
        serves: hello.serves.clone().map(Arc::new),
        rests: Arc::default(),
        intent: Intent::Stays,
        hungry: BTreeSet::new(),
        served: Epoch(0),
    }
}

fn resume_lease(draft: &mut Draft<'_>, key: &InstanceKey, resume: &Resume) -> Result<(), Stop> {
    let lease = draft.lease_if(resume.epoch)?.filter(|lease| {
        lease.instance == key.1
            && lease.namespace == key.0
            && lease.standing == LeaseStanding::Current
    });
    let Some(mut lease) = lease else {
        draft.push_to(
            key,
            Frame::LeaseLost {
                session: resume.session.clone(),
                epoch: resume.epoch,
                reason: LeaseLostReason::Lapsed,
                successor: None,
            },
        );
        return Ok(());
    };
    if lease.mode == LeaseMode::Claim {
        // From here on the stream renews it, after a restart of the server too.
        lease.mode = LeaseMode::Stream;
        lease.duration = draft.policy().stream_lease;
        draft.put_lease(lease.clone())?;
    }
    let open = release::in_flight(draft, &lease, MAX_IN_FLIGHT_MAX as usize)?;
    let session = draft.session_view(lease.session)?;
    restart_clock(draft, key, &lease, &session.session.pool, &open);
    let lease_view = draft.lease_view(lease.epoch)?;
    draft.push_to(
        key,
        Frame::Attached {
            lease: lease_view.clone(),
            session: Box::new(session.clone()),
            voided_keys: Vec::new(),
        },
    );
    let unlisted: Vec<Delivery> = open
        .into_iter()
        .filter_map(|message| {
            let delivery_id = message.latest?;
            let missing = !resume.deliveries.contains(&delivery_id);
            missing.then(|| Delivery {
                session: session.session.id.clone(),
                payload: None,
                delivery_id,
                epoch: lease.epoch,
                deadline: lease_view.expire_time,
                message,
            })
        })
        .collect();
    if !unlisted.is_empty() {
        draft.push_to(key, Frame::Deliveries(unlisted));
    }
    cancel::tell(draft, &lease)?;
    hand_out::mark_hungry(draft, key, lease.epoch);
    Ok(())
}

/// Starts the lease's term anew and counts what it has in flight for the new stream.
fn restart_clock(
    draft: &mut Draft<'_>,
    key: &InstanceKey,
    lease: &LeaseRow,
    pool: &PoolName,
    open: &[Arc<MessageRow>],
) {
    let load = release::load(open);
    let moved_at = draft.clock_ref(lease.epoch).map(|clock| clock.moved_at);
    let mut clock = LeaseClock {
        holder: key.clone(),
        session: lease.session,
        pool: pool.clone(),
        queue: lease.queue,
        mode: LeaseMode::Stream,
        renewed_at: draft.now.engine,
        duration: lease.duration,
        // A new stream is no progress.
        moved_at: moved_at.unwrap_or(draft.now.engine),
        restored_at: None,
        load,
        alarm: draft.now.engine + lease.duration,
    };
    clock.alarm = clock.alarm.min(draft.look_at(&clock));
    draft.set_clock(lease.epoch, Some(clock));
    if let Some(instance) = draft.instance_mut(key) {
        instance.in_flight.messages += load.messages;
        instance.in_flight.bytes += load.bytes;
        instance.in_flight.sessions += 1;
    }
}
