//! Whether a played recording came to what was recorded, by what other processes printed.
//!
//! Invariant: each message of the file was handed out once and in the file's order, each session ended
//! once, and the events that were seen are the log without a hole. What this deliberately does not do:
//! ask the server for anything but its last counts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sessiond_client::pb;
use sessiond_tests::recording::{Deed, Recorded, Recording};

/// What a number of the contract is in JSON.
pub(crate) fn number(value: &Value, name: &str) -> u64 {
    let field = &value[name];
    let text = field.as_str().and_then(|text| text.parse().ok());
    text.or_else(|| field.as_u64())
        .unwrap_or_else(|| panic!("`{name}` is no number in {value}"))
}

/// The text of a field.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("`{name}` is no text in {value}"))
}

/// The revisions that a watcher from the first event on printed are all there are.
pub(crate) fn whole_log(events: &[Value]) {
    for (event, expected) in events.iter().zip(1..) {
        assert_eq!(number(event, "revision"), expected, "a gap or a repeat");
    }
}

/// Every session of the recording was opened once and ended once; answers the keys by session id.
pub(crate) fn ends(recording: &Recording, events: &[Value]) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let mut ended = BTreeSet::new();
    let messages = recording.messages_by_session();
    for event in events {
        let session = &event["session"];
        let (id, key) = (text(session, "session_id"), text(session, "key"));
        match text(event, "type") {
            "EVENT_TYPE_SESSION_OPENED" => {
                let known = keys.insert(id.to_owned(), key.to_owned());
                assert_eq!(known, None, "session {id} was opened twice");
            }
            "EVENT_TYPE_SESSION_END" => {
                assert!(keys.contains_key(id), "{id} ended without having begun");
                assert!(ended.insert(key.to_owned()), "{key} ended twice");
                let counts = &event["end"]["counts"];
                let processed = number(counts, "processed");
                assert_eq!(processed, messages[key] as u64, "of {key}: {event}");
                assert_eq!(number(counts, "enqueued"), processed, "{event}");
            }
            _ => {}
        }
    }
    let expected: BTreeSet<String> = messages.keys().map(|key| (*key).to_owned()).collect();
    assert_eq!(ended, expected, "every session has its one end");
    assert_eq!(keys.len(), expected.len(), "no session was opened again");
    assert_eq!(ended.len(), recording.count(Deed::End));
    keys
}

/// Every message was handed out once, to one worker, with the bytes of the file, and each queue in order
/// of the numbers it gave.
pub(crate) fn handed_out(
    recording: &Recording,
    keys: &BTreeMap<String, String>,
    workers: &[Vec<Value>],
) {
    let mut queues: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (at, printed) in workers.iter().enumerate() {
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        for message in printed {
            let (queue, seq) = (number(message, "queue_id"), number(message, "seq"));
            let before = newest.insert(queue, seq).unwrap_or(0);
            assert!(
                before < seq,
                "worker {at} got {seq} of queue {queue} after {before}"
            );
            let key = keys[text(message, "session_id")].as_str();
            queues.entry(key).or_default().push(message);
        }
    }
    for (key, events) in recording.sessions() {
        let mut messages = queues.remove(key).unwrap_or_default();
        messages.sort_by_key(|message| number(message, "seq"));
        let sent = first_of_each(&events);
        assert_eq!(messages.len(), sent.len(), "messages of {key}");
        for (at, (message, event)) in messages.into_iter().zip(sent).enumerate() {
            assert_eq!(number(message, "seq"), at as u64 + 1, "of {key}");
            is_of(message, event);
        }
    }
    assert!(queues.is_empty(), "messages of no recorded session");
}

/// The events that became messages: a repeated use of a tool became none.
fn first_of_each<'a>(events: &[&'a Recorded]) -> Vec<&'a Recorded> {
    let mut tools = BTreeSet::new();
    let messages = events.iter().filter(|event| event.deed == Deed::Message);
    messages
        .copied()
        .filter(|event| event.tool_use.is_none() || tools.insert(&event.tool_use))
        .collect()
}

/// The message says what the event says: its name, its tool and the fields that were passed on.
fn is_of(message: &Value, event: &Recorded) {
    let recorded: Value = serde_json::from_str(&event.text).expect("it was read before");
    let name = &message["attributes"]["hook_event_name"];
    assert_eq!(name, &recorded["hook_event_name"], "{message}");
    if let Some(tool_use) = &event.tool_use {
        assert_eq!(text(message, "idempotency_key"), tool_use);
    }
    let payload = base64(text(message, "payload"));
    let payload: Value = serde_json::from_slice(&payload).expect("a payload is JSON");
    let fields = payload.as_object().expect("a payload is an object");
    assert!(!fields.is_empty(), "an empty payload of {}", event.text);
    for (field, value) in fields {
        assert_eq!(value, &recorded[field], "`{field}` of {}", event.text);
    }
    for field in [
        "tool_name",
        "tool_input",
        "tool_response",
        "last_assistant_message",
    ] {
        assert_eq!(fields.get(field), recorded.get(field), "{}", event.text);
    }
}

/// Nothing is left, and every session is over.
pub(crate) fn nothing_left(recording: &Recording, stats: &pb::GetStatsResponse) {
    let sessions = stats.sessions.expect("stats count sessions");
    let messages = stats.messages.expect("stats count messages");
    assert_eq!(sessions.ended, recording.sessions().len() as u64);
    assert_eq!(
        (sessions.queued, sessions.active, sessions.draining),
        (0, 0, 0)
    );
    let left = (messages.pending, messages.in_flight, messages.dead_lettered);
    assert_eq!(left, (0, 0, 0), "{stats:?}");
}

/// Reads standard base64 with padding: the only form that canonical JSON of the contract has.
fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no digit of base64"),
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0, |bits, byte| bits << 6 | digit(*byte));
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
