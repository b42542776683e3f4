//! Enqueues: all or none, once per key, numbered without a hole, and kept exactly as given.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim_within, end, enqueue, id, key, labels, message, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use tokio::task::JoinSet;
use tonic::Code;

fn keyed(payload: &str, of: &str) -> pb::Message {
    pb::Message {
        idempotency_key: of.to_owned(),
        ..message(payload)
    }
}

fn request(messages: Vec<pb::Message>) -> pb::EnqueueMessagesRequest {
    pb::EnqueueMessagesRequest {
        r#ref: key("a"),
        messages,
        ..pb::EnqueueMessagesRequest::default()
    }
}

fn told(results: &[pb::EnqueueResult]) -> Vec<(u64, bool)> {
    let told = |result: &pb::EnqueueResult| match result.status() {
        pb::EnqueueStatus::Enqueued => (result.seq, true),
        pb::EnqueueStatus::Duplicate => (result.seq, false),
        other @ (pb::EnqueueStatus::Unspecified | pb::EnqueueStatus::SkippedCircuitOpen) => {
            panic!("neither enqueued nor a duplicate: {other:?}")
        }
    };
    results.iter().map(told).collect()
}

#[tokio::test]
async fn seq_counts_from_one_without_a_hole_and_an_enqueue_takes_no_revision() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    let answer = caller
        .enqueue(enqueue(key("a"), &["one", "two"]))
        .await
        .expect("enqueued");
    assert_eq!(told(&answer.results), [(1, true), (2, true)]);
    assert_eq!(answer.revision, 1);
    assert_eq!(
        (answer.session_id, answer.queue_id),
        (session.session_id, session.queue_id)
    );
    assert!(!answer.opened);
    assert_eq!(caller.enqueued(key("a"), &["three"]).await, [3]);
    assert_eq!(caller.revision().await, 1);
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!((counts.enqueued, counts.pending), (3, 3));
}

#[tokio::test]
async fn concurrent_enqueues_number_every_message_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut enqueues = JoinSet::new();
    for _ in 0..50 {
        let caller = caller.clone();
        enqueues.spawn(async move { caller.enqueued(key("a"), &["x", "y", "z"]).await });
    }
    let mut seqs = Vec::new();
    for batch in enqueues.join_all().await {
        assert_eq!(
            batch,
            [batch[0], batch[0] + 1, batch[0] + 2],
            "a batch is together"
        );
        seqs.extend(batch);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=150).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_repeated_idempotency_key_answers_the_first_seq_and_consumes_none() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mixed = request(vec![
        keyed("one", "k1"),
        message("two"),
        keyed("other", "k1"),
    ]);
    let answer = caller.enqueue(mixed).await.expect("enqueued");
    assert_eq!(told(&answer.results), [(1, true), (2, true), (1, false)]);
    let again = request(vec![keyed("new", "k2"), keyed("one", "k1")]);
    let answer = caller.enqueue(again).await.expect("enqueued");
    assert_eq!(told(&answer.results), [(3, true), (1, false)]);
    let out = caller.claimed(key("a"), "w").await;
    caller.settled(out.iter().map(ack).collect()).await;
    let late = caller
        .enqueue(request(vec![keyed("one", "k1")]))
        .await
        .expect("enqueued");
    assert_eq!(
        told(&late.results),
        [(1, false)],
        "settled, and remembered all the same"
    );
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!(
        (counts.enqueued, counts.processed, counts.pending),
        (3, 3, 0)
    );
}

#[tokio::test]
async fn a_request_id_stands_for_the_key_of_every_message_without_one() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let once = || pb::EnqueueMessagesRequest {
        request_id: "batch".to_owned(),
        ..request(vec![message("one"), keyed("two", "own"), message("three")])
    };
    let answer = caller.enqueue(once()).await.expect("enqueued");
    assert_eq!(told(&answer.results), [(1, true), (2, true), (3, true)]);
    let answer = caller.enqueue(once()).await.expect("repeated");
    assert_eq!(told(&answer.results), [(1, false), (2, false), (3, false)]);
    let by_hand = request(vec![keyed("three", "batch/2")]);
    let answer = caller.enqueue(by_hand).await.expect("enqueued");
    assert_eq!(
        told(&answer.results),
        [(3, false)],
        "it stands for `id/index`"
    );
}

#[tokio::test]
async fn any_refusal_fails_the_whole_batch_and_consumes_neither_key_nor_seq() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let nameless = pb::Message {
        kind: String::new(),
        ..message("bad")
    };
    let bad = request(vec![keyed("one", "k1"), nameless]);
    let refused = caller.enqueue(bad).await.expect_err("one is bad");
    let refused = refused.is(Code::InvalidArgument, Reason::FieldInvalid);
    assert_eq!(refused.fields, ["messages[1].kind"]);
    assert_eq!(caller.session(key("a")).await.counts.unwrap().enqueued, 0);
    let answer = caller
        .enqueue(request(vec![keyed("one", "k1")]))
        .await
        .expect("enqueued");
    assert_eq!(told(&answer.results), [(1, true)]);
}

#[tokio::test]
async fn callers_never_race_open_against_send() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut enqueues = JoinSet::new();
    for at in 0..100 {
        let caller = caller.clone();
        let request = pb::EnqueueMessagesRequest {
            open_if_missing: Some(pb::OpenSessionRequest {
                project: "/src".to_owned(),
                ..pb::OpenSessionRequest::default()
            }),
            ..request(vec![keyed("m", &format!("k{at}"))])
        };
        enqueues.spawn(async move { caller.enqueue(request).await.expect("enqueued") });
    }
    let answers = enqueues.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.opened).count(), 1);
    let mut seqs: Vec<u64> = answers.iter().map(|answer| answer.results[0].seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=100).collect::<Vec<u64>>());
    assert_eq!(caller.revision().await, 1);
    assert_eq!(caller.session(key("a")).await.project, "/src");
}

#[tokio::test]
async fn open_if_missing_makes_a_new_incarnation_that_adopts_what_is_held() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let reaped = end(key("a"), pb::EndReason::Idle, pb::EndMode::Immediate);
    caller.end(reaped).await.expect("ended");
    let refused = caller
        .enqueue(request(vec![message("two")]))
        .await
        .expect_err("none lives");
    refused.is(Code::NotFound, Reason::SessionNotFound);
    let asked = pb::EnqueueMessagesRequest {
        open_if_missing: Some(open("a")),
        ..request(vec![message("two")])
    };
    let mut watch = WatchStream::from_now(&caller).await;
    let answer = caller.enqueue(asked.clone()).await.expect("opened");
    assert!(answer.opened);
    assert_eq!(
        (answer.queue_id, told(&answer.results)),
        (old.queue_id, vec![(2, true)])
    );
    assert_eq!(
        types(&watch.batch().await.events),
        [pb::EventType::SessionOpened]
    );
    let session = caller.session(id(&answer.session_id)).await;
    assert_eq!(session.predecessor_id, old.session_id);
    assert_eq!(session.counts.unwrap().pending, 2);
    assert!(!caller.enqueue(asked).await.expect("it lives").opened);
}

#[tokio::test]
async fn a_message_is_handed_out_as_it_was_given() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let time = prost_types::Timestamp {
        seconds: 1_700_000_000,
        nanos: 123_000_000,
    };
    let given = pb::Message {
        kind: "summarize".to_owned(),
        content_type: "application/json".to_owned(),
        attributes: labels(&[("cwd", "/src"), ("empty", "")]),
        agent_id: "explorer-1".to_owned(),
        agent_type: "explorer".to_owned(),
        prompt_number: Some(3),
        occurred_time: Some(time),
        idempotency_key: "tool-use-1".to_owned(),
        trace_parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        ..message(r#"{"zero":0,"no":false,"text":"","nothing":null,"ünï":"✓"}"#)
    };
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let large = pb::Message {
        payload: bytes.clone().into(),
        ..message("")
    };
    let empty = message("");
    let request = request(vec![given.clone(), large, empty]);
    caller.enqueue(request).await.expect("enqueued");
    let out = caller.claimed(key("a"), "w").await;
    let first = out[0].message.clone().unwrap();
    let expected = pb::Message {
        session_id: first.session_id.clone(),
        queue_id: first.queue_id,
        seq: 1,
        attempt: 1,
        enqueue_time: first.enqueue_time,
        delivery_mode: pb::DeliveryMode::FollowUp.into(),
        ..given
    };
    assert_eq!(first, expected);
    assert!(first.enqueue_time.is_some());
    let second = out[1].message.as_ref().unwrap();
    assert!(second.payload == bytes, "a megabyte comes back as it was");
    assert_eq!(
        second.occurred_time, second.enqueue_time,
        "unset: when it was enqueued"
    );
    assert_eq!(second.agent_id, "", "the main agent, not the one before");
    assert!(out[2].message.as_ref().unwrap().payload.is_empty());
}

#[tokio::test]
async fn not_before_stands_outside_the_order_until_it_is_due() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let soon = std::time::SystemTime::now() + std::time::Duration::from_millis(600);
    let later = pb::Message {
        not_before_time: Some(soon.into()),
        ..message("later")
    };
    let past = pb::Message {
        not_before_time: Some(prost_types::Timestamp {
            seconds: 1,
            nanos: 0,
        }),
        ..message("past")
    };
    caller
        .enqueue(request(vec![later, past, message("now")]))
        .await
        .expect("enqueued");
    let now = caller.claimed(key("a"), "w").await;
    assert_eq!(sessiond_tests::requests::payloads(&now), ["past", "now"]);
    let listed = caller.messages_of(key("a")).await;
    let status = listed[0].status.as_ref().unwrap();
    assert_eq!(status.state(), pb::MessageState::Pending);
    assert!(status.due_time.is_some());
    caller.settled(now.iter().map(ack).collect()).await;
    let waits = claim_within(key("a"), "w", 20_000);
    let then = caller.claim(waits).await.expect("claimed").deliveries;
    assert_eq!(sessiond_tests::requests::payloads(&then), ["later"]);
    assert!(std::time::SystemTime::now() >= soon, "not a moment before");
}

#[tokio::test]
async fn the_oldest_pending_time_is_that_of_the_oldest_unsettled_message() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    assert_eq!(caller.opened("a").await.oldest_pending_time, None);
    caller.enqueued(key("a"), &["one"]).await;
    let first = caller
        .session(key("a"))
        .await
        .oldest_pending_time
        .expect("a time");
    caller.enqueued(key("a"), &["two"]).await;
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(out[0].message.as_ref().unwrap().enqueue_time, Some(first));
    assert_eq!(
        caller.session(key("a")).await.oldest_pending_time,
        Some(first)
    );
    caller.settled(vec![ack(&out[0])]).await;
    let second = caller.session(key("a")).await.oldest_pending_time;
    assert_eq!(second, out[1].message.as_ref().unwrap().enqueue_time);
    caller.settled(vec![ack(&out[1])]).await;
    assert_eq!(caller.session(key("a")).await.oldest_pending_time, None);
}

#[tokio::test]
async fn a_full_queue_refuses_the_whole_batch_and_a_settle_makes_room() {
    const FULL: usize = 100_000;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let batch = |count: usize| {
        let tiny = pb::Message {
            kind: "m".to_owned(),
            ..pb::Message::default()
        };
        request(vec![tiny; count])
    };
    let mut enqueues = JoinSet::new();
    for _ in 0..FULL / 250 - 1 {
        let caller = caller.clone();
        let full = batch(250);
        enqueues.spawn(async move { caller.enqueue(full).await.expect("enqueued") });
        if enqueues.len() >= 32 {
            enqueues.join_next().await;
        }
    }
    enqueues.join_all().await;
    caller.enqueue(batch(249)).await.expect("one place is left");
    let refused = caller
        .enqueue(batch(2))
        .await
        .expect_err("there is room for one");
    refused
        .is(Code::ResourceExhausted, Reason::QueueFull)
        .with("limit", "100000")
        .retries_within(std::time::Duration::from_secs(60));
    assert_eq!(
        caller.session(key("a")).await.counts.unwrap().pending,
        FULL as u64 - 1
    );
    let last = caller
        .enqueue(batch(1))
        .await
        .expect("the last place")
        .results;
    assert_eq!(last[0].seq, FULL as u64, "the refused ones took no number");
    caller.enqueue(batch(1)).await.expect_err("full");
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    caller.enqueue(batch(1)).await.expect("room again");
}
