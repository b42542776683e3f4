//! Late settlements: what still counts once a lease has lapsed or a session has ended, and what an
//! extend moves.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::SettleCode as Code;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, attempts, claim_within, end, extend, key, millis, nack, payloads,
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

/// Claims under the shortest lease and lets it lapse.
async fn lapsed(caller: &Caller, worker: &str) -> pb::Delivery {
    let mut watch = WatchStream::from_now(caller).await;
    let short = pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        ..waits(worker)
    };
    let mut out = caller.claim(short).await.expect("claimed").deliveries;
    let lost = |event: &pb::SessionEvent| event.r#type() == pb::EventType::WorkerLost;
    watch.until(lost).await;
    out.remove(0)
}

#[tokio::test]
async fn a_late_ack_counts_until_the_message_is_handed_out_again() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let late = lapsed(&caller, "w").await;
    assert_eq!(
        caller.code(nack(&late, pb::NackKind::Retry, None)).await,
        Code::Fenced
    );
    assert_eq!(caller.code(extend(&late, 1_000)).await, Code::Fenced);
    assert_eq!(
        caller.code(ack(&late)).await,
        Code::Ok,
        "whatever became of the lease"
    );
    let next = caller.claimed(key("a"), "other").await;
    assert_eq!(payloads(&next), ["two"], "done is not done again");
}

/// Proves: F46, G4.
#[tokio::test]
async fn a_late_ack_is_stale_once_the_message_is_handed_out_again() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let late = lapsed(&caller, "w").await;
    let again = caller.claimed(key("a"), "other").await;
    assert_eq!(attempts(&again), [2], "a lapse is counted");
    let told = caller.settled(vec![ack(&late)]).await;
    assert_eq!(told[0].code(), Code::StaleDelivery);
    assert_eq!(told[0].current_delivery_id, again[0].delivery_id);
    let fenced = pb::Settlement {
        delivery_id: again[0].delivery_id,
        ..nack(&late, pb::NackKind::Retry, None)
    };
    let told = caller.settled(vec![fenced]).await;
    assert_eq!(
        told[0].code(),
        Code::Fenced,
        "the right delivery under the old epoch"
    );
    assert_eq!(told[0].current_epoch, again[0].epoch);
    assert_eq!(caller.code(ack(&again[0])).await, Code::Ok);
}

#[tokio::test]
async fn a_late_ack_removes_the_dead_letter_that_lapses_made() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let mut out = caller.claimed(key("a"), "w").await;
    for _ in 0..2 {
        caller
            .code(nack(&out[0], pb::NackKind::Retry, Some(1)))
            .await;
        out = caller.claim(waits("w")).await.expect("claimed").deliveries;
    }
    // The third and last time ends by a lapse: the lease is made short by a repeat of the claim.
    let mut watch = WatchStream::from_now(&caller).await;
    let short = pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        ..waits("w")
    };
    caller.claim(short).await.expect("the same again");
    let lost = |event: &pb::SessionEvent| event.r#type() == pb::EventType::WorkerLost;
    let events = watch.until(lost).await;
    let told = [
        pb::EventType::MessageDeadLettered,
        pb::EventType::WorkerLost,
    ];
    assert_eq!(types(&events), told);
    assert_eq!(
        caller.session(key("a")).await.counts.unwrap().dead_lettered,
        1
    );
    assert_eq!(caller.code(ack(&out[0])).await, Code::Ok);
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!((counts.dead_lettered, counts.processed), (0, 1));
    assert_eq!(caller.messages_of(key("a")).await, []);
}

#[tokio::test]
async fn an_ack_counts_after_the_end_of_its_session_and_of_the_next_one_too() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_, out) = out(&caller, &["one"]).await;
    for _ in 0..2 {
        let reaped = end(key("a"), pb::EndReason::Idle, pb::EndMode::Immediate);
        caller.end(reaped).await.expect("ended");
        caller.opened("a").await;
    }
    assert_eq!(caller.code(ack(&out[0])).await, Code::Ok);
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!(
        (counts.processed, counts.pending, counts.in_flight),
        (1, 0, 0)
    );
}

/// Proves: B13.
#[tokio::test]
async fn an_extend_moves_the_deadline_of_the_lease_and_all_its_deliveries() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_, out) = out(&caller, &["one", "two"]).await;
    let told = caller.settled(vec![extend(&out[0], 600_000)]).await;
    assert_eq!(told[0].code(), Code::Ok);
    let deadline = told[0].deadline.expect("the new deadline");
    assert!(deadline.seconds > out[0].deadline.unwrap().seconds + 500);
    let lease = caller.session(key("a")).await.lease.unwrap();
    let held = caller.messages_of(key("a")).await;
    assert_eq!(held.len(), 2);
    let deadlines = held.iter().map(|one| one.status.as_ref().unwrap().deadline);
    for one in deadlines.chain([lease.expire_time]) {
        assert!(one.unwrap().seconds > out[1].deadline.unwrap().seconds + 500);
    }
}

#[tokio::test]
async fn an_extend_never_shortens_what_the_lease_had() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_, out) = out(&caller, &["one"]).await;
    let told = caller.settled(vec![extend(&out[0], 1_000)]).await;
    let deadline = told[0].deadline.expect("a deadline");
    let before = out[0].deadline.unwrap();
    assert!(
        (deadline.seconds, deadline.nanos) >= (before.seconds, before.nanos),
        "they hold for this long, or longer if they did already: {deadline:?} {before:?}"
    );
}
