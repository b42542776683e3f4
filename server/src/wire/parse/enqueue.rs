//! EnqueueMessages, and one frame of EnqueueStream: the same fields under a name.

use std::fmt::Write;

use sessiond_core::command::{ConflictPolicy, Enqueue, Open};
use sessiond_core::event::Actor;
use sessiond_core::ids::{IdempotencyKey, Namespace, RequestId, SessionId, SessionRef};
use sessiond_core::limits::{ENQUEUE_BYTES_MAX, ENQUEUE_MESSAGES_MAX, ID_BYTES_MAX, Policy};
use sessiond_core::message::NewMessage;
use sessiond_proto::v1 as pb;
use sha2::{Digest, Sha256};

use super::{message, number, open, reference, text};
use crate::wire::faults::{Faults, Invalid};

/// What to enqueue where. `draw` gives the id of a session that `open_if_missing` opens without bringing one; it is not
/// asked when nothing is to be opened.
pub(crate) fn enqueue(
    namespace: &Namespace,
    request: pb::EnqueueMessagesRequest,
    draw: impl FnOnce() -> SessionId,
    actor: Actor,
    policy: &Policy,
) -> Result<Enqueue, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, draw, actor, policy))
}

/// The same of a stream's frame. The caller keeps the frame's `stream_id` for the answer.
pub(crate) fn frame(
    namespace: &Namespace,
    frame: pb::EnqueueStreamRequest,
    draw: impl FnOnce() -> SessionId,
    actor: Actor,
    policy: &Policy,
) -> Result<Enqueue, Invalid> {
    let mut faults = Faults::default();
    text::bounded(&mut faults, "stream_id", frame.stream_id, ID_BYTES_MAX);
    let request = pb::EnqueueMessagesRequest {
        r#ref: frame.r#ref,
        messages: frame.messages,
        open_if_missing: frame.open_if_missing,
        request_id: frame.request_id,
    };
    let enqueue = fields(&mut faults, namespace, request, draw, actor, policy);
    faults.finish(enqueue)
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::EnqueueMessagesRequest,
    draw: impl FnOnce() -> SessionId,
    actor: Actor,
    policy: &Policy,
) -> Option<Enqueue> {
    let session = reference::required(faults, "ref", request.r#ref);
    let request_id = text::optional(faults, "request_id", request.request_id, RequestId::parse);
    let messages = messages(faults, request.messages, request_id.as_ref(), policy);
    let cause = actor.cause;
    let open_if_missing = request.open_if_missing.and_then(|open| {
        faults.within("open_if_missing", |faults| {
            open_if_missing(faults, namespace, open, session.as_ref(), draw(), actor)
        })
    });
    Some(Enqueue {
        namespace: namespace.clone(),
        session: session?,
        messages,
        cause,
        open_if_missing: open_if_missing.map(Box::new),
    })
}

fn messages(
    faults: &mut Faults,
    given: Vec<pb::Message>,
    request_id: Option<&RequestId>,
    policy: &Policy,
) -> Vec<NewMessage> {
    number::some_items(faults, "messages", given.len(), ENQUEUE_MESSAGES_MAX);
    let bytes: usize = given.iter().map(|message| message.payload.len()).sum();
    if bytes > ENQUEUE_BYTES_MAX {
        faults.too_large("messages", ENQUEUE_BYTES_MAX as u64, bytes as u64, None);
    }
    let mut messages = Vec::with_capacity(given.len().min(ENQUEUE_MESSAGES_MAX));
    // What lies past the bound is refused already; looking at it would only cost time.
    for (index, one) in given.into_iter().take(ENQUEUE_MESSAGES_MAX).enumerate() {
        let parsed = faults.within_item("messages", index, |faults| {
            message::message(faults, one, policy)
        });
        let Some(mut message) = parsed else {
            continue;
        };
        if let Some(request_id) = request_id
            && message.idempotency_key.is_none()
        {
            message.idempotency_key = Some(stand_in(request_id, index));
        }
        messages.push(message);
    }
    messages
}

/// The key of a message that brings none: `request_id/index`. An id so long that this would not be a
/// key is replaced by its hash.
fn stand_in(request_id: &RequestId, index: usize) -> IdempotencyKey {
    IdempotencyKey::parse(format!("{request_id}/{index}")).unwrap_or_else(|_| {
        let mut key = String::new();
        for byte in Sha256::digest(request_id.as_str()) {
            write!(key, "{byte:02x}").expect("a String takes everything");
        }
        IdempotencyKey::parse(format!("{key}/{index}")).expect("a hash and an index are a key")
    })
}

/// How to open the session: under the key of the reference, and only if it is missing.
fn open_if_missing(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::OpenSessionRequest,
    session: Option<&SessionRef>,
    drawn: SessionId,
    actor: Actor,
) -> Option<Open> {
    if !request.request_id.is_empty() {
        let description = "must be empty: the enqueue's own `request_id` makes a repeat harmless";
        faults.invalid("request_id", description);
    }
    let request = pb::OpenSessionRequest {
        request_id: String::new(),
        ..request
    };
    let mut open = open::fields(faults, namespace, request, drawn, actor)?;
    if open.conflict != ConflictPolicy::UseExisting {
        faults.invalid("conflict_policy", "must be unset or USE_EXISTING");
    }
    match session {
        Some(SessionRef::Key(key)) => {
            if open.key.as_ref().is_some_and(|named| named != key) {
                faults.invalid("key", "must be empty or the key of `ref`");
            }
            open.key = Some(key.clone());
        }
        Some(SessionRef::Id(_)) => {
            faults.invalid("", "must be unset unless `ref` names a key");
        }
        None => {}
    }
    Some(open)
}
