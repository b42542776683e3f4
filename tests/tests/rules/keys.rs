//! Keys: which session a key means, from the moment that one of them leaves ACTIVE.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{ack, claim, end, enqueue, id, key, open};
use sessiond_tests::server::Server;
use tokio::task::JoinSet;
use tonic::Code;

/// Brings the session of a key into DRAINING, with a delivery that holds it there.
async fn drain(caller: &Caller, of: &str) -> (pb::Session, pb::Delivery) {
    caller.opened(of).await;
    caller.enqueued(key(of), &["held"]).await;
    let delivery = caller.claimed(key(of), "w").await.remove(0);
    let request = pb::EndSessionRequest {
        end_grace: sessiond_tests::requests::millis(600_000),
        ..end(key(of), pb::EndReason::Completed, pb::EndMode::Graceful)
    };
    let draining = caller.end(request).await.expect("ends").session.unwrap();
    assert_eq!(draining.state(), pb::SessionState::Draining);
    (draining, delivery)
}

/// What every write answers that means a session by a reference.
async fn writes(caller: &Caller, session: Option<pb::SessionRef>) -> Vec<Refusal> {
    let update = pb::UpdateSessionRequest {
        r#ref: session.clone(),
        source: "hook".to_owned(),
        ..pb::UpdateSessionRequest::default()
    };
    let touch = pb::TouchSessionRequest {
        r#ref: session.clone(),
        usage_delta: None,
    };
    vec![
        caller.update(update).await.expect_err("an update"),
        caller.touch(touch).await.expect_err("a touch"),
        caller
            .enqueue(enqueue(session.clone(), &["m"]))
            .await
            .expect_err("an enqueue"),
        caller
            .claim(claim(session, "w"))
            .await
            .expect_err("a claim"),
    ]
}

#[tokio::test]
async fn entering_draining_frees_the_key() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (draining, delivery) = drain(&caller, "a").await;
    let next = caller.open(open("a")).await.expect("free");
    assert!(next.created);
    let next = next.session.unwrap();
    assert_eq!(next.predecessor_id, draining.session_id);
    assert_ne!(
        next.queue_id, draining.queue_id,
        "the old queue still drains"
    );
    assert_eq!(caller.session(key("a")).await.session_id, next.session_id);
    let still = caller.session(id(&draining.session_id)).await;
    assert_eq!(still.state(), pb::SessionState::Draining);
    assert_eq!(caller.code(ack(&delivery)).await, pb::SettleCode::Ok);
    let over = caller.session(id(&draining.session_id)).await;
    assert_eq!(over.state(), pb::SessionState::Ended);
    assert_eq!(
        caller.session(id(&next.session_id)).await.state(),
        pb::SessionState::Active
    );
}

#[tokio::test]
async fn get_by_key_falls_back_to_draining_then_to_the_newest_ended() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (draining, delivery) = drain(&caller, "a").await;
    let get = async || caller.session(key("a")).await.session_id;
    assert_eq!(get().await, draining.session_id);
    let next = caller.opened("a").await;
    assert_eq!(get().await, next.session_id);
    let over = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    assert_eq!(get().await, draining.session_id, "DRAINING before ENDED");
    caller.code(ack(&delivery)).await;
    assert_eq!(get().await, next.session_id, "the newest of the ended ones");
}

#[tokio::test]
async fn end_by_key_falls_back_too() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (draining, _delivery) = drain(&caller, "a").await;
    let over = || end(key("a"), pb::EndReason::Failed, pb::EndMode::Immediate);
    let shortened = caller.end(over()).await.expect("shortened");
    let session = shortened.session.unwrap();
    assert_eq!(session.session_id, draining.session_id);
    assert_eq!(session.state(), pb::SessionState::Ended);
    let again = caller.end(over()).await.expect("ended already");
    assert!(again.already_ended);
    let end = again.session.unwrap().end.unwrap();
    assert_eq!(end.reason(), pb::EndReason::Completed, "the first reason");
}

#[tokio::test]
async fn a_key_in_a_write_means_the_live_session_only() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_draining, _delivery) = drain(&caller, "a").await;
    caller.opened("b").await;
    let over = end(key("b"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    for name in ["a", "b", "never"] {
        for refusal in writes(&caller, key(name)).await {
            let refusal = refusal
                .is(Code::NotFound, Reason::SessionNotFound)
                .with("key", name);
            assert_eq!(refusal.resource.as_deref(), Some(name));
        }
    }
}

/// Proves: F7.
#[tokio::test]
async fn draining_and_ended_answer_references_by_id_only() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (draining, _delivery) = drain(&caller, "a").await;
    for refusal in writes(&caller, id(&draining.session_id)).await {
        refusal
            .is(Code::FailedPrecondition, Reason::SessionDraining)
            .with("session_id", &draining.session_id)
            .with("end_reason", "COMPLETED");
    }
    let ended = caller.opened("b").await;
    let over = pb::EndSessionRequest {
        successor_id: "next".to_owned(),
        ..end(key("b"), pb::EndReason::Compacted, pb::EndMode::Immediate)
    };
    caller.end(over).await.expect("ended");
    for refusal in writes(&caller, id(&ended.session_id)).await {
        refusal
            .is(Code::FailedPrecondition, Reason::SessionEnded)
            .with("session_id", &ended.session_id)
            .with("end_reason", "COMPACTED")
            .with("successor_id", "next");
    }
}

#[tokio::test]
async fn an_open_before_the_end_and_one_after_it_are_told_apart() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let over = || end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    let first = caller.opened("a").await;
    let before = caller.open(open("a")).await.expect("opened");
    assert!(!before.created, "the open comes first: the live one");
    caller.end(over()).await.expect("ended");
    let after = caller.open(open("a")).await.expect("opened");
    assert!(after.created, "the end comes first: a new one");
    assert_eq!(after.session.unwrap().predecessor_id, first.session_id);
}

#[tokio::test]
async fn engine_order_decides_open_against_end() {
    const RACES: usize = 60;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut races = JoinSet::new();
    for at in 0..RACES {
        let caller = caller.clone();
        races.spawn(async move {
            let name = format!("k{at}");
            let old = caller.opened(&name).await;
            let by_id = end(
                id(&old.session_id),
                pb::EndReason::Completed,
                pb::EndMode::Immediate,
            );
            let (opened, ended) = tokio::join!(caller.open(open(&name)), caller.end(by_id));
            let (opened, ended) = (opened.expect("opened"), ended.expect("ended"));
            assert_eq!(ended.session.unwrap().state(), pb::SessionState::Ended);
            let session = opened.session.unwrap();
            let now = caller.session(key(&name)).await;
            if opened.created {
                assert_eq!(session.predecessor_id, old.session_id);
                assert_eq!(now.session_id, session.session_id);
                assert_eq!(now.state(), pb::SessionState::Active);
            } else {
                assert_eq!(session.session_id, old.session_id);
                assert_eq!(now.state(), pb::SessionState::Ended);
            }
            u64::from(opened.created)
        });
    }
    let created: u64 = races.join_all().await.into_iter().sum();
    // An open and an end for every session, and nothing else.
    assert_eq!(caller.revision().await, 2 * RACES as u64 + created);
}

#[tokio::test]
async fn an_unknown_session_is_not_found_and_nothing_is_made() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let get = pb::GetSessionRequest { r#ref: id("none") };
    let refused = caller.get(get).await.expect_err("none");
    let refused = refused
        .is(Code::NotFound, Reason::SessionNotFound)
        .with("session_id", "none");
    assert_eq!(refused.resource.as_deref(), Some("none"));
    for refusal in writes(&caller, id("none")).await {
        refusal.is(Code::NotFound, Reason::SessionNotFound);
    }
    let list = pb::ListMessagesRequest {
        r#ref: key("none"),
        ..pb::ListMessagesRequest::default()
    };
    let refused = caller.list_messages(list).await.expect_err("none");
    refused
        .is(Code::NotFound, Reason::SessionNotFound)
        .with("key", "none");
    let listed = caller
        .list(pb::ListSessionsRequest::default())
        .await
        .expect("listed");
    assert_eq!(listed.sessions, []);
    assert_eq!(caller.revision().await, 0);
}
