//! Private servers: made for one session, ended with it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use sessiond_agent::marker::{Marker, VARIABLE};
use sessiond_agent::terms::Released;
use sessiond_agent::tmux::{Ownership, TmuxError, release};

use super::fixture::{Guard, Seen, await_that, terms, unique};
use super::tmux_server::{IDLE, STUBBORN, Server, signal};

fn marker() -> (Marker, Guard) {
    let value = unique();
    let guard = Guard::of(VARIABLE, &value);
    (Marker::new(value).expect("a marker"), guard)
}

#[test]
fn a_private_server_ends_with_its_session() {
    let place = Server::new();
    let (marker, guard) = marker();
    let created = place
        .tmux()
        .create("a b", &["sh", "-c", STUBBORN, ";"], Some(&marker));
    let identity = created.expect("a session");
    assert_eq!((identity.name.as_str(), identity.session), ("a b", 0));
    assert_eq!(identity.ownership, Ownership::Private);
    let pane = Seen::of(identity.panes[0].pid);
    let server = Seen::of(identity.server.pid);
    await_that("both are marked", || guard.running().len() == 2);
    assert_eq!(place.registered("a b").server, identity.server);
    assert_eq!(
        release(&identity, &terms()).expect("done"),
        Released::Killed
    );
    assert!(!pane.runs() && !server.runs());
    assert_eq!(guard.running(), []);
    let again = release(&identity, &terms()).expect("done");
    assert_eq!(again, Released::AlreadyGone);
}

#[test]
fn a_stopped_private_server_is_ended() {
    let place = Server::new();
    let (marker, guard) = marker();
    let created = place
        .tmux()
        .create("abc", &["sh", "-c", IDLE], Some(&marker));
    let identity = created.expect("a session");
    let server = Seen::of(identity.server.pid);
    signal(server, Signal::STOP);
    server.await_state("T");
    assert_eq!(
        release(&identity, &terms()).expect("done"),
        Released::Killed
    );
    assert_eq!(guard.running(), []);
}

#[test]
fn a_private_server_is_made_only_where_nobody_else_can_reach() {
    let place = Server::new();
    let (marker, guard) = marker();
    let create = |name| {
        place
            .tmux()
            .create(name, &["sh", "-c", IDLE], Some(&marker))
    };
    let mode = |mode| {
        let directory = place.directory.path();
        std::fs::set_permissions(directory, Permissions::from_mode(mode)).expect("it is ours");
    };
    mode(0o750);
    assert!(matches!(create("abc"), Err(TmuxError::OpenDirectory)));
    mode(0o700);
    for name in ["a:b", "#{pid}", "a;"] {
        let created = create(name);
        assert!(
            matches!(created, Err(TmuxError::Unnameable { .. })),
            "{created:?}"
        );
    }
    std::fs::write(&place.socket, "").expect("a file");
    assert!(matches!(create("abc"), Err(TmuxError::SocketTaken { .. })));
    assert_eq!(guard.running(), []);
}

#[test]
fn a_session_whose_command_ends_at_once_is_no_session() {
    let place = Server::new();
    let (marker, guard) = marker();
    let created = place.tmux().create("abc", &["true"], Some(&marker));
    // Whether it was seen before it ended is tmux's to say; that nothing is left is ours.
    if let Ok(identity) = created {
        release(&identity, &terms()).expect("done");
    }
    await_that("nothing is left", || guard.running().is_empty());
}
