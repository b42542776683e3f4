//! Settle: what became of deliveries, one by one, each with its own answer.
//!
//! An ack counts if its delivery is the message's latest hand-out, whatever became of the lease, the
//! session or the server since. Everything else needs the current lease too. Settling one message
//! hands out the next ones and may be what a draining session waited for, all in the same commit.

use std::collections::BTreeSet;

use super::returned::{self, Attempt, Ended, Return};
use super::{circuits, finish, hand_out, release};
use crate::backoff::retry_pause;
use crate::command::{NackKind, Outcome, Settle, Settlement};
use crate::draft::{Draft, Stop};
use crate::event::Actor;
use crate::ids::{Namespace, QueueId};
use crate::lease::LeaseMode;
use crate::message::{DeadReason, MessageRow, Standing};
use crate::presence::InstanceKey;
use crate::queue::{Disposition, QueueRow};
use crate::reply::{Current, Reply, SettleCode, SettleResult};
use crate::session::Usage;
use crate::time::Span;

/// Settles without a stream.
pub(super) fn settle(draft: &mut Draft<'_>, settle: &Settle) -> Result<Reply, Stop> {
    let (results, touched) = settle_all(draft, &settle.namespace, &settle.settlements)?;
    follow_up(draft, &touched)?;
    Ok(Reply::Settled(results))
}

/// What settlements touched: queues that may go on, streams that have room again.
#[derive(Debug, Default)]
pub(super) struct Touched {
    queues: BTreeSet<QueueId>,
    holders: BTreeSet<InstanceKey>,
}

/// Settles each in turn.
pub(super) fn settle_all(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    settlements: &[Settlement],
) -> Result<(Vec<SettleResult>, Touched), Stop> {
    draft.know_messages(settlements.iter().map(|one| (one.queue, one.seq)))?;
    let mut touched = Touched::default();
    let mut results = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        let code = settle_one(draft, namespace, settlement, &mut touched)?;
        results.push(result(draft, settlement, code)?);
    }
    Ok((results, touched))
}

/// Ends sessions that waited for this, hands out what may go next.
pub(super) fn follow_up(draft: &mut Draft<'_>, touched: &Touched) -> Result<(), Stop> {
    for queue in &touched.queues {
        let owner = draft.queue(*queue)?.owner;
        finish::if_drained(draft, owner)?;
        hand_out::offer(draft, *queue)?;
    }
    for holder in &touched.holders {
        hand_out::refill(draft, holder)?;
    }
    Ok(())
}

/// Says with a refusal what counts instead, and with an extension until when.
fn result(
    draft: &Draft<'_>,
    settlement: &Settlement,
    code: SettleCode,
) -> Result<SettleResult, Stop> {
    let mut current = Current::default();
    if matches!(code, SettleCode::Fenced | SettleCode::StaleDelivery) {
        current.epoch = draft.queue(settlement.queue)?.lease;
        let message = draft.message(settlement.queue, settlement.seq)?;
        current.delivery_id = message.and_then(|message| message.latest);
    }
    let deadline = match (&settlement.outcome, code) {
        (Outcome::Extend { .. }, SettleCode::Ok) => {
            Some(draft.lease_view(settlement.epoch)?.expire_time)
        }
        _ => None,
    };
    Ok(SettleResult {
        queue: settlement.queue,
        seq: settlement.seq,
        delivery_id: settlement.delivery_id,
        code,
        current,
        deadline,
    })
}

fn settle_one(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    settlement: &Settlement,
    touched: &mut Touched,
) -> Result<SettleCode, Stop> {
    let Some(queue) = draft
        .queue_if(settlement.queue)?
        .filter(|queue| queue.namespace == *namespace)
        .filter(|queue| !matches!(queue.disposition, Disposition::Purged { .. }))
    else {
        return Ok(SettleCode::UnknownMessage);
    };
    if settlement.seq >= queue.next_seq || settlement.seq.0 == 0 {
        return Ok(SettleCode::UnknownMessage);
    }
    let row = match draft.message(queue.id, settlement.seq)? {
        Some(row) => Some(row),
        None => draft.dead_letter(queue.id, settlement.seq)?,
    };
    let Some(message) = row else {
        return Ok(SettleCode::AlreadySettled);
    };
    let unfenced = faulty!(AckUnfenced) && matches!(settlement.outcome, Outcome::Ack { .. });
    if message.latest != Some(settlement.delivery_id) && !unfenced {
        return Ok(SettleCode::StaleDelivery);
    }
    if let Outcome::Ack { usage } = settlement.outcome {
        ack(draft, &queue, &message, usage, touched)?;
        return Ok(SettleCode::Ok);
    }
    let current = message.standing == Standing::InFlight(settlement.epoch)
        && queue.lease == Some(settlement.epoch);
    if !current {
        return Ok(SettleCode::Fenced);
    }
    match &settlement.outcome {
        Outcome::Ack { .. } => {}
        Outcome::Extend { by } => extend(draft, settlement, *by),
        Outcome::Nack { kind, delay, error } => {
            out_of_flight(draft, &message, touched);
            let how = nack(draft, &message, *kind, *delay, error)?;
            // First, or a session that gives up its last message would look idle.
            touch(draft, &queue)?;
            nacked(draft, &message, *kind, &how)?;
            circuits::failed(draft, queue.owner, &message, *kind, &how.actor)?;
            touched.queues.insert(queue.id);
        }
    }
    Ok(SettleCode::Ok)
}

fn ack(
    draft: &mut Draft<'_>,
    queue: &QueueRow,
    message: &MessageRow,
    usage: Usage,
    touched: &mut Touched,
) -> Result<(), Stop> {
    out_of_flight(draft, message, touched);
    draft.move_message(Some(message), None)?;
    draft.acked += 1;
    let session = draft.session(queue.owner)?;
    let mut activity = draft.activity(queue.owner)?;
    activity.totals.processed += 1;
    activity.usage.add(usage);
    activity.restart_guard.succeeded();
    // It was counted as given up when its session ended, or when it lapsed once too often.
    let given_up = matches!(queue.disposition, Disposition::Dead { .. })
        || matches!(message.standing, Standing::Dead { .. });
    if given_up {
        activity.totals.dead_lettered = activity.totals.dead_lettered.saturating_sub(1);
    } else if matches!(queue.disposition, Disposition::Discarded { .. }) {
        // It was counted as discarded when its session ended; the ack was faster than the deletion.
        activity.totals.discarded = activity.totals.discarded.saturating_sub(1);
    }
    if session.is_live() {
        activity.touch(draft.now);
    }
    let closed = if session.is_ended() || faulty!(CircuitKept) {
        None
    } else {
        activity.circuits.close(&message.kind)
    };
    draft.put_activity(&session, activity)?;
    touched.queues.insert(queue.id);
    match closed {
        Some(circuit) => {
            let actor = acknowledger(draft, message)?;
            circuits::closed_by(draft, queue.owner, &circuit, message, actor)
        }
        None => Ok(()),
    }
}

/// Who works on a message; one whose lease is gone has no name any more.
fn acknowledger(draft: &Draft<'_>, message: &MessageRow) -> Result<Actor, Stop> {
    let lease = match message.standing {
        Standing::InFlight(epoch) => draft.lease_if(epoch)?,
        Standing::Ready(_)
        | Standing::Waiting { .. }
        | Standing::Debounced
        | Standing::Dead { .. } => None,
    };
    Ok(Actor::worker(
        lease.as_ref().map_or("", |lease| lease.worker.as_str()),
    ))
}

/// Gives the holder its room back.
fn out_of_flight(draft: &mut Draft<'_>, message: &MessageRow, touched: &mut Touched) {
    let Standing::InFlight(epoch) = message.standing else {
        return;
    };
    if let Some(clock) = draft.clock(epoch) {
        let bytes = i64::try_from(message.bytes).expect("a message is smaller than an exabyte");
        release::charge(draft, epoch, -1, -bytes);
        release::moved(draft, epoch);
        touched.holders.insert(clock.holder);
    }
}

fn touch(draft: &mut Draft<'_>, queue: &QueueRow) -> Result<(), Stop> {
    let session = draft.session(queue.owner)?;
    if session.is_live() {
        let mut activity = draft.activity(queue.owner)?;
        activity.touch(draft.now);
        draft.put_activity(&session, activity)?;
    }
    Ok(())
}

fn extend(draft: &mut Draft<'_>, settlement: &Settlement, by: Span) {
    let Some(mut clock) = draft.clock(settlement.epoch) else {
        return;
    };
    let now = draft.now.engine;
    clock.restored_at = None;
    match clock.mode {
        LeaseMode::Stream => clock.renewed_at = now,
        // More time is asked for, never less.
        LeaseMode::Claim if now + by > draft.lapse_at(&clock) => {
            clock.renewed_at = now;
            clock.duration = by;
        }
        LeaseMode::Claim => {}
    }
    clock.moved_at = now;
    clock.alarm = clock.alarm.min(draft.look_at(&clock));
    draft.set_clock(settlement.epoch, Some(clock));
}

fn nack(
    draft: &Draft<'_>,
    message: &MessageRow,
    kind: NackKind,
    delay: Option<Span>,
    error: &str,
) -> Result<Return, Stop> {
    let Standing::InFlight(epoch) = message.standing else {
        panic!("a nack is taken of a message in flight only");
    };
    let attempt = match kind {
        NackKind::Retry if faulty!(RetryRefunded) => Attempt::Refunded,
        NackKind::Retry | NackKind::Permanent => Attempt::Counts,
        NackKind::Defer => Attempt::Refunded,
    };
    let policy = draft.policy();
    let pause = match kind {
        NackKind::Retry | NackKind::Permanent => delay
            .unwrap_or_else(|| retry_pause(policy, message.queue, message.seq, message.attempt)),
        NackKind::Defer => delay.unwrap_or(policy.defer_pause),
    };
    Ok(Return {
        attempt,
        pause: Some(pause),
        ended: Ended::Settled,
        error: Some(error.to_owned()),
        actor: Actor::worker(draft.lease(epoch)?.worker.as_str()),
    })
}

fn nacked(
    draft: &mut Draft<'_>,
    message: &MessageRow,
    kind: NackKind,
    how: &Return,
) -> Result<(), Stop> {
    match kind {
        NackKind::Retry | NackKind::Defer => returned::give_back(draft, message, how),
        NackKind::Permanent => {
            let mut after = message.clone();
            after.latest = None;
            after.last_error = how.error.clone().unwrap_or_default();
            returned::give_up(draft, message, after, DeadReason::Permanent, &how.actor)
        }
    }
}
