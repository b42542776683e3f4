//! One message of an enqueue.

use bytes::Bytes;
use sessiond_core::ids::{CoalesceKey, IdempotencyKey, MessageKind};
use sessiond_core::limits::{
    DEBOUNCE_QUIET_MAX, DEBOUNCE_WAIT_FACTOR, DEBOUNCE_WAIT_MAX, ID_BYTES_MAX, KIND_BYTES_MAX,
    Policy,
};
use sessiond_core::message::{Debounce, DeliveryMode, NewMessage};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;

use super::{enumeration, text, time};
use crate::wire::faults::Faults;

/// Payloads from this size on stay in the buffer they came in, which then holds little else: a stream's buffer grows by
/// 8 KiB.
const SHARED_MIN_BYTES: usize = 8 * 1_024;

/// A message as a caller hands it in.
pub(crate) fn message(
    faults: &mut Faults,
    message: pb::Message,
    policy: &Policy,
) -> Option<NewMessage> {
    refuse_ours(faults, &message);
    let mode = delivery_mode(faults, message.delivery_mode);
    let kind = MessageKind::parse(message.kind)
        .map_err(|error| faults.invalid("kind", text::describe(error, KIND_BYTES_MAX)))
        .ok();
    let bytes = message.payload.len() as u64;
    if bytes > policy.message_bytes_max {
        let setting = Some("[queue] max_message_bytes");
        faults.too_large("payload", policy.message_bytes_max, bytes, setting);
    }
    let idempotency_key = text::optional(
        faults,
        "idempotency_key",
        message.idempotency_key,
        IdempotencyKey::parse,
    );
    let coalesce_key = text::optional(
        faults,
        "coalesce_key",
        message.coalesce_key,
        CoalesceKey::parse,
    );
    let content_type = text::bounded(faults, "content_type", message.content_type, ID_BYTES_MAX);
    let trace_parent = text::bounded(faults, "trace_parent", message.trace_parent, ID_BYTES_MAX);
    let attributes = text::labels(faults, "attributes", message.attributes);
    let agent_id = text::name(faults, "agent_id", message.agent_id);
    let agent_type = text::bounded(faults, "agent_type", message.agent_type, ID_BYTES_MAX);
    let occurred_time = time::past(faults, "occurred_time", message.occurred_time);
    let not_before_time = time::not_before(faults, "not_before_time", message.not_before_time);
    let deferred = not_before_time.is_some();
    let debounce = message
        .debounce
        .and_then(|given| faults.within("debounce", |faults| debounce(faults, given, deferred)));
    Some(NewMessage {
        kind: kind?,
        payload: of_its_own(message.payload),
        content_type,
        attributes,
        agent_id,
        agent_type,
        prompt_number: message.prompt_number,
        mode,
        coalesce_key,
        debounce,
        occurred_time,
        not_before_time,
        idempotency_key,
        trace_parent,
    })
}

/// A payload in memory of its own. What the transport hands over shares a buffer with what arrived beside it, and a
/// small payload that is kept until the next checkpoint would keep all of it.
fn of_its_own(payload: Bytes) -> Bytes {
    if payload.len() < SHARED_MIN_BYTES {
        Bytes::copy_from_slice(&payload)
    } else {
        payload
    }
}

/// Fields that only the server sets.
fn refuse_ours(faults: &mut Faults, message: &pb::Message) {
    let ours = [
        ("session_id", !message.session_id.is_empty()),
        ("queue_id", message.queue_id != 0),
        ("seq", message.seq != 0),
        ("enqueue_time", message.enqueue_time.is_some()),
        ("attempt", message.attempt != 0),
        ("status", message.status.is_some()),
    ];
    for (field, set) in ours {
        if set {
            faults.invalid(field, "must be unset: the server sets it");
        }
    }
}

/// How long a message is held back for others like it.
fn debounce(faults: &mut Faults, given: pb::Debounce, deferred: bool) -> Option<Debounce> {
    if deferred {
        let description = "must be unset with `not_before_time`: one of them says when it may go";
        faults.invalid("", description);
    }
    if given.quiet.is_none() {
        faults.invalid("quiet", "must be set");
    }
    let quiet = time::span(faults, "quiet", given.quiet, DEBOUNCE_QUIET_MAX);
    let least = quiet.unwrap_or(Span(0));
    let max_wait = time::span_between(faults, "max_wait", given.max_wait, least, DEBOUNCE_WAIT_MAX);
    let quiet = quiet?;
    let max_wait = max_wait.unwrap_or(Span(quiet.0 * DEBOUNCE_WAIT_FACTOR));
    Some(Debounce { quiet, max_wait })
}

/// How a message relates to work in progress.
fn delivery_mode(faults: &mut Faults, number: i32) -> DeliveryMode {
    match enumeration::known(faults, "delivery_mode", number, "DeliveryMode") {
        None | Some(pb::DeliveryMode::Unspecified | pb::DeliveryMode::FollowUp) => {
            DeliveryMode::FollowUp
        }
        Some(pb::DeliveryMode::Steer) => DeliveryMode::Steer,
        Some(pb::DeliveryMode::Interrupt) => DeliveryMode::Interrupt,
        Some(pb::DeliveryMode::Collect) => DeliveryMode::Collect,
    }
}
