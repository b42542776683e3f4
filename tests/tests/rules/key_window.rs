//! How many idempotency keys a queue remembers: the newest ones, across a SIGKILL too.

use sessiond_core::limits::{ENQUEUE_MESSAGES_MAX, IDEMPOTENCY_KEYS_MAX};
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{key, message};
use sessiond_tests::server::Server;

/// Messages of which each has the key with its number.
async fn send(caller: &Caller, numbers: std::ops::Range<usize>) -> Vec<(u64, pb::EnqueueStatus)> {
    let messages = numbers.map(|number| pb::Message {
        idempotency_key: format!("key-{number}"),
        ..message("m")
    });
    caller.sent(key("a"), messages).await
}

#[tokio::test]
async fn the_newest_keys_of_a_queue_are_remembered_and_the_one_before_them_is_not() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    // One more than is remembered: the first gives way.
    for first in (0..IDEMPOTENCY_KEYS_MAX).step_by(ENQUEUE_MESSAGES_MAX) {
        send(&caller, first..first + ENQUEUE_MESSAGES_MAX).await;
    }
    let last = IDEMPOTENCY_KEYS_MAX;
    send(&caller, last..last + 1).await;
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let again = |number: usize| send(&caller, number..number + 1);
    let twice = pb::EnqueueStatus::Duplicate;
    assert_eq!(again(1).await, [(2, twice)], "the oldest that counts");
    assert_eq!(again(last).await, [(last as u64 + 1, twice)], "the newest");
    let anew = [(last as u64 + 2, pb::EnqueueStatus::Enqueued)];
    assert_eq!(again(0).await, anew, "the one that gave way");
}
