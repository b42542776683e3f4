//! End modes: what a session may still do after its end is decided, and for how long.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, claim_within, end, id, key, millis, nack, payloads};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use tonic::Code;

/// A session with two messages, one of them handed out.
async fn half_done(caller: &Caller) -> (String, pb::Delivery) {
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let one = pb::ClaimMessagesRequest {
        max_messages: Some(1),
        ..claim(key("a"), "w")
    };
    let mut out = caller.claim(one).await.expect("claimed").deliveries;
    (session, out.remove(0))
}

fn graced(mode: pb::EndMode, grace: u64) -> pb::EndSessionRequest {
    pb::EndSessionRequest {
        end_grace: millis(grace),
        ..end(key("a"), pb::EndReason::Idle, mode)
    }
}

#[tokio::test]
async fn graceful_hands_out_nothing_new_and_waits_for_what_is_in_flight() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, out) = half_done(&caller).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let told = caller
        .end(graced(pb::EndMode::Graceful, 600_000))
        .await
        .expect("draining");
    let told = told.session.unwrap();
    assert_eq!(told.state(), pb::SessionState::Draining);
    let intended = told.end.unwrap();
    assert_eq!(intended.reason(), pb::EndReason::Idle);
    assert!(intended.end_time.is_none() && intended.duration.is_none());
    assert_eq!(
        types(&watch.batch().await.events),
        [pb::EventType::SessionDraining]
    );
    let refused = caller
        .claim(claim(id(&session), "w"))
        .await
        .expect_err("nothing new");
    refused.is(Code::FailedPrecondition, Reason::SessionDraining);
    assert_eq!(caller.code(ack(&out)).await, pb::SettleCode::Ok);
    let ended = watch.event(pb::EventType::SessionEnd, &session).await;
    assert_eq!(ended.end.unwrap().pending_kept, 1);
    assert_eq!(
        caller.session(id(&session)).await.state(),
        pb::SessionState::Ended
    );
}

#[tokio::test]
async fn a_nack_ends_the_wait_of_a_graceful_end_too() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, out) = half_done(&caller).await;
    caller
        .end(graced(pb::EndMode::Graceful, 600_000))
        .await
        .expect("draining");
    let retry = nack(&out, pb::NackKind::Retry, Some(1));
    assert_eq!(caller.code(retry).await, pb::SettleCode::Ok);
    let over = caller.session(id(&session)).await;
    assert_eq!(over.state(), pb::SessionState::Ended);
    assert_eq!(over.end.unwrap().pending_kept, 2);
}

#[tokio::test]
async fn a_grace_that_is_over_ends_the_session_and_its_delivery_stays_settleable() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, out) = half_done(&caller).await;
    let mut watch = WatchStream::from_now(&caller).await;
    caller
        .end(graced(pb::EndMode::Graceful, 300))
        .await
        .expect("draining");
    let told = watch
        .event(pb::EventType::SessionEnd, &session)
        .await
        .end
        .unwrap();
    assert_eq!(told.reason(), pb::EndReason::Idle);
    assert_eq!(told.counts.unwrap().in_flight, 1);
    let next = caller.opened("a").await;
    assert_eq!(
        caller.code(ack(&out)).await,
        pb::SettleCode::Ok,
        "whatever became of the session"
    );
    let counts = caller.session(id(&next.session_id)).await.counts.unwrap();
    assert_eq!((counts.in_flight, counts.pending), (0, 1));
}

#[tokio::test]
async fn after_pending_hands_out_everything_then_ends() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, out) = half_done(&caller).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let told = caller
        .end(graced(pb::EndMode::AfterPending, 600_000))
        .await
        .expect("draining");
    assert_eq!(told.session.unwrap().state(), pb::SessionState::Draining);
    let refused = caller
        .enqueue(sessiond_tests::requests::enqueue(id(&session), &["three"]))
        .await;
    let refused = refused.expect_err("nothing is accepted");
    refused.is(Code::FailedPrecondition, Reason::SessionDraining);
    assert_eq!(caller.code(ack(&out)).await, pb::SettleCode::Ok);
    let rest = caller.claimed(id(&session), "w").await;
    assert_eq!(payloads(&rest), ["two"]);
    let retry = nack(&rest[0], pb::NackKind::Retry, Some(50));
    assert_eq!(caller.code(retry).await, pb::SettleCode::Ok);
    let waits = claim_within(id(&session), "w", 20_000);
    let rest = caller.claim(waits).await.expect("claimed").deliveries;
    assert_eq!(payloads(&rest), ["two"], "retried before the end");
    assert_eq!(
        caller.session(id(&session)).await.state(),
        pb::SessionState::Draining
    );
    assert_eq!(caller.code(ack(&rest[0])).await, pb::SettleCode::Ok);
    let ended = watch
        .event(pb::EventType::SessionEnd, &session)
        .await
        .end
        .unwrap();
    assert_eq!(
        (ended.pending_kept, ended.counts.unwrap().processed),
        (0, 2)
    );
}

#[tokio::test]
async fn after_pending_ends_at_its_deadline_whatever_is_left() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, _out) = half_done(&caller).await;
    let mut watch = WatchStream::from_now(&caller).await;
    caller
        .end(graced(pb::EndMode::AfterPending, 300))
        .await
        .expect("draining");
    let ended = watch
        .event(pb::EventType::SessionEnd, &session)
        .await
        .end
        .unwrap();
    assert_eq!(ended.pending_kept, 2);
    assert_eq!(
        caller.opened("a").await.counts.unwrap().pending,
        1,
        "held and adopted"
    );
}

#[tokio::test]
async fn a_later_end_may_only_shorten_the_wait() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, _out) = half_done(&caller).await;
    let again = async |mode, grace| {
        let request = pb::EndSessionRequest {
            r#ref: id(&session),
            ..graced(mode, grace)
        };
        caller
            .end(request)
            .await
            .expect("OK")
            .session
            .unwrap()
            .state()
    };
    assert_eq!(
        again(pb::EndMode::Graceful, 600_000).await,
        pb::SessionState::Draining
    );
    // A longer wait and a milder mode change nothing: nothing new is handed out.
    assert_eq!(
        again(pb::EndMode::AfterPending, 900_000).await,
        pb::SessionState::Draining
    );
    let refused = caller
        .claim(claim(id(&session), "w"))
        .await
        .expect_err("still GRACEFUL");
    refused.is(Code::FailedPrecondition, Reason::SessionDraining);
    let mut watch = WatchStream::from_now(&caller).await;
    assert_eq!(
        again(pb::EndMode::Graceful, 200).await,
        pb::SessionState::Draining
    );
    watch.event(pb::EventType::SessionEnd, &session).await;
}

#[tokio::test]
async fn immediate_shortens_any_wait_to_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, _out) = half_done(&caller).await;
    caller
        .end(graced(pb::EndMode::AfterPending, 600_000))
        .await
        .expect("draining");
    let now = end(id(&session), pb::EndReason::Failed, pb::EndMode::Immediate);
    let told = caller.end(now).await.expect("ended").session.unwrap();
    assert_eq!(told.state(), pb::SessionState::Ended);
    assert_eq!(
        told.end.unwrap().reason(),
        pb::EndReason::Idle,
        "the first reason all the same"
    );
}

#[tokio::test]
async fn a_caller_may_wait_for_the_end() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_session, out) = half_done(&caller).await;
    let waits = pb::EndSessionRequest {
        wait: millis(20_000),
        wait_for: pb::WaitFor::Ended.into(),
        ..graced(pb::EndMode::Graceful, 600_000)
    };
    let mut watch = WatchStream::from_now(&caller).await;
    let settles = async {
        // Not before the end is decided, or there is nothing to wait for.
        assert_eq!(
            types(&watch.batch().await.events),
            [pb::EventType::SessionDraining]
        );
        caller.code(ack(&out)).await
    };
    let (ended, code) = tokio::join!(caller.end(waits), settles);
    assert_eq!(code, pb::SettleCode::Ok);
    let told = ended.expect("ended").session.unwrap();
    assert_eq!(told.state(), pb::SessionState::Ended);
}

#[tokio::test]
async fn a_wait_that_is_over_answers_with_the_session_as_it_is() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_session, _out) = half_done(&caller).await;
    let waits = pb::EndSessionRequest {
        wait: millis(200),
        ..graced(pb::EndMode::Graceful, 600_000)
    };
    let told = caller.end(waits).await.expect("answered").session.unwrap();
    assert_eq!(told.state(), pb::SessionState::Draining);
}

#[tokio::test]
async fn discard_of_a_graceful_end_counts_what_was_left_at_the_end() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (session, out) = half_done(&caller).await;
    let request = pb::EndSessionRequest {
        pending_policy: pb::PendingPolicy::Discard.into(),
        ..graced(pb::EndMode::Graceful, 600_000)
    };
    caller.end(request).await.expect("draining");
    caller.code(ack(&out)).await;
    let over = caller.session(id(&session)).await;
    let counts = over.counts.unwrap();
    assert_eq!((counts.processed, counts.discarded), (1, 1));
    assert_eq!(over.end.unwrap().pending_discarded, 1);
}
