//! Children: a process that adopts what loses its parent below it ends all of it, and nothing that it had before.
//!
//! Each test runs in a program of its own, for this one has the children of other tests. What they deliberately do not do:
//! look at what else is started that way; `sessiond run` has tests of its own.

use sessiond_agent::adoption::{adopt_orphans, children, release_children};
use sessiond_agent::terms::Released;

use super::denials::{INSIDE, run_inside};
use super::fixture::{Fixture, await_that, terms};

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

#[test]
fn what_left_everything_behind_ends_and_what_was_there_before_does_not() {
    if !is_inside() {
        let name = "children::what_left_everything_behind_ends_and_what_was_there_before_does_not";
        return run_inside(name, "");
    }
    let earlier = Fixture::bystander();
    let before = children().expect("we can be looked at");
    adopt_orphans().expect("Linux lets us");
    // Forked twice, in a session of its own, without any mark in its environment.
    let escape = r#"(setsid env -i sh -c 'trap "" TERM; echo $$; exec sleep 60' &)"#;
    let mut parent = Fixture::sh(escape);
    let stray = parent.next();
    parent.reap();
    assert!(stray.runs());
    assert_eq!(release_children(&before, &terms()), Released::Killed);
    assert!(!stray.runs());
    assert!(earlier.seen().runs());
    assert_eq!(release_children(&before, &terms()), Released::AlreadyGone);
}

#[test]
fn more_children_than_are_held_at_once_all_end() {
    if !is_inside() {
        return run_inside("children::more_children_than_are_held_at_once_all_end", "");
    }
    let before = children().expect("we can be looked at");
    adopt_orphans().expect("Linux lets us");
    let script = "for i in $(seq 600); do sleep 60 & done; echo ready";
    let mut parent = Fixture::sh(script);
    assert_eq!(parent.word(), "ready");
    parent.reap();
    await_that("all are ours", || parent.running().len() == 600);
    assert_eq!(release_children(&before, &terms()), Released::Killed);
    assert_eq!(parent.running(), []);
}
