//! Consume: one consumer at a time reads for a subscription, and acknowledges what it has handled.
//!
//! Invariant: whoever reads has a fencing token, which only grows; under another one nothing is acknowledged. The same
//! consumer that comes back, also after a restart of the server, goes on under its token, so what it had yet to acknowledge
//! counts. Another one waits until it is gone, or takes over by saying so. What is acknowledged never goes back.

use std::sync::Arc;

use super::subscription::{ends_decision, find};
use crate::draft::{Draft, Stop};
use crate::ids::{Epoch, InstanceId, Revision, StreamId};
use crate::presence::Consumer;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::subscription::{
    SubscriptionKey, SubscriptionRejection, SubscriptionReply, SubscriptionRow,
};

/// Lets a consumer read for a subscription.
pub(super) fn consume(
    draft: &mut Draft<'_>,
    key: &SubscriptionKey,
    instance: &InstanceId,
    stream: StreamId,
    take_over: bool,
) -> Result<Reply, Stop> {
    let row = find(draft, key)?;
    refuse_stale(draft, &row)?;
    if let Some(present) = draft.consumer(key) {
        let is_own = present.instance == *instance;
        if is_own && present.stream > stream {
            return Err(Rejection::StreamReplaced.into());
        }
        if !is_own && !take_over && !faulty!(ConsumedTwice) {
            return Err(SubscriptionRejection::Held {
                name: row.name.clone(),
                holder: present.instance,
                epoch: row.epoch,
            }
            .into());
        }
    }
    let given = row.epoch;
    let row = take(draft, row, instance)?;
    let over = match draft.consumer(key) {
        Some(present) if present.instance == *instance => Rejection::StreamReplaced,
        Some(_) | None => fenced(&row, given).into(),
    };
    cut(draft, key, over);
    let instance = instance.clone();
    draft.set_consumer(key.clone(), Some(Consumer { instance, stream }));
    Ok(Reply::Subscription(SubscriptionReply::Consuming(row)))
}

/// The row under the token of a consumer: its own, if it was the last one.
fn take(
    draft: &mut Draft<'_>,
    row: Arc<SubscriptionRow>,
    instance: &InstanceId,
) -> Result<Arc<SubscriptionRow>, Stop> {
    if row.consumer.as_ref() == Some(instance) {
        return Ok(row);
    }
    let mut row = Arc::unwrap_or_clone(row);
    row.epoch = fresh_epoch(draft)?;
    row.consumer = Some(instance.clone());
    let row = Arc::new(row);
    draft.put_subscription(Arc::clone(&row))?;
    Ok(row)
}

/// A token that nobody ever had.
pub(super) fn fresh_epoch(draft: &mut Draft<'_>) -> Result<Epoch, Stop> {
    let mut counters = draft.counters()?;
    counters.epoch = counters.epoch.next();
    draft.put_counters(counters);
    Ok(counters.epoch)
}

/// Ends the watch of whoever reads for a subscription, if anybody does.
pub(super) fn cut(draft: &mut Draft<'_>, key: &SubscriptionKey, why: Rejection) {
    if let Some(present) = draft.consumer(key) {
        draft.cuts.push((present.stream, Box::new(why)));
        draft.set_consumer(key.clone(), None);
    }
}

/// Notes that the watch of a consumer is gone.
pub(super) fn left(draft: &mut Draft<'_>, key: &SubscriptionKey, stream: StreamId) -> Reply {
    let present = draft.consumer(key);
    if present.is_some_and(|present| present.stream == stream) {
        draft.set_consumer(key.clone(), None);
    }
    Reply::Done
}

/// Takes an acknowledgement.
pub(super) fn ack(
    draft: &mut Draft<'_>,
    key: &SubscriptionKey,
    revision: Revision,
    epoch: Epoch,
    delivered: Revision,
) -> Result<Reply, Stop> {
    let row = find(draft, key)?;
    if row.epoch != epoch && !faulty!(AckByAnybody) {
        return Err(fenced(&row, epoch).into());
    }
    refuse_stale(draft, &row)?;
    let delivered = delivered.min(draft.counters()?.revision);
    if revision > delivered {
        return Err(SubscriptionRejection::NotDelivered {
            revision,
            delivered,
        }
        .into());
    }
    if revision <= row.acked && !faulty!(AckGoesBack) {
        return Ok(acked(row.acked));
    }
    let mut row = SubscriptionRow::clone(&row);
    row.acked = revision;
    if revision > row.holds_after && ends_decision(draft, revision)? {
        row.holds_after = revision;
    }
    draft.put_subscription(row.into())?;
    Ok(acked(revision))
}

fn acked(through: Revision) -> Reply {
    Reply::Subscription(SubscriptionReply::Acked(through))
}

fn refuse_stale(draft: &Draft<'_>, row: &SubscriptionRow) -> Result<(), Stop> {
    if row.is_active() {
        return Ok(());
    }
    let oldest = draft.counters()?.compacted.next();
    Err(SubscriptionRejection::stale(row, oldest).into())
}

fn fenced(row: &SubscriptionRow, given: Epoch) -> SubscriptionRejection {
    SubscriptionRejection::Fenced {
        name: row.name.clone(),
        given,
        current: row.epoch,
    }
}
