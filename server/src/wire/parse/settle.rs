//! SettleMessages, and the settle frame of a worker.

use sessiond_core::command::{NackKind, Outcome, Settle, Settlement};
use sessiond_core::ids::{DeliveryId, Epoch, Namespace, QueueId, Seq, SessionId};
use sessiond_core::limits::{LEASE_MAX, NACK_DELAY_MAX, SETTLEMENTS_MAX, TEXT_BYTES_MAX};
use sessiond_proto::v1 as pb;

use super::touch::usage;
use super::{enumeration, number, text, time};
use crate::wire::faults::{Faults, Invalid};

/// What to settle.
pub(crate) fn settle(
    namespace: &Namespace,
    request: pb::SettleMessagesRequest,
) -> Result<Settle, Invalid> {
    let mut faults = Faults::default();
    let settlements = settlements(&mut faults, request.settlements);
    faults.finish(Some(Settle {
        namespace: namespace.clone(),
        settlements,
    }))
}

/// The settlements of one call or frame.
pub(crate) fn settlements(faults: &mut Faults, given: Vec<pb::Settlement>) -> Vec<Settlement> {
    number::some_items(faults, "settlements", given.len(), SETTLEMENTS_MAX);
    let mut settlements = Vec::with_capacity(given.len().min(SETTLEMENTS_MAX));
    for (index, one) in given.into_iter().take(SETTLEMENTS_MAX).enumerate() {
        let parsed = faults.within_item("settlements", index, |faults| settlement(faults, one));
        settlements.extend(parsed);
    }
    settlements
}

fn settlement(faults: &mut Faults, given: pb::Settlement) -> Option<Settlement> {
    // The session is the worker's word only: what counts is the queue's owner.
    text::optional(faults, "session_id", given.session_id, SessionId::parse);
    let queue = number::required(faults, "queue_id", given.queue_id);
    let seq = number::required(faults, "seq", given.seq);
    let delivery_id = number::required(faults, "delivery_id", given.delivery_id);
    let outcome = outcome(faults, given.outcome);
    Some(Settlement {
        queue: QueueId(queue),
        seq: Seq(seq),
        delivery_id: DeliveryId(delivery_id),
        epoch: Epoch(given.epoch),
        outcome: outcome?,
    })
}

fn outcome(faults: &mut Faults, outcome: Option<pb::settlement::Outcome>) -> Option<Outcome> {
    match outcome {
        Some(pb::settlement::Outcome::Ack(ack)) => Some(Outcome::Ack {
            usage: usage(ack.usage_delta),
        }),
        Some(pb::settlement::Outcome::Nack(given)) => {
            faults.within("nack", |faults| nack(faults, given))
        }
        Some(pb::settlement::Outcome::Extend(given)) => {
            faults.within("extend", |faults| extend(faults, given))
        }
        None => {
            faults.invalid("", "must have an outcome: ack, nack or extend");
            None
        }
    }
}

fn nack(faults: &mut Faults, given: pb::Nack) -> Option<Outcome> {
    let kind = match enumeration::known(faults, "kind", given.kind, "NackKind") {
        None => None,
        Some(pb::NackKind::Unspecified | pb::NackKind::Retry) => Some(NackKind::Retry),
        Some(pb::NackKind::Defer) => Some(NackKind::Defer),
        Some(pb::NackKind::Permanent) => Some(NackKind::Permanent),
    };
    if kind == Some(NackKind::Permanent) && given.delay.is_some() {
        faults.invalid("delay", "must be unset with PERMANENT");
    }
    let delay = time::span(faults, "delay", given.delay, NACK_DELAY_MAX);
    let error = text::bounded(faults, "error", given.error, TEXT_BYTES_MAX);
    Some(Outcome::Nack {
        kind: kind?,
        delay,
        error,
    })
}

fn extend(faults: &mut Faults, given: pb::Extend) -> Option<Outcome> {
    if given.by.is_none() {
        faults.invalid("by", "must be set");
    }
    let by = time::span(faults, "by", given.by, LEASE_MAX)?;
    Some(Outcome::Extend { by })
}
