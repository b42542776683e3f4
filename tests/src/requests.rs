//! The requests that tests send most, each with nothing set but what it is named for.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::settlement::Outcome;

/// A session by its key.
#[must_use]
pub fn key(key: &str) -> Option<pb::SessionRef> {
    let named = pb::session_ref::Ref::Key(key.to_owned());
    Some(pb::SessionRef { r#ref: Some(named) })
}

/// A session by its id.
#[must_use]
pub fn id(id: &str) -> Option<pb::SessionRef> {
    let named = pb::session_ref::Ref::SessionId(id.to_owned());
    Some(pb::SessionRef { r#ref: Some(named) })
}

/// A span.
///
/// # Panics
/// If it is longer than the wire can say.
#[must_use]
pub fn span(span: Duration) -> Option<prost_types::Duration> {
    Some(prost_types::Duration::try_from(span).expect("a span of tests is short"))
}

/// A span of whole milliseconds.
#[must_use]
pub fn millis(millis: u64) -> Option<prost_types::Duration> {
    span(Duration::from_millis(millis))
}

/// A span of an answer in whole milliseconds.
///
/// # Panics
/// If it is unset or negative.
#[must_use]
pub fn in_millis(span: Option<prost_types::Duration>) -> u128 {
    let span = span.expect("a span that is set");
    Duration::try_from(span)
        .expect("no span is negative")
        .as_millis()
}

/// A limit of whole milliseconds.
#[must_use]
pub fn after(limit: u64) -> Option<pb::Limit> {
    let bound = millis(limit).map(pb::limit::Bound::After);
    Some(pb::Limit { bound })
}

/// A limit that is off.
#[must_use]
pub fn never() -> Option<pb::Limit> {
    let bound = Some(pb::limit::Bound::Never(true));
    Some(pb::Limit { bound })
}

/// Labels.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Opens a key.
#[must_use]
pub fn open(key: &str) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        key: key.to_owned(),
        ..pb::OpenSessionRequest::default()
    }
}

/// Ends a session for a reason, in a mode.
#[must_use]
pub fn end(
    session: Option<pb::SessionRef>,
    reason: pb::EndReason,
    mode: pb::EndMode,
) -> pb::EndSessionRequest {
    pb::EndSessionRequest {
        r#ref: session,
        reason: reason.into(),
        mode: mode.into(),
        ..pb::EndSessionRequest::default()
    }
}

/// A message with a payload.
#[must_use]
pub fn message(payload: &str) -> pb::Message {
    pb::Message {
        kind: "observation".to_owned(),
        payload: payload.to_owned().into(),
        ..pb::Message::default()
    }
}

/// Enqueues one message for each payload.
#[must_use]
pub fn enqueue(session: Option<pb::SessionRef>, payloads: &[&str]) -> pb::EnqueueMessagesRequest {
    send(session, payloads.iter().map(|payload| message(payload)))
}

/// Enqueues messages.
#[must_use]
pub fn send(
    session: Option<pb::SessionRef>,
    messages: impl IntoIterator<Item = pb::Message>,
) -> pb::EnqueueMessagesRequest {
    pb::EnqueueMessagesRequest {
        r#ref: session,
        messages: messages.into_iter().collect(),
        ..pb::EnqueueMessagesRequest::default()
    }
}

/// Lists the dead letters of a session, or of the whole namespace.
#[must_use]
pub fn dead_letters(session: Option<pb::SessionRef>) -> pb::ListDeadLettersRequest {
    pb::ListDeadLettersRequest {
        filter: Some(pb::DeadLetterFilter {
            r#ref: session,
            ..pb::DeadLetterFilter::default()
        }),
        page_size: 1_000,
        ..pb::ListDeadLettersRequest::default()
    }
}

/// Claims up to 256 messages of a session without waiting.
#[must_use]
pub fn claim(session: Option<pb::SessionRef>, worker: &str) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        target: session.map(pb::claim_messages_request::Target::Ref),
        worker: worker.to_owned(),
        max_messages: Some(256),
        ..pb::ClaimMessagesRequest::default()
    }
}

/// The same, and waits so many milliseconds for the first one.
#[must_use]
pub fn claim_within(
    session: Option<pb::SessionRef>,
    worker: &str,
    wait: u64,
) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        wait: millis(wait),
        ..claim(session, worker)
    }
}

/// Claims from any session that a filter means.
#[must_use]
pub fn claim_any(filter: pb::SessionFilter, worker: &str) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        target: Some(pb::claim_messages_request::Target::Selector(filter)),
        ..claim(None, worker)
    }
}

/// A settlement of a delivery.
///
/// # Panics
/// If the delivery has no message.
#[must_use]
pub fn settlement(delivery: &pb::Delivery, outcome: Outcome) -> pb::Settlement {
    let message = delivery
        .message
        .as_ref()
        .expect("a delivery has its message");
    pb::Settlement {
        queue_id: message.queue_id,
        seq: message.seq,
        delivery_id: delivery.delivery_id,
        epoch: delivery.epoch,
        session_id: message.session_id.clone(),
        outcome: Some(outcome),
    }
}

/// The work is done.
#[must_use]
pub fn ack(delivery: &pb::Delivery) -> pb::Settlement {
    settlement(delivery, Outcome::Ack(pb::Ack::default()))
}

/// The work was not done; without a delay the server chooses the wait.
#[must_use]
pub fn nack(delivery: &pb::Delivery, kind: pb::NackKind, delay_ms: Option<u64>) -> pb::Settlement {
    let nack = pb::Nack {
        kind: kind.into(),
        delay: delay_ms.and_then(millis),
        error: "it failed".to_owned(),
    };
    settlement(delivery, Outcome::Nack(nack))
}

/// The work goes on.
#[must_use]
pub fn extend(delivery: &pb::Delivery, by_ms: u64) -> pb::Settlement {
    settlement(delivery, Outcome::Extend(pb::Extend { by: millis(by_ms) }))
}

/// What deliveries carry, as text.
///
/// # Panics
/// If one has no message or carries no text.
#[must_use]
pub fn payloads(deliveries: &[pb::Delivery]) -> Vec<String> {
    let texts = deliveries.iter().map(|delivery| {
        let message = delivery
            .message
            .as_ref()
            .expect("a delivery has its message");
        String::from_utf8(message.payload.to_vec()).expect("tests send text")
    });
    texts.collect()
}

/// The seqs of deliveries.
///
/// # Panics
/// If one has no message.
#[must_use]
pub fn seqs(deliveries: &[pb::Delivery]) -> Vec<u64> {
    let seqs = deliveries
        .iter()
        .map(|delivery| delivery.message.as_ref().expect("a message").seq);
    seqs.collect()
}

/// How often each delivery's message was handed out.
///
/// # Panics
/// If one has no message.
#[must_use]
pub fn attempts(deliveries: &[pb::Delivery]) -> Vec<u32> {
    let attempts = deliveries
        .iter()
        .map(|delivery| delivery.message.as_ref().expect("a message").attempt);
    attempts.collect()
}

/// A session without the times that are foreseen, which are counted on one clock and shown on another
/// and so may differ by a millisecond from one answer to the next.
#[must_use]
pub fn unforeseen(session: pb::Session) -> pb::Session {
    pb::Session {
        lease: session.lease.map(|lease| pb::Lease {
            expire_time: None,
            ..lease
        }),
        expire_time: None,
        ..session
    }
}
