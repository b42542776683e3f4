//! Worker frames: what each one does, once the stream is known to be its instance's open one.
//!
//! Any frame shows that the instance is alive and so renews its leases, in memory only. A frame of a
//! stream that was replaced does nothing but tell that stream to go away.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{assign, attach, cancel, detach, finish, hand_out, hello, release, returned, settle};
use crate::command::{WorkerCommand, WorkerFrame};
use crate::draft::{Draft, Stop};
use crate::event::Actor;
use crate::ids::{DeliveryId, Epoch, QueueId, Seq, SessionId};
use crate::lease::LeaseStanding;
use crate::message::{MessageRow, Standing};
use crate::presence::{InstanceKey, Window};
use crate::reply::{Frame, GoAwayReason, LeaseLostReason, Reply};
use crate::session::{Labels, SessionRow, Volatile};

/// A hand-out, by where its message lies.
type Place = (QueueId, Seq, DeliveryId);

/// Takes one frame.
pub(super) fn worker(draft: &mut Draft<'_>, command: &WorkerCommand) -> Result<Reply, Stop> {
    let key = &command.instance;
    if let WorkerFrame::Hello(frame) = &command.frame {
        hello::hello(draft, command, frame)?;
        assign::ask(draft, key);
        return Ok(Reply::Done);
    }
    let own = draft.instance_ref(key);
    if own.is_none_or(|i| i.stream != Some(command.stream)) {
        refuse(draft, command)?;
        return Ok(Reply::Done);
    }
    let now = draft.now;
    if !matches!(command.frame, WorkerFrame::Closed | WorkerFrame::Unsent(_))
        && let Some(instance) = draft.instance_mut(key)
    {
        instance.last_seen = now.engine;
        instance.last_seen_time = now.wall;
    }
    match &command.frame {
        WorkerFrame::Hello(_) | WorkerFrame::Heartbeat => {}
        WorkerFrame::Attach { session } => attach::attach(draft, key, session)?,
        WorkerFrame::Detach { session } => {
            detach::detach(draft, key, session)?;
            assign::ask(draft, key);
        }
        WorkerFrame::Window(window) => {
            set_window(draft, key, *window)?;
            assign::ask(draft, key);
        }
        WorkerFrame::Settle(settlements) => {
            let (results, touched) = settle::settle_all(draft, &key.0, settlements)?;
            draft.push_to(key, Frame::Settled(results));
            settle::follow_up(draft, &touched)?;
        }
        WorkerFrame::Progress {
            session,
            epoch,
            volatile,
        } => {
            progress(draft, key, session, *epoch, volatile.as_ref())?;
        }
        WorkerFrame::CancelResult { session, outcome } => {
            if let Some(held) = held(draft, key, session, None)?
                && let Some(epoch) = held.lease
            {
                let lease = draft.lease(epoch)?;
                cancel::answered(draft, &lease, *outcome)?;
            }
        }
        WorkerFrame::Goodbye => detach::goodbye(draft, command)?,
        WorkerFrame::Closed => closed(draft, key),
        WorkerFrame::Unsent(unsent) => return_unsent(draft, unsent)?,
    }
    Ok(Reply::Done)
}

/// A frame of a stream that is not, or no longer, its instance's. What it was handed and never got is
/// returned all the same.
fn refuse(draft: &mut Draft<'_>, command: &WorkerCommand) -> Result<(), Stop> {
    match &command.frame {
        WorkerFrame::Closed => Ok(()),
        WorkerFrame::Unsent(unsent) => {
            let newer = draft.instance_ref(&command.instance);
            if newer.is_some_and(|instance| instance.stream.is_some()) {
                // The newer stream's hello settled what becomes of the others.
                let untold = superseded(draft, unsent)?;
                return return_unsent(draft, &untold);
            }
            return_unsent(draft, unsent)
        }
        WorkerFrame::Hello(_)
        | WorkerFrame::Attach { .. }
        | WorkerFrame::Detach { .. }
        | WorkerFrame::Window(_)
        | WorkerFrame::Settle(_)
        | WorkerFrame::Progress { .. }
        | WorkerFrame::CancelResult { .. }
        | WorkerFrame::Heartbeat
        | WorkerFrame::Goodbye => {
            draft.push(
                command.stream,
                Frame::GoAway {
                    reason: GoAwayReason::Replaced,
                },
            );
            Ok(())
        }
    }
}

fn set_window(draft: &mut Draft<'_>, key: &InstanceKey, window: Window) -> Result<(), Stop> {
    if let Some(instance) = draft.instance_mut(key) {
        instance.window = window;
    }
    hand_out::refill(draft, key)
}

/// Progress is activity; a heartbeat is not.
fn progress(
    draft: &mut Draft<'_>,
    key: &InstanceKey,
    id: &SessionId,
    named: Option<Epoch>,
    volatile: Option<&Labels>,
) -> Result<(), Stop> {
    let Some(session) = held(draft, key, id, named)? else {
        draft.push_to(
            key,
            Frame::LeaseLost {
                session: id.clone(),
                epoch: named.unwrap_or_default(),
                reason: LeaseLostReason::Lapsed,
                successor: None,
            },
        );
        return Ok(());
    };
    if let Some(epoch) = session.lease {
        release::moved(draft, epoch);
    }
    let mut activity = draft.activity(session.no)?;
    activity.touch(draft.now);
    if let Some(entries) = volatile {
        activity.volatile = Volatile {
            instance: Some(key.1.clone()),
            entries: entries.clone(),
        };
    }
    draft.put_activity(&session, activity)
}

/// The session that a frame is about, if its worker holds it, under the lease it names if it names one.
fn held(
    draft: &Draft<'_>,
    key: &InstanceKey,
    id: &SessionId,
    named: Option<Epoch>,
) -> Result<Option<Arc<SessionRow>>, Stop> {
    let found = match draft.session_id(&key.0, id)? {
        Some(no) => Some(draft.session(no)?),
        None => None,
    };
    let held = match &found {
        Some(session) => match session.lease {
            Some(epoch) if named.is_none_or(|named| named == epoch) => {
                draft.lease_ref(epoch)?.instance == key.1
            }
            Some(_) | None => false,
        },
        None => false,
    };
    Ok(found.filter(|_| held))
}

/// The stream is gone; its leases go on until they lapse or the instance is back.
fn closed(draft: &mut Draft<'_>, key: &InstanceKey) {
    if let Some(instance) = draft.instance_mut(key) {
        instance.stream = None;
    }
    release::forget_absent(draft, key);
}

/// The message of a hand-out and its lease, while it is the latest and unsettled.
fn still_out(
    draft: &Draft<'_>,
    (queue, seq, delivery_id): Place,
) -> Result<Option<(Arc<MessageRow>, Epoch)>, Stop> {
    let message = draft.message(queue, seq)?;
    let latest = message.filter(|message| message.latest == Some(delivery_id));
    Ok(latest.and_then(|message| match message.standing {
        Standing::InFlight(epoch) => Some((message, epoch)),
        Standing::Ready(_)
        | Standing::Waiting { .. }
        | Standing::Debounced
        | Standing::Dead { .. } => None,
    }))
}

/// Those handed out under leases that no longer hold their session: a hello neither resumes nor gives
/// back such a one, so what was never written of it would wait for its time to be over.
fn superseded(draft: &Draft<'_>, unsent: &[Place]) -> Result<Vec<Place>, Stop> {
    let mut untold = Vec::new();
    for place in unsent {
        let Some((_, epoch)) = still_out(draft, *place)? else {
            continue;
        };
        match draft.lease_ref(epoch)?.standing {
            LeaseStanding::Superseded { .. } => untold.push(*place),
            LeaseStanding::Current => {}
        }
    }
    Ok(untold)
}

/// Deliveries that were never written to a stream go back to their place, uncounted.
fn return_unsent(draft: &mut Draft<'_>, unsent: &[Place]) -> Result<(), Stop> {
    let mut touched = BTreeSet::new();
    for place in unsent {
        let Some((message, epoch)) = still_out(draft, *place)? else {
            continue;
        };
        let bytes = i64::try_from(message.bytes).expect("a message is smaller than an exabyte");
        release::charge(draft, epoch, -1, -bytes);
        let actor = Actor::worker("");
        let how = returned::Return {
            ended: returned::Ended::Settled,
            ..returned::Return::refunded(actor)
        };
        returned::give_back(draft, &message, &how)?;
        if let Some(clock) = draft.clock(epoch) {
            hand_out::mark_hungry(draft, &clock.holder, epoch);
        }
        touched.insert((message.queue, epoch));
    }
    for (queue, epoch) in touched {
        let row = draft.queue_ref(queue)?;
        let (owner, lease) = (row.owner, row.lease);
        finish::if_drained(draft, owner)?;
        // The stream that could not be written to gets nothing now; whoever works on the queue since does.
        if lease != Some(epoch) {
            hand_out::offer(draft, queue)?;
        }
    }
    Ok(())
}
