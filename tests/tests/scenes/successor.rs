//! "Project 66 was started while the processes of project 60 were still running", and what became of the order when the
//! machine died in between.
//!
//! The agent ends nothing: what a release does is said by the test. Real processes are in `process.rs`.

use std::time::Duration;

use sessiond_core::limits::WhenFull;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, id, key, millis, open};
use sessiond_tests::scripted_agent::{Answer, ScriptedAgent};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::watch_stream::WatchStream;

use pb::SessionState::{Active, Ended, Queued};

/// How long a look of the releaser is waited for, on a busy machine.
const LOOKS_MAX: usize = 3_000;

/// A server whose pools have one slot each, for which callers wait.
async fn orchestrated(agent: &ScriptedAgent) -> Simulated {
    Simulated::start_with_agent(agent, |policy| {
        policy.all_pools.max_sessions = Some(1);
        policy.all_pools.when_full = WhenFull::Wait;
    })
    .await
}

fn patient(name: &str) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        wait_for_slot: millis(3_600_000),
        ..open(name)
    }
}

async fn declared(caller: &Caller, name: &str) -> pb::Resource {
    let request = pb::DeclareResourceRequest {
        r#ref: key(name),
        ..pb::DeclareResourceRequest::default()
    };
    let answer = caller.declare_resource(request).await.expect("declared");
    answer.resource.expect("a resource")
}

async fn over(caller: &Caller, name: &str) {
    let request = end(key(name), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(request).await.expect("ended");
}

async fn state(caller: &Caller, name: &str) -> pb::SessionState {
    caller.session(key(name)).await.state()
}

/// Waits for what the releaser does in its own time.
async fn comes(caller: &Caller, what: impl AsyncFn() -> bool) {
    for _ in 0..LOOKS_MAX {
        if what().await {
            return;
        }
        caller.a_moment().await;
    }
    panic!("it does not come");
}

async fn becomes(caller: &Caller, name: &str, wanted: pb::SessionState) {
    comes(caller, async || state(caller, name).await == wanted).await;
}

/// Sessions 60, 66 and 67 of one pool: the first in use with a resource, the others in line.
async fn projects(caller: &Caller) -> pb::Resource {
    caller.opened_as(patient("60")).await;
    let resource = declared(caller, "60").await;
    caller.opened_as(patient("66")).await;
    caller.opened_as(patient("67")).await;
    resource
}

/// Proves: F15, F76, F78, G5.
#[tokio::test]
async fn the_next_project_starts_only_when_the_processes_of_the_last_one_are_gone() {
    let agent = ScriptedAgent::default();
    let server = orchestrated(&agent).await;
    let caller = server.caller();
    projects(&caller).await;
    agent.answer(Answer::Waits);
    over(&caller, "60").await;
    comes(&caller, async || agent.asked() == 1).await;
    assert_eq!(
        state(&caller, "60").await,
        Ended,
        "its end waits for nothing"
    );
    assert_eq!(state(&caller, "66").await, Queued);
    assert_eq!(caller.session(key("60")).await.unreleased_resources, 1);
    agent.answer(Answer::Goes);
    becomes(&caller, "66", Active).await;
    assert_eq!(state(&caller, "67").await, Queued, "one slot, one project");
    assert_eq!(caller.session(key("60")).await.unreleased_resources, 0);
    over(&caller, "66").await;
    assert_eq!(state(&caller, "67").await, Active, "66 had nothing outside");
}

/// Proves: F76, G5.
#[tokio::test]
async fn a_kill_that_fails_keeps_the_slot_and_says_why_until_an_operator_forces_it() {
    let agent = ScriptedAgent::default();
    let server = orchestrated(&agent).await;
    let caller = server.caller();
    let resource = projects(&caller).await;
    agent.answer(Answer::Denied);
    over(&caller, "60").await;
    let lingers = async || caller.session(key("60")).await.lingering_resources == 1;
    comes(&caller, lingers).await;
    server.advance(Duration::from_secs(600)).await;
    assert_eq!(state(&caller, "66").await, Queued, "time frees nothing");
    let listed = pb::ListResourcesRequest::default();
    let listed = caller
        .list_resources(listed)
        .await
        .expect("a list")
        .resources;
    let [left] = listed.as_slice() else {
        panic!("one is left: {listed:?}");
    };
    assert_eq!(left.state(), pb::ResourceState::Lingering);
    assert_eq!(left.lingering_cause(), pb::LingeringCause::Denied);
    assert_eq!(left.detail, "the test says no");
    let forced = pb::ReleaseResourceRequest {
        resource_ids: vec![resource.resource_id],
        force: true,
        ..pb::ReleaseResourceRequest::default()
    };
    caller.release_resource(forced).await.expect("forced");
    assert_eq!(state(&caller, "66").await, Active);
    assert_eq!(agent.went(), 0, "nothing was seen to go");
}

/// Proves: F33, F79.
#[tokio::test]
async fn what_did_not_go_is_tried_again_and_goes_when_it_can() {
    let agent = ScriptedAgent::default();
    let server = orchestrated(&agent).await;
    let caller = server.caller();
    projects(&caller).await;
    agent.answer(Answer::Denied);
    over(&caller, "60").await;
    let lingers = async || caller.session(key("60")).await.lingering_resources == 1;
    comes(&caller, lingers).await;
    let tried = agent.asked();
    server.advance(Duration::from_secs(31)).await;
    comes(&caller, async || agent.asked() > tried).await;
    agent.answer(Answer::Goes);
    server.advance(Duration::from_secs(31)).await;
    becomes(&caller, "66", Active).await;
    assert_eq!(agent.went(), 1);
}

/// Proves: F39, F76.
#[tokio::test]
async fn a_server_that_dies_between_kill_and_record_releases_once_and_keeps_the_order() {
    let agent = ScriptedAgent::default();
    let mut server = orchestrated(&agent).await;
    let caller = server.caller();
    let session = caller.opened_as(patient("60")).await.session_id;
    declared(&caller, "60").await;
    caller.opened_as(patient("66")).await;
    caller.opened_as(patient("67")).await;
    agent.answer(Answer::GoesUnheard);
    over(&caller, "60").await;
    comes(&caller, async || agent.went() == 1).await;
    // The attempt that waits is left behind with the server it belongs to, as in a crash.
    server.restart().await;
    let caller = server.caller();
    becomes(&caller, "66", Active).await;
    assert_eq!(state(&caller, "67").await, Queued);
    agent.answer(Answer::Goes);
    let revision = caller.revision().await;
    let mut events = WatchStream::from_the_start(&caller).await;
    let events = events.up_to(revision).await;
    let of = |kind: pb::EventType| {
        let is_of = |event: &&pb::SessionEvent| {
            let about = event
                .session
                .as_ref()
                .map(|about| about.session_id.as_str());
            event.r#type() == kind && about == Some(session.as_str())
        };
        events.iter().filter(is_of).collect::<Vec<_>>()
    };
    let released = of(pb::EventType::ResourceReleased);
    assert_eq!(released.len(), 1);
    assert_eq!(released[0].attributes["outcome"], "already_gone");
    assert_eq!(of(pb::EventType::SessionReleased).len(), 1);
    assert_eq!(of(pb::EventType::SessionEnd).len(), 1);
}

/// Proves: F76.
#[tokio::test]
async fn the_same_key_opened_again_waits_for_its_own_processes_and_not_for_a_slot() {
    let agent = ScriptedAgent::default();
    let server = Simulated::start_with_agent(&agent, |_| {}).await;
    let caller = server.caller();
    let first = caller.opened("a").await;
    declared(&caller, "a").await;
    agent.answer(Answer::Waits);
    over(&caller, "a").await;
    let second = caller.opened("a").await;
    assert_eq!(second.state(), Queued);
    assert_eq!(second.waiting_for(), pb::WaitingFor::PredecessorResources);
    assert_eq!(second.predecessor_id, first.session_id);
    let other = caller.opened("b").await;
    assert_eq!(other.state(), Active, "others pass");
    agent.answer(Answer::Goes);
    becomes(&caller, "a", Active).await;
    assert_eq!(
        caller
            .session(id(&first.session_id))
            .await
            .unreleased_resources,
        0
    );
}

/// Proves: F76, F77.
#[tokio::test]
async fn after_a_reset_the_slot_passes_to_the_successor_ahead_of_all_who_wait() {
    let agent = ScriptedAgent::default();
    let server = orchestrated(&agent).await;
    let caller = server.caller();
    projects(&caller).await;
    agent.answer(Answer::Waits);
    let reset = pb::ResetSessionRequest {
        r#ref: key("60"),
        ..pb::ResetSessionRequest::default()
    };
    let successor = caller.reset(reset).await.expect("reset").successor;
    let successor = successor.expect("a successor");
    assert_eq!(successor.state(), Queued);
    assert_eq!(
        successor.waiting_for(),
        pb::WaitingFor::PredecessorResources
    );
    agent.answer(Answer::Goes);
    becomes(&caller, "60", Active).await;
    assert_eq!(
        caller.session(key("60")).await.session_id,
        successor.session_id
    );
    assert_eq!(state(&caller, "66").await, Queued);
    assert_eq!(state(&caller, "67").await, Queued);
}

/// Proves: F77.
#[tokio::test]
async fn of_many_who_ask_for_the_next_slot_one_has_it() {
    let agent = ScriptedAgent::default();
    let server = orchestrated(&agent).await;
    let caller = server.caller();
    caller.opened("first").await;
    declared(&caller, "first").await;
    agent.answer(Answer::Waits);
    over(&caller, "first").await;
    let names: Vec<String> = (0..20).map(|number| format!("p{number}")).collect();
    let opens = names.iter().map(|name| caller.opened_as(patient(name)));
    futures_util::future::join_all(opens).await;
    agent.answer(Answer::Goes);
    let mut before: Vec<String> = Vec::new();
    for _ in 0..names.len() {
        let in_use = async || active(&caller).await.len() == 1;
        comes(&caller, in_use).await;
        let [winner] = active(&caller).await.try_into().expect("one has the slot");
        assert!(!before.contains(&winner), "each has its turn once");
        over(&caller, &winner).await;
        before.push(winner);
    }
}

async fn active(caller: &Caller) -> Vec<String> {
    let request = pb::ListSessionsRequest {
        filter: Some(pb::SessionFilter {
            states: vec![Active.into()],
            ..pb::SessionFilter::default()
        }),
        ..pb::ListSessionsRequest::default()
    };
    let listed = caller.list(request).await.expect("a list").sessions;
    listed.into_iter().map(|session| session.key).collect()
}
