//! Presence: what a worker keeps that hung up, and what counts as progress.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, attempts, claim, id, key, labels, payloads};
use sessiond_tests::server::Server;
use sessiond_tests::work_stream::WorkStream;
use tonic::Code;

#[tokio::test]
async fn a_worker_that_hung_up_still_holds_its_sessions_for_a_lease() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    worker.attached_to(key("a")).await;
    let out = worker.delivered(1).await;
    drop(worker);
    let refused = caller
        .claim(claim(key("a"), "other"))
        .await
        .expect_err("held");
    refused
        .is(Code::FailedPrecondition, Reason::LeaseHeld)
        .with("holder", "w");
    assert_eq!(
        caller.code(ack(&out[0])).await,
        pb::SettleCode::Ok,
        "settled by a call instead"
    );
}

#[tokio::test]
async fn what_was_never_written_to_a_stream_is_not_counted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    for round in 0..10 {
        let mut worker = WorkStream::worker(&caller, "w", 4).await;
        worker.attached_to(key("a")).await;
        let text = format!("m{round}");
        let message = [text.as_str()];
        let (_, ()) = tokio::join!(caller.enqueued(key("a"), &message), async { drop(worker) });
        let (mut worker, _) =
            WorkStream::greet(&caller, sessiond_tests::work_stream::hello("w", 4)).await;
        worker.attached_to(key("a")).await;
        let out = worker.delivered(1).await;
        assert_eq!(
            (payloads(&out), attempts(&out)),
            (vec![text.clone()], vec![1])
        );
        assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
    }
}

#[tokio::test]
async fn progress_is_activity_and_a_heartbeat_is_not() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    worker.attached_to(key("a")).await;
    let active = async || {
        let time = caller.session(key("a")).await.last_activity_time.unwrap();
        (time.seconds, time.nanos)
    };
    let before = active().await;
    worker.say(Said::Heartbeat(pb::Heartbeat {}));
    worker.is_quiet().await;
    assert_eq!(active().await, before);
    loop {
        worker.say(Said::Progress(pb::Progress {
            session_id: session.session_id.clone(),
            ..pb::Progress::default()
        }));
        worker.is_quiet().await;
        if active().await > before {
            break;
        }
    }
}

#[tokio::test]
async fn progress_of_who_does_not_hold_the_session_is_told_and_writes_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let mut holder = WorkStream::worker(&caller, "holder", 4).await;
    holder.attached_to(key("a")).await;
    let mut other = WorkStream::worker(&caller, "other", 4).await;
    let progress = |epoch: u64| {
        Said::Progress(pb::Progress {
            session_id: session.clone(),
            volatile: labels(&[("mine", "1")]),
            epoch,
        })
    };
    other.say(progress(0));
    assert_eq!(other.lease_lost().await.session_id, session);
    assert!(caller.session(id(&session)).await.volatile.is_empty());
}

/// Proves: G4.
#[tokio::test]
async fn progress_under_an_old_epoch_is_told_and_writes_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    let old = worker.attached_to(key("a")).await.lease.unwrap().epoch;
    let detach = pb::Detach {
        session_id: session.clone(),
    };
    worker.say(Said::Detach(detach));
    worker.lease_lost().await;
    let new = worker.attached_to(key("a")).await.lease.unwrap().epoch;
    let progress = |epoch: u64, value: &str| {
        Said::Progress(pb::Progress {
            session_id: session.clone(),
            volatile: labels(&[("at", value)]),
            epoch,
        })
    };
    worker.say(progress(new, "new"));
    worker.is_quiet().await;
    assert_eq!(
        caller.session(id(&session)).await.volatile,
        labels(&[("at", "new")])
    );
    worker.say(progress(old, "old"));
    let lost = worker.lease_lost().await;
    assert_eq!(
        (lost.session_id.as_str(), lost.epoch),
        (session.as_str(), old)
    );
    assert_eq!(
        caller.session(id(&session)).await.volatile,
        labels(&[("at", "new")])
    );
}
