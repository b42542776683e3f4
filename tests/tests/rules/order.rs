//! Order of hand-out: STRICT, SERIAL, RELAXED, and where a returned message stands.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, key, millis, nack, open, payloads, seqs};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::WorkStream;

async fn opened(caller: &Caller, ordering: pb::Ordering, messages: &[&str]) {
    let asked = pb::OpenSessionRequest {
        ordering: ordering.into(),
        ..open("a")
    };
    caller.open(asked).await.expect("opened");
    caller.enqueued(key("a"), messages).await;
}

fn some(max: u32) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        max_messages: Some(max),
        ..claim(key("a"), "w")
    }
}

fn waiting(max: u32) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        wait: millis(20_000),
        ..some(max)
    }
}

async fn claimed(caller: &Caller, request: pb::ClaimMessagesRequest) -> Vec<pb::Delivery> {
    caller.claim(request).await.expect("claimed").deliveries
}

/// Proves: F45.
#[tokio::test]
async fn strict_hands_out_nothing_behind_a_nacked_message_until_it_is_due_again() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(
        &caller,
        pb::Ordering::Strict,
        &["one", "two", "three", "four"],
    )
    .await;
    let out = claimed(&caller, some(3)).await;
    assert_eq!(
        payloads(&out),
        ["one", "two", "three"],
        "several may be in flight"
    );
    let retry = nack(&out[1], pb::NackKind::Retry, Some(400));
    assert_eq!(caller.code(retry).await, pb::SettleCode::Ok);
    assert_eq!(
        caller.code(ack(&out[2])).await,
        pb::SettleCode::Ok,
        "one in flight may be acked"
    );
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    assert_eq!(claimed(&caller, some(8)).await, [], "four waits behind two");
    assert_eq!(
        payloads(&claimed(&caller, waiting(8)).await),
        ["two", "four"]
    );
}

#[tokio::test]
async fn strict_goes_on_when_the_message_is_dead() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller, pb::Ordering::Strict, &["one", "two"]).await;
    let out = claimed(&caller, some(1)).await;
    let retry = nack(&out[0], pb::NackKind::Retry, Some(3_600_000));
    caller.code(retry).await;
    assert_eq!(claimed(&caller, some(8)).await, []);
    let mut watch = WatchStream::from_now(&caller).await;
    // A message that waits for long can be let go only by its end; another session shows the rest.
    caller.opened("b").await;
    caller.enqueued(key("b"), &["one", "two"]).await;
    let out = caller.claimed(key("b"), "w").await;
    let dead = nack(&out[0], pb::NackKind::Permanent, None);
    assert_eq!(caller.code(dead).await, pb::SettleCode::Ok);
    let session = caller.session(key("b")).await.session_id;
    watch
        .event(pb::EventType::MessageDeadLettered, &session)
        .await;
    assert_eq!(payloads(&caller.claimed(key("b"), "w").await), ["two"]);
}

#[tokio::test]
async fn strict_waits_after_a_lapse_too_and_hands_out_lowest_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller, pb::Ordering::Strict, &["one", "two", "three"]).await;
    let lapses = pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        ..some(2)
    };
    let out = claimed(&caller, lapses).await;
    let other = pb::ClaimMessagesRequest {
        worker: "other".to_owned(),
        ..claim(None, "")
    };
    let waits = pb::ClaimMessagesRequest {
        wait: millis(20_000),
        ..other
    };
    let again = caller.claim(waits).await.expect("claimed").deliveries;
    assert_eq!(
        payloads(&again),
        ["one", "two", "three"],
        "returned ones before new ones"
    );
    assert!(again[0].delivery_id > out[1].delivery_id);
}

#[tokio::test]
async fn serial_is_strict_with_one_in_flight() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller, pb::Ordering::Serial, &["one", "two"]).await;
    let out = claimed(&caller, some(8)).await;
    assert_eq!(payloads(&out), ["one"]);
    caller
        .settled(vec![nack(&out[0], pb::NackKind::Retry, Some(100))])
        .await;
    assert_eq!(
        payloads(&claimed(&caller, waiting(8)).await),
        ["one"],
        "again, and alone"
    );
    let out = claimed(&caller, some(8)).await;
    caller.settled(vec![ack(&out[0])]).await;
    assert_eq!(payloads(&claimed(&caller, some(8)).await), ["two"]);
}

#[tokio::test]
async fn relaxed_lets_others_pass() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller, pb::Ordering::Relaxed, &["one", "two", "three"]).await;
    let out = claimed(&caller, some(1)).await;
    caller
        .settled(vec![nack(&out[0], pb::NackKind::Retry, Some(500))])
        .await;
    let passed = claimed(&caller, some(1)).await;
    assert_eq!(payloads(&passed), ["two"]);
    caller.settled(vec![ack(&passed[0])]).await;
    caller
        .settled(vec![ack(&claimed(&caller, some(1)).await[0])])
        .await;
    assert_eq!(payloads(&claimed(&caller, waiting(8)).await), ["one"]);
}

#[tokio::test]
async fn returned_messages_go_before_new_ones_lowest_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller, pb::Ordering::Relaxed, &["m"; 6]).await;
    let mut worker = WorkStream::worker(&caller, "first", 4).await;
    let session_id = worker
        .attached_to(key("a"))
        .await
        .session
        .unwrap()
        .session_id;
    let out = worker.delivered(4).await;
    assert_eq!(seqs(&out), [1, 2, 3, 4]);
    worker.say(pb::work_request::Frame::Window(pb::Window {
        max_messages: Some(0),
        ..pb::Window::default()
    }));
    worker.settle(vec![ack(&out[1]), ack(&out[3])]).await;
    worker.say(pb::work_request::Frame::Detach(pb::Detach { session_id }));
    worker.lease_lost().await;
    assert_eq!(seqs(&claimed(&caller, some(8)).await), [1, 3, 5, 6]);
}

#[tokio::test]
async fn acks_in_any_order_are_taken() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    opened(&caller, pb::Ordering::Strict, &["one", "two", "three"]).await;
    let out = claimed(&caller, some(3)).await;
    let codes = caller.settled(out.iter().rev().map(ack).collect()).await;
    assert!(
        codes
            .iter()
            .all(|result| result.code() == pb::SettleCode::Ok)
    );
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!(
        (counts.processed, counts.pending, counts.in_flight),
        (3, 0, 0)
    );
}
