//! Replace: the old session ends and the new one opens in one commit, and the work goes over.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, attempts, claim, id, key, millis, nack, open, payloads, seqs};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use sessiond_tests::work_stream::WorkStream;

fn replace(of: &str) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..open(of)
    }
}

async fn replaced(caller: &Caller, of: &str) -> pb::Session {
    let answer = caller.open(replace(of)).await.expect("replaced");
    assert!(answer.created && !answer.duplicate);
    answer.session.unwrap()
}

#[tokio::test]
async fn replace_ends_and_opens_in_one_commit() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    let mut watch = WatchStream::from_now(&caller).await;
    let new = replaced(&caller, "a").await;
    let events = watch.batch().await.events;
    let told = [pb::EventType::SessionEnd, pb::EventType::SessionOpened];
    assert_eq!(types(&events), told, "neighbours in one frame");
    assert_eq!(events[1].revision, events[0].revision + 1);
    let end = events[0].end.as_ref().expect("an end");
    assert_eq!(end.reason(), pb::EndReason::Replaced);
    assert_eq!(end.reason_class(), pb::EndReasonClass::Rotated);
    assert_eq!(end.successor_id, new.session_id);
    assert_eq!(new.predecessor_id, old.session_id);
    let ended = caller.session(id(&old.session_id)).await;
    assert_eq!(ended.state(), pb::SessionState::Ended);
    assert_eq!(ended.successor_id, new.session_id);
    assert_eq!(ended.end.as_ref(), Some(end));
}

#[tokio::test]
async fn replace_without_a_live_session_opens_one() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let new = replaced(&caller, "a").await;
    assert_eq!(new.predecessor_id, "");
    assert_eq!(caller.revision().await, 1);
}

#[tokio::test]
async fn replace_moves_what_is_pending_and_seq_goes_on() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let new = replaced(&caller, "a").await;
    assert_eq!(new.queue_id, old.queue_id);
    assert_eq!(new.counts.unwrap().pending, 2);
    assert_eq!(caller.enqueued(key("a"), &["three"]).await, [3]);
    let claimed = caller.claimed(key("a"), "w").await;
    assert_eq!(payloads(&claimed), ["one", "two", "three"]);
    let named = &claimed[0].message.as_ref().unwrap().session_id;
    assert_eq!(*named, new.session_id, "worked on in the successor");
    assert_eq!(
        caller.messages_of(id(&old.session_id)).await,
        [],
        "the successor's to list"
    );
}

#[tokio::test]
async fn what_a_session_adopts_counts_there_as_enqueued() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let claimed = caller.claimed(key("a"), "w").await;
    caller.settled(vec![ack(&claimed[0])]).await;
    let new = replaced(&caller, "a").await;
    let counts = new.counts.unwrap();
    assert_eq!(counts.enqueued, 2, "{counts:?}");
    assert_eq!((counts.in_flight, counts.processed), (2, 0), "{counts:?}");
}

#[tokio::test]
async fn deliveries_in_flight_stay_settleable_by_the_old_worker() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let old = caller.claimed(key("a"), "old").await;
    let new = replaced(&caller, "a").await;
    assert_eq!(
        caller.claimed(key("a"), "new").await,
        [],
        "they are still out"
    );
    assert_eq!(caller.code(ack(&old[0])).await, pb::SettleCode::Ok);
    let fenced = nack(&old[1], pb::NackKind::Retry, None);
    assert_eq!(caller.code(fenced).await, pb::SettleCode::Fenced);
    assert_eq!(caller.code(ack(&old[1])).await, pb::SettleCode::Ok);
    let counts = caller.session(id(&new.session_id)).await.counts.unwrap();
    assert_eq!(
        (counts.processed, counts.in_flight, counts.pending),
        (2, 0, 0)
    );
}

#[tokio::test]
async fn deliveries_in_flight_go_out_again_after_one_lease_uncounted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let short = pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        max_messages: Some(1),
        ..claim(key("a"), "old")
    };
    let old = caller.claim(short).await.expect("claimed").deliveries;
    assert_eq!(attempts(&old), [1]);
    replaced(&caller, "a").await;
    // What was not out goes to the new worker only behind what is.
    let waits = |max| pb::ClaimMessagesRequest {
        wait: millis(20_000),
        max_messages: Some(max),
        ..claim(key("a"), "new")
    };
    let first = caller.claim(waits(1)).await.expect("claimed").deliveries;
    let mut again = first.clone();
    if seqs(&first) == [2] {
        caller.settled(vec![ack(&first[0])]).await;
        again = caller.claim(waits(1)).await.expect("claimed").deliveries;
    }
    assert_eq!(payloads(&again), ["one"]);
    assert_eq!(attempts(&again), [1], "the time before is not counted");
    assert!(again[0].delivery_id > old[0].delivery_id);
    assert_eq!(
        caller.code(ack(&old[0])).await,
        pb::SettleCode::StaleDelivery
    );
    assert_eq!(caller.code(ack(&again[0])).await, pb::SettleCode::Ok);
}

#[tokio::test]
async fn the_worker_is_told_that_it_is_succeeded() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    let held = worker.attached_to(key("a")).await.lease.unwrap();
    let delivered = worker.delivered(1).await;
    let new = replaced(&caller, "a").await;
    let lost = worker.lease_lost().await;
    assert_eq!(lost.reason(), pb::LeaseLostReason::Succeeded);
    assert_eq!(
        (lost.session_id.as_str(), lost.epoch),
        (old.session_id.as_str(), held.epoch)
    );
    assert_eq!(lost.successor_id, new.session_id);
    assert_eq!(worker.code(ack(&delivered[0])).await, pb::SettleCode::Ok);
    // The worker follows the successor by itself.
    let next = worker.attached_to(id(&new.session_id)).await.lease.unwrap();
    assert!(next.epoch > held.epoch);
    caller.enqueued(key("a"), &["two"]).await;
    assert_eq!(payloads(&worker.delivered(1).await), ["two"]);
}

#[tokio::test]
async fn a_detach_of_the_old_session_returns_its_deliveries_at_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    worker.attached_to(key("a")).await;
    assert_eq!(attempts(&worker.delivered(1).await), [1]);
    replaced(&caller, "a").await;
    worker.lease_lost().await;
    let session_id = old.session_id.clone();
    worker.say(pb::work_request::Frame::Detach(pb::Detach { session_id }));
    assert_eq!(
        worker.lease_lost().await.reason(),
        pb::LeaseLostReason::Detached
    );
    let again = caller.claimed(key("a"), "other").await;
    assert_eq!(
        (payloads(&again), attempts(&again)),
        (vec!["one".to_owned()], vec![1])
    );
}
