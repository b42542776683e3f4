//! What a session has outside ends with it: real processes, a real server that is killed in the middle, nothing left and
//! nothing else touched.
//!
//! What this deliberately does not do: try every kind of tree; the tests of `sessiond-agent` do.

#[path = "resources/outside.rs"]
pub(super) mod outside;

use std::time::{Duration, Instant};

use outside::Outside;
use sessiond_client::Client;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::processes::{ESCAPEE, runs};
use sessiond_tests::requests::{end, id, key, millis};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Two seconds of grace, one of verification, and time to spare on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sessions that one call ends.
const CROWD: usize = 200;

pub(super) async fn over(caller: &Caller, of: &str) {
    let request = end(key(of), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(request).await.expect("ended");
}

/// Everything on record until nothing of a session is left.
pub(super) async fn until_released(caller: &Caller, session: &str) -> Vec<pb::SessionEvent> {
    let mut events = WatchStream::from_the_start(caller).await;
    let is_last = |event: &pb::SessionEvent| {
        let about = event
            .session
            .as_ref()
            .is_some_and(|of| of.session_id == session);
        about && event.r#type() == pb::EventType::SessionReleased
    };
    events.until(is_last).await
}

pub(super) fn releases(events: &[pb::SessionEvent]) -> Vec<&str> {
    let released = events
        .iter()
        .filter(|event| event.r#type() == pb::EventType::ResourceReleased);
    released
        .map(|event| event.attributes["outcome"].as_str())
        .collect()
}

/// Proves: F13, F20, F29, F81, G5, G6.
#[tokio::test]
async fn what_ignores_everything_but_kill_is_gone_after_the_end_and_its_neighbour_is_not() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let neighbour = Outside::unmarked("exec sleep 600");
    let mut tree = Outside::of(&caller, "a", &format!("{ESCAPEE} {ESCAPEE} wait")).await;
    let (first, second) = (tree.number(), tree.number());
    tree.register(&caller).await;
    let request = pb::EndSessionRequest {
        wait: millis(20_000),
        wait_for: pb::WaitFor::Released.into(),
        ..end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate)
    };
    let ended = caller.end(request.clone()).await.expect("ended").session;
    assert_eq!(ended.expect("a session").unreleased_resources, 0);
    for pid in [first, second, tree.pid()] {
        assert!(!runs(pid), "{pid} is gone when it is said to be");
    }
    assert!(runs(neighbour.pid()), "nobody asked for this one");
    assert_eq!(
        releases(&until_released(&caller, &session).await),
        ["killed"]
    );
    let revision = caller.revision().await;
    let again = pb::EndSessionRequest {
        r#ref: id(&session),
        ..request
    };
    let again = caller.end(again).await.expect("it has ended");
    assert!(again.already_ended);
    let now = caller.revision().await;
    assert_eq!(now, revision, "nothing happens a second time");
}

/// Proves: F39, G5.
#[tokio::test]
async fn a_server_killed_between_the_end_and_the_kill_goes_on_with_it_when_it_is_back() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let mut tree = Outside::of(&caller, "a", &format!("{ESCAPEE} wait")).await;
    let deaf = tree.number();
    tree.register(&caller).await;
    over(&caller, "a").await;
    // The grace is two seconds, and this process ignores TERM.
    server.kill();
    assert!(runs(deaf), "the server died before the kill");
    server.restart();
    let caller = Caller::to(&server).await;
    let events = until_released(&caller, &session).await;
    assert!(!runs(deaf));
    assert_eq!(releases(&events), ["killed"], "released once");
}

/// Proves: F29, G5.
#[tokio::test]
async fn two_hundred_sessions_that_end_together_leave_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let neighbour = Outside::unmarked("exec sleep 600");
    let mut trees = Vec::new();
    for number in 0..CROWD {
        let name = format!("crowd-{number}");
        caller.opened(&name).await;
        let tree = Outside::of(&caller, &name, "sleep 600 & exec sleep 600").await;
        tree.register(&caller).await;
        trees.push(tree);
    }
    let request = pb::EndSessionsRequest {
        key_glob: "crowd-*".to_owned(),
        reason: pb::EndReason::Completed.into(),
        mode: pb::EndMode::Immediate.into(),
        ..pb::EndSessionsRequest::default()
    };
    caller.end_many(request).await.expect("ended");
    let began = Instant::now();
    while left(&caller).await > 0 {
        assert!(
            began.elapsed() < PATIENCE,
            "{} are left",
            left(&caller).await
        );
        caller.a_moment().await;
    }
    let running = trees.iter().filter(|tree| runs(tree.pid()));
    assert_eq!(running.count(), 0);
    assert!(runs(neighbour.pid()));
}

/// Resources that are not released.
async fn left(caller: &Caller) -> usize {
    let request = pb::ListResourcesRequest::default();
    let page = caller.list_resources(request).await.expect("a list");
    page.resources.len()
}

/// Proves: F10, G3.
#[tokio::test]
async fn a_process_that_ends_by_itself_is_found_gone_while_its_session_goes_on() {
    let server = Server::configured("[session]\ncleanup_interval = \"1s\"\n");
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let mut tree = Outside::of(&caller, "a", "exec sleep 600").await;
    tree.register(&caller).await;
    tree.end();
    let mut events = WatchStream::from_the_start(&caller).await;
    let released = pb::EventType::ResourceReleased;
    let event = events.event(released, &session).await;
    assert_eq!(event.attributes["outcome"], "already_gone");
    let now = caller.session(key("a")).await;
    assert_eq!(now.state(), pb::SessionState::Active);
    assert_eq!(now.unreleased_resources, 0);
}

/// A daemon begins by leaving its first process: that it is gone says nothing of the others.
///
/// Proves: F33, G5.
#[tokio::test]
async fn a_tree_whose_first_process_has_ended_is_there_and_goes_with_its_session() {
    let server = Server::configured("[session]\ncleanup_interval = \"1s\"\n");
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let mut tree = Outside::of(&caller, "a", &format!("{ESCAPEE} exec sleep 600")).await;
    let daemon = tree.number();
    tree.register(&caller).await;
    let other = Outside::of(&caller, "a", "exec sleep 600").await;
    other.register(&caller).await;
    tree.end();
    let mut other = other;
    other.end();
    // Both are looked at in one walk, so the first one was seen when the second is found gone.
    while left(&caller).await > 1 {
        caller.a_moment().await;
    }
    assert_eq!(left(&caller).await, 1, "the tree is there");
    assert!(runs(daemon));
    over(&caller, "a").await;
    let events = until_released(&caller, &session).await;
    assert_eq!(releases(&events), ["already_gone", "killed"]);
    assert!(!runs(daemon));
}

/// Proves: F33.
#[tokio::test]
async fn what_was_declared_and_never_registered_is_found_by_its_mark() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let tree = Outside::of(&caller, "a", "setsid sleep 600 & exec sleep 600").await;
    over(&caller, "a").await;
    let events = until_released(&caller, &session).await;
    assert_eq!(releases(&events), ["killed"]);
    assert!(!runs(tree.pid()));
}

/// Proves: F13, G5.
#[tokio::test]
async fn a_command_that_the_sdk_spawned_ends_with_its_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let client = Client::builder()
        .addr(server.url())
        .build()
        .expect("a client");
    let session = client.session("a").open().await.expect("opened");
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &format!("{ESCAPEE} wait")]);
    shell.stdout(std::process::Stdio::piped());
    let mut spawned = session.spawn(shell).await.expect("spawned");
    let stdout = spawned.child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines();
    let line = lines.next_line().await.expect("it says").expect("a line");
    let escapee: u32 = line.trim().parse().expect("a number");
    let end = session.end(pb::EndReason::Completed);
    let wait = Duration::from_secs(20);
    let ended = end.wait(pb::WaitFor::Released, wait).send().await;
    let ended = ended.expect("ended").session.expect("a session");
    assert_eq!(ended.unreleased_resources, 0);
    assert!(!runs(escapee));
    let status = spawned.child.wait().await.expect("it is our child");
    assert!(!status.success(), "it was ended");
    assert_eq!(left(&caller).await, 0);
}
