//! Strays: processes that left their tree, and are found by the marker in their environment.

use sessiond_agent::marker::Marker;
use sessiond_agent::release::{release, release_marked};
use sessiond_agent::terms::{Released, Terms};

use super::fixture::{Fixture, Seen, marker, terms, unique};

/// Leaves a stray in a session of its own, whose parent has ended.
const LEAVES_A_STRAY: &str = "(setsid sh -c 'echo $$; exec sleep 1000' &) ; exec sleep 1000";

fn marked(marker: &Marker) -> (Fixture, Seen) {
    let mut fixture = Fixture::marked(marker, LEAVES_A_STRAY);
    let stray = fixture.next();
    (fixture, stray)
}

fn terms_with(marker: &Marker) -> Terms {
    Terms {
        marker: Some(marker.clone()),
        ..terms()
    }
}

#[test]
fn a_stray_is_found_by_its_marker_and_by_no_other() {
    let [ours, others] = ["", "x"].map(|end| unique() + end);
    let [ours, others] = [ours, others].map(|value| Marker::new(value).expect("a marker"));
    let (fixture, stray) = marked(&ours);
    let (other, other_stray) = marked(&others);
    let terms = terms_with(&ours);
    assert_eq!(release(&fixture.identity(), &terms), Released::Killed);
    assert!(!stray.runs() && !fixture.seen().runs());
    assert!(other_stray.runs() && other.seen().runs());
}

#[test]
fn the_stray_of_a_process_that_has_ended_is_found() {
    let marker = marker();
    let script = "echo $$; (setsid sh -c 'echo $$; exec sleep 1000' &)";
    let mut fixture = Fixture::marked(&marker, &format!("{script}; read line"));
    let identity = fixture.identity();
    fixture.next();
    let stray = fixture.next();
    fixture.let_go();
    fixture.reap();
    let bystander = Fixture::bystander();
    assert_eq!(release(&identity, &terms()), Released::AlreadyGone);
    assert!(stray.runs(), "nothing leads to it without the marker");
    assert_eq!(release(&identity, &terms_with(&marker)), Released::Killed);
    assert!(!stray.runs());
    assert_eq!(
        release(&identity, &terms_with(&marker)),
        Released::AlreadyGone
    );
    assert!(bystander.seen().runs());
}

#[test]
fn strays_and_what_descends_from_them_are_found_without_a_process_to_start_from() {
    let marker = marker();
    let script = "env -u SESSIOND_RESOURCE setsid sh -c 'echo $$; exec sleep 1000' & wait";
    let mut fixture = Fixture::marked(&marker, script);
    let unmarked = fixture.next();
    let bystander = Fixture::bystander();
    assert_eq!(release_marked(&marker, &terms()), Released::Killed);
    assert!(!unmarked.runs() && !fixture.seen().runs());
    assert_eq!(release_marked(&marker, &terms()), Released::AlreadyGone);
    assert!(bystander.seen().runs());
}

/// What it starts leaves its session before anybody looked: nothing but the marker leads to it.
#[test]
fn strays_that_are_made_while_the_tree_ends_are_found() {
    let marker = marker();
    let script = "stray() { (trap '' TERM; setsid sleep 1000 &) ; }
                  trap stray TERM
                  echo $$
                  while :; do sleep 1000 & wait; done";
    let mut fixture = Fixture::marked(&marker, script);
    fixture.next();
    let terms = terms_with(&marker);
    assert_eq!(release(&fixture.identity(), &terms), Released::Killed);
    assert_eq!(fixture.running(), []);
}
