//! Names of tmux sessions: only the one that was meant is found and ended, whatever tmux would take a name for.

use std::collections::BTreeMap;

use sessiond_agent::terms::Released;
use sessiond_agent::tmux::{TmuxError, release};

use super::fixture::{Seen, terms};
use super::tmux_server::{IDLE, Server};

/// Each is, to tmux, a prefix, a pattern, an id or a position that can mean another.
const NAMES: [&str; 20] = [
    "a", "ab", "abc", "abc-long", "abc ", " abc", "a*", "*", "?bc", "[a-c]bc", "=abc", "$0", "$1",
    "@1", "%1", "{last}", "+", "-t", "a b", "ü",
];

/// Trials by scale; one that finds or ends another session than was meant fails the test.
fn trials() -> u32 {
    match std::env::var("SESSIOND_SCALE").as_deref() {
        Ok("nightly") => 1000,
        Ok("quick" | "ci") | Err(_) => 200,
        Ok(other) => panic!("SESSIOND_SCALE is {other:?}: use quick, ci or nightly"),
    }
}

#[test]
fn the_beginning_of_a_name_is_another_name() {
    let server = Server::new();
    let long = server.session("abc-long", IDLE);
    assert_eq!(server.tmux().find_exact("abc").expect("an answer"), None);
    let short = server.session("abc", IDLE);
    let identity = server.registered("abc");
    assert_eq!(identity.panes[0].pid, short.pid);
    assert_eq!(
        release(&identity, &terms()).expect("done"),
        Released::Killed
    );
    assert!(!short.runs() && long.runs());
    assert_eq!(server.sessions().len(), 1);
    let again = release(&identity, &terms()).expect("done");
    assert_eq!(again, Released::AlreadyGone);
    assert!(long.runs());
}

/// Proves: F80.
#[test]
fn a_name_that_tmux_keeps_in_another_form_means_nothing() {
    let server = Server::new();
    for name in ["a:b", "x\ny", "p\\q"] {
        server.session(name, IDLE);
    }
    let kept = ["a_b", "x\\ny", "p\\\\q"];
    assert!(
        server.sessions().values().eq(kept),
        "{:?}",
        server.sessions()
    );
    for name in ["a:b", "a.b", "x\ny", "x\\ny", "p\\q", "p\\\\q", ""] {
        let refused = server.tmux().find_exact(name);
        assert!(
            matches!(refused, Err(TmuxError::Unnameable { .. })),
            "{name:?}: {refused:?}"
        );
    }
    assert_eq!(server.registered("a_b").name, "a_b");
}

/// Proves: F80.
#[test]
fn a_renamed_session_is_still_the_one_that_was_registered() {
    let server = Server::new();
    let renamed = server.session("abc", IDLE);
    let identity = server.registered("abc");
    server.run(&["rename-session", "-t", "$0", "other"]);
    let namesake = server.session("abc", IDLE);
    assert_eq!(
        release(&identity, &terms()).expect("done"),
        Released::Killed
    );
    assert!(!renamed.runs() && namesake.runs());
}

/// Seeded, so that a failing trial can be had again.
#[test]
fn random_names_never_find_or_end_another_session() {
    let server = Server::new();
    let anchor = server.session("anchor", IDLE);
    let mut random = fastrand::Rng::with_seed(20);
    let mut there: BTreeMap<&str, Seen> = BTreeMap::from([("anchor", anchor)]);
    for trial in 0..trials() {
        let name = NAMES[random.usize(..NAMES.len())];
        let found = server.tmux().find_exact(name).expect("an answer");
        let pane = found.as_ref().map(|identity| identity.panes[0].pid);
        let meant = there.get(name).copied();
        assert_eq!(pane, meant.map(|pane| pane.pid), "trial {trial}: {name:?}");
        match found {
            None => drop(there.insert(name, server.session(name, IDLE))),
            Some(identity) => {
                let released = release(&identity, &terms()).expect("done");
                assert_eq!(released, Released::Killed, "trial {trial}: {name:?}");
                let pane = there.remove(name).expect("it was there");
                assert!(!pane.runs(), "trial {trial}: {name:?}");
            }
        }
        let listed = server.sessions();
        let mut names: Vec<&str> = listed.values().map(String::as_str).collect();
        names.sort_unstable();
        assert!(names.iter().eq(there.keys()), "trial {trial}: {names:?}");
        assert!(there.values().all(|pane| pane.runs()), "trial {trial}");
    }
}
