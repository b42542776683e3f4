//! Leases across a restart: every one gets one full term, and a worker that comes back goes on.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, attempts, claim, claim_within, extend, key, labels, millis, nack, payloads, seqs,
};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use sessiond_tests::work_stream::{WorkStream, hello};
use tonic::Code;

async fn killed(server: &mut Server) -> Caller {
    server.kill();
    server.restart();
    Caller::to(server).await
}

async fn claimed(caller: &Caller, messages: &[&str], lease: u64) -> Vec<pb::Delivery> {
    caller.opened("a").await;
    caller.enqueued(key("a"), messages).await;
    let request = pb::ClaimMessagesRequest {
        lease_duration: millis(lease),
        ..claim(key("a"), "w")
    };
    caller.claim(request).await.expect("claimed").deliveries
}

/// Proves: F51.
#[tokio::test]
async fn a_restart_changes_no_epoch_and_returns_no_delivery() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let out = claimed(&caller, &["one", "two", "three"], 60_000).await;
    let revision = caller.revision().await;
    let caller = killed(&mut server).await;
    let lease = caller.session(key("a")).await.lease.expect("kept");
    assert_eq!(lease.epoch, out[0].epoch);
    let refused = caller
        .claim(claim(key("a"), "other"))
        .await
        .expect_err("held");
    refused
        .is(Code::FailedPrecondition, Reason::LeaseHeld)
        .with("holder", "w");
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let retry = nack(&out[1], pb::NackKind::Retry, Some(1));
    assert_eq!(
        caller.code(retry).await,
        pb::SettleCode::Ok,
        "the epoch is current still"
    );
    assert_eq!(
        caller.code(extend(&out[2], 60_000)).await,
        pb::SettleCode::Ok
    );
    assert_eq!(
        caller.revision().await,
        revision,
        "nothing happened to the lease"
    );
    let again = caller.claimed(key("a"), "w").await;
    assert_eq!(
        (seqs(&again), again[0].delivery_id),
        (vec![3], out[2].delivery_id),
        "the same again"
    );
}

/// Proves: F51.
#[tokio::test]
async fn every_lease_gets_one_full_term_and_a_silent_one_lapses_uncounted() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let out = claimed(&caller, &["one"], 1_500).await;
    let caller = killed(&mut server).await;
    let waits = claim_within(None, "other", 20_000);
    let begun = std::time::Instant::now();
    let again = caller.claim(waits).await.expect("claimed").deliveries;
    assert!(
        begun.elapsed() >= std::time::Duration::from_millis(1_000),
        "a term from the start"
    );
    assert_eq!(
        (payloads(&again), attempts(&again)),
        (vec!["one".to_owned()], vec![1])
    );
    assert!(again[0].epoch > out[0].epoch && again[0].delivery_id > out[0].delivery_id);
    assert_eq!(
        caller.code(ack(&out[0])).await,
        pb::SettleCode::StaleDelivery
    );
}

#[tokio::test]
async fn a_lapse_after_a_frame_since_the_start_is_counted() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    claimed(&caller, &["one"], 1_000).await;
    let caller = killed(&mut server).await;
    let request = pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        ..claim(key("a"), "w")
    };
    assert_eq!(
        attempts(&caller.claim(request).await.expect("claimed").deliveries),
        [1]
    );
    let waits = claim_within(None, "other", 20_000);
    let again = caller.claim(waits).await.expect("claimed").deliveries;
    assert_eq!(attempts(&again), [2]);
}

/// Proves: G4.
#[tokio::test]
async fn no_epoch_and_no_delivery_id_is_used_twice() {
    let mut server = Server::start();
    let mut caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let (mut epoch, mut delivery) = (0, 0);
    for _ in 0..4 {
        let mut worker = WorkStream::worker(&caller, "w", 4).await;
        let lease = worker.attached_to(key("a")).await.lease.unwrap();
        let out = worker.delivered(1).await;
        assert!(lease.epoch > epoch && out[0].delivery_id > delivery);
        assert_eq!(attempts(&out), [1]);
        (epoch, delivery) = (lease.epoch, out[0].delivery_id);
        caller = killed(&mut server).await;
    }
}

/// Proves: F51.
#[tokio::test]
async fn a_worker_resumes_over_a_restart_without_losing_or_repeating() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 2).await;
    let lease = worker.attached_to(key("a")).await.lease.unwrap();
    let out = worker.delivered(2).await;
    worker.say(pb::work_request::Frame::Progress(pb::Progress {
        session_id: session.session_id.clone(),
        volatile: labels(&[("context", "c-1")]),
        epoch: lease.epoch,
    }));
    worker.is_quiet().await;
    let caller = killed(&mut server).await;
    let back = pb::Hello {
        resume: vec![pb::Resume {
            session_id: session.session_id.clone(),
            queue_id: session.queue_id,
            epoch: lease.epoch,
            delivery_ids: vec![out[0].delivery_id],
        }],
        ..hello("w", 3)
    };
    let (mut worker, _) = WorkStream::greet(&caller, back).await;
    let attached = worker.attached().await;
    assert_eq!(attached.lease.unwrap().epoch, lease.epoch);
    assert_eq!(
        attached.session.unwrap().volatile,
        labels(&[("context", "c-1")])
    );
    let again = worker.delivered(2).await;
    assert_eq!(
        payloads(&again),
        ["two", "three"],
        "what is not listed, then what there is room for"
    );
    assert_eq!(again[0].delivery_id, out[1].delivery_id);
    assert_eq!(attempts(&again), [1, 1]);
    let codes = worker
        .settle(vec![ack(&out[0]), ack(&again[0]), ack(&again[1])])
        .await;
    assert!(
        codes
            .iter()
            .all(|result| result.code() == pb::SettleCode::Ok)
    );
    let mut watch = WatchStream::from_the_start(&caller).await;
    let events = watch.up_to(caller.revision().await).await;
    let told = [pb::EventType::SessionOpened, pb::EventType::WorkerAttached];
    assert_eq!(types(&events), told, "the log knows nothing of the restart");
}

/// Proves: F21.
#[tokio::test]
async fn an_orderly_stop_keeps_sessions_leases_and_deliveries_too() {
    let mut server = Server::configured("[session]\ncleanup_on_shutdown = false\n");
    let caller = Caller::to(&server).await;
    let out = claimed(&caller, &["one"], 60_000).await;
    let before = caller.session(key("a")).await;
    drop(caller);
    let (mut server, status) = tokio::task::spawn_blocking(move || {
        let status = server.terminate();
        (server, status)
    })
    .await
    .expect("stopped");
    assert_eq!(status.code(), Some(0));
    server.restart();
    let caller = Caller::to(&server).await;
    let after = caller.session(key("a")).await;
    assert_eq!(
        (after.state(), after.session_id),
        (before.state(), before.session_id)
    );
    assert_eq!(after.lease.unwrap().epoch, out[0].epoch);
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
}
