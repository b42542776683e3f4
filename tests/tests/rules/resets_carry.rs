//! What becomes of a session's messages, and of its worker, when it is reset.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, attempts, claim, claim_within, id, key, millis, nack, payloads,
};
use sessiond_tests::server::Server;
use sessiond_tests::work_stream::WorkStream;

use super::resets::{carrying, done, reset};

fn states(messages: &[pb::Message]) -> Vec<pb::MessageState> {
    let state = |message: &pb::Message| message.status.as_ref().unwrap().state();
    messages.iter().map(state).collect()
}

/// Proves: B2.
#[tokio::test]
async fn move_takes_the_queue_over_with_all_that_is_in_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller
        .enqueued(key("a"), &["given up", "done", "out", "waits"])
        .await;
    let three = pb::ClaimMessagesRequest {
        max_messages: Some(3),
        ..claim(key("a"), "w")
    };
    let out = caller.claim(three).await.expect("claimed").deliveries;
    caller
        .settled(vec![
            nack(&out[0], pb::NackKind::Permanent, None),
            ack(&out[1]),
        ])
        .await;
    let (ended, new) = done(&caller, reset(key("a"))).await;
    let end = ended.end.unwrap();
    assert_eq!((end.pending_kept, end.pending_discarded), (2, 0));
    assert_eq!(new.queue_id, old.queue_id);
    let counts = new.counts.unwrap();
    assert_eq!(
        (counts.enqueued, counts.pending, counts.in_flight),
        (3, 1, 1)
    );
    assert_eq!(
        (counts.dead_lettered, counts.processed),
        (1, 0),
        "dead letters go over too"
    );
    assert_eq!(caller.messages_of(id(&old.session_id)).await, []);
    let listed = states(&caller.messages_of(key("a")).await);
    assert_eq!(
        listed,
        [
            pb::MessageState::DeadLettered,
            pb::MessageState::InFlight,
            pb::MessageState::Pending
        ]
    );
    assert_eq!(caller.enqueued(key("a"), &["new"]).await, [5], "seqs go on");
    assert_eq!(
        caller.code(ack(&out[2])).await,
        pb::SettleCode::Ok,
        "still settleable"
    );
    assert_eq!(
        payloads(&caller.claimed(key("a"), "w").await),
        ["waits", "new"]
    );
}

/// Proves: B2.
#[tokio::test]
async fn what_a_successor_took_over_is_its_own_after_a_sigkill() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["out", "waits", "last"]).await;
    let one = pb::ClaimMessagesRequest {
        max_messages: Some(1),
        ..claim(key("a"), "w")
    };
    let out = caller.claim(one).await.expect("claimed").deliveries;
    let (_, new) = done(&caller, reset(key("a"))).await;
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let ended = caller.session(id(&old.session_id)).await;
    assert_eq!(ended.state(), pb::SessionState::Ended);
    let end = ended.end.unwrap();
    assert_eq!((end.pending_kept, &end.successor_id), (3, &new.session_id));
    let counts = caller.session(id(&new.session_id)).await.counts.unwrap();
    assert_eq!((counts.pending, counts.in_flight), (2, 1));
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    assert_eq!(
        payloads(&caller.claimed(key("a"), "w").await),
        ["waits", "last"]
    );
}

#[tokio::test]
async fn keep_leaves_dead_letters_behind() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["out", "waits"]).await;
    let one = pb::ClaimMessagesRequest {
        max_messages: Some(1),
        ..claim(key("a"), "w")
    };
    let out = caller.claim(one).await.expect("claimed").deliveries;
    let (ended, new) = done(&caller, carrying("a", pb::Carry::Keep)).await;
    assert_ne!(new.queue_id, old.queue_id);
    assert_eq!(new.counts, Some(pb::SessionCounts::default()));
    assert_eq!(ended.counts.unwrap().dead_lettered, 2);
    let listed = states(&caller.messages_of(id(&old.session_id)).await);
    assert_eq!(listed, [pb::MessageState::DeadLettered; 2]);
    assert_eq!(caller.claimed(key("a"), "w").await, []);
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let counts = caller.session(id(&old.session_id)).await.counts.unwrap();
    assert_eq!((counts.dead_lettered, counts.processed), (1, 1));
    assert_eq!(caller.enqueued(key("a"), &["new"]).await, [1]);
}

#[tokio::test]
async fn discard_deletes_and_counts() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let (ended, new) = done(&caller, carrying("a", pb::Carry::Discard)).await;
    assert_ne!(new.queue_id, old.queue_id);
    let end = ended.end.unwrap();
    assert_eq!((end.pending_kept, end.pending_discarded), (0, 2));
    assert_eq!(ended.counts.unwrap().discarded, 2);
    assert_eq!(caller.messages_of(id(&old.session_id)).await, []);
    assert_eq!(caller.claimed(key("a"), "w").await, []);
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let messages = stats.messages.unwrap();
    assert_eq!((messages.pending, messages.dead_lettered), (0, 0));
}

#[tokio::test]
async fn the_worker_is_told_its_successor_and_what_it_has_is_not_counted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    let held = worker.attached_to(key("a")).await.lease.unwrap();
    assert_eq!(attempts(&worker.delivered(1).await), [1]);
    let (_, new) = done(&caller, reset(key("a"))).await;
    let lost = worker.lease_lost().await;
    assert_eq!(lost.reason(), pb::LeaseLostReason::Succeeded);
    assert_eq!(
        (lost.session_id.as_str(), lost.epoch),
        (old.session_id.as_str(), held.epoch)
    );
    assert_eq!(lost.successor_id, new.session_id);
    assert_eq!(
        caller.claimed(key("a"), "other").await,
        [],
        "it is still out"
    );
    let session_id = old.session_id;
    worker.say(pb::work_request::Frame::Detach(pb::Detach { session_id }));
    worker.lease_lost().await;
    let again = caller.claimed(key("a"), "other").await;
    assert_eq!(
        (payloads(&again), attempts(&again)),
        (vec!["one".to_owned()], vec![1])
    );
}

#[tokio::test]
async fn what_nobody_gives_back_is_handed_out_after_one_lease_uncounted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let short = pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        ..claim(key("a"), "old")
    };
    let old = caller.claim(short).await.expect("claimed").deliveries;
    done(&caller, reset(key("a"))).await;
    let waits = claim_within(key("a"), "new", 20_000);
    let again = caller.claim(waits).await.expect("claimed").deliveries;
    assert_eq!(
        (payloads(&again), attempts(&again)),
        (vec!["one".to_owned()], vec![1])
    );
    assert_eq!(
        caller.code(ack(&old[0])).await,
        pb::SettleCode::StaleDelivery
    );
}

/// Proves: B2, B6.
#[tokio::test]
async fn what_is_pending_costs_a_reset_nothing() {
    const MESSAGES: usize = 20_000;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let batch = ["m"; 250];
    for _ in 0..MESSAGES / batch.len() {
        caller.enqueued(key("a"), &batch).await;
    }
    let before = caller.revision().await;
    let (_, moved) = done(&caller, reset(key("a"))).await;
    assert_eq!(moved.counts.unwrap().pending, MESSAGES as u64);
    let (kept, empty) = done(&caller, carrying("a", pb::Carry::Keep)).await;
    assert_eq!(kept.counts.unwrap().dead_lettered, MESSAGES as u64);
    assert_eq!(empty.counts.unwrap().pending, 0);
    assert_eq!(
        caller.revision().await,
        before + 4,
        "two events each and no more"
    );
}
