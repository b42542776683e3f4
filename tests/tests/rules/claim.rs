//! Claims of one session: a lease and its deliveries in one commit, again when the answer was lost.

use std::time::{Duration, Instant};

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, attempts, claim, claim_within, enqueue, id, key, message, nack, open, payloads, seqs,
};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use tokio::task::JoinSet;
use tonic::Code;

fn some(max: u32) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        max_messages: Some(max),
        ..claim(key("a"), "w")
    }
}

async fn with_messages(caller: &Caller, messages: &[&str]) -> pb::Session {
    let session = caller.opened("a").await;
    if !messages.is_empty() {
        caller.enqueued(key("a"), messages).await;
    }
    session
}

#[tokio::test]
async fn a_claim_takes_the_lease_and_hands_out_in_one_commit() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = with_messages(&caller, &["one", "two", "three"]).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let answer = caller.claim(some(2)).await.expect("claimed");
    let lease = answer.lease.unwrap();
    assert_eq!(
        (lease.worker.as_str(), lease.instance_id.as_str()),
        ("w", "w"),
        "unset: the name"
    );
    assert_eq!(lease.session_id, session.session_id);
    assert!(lease.epoch > 0 && lease.acquire_time.is_some() && lease.expire_time.is_some());
    assert_eq!(payloads(&answer.deliveries), ["one", "two"]);
    assert_eq!(attempts(&answer.deliveries), [1, 1]);
    for delivery in &answer.deliveries {
        assert_eq!(
            (delivery.epoch, delivery.deadline),
            (lease.epoch, lease.expire_time)
        );
    }
    assert_eq!(answer.revision, 2);
    let events = watch.batch().await.events;
    assert_eq!(types(&events), [pb::EventType::WorkerAttached]);
    let shown = caller.session(key("a")).await;
    assert_eq!(shown.lease.unwrap().epoch, lease.epoch);
    let counts = shown.counts.unwrap();
    assert_eq!((counts.in_flight, counts.pending), (2, 1));
}

#[tokio::test]
async fn an_unset_maximum_is_one_message() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    with_messages(&caller, &["one", "two"]).await;
    let asked = pb::ClaimMessagesRequest {
        max_messages: None,
        ..claim(key("a"), "w")
    };
    assert_eq!(
        payloads(&caller.claim(asked).await.expect("claimed").deliveries),
        ["one"]
    );
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_gets_the_same_deliveries_and_nothing_new() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    with_messages(&caller, &["one", "two", "three"]).await;
    let first = caller.claim(some(2)).await.expect("claimed").deliveries;
    let again = caller.claim(some(200)).await.expect("claimed").deliveries;
    assert_eq!(payloads(&again), ["one", "two"]);
    let ids = |deliveries: &[pb::Delivery]| -> Vec<(u64, u64)> {
        let id = |delivery: &pb::Delivery| (delivery.delivery_id, delivery.epoch);
        deliveries.iter().map(id).collect()
    };
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(attempts(&again), [1, 1], "not counted");
    caller.settled(vec![ack(&again[0])]).await;
    let rest = caller.claim(some(200)).await.expect("claimed").deliveries;
    assert_eq!(
        ids(&rest),
        ids(&first[1..]),
        "what is unsettled of it, still nothing new"
    );
    caller.settled(vec![ack(&rest[0])]).await;
    let new = caller.claim(some(200)).await.expect("claimed").deliveries;
    assert_eq!(payloads(&new), ["three"]);
    assert_eq!(caller.revision().await, 2, "one lease all along");
}

#[tokio::test]
async fn a_claim_without_work_takes_no_lease_and_changes_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    with_messages(&caller, &[]).await;
    let answer = caller.claim(some(5)).await.expect("OK");
    assert_eq!((answer.lease, answer.deliveries), (None, vec![]));
    assert_eq!(answer.revision, 1);
    assert!(caller.session(key("a")).await.lease.is_none());
    assert_eq!(caller.revision().await, 1);
}

/// Proves: G4, B18.
#[tokio::test]
async fn another_instance_is_refused_with_the_holder_and_when_to_come_back() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = with_messages(&caller, &["one", "two"]).await;
    let lease = caller.claim(some(1)).await.expect("claimed").lease.unwrap();
    let refused = caller
        .claim(claim(key("a"), "other"))
        .await
        .expect_err("held");
    refused
        .is(Code::FailedPrecondition, Reason::LeaseHeld)
        .with("holder", "w")
        .with("session_id", &session.session_id)
        .with("epoch", &lease.epoch.to_string())
        .retries_within(Duration::from_secs(60));
    let sibling = pb::ClaimMessagesRequest {
        instance_id: "w-2".to_owned(),
        ..claim(key("a"), "w")
    };
    let refused = caller
        .claim(sibling)
        .await
        .expect_err("another process of the same worker");
    refused.is(Code::FailedPrecondition, Reason::LeaseHeld);
}

#[tokio::test]
async fn a_waiting_claim_wakes_at_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    with_messages(&caller, &[]).await;
    let waits = claim_within(key("a"), "w", 25_000);
    let begun = Instant::now();
    let enqueues = async {
        // Not before the claim is there; whichever comes first, none may be missed.
        caller.enqueued(key("a"), &["one"]).await
    };
    let (answer, _) = tokio::join!(caller.claim(waits), enqueues);
    assert_eq!(payloads(&answer.expect("claimed").deliveries), ["one"]);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it did not wait its time out"
    );
}

/// Proves: G8.
#[tokio::test]
async fn no_wake_up_is_lost() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    with_messages(&caller, &[]).await;
    for _ in 0..200 {
        let waits = claim_within(key("a"), "w", 25_000);
        let (answer, _) = tokio::join!(caller.claim(waits), caller.enqueued(key("a"), &["m"]));
        let out = answer.expect("claimed").deliveries;
        assert_eq!(out.len(), 1);
        caller.settled(vec![ack(&out[0])]).await;
    }
}

#[tokio::test]
async fn a_wait_without_work_answers_ok_and_empty() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    with_messages(&caller, &[]).await;
    let waits = claim_within(key("a"), "w", 200);
    let answer = caller.claim(waits).await.expect("OK");
    assert_eq!((answer.lease, answer.deliveries), (None, vec![]));
}

/// Proves: F45.
#[tokio::test]
async fn two_claims_never_get_the_same_message() {
    const MESSAGES: u64 = 300;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut claims = JoinSet::new();
    for session in 0..6 {
        let name = format!("s{session}");
        caller.opened(&name).await;
        caller.enqueued(key(&name), &["m"; 50]).await;
    }
    for worker in 0..8 {
        let caller = caller.clone();
        claims.spawn(async move {
            let any = pb::ClaimMessagesRequest {
                max_messages: Some(7),
                ..claim(None, &format!("w{worker}"))
            };
            let mut seen = Vec::new();
            loop {
                let out = caller.claim(any.clone()).await.expect("claimed").deliveries;
                if out.is_empty() {
                    return seen;
                }
                let codes = caller.settled(out.iter().map(ack).collect()).await;
                assert!(
                    codes
                        .iter()
                        .all(|result| result.code() == pb::SettleCode::Ok)
                );
                seen.extend(out.iter().map(|delivery| {
                    let message = delivery.message.as_ref().unwrap();
                    assert_eq!(message.attempt, 1);
                    (message.queue_id, message.seq)
                }));
            }
        });
    }
    let seen: Vec<(u64, u64)> = claims.join_all().await.into_iter().flatten().collect();
    let distinct: std::collections::BTreeSet<&(u64, u64)> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "handed out twice");
    assert_eq!(seen.len() as u64, MESSAGES, "and none is left over");
    let left = caller
        .stats(pb::GetStatsRequest {})
        .await
        .expect("stats")
        .messages;
    assert_eq!(left, Some(pb::MessageStats::default()));
}

#[tokio::test]
async fn what_is_in_flight_is_bounded_by_the_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let asked = pb::OpenSessionRequest {
        max_in_flight: Some(3),
        ..open("a")
    };
    caller.open(asked).await.expect("opened");
    caller.enqueued(key("a"), &["m"; 10]).await;
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(seqs(&out), [1, 2, 3]);
    // A retry keeps its place, so that what is free goes to it and not past it.
    let retry = nack(&out[0], pb::NackKind::Retry, Some(1));
    assert_eq!(caller.code(retry).await, pb::SettleCode::Ok);
    caller.settled(out[1..].iter().map(ack).collect()).await;
    let waits = claim_within(key("a"), "w", 20_000);
    let out = caller.claim(waits).await.expect("claimed").deliveries;
    assert_eq!(seqs(&out)[0], 1);
    assert!(out.len() <= 3);
}

#[tokio::test]
async fn one_answer_carries_at_most_twelve_mebibytes_and_any_one_message() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = with_messages(&caller, &[]).await;
    let large = |mebibytes: usize| pb::Message {
        payload: vec![7; mebibytes * 1_024 * 1_024].into(),
        ..message("")
    };
    for batch in [vec![large(7), large(4)], vec![large(8)]] {
        let request = pb::EnqueueMessagesRequest {
            messages: batch,
            ..enqueue(key("a"), &[])
        };
        caller.enqueue(request).await.expect("enqueued");
    }
    let out = caller.claimed(id(&session.session_id), "w").await;
    assert_eq!(seqs(&out), [1, 2], "the third does not fit");
    caller.settled(out.iter().map(ack).collect()).await;
    assert_eq!(seqs(&caller.claimed(key("a"), "w").await), [3]);
}
