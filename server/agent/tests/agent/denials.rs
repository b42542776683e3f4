//! What is on the deny list, as real processes: this one, what it descends from, and the first.
//!
//! Some need a process in another place: there the test program runs itself, with only the test that asks.

use std::process::Command;

use sessiond_agent::deny::Denial;
use sessiond_agent::identity::{Identity, identify};
use sessiond_agent::marker::{Marker, VARIABLE};
use sessiond_agent::release::{release, release_marked};
use sessiond_agent::terms::{Released, Survivor};

use super::fixture::{Seen, terms, unique};

/// Holds the marker in a test program that was started by a test.
pub(super) const INSIDE: &str = "SESSIOND_AGENT_INSIDE";

/// Processes on the deny list that are always there.
pub(super) fn denied() -> [(i32, Denial); 3] {
    let parent = std::os::unix::process::parent_id().cast_signed();
    let above = if parent == 1 {
        Denial::FirstProcess
    } else {
        Denial::Ancestor
    };
    [
        (std::process::id().cast_signed(), Denial::Ourselves),
        (parent, above),
        (1, Denial::FirstProcess),
    ]
}

#[track_caller]
fn check(pid: i32, expected: Denial) {
    let identity = identify(pid).expect("it runs");
    let seen = Seen::of(pid);
    assert_eq!(release(&identity, &terms()), Released::Denied(expected));
    assert!(seen.runs());
}

#[test]
fn we_our_parents_and_the_first_process_are_denied() {
    for (pid, expected) in denied() {
        check(pid, expected);
    }
}

#[test]
fn numbers_that_no_process_has_are_gone() {
    let ours = identify(std::process::id().cast_signed()).expect("we run");
    for pid in [i32::MIN, -1, 0] {
        let identity = Identity {
            pid,
            ..ours.clone()
        };
        assert_eq!(release(&identity, &terms()), Released::AlreadyGone, "{pid}");
        assert!(identify(pid).is_err());
    }
}

/// Runs one test of this program in a shell that carries a marker, and lets `prefix` come between.
#[track_caller]
pub(super) fn run_inside(test: &str, prefix: &str) {
    let marker = unique();
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("sh")
        .args(["-c", &format!("{prefix} \"$0\" --exact \"$1\"; exit $?")])
        .arg(program)
        .arg(test)
        .env(VARIABLE, &marker)
        .env(INSIDE, &marker)
        .output()
        .expect("sh runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
fn a_marker_that_we_carry_ourselves_finds_nothing() {
    match std::env::var(INSIDE) {
        Ok(marker) => {
            let marker = Marker::new(marker).expect("a marker");
            let denied = Released::Denied(Denial::OwnMarker);
            assert_eq!(release_marked(&marker, &terms()), denied);
        }
        Err(_) => run_inside(
            "denials::a_marker_that_we_carry_ourselves_finds_nothing",
            "",
        ),
    }
}

#[test]
fn what_belongs_but_must_not_be_signalled_survives_and_is_named() {
    match std::env::var(INSIDE) {
        Ok(marker) => {
            let marker = Marker::new(marker).expect("a marker");
            let Released::TimedOut { survivors } = release_marked(&marker, &terms()) else {
                panic!("the shell that started us is marked");
            };
            let named: Vec<(i32, Option<Denial>)> = survivors
                .into_iter()
                .map(|Survivor { pid, denial, .. }| (pid, denial))
                .collect();
            let parent = std::os::unix::process::parent_id().cast_signed();
            assert_eq!(named, [(parent, Some(Denial::Ancestor))]);
        }
        Err(_) => run_inside(
            "denials::what_belongs_but_must_not_be_signalled_survives_and_is_named",
            &format!("env -u {VARIABLE}"),
        ),
    }
}
