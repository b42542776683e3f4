//! EnqueueMessages.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::{enqueue, id, key, message, open};

use super::table::{World, bytes, invalid, no_spans, raw, too_long_labels, too_many_labels};

fn one(change: impl Fn(&mut pb::Message)) -> pb::EnqueueMessagesRequest {
    let mut bad = message("x");
    change(&mut bad);
    pb::EnqueueMessagesRequest {
        r#ref: key("a"),
        messages: vec![message("fine"), bad],
        ..pb::EnqueueMessagesRequest::default()
    }
}

fn time(seconds: i64, nanos: i32) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos })
}

#[tokio::test]
async fn fields_of_a_message() {
    let world = World::new().await;
    let table = vec![
        invalid(one(|m| m.kind = String::new()), &["messages[1].kind"]),
        invalid(one(|m| m.kind = bytes(65)), &["messages[1].kind"]),
        invalid(one(|m| m.kind = "a\nb".to_owned()), &["messages[1].kind"]),
        invalid(
            one(|m| m.content_type = bytes(257)),
            &["messages[1].content_type"],
        ),
        invalid(
            one(|m| m.attributes = too_many_labels()),
            &["messages[1].attributes"],
        ),
        invalid(
            one(|m| m.attributes = too_long_labels()),
            &["messages[1].attributes"],
        ),
        invalid(
            one(|m| m.agent_id = "\0".to_owned()),
            &["messages[1].agent_id"],
        ),
        invalid(one(|m| m.agent_id = bytes(257)), &["messages[1].agent_id"]),
        invalid(
            one(|m| m.agent_type = bytes(257)),
            &["messages[1].agent_type"],
        ),
        invalid(
            one(|m| m.trace_parent = bytes(257)),
            &["messages[1].trace_parent"],
        ),
        invalid(
            one(|m| m.idempotency_key = "\0".to_owned()),
            &["messages[1].idempotency_key"],
        ),
        invalid(
            one(|m| m.idempotency_key = bytes(257)),
            &["messages[1].idempotency_key"],
        ),
        invalid(one(|m| m.delivery_mode = 5), &["messages[1].delivery_mode"]),
        invalid(
            one(|m| m.occurred_time = time(-1, 0)),
            &["messages[1].occurred_time"],
        ),
        invalid(
            one(|m| m.occurred_time = time(0, -1)),
            &["messages[1].occurred_time"],
        ),
        invalid(
            one(|m| m.occurred_time = time(0, 1_000_000_000)),
            &["messages[1].occurred_time"],
        ),
        invalid(
            one(|m| m.not_before_time = time(253_402_300_800, 0)),
            &["messages[1].not_before_time"],
        ),
        invalid(
            one(|m| m.not_before_time = time(i64::MIN, i32::MIN)),
            &["messages[1].not_before_time"],
        ),
    ];
    world
        .refuses(table, async |request| world.caller.enqueue(request).await)
        .await;
}

#[tokio::test]
async fn fields_that_the_server_sets() {
    let world = World::new().await;
    let all = |m: &mut pb::Message| {
        m.session_id = "s".to_owned();
        m.queue_id = 1;
        m.seq = 1;
        m.enqueue_time = time(1, 0);
        m.attempt = 1;
        m.status = Some(pb::MessageStatus::default());
    };
    let fields = [
        "session_id",
        "queue_id",
        "seq",
        "enqueue_time",
        "attempt",
        "status",
    ];
    let fields = fields.map(|field| format!("messages[1].{field}"));
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let table = vec![
        invalid(one(all), &fields),
        invalid(one(|m| m.seq = 7), &["messages[1].seq"]),
    ];
    world
        .refuses(table, async |request| world.caller.enqueue(request).await)
        .await;
}

#[tokio::test]
async fn modes_keys_and_pauses_of_a_message() {
    let world = World::new().await;
    let debounced =
        |quiet, max_wait| one(move |m| m.debounce = Some(pb::Debounce { quiet, max_wait }));
    let twice = |m: &mut pb::Message| {
        m.not_before_time = Some(prost_types::Timestamp::default());
        m.debounce = Some(pb::Debounce {
            quiet: raw(1, 0),
            max_wait: None,
        });
    };
    let all = |m: &mut pb::Message| {
        m.delivery_mode = -1;
        m.coalesce_key = "a\nb".to_owned();
        m.debounce = Some(pb::Debounce::default());
    };
    let quiet = "messages[1].debounce.quiet";
    let max_wait = "messages[1].debounce.max_wait";
    let mut table = vec![
        invalid(one(|m| m.delivery_mode = 9), &["messages[1].delivery_mode"]),
        invalid(
            one(|m| m.coalesce_key = bytes(257)),
            &["messages[1].coalesce_key"],
        ),
        invalid(debounced(None, None), &[quiet]),
        invalid(debounced(raw(3_600, 1), None), &[quiet]),
        invalid(debounced(raw(2, 0), raw(1, 0)), &[max_wait]),
        invalid(debounced(raw(2, 0), raw(86_400, 1)), &[max_wait]),
        invalid(debounced(raw(0, 0), raw(0, 0)), &[quiet, max_wait]),
        invalid(one(twice), &["messages[1].debounce"]),
        invalid(
            one(all),
            &[
                "messages[1].delivery_mode",
                "messages[1].coalesce_key",
                quiet,
            ],
        ),
    ];
    for span in no_spans() {
        table.push(invalid(debounced(span, None), &[quiet]));
        table.push(invalid(debounced(raw(1, 0), span), &[max_wait]));
    }
    world
        .refuses(table, async |request| world.caller.enqueue(request).await)
        .await;
}

#[tokio::test]
async fn the_call_itself() {
    let world = World::new().await;
    let opening = |session: Option<pb::SessionRef>, open: pb::OpenSessionRequest| {
        pb::EnqueueMessagesRequest {
            open_if_missing: Some(open),
            ..enqueue(session, &["m"])
        }
    };
    let replace = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        request_id: "r".to_owned(),
        ..open("")
    };
    let waiting = pb::OpenSessionRequest {
        wait_for_slot: raw(0, 0),
        ..open("")
    };
    let named = pb::EnqueueMessagesRequest {
        request_id: bytes(257),
        ..enqueue(key("a"), &["m"])
    };
    let conflicts = [
        "open_if_missing.request_id",
        "open_if_missing.conflict_policy",
    ];
    let table = vec![
        invalid(enqueue(key("a"), &[]), &["messages"]),
        invalid(enqueue(None, &[]), &["ref", "messages"]),
        invalid(named, &["request_id"]),
        invalid(opening(id("x"), open("")), &["open_if_missing"]),
        invalid(opening(key("n"), open("other")), &["open_if_missing.key"]),
        invalid(opening(key("n"), replace), &conflicts),
        invalid(
            opening(key("n"), waiting),
            &["open_if_missing.wait_for_slot"],
        ),
    ];
    world
        .refuses(table, async |request| world.caller.enqueue(request).await)
        .await;
}

#[tokio::test]
async fn so_many_faults_that_an_answer_could_not_carry_them() {
    let world = World::new().await;
    let nameless = pb::Message {
        agent_id: bytes(5_000),
        idempotency_key: bytes(5_000),
        ..pb::Message::default()
    };
    let request = pb::EnqueueMessagesRequest {
        messages: vec![nameless; 256],
        ..enqueue(key("a"), &[])
    };
    let refused = world.caller.enqueue(request).await.expect_err("refused");
    assert_eq!(refused.reason, "FIELD_INVALID");
    assert_eq!(refused.fields.len(), 32, "as many as an answer carries");
    assert_eq!(refused.fields[0], "messages[0].kind");
    assert!(
        refused.message.ends_with("and 767 more"),
        "{}",
        refused.message
    );
    world.is_unchanged().await;
}
