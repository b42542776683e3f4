//! Settlements: each judged by itself, an ack by its delivery alone, everything else by the lease too.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::SettleCode as Code;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, attempts, claim_within, extend, id, key, nack, payloads, settlement,
};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};

async fn out(caller: &Caller, messages: &[&str]) -> (pb::Session, Vec<pb::Delivery>) {
    let session = caller.opened("a").await;
    caller.enqueued(key("a"), messages).await;
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(payloads(&out), messages);
    (session, out)
}

fn waits(worker: &str) -> pb::ClaimMessagesRequest {
    claim_within(key("a"), worker, 20_000)
}

/// Proves: F46.
#[tokio::test]
async fn an_ack_settles_and_a_repeat_is_harmless() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, out) = out(&caller, &["one"]).await;
    assert_eq!(caller.code(ack(&out[0])).await, Code::Ok);
    assert_eq!(caller.code(ack(&out[0])).await, Code::AlreadySettled);
    let other = nack(&out[0], pb::NackKind::Retry, None);
    assert_eq!(
        caller.code(other).await,
        Code::AlreadySettled,
        "whatever is said of it"
    );
    assert_eq!(caller.messages_of(id(&session.session_id)).await, []);
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!((counts.processed, counts.in_flight), (1, 0));
}

/// Proves: G9.
#[tokio::test]
async fn each_settlement_is_judged_by_itself_and_answered_at_its_index() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_, out) = out(&caller, &["one", "two", "three"]).await;
    let never = pb::Settlement {
        seq: 4,
        ..ack(&out[0])
    };
    let nowhere = pb::Settlement {
        queue_id: 999,
        ..ack(&out[0])
    };
    let stale = pb::Settlement {
        delivery_id: out[1].delivery_id + 100,
        ..ack(&out[1])
    };
    let fenced = pb::Settlement {
        epoch: out[1].epoch + 7,
        ..nack(&out[1], pb::NackKind::Retry, None)
    };
    let fenced_extend = pb::Settlement {
        epoch: 0,
        ..extend(&out[2], 1_000)
    };
    let asked = vec![
        never,
        ack(&out[0]),
        stale,
        ack(&out[0]),
        fenced,
        nowhere,
        fenced_extend,
        ack(&out[2]),
    ];
    let told = caller.settled(asked.clone()).await;
    let codes: Vec<Code> = told.iter().map(pb::SettleResult::code).collect();
    let expected = [
        Code::UnknownMessage,
        Code::Ok,
        Code::StaleDelivery,
        Code::AlreadySettled,
        Code::Fenced,
        Code::UnknownMessage,
        Code::Fenced,
        Code::Ok,
    ];
    assert_eq!(codes, expected);
    for (asked, told) in asked.iter().zip(&told) {
        let named = (told.queue_id, told.seq, told.delivery_id);
        assert_eq!(named, (asked.queue_id, asked.seq, asked.delivery_id));
    }
    assert_eq!(
        (told[2].current_delivery_id, told[2].current_epoch),
        (out[1].delivery_id, 0)
    );
    assert_eq!(
        (told[4].current_delivery_id, told[4].current_epoch),
        (0, out[1].epoch)
    );
    assert_eq!((told[1].current_delivery_id, told[1].current_epoch), (0, 0));
    assert_eq!(
        caller.code(ack(&out[1])).await,
        Code::Ok,
        "what was refused changed nothing"
    );
}

/// Proves: F55.
#[tokio::test]
async fn an_ack_adds_its_usage_to_the_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_, out) = out(&caller, &["one", "two"]).await;
    let with = |delivery: &pb::Delivery, input_tokens: u64, output_tokens: u64| {
        let usage_delta = Some(pb::Usage {
            input_tokens,
            output_tokens,
        });
        settlement(
            delivery,
            pb::settlement::Outcome::Ack(pb::Ack { usage_delta }),
        )
    };
    let told = caller
        .settled(vec![with(&out[0], 5_000_000_000, 3), with(&out[1], 1, 4)])
        .await;
    assert!(told.iter().all(|result| result.code() == Code::Ok));
    assert_eq!(caller.code(with(&out[0], 9, 9)).await, Code::AlreadySettled);
    let usage = caller.session(key("a")).await.usage.unwrap();
    assert_eq!(
        (usage.input_tokens, usage.output_tokens),
        (5_000_000_001, 7)
    );
}

/// Proves: G9.
#[tokio::test]
async fn a_retry_is_counted_and_comes_back_after_its_delay() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_, out) = out(&caller, &["one"]).await;
    assert_eq!(
        caller
            .code(nack(&out[0], pb::NackKind::Retry, Some(300)))
            .await,
        Code::Ok
    );
    let listed = caller.messages_of(key("a")).await;
    let status = listed[0].status.as_ref().unwrap();
    assert_eq!(status.state(), pb::MessageState::Pending);
    assert_eq!(
        (status.last_error.as_str(), listed[0].attempt),
        ("it failed", 1)
    );
    assert!(status.due_time.is_some());
    assert_eq!(
        caller.claimed(key("a"), "w").await,
        [],
        "not before it is due"
    );
    let again = caller.claim(waits("w")).await.expect("claimed").deliveries;
    assert_eq!(
        (payloads(&again), attempts(&again)),
        (vec!["one".to_owned()], vec![2])
    );
    assert_eq!(again[0].epoch, out[0].epoch, "the lease goes on");
    assert_eq!(caller.code(ack(&out[0])).await, Code::StaleDelivery);
    assert_eq!(caller.code(ack(&again[0])).await, Code::Ok);
}

/// Proves: F61.
#[tokio::test]
async fn a_retry_without_a_delay_waits_one_second_at_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_, out) = out(&caller, &["one"]).await;
    let begun = std::time::Instant::now();
    caller
        .code(nack(&out[0], pb::NackKind::Unspecified, None))
        .await;
    let again = caller.claim(waits("w")).await.expect("claimed").deliveries;
    assert_eq!(attempts(&again), [2], "unset is RETRY");
    let waited = begun.elapsed();
    assert!(
        waited >= std::time::Duration::from_millis(1_000),
        "{waited:?}"
    );
    assert!(waited < std::time::Duration::from_secs(6), "{waited:?}");
}

/// Proves: G9.
#[tokio::test]
async fn a_defer_is_not_counted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_, mut out) = out(&caller, &["one"]).await;
    for _ in 0..5 {
        assert_eq!(attempts(&out), [1]);
        assert_eq!(
            caller
                .code(nack(&out[0], pb::NackKind::Defer, Some(1)))
                .await,
            Code::Ok
        );
        out = caller.claim(waits("w")).await.expect("claimed").deliveries;
    }
    assert_eq!(attempts(&out), [1]);
    assert_eq!(
        caller.session(key("a")).await.counts.unwrap().dead_lettered,
        0
    );
}

/// Proves: F48, G9.
#[tokio::test]
async fn after_max_attempts_a_message_is_a_dead_letter_with_an_event() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, mut out) = out(&caller, &["one"]).await;
    let mut watch = WatchStream::from_now(&caller).await;
    for attempt in 1..=3 {
        assert_eq!(attempts(&out), [attempt]);
        assert_eq!(
            caller
                .code(nack(&out[0], pb::NackKind::Retry, Some(1)))
                .await,
            Code::Ok
        );
        if attempt < 3 {
            out = caller.claim(waits("w")).await.expect("claimed").deliveries;
        }
    }
    let events = watch.batch().await.events;
    assert_eq!(types(&events), [pb::EventType::MessageDeadLettered]);
    let named = events[0].message_ref.as_ref().unwrap();
    let given = (named.queue_id, named.seq, named.kind.as_str());
    assert_eq!(given, (session.queue_id, 1, "observation"));
    assert_eq!(
        events[0].actor.as_ref().unwrap().kind(),
        pb::ActorKind::Worker
    );
    let listed = caller.messages_of(key("a")).await;
    let status = listed[0].status.as_ref().unwrap();
    assert_eq!(status.state(), pb::MessageState::DeadLettered);
    assert_eq!(
        status.dead_letter_reason(),
        pb::DeadLetterReason::MaxAttempts
    );
    assert_eq!(
        (status.last_error.as_str(), listed[0].attempt),
        ("it failed", 3)
    );
    assert!(status.dead_letter_time.is_some());
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!(
        (counts.dead_lettered, counts.pending, counts.in_flight),
        (1, 0, 0)
    );
    caller.enqueued(key("a"), &["two"]).await;
    assert_eq!(
        payloads(&caller.claimed(key("a"), "w").await),
        ["two"],
        "the queue goes on"
    );
}

/// Proves: G9.
#[tokio::test]
async fn a_permanent_failure_is_a_dead_letter_at_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, out) = out(&caller, &["one", "two"]).await;
    let mut watch = WatchStream::from_now(&caller).await;
    assert_eq!(
        caller
            .code(nack(&out[0], pb::NackKind::Permanent, None))
            .await,
        Code::Ok
    );
    let told = watch
        .event(pb::EventType::MessageDeadLettered, &session.session_id)
        .await;
    assert_eq!(told.message_ref.unwrap().seq, 1);
    let listed = caller.messages_of(key("a")).await;
    let status = listed[0].status.as_ref().unwrap();
    assert_eq!(status.dead_letter_reason(), pb::DeadLetterReason::Permanent);
    assert_eq!(status.last_error, "it failed");
    assert_eq!(
        caller.code(ack(&out[0])).await,
        Code::StaleDelivery,
        "it was settled"
    );
    assert_eq!(
        caller.messages_of(key("a")).await.len(),
        2,
        "and stays a dead letter"
    );
}
