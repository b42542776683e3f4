//! Workers that are stuck, lost or idle, to the millisecond.

use sessiond_core::command::{Outcome, WorkerFrame};
use sessiond_core::event::EventKind;
use sessiond_core::ids::SessionId;
use sessiond_core::limits::{Policy, WorkerCost};
use sessiond_core::presence::SessionFilter;
use sessiond_core::reply::{CancelReason, Frame, LeaseLostReason};
use sessiond_core::session::{EndMode, EndReason};
use sessiond_core::time::{Limit, Span};

use super::desk::{Desk, MINUTE, SECOND, Worker, patient, s, unlimited};

/// Five minutes of patience, as by default.
fn policy() -> Policy {
    Policy {
        stuck_after: Policy::default().stuck_after,
        ..patient()
    }
}

fn everything() -> Option<SessionFilter> {
    Some(SessionFilter::default())
}

/// A worker that holds a message since now.
fn holding(desk: &mut Desk) -> Worker {
    desk.send(s());
    let worker = desk.hello("w", None);
    desk.attach(&worker);
    worker
}

/// Proves: F29.
#[test]
fn a_worker_that_hangs_for_exactly_five_minutes_is_not_stuck_and_a_millisecond_later_it_is() {
    let mut desk = Desk::open(policy(), unlimited());
    let worker = holding(&mut desk);
    assert_eq!(desk.handed(&worker).len(), 1);
    desk.pass_heard(5 * MINUTE, &[&worker]);
    assert_eq!(
        desk.count(EventKind::WorkerStuck),
        0,
        "a heartbeat helps nothing"
    );
    assert_eq!(desk.frames(&worker), []);
    desk.pass(1);
    assert_eq!(desk.count(EventKind::WorkerStuck), 1);
    let instance = desk.attribute(EventKind::WorkerStuck, "instance_id");
    assert_eq!(instance.as_deref(), Some("w"));
    let frames = desk.frames(&worker);
    let [
        Frame::Cancel { reason, .. },
        Frame::LeaseLost { reason: lost, .. },
    ] = &frames[..]
    else {
        panic!("it is told to stop, and what it lost: {frames:?}");
    };
    assert_eq!(
        (*reason, *lost),
        (CancelReason::Stuck, LeaseLostReason::Stuck)
    );
    assert_eq!(desk.end(), None, "it costs the lease, not the session");
    let again = desk.claim("other", MINUTE);
    assert_eq!(again[0].message.attempt, 2, "the attempt counted");
}

#[test]
fn settlements_extensions_and_progress_are_progress() {
    let mut desk = Desk::open(policy(), unlimited());
    let worker = holding(&mut desk);
    let mut held = desk.handed(&worker).remove(0);
    for round in 0..4 {
        desk.pass_heard(5 * MINUTE, &[&worker]);
        match round {
            0 => desk.settle(&held, Outcome::Extend { by: Span(1_000) }),
            1 => {
                let session = SessionId::parse("s").expect("an id");
                let progress = WorkerFrame::Progress {
                    session,
                    epoch: None,
                    volatile: None,
                };
                desk.say(&worker, progress);
            }
            2 => {
                desk.defer(&held);
                desk.pass(0);
                held = desk.handed(&worker).remove(0);
            }
            _ => {
                desk.send(s());
                desk.ack(&held);
            }
        }
    }
    assert_eq!(desk.count(EventKind::WorkerStuck), 0);
    desk.pass_heard(5 * MINUTE, &[&worker]);
    assert_eq!(desk.count(EventKind::WorkerStuck), 0);
    desk.pass(1);
    assert_eq!(desk.count(EventKind::WorkerStuck), 1, "since the ack");
}

#[test]
fn more_work_for_a_worker_that_hangs_is_no_progress() {
    let mut desk = Desk::open(policy(), unlimited());
    let worker = holding(&mut desk);
    desk.pass_heard(4 * MINUTE, &[&worker]);
    desk.send(s());
    assert_eq!(desk.handed(&worker).len(), 2);
    desk.pass_heard(MINUTE + 1, &[&worker]);
    assert_eq!(desk.count(EventKind::WorkerStuck), 1);
}

#[test]
fn a_worker_with_nothing_in_hand_is_not_stuck_whatever_it_does() {
    let mut desk = Desk::open(policy(), unlimited());
    let worker = holding(&mut desk);
    let held = desk.handed(&worker).remove(0);
    desk.ack(&held);
    desk.pass_heard(20 * MINUTE, &[&worker]);
    desk.send(s());
    desk.pass_heard(5 * MINUTE, &[&worker]);
    assert_eq!(
        desk.count(EventKind::WorkerStuck),
        0,
        "its time began with work"
    );
    desk.pass(1);
    assert_eq!(desk.count(EventKind::WorkerStuck), 1);
}

#[test]
fn a_stuck_worker_ends_the_session_where_the_policy_says_so() {
    let policy = Policy {
        on_stuck: WorkerCost::End,
        ..policy()
    };
    let mut desk = Desk::open(policy, unlimited());
    let worker = holding(&mut desk);
    let start = desk.now();
    desk.pass_heard(5 * MINUTE + 1, &[&worker]);
    let ended = Some((EndReason::WorkerStuck, start + 5 * MINUTE + 1));
    assert_eq!(desk.end(), ended);
    let told = desk.told();
    let last = [EventKind::WorkerStuck, EventKind::SessionEnd];
    assert!(told.ends_with(&last), "{told:?}");
}

#[test]
fn what_a_stuck_worker_held_goes_to_another_one_at_once() {
    let mut desk = Desk::open(policy(), unlimited());
    desk.send(s());
    let hangs = desk.hello("a-hangs", everything());
    let well = desk.hello("b-well", everything());
    assert_eq!(desk.handed(&hangs).len(), 1);
    desk.pass_heard(5 * MINUTE + 1, &[&hangs, &well]);
    assert_eq!(desk.count(EventKind::WorkerStuck), 1);
    let handed = desk.handed(&well);
    assert_eq!(handed.len(), 1, "although the first one serves it too");
    desk.ack(&handed[0]);
}

#[test]
fn a_claim_is_stuck_after_its_lease_at_least() {
    for (lease, patience) in [(MINUTE, 5 * MINUTE), (10 * MINUTE, 10 * MINUTE)] {
        let mut desk = Desk::open(policy(), unlimited());
        desk.send(s());
        assert_eq!(desk.claim("c", lease).len(), 1);
        let start = desk.now();
        while desk.now() + 30 * SECOND < start + patience {
            desk.pass(30 * SECOND);
            desk.claim("c", lease);
        }
        desk.pass(start + patience - desk.now());
        assert_eq!(desk.count(EventKind::WorkerStuck), 0, "{lease}");
        desk.pass(1);
        assert_eq!(desk.count(EventKind::WorkerStuck), 1, "{lease}");
    }
}

#[test]
fn the_server_going_away_starts_the_time_of_a_hanging_worker_anew() {
    let mut desk = Desk::open(policy(), unlimited());
    desk.send(s());
    assert_eq!(desk.claim("c", 10 * MINUTE).len(), 1);
    desk.pass(9 * MINUTE);
    desk.world.restart();
    desk.pass(9 * MINUTE);
    assert_eq!(desk.count(EventKind::WorkerStuck), 0);
}

/// Proves: F30.
#[test]
fn a_worker_with_nothing_to_do_for_three_minutes_is_let_go_and_gets_its_session_back() {
    let policy = Policy {
        worker_idle: Policy::default().worker_idle,
        ..patient()
    };
    let mut desk = Desk::open(policy, unlimited());
    let worker = desk.hello("w", None);
    desk.attach(&worker);
    desk.frames(&worker);
    desk.pass_heard(3 * MINUTE, &[&worker]);
    assert_eq!(desk.frames(&worker), []);
    desk.pass(1);
    let frames = desk.frames(&worker);
    let [Frame::LeaseLost { reason, .. }] = &frames[..] else {
        panic!("it is let go: {frames:?}");
    };
    assert_eq!(*reason, LeaseLostReason::Idle);
    let why = desk.attribute(EventKind::WorkerDetached, "reason");
    assert_eq!(why.as_deref(), Some("idle"));
    // It asked for the session by name, so a message finds it.
    desk.say(&worker, WorkerFrame::Heartbeat);
    desk.send(s());
    let held = desk.handed(&worker).remove(0);
    desk.ack(&held);
    assert_eq!(desk.count(EventKind::WorkerAttached), 2);
    assert_eq!(desk.count(EventKind::WorkerLost), 0);
}

/// Proves: F30.
#[test]
fn a_message_just_before_the_time_is_over_keeps_the_worker() {
    let policy = Policy {
        worker_idle: Limit::After(Span(3 * MINUTE)),
        ..patient()
    };
    let mut desk = Desk::open(policy, unlimited());
    let worker = desk.hello("w", None);
    desk.attach(&worker);
    desk.pass_heard(3 * MINUTE, &[&worker]);
    desk.send(s());
    desk.pass(1);
    let held = desk.handed(&worker).remove(0);
    assert_eq!(desk.count(EventKind::WorkerDetached), 0);
    desk.ack(&held);
    desk.pass_heard(3 * MINUTE, &[&worker]);
    assert_eq!(desk.count(EventKind::WorkerDetached), 0, "since the ack");
    desk.pass(1);
    assert_eq!(desk.count(EventKind::WorkerDetached), 1);
}

#[test]
fn a_worker_that_gives_a_session_back_does_not_get_it_again_unasked() {
    let policy = Policy {
        worker_idle: Limit::After(Span(MINUTE)),
        ..patient()
    };
    let mut desk = Desk::open(policy, unlimited());
    let worker = desk.hello("w", None);
    desk.attach(&worker);
    desk.pass_heard(MINUTE + 1, &[&worker]);
    let session = SessionId::parse("s").expect("an id");
    desk.say(&worker, WorkerFrame::Detach { session });
    desk.frames(&worker);
    desk.send(s());
    assert_eq!(desk.frames(&worker), []);
}

#[test]
fn a_worker_that_rests_is_told_when_its_session_ends() {
    let policy = Policy {
        worker_idle: Limit::After(Span(MINUTE)),
        ..patient()
    };
    let mut desk = Desk::open(policy, unlimited());
    let worker = desk.hello("w", None);
    desk.attach(&worker);
    desk.pass_heard(MINUTE + 1, &[&worker]);
    desk.frames(&worker);
    desk.finish(EndMode::Graceful);
    let frames = desk.frames(&worker);
    let [Frame::LeaseLost { reason, epoch, .. }] = &frames[..] else {
        panic!("it is told: {frames:?}");
    };
    assert_eq!(*reason, LeaseLostReason::SessionEnded);
    assert_eq!(epoch.0, 0, "it held no lease");
}

#[test]
fn a_jump_of_the_wall_clock_makes_nobody_stuck_or_idle() {
    for jump in [-3_600_000, 3_600_000] {
        let policy = Policy {
            worker_idle: Policy::default().worker_idle,
            ..policy()
        };
        let mut desk = Desk::open(policy, unlimited());
        let worker = holding(&mut desk);
        let held = desk.handed(&worker).remove(0);
        desk.pass_heard(MINUTE, &[&worker]);
        desk.world.skew = jump;
        desk.pass_heard(4 * MINUTE, &[&worker]);
        assert_eq!(desk.count(EventKind::WorkerStuck), 0, "{jump}");
        desk.ack(&held);
        desk.world.skew = 0;
        desk.pass_heard(3 * MINUTE, &[&worker]);
        assert_eq!(desk.count(EventKind::WorkerDetached), 0, "{jump}");
    }
}
