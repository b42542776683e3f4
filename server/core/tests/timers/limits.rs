//! Warnings of limits, to the millisecond.

use sessiond_core::event::EventKind;
use sessiond_core::limits::Policy;
use sessiond_core::session::EndReason;
use sessiond_core::time::{Limit, Span};

use super::desk::{Desk, MINUTE, SECOND, after, patient, s, unlimited};

/// Five minutes at most, as by default.
fn policy() -> Policy {
    Policy {
        warning_lead: Policy::default().warning_lead,
        ..patient()
    }
}

fn warnings(desk: &Desk) -> usize {
    desk.count(EventKind::LimitWarning)
}

/// Proves: B15.
#[test]
fn an_end_by_idleness_is_warned_of_once_a_tenth_before() {
    let mut limits = unlimited();
    limits.idle = after(10 * MINUTE);
    let mut desk = Desk::open(policy(), limits);
    let start = desk.now();
    desk.pass(9 * MINUTE - 1);
    assert_eq!(warnings(&desk), 0);
    desk.pass(1);
    assert_eq!(warnings(&desk), 1);
    let said = |name: &str| desk.attribute(EventKind::LimitWarning, name);
    assert_eq!(said("limit").as_deref(), Some("idle"));
    assert_eq!(said("ends_in_ms").as_deref(), Some("60000"));
    desk.pass(MINUTE);
    assert_eq!((warnings(&desk), desk.end()), (1, None));
    desk.pass(1);
    let ended = Some((EndReason::Idle, start + 10 * MINUTE + 1));
    assert_eq!(desk.end(), ended);
    assert_eq!(warnings(&desk), 1);
}

#[test]
fn activity_begins_a_new_approach() {
    let mut limits = unlimited();
    limits.idle = after(10 * MINUTE);
    let mut desk = Desk::open(policy(), limits);
    for round in 1..=3 {
        desk.pass(9 * MINUTE + 30 * SECOND);
        assert_eq!(warnings(&desk), round);
        desk.touch();
    }
    desk.pass(9 * MINUTE - 1);
    assert_eq!(warnings(&desk), 3);
    for _ in 0..20 {
        desk.touch();
        desk.pass(MINUTE);
    }
    assert_eq!(warnings(&desk), 3, "used in time, nothing is near");
}

/// Proves: B15.
#[test]
fn an_end_by_age_is_warned_of_once_whatever_happens() {
    let mut limits = unlimited();
    limits.lifetime = after(100 * MINUTE);
    let mut desk = Desk::open(policy(), limits);
    desk.pass(95 * MINUTE - 1);
    assert_eq!(warnings(&desk), 0, "five minutes at most");
    desk.pass(1);
    assert_eq!(warnings(&desk), 1);
    let limit = desk.attribute(EventKind::LimitWarning, "limit");
    assert_eq!(limit.as_deref(), Some("age"));
    for _ in 0..4 {
        desk.touch();
        desk.pass(MINUTE);
    }
    assert_eq!(warnings(&desk), 1);
    desk.pass(MINUTE + 1);
    assert!(matches!(desk.end(), Some((EndReason::Expired, _))));
}

#[test]
fn a_session_in_use_is_warned_of_what_ends_it_and_of_nothing_else() {
    let mut limits = unlimited();
    limits.idle = after(10 * MINUTE);
    limits.lifetime = after(100 * MINUTE);
    let mut desk = Desk::open(policy(), limits);
    let start = desk.now();
    let mut token = desk.begin(60 * MINUTE, None);
    desk.pass(50 * MINUTE);
    token = desk.begin(60 * MINUTE, Some(token));
    desk.pass(50 * MINUTE);
    assert_eq!(warnings(&desk), 0, "neither limit ends it");
    token = desk.begin(60 * MINUTE, Some(token));
    desk.pass(50 * MINUTE);
    desk.begin(60 * MINUTE, Some(token));
    desk.pass(start + 195 * MINUTE - 1 - desk.now());
    assert_eq!(warnings(&desk), 0);
    desk.pass(1);
    assert_eq!(warnings(&desk), 1, "twice its age ends it all the same");
    desk.pass(5 * MINUTE + 1);
    let ended = Some((EndReason::Expired, start + 200 * MINUTE + 1));
    assert_eq!(desk.end(), ended);
}

#[test]
fn pending_messages_put_the_warning_off_to_the_end_of_their_day() {
    const DAY: u64 = 24 * 60 * MINUTE;
    let mut limits = unlimited();
    limits.idle = after(10 * MINUTE);
    let mut desk = Desk::open(policy(), limits);
    desk.send(s());
    let start = desk.now();
    desk.pass(DAY - MINUTE - 1);
    assert_eq!(warnings(&desk), 0);
    desk.pass(MINUTE);
    assert_eq!(warnings(&desk), 1);
    desk.pass(MINUTE + 1);
    let (reason, at) = desk.end().expect("its day is over");
    assert_eq!(reason, EndReason::Idle);
    assert!(at > start + DAY, "{at}");
}

#[test]
fn a_lead_of_less_than_a_second_is_none_and_a_policy_may_write_none() {
    let mut limits = unlimited();
    limits.idle = after(9_999);
    let mut desk = Desk::open(policy(), limits);
    desk.pass(10 * SECOND);
    assert!(desk.end().is_some());
    assert_eq!(warnings(&desk), 0);

    let mut limits = unlimited();
    limits.idle = after(60 * MINUTE);
    let mut desk = Desk::open(patient(), limits);
    desk.pass(60 * MINUTE + 1);
    assert!(desk.end().is_some());
    assert_eq!(warnings(&desk), 0);

    let short = Policy {
        warning_lead: Limit::After(Span(2 * SECOND)),
        ..patient()
    };
    let mut limits = unlimited();
    limits.idle = after(60 * MINUTE);
    let mut desk = Desk::open(short, limits);
    desk.pass(60 * MINUTE - 2_001);
    assert_eq!(warnings(&desk), 0);
    desk.pass(1);
    assert_eq!(warnings(&desk), 1);
}

#[test]
fn a_jump_of_the_wall_clock_moves_no_limit_and_no_warning() {
    for jump in [-3_600_000, 3_600_000] {
        let mut limits = unlimited();
        limits.idle = after(10 * MINUTE);
        limits.owner = after(20 * MINUTE);
        let mut desk = Desk::open(policy(), limits);
        let start = desk.now();
        desk.pass(MINUTE);
        desk.world.skew = jump;
        desk.pass(8 * MINUTE - 1);
        assert_eq!(warnings(&desk), 0, "{jump}");
        desk.pass(1);
        assert_eq!(warnings(&desk), 1, "{jump}");
        desk.world.skew = -jump;
        desk.pass(MINUTE);
        assert_eq!(desk.end(), None, "{jump}");
        desk.pass(1);
        let ended = Some((EndReason::Idle, start + 10 * MINUTE + 1));
        assert_eq!(desk.end(), ended, "{jump}");
    }
}
