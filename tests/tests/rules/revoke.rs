//! RevokeLease: an operator takes a session from the worker that holds it.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, attempts, end, id, key};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::{WorkStream, serving};
use tonic::Code;

fn revoke(session: Option<pb::SessionRef>) -> pb::RevokeLeaseRequest {
    pb::RevokeLeaseRequest {
        r#ref: session,
        ..pb::RevokeLeaseRequest::default()
    }
}

/// Proves: F62.
#[tokio::test]
async fn the_lease_ends_at_once_and_the_work_goes_to_another_worker() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let anything = pb::SessionFilter::default();
    let (mut first, _) = WorkStream::greet(&caller, serving("first", 4, anything.clone())).await;
    let held = first.attached().await.lease.unwrap();
    let out = first.delivered(1).await;
    let (mut second, _) = WorkStream::greet(&caller, serving("second", 4, anything)).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let answer = caller.revoke_lease(revoke(key("a"))).await.expect("taken");
    assert_eq!(answer.lease.unwrap().epoch, held.epoch);
    assert!(!answer.duplicate);
    let told = watch.event(pb::EventType::WorkerDetached, &session).await;
    assert_eq!(told.attributes["reason"], "revoked");
    assert_eq!(told.attributes["instance_id"], "first");
    assert_eq!(told.actor.unwrap().kind(), pb::ActorKind::Api);
    let lost = first.lease_lost().await;
    assert_eq!(lost.reason(), pb::LeaseLostReason::Revoked);
    assert_eq!(lost.epoch, held.epoch);
    second.attached().await;
    let again = second.delivered(1).await;
    assert_eq!(attempts(&again), [2], "the attempt counted");
    assert_eq!(
        caller.code(ack(&out[0])).await,
        pb::SettleCode::StaleDelivery
    );
    assert_eq!(second.code(ack(&again[0])).await, pb::SettleCode::Ok);
}

#[tokio::test]
async fn a_lease_that_is_another_one_is_left_alone() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    let nobody = caller.revoke_lease(revoke(key("a"))).await;
    assert_eq!(nobody.expect("harmless").lease, None);
    let fenced = pb::RevokeLeaseRequest {
        epoch: Some(7),
        ..revoke(key("a"))
    };
    let refused = caller.revoke_lease(fenced.clone()).await;
    refused
        .expect_err("nobody holds it")
        .is(Code::FailedPrecondition, Reason::LeaseFenced)
        .with("current_epoch", "0");
    let epoch = caller.claimed(key("a"), "w").await[0].epoch;
    let refused = caller.revoke_lease(fenced).await;
    refused
        .expect_err("another one")
        .is(Code::FailedPrecondition, Reason::LeaseFenced)
        .with("current_epoch", &epoch.to_string());
    let meant = pb::RevokeLeaseRequest {
        epoch: Some(epoch),
        ..revoke(key("a"))
    };
    let taken = caller.revoke_lease(meant).await.expect("taken");
    assert_eq!(taken.lease.unwrap().worker, "w");
    assert_eq!(taken.session.unwrap().lease, None);
}

#[tokio::test]
async fn a_repeat_takes_nothing_from_the_next_worker() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    caller.claimed(key("a"), "one").await;
    let named = pb::RevokeLeaseRequest {
        request_id: "r".to_owned(),
        ..revoke(key("a"))
    };
    let first = caller.revoke_lease(named.clone()).await.expect("taken");
    assert!(first.lease.is_some());
    assert_eq!(caller.claimed(key("a"), "two").await.len(), 1);
    let again = caller.revoke_lease(named).await.expect("harmless");
    assert!(again.duplicate && again.lease.is_none());
    assert_eq!(again.session.unwrap().lease.unwrap().worker, "two");
}

#[tokio::test]
async fn a_session_that_is_not_there_or_over_is_refused() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let refused = caller.revoke_lease(revoke(key("nobody"))).await;
    refused
        .expect_err("no session")
        .is(Code::NotFound, Reason::SessionNotFound);
    let session = caller.opened("a").await.session_id;
    let over = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    let refused = caller.revoke_lease(revoke(id(&session))).await;
    refused
        .expect_err("it is over")
        .is(Code::FailedPrecondition, Reason::SessionEnded);
}
