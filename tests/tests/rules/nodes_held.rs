//! Who has a node: one agent at a time, of one machine, in one namespace, and for as long as it is heard of.

use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::agent_link_response::Frame;
use sessiond_tests::agent_link::{AgentLink, gone, hello};
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::key;
use sessiond_tests::server::Server;
use sessiond_tests::simulated::Simulated;
use tonic::Code;

use super::nodes::{on_node, outcomes, over, until};
use super::resources::{declare, declared, forced};

/// How long a node is its agent's without a sign of it.
const LEASE: Duration = Duration::from_secs(15);

/// To the millisecond: as long as an agent may be heard of, nobody else has its node, and from then on it has it no more.
#[tokio::test]
async fn a_second_agent_waits_for_the_first_ones_lease_and_then_the_first_is_fenced() {
    let server = Simulated::start().await;
    let caller = server.caller();
    let session = caller.opened("a").await.session_id;
    let greeted = AgentLink::greet(&caller, hello("far", "first", "m")).await;
    let (mut first, welcome) = greeted.expect("the node is free");
    declared(&caller, on_node("a", "shell")).await;
    over(&caller, "a").await;
    let (number, release) = first.release().await;
    let second = || AgentLink::greet(&caller, hello("far", "second", "m"));
    let refused = second().await.unwrap_err();
    let refused = refused.is(Code::FailedPrecondition, Reason::LeaseHeld);
    assert_eq!(refused.metadata["holder"], "first");
    server.advance(LEASE - Duration::from_millis(1)).await;
    let refused = second().await.unwrap_err();
    assert_eq!(refused.retry_after, Some(Duration::from_millis(1)));
    server.advance(Duration::from_millis(1)).await;
    let (mut link, later) = second().await.expect("the first was silent");
    assert!(later.epoch > welcome.epoch, "the first is fenced");
    // What the first has done by now is not what it says; the second is asked anew.
    first.answer(number, gone(pb::ResourceOutcome::Killed));
    let (own, same) = link.release().await;
    assert_eq!(same, release);
    let rest = first.rest().await;
    let Some(Frame::GoAway(away)) = rest.last() else {
        panic!("it is told that it is over: {rest:?}");
    };
    assert_eq!(away.reason(), pb::GoAwayReason::TakenOver);
    let left = until(&caller, pb::ResourceState::Releasing).await;
    assert_eq!(left.resource_id, release.resource_id, "not by its word");
    let refused = AgentLink::greet(&caller, hello("far", "first", "m")).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.reason, Reason::LeaseHeld.as_str());
    link.answer(own, gone(pb::ResourceOutcome::AlreadyGone));
    assert_eq!(outcomes(&caller, &session).await, ["already_gone"]);
}

#[tokio::test]
async fn another_machine_does_not_get_the_name_of_one_on_which_something_is_left() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let greeted = AgentLink::greet(&caller, hello("far", "run", "m0")).await;
    drop(greeted.expect("the node is free"));
    let resource = declared(&caller, on_node("a", "shell")).await;
    let other = || AgentLink::greet(&caller, hello("far", "other", "m1"));
    let refused = loop {
        // The server may not have noticed yet that the first one hung up.
        let refused = other().await.unwrap_err();
        if refused.reason != Reason::LeaseHeld.as_str() {
            break refused.is(Code::FailedPrecondition, Reason::NodeElsewhere);
        }
        caller.a_moment().await;
    };
    assert_eq!(refused.metadata["count"], "1");
    assert_eq!(
        forced(&caller, &resource).await.outcome(),
        pb::ReleaseOutcome::Released
    );
    let (_link, welcome) = other().await.expect("nothing is left on the first");
    assert!(welcome.epoch > 0);
}

#[tokio::test]
async fn an_agent_serves_the_sessions_of_its_namespace_only() {
    let server = Server::start_with(&["--namespaces", "default,blue"]);
    let caller = Caller::to(&server).await;
    let blue = caller.in_namespace("blue");
    blue.opened("a").await;
    let _default = AgentLink::of(&caller, "far", "run").await;
    let refused = blue.declare_resource(on_node("a", "shell")).await;
    refused
        .unwrap_err()
        .is(Code::NotFound, Reason::NodeNotFound);
    // A node of the same name, another one.
    let mut link = AgentLink::of(&blue, "far", "run").await;
    let resource = declared(&blue, on_node("a", "shell")).await;
    over(&blue, "a").await;
    let (_, release) = link.release().await;
    assert_eq!(release.resource_id, resource.resource_id);
}

#[tokio::test]
async fn nodes_are_listed_with_their_agents_and_with_what_is_left_on_them() {
    let server = Server::start_with(&["--namespaces", "default,blue"]);
    let caller = Caller::to(&server).await;
    let list = async || {
        let listed = caller.list_nodes(pb::ListNodesRequest {}).await;
        listed.expect("a list").nodes
    };
    assert_eq!(list().await, []);
    caller.opened("a").await;
    let greeted = AgentLink::greet(&caller, hello("far", "run", "m")).await;
    let (link, welcome) = greeted.expect("the node is free");
    let _other = AgentLink::of(&caller, "beyond", "other run").await;
    let resource = declared(&caller, on_node("a", "shell")).await;
    let [beyond, far] = list().await.try_into().unwrap();
    assert_eq!((beyond.node.as_str(), beyond.linked), ("beyond", true));
    assert!(far.acquire_time.is_some());
    let expected = pb::Node {
        node: "far".to_owned(),
        linked: true,
        epoch: welcome.epoch,
        instance_id: "run".to_owned(),
        acquire_time: far.acquire_time,
        unreleased_resources: 1,
    };
    assert_eq!(far, expected);
    drop(link);
    forced(&caller, &resource).await;
    while list().await[1].linked {
        caller.a_moment().await;
    }
    assert_eq!(list().await[1].unreleased_resources, 0);
    let blue = caller.in_namespace("blue");
    let listed = blue.list_nodes(pb::ListNodesRequest {}).await;
    assert_eq!(listed.expect("a list").nodes, [], "nothing leaves it");
}

#[tokio::test]
async fn nodes_that_nobody_needs_give_way_to_new_ones() {
    let server = Simulated::start().await;
    let caller = server.caller();
    caller.opened("a").await;
    let needed = AgentLink::of(&caller, "far", "run").await;
    declared(&caller, on_node("a", "shell")).await;
    drop(needed);
    let kept = AgentLink::of(&caller, "kept", "run").await;
    for number in 0..1_024 {
        let name = format!("node-{number}");
        drop(AgentLink::of(&caller, &name, "run").await);
    }
    // The first of the crowd were forgotten, and those that are needed were not.
    let on = |node: &str| {
        let node = node.to_owned();
        let request = pb::DeclareResourceRequest {
            node,
            ..declare(key("a"), "other")
        };
        caller.declare_resource(request)
    };
    on("far").await.expect("something is left on it");
    on("kept").await.expect("its agent is here");
    on("node-1023").await.expect("it is the newest");
    on("node-0")
        .await
        .unwrap_err()
        .is(Code::NotFound, Reason::NodeNotFound);
    drop(kept);
}
