//! Request ids: a control mutation that is asked twice is done once.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, key, open};
use sessiond_tests::server::Server;
use tokio::task::JoinSet;
use tonic::Code;

fn open_once(of: &str) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        request_id: "r1".to_owned(),
        ..open(of)
    }
}

fn end_once(of: &str) -> pb::EndSessionRequest {
    pb::EndSessionRequest {
        request_id: "r2".to_owned(),
        ..end(key(of), pb::EndReason::Completed, pb::EndMode::Immediate)
    }
}

#[tokio::test]
async fn a_repeated_open_answers_as_the_first_did_and_shows_the_session_as_it_is() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let first = caller.open(open_once("a")).await.expect("opened");
    assert!(first.created && !first.duplicate);
    let again = caller.open(open_once("a")).await.expect("repeated");
    assert!(again.created && again.duplicate);
    assert_eq!(again.revision, first.revision);
    caller.end(end_once("a")).await.expect("ended");
    let late = caller.open(open_once("a")).await.expect("repeated");
    assert!(late.created && late.duplicate);
    let shown = late.session.unwrap();
    assert_eq!(shown.session_id, first.session.unwrap().session_id);
    assert_eq!(
        shown.state(),
        pb::SessionState::Ended,
        "as it is, not as it was"
    );
    assert_eq!(caller.revision().await, 2);
}

#[tokio::test]
async fn concurrent_repeats_of_one_replace_replace_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut opens = JoinSet::new();
    for _ in 0..50 {
        let caller = caller.clone();
        let replace = pb::OpenSessionRequest {
            conflict_policy: pb::ConflictPolicy::Replace.into(),
            ..open_once("a")
        };
        opens.spawn(async move { caller.open(replace).await.expect("opened") });
    }
    let answers = opens.join_all().await;
    assert_eq!(answers.iter().filter(|answer| !answer.duplicate).count(), 1);
    assert!(answers.iter().all(|answer| answer.created));
    assert_eq!(caller.revision().await, 3, "one end and one open");
}

#[tokio::test]
async fn a_repeated_end_answers_as_the_first_did() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let first = caller.end(end_once("a")).await.expect("ended");
    assert!(!first.already_ended && !first.duplicate);
    let again = caller.end(end_once("a")).await.expect("repeated");
    assert!(!again.already_ended && again.duplicate);
    assert_eq!(again.session, first.session);
    // The key may live again: the repeat is about the session that it ended.
    let next = caller.opened("a").await;
    let late = caller.end(end_once("a")).await.expect("repeated");
    assert!(late.duplicate);
    assert_ne!(late.session.unwrap().session_id, next.session_id);
    assert_eq!(
        caller.session(key("a")).await.state(),
        pb::SessionState::Active
    );
}

#[tokio::test]
async fn a_repeated_update_changes_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let update = || pb::UpdateSessionRequest {
        r#ref: key("a"),
        prompt: "next".to_owned(),
        request_id: "r3".to_owned(),
        ..pb::UpdateSessionRequest::default()
    };
    let first = caller.update(update()).await.expect("updated");
    assert_eq!(first.session.unwrap().prompt_number, 1);
    let again = caller.update(update()).await.expect("repeated");
    assert!(again.duplicate);
    assert_eq!(again.session.unwrap().prompt_number, 1);
    assert_eq!(again.revision, first.revision);
}

#[tokio::test]
async fn a_request_id_with_another_request_is_refused() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.open(open_once("a")).await.expect("opened");
    let other_body = caller.open(open_once("b")).await.expect_err("another key");
    let other_rpc = pb::EndSessionRequest {
        request_id: "r1".to_owned(),
        ..end_once("a")
    };
    let other_rpc = caller.end(other_rpc).await.expect_err("another call");
    let other_field = pb::OpenSessionRequest {
        source: "hook".to_owned(),
        ..open_once("a")
    };
    let other_field = caller.open(other_field).await.expect_err("another field");
    for refusal in [other_body, other_rpc, other_field] {
        let refusal = refusal.is(Code::InvalidArgument, Reason::RequestIdReused);
        assert_eq!(refusal.fields, ["request_id"]);
    }
    assert_eq!(caller.revision().await, 1);
    assert_eq!(caller.session(key("a")).await.source, "");
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_id() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let refused = caller
        .end(end_once("a"))
        .await
        .expect_err("no such session");
    refused.is(Code::NotFound, Reason::SessionNotFound);
    caller.opened("a").await;
    let ended = caller.end(end_once("a")).await.expect("ended");
    assert!(!ended.duplicate && !ended.already_ended);
}
