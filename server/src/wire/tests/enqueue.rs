//! EnqueueMessages and EnqueueStream: idempotency keys, sizes, opening what is missing. What one message may say is in
//! `enqueue_fields`.

use bytes::Bytes;
use sessiond_core::command::{Enqueue, NewSessionId};
use sessiond_core::ids::SessionKey;
use sessiond_core::limits::Policy;
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use tonic::Code;

use super::{
    Spoiled, assert_refused, by_id, by_key, caller, check_spoiled, drawn, labels, namespace,
};
use crate::wire::faults::{FAULTS_MAX, Invalid};
use crate::wire::parse::enqueue;

/// A payload bound that a test can exceed without making megabytes.
const PAYLOAD_MAX: u64 = 100;

fn policy() -> Policy {
    Policy {
        message_bytes_max: PAYLOAD_MAX,
        ..Policy::default()
    }
}

pub(super) fn parse(request: pb::EnqueueMessagesRequest) -> Result<Enqueue, Invalid> {
    enqueue::enqueue(&namespace(), request, drawn, caller(), &policy())
}

pub(super) fn message() -> pb::Message {
    pb::Message {
        kind: "observation".to_owned(),
        ..pb::Message::default()
    }
}

pub(super) fn bare() -> pb::EnqueueMessagesRequest {
    pb::EnqueueMessagesRequest {
        r#ref: by_key("k"),
        messages: vec![message()],
        ..pb::EnqueueMessagesRequest::default()
    }
}

pub(super) fn timestamp(seconds: i64, nanos: i32) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos })
}

pub(super) fn full_message() -> pb::Message {
    pb::Message {
        kind: "x".repeat(64),
        payload: Bytes::from(vec![0; 100]),
        content_type: "application/json".to_owned(),
        attributes: labels([("tool", "bash")]),
        agent_id: "sub".to_owned(),
        agent_type: "explorer".to_owned(),
        prompt_number: Some(0),
        occurred_time: timestamp(1, 1_999_999),
        not_before_time: timestamp(1, 1_000_001),
        idempotency_key: "once".to_owned(),
        trace_parent: "00-aa-bb-01".to_owned(),
        delivery_mode: pb::DeliveryMode::Steer.into(),
        coalesce_key: "newest".to_owned(),
        ..pb::Message::default()
    }
}

#[test]
fn a_request_id_stands_for_the_keys_that_are_missing() {
    let keys = |request_id: String| -> Vec<String> {
        let keyed = pb::Message {
            idempotency_key: "own".to_owned(),
            ..message()
        };
        let request = pb::EnqueueMessagesRequest {
            messages: vec![message(), keyed, message()],
            request_id,
            ..bare()
        };
        let messages = parse(request).unwrap().messages;
        let keys = messages.into_iter().map(|message| message.idempotency_key);
        keys.map(|key| key.map_or_else(String::new, |key| key.to_string()))
            .collect()
    };
    assert_eq!(keys("r".to_owned()), ["r/0", "own", "r/2"]);
    assert_eq!(keys(String::new()), ["", "own", ""]);
    let fits = "r".repeat(254);
    assert_eq!(keys(fits.clone())[0], format!("{fits}/0"));
    let hashed = keys("r".repeat(256));
    let other = keys("r".repeat(255));
    assert_eq!(hashed, keys("r".repeat(256)));
    assert!(hashed[0].ends_with("/0") && hashed[2].ends_with("/2"));
    assert_eq!(hashed[0].len(), 66);
    assert_ne!(hashed[0], other[0]);
}

#[test]
fn a_batch_has_1_to_256_messages() {
    let sized = |count| {
        parse(pb::EnqueueMessagesRequest {
            messages: vec![message(); count],
            ..bare()
        })
    };
    assert_eq!(sized(256).unwrap().messages.len(), 256);
    for count in [0, 257, 100_000] {
        let invalid = sized(count).unwrap_err();
        assert_eq!(super::fields(&invalid), ["messages"].into(), "{count}");
    }
}

#[test]
fn size_alone_is_message_too_large() {
    let large = |bytes: usize| pb::Message {
        payload: Bytes::from(vec![0; bytes]),
        ..message()
    };
    let mut request = pb::EnqueueMessagesRequest {
        messages: vec![large(101), message(), large(100), large(102)],
        ..bare()
    };
    let invalid = parse(request.clone()).unwrap_err();
    let told: Vec<&str> = invalid
        .too_large
        .iter()
        .map(|one| one.violation.field.as_str())
        .collect();
    assert_eq!(told, ["messages[0].payload", "messages[3].payload"]);
    assert_eq!(
        invalid.too_large[0].violation.description,
        "must be at most 100 bytes ([queue] max_message_bytes), got 101"
    );
    assert_refused(&invalid, Reason::MessageTooLarge, Code::InvalidArgument);
    // With anything else wrong it is one violation among the others.
    request.messages[1].kind.clear();
    let invalid = parse(request).unwrap_err();
    assert_refused(&invalid, Reason::FieldInvalid, Code::InvalidArgument);
    assert_eq!((invalid.violations.len(), invalid.too_large.len()), (1, 2));
    // All messages together have a bound of their own.
    let part = pb::Message {
        payload: Bytes::from(vec![0; 8 * 1024 * 1024]),
        ..message()
    };
    let batch = |messages| {
        let request = pb::EnqueueMessagesRequest { messages, ..bare() };
        enqueue::enqueue(&namespace(), request, drawn, caller(), &Policy::default())
    };
    assert!(batch(vec![part.clone(), part.clone()]).is_ok());
    let invalid = batch(vec![part.clone(), part, large(1)]).unwrap_err();
    assert_eq!(invalid.too_large[0].violation.field, "messages");
    assert_eq!(invalid.too_large[0].limit, 16 * 1024 * 1024);
    assert_refused(&invalid, Reason::MessageTooLarge, Code::InvalidArgument);
}

#[test]
fn faults_are_bounded_and_the_rest_counted() {
    let broken = pb::Message {
        seq: 1,
        attempt: 1,
        ..pb::Message::default()
    };
    let request = pb::EnqueueMessagesRequest {
        messages: vec![broken; 256],
        ..bare()
    };
    let invalid = parse(request).unwrap_err();
    assert_eq!(invalid.violations.len(), FAULTS_MAX);
    assert_eq!(invalid.left_out, 256 * 3 - FAULTS_MAX);
}

#[test]
fn opening_what_is_missing_takes_the_key_of_the_reference() {
    let open = |request: pb::OpenSessionRequest| pb::EnqueueMessagesRequest {
        open_if_missing: Some(request),
        ..bare()
    };
    let enqueue = parse(open(pb::OpenSessionRequest::default())).unwrap();
    let opened = enqueue.open_if_missing.unwrap();
    assert_eq!(opened.key, Some(SessionKey::parse("k").unwrap()));
    assert_eq!(opened.id, NewSessionId::Drawn(drawn()));
    assert_eq!(opened.request, None);
    let named = pb::OpenSessionRequest {
        key: "k".to_owned(),
        session_id: "brought".to_owned(),
        conflict_policy: pb::ConflictPolicy::UseExisting.into(),
        ..pb::OpenSessionRequest::default()
    };
    let opened = parse(open(named.clone())).unwrap().open_if_missing.unwrap();
    assert_eq!(opened.id.id().as_str(), "brought");
    let spoiled: [Spoiled<pb::EnqueueMessagesRequest>; 6] = [
        ("open_if_missing.key", "key of `ref`", |r| {
            r.open_if_missing.as_mut().unwrap().key = "other".to_owned();
        }),
        ("open_if_missing.key", "control", |r| {
            r.open_if_missing.as_mut().unwrap().key = "\n".to_owned();
        }),
        ("open_if_missing.conflict_policy", "USE_EXISTING", |r| {
            r.open_if_missing.as_mut().unwrap().conflict_policy =
                pb::ConflictPolicy::Replace.into();
        }),
        ("open_if_missing.conflict_policy", "8 is no value", |r| {
            r.open_if_missing.as_mut().unwrap().conflict_policy = 8;
        }),
        ("open_if_missing.request_id", "must be empty", |r| {
            r.open_if_missing.as_mut().unwrap().request_id = "r".to_owned();
        }),
        ("open_if_missing", "`ref` names a key", |r| {
            r.r#ref = by_id("s")
        }),
    ];
    for way in spoiled {
        check_spoiled(&open(named.clone()), parse, &[way]);
    }
}

#[test]
fn a_frame_has_the_same_fields() {
    let frame = |stream_id: &str| pb::EnqueueStreamRequest {
        stream_id: stream_id.to_owned(),
        r#ref: by_key("k"),
        messages: vec![message(), full_message()],
        open_if_missing: Some(pb::OpenSessionRequest::default()),
        request_id: "r".to_owned(),
    };
    let parse_frame = |frame| enqueue::frame(&namespace(), frame, drawn, caller(), &policy());
    let request = pb::EnqueueMessagesRequest {
        r#ref: by_key("k"),
        messages: vec![message(), full_message()],
        open_if_missing: Some(pb::OpenSessionRequest::default()),
        request_id: "r".to_owned(),
    };
    assert_eq!(
        parse_frame(frame("any\ntext")).unwrap(),
        parse(request).unwrap()
    );
    check_spoiled(
        &frame(""),
        parse_frame,
        &[
            ("stream_id", "256", |r| r.stream_id = "x".repeat(257)),
            ("ref", "must name", |r| r.r#ref = None),
            ("messages[0].kind", "empty", |r| r.messages[0].kind.clear()),
        ],
    );
}
