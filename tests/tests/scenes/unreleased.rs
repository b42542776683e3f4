//! What a caller sees of a session whose processes do not go: in refusals, in pools, in explanations, in the log.
//!
//! The agent ends nothing: what a release does is said by the test.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, id, key, millis};
use sessiond_tests::scripted_agent::{Answer, ScriptedAgent};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

/// A session that has ended and of which one resource is left, for a reason.
async fn left_behind(caller: &Caller) -> (pb::Session, pb::Resource) {
    caller.opened("a").await;
    let request = pb::DeclareResourceRequest {
        r#ref: key("a"),
        name: "shell".to_owned(),
        ..pb::DeclareResourceRequest::default()
    };
    let declared = caller.declare_resource(request).await.expect("declared");
    let over = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    let ended = caller.end(over).await.expect("ended").session;
    let resource = declared.resource.expect("a resource");
    (ended.expect("a session"), resource)
}

async fn pool(caller: &Caller) -> pb::PoolInfo {
    let pools = caller.list_pools(pb::ListPoolsRequest {}).await;
    pools.expect("pools").pools.remove(0)
}

/// Proves: F33.
#[tokio::test]
async fn what_lingers_is_told_until_an_operator_lets_it_go_and_the_next_session_goes_on() {
    let agent = ScriptedAgent::default();
    agent.answer(Answer::Denied);
    let server = Simulated::start_with_agent(&agent, |_| {}).await;
    let caller = server.caller();
    let (ended, resource) = left_behind(&caller).await;
    let mut events = WatchStream::from_the_start(&caller).await;
    let lingers = pb::EventType::ResourceLingering;
    let told = events.event(lingers, &ended.session_id).await;
    assert_eq!(told.attributes["resource_id"], resource.resource_id);
    assert_eq!(told.attributes["name"], "shell");
    assert_eq!(told.attributes["cause"], "denied");
    assert_eq!(told.attributes["detail"], "the test says no");
    assert_eq!(told.actor.expect("an actor").kind(), pb::ActorKind::Agent);
    let shown = told.session.expect("a session");
    assert_eq!(
        (shown.unreleased_resources, shown.lingering_resources),
        (1, 1)
    );
    let there = pool(&caller).await;
    assert_eq!((there.live, there.releasing, there.lingering), (1, 0, 1));
    let next = caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    let explain = pb::ExplainSessionRequest { r#ref: key("a") };
    let explained = caller.explain(explain).await.expect("explained");
    let stalls: Vec<pb::StallReason> = explained.stalls.iter().map(pb::Stall::reason).collect();
    assert_eq!(stalls[0], pb::StallReason::PredecessorResources);
    assert_eq!(next.expire_time, None, "it waits for as long as it takes");
    let begin = pb::BeginRequestRequest {
        r#ref: key("a"),
        ..pb::BeginRequestRequest::default()
    };
    let refused = caller.begin_request(begin).await;
    refused
        .expect_err("it is not in use yet")
        .is(Code::FailedPrecondition, Reason::SessionQueued)
        .with("waiting_for", "PREDECESSOR_RESOURCES");
    let force = pb::ReleaseResourceRequest {
        name: "shell".to_owned(),
        force: true,
        ..pb::ReleaseResourceRequest::default()
    };
    caller.release_resource(force).await.expect("forced");
    let revision = caller.revision().await;
    let told = events.up_to(revision).await;
    let kinds: Vec<(&str, pb::EventType)> = told
        .iter()
        .filter(|event| event.r#type() != pb::EventType::SessionQueued)
        .map(|event| (sessiond_tests::watch_stream::about(event), event.r#type()))
        .collect();
    let (old, new) = (ended.session_id.as_str(), next.session_id.as_str());
    assert_eq!(
        kinds,
        [
            (new, pb::EventType::SessionOpened),
            (old, pb::EventType::ResourceReleased),
            (old, pb::EventType::SessionReleased),
            (new, pb::EventType::SessionAdmitted),
        ]
    );
    let there = pool(&caller).await;
    assert_eq!((there.live, there.lingering, there.queued), (1, 0, 0));
    assert_eq!(
        caller.session(key("a")).await.state(),
        pb::SessionState::Active
    );
}

#[tokio::test]
async fn a_session_with_something_left_is_not_purged() {
    let agent = ScriptedAgent::default();
    agent.answer(Answer::Waits);
    let server = Simulated::start_with_agent(&agent, |_| {}).await;
    let caller = server.caller();
    let (ended, _) = left_behind(&caller).await;
    let request = |validate_only| pb::PurgeSessionsRequest {
        session_ids: vec![ended.session_id.clone()],
        validate_only,
        ..pb::PurgeSessionsRequest::default()
    };
    for validate_only in [true, false] {
        let answer = caller.purge(request(validate_only)).await.expect("tried");
        let error = answer.results[0].error.clone().expect("it stays");
        assert_eq!(error.reason, "RESOURCES_UNRELEASED");
        assert_eq!(error.metadata["count"], "1");
    }
    assert_eq!(pool(&caller).await.releasing, 1);
    agent.answer(Answer::Goes);
    let mut events = WatchStream::from_the_start(&caller).await;
    let released = pb::EventType::SessionReleased;
    events.event(released, &ended.session_id).await;
    let answer = caller.purge(request(false)).await.expect("purged");
    assert_eq!(answer.sessions, 1);
}

#[tokio::test]
async fn a_wait_for_the_release_ends_with_its_time_or_with_the_release() {
    let agent = ScriptedAgent::default();
    agent.answer(Answer::Waits);
    let server = Simulated::start_with_agent(&agent, |_| {}).await;
    let caller = server.caller();
    let (ended, _) = left_behind(&caller).await;
    let waits = |wait| pb::EndSessionRequest {
        wait: millis(wait),
        wait_for: pb::WaitFor::Released.into(),
        ..end(
            id(&ended.session_id),
            pb::EndReason::Completed,
            pb::EndMode::Immediate,
        )
    };
    let in_vain = caller.end(waits(1)).await.expect("answered in any case");
    assert_eq!(in_vain.session.expect("a session").unreleased_resources, 1);
    let (until_gone, ()) = tokio::join!(caller.end(waits(20_000)), async {
        caller.a_moment().await;
        agent.answer(Answer::Goes);
    });
    let gone = until_gone.expect("answered").session.expect("a session");
    assert_eq!(gone.unreleased_resources, 0);
}
