//! Resources on other machines: what their agents are asked, and what comes of their answers.

use std::collections::BTreeSet;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::agent_answer::Outcome;
use sessiond_proto::v1::agent_command::Command;
use sessiond_proto::v1::agent_link_response::Frame;
use sessiond_proto::v1::declare_resource_request::Target;
use sessiond_tests::agent_link::{AgentLink, gone, hello, process};
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, key, open};
use sessiond_tests::scripted_agent::ScriptedAgent;
use sessiond_tests::server::Server;
use sessiond_tests::simulated::Simulated;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

use super::resources::{declare, declared, listed};

pub(super) fn on_node(session: &str, name: &str) -> pb::DeclareResourceRequest {
    pb::DeclareResourceRequest {
        node: "far".to_owned(),
        ..declare(key(session), name)
    }
}

fn registration(resource: &pb::Resource, pid: u32) -> pb::DeclareResourceRequest {
    pb::DeclareResourceRequest {
        resource_id: resource.resource_id.clone(),
        target: Some(Target::Process(pb::ProcessTarget { pid })),
        ..pb::DeclareResourceRequest::default()
    }
}

pub(super) async fn over(caller: &Caller, session: &str) {
    let request = end(
        key(session),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(request).await.expect("ended");
}

/// Everything on record until nothing of a session is left; answers with how its resources are known to be gone.
pub(super) async fn outcomes(caller: &Caller, session: &str) -> Vec<String> {
    let mut events = WatchStream::from_the_start(caller).await;
    let is_last = |event: &pb::SessionEvent| {
        let of = event.session.as_ref().map(|of| of.session_id.as_str());
        of == Some(session) && event.r#type() == pb::EventType::SessionReleased
    };
    let events = events.until(is_last).await;
    let released = events
        .iter()
        .filter(|event| event.r#type() == pb::EventType::ResourceReleased);
    released
        .map(|event| event.attributes["outcome"].clone())
        .collect()
}

/// The only resource that is not released, once it is in a state.
pub(super) async fn until(caller: &Caller, state: pb::ResourceState) -> pb::Resource {
    for _ in 0..250 {
        let all = listed(caller, None).await;
        if let Some(one) = all.into_iter().find(|one| one.state() == state) {
            return one;
        }
        caller.a_moment().await;
    }
    panic!("no resource is {state:?}");
}

#[tokio::test]
async fn what_is_on_a_node_is_identified_and_ended_by_its_agent() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let refused = caller.declare_resource(on_node("a", "shell")).await;
    let refused = refused
        .unwrap_err()
        .is(Code::NotFound, Reason::NodeNotFound);
    assert_eq!(refused.resource.as_deref(), Some("far"));
    let mut link = AgentLink::of(&caller, "far", "run").await;
    let resource = declared(&caller, on_node("a", "shell")).await;
    assert_eq!(resource.node, "far");
    let asked = tokio::spawn({
        let (caller, request) = (caller.clone(), registration(&resource, 41));
        async move { caller.declare_resource(request).await }
    });
    let (number, command) = link.command().await;
    let expected = pb::AgentRegister {
        resource_id: resource.resource_id.clone(),
        target: Some(pb::agent_register::Target::Process(pb::ProcessTarget {
            pid: 41,
        })),
    };
    assert_eq!(command, Command::Register(expected));
    let known = pb::agent_registered::Result::Identity(process(41));
    let result = Some(known);
    link.answer(number, Outcome::Registered(pb::AgentRegistered { result }));
    let registered = asked.await.unwrap().expect("registered").resource.unwrap();
    let target = pb::ProcessResource {
        pid: 41,
        start_ticks: 77,
        uid: 1_000,
    };
    let target = pb::resource::Target::Process(target);
    assert_eq!(registered.target, Some(target));
    over(&caller, "a").await;
    let (number, release) = link.release().await;
    assert_eq!(release.resource_id, resource.resource_id);
    assert_eq!(release.identity, Some(process(41)), "as the agent said");
    assert!(release.grace.is_some() && release.verify.is_some());
    link.answer(number, gone(pb::ResourceOutcome::Killed));
    assert_eq!(outcomes(&caller, &session).await, ["killed"]);
    let noted = loop {
        match link.frame().await.expect("the link goes on") {
            Some(Frame::Noted(noted)) => break noted,
            Some(_) => {}
            None => panic!("the link goes on"),
        }
    };
    assert_eq!(noted.command_numbers, [number], "once it is on record");
}

#[tokio::test]
async fn what_an_agent_does_not_take_for_a_resource_is_refused_as_on_the_servers_machine() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut link = AgentLink::of(&caller, "far", "run").await;
    let resource = declared(&caller, on_node("a", "shell")).await;
    let said = [
        (true, "", Code::PermissionDenied, Reason::PermissionDenied),
        (
            false,
            "process.pid",
            Code::InvalidArgument,
            Reason::FieldInvalid,
        ),
    ];
    for (not_entitled, field, code, reason) in said {
        let asked = tokio::spawn({
            let (caller, request) = (caller.clone(), registration(&resource, 41));
            async move { caller.declare_resource(request).await }
        });
        let (number, _) = link.command().await;
        let unfit = pb::agent_registered::Result::Unfit(pb::AgentUnfit {
            not_entitled,
            why: "process 41 is somebody else's".to_owned(),
            field: field.to_owned(),
        });
        let result = Some(unfit);
        link.answer(number, Outcome::Registered(pb::AgentRegistered { result }));
        let refused = asked.await.unwrap().unwrap_err().is(code, reason);
        assert_eq!(refused.fields.join(""), field);
        if not_entitled {
            assert!(refused.message.contains("--adopt"), "{}", refused.message);
        }
    }
    let [still] = listed(&caller, None).await.try_into().unwrap();
    assert_eq!(still, resource, "nothing was noted");
}

/// Proves: G3.
#[tokio::test]
async fn a_node_without_an_agent_is_told_and_its_resources_go_when_one_comes() {
    let mut server = Simulated::start().await;
    let caller = server.caller();
    let session = caller.opened("a").await.session_id;
    drop(AgentLink::of(&caller, "far", "run").await);
    let resource = declared(&caller, on_node("a", "shell")).await;
    server.restart().await;
    let caller = server.caller();
    let refused = caller.declare_resource(registration(&resource, 41)).await;
    let refused = refused.unwrap_err().is(Code::Unavailable, Reason::NodeAway);
    assert!(refused.retry_after.is_some(), "it may come back");
    over(&caller, "a").await;
    let left = until(&caller, pb::ResourceState::Lingering).await;
    assert_eq!(left.lingering_cause(), pb::LingeringCause::NodeAway);
    assert!(left.detail.contains("far"), "{}", left.detail);
    // Another run of the agent: nobody has the node.
    let mut link = AgentLink::of(&caller, "far", "later").await;
    let (number, release) = link.release().await;
    assert_eq!(release.resource_id, resource.resource_id);
    assert_eq!(release.identity, None, "nothing but its mark is known");
    link.answer(number, gone(pb::ResourceOutcome::AlreadyGone));
    assert_eq!(outcomes(&caller, &session).await, ["already_gone"]);
}

/// They go as what is new does, which is more at a time than what did not go before.
#[tokio::test]
async fn what_waited_for_its_agent_does_not_count_as_tried() {
    const WAITING: usize = 12;
    let mut server = Simulated::start().await;
    let caller = server.caller();
    drop(AgentLink::of(&caller, "far", "run").await);
    let names: Vec<String> = (0..WAITING).map(|number| format!("s{number}")).collect();
    for name in &names {
        caller.opened(name).await;
        declared(&caller, on_node(name, "shell")).await;
    }
    server.restart().await;
    let caller = server.caller();
    for name in &names {
        over(&caller, name).await;
    }
    let is_left = |one: &pb::Resource| one.state() == pb::ResourceState::Lingering;
    while !listed(&caller, None).await.iter().all(is_left) {
        caller.a_moment().await;
    }
    let mut link = AgentLink::of(&caller, "far", "run").await;
    let mut asked = BTreeSet::new();
    for _ in 0..WAITING {
        // None of them is answered.
        asked.insert(link.release().await.1.resource_id);
    }
    assert_eq!(asked.len(), WAITING);
}

#[tokio::test]
async fn a_command_that_a_broken_link_left_unanswered_is_sent_again_to_the_same_agent() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let greeted = AgentLink::greet(&caller, hello("far", "run", "m")).await;
    let (mut link, first) = greeted.expect("the node is free");
    declared(&caller, on_node("a", "shell")).await;
    over(&caller, "a").await;
    let (number, release) = link.release().await;
    drop(link);
    let greeted = AgentLink::greet(&caller, hello("far", "run", "m")).await;
    let (mut link, second) = greeted.expect("it is the agent's own node");
    assert_eq!(second.epoch, first.epoch, "the same run goes on");
    let (again, same) = link.release().await;
    assert_eq!((again, &same), (number, &release), "the same command");
    link.answer(number, gone(pb::ResourceOutcome::Killed));
    assert_eq!(outcomes(&caller, &session).await, ["killed"], "once");
}

/// Proves: F10.
#[tokio::test]
async fn what_an_agent_sees_to_be_gone_when_it_comes_goes_on_record() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let mut link = AgentLink::of(&caller, "far", "run").await;
    let resource = declared(&caller, on_node("a", "shell")).await;
    let asked = tokio::spawn({
        let (caller, request) = (caller.clone(), registration(&resource, 41));
        async move { caller.declare_resource(request).await }
    });
    let (number, _) = link.command().await;
    let known = pb::agent_registered::Result::Identity(process(41));
    let result = Some(known);
    link.answer(number, Outcome::Registered(pb::AgentRegistered { result }));
    asked.await.unwrap().expect("registered");
    drop(link);
    // The machine was booted: what was there is gone, as the agent finds by itself.
    let mut link = loop {
        match AgentLink::greet(&caller, hello("far", "after the boot", "")).await {
            Ok((link, _)) => break link,
            Err(_) => caller.a_moment().await,
        }
    };
    let looked = loop {
        let frame = link.frame().await.expect("the link goes on");
        let Some(Frame::Command(pb::AgentCommand {
            command_number,
            command: Some(command),
        })) = frame
        else {
            continue;
        };
        match command {
            Command::Look(look) => {
                let [subject] = look.subjects.try_into().unwrap();
                assert_eq!(subject.resource_id, resource.resource_id);
                assert_eq!(subject.identity, Some(process(41)));
                break command_number;
            }
            _ => link.answer(command_number, Outcome::Marked(pb::AgentMarked::default())),
        }
    };
    let presences = vec![pb::AgentPresence::Gone.into()];
    link.answer(looked, Outcome::Looked(pb::AgentLooked { presences }));
    let mut events = WatchStream::from_the_start(&caller).await;
    let event = events
        .event(pb::EventType::ResourceReleased, &session)
        .await;
    assert_eq!(event.attributes["outcome"], "already_gone");
    let now = caller.session(key("a")).await;
    assert_eq!(now.state(), pb::SessionState::Active, "the session goes on");
}

/// Proves: F76.
#[tokio::test]
async fn the_next_session_of_a_key_waits_for_what_is_left_on_a_node() {
    let mut server = Simulated::start().await;
    let caller = server.caller();
    caller.opened("project").await;
    drop(AgentLink::of(&caller, "far", "run").await);
    declared(&caller, on_node("project", "shell")).await;
    server.restart().await;
    let caller = server.caller();
    over(&caller, "project").await;
    let next = caller.opened_as(open("project")).await;
    assert_eq!(next.state(), pb::SessionState::Queued);
    assert_eq!(next.waiting_for(), pb::WaitingFor::PredecessorResources);
    let mut link = AgentLink::of(&caller, "far", "run").await;
    let (number, _) = link.release().await;
    link.answer(number, gone(pb::ResourceOutcome::Killed));
    let mut events = WatchStream::from_the_start(&caller).await;
    let admitted = pb::EventType::SessionAdmitted;
    events.event(admitted, &next.session_id).await;
}

/// Two of them have as many releases under way as this machine may have.
#[tokio::test]
async fn nodes_that_do_not_answer_hold_nobody_else_up() {
    let agent = ScriptedAgent::default();
    let server = Simulated::start_with_agent(&agent, |_| {}).await;
    let caller = server.caller();
    let mut silent = Vec::new();
    for node in ["far", "beyond"] {
        silent.push(AgentLink::of(&caller, node, "run").await);
        for number in 0..20 {
            let name = format!("{node} {number}");
            caller.opened(&name).await;
            let request = pb::DeclareResourceRequest {
                node: node.to_owned(),
                ..declare(key(&name), "shell")
            };
            declared(&caller, request).await;
            over(&caller, &name).await;
        }
    }
    for link in &mut silent {
        for _ in 0..16 {
            link.release().await;
        }
    }
    let session = caller.opened("here").await.session_id;
    declared(&caller, declare(key("here"), "shell")).await;
    over(&caller, "here").await;
    assert_eq!(outcomes(&caller, &session).await, ["killed"]);
    assert_eq!(agent.asked(), 1, "nothing of the nodes is asked of it");
}
