//! What is at the socket is not what was registered, or does not answer: the registered panes end, nothing else does.

use std::time::Instant;

use rustix::process::Signal;
use sessiond_agent::terms::{Released, Terms};
use sessiond_agent::tmux::{CALL, TmuxError, release};

use super::fixture::{Fixture, PATIENCE, await_that, marker, terms};
use super::tmux_server::{IDLE, STUBBORN, Server, signal};

#[test]
fn panes_end_when_their_server_has_died() {
    let server = Server::new();
    let pane = server.session("abc", STUBBORN);
    let identity = server.registered("abc");
    let process = server.process();
    signal(process, Signal::KILL);
    await_that("the server has died", || !process.runs());
    assert!(pane.runs());
    assert_eq!(
        release(&identity, &terms()).expect("done"),
        Released::Killed
    );
    assert!(!pane.runs());
    let again = release(&identity, &terms()).expect("done");
    assert_eq!(again, Released::AlreadyGone);
    assert_eq!(identity.refreshed().expect("an answer"), None);
}

#[test]
fn a_server_that_followed_on_the_socket_keeps_its_sessions() {
    let server = Server::new();
    let pane = server.session("abc", IDLE);
    let identity = server.registered("abc");
    let process = server.process();
    server.run(&["kill-server"]);
    await_that("the server has ended", || !process.runs() && !pane.runs());
    let follower = server.session("abc", IDLE);
    let other = server.registered("abc");
    assert_eq!(other.session, identity.session, "both are $0");
    let released = release(&identity, &terms()).expect("done");
    assert_eq!(released, Released::Mismatch);
    assert!(follower.runs());
    assert_eq!(identity.refreshed().expect("an answer"), None);
}

/// As a unit of the system is, which was saved with the environment of a pane.
#[test]
fn what_was_started_again_after_a_boot_ends_with_the_session_and_the_server_of_now_lives() {
    let server = Server::new();
    let pane = server.session("abc", IDLE);
    let mut identity = server.registered("abc");
    let mut processes: Vec<_> = identity.panes.iter_mut().collect();
    processes.push(&mut identity.server);
    for process in processes {
        process.boot_id = "00000000-0000-0000-0000-000000000000".to_owned();
    }
    let marker = marker();
    let again = Fixture::marked(&marker, IDLE);
    let terms = Terms {
        marker: Some(marker),
        ..terms()
    };
    let released = || release(&identity, &terms).expect("done");
    assert_eq!(released(), Released::Killed);
    assert!(!again.seen().runs());
    assert_eq!(released(), Released::AlreadyGone);
    assert!(pane.runs());
}

#[test]
fn a_server_that_took_over_the_socket_keeps_its_sessions() {
    let ours = Server::new();
    let others = Server::new();
    let pane = ours.session("abc", STUBBORN);
    let bystander = others.session("abc", IDLE);
    let identity = ours.registered("abc");
    let process = ours.process();
    std::fs::rename(&others.socket, &ours.socket).expect("a socket can be moved");
    let told = identity.refreshed();
    assert!(matches!(told, Err(TmuxError::Unreachable)), "{told:?}");
    let released = release(&identity, &terms()).expect("done");
    assert_eq!(released, Released::Killed);
    assert!(!pane.runs() && bystander.runs());
    await_that("a server without sessions ends", || !process.runs());
    let released = release(&identity, &terms()).expect("done");
    assert_eq!(released, Released::Mismatch);
    assert!(bystander.runs());
}

#[test]
fn a_stopped_server_holds_nobody_up() {
    let server = Server::new();
    let pane = server.session("abc", STUBBORN);
    let identity = server.registered("abc");
    let process = server.process();
    signal(process, Signal::STOP);
    process.await_state("T");
    let begun = Instant::now();
    let found = server.tmux().find_exact("abc");
    assert!(matches!(found, Err(TmuxError::Hung)), "{found:?}");
    assert!(begun.elapsed() < CALL + PATIENCE / 2);
    let told = identity.refreshed();
    assert!(matches!(told, Err(TmuxError::Hung)), "{told:?}");
    assert_eq!(
        release(&identity, &terms()).expect("done"),
        Released::Killed
    );
    assert!(!pane.runs() && process.runs());
    let again = release(&identity, &terms());
    assert!(matches!(again, Err(TmuxError::Hung)), "{again:?}");
    signal(process, Signal::CONT);
    await_that("a server without sessions ends", || !process.runs());
    let again = release(&identity, &terms()).expect("done");
    assert_eq!(again, Released::AlreadyGone);
}

/// As when old files are cleared from a directory for temporary ones.
#[test]
fn a_session_whose_socket_has_gone_is_not_taken_for_ended() {
    let server = Server::new();
    let pane = server.session("abc", IDLE);
    let identity = server.registered("abc");
    let aside = server.directory.path().join("aside");
    std::fs::rename(&server.socket, &aside).expect("a socket can be moved");
    let told = identity.refreshed();
    assert!(matches!(told, Err(TmuxError::Unreachable)), "{told:?}");
    assert!(pane.runs());
    std::fs::rename(&aside, &server.socket).expect("and moved back");
    let now = identity.refreshed().expect("an answer");
    assert_eq!(now.as_ref(), Some(&identity));
}

#[test]
fn a_session_that_has_ended_is_told_from_the_others_of_its_server() {
    let server = Server::new();
    server.session("abc", IDLE);
    server.session("other", IDLE);
    let [ended, other] = ["abc", "other"].map(|name| server.registered(name));
    server.run(&["kill-session", "-t", "$0"]);
    assert_eq!(ended.refreshed().expect("an answer"), None);
    let now = other.refreshed().expect("an answer");
    assert_eq!(now.as_ref(), Some(&other));
}

#[test]
fn panes_opened_later_and_what_left_them_end_with_the_session() {
    let server = Server::new();
    server.session("abc", IDLE);
    let other = server.session("other", IDLE);
    let identity = server.registered("abc");
    // The pane ends when it is hung up on, and its child has no terminal to be hung up on by.
    let script = "setsid sleep 1000 & exec sleep 1000";
    server.run(&["new-window", "-d", "-t", "$0", "sh", "-c", script]);
    let now = identity
        .refreshed()
        .expect("an answer")
        .expect("it is there");
    assert_eq!((identity.panes.len(), now.panes.len()), (1, 2));
    let children =
        || std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", now.panes[1].pid));
    await_that("the pane has a child", || {
        children().is_ok_and(|pids| !pids.is_empty())
    });
    assert_eq!(
        release(&identity, &terms()).expect("done"),
        Released::Killed
    );
    let mut expected = [other.pid, server.process().pid];
    expected.sort_unstable();
    assert_eq!(server.running(), expected);
}

#[test]
fn a_window_that_another_session_shows_too_stays() {
    let server = Server::new();
    let ours = server.session("abc", IDLE);
    let shared = server.session("other", IDLE);
    server.run(&["link-window", "-s", "other:0", "-t", "abc:5"]);
    let identity = server.registered("abc");
    assert_eq!(identity.panes.len(), 2);
    assert_eq!(
        release(&identity, &terms()).expect("done"),
        Released::Killed
    );
    assert!(!ours.runs() && shared.runs());
    assert!(server.sessions().values().eq(["other"]));
}

#[test]
fn what_is_no_socket_of_ours_is_not_adopted() {
    let server = Server::new();
    assert_eq!(server.tmux().find_exact("abc").expect("an answer"), None);
    std::fs::write(&server.socket, "").expect("a file");
    let found = server.tmux().find_exact("abc");
    assert!(
        matches!(found, Err(TmuxError::NotOwned { .. })),
        "{found:?}"
    );
}
