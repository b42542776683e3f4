//! What one message of EnqueueMessages may say, field by field.

use bytes::Bytes;
use sessiond_core::ids::{CoalesceKey, IdempotencyKey, MessageKind};
use sessiond_core::message::{Debounce, DeliveryMode, NewMessage};
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::v1 as pb;

use super::enqueue::{bare, full_message, message, parse, timestamp};
use super::{check_spoiled, labels, seconds, too_many_labels};
use crate::wire::faults::Invalid;

#[test]
fn every_field_reaches_the_command() {
    let request = pb::EnqueueMessagesRequest {
        messages: vec![full_message()],
        ..bare()
    };
    let expected = NewMessage {
        kind: MessageKind::parse("x".repeat(64)).unwrap(),
        payload: Bytes::from(vec![0; 100]),
        content_type: "application/json".to_owned(),
        attributes: labels([("tool", "bash")]),
        agent_id: "sub".to_owned(),
        agent_type: "explorer".to_owned(),
        prompt_number: Some(0),
        mode: DeliveryMode::Steer,
        coalesce_key: Some(CoalesceKey::parse("newest").unwrap()),
        debounce: None,
        occurred_time: Some(WallTime(1_001)),
        not_before_time: Some(WallTime(1_002)),
        idempotency_key: Some(IdempotencyKey::parse("once").unwrap()),
        trace_parent: "00-aa-bb-01".to_owned(),
    };
    let enqueue = parse(request).unwrap();
    assert_eq!(enqueue.messages, [expected]);
    assert!(enqueue.open_if_missing.is_none());
}

fn two_messages() -> pb::EnqueueMessagesRequest {
    pb::EnqueueMessagesRequest {
        messages: vec![message(), full_message()],
        request_id: "r".to_owned(),
        ..bare()
    }
}

#[test]
fn what_the_server_sets_is_refused() {
    check_spoiled(
        &two_messages(),
        parse,
        &[
            ("messages[0].session_id", "server sets it", |r| {
                r.messages[0].session_id = "s".to_owned();
            }),
            ("messages[0].queue_id", "server", |r| {
                r.messages[0].queue_id = 1
            }),
            ("messages[0].seq", "server", |r| r.messages[0].seq = 1),
            ("messages[0].enqueue_time", "server", |r| {
                r.messages[0].enqueue_time = timestamp(1, 0);
            }),
            ("messages[0].attempt", "server", |r| {
                r.messages[0].attempt = 1
            }),
            ("messages[0].status", "server", |r| {
                r.messages[0].status = Some(pb::MessageStatus::default());
            }),
        ],
    );
}

#[test]
fn every_bad_field_of_a_message_is_told() {
    check_spoiled(
        &two_messages(),
        parse,
        &[
            ("ref", "must name", |r| r.r#ref = None),
            ("request_id", "control", |r| {
                r.request_id = "\u{1}".to_owned()
            }),
            ("messages[1].kind", "empty", |r| r.messages[1].kind.clear()),
            ("messages[1].kind", "at most 64 bytes, got 65", |r| {
                r.messages[1].kind = "x".repeat(65);
            }),
            ("messages[1].kind", "at most 64 bytes, got 257", |r| {
                r.messages[1].kind = "x".repeat(257);
            }),
            ("messages[0].kind", "control", |r| {
                r.messages[0].kind = "a\n".to_owned()
            }),
            ("messages[1].content_type", "256", |r| {
                r.messages[1].content_type = "x".repeat(257);
            }),
            ("messages[1].attributes", "64", |r| {
                r.messages[1].attributes = too_many_labels();
            }),
            ("messages[1].agent_id", "control", |r| {
                r.messages[1].agent_id = "\u{2}".to_owned();
            }),
            ("messages[1].agent_type", "256", |r| {
                r.messages[1].agent_type = "x".repeat(257);
            }),
            ("messages[1].occurred_time", "nanos", |r| {
                r.messages[1].occurred_time = timestamp(0, -1);
            }),
            ("messages[1].occurred_time", "nanos", |r| {
                r.messages[1].occurred_time = timestamp(0, 1_000_000_000);
            }),
            ("messages[1].occurred_time", "1970", |r| {
                r.messages[1].occurred_time = timestamp(-1, 0);
            }),
            ("messages[1].not_before_time", "9999", |r| {
                r.messages[1].not_before_time = timestamp(253_402_300_800, 0);
            }),
            ("messages[1].idempotency_key", "256", |r| {
                r.messages[1].idempotency_key = "x".repeat(257);
            }),
            ("messages[1].coalesce_key", "256", |r| {
                r.messages[1].coalesce_key = "x".repeat(257);
            }),
            ("messages[1].trace_parent", "256", |r| {
                r.messages[1].trace_parent = "x".repeat(257);
            }),
            ("messages[1].delivery_mode", "5 is no value", |r| {
                r.messages[1].delivery_mode = 5;
            }),
        ],
    );
}

#[test]
fn a_message_is_held_back_for_a_pause_as_it_says() {
    let debounced = |quiet, max_wait| {
        let mut request = bare();
        request.messages[0].debounce = Some(pb::Debounce { quiet, max_wait });
        parse(request).map(|enqueue| enqueue.messages[0].debounce)
    };
    let both = |quiet, max_wait| {
        Some(Debounce {
            quiet: Span::seconds(quiet),
            max_wait: Span::seconds(max_wait),
        })
    };
    assert_eq!(
        debounced(seconds(5), None).unwrap(),
        both(5, 50),
        "ten times"
    );
    assert_eq!(debounced(seconds(5), seconds(5)).unwrap(), both(5, 5));
    let longest = debounced(seconds(3_600), seconds(86_400));
    assert_eq!(longest.unwrap(), both(3_600, 86_400));
    let named = |invalid: Result<_, Invalid>| {
        let invalid = invalid.unwrap_err();
        let fields = super::fields(&invalid).into_iter();
        let of = |field: &str| field.trim_start_matches("messages[0].debounce.").to_owned();
        fields.map(of).collect::<Vec<String>>()
    };
    assert_eq!(named(debounced(None, None)), ["quiet"]);
    assert_eq!(named(debounced(seconds(0), None)), ["quiet"]);
    assert_eq!(named(debounced(seconds(3_601), None)), ["quiet"]);
    assert_eq!(named(debounced(seconds(5), seconds(4))), ["max_wait"]);
    assert_eq!(named(debounced(seconds(5), seconds(86_401))), ["max_wait"]);
    assert_eq!(
        named(debounced(None, seconds(0))),
        ["max_wait", "quiet"],
        "both at once"
    );
    let mut request = bare();
    request.messages[0].not_before_time = timestamp(1, 0);
    request.messages[0].debounce = Some(pb::Debounce {
        quiet: seconds(1),
        max_wait: None,
    });
    let invalid = parse(request).unwrap_err();
    assert_eq!(super::fields(&invalid), ["messages[0].debounce"].into());
}

#[test]
fn a_message_relates_to_work_in_progress_as_it_says() {
    for (given, mode) in [
        (pb::DeliveryMode::Unspecified, DeliveryMode::FollowUp),
        (pb::DeliveryMode::FollowUp, DeliveryMode::FollowUp),
        (pb::DeliveryMode::Steer, DeliveryMode::Steer),
        (pb::DeliveryMode::Collect, DeliveryMode::Collect),
        (pb::DeliveryMode::Interrupt, DeliveryMode::Interrupt),
    ] {
        let mut request = bare();
        request.messages[0].delivery_mode = given.into();
        assert_eq!(parse(request).unwrap().messages[0].mode, mode);
    }
}
