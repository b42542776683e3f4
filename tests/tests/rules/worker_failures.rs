//! Workers that fail, through the wire: stuck, idle, restarted too often. When each happens, to the millisecond, is shown
//! on simulated time beside the rules.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, attempts, claim, id, key, millis};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::WorkStream;
use tonic::Code;

/// A claim with the shortest lease.
fn brief(session: &str) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        ..claim(key(session), "w")
    }
}

/// Proves: F29, F62, B15.
#[tokio::test]
async fn a_worker_that_hangs_is_cancelled_and_its_work_goes_back() {
    let server = Server::configured("[workers]\nstuck_after = \"1s\"\n");
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let mut worker = WorkStream::worker(&caller, "hangs", 4).await;
    let epoch = worker.attached_to(key("a")).await.lease.unwrap().epoch;
    let out = worker.delivered(1).await;
    let cancel = worker.cancel().await;
    assert_eq!(cancel.session_id, session);
    assert_eq!(cancel.reason(), pb::CancelReason::Stuck);
    let lost = worker.lease_lost().await;
    assert_eq!(lost.reason(), pb::LeaseLostReason::Stuck);
    assert_eq!(lost.epoch, epoch);
    let told = watch.event(pb::EventType::WorkerStuck, &session).await;
    assert_eq!(told.attributes["instance_id"], "hangs");
    assert_eq!(told.actor.unwrap().kind(), pb::ActorKind::Reaper);
    let guard = told.session.unwrap().restart_guard;
    assert_eq!(guard, None, "it is counted right after");
    worker.say(Said::CancelResult(pb::CancelResult {
        session_id: session.clone(),
        outcome: pb::CancelOutcome::Stopped.into(),
        detail: "sorry".to_owned(),
    }));
    worker.is_quiet().await;
    let now = caller.session(id(&session)).await;
    assert_eq!(now.state(), pb::SessionState::Active);
    assert_eq!(now.restart_guard.unwrap().count, 1);
    let again = caller.claimed(key("a"), "other").await;
    assert_eq!(attempts(&again), [2]);
    assert_eq!(
        worker.code(ack(&out[0])).await,
        pb::SettleCode::StaleDelivery
    );
    assert_eq!(caller.code(ack(&again[0])).await, pb::SettleCode::Ok);
    let after = caller.session(id(&session)).await;
    assert_eq!(after.restart_guard, None, "an ack took the failure back");
}

#[tokio::test]
async fn a_late_ack_of_a_stuck_worker_counts_until_somebody_else_has_the_message() {
    let server = Server::configured("[workers]\nstuck_after = \"1s\"\n");
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    let mut worker = WorkStream::worker(&caller, "hangs", 4).await;
    worker.attached_to(key("a")).await;
    let out = worker.delivered(1).await;
    worker.cancel().await;
    worker.lease_lost().await;
    assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
    assert!(caller.claimed(key("a"), "other").await.is_empty());
}

#[tokio::test]
async fn a_stuck_worker_ends_the_session_where_the_configuration_says_so() {
    let server = Server::configured("[workers]\nstuck_after = \"1s\"\non_stuck = \"end\"\n");
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let mut worker = WorkStream::worker(&caller, "hangs", 4).await;
    worker.attached_to(key("a")).await;
    worker.delivered(1).await;
    let told = watch.event(pb::EventType::SessionEnd, &session).await;
    let end = told.end.unwrap();
    assert_eq!(end.reason(), pb::EndReason::WorkerStuck);
    assert_eq!(end.reason_class(), pb::EndReasonClass::Lost);
    assert_eq!(end.pending_kept, 1, "its message is held for the next one");
    caller.opened("a").await;
    assert_eq!(attempts(&caller.claimed(key("a"), "w").await), [2]);
}

/// Proves: F30, F62.
#[tokio::test]
async fn a_worker_with_nothing_to_do_is_let_go_and_gets_the_next_message_all_the_same() {
    let server = Server::configured("[workers]\nidle_after = \"1s\"\n");
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    worker.attached_to(key("a")).await;
    let lost = worker.lease_lost().await;
    assert_eq!(lost.reason(), pb::LeaseLostReason::Idle);
    assert_eq!(caller.session(id(&session)).await.lease, None);
    caller.enqueued(key("a"), &["m"]).await;
    worker.attached().await;
    let out = worker.delivered(1).await;
    assert_eq!(attempts(&out), [1]);
    assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
}

/// Proves: F60.
#[tokio::test]
async fn one_failure_too_many_suspends_the_session_across_a_kill_and_ends_in_time() {
    let config =
        "[workers]\nrestart_limit = 1\nrestart_window = \"15s\"\n\n[retry]\nmax_attempts = 50\n";
    let mut server = Server::configured(config);
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    for _ in 0..2 {
        let out = caller.claim(brief("a")).await.expect("claimed");
        assert_eq!(out.deliveries.len(), 1);
        watch.event(pb::EventType::WorkerLost, &session).await;
    }
    let told = watch.event(pb::EventType::RestartLimited, &session).await;
    assert_eq!(told.attributes["failures"], "2");
    assert_eq!(told.attributes["limit"], "1");
    let guard = told.session.unwrap().restart_guard.unwrap();
    assert_eq!(guard.count, 2);
    assert!(guard.suspended_until.is_some());
    let refused = caller.claim(brief("a")).await.expect_err("suspended");
    assert!(refused.retry_after.is_some(), "{refused:?}");
    refused
        .is(Code::FailedPrecondition, Reason::RestartLimited)
        .with("session_id", &session);
    let mut worker = WorkStream::worker(&caller, "s", 4).await;
    worker.attach(key("a"));
    assert_eq!(worker.attach_failed().await.reason, "RESTART_LIMITED");
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let suspended = caller.session(id(&session)).await;
    let until = suspended.restart_guard.unwrap().suspended_until;
    assert!(until.is_some(), "it outlives the server");
    assert_eq!(suspended.counts.unwrap().pending, 1, "the message stays");
    // A claim that waits for any work is served as soon as the suspension is over.
    let any = pb::ClaimMessagesRequest {
        wait: millis(25_000),
        ..sessiond_tests::requests::claim_any(pb::SessionFilter::default(), "w")
    };
    let out = caller.claim(any).await.expect("claimed").deliveries;
    assert_eq!(out.len(), 1);
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
}

#[tokio::test]
async fn a_reset_gives_a_suspended_session_out_at_once() {
    let server = Server::configured("[workers]\nrestart_limit = 1\n");
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    for _ in 0..2 {
        caller.claim(brief("a")).await.expect("claimed");
        watch.event(pb::EventType::WorkerLost, &session).await;
    }
    caller.claim(brief("a")).await.expect_err("suspended");
    let reset = pb::ResetCircuitRequest {
        r#ref: key("a"),
        target: Some(pb::reset_circuit_request::Target::RestartGuard(true)),
        ..pb::ResetCircuitRequest::default()
    };
    let answer = caller.reset_circuit(reset).await.expect("reset");
    assert_eq!(answer.session.unwrap().restart_guard, None);
    let out = caller.claim(brief("a")).await.expect("claimed");
    assert_eq!(out.deliveries.len(), 1);
}

#[tokio::test]
async fn one_failure_too_many_ends_the_session_where_the_configuration_says_so() {
    let config = "[workers]\nrestart_limit = 1\non_restart_limit = \"end\"\n";
    let server = Server::configured(config);
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    for _ in 0..2 {
        caller.claim(brief("a")).await.expect("claimed");
        watch.event(pb::EventType::WorkerLost, &session).await;
    }
    watch.event(pb::EventType::RestartLimited, &session).await;
    let told = watch.event(pb::EventType::SessionEnd, &session).await;
    let end = told.end.unwrap();
    assert_eq!(end.reason(), pb::EndReason::RestartLimit);
    assert_eq!(end.pending_kept, 1);
}

/// Proves: B15.
#[tokio::test]
async fn a_near_end_is_warned_of() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let asked = pb::OpenSessionRequest {
        idle_timeout: sessiond_tests::requests::after(10_000),
        ..sessiond_tests::requests::open("a")
    };
    let opened = caller.open(asked).await.expect("opened");
    let session = opened.session.unwrap().session_id;
    let told = watch.event(pb::EventType::LimitWarning, &session).await;
    assert_eq!(told.attributes["limit"], "idle");
    let left: u64 = told.attributes["ends_in_ms"].parse().unwrap();
    assert!(left <= 1_000, "{left}");
    caller.touched(id(&session)).await;
    let state = caller.session(id(&session)).await.state();
    assert_eq!(state, pb::SessionState::Active);
}
