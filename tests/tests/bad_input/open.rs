//! OpenSession, and the limits it has in common with updates.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::{key, labels, open};

use super::table::{World, bytes, invalid, no_spans, raw, too_long_labels, too_many_labels};

fn limit(bound: Option<pb::limit::Bound>) -> Option<pb::Limit> {
    Some(pb::Limit { bound })
}

fn spanned(span: Option<prost_types::Duration>) -> Option<pb::Limit> {
    limit(span.map(pb::limit::Bound::After))
}

/// An open that is in order but for one thing.
fn one(change: fn(&mut pb::OpenSessionRequest)) -> pb::OpenSessionRequest {
    let mut request = open("b");
    change(&mut request);
    request
}

#[tokio::test]
async fn texts_of_an_open() {
    let world = World::new().await;
    let table = vec![
        invalid(one(|r| r.key = "a\0b".to_owned()), &["key"]),
        invalid(one(|r| r.key = bytes(257)), &["key"]),
        invalid(one(|r| r.session_id = "\n".to_owned()), &["session_id"]),
        invalid(one(|r| r.session_id = bytes(257)), &["session_id"]),
        invalid(one(|r| r.pool = bytes(257)), &["pool"]),
        invalid(one(|r| r.project = bytes(4_097)), &["project"]),
        invalid(one(|r| r.source = bytes(257)), &["source"]),
        invalid(one(|r| r.agent_id = "\u{7f}".to_owned()), &["agent_id"]),
        invalid(one(|r| r.agent_id = bytes(257)), &["agent_id"]),
        invalid(one(|r| r.labels = too_many_labels()), &["labels"]),
        invalid(one(|r| r.labels = too_long_labels()), &["labels"]),
        invalid(one(|r| r.prompt = bytes(64 * 1_024 + 1)), &["prompt"]),
        invalid(
            one(|r| r.transcript_path = bytes(4_097)),
            &["transcript_path"],
        ),
        invalid(
            one(|r| r.parent_session_id = "\t".to_owned()),
            &["parent_session_id"],
        ),
        invalid(one(|r| r.request_id = bytes(257)), &["request_id"]),
        invalid(one(|r| r.request_id = "\u{1}".to_owned()), &["request_id"]),
    ];
    world
        .refuses(table, async |request| world.caller.open(request).await)
        .await;
}

#[tokio::test]
async fn numbers_of_an_open() {
    let world = World::new().await;
    let table = vec![
        invalid(one(|r| r.conflict_policy = 99), &["conflict_policy"]),
        invalid(one(|r| r.conflict_policy = -1), &["conflict_policy"]),
        invalid(one(|r| r.ordering = 4), &["ordering"]),
        invalid(one(|r| r.max_in_flight = Some(0)), &["max_in_flight"]),
        invalid(one(|r| r.max_in_flight = Some(513)), &["max_in_flight"]),
        invalid(
            one(|r| {
                r.ordering = pb::Ordering::Serial.into();
                r.max_in_flight = Some(2);
            }),
            &["max_in_flight"],
        ),
    ];
    world
        .refuses(table, async |request| world.caller.open(request).await)
        .await;
}

#[tokio::test]
async fn limits_of_an_open() {
    let world = World::new().await;
    let mut table = Vec::new();
    let ten_years = 10 * 365 * 24 * 3_600;
    for span in no_spans()
        .into_iter()
        .chain([raw(ten_years, 1), raw(ten_years + 1, 0)])
    {
        let idle = pb::OpenSessionRequest {
            idle_timeout: spanned(span),
            ..open("b")
        };
        table.push(invalid(idle, &["idle_timeout.after"]));
        let all = pb::OpenSessionRequest {
            idle_timeout: spanned(span),
            max_lifetime: spanned(span),
            owner_timeout: spanned(span),
            ..open("b")
        };
        let fields = [
            "idle_timeout.after",
            "max_lifetime.after",
            "owner_timeout.after",
        ];
        table.push(invalid(all, &fields));
    }
    let day = 24 * 3_600;
    for span in no_spans().into_iter().chain([raw(day, 1), raw(day + 1, 0)]) {
        let waits = pb::OpenSessionRequest {
            wait_for_slot: span,
            ..open("b")
        };
        table.push(invalid(waits, &["wait_for_slot"]));
    }
    let empty = pb::OpenSessionRequest {
        idle_timeout: limit(None),
        max_lifetime: limit(Some(pb::limit::Bound::Never(false))),
        ..open("b")
    };
    table.push(invalid(empty, &["idle_timeout", "max_lifetime.never"]));
    world
        .refuses(table, async |request| world.caller.open(request).await)
        .await;
}

#[tokio::test]
async fn every_fault_is_told_at_once() {
    let world = World::new().await;
    let everything = pb::OpenSessionRequest {
        key: "\0".to_owned(),
        session_id: bytes(257),
        labels: too_many_labels(),
        idle_timeout: limit(None),
        conflict_policy: 7,
        ordering: 7,
        max_in_flight: Some(0),
        wait_for_slot: raw(0, 0),
        request_id: "\0".to_owned(),
        ..open("")
    };
    let fields = [
        "request_id",
        "key",
        "session_id",
        "labels",
        "idle_timeout",
        "conflict_policy",
        "wait_for_slot",
        "ordering",
        "max_in_flight",
    ];
    let table = vec![invalid(everything, &fields)];
    world
        .refuses(table, async |request| world.caller.open(request).await)
        .await;
}

#[tokio::test]
async fn what_lies_exactly_on_a_bound_is_taken() {
    let world = World::new().await;
    let largest = pb::OpenSessionRequest {
        key: bytes(256),
        session_id: bytes(256),
        project: bytes(4_096),
        source: bytes(256),
        agent_id: bytes(256),
        labels: labels(&[("l", &bytes(8_191))]),
        prompt: bytes(64 * 1_024),
        transcript_path: bytes(4_096),
        idle_timeout: spanned(raw(10 * 365 * 24 * 3_600, 0)),
        max_lifetime: spanned(raw(0, 1)),
        wait_for_slot: raw(24 * 3_600, 0),
        max_in_flight: Some(512),
        parent_session_id: bytes(256),
        request_id: bytes(256),
        ..open("")
    };
    let opened = world
        .caller
        .open(largest)
        .await
        .expect("taken")
        .session
        .unwrap();
    assert_eq!(opened.prompt.len(), 64 * 1_024);
    assert_eq!(
        opened.max_lifetime,
        spanned(raw(0, 1_000_000)),
        "rounded up to a millisecond"
    );
    let many = pb::OpenSessionRequest {
        labels: (0..64)
            .map(|at| (format!("l{at}"), String::new()))
            .collect(),
        ..open("many")
    };
    world.caller.open(many).await.expect("taken");
    assert_eq!(world.caller.session(key("many")).await.labels.len(), 64);
}
