//! What a session has on another machine ends with it: real agents that are killed, stopped, started twice and booted, and
//! nothing else touched.
//!
//! The other machine is this one under a name of its own, looked after by an agent in a process of its own. What this
//! deliberately does not do: try every kind of tree; the tests of `sessiond-agent` do.

#[path = "nodes/agent.rs"]
mod agent;

use std::process::{Command, Stdio};
use std::time::Instant;

use agent::{Agent, PATIENCE};
use sessiond_client::Client;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::processes::{ESCAPEE, runs};
use sessiond_tests::requests::{end, key};
use sessiond_tests::server::Server;

use super::bound::command::Bound;
use super::resources::outside::Outside;
use super::resources::{over, releases, until_released};

/// Waits until a process is there no more.
async fn until_gone(caller: &Caller, pid: u32) {
    let began = Instant::now();
    while runs(pid) {
        assert!(began.elapsed() < PATIENCE, "{pid} runs and runs");
        caller.a_moment().await;
    }
}

/// Proves: F13, G5.
#[tokio::test]
async fn what_is_on_a_node_is_gone_after_the_end_and_its_neighbour_is_not() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let _agent = Agent::start(&server);
    let neighbour = Outside::unmarked("exec sleep 600");
    let mut tree = Outside::on_node(&caller, "a", &format!("{ESCAPEE} {ESCAPEE} wait")).await;
    let (first, second) = (tree.number(), tree.number());
    tree.register(&caller).await;
    over(&caller, "a").await;
    assert_eq!(
        releases(&until_released(&caller, &session).await),
        ["killed"]
    );
    for pid in [first, second, tree.pid()] {
        assert!(!runs(pid), "{pid} is gone when it is said to be");
    }
    assert!(runs(neighbour.pid()), "nobody asked for this one");
}

/// Proves: G5.
#[tokio::test]
async fn an_agent_killed_before_the_kill_is_followed_by_one_that_goes_on() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let agent = Agent::start(&server);
    let mut tree = Outside::on_node(&caller, "a", &format!("{ESCAPEE} wait")).await;
    let deaf = tree.number();
    tree.register(&caller).await;
    over(&caller, "a").await;
    // The grace is two seconds, and this process ignores TERM.
    until_gone(&caller, tree.pid()).await;
    agent.kill();
    assert!(runs(deaf), "the agent died before the kill");
    let _agent = Agent::start(&server);
    let events = until_released(&caller, &session).await;
    assert!(!runs(deaf));
    assert_eq!(releases(&events), ["killed"], "released once");
}

/// What went while nobody could be told goes on record as it went.
///
/// Proves: F39.
#[tokio::test]
async fn an_agent_goes_on_while_the_server_is_away_and_tells_it_when_it_is_back() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let _agent = Agent::start(&server);
    let mut tree = Outside::on_node(&caller, "a", &format!("{ESCAPEE} wait")).await;
    let deaf = tree.number();
    tree.register(&caller).await;
    over(&caller, "a").await;
    until_gone(&caller, tree.pid()).await;
    server.kill();
    assert!(runs(deaf), "the server died before the kill");
    let began = Instant::now();
    while runs(deaf) {
        assert!(began.elapsed() < PATIENCE, "the agent waits for the server");
        std::thread::yield_now();
    }
    server.restart();
    let caller = Caller::to(&server).await;
    let events = until_released(&caller, &session).await;
    assert_eq!(releases(&events), ["killed"], "as it went, and once");
}

/// One that is cut off and comes back finds its node taken, and does nothing more.
#[tokio::test]
async fn of_two_agents_of_a_node_one_waits_and_the_one_that_was_silent_loses_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let first = Agent::start(&server);
    let tree = Outside::on_node(&caller, "a", "exec sleep 600").await;
    tree.register(&caller).await;
    let second = Agent::begin(&server, &["--node", "far"]);
    second.says("has another agent");
    first.signal("STOP");
    second.linked();
    over(&caller, "a").await;
    let events = until_released(&caller, &session).await;
    assert_eq!(releases(&events), ["killed"]);
    assert!(!runs(tree.pid()));
    first.signal("CONT");
    first.says("has another agent");
    assert!(!second.has_said("not linked"), "it keeps the node");
}

/// The number of a process means another one after a boot, and is not touched.
#[tokio::test]
async fn after_a_boot_what_was_there_is_gone_and_nothing_is_ended_by_its_old_number() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let agent = Agent::adopting(&server);
    let bystander = Outside::unmarked("exec sleep 600");
    let request = pb::DeclareResourceRequest {
        r#ref: key("a"),
        node: "far".to_owned(),
        target: Some(pb::declare_resource_request::Target::Process(
            pb::ProcessTarget {
                pid: bystander.pid(),
            },
        )),
        ..pb::DeclareResourceRequest::default()
    };
    caller.declare_resource(request).await.expect("adopted");
    agent.kill();
    let _agent = Agent::after_a_boot(&server);
    over(&caller, "a").await;
    let events = until_released(&caller, &session).await;
    assert_eq!(releases(&events), ["already_gone"]);
    assert!(runs(bystander.pid()), "it is somebody else's by now");
}

#[tokio::test]
async fn a_command_that_was_started_for_a_node_ends_with_its_session_whoever_started_it_is_killed()
{
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let _agent = Agent::start(&server);
    let script = format!("{ESCAPEE} sleep 600");
    let mut bound = Bound::script_with(&server, &["--key", "a", "--node", "far"], &script);
    let escapee = bound.number();
    let listed = caller.list_resources(pb::ListResourcesRequest::default());
    let [resource] = listed.await.expect("a list").resources.try_into().unwrap();
    assert_eq!(resource.node, "far");
    bound.signal("KILL");
    let request = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(request).await.expect("ended");
    until_gone(&caller, escapee).await;
    bound.over();
}

#[tokio::test]
async fn a_command_that_the_sdk_spawned_on_a_node_ends_with_its_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let _agent = Agent::start(&server);
    let client = Client::builder().addr(server.url()).build();
    let session = client.expect("a client").session("a").open().await;
    let session = session.expect("opened");
    let mut command = tokio::process::Command::new("sleep");
    command.arg("600");
    let mut spawned = session.spawn_on("far", command).await.expect("spawned");
    over(&caller, "a").await;
    let events = until_released(&caller, session.id()).await;
    assert_eq!(releases(&events), ["killed"]);
    let status = spawned.child.wait().await.expect("it is our child");
    assert!(!status.success(), "it was ended");
}

/// Proves: G6.
#[tokio::test]
async fn a_tmux_session_of_a_node_is_ended_by_its_agent_and_its_neighbour_is_not() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let _agent = Agent::adopting(&server);
    let place = tempfile::tempdir().expect("a directory");
    let socket = place.path().join("tmux");
    let tmux = |arguments: &[&str]| {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&socket).args(["-f", "/dev/null"]);
        command.args(arguments).stderr(Stdio::null());
        command.status().expect("the machine has tmux").success()
    };
    for name in ["abc", "abc-long"] {
        assert!(tmux(&["new-session", "-d", "-s", name, "sleep 600"]));
    }
    let request = pb::DeclareResourceRequest {
        r#ref: key("a"),
        node: "far".to_owned(),
        target: Some(pb::declare_resource_request::Target::Tmux(pb::TmuxTarget {
            socket: socket.to_str().expect("text").to_owned(),
            session_name: "abc".to_owned(),
        })),
        ..pb::DeclareResourceRequest::default()
    };
    caller.declare_resource(request).await.expect("adopted");
    over(&caller, "a").await;
    let events = until_released(&caller, &session).await;
    assert_eq!(releases(&events), ["killed"]);
    assert!(!tmux(&["has-session", "-t", "=abc"]));
    assert!(tmux(&["has-session", "-t", "=abc-long"]));
    tmux(&["kill-server"]);
}

#[tokio::test]
async fn an_agent_that_is_refused_for_good_says_why_and_one_that_is_stopped_ends_well() {
    let server = Server::start();
    for (arguments, code, word) in [
        (&["--node", ""][..], 2, "--node"),
        (&[], 2, "--node"),
        (&["--node", "far", "--log-level", "=,="], 2, "error"),
        (&["--node", "a\nb"], 1, "hello.node"),
        (&["--node", "far", "--namespace", "blue"], 1, "blue"),
    ] {
        let (status, said) = Agent::begin(&server, arguments).over();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
    let agent = Agent::start(&server);
    agent.signal("TERM");
    let (status, said) = agent.over();
    assert_eq!(status.code(), Some(0), "{said}");
}
