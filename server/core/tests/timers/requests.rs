//! Requests and ends that wait for them, to the millisecond.

use sessiond_core::event::EventKind;
use sessiond_core::session::{EndMode, EndReason};

use super::desk::{Desk, MINUTE, SECOND, after, patient, s, unlimited};

/// Proves: F12.
#[test]
fn a_session_whose_last_request_ends_at_one_second_ends_at_one_second() {
    for mode in [EndMode::Graceful, EndMode::AfterPending] {
        let mut desk = Desk::open(patient(), unlimited());
        let (one, two) = (desk.begin(MINUTE, None), desk.begin(MINUTE, None));
        let start = desk.now();
        desk.finish(mode);
        desk.pass(400);
        desk.over(one);
        desk.pass(599);
        assert_eq!(desk.end(), None, "{mode:?}: one is still open");
        desk.pass(1);
        desk.over(two);
        let ended = Some((EndReason::Completed, start + SECOND));
        assert_eq!(desk.end(), ended, "{mode:?}");
        assert_eq!(desk.attribute(EventKind::SessionEnd, "warning"), None);
    }
}

/// Proves: F11.
#[test]
fn a_request_whose_caller_is_gone_ends_at_its_lease_and_the_end_with_it() {
    let mut desk = Desk::open(patient(), unlimited());
    desk.begin(3 * SECOND, None);
    desk.pass(SECOND);
    let start = desk.now();
    desk.finish(EndMode::Graceful);
    desk.pass(1_999);
    assert_eq!(desk.end(), None);
    desk.pass(1);
    let ended = Some((EndReason::Completed, start + 2 * SECOND));
    assert_eq!(desk.end(), ended);
    assert_eq!(desk.attribute(EventKind::SessionEnd, "warning"), None);
}

/// Proves: F12.
#[test]
fn a_grace_is_over_after_five_seconds_and_says_what_was_open() {
    let mut desk = Desk::open(patient(), unlimited());
    desk.send(s());
    desk.send(s());
    let worker = desk.hello("w", None);
    desk.attach(&worker);
    desk.begin(MINUTE, None);
    let start = desk.now();
    desk.finish(EndMode::Graceful);
    desk.pass_heard(4_999, &[&worker]);
    assert_eq!(desk.end(), None);
    desk.pass(1);
    let ended = Some((EndReason::Completed, start + 5 * SECOND));
    assert_eq!(desk.end(), ended);
    let said = |name: &str| desk.attribute(EventKind::SessionEnd, name);
    assert_eq!(said("warning").as_deref(), Some("drain_timed_out"));
    assert_eq!(said("active_requests").as_deref(), Some("1"));
    assert_eq!(said("in_flight").as_deref(), Some("2"));
    assert_eq!(said("pending"), None, "a graceful end does not wait for it");
}

#[test]
fn a_lapse_at_the_instant_of_the_deadline_is_in_time() {
    let mut desk = Desk::open(patient(), unlimited());
    desk.begin(5 * SECOND, None);
    desk.finish(EndMode::Graceful);
    desk.pass(5 * SECOND);
    assert!(desk.end().is_some());
    assert_eq!(desk.attribute(EventKind::SessionEnd, "warning"), None);
}

#[test]
fn a_renewed_request_keeps_a_drain_open() {
    let mut desk = Desk::open(patient(), unlimited());
    let token = desk.begin(2 * SECOND, None);
    desk.finish(EndMode::AfterPending);
    for _ in 0..5 {
        desk.pass(1_999);
        desk.begin(2 * SECOND, Some(token));
    }
    assert_eq!(desk.end(), None);
    let start = desk.now();
    desk.pass(2 * SECOND);
    let ended = Some((EndReason::Completed, start + 2 * SECOND));
    assert_eq!(desk.end(), ended);
}

#[test]
fn a_request_protects_from_idleness_for_its_lease_and_from_age_up_to_twice() {
    let mut limits = unlimited();
    limits.idle = after(SECOND);
    let mut desk = Desk::open(patient(), limits);
    let start = desk.now();
    desk.begin(10 * SECOND, None);
    desk.pass(10 * SECOND - 1);
    assert_eq!(desk.end(), None);
    desk.pass(1);
    let ended = Some((EndReason::Idle, start + 10 * SECOND));
    assert_eq!(desk.end(), ended, "idle since the request began");

    let mut limits = unlimited();
    limits.lifetime = after(10 * SECOND);
    let mut desk = Desk::open(patient(), limits);
    let start = desk.now();
    desk.begin(MINUTE, None);
    desk.pass(20 * SECOND);
    assert_eq!(desk.end(), None);
    desk.pass(1);
    let ended = Some((EndReason::Expired, start + 20 * SECOND + 1));
    assert_eq!(desk.end(), ended);
}

#[test]
fn a_jump_of_the_wall_clock_ends_no_request_early_or_late() {
    for jump in [-3_600_000, 3_600_000] {
        let mut desk = Desk::open(patient(), unlimited());
        desk.begin(10 * SECOND, None);
        let start = desk.now();
        desk.finish(EndMode::AfterPending);
        desk.pass(5 * SECOND);
        desk.world.skew = jump;
        desk.pass(5 * SECOND - 1);
        assert_eq!(desk.end(), None, "{jump}");
        desk.pass(1);
        let ended = Some((EndReason::Completed, start + 10 * SECOND));
        assert_eq!(desk.end(), ended, "{jump}");
    }
}
