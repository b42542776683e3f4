//! Requests: a use of a session is leased, protects it, and is what its end waits for.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, after, end, id, in_millis, key, millis, never, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use tonic::Code;

fn begin(session: Option<pb::SessionRef>, lease: u64) -> pb::BeginRequestRequest {
    pb::BeginRequestRequest {
        r#ref: session,
        request_lease: millis(lease),
        request_token: String::new(),
    }
}

fn over(session: Option<pb::SessionRef>, token: &str) -> pb::EndRequestRequest {
    pb::EndRequestRequest {
        r#ref: session,
        request_token: token.to_owned(),
    }
}

/// A request that lasts for a minute, by its token.
async fn begun(caller: &Caller, session: Option<pb::SessionRef>) -> String {
    let answer = caller.begin_request(begin(session, 60_000)).await;
    answer.expect("begun").request_token
}

fn graceful(of: &str, grace: u64) -> pb::EndSessionRequest {
    pb::EndSessionRequest {
        end_grace: millis(grace),
        ..end(key(of), pb::EndReason::Completed, pb::EndMode::Graceful)
    }
}

/// Proves: F11.
#[tokio::test]
async fn requests_are_counted_and_take_no_revision() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let before = caller.opened("a").await;
    assert_eq!(before.active_requests, 0);
    let one = caller
        .begin_request(begin(key("a"), 90_000))
        .await
        .expect("begun");
    assert_eq!(in_millis(one.request_lease), 90_000, "as it was asked for");
    assert!(one.expire_time.is_some());
    let unsaid = pb::BeginRequestRequest {
        r#ref: id(&before.session_id),
        ..pb::BeginRequestRequest::default()
    };
    let two = caller.begin_request(unsaid).await.expect("begun");
    assert_eq!(in_millis(two.request_lease), 30_000, "the default");
    assert_ne!(one.request_token, two.request_token);
    let session = caller.session(key("a")).await;
    assert_eq!(session.active_requests, 2);
    let explain = pb::ExplainSessionRequest { r#ref: key("a") };
    let told = caller.explain(explain).await.expect("explained");
    assert_eq!(told.holds.len(), 1);
    assert_eq!(told.holds[0].kind(), pb::HoldKind::Request);
    assert_eq!(told.holds[0].count, 2);
    assert!(told.holds[0].until_time.is_some());
    let answer = caller
        .end_request(over(key("a"), &one.request_token))
        .await
        .expect("ended");
    assert!(!answer.already_ended);
    assert_eq!(answer.session.unwrap().active_requests, 1);
    assert_eq!((answer.revision, caller.revision().await), (1, 1));
}

/// Proves: F11.
#[tokio::test]
async fn a_repeated_end_is_harmless_and_one_without_a_beginning_is_refused() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.opened("b").await;
    let token = begun(&caller, key("a")).await;
    let first = caller.end_request(over(key("a"), &token)).await;
    assert!(!first.expect("ended").already_ended);
    let again = caller.end_request(over(id(&session), &token)).await;
    let again = again.expect("harmless");
    assert!(again.already_ended);
    assert_eq!(again.session.unwrap().active_requests, 0);
    for (session, token) in [
        (key("b"), token.as_str()),
        (key("a"), "rq-1-2"),
        (key("a"), "rq-1-0"),
        (key("a"), "rq-99-1"),
        (key("a"), "anything"),
    ] {
        let refused = caller.end_request(over(session, token)).await;
        refused
            .expect_err(token)
            .is(Code::NotFound, Reason::RequestNotFound);
    }
    let nobody = caller.end_request(over(key("nobody"), &token)).await;
    nobody
        .expect_err("no session")
        .is(Code::NotFound, Reason::SessionNotFound);
}

/// Proves: F11, G21.
#[tokio::test]
async fn a_request_protects_from_the_idle_limit_until_its_lease_is_over() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let asked = pb::OpenSessionRequest {
        idle_timeout: after(200),
        ..open("a")
    };
    let session = caller.opened_as(asked).await;
    // Its caller is never heard of again.
    let begun = caller.begin_request(begin(key("a"), 1_500)).await;
    begun.expect("begun");
    let told = watch
        .event(pb::EventType::SessionEnd, &session.session_id)
        .await;
    let end = told.end.unwrap();
    assert_eq!(end.reason(), pb::EndReason::Idle);
    assert!(in_millis(end.duration) >= 1_500, "{:?}", end.duration);
    assert!(in_millis(end.duration) < 10_000, "{:?}", end.duration);
    assert_eq!(told.session.unwrap().active_requests, 0);
}

#[tokio::test]
async fn a_renewed_request_lasts_from_its_renewal() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let asked = pb::OpenSessionRequest {
        idle_timeout: after(100),
        ..open("a")
    };
    let session = caller.opened_as(asked).await;
    let first = caller.begin_request(begin(key("a"), 2_000)).await;
    let first = first.expect("begun");
    let renewal = pb::BeginRequestRequest {
        r#ref: key("a"),
        request_lease: None,
        request_token: first.request_token.clone(),
    };
    // A part of the lease.
    watch.passed(&caller, 900).await;
    let renewed = caller.begin_request(renewal).await.expect("renewed");
    assert_eq!(renewed.request_token, first.request_token);
    assert_eq!(in_millis(renewed.request_lease), 2_000, "what it had");
    assert_eq!(caller.session(key("a")).await.active_requests, 1);
    let told = watch
        .event(pb::EventType::SessionEnd, &session.session_id)
        .await;
    assert!(in_millis(told.end.unwrap().duration) >= 2_900);
}

#[tokio::test]
async fn a_request_that_lapsed_is_not_renewed() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    caller.opened("a").await;
    let begun = caller.begin_request(begin(key("a"), 1_000)).await;
    let token = begun.expect("begun").request_token;
    watch.passed(&caller, 1_100).await;
    assert_eq!(caller.session(key("a")).await.active_requests, 0);
    let renewal = pb::BeginRequestRequest {
        request_token: token.clone(),
        ..begin(key("a"), 60_000)
    };
    let refused = caller.begin_request(renewal).await.expect_err("too late");
    refused.is(Code::NotFound, Reason::RequestNotFound);
    let late = caller.end_request(over(key("a"), &token)).await;
    assert!(late.expect("harmless").already_ended);
}

/// Proves: F12.
#[tokio::test]
async fn an_end_waits_for_requests_and_deliveries_and_is_over_with_the_last() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let out = caller.claimed(key("a"), "w").await;
    let token = begun(&caller, key("a")).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let told = caller.end(graceful("a", 600_000)).await.expect("draining");
    assert_eq!(told.session.unwrap().state(), pb::SessionState::Draining);
    assert_eq!(
        types(&watch.batch().await.events),
        [pb::EventType::SessionDraining]
    );
    let refused = caller.begin_request(begin(id(&session), 1_000)).await;
    refused
        .expect_err("nothing new")
        .is(Code::FailedPrecondition, Reason::SessionDraining);
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let waiting = caller.session(id(&session)).await;
    assert_eq!(waiting.state(), pb::SessionState::Draining);
    assert_eq!(waiting.active_requests, 1);
    // One that began before the end may go on: by its key too, which is free by now.
    let renewal = pb::BeginRequestRequest {
        request_token: token.clone(),
        ..begin(key("a"), 60_000)
    };
    caller.begin_request(renewal).await.expect("renewed");
    caller.opened("a").await;
    let last = caller.end_request(over(key("a"), &token)).await;
    let last = last.expect("ended").session.unwrap();
    assert_eq!(last.session_id, session, "the session of the request");
    assert_eq!(last.state(), pb::SessionState::Ended);
    let ended = watch.event(pb::EventType::SessionEnd, &session).await;
    assert!(ended.attributes.is_empty(), "no warning: {ended:?}");
    let late = caller.begin_request(begin(id(&session), 1_000)).await;
    late.expect_err("it is over")
        .is(Code::FailedPrecondition, Reason::SessionEnded);
}

/// Proves: F12.
#[tokio::test]
async fn a_grace_that_is_over_ends_the_session_with_a_warning() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m", "n"]).await;
    caller.claimed(key("a"), "w").await;
    begun(&caller, key("a")).await;
    let token = begun(&caller, key("a")).await;
    let mut watch = WatchStream::from_now(&caller).await;
    caller.end(graceful("a", 300)).await.expect("draining");
    let told = watch.event(pb::EventType::SessionEnd, &session).await;
    let said = |name: &str| told.attributes.get(name).map(String::as_str);
    assert_eq!(said("warning"), Some("drain_timed_out"));
    assert_eq!(said("active_requests"), Some("2"));
    assert_eq!(said("in_flight"), Some("2"));
    assert_eq!(
        told.end.as_ref().unwrap().reason(),
        pb::EndReason::Completed
    );
    assert_eq!(told.session.as_ref().unwrap().active_requests, 0, "void");
    let late = caller.end_request(over(id(&session), &token)).await;
    assert!(late.expect("harmless").already_ended);
}

#[tokio::test]
async fn after_pending_waits_for_requests_too() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let token = begun(&caller, key("a")).await;
    let asked = end(
        key("a"),
        pb::EndReason::Completed,
        pb::EndMode::AfterPending,
    );
    caller.end(asked).await.expect("draining");
    let out = caller.claimed(id(&session), "w").await;
    caller.settled(vec![ack(&out[0])]).await;
    let waiting = caller.session(id(&session)).await;
    assert_eq!(waiting.state(), pb::SessionState::Draining);
    let last = caller.end_request(over(id(&session), &token)).await;
    let last = last.expect("ended").session.unwrap();
    assert_eq!(last.state(), pb::SessionState::Ended);
}

#[tokio::test]
async fn an_immediate_end_and_a_replacement_void_requests() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let ended = caller.opened("ended").await.session_id;
    let replaced = caller.opened("replaced").await.session_id;
    let of_ended = begun(&caller, key("ended")).await;
    let of_replaced = begun(&caller, key("replaced")).await;
    let now = end(
        key("ended"),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(now).await.expect("ended");
    let replace = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..open("replaced")
    };
    let next = caller.opened_as(replace).await;
    assert_eq!(next.active_requests, 0, "it is not the successor's");
    for (session, token) in [(ended, of_ended), (replaced, of_replaced)] {
        let over_by_then = caller.session(id(&session)).await;
        assert_eq!(over_by_then.state(), pb::SessionState::Ended);
        assert_eq!(over_by_then.active_requests, 0);
        let late = caller.end_request(over(id(&session), &token)).await;
        assert!(late.expect("harmless").already_ended);
    }
}

#[tokio::test]
async fn a_session_has_so_many_requests_and_no_more() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut tokens = Vec::new();
    for _ in 0..128 {
        tokens.push(begun(&caller, key("a")).await);
    }
    let refused = caller.begin_request(begin(key("a"), 60_000)).await;
    let refused = refused.expect_err("too many");
    assert_eq!(refused.metadata["limit"], "128");
    refused.is(Code::ResourceExhausted, Reason::QuotaExceeded);
    assert_eq!(caller.session(key("a")).await.active_requests, 128);
    caller
        .end_request(over(key("a"), &tokens[0]))
        .await
        .expect("ended");
    begun(&caller, key("a")).await;
}

#[tokio::test]
async fn requests_survive_a_kill_and_a_drain_goes_on_waiting_for_them() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let token = begun(&caller, key("a")).await;
    let draining = caller.opened("b").await.session_id;
    let awaited = begun(&caller, key("b")).await;
    caller.end(graceful("b", 600_000)).await.expect("draining");
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(caller.session(id(&session)).await.active_requests, 1);
    let waiting = caller.session(id(&draining)).await;
    assert_eq!(waiting.state(), pb::SessionState::Draining);
    assert_eq!(waiting.active_requests, 1);
    let last = caller.end_request(over(id(&draining), &awaited)).await;
    let last = last.expect("ended").session.unwrap();
    assert_eq!(last.state(), pb::SessionState::Ended);
    let answer = caller.end_request(over(key("a"), &token)).await;
    assert!(!answer.expect("ended").already_ended);
    let next = begun(&caller, key("a")).await;
    assert_ne!(next, token, "no token is given twice");
}

#[tokio::test]
async fn a_request_renews_the_owner_limit_and_its_end_does_not() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let asked = pb::OpenSessionRequest {
        owner_timeout: after(1_500),
        idle_timeout: never(),
        ..open("a")
    };
    let session = caller.opened_as(asked).await;
    watch.passed(&caller, 600).await;
    begun(&caller, key("a")).await;
    let told = watch
        .event(pb::EventType::SessionEnd, &session.session_id)
        .await;
    let end = told.end.unwrap();
    assert_eq!(
        end.reason(),
        pb::EndReason::OwnerLost,
        "a request is no owner"
    );
    assert!(in_millis(end.duration) > 2_100, "{:?}", end.duration);
}
