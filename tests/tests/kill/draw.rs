//! What the storm asks for: requests drawn from a seed, and messages that tell who they are.
//!
//! Invariant: a message's bytes follow from its name alone, so whoever meets it later can tell whether it
//! was ever sent and whether it is whole. What this deliberately does not do: send.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use sessiond_client::{pb, session_key};

/// The attribute that holds a message's name.
const NAME: &str = "name";

/// The largest filling of a payload, in bytes: above what fits a page of the store, so that some rows
/// take several.
const FILLING_MAX: usize = 9_000;

/// Messages of one enqueue.
const BATCH_MAX: u32 = 5;

/// How the names of lasting keys begin.
pub(crate) const LASTING: &str = "lasting-";

/// Keys whose queue goes on from one session to the next.
pub(crate) const LASTING_KEYS: usize = 4;

/// How ends of a lasting key are reasoned: none of them gives the queue up.
const LASTING_REASONS: [pb::EndReason; 7] = [
    pb::EndReason::Reset,
    pb::EndReason::Replaced,
    pb::EndReason::Compacted,
    pb::EndReason::Scheduled,
    pb::EndReason::Shutdown,
    pb::EndReason::Restart,
    pb::EndReason::Crashed,
];

/// How other sessions end.
const REASONS: [pb::EndReason; 5] = [
    pb::EndReason::Completed,
    pb::EndReason::Failed,
    pb::EndReason::Deleted,
    pb::EndReason::Scheduled,
    pb::EndReason::Shutdown,
];

/// A key whose queue lasts.
pub(crate) fn lasting_key(rng: &mut Rng) -> String {
    lasting_name(rng.usize(..LASTING_KEYS))
}

/// The name of one of them.
pub(crate) fn lasting_name(at: usize) -> String {
    format!("{LASTING}{at}")
}

/// The bytes of the message of that name.
pub(crate) fn payload(name: &str) -> Bytes {
    let seed = name
        .bytes()
        .fold(1, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte));
    let mut rng = Rng::with_seed(seed);
    // Most are small; a few are not.
    let size = FILLING_MAX >> rng.u32(0..8);
    let mut bytes = format!("{name}\n").into_bytes();
    bytes.extend((0..rng.usize(0..=size)).map(|_| rng.alphanumeric() as u8));
    Bytes::from(bytes)
}

/// The name of a message as it came back; checks nothing.
pub(crate) fn name_of(message: &pb::Message) -> &str {
    message.attributes.get(NAME).map_or("", String::as_str)
}

/// Messages named after the request, and what makes their repeat harmless.
pub(crate) fn batch(request: &str, rng: &mut Rng) -> (Vec<pb::Message>, String) {
    let keyed = rng.bool();
    let count = rng.u32(1..=BATCH_MAX);
    let messages = (0..count).map(|at| {
        let name = format!("{request}/{at}");
        pb::Message {
            kind: "observation".to_owned(),
            payload: payload(&name),
            attributes: BTreeMap::from([(NAME.to_owned(), name.clone())]),
            idempotency_key: if keyed { name } else { String::new() },
            ..Default::default()
        }
    });
    (messages.collect(), request.to_owned())
}

/// Opens a lasting key in one way or another.
pub(crate) fn open_lasting(request: String, rng: &mut Rng) -> pb::OpenSessionRequest {
    let policy = match rng.u32(..10) {
        0..6 => pb::ConflictPolicy::UseExisting,
        6..9 => pb::ConflictPolicy::Replace,
        _ => pb::ConflictPolicy::Fail,
    };
    pb::OpenSessionRequest {
        key: lasting_key(rng),
        conflict_policy: policy.into(),
        request_id: request,
        ..Default::default()
    }
}

/// Opens a session of its own; the request's name is its id too.
pub(crate) fn open_own(request: String, rng: &mut Rng) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        key: if rng.u32(..3) > 0 {
            own_key(&request)
        } else {
            String::new()
        },
        session_id: request.clone(),
        max_in_flight: Some(rng.u32(1..=8)),
        request_id: request,
        ..Default::default()
    }
}

/// Opens the key of a session that was ended, whatever has become of it.
pub(crate) fn open_again(key: String, request: String) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        key,
        request_id: request,
        ..Default::default()
    }
}

/// The key of a session of that id, if it was given one.
pub(crate) fn own_key(session: &str) -> String {
    format!("key-{session}")
}

/// Enqueues for a lasting key, most often opening it when nobody has.
pub(crate) fn enqueue_lasting(request: &str, rng: &mut Rng) -> pb::EnqueueMessagesRequest {
    let (messages, request_id) = batch(request, rng);
    let open = (rng.u32(..10) < 7).then(pb::OpenSessionRequest::default);
    pb::EnqueueMessagesRequest {
        r#ref: Some(session_key(lasting_key(rng))),
        messages,
        open_if_missing: open,
        request_id,
    }
}

/// Ends a lasting key at once: its queue waits for the next session.
pub(crate) fn end_lasting(request: String, rng: &mut Rng) -> pb::EndSessionRequest {
    let reason = rng.choice(LASTING_REASONS).expect("there are reasons");
    pb::EndSessionRequest {
        r#ref: Some(session_key(lasting_key(rng))),
        reason: reason.into(),
        mode: pb::EndMode::Immediate.into(),
        request_id: request,
        ..Default::default()
    }
}

/// Ends one session in any way.
pub(crate) fn end_own(session: &str, request: String, rng: &mut Rng) -> pb::EndSessionRequest {
    let reason = rng.choice(REASONS).expect("there are reasons");
    let mode = match rng.u32(..3) {
        0 => pb::EndMode::Immediate,
        1 => pb::EndMode::Graceful,
        _ => pb::EndMode::AfterPending,
    };
    let grace = (mode != pb::EndMode::Immediate).then(|| span(rng.u64(1..1_500)));
    let policy = if rng.u32(..4) == 0 {
        pb::PendingPolicy::Discard
    } else {
        pb::PendingPolicy::Keep
    };
    pb::EndSessionRequest {
        r#ref: Some(sessiond_client::session_id(session)),
        reason: reason.into(),
        mode: mode.into(),
        end_grace: grace,
        pending_policy: policy.into(),
        request_id: request,
        ..Default::default()
    }
}

/// What a worker says about a delivery.
pub(crate) fn outcome(rng: &mut Rng) -> pb::settlement::Outcome {
    use pb::settlement::Outcome;
    let nack = |kind: pb::NackKind, delay: Option<u64>| {
        Outcome::Nack(pb::Nack {
            kind: kind.into(),
            delay: delay.map(span),
            ..Default::default()
        })
    };
    match rng.u32(..100) {
        0..84 => Outcome::Ack(pb::Ack::default()),
        84..92 => nack(pb::NackKind::Retry, Some(rng.u64(1..20))),
        92..97 => nack(pb::NackKind::Defer, Some(rng.u64(1..20))),
        97..99 => nack(pb::NackKind::Permanent, None),
        _ => Outcome::Extend(pb::Extend {
            by: Some(span(1_000)),
        }),
    }
}

/// So many milliseconds.
pub(crate) fn span(millis: u64) -> prost_types::Duration {
    let span = Duration::from_millis(millis);
    span.try_into().expect("a short time fits")
}
