//! "A worker took the message and nothing happened any more", and what became of its answer when it came back.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, key, millis, payloads};
use sessiond_tests::simulated::Simulated;

/// A claim of a lease of ten seconds.
async fn claimed(caller: &Caller, worker: &str) -> Vec<pb::Delivery> {
    let request = pb::ClaimMessagesRequest {
        lease_duration: millis(10_000),
        ..claim(key("a"), worker)
    };
    caller.claim(request).await.expect("a claim").deliveries
}

/// Proves: F47, F48.
#[tokio::test]
async fn a_worker_that_holds_a_message_and_hangs_loses_it_to_another() {
    let server = Simulated::start().await;
    let caller = server.caller();
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    assert_eq!(claimed(&caller, "hangs").await.len(), 1);
    server.advance(Duration::from_millis(9_999)).await;
    assert!(claimed_in_vain(&caller, "other").await, "it is held");
    server.advance(Duration::from_millis(1)).await;
    let out = claimed(&caller, "other").await;
    assert_eq!(payloads(&out), ["m"]);
    assert_eq!(out[0].message.as_ref().expect("a message").attempt, 2);
}

async fn claimed_in_vain(caller: &Caller, worker: &str) -> bool {
    caller.claim(claim(key("a"), worker)).await.is_err()
}

/// Proves: F47.
#[tokio::test]
async fn a_worker_that_was_paused_past_its_lease_is_refused_once_another_has_the_message() {
    let server = Simulated::start().await;
    let caller = server.caller();
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    let paused = claimed(&caller, "paused").await;
    server.advance(Duration::from_secs(10)).await;
    let other = claimed(&caller, "other").await;
    assert_eq!(
        caller.code(ack(&paused[0])).await,
        pb::SettleCode::StaleDelivery
    );
    assert_eq!(caller.code(ack(&other[0])).await, pb::SettleCode::Ok);
}

/// Proves: F47.
#[tokio::test]
async fn a_worker_that_was_paused_past_its_lease_is_heard_while_nobody_else_has_the_message() {
    let server = Simulated::start().await;
    let caller = server.caller();
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    let paused = claimed(&caller, "paused").await;
    server.advance(Duration::from_secs(3_000)).await;
    assert_eq!(caller.code(ack(&paused[0])).await, pb::SettleCode::Ok);
    assert!(claimed(&caller, "other").await.is_empty(), "it is done");
}
