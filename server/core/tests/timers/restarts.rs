//! The restart guard: how often workers may fail, and when a session is given out again.

use sessiond_core::command::{Command, ResetCircuit, ResetTarget};
use sessiond_core::event::Actor;
use sessiond_core::event::EventKind;
use sessiond_core::limits::{Policy, WorkerCost};
use sessiond_core::presence::SessionFilter;
use sessiond_core::rejection::Rejection;
use sessiond_core::session::EndReason;

use super::desk::{Desk, MINUTE, SECOND, patient, s, unlimited};

/// Ten failures in ten minutes, as by default.
fn policy() -> Policy {
    Policy {
        restart_limit: Policy::default().restart_limit,
        restart_window: Policy::default().restart_window,
        ..patient()
    }
}

/// A worker takes the session and is never heard of again.
fn lose(desk: &mut Desk) {
    assert_eq!(desk.claim("w", SECOND).len(), 1);
    desk.pass(SECOND);
}

/// Proves: F60.
#[test]
fn ten_failures_are_allowed_and_the_eleventh_suspends_the_session() {
    let mut desk = Desk::open(policy(), unlimited());
    desk.send(s());
    let first = desk.now() + SECOND;
    for _ in 0..10 {
        lose(&mut desk);
    }
    assert_eq!(desk.count(EventKind::RestartLimited), 0);
    lose(&mut desk);
    assert_eq!(desk.count(EventKind::WorkerLost), 11);
    assert_eq!(desk.count(EventKind::RestartLimited), 1);
    let said = |name: &str| desk.attribute(EventKind::RestartLimited, name);
    assert_eq!(said("failures").as_deref(), Some("11"));
    assert_eq!(said("limit").as_deref(), Some("10"));
    let claim = desk.a_claim("w", SECOND);
    let Rejection::RestartLimited {
        failures, retry_in, ..
    } = desk.refused(&claim)
    else {
        panic!("it is refused as suspended");
    };
    assert_eq!(failures, 11);
    assert_eq!(desk.now() + retry_in.0, first + 10 * MINUTE);
    // Nobody who serves it gets it either, and its message stays.
    let worker = desk.hello("serves", Some(SessionFilter::default()));
    assert_eq!(desk.handed(&worker), []);
    let left = first + 10 * MINUTE - desk.now();
    desk.pass_heard(left - 1, &[&worker]);
    assert_eq!(desk.handed(&worker), []);
    desk.pass(1);
    let held = desk.handed(&worker);
    assert_eq!(held.len(), 1, "it is given out again in time, by itself");
    desk.ack(&held[0]);
    assert_eq!(desk.count(EventKind::RestartLimited), 1, "once");
}

/// Proves: F60.
#[test]
fn failures_that_are_far_apart_suspend_nothing() {
    let mut desk = Desk::open(policy(), unlimited());
    desk.send(s());
    for _ in 0..40 {
        lose(&mut desk);
        desk.pass(MINUTE);
    }
    assert_eq!(desk.count(EventKind::WorkerLost), 40);
    assert_eq!(desk.count(EventKind::RestartLimited), 0);
}

/// Proves: F60.
#[test]
fn work_that_succeeds_takes_failures_back() {
    let mut desk = Desk::open(policy(), unlimited());
    for _ in 0..30 {
        desk.send(s());
        lose(&mut desk);
        let held = desk.claim("w", MINUTE);
        desk.ack(&held[0]);
    }
    assert_eq!(desk.count(EventKind::WorkerLost), 30);
    assert_eq!(desk.count(EventKind::RestartLimited), 0);
}

#[test]
fn a_process_that_dies_and_comes_back_at_once_under_its_name_is_counted() {
    let mut desk = Desk::open(policy(), unlimited());
    desk.send(s());
    for _ in 0..11 {
        let worker = desk.hello("w", Some(SessionFilter::default()));
        assert_eq!(desk.handed(&worker).len(), 1);
        desk.close(&worker);
        desk.pass(SECOND);
    }
    assert_eq!(desk.count(EventKind::RestartLimited), 0);
    let worker = desk.hello("w", Some(SessionFilter::default()));
    assert_eq!(desk.count(EventKind::RestartLimited), 1);
    assert_eq!(desk.handed(&worker), []);
}

#[test]
fn a_reset_gives_the_session_out_at_once() {
    let mut desk = Desk::open(policy(), unlimited());
    desk.send(s());
    for _ in 0..11 {
        lose(&mut desk);
    }
    let worker = desk.hello("serves", Some(SessionFilter::default()));
    assert_eq!(desk.handed(&worker), []);
    let reset = ResetCircuit {
        namespace: desk.world.namespace.clone(),
        session: s(),
        target: ResetTarget::RestartGuard,
        request: None,
        actor: Actor::reaper(),
    };
    desk.did(&Command::ResetCircuit(reset));
    assert_eq!(desk.handed(&worker).len(), 1);
}

#[test]
fn one_failure_too_many_ends_the_session_where_the_policy_says_so() {
    let policy = Policy {
        on_restart_limit: WorkerCost::End,
        ..policy()
    };
    let mut desk = Desk::open(policy, unlimited());
    desk.send(s());
    for _ in 0..11 {
        lose(&mut desk);
    }
    let (reason, at) = desk.end().expect("it has ended");
    assert_eq!((reason, at), (EndReason::RestartLimit, desk.now()));
    let told = desk.told();
    let last = [
        EventKind::WorkerLost,
        EventKind::RestartLimited,
        EventKind::SessionEnd,
    ];
    assert!(told.ends_with(&last), "{told:?}");
}

#[test]
fn a_suspension_outlives_the_server() {
    let mut desk = Desk::open(policy(), unlimited());
    desk.send(s());
    for _ in 0..11 {
        lose(&mut desk);
    }
    desk.world.restart();
    let claim = desk.a_claim("w", SECOND);
    let refused = desk.refused(&claim);
    assert!(matches!(refused, Rejection::RestartLimited { .. }));
    desk.pass(10 * MINUTE);
    assert_eq!(desk.claim("w", SECOND).len(), 1);
}
