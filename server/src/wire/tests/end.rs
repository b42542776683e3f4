//! EndSession: reasons, modes, graces and waits.

use sessiond_core::session::{EndMode, EndReason, PendingPolicy};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;

use super::{by_id, by_key, caller, check_spoiled, namespace, seconds};
use crate::wire::faults::Invalid;
use crate::wire::parse::end::{self, EndCall, EndGoal, EndWait};

fn parse(request: pb::EndSessionRequest) -> Result<EndCall, Invalid> {
    end::end(&namespace(), request, caller())
}

fn bare() -> pb::EndSessionRequest {
    pb::EndSessionRequest {
        r#ref: by_key("k"),
        ..pb::EndSessionRequest::default()
    }
}

fn full() -> pb::EndSessionRequest {
    pb::EndSessionRequest {
        r#ref: by_id("s"),
        reason: pb::EndReason::Compacted.into(),
        detail: "two\nlines".to_owned(),
        mode: pb::EndMode::AfterPending.into(),
        end_grace: seconds(86_400),
        pending_policy: pb::PendingPolicy::Discard.into(),
        successor_id: "next".to_owned(),
        wait: seconds(60),
        wait_for: pb::WaitFor::Ended.into(),
        request_id: "r".to_owned(),
    }
}

#[test]
fn every_field_reaches_the_command() {
    let call = parse(full()).unwrap();
    let end = call.end;
    let wait = |goal| EndWait {
        at_most: Span::seconds(60),
        goal,
    };
    assert_eq!(call.wait, Some(wait(EndGoal::Ended)));
    assert_eq!(end.reason, EndReason::Compacted);
    assert_eq!(end.detail, "two\nlines");
    assert_eq!(end.mode, EndMode::AfterPending);
    assert_eq!(end.grace, Some(Span::seconds(86_400)));
    assert_eq!(end.pending, PendingPolicy::Discard);
    assert_eq!(end.successor.unwrap().as_str(), "next");
    assert_eq!(end.request.unwrap().id.as_str(), "r");
    assert_eq!(end.actor, caller());
    let call = parse(bare()).unwrap();
    assert_eq!(call.wait, None);
    assert_eq!(call.end.reason, EndReason::Completed);
    assert_eq!(call.end.mode, EndMode::Graceful);
    assert_eq!(call.end.grace, None);
    assert_eq!(call.end.pending, PendingPolicy::Keep);
    assert!(call.end.successor.is_none() && call.end.request.is_none());
}

#[test]
fn callers_give_every_reason_but_the_servers_own() {
    let own = [
        pb::EndReason::Evicted,
        pb::EndReason::Capacity,
        pb::EndReason::Expired,
        pb::EndReason::WorkerStuck,
        pb::EndReason::RestartLimit,
        pb::EndReason::OwnerLost,
        pb::EndReason::Admin,
    ];
    for number in 0..=18 {
        let reason = pb::EndReason::try_from(number).unwrap();
        let parsed = parse(pb::EndSessionRequest {
            reason: number,
            ..bare()
        });
        if own.contains(&reason) {
            let invalid = parsed.unwrap_err();
            assert_eq!(super::fields(&invalid), ["reason"].into());
        } else {
            let given = parsed.unwrap().end.reason;
            let expected = if reason == pb::EndReason::Unspecified {
                pb::EndReason::Completed
            } else {
                reason
            };
            assert_eq!(crate::wire::show::end::reason(given), expected);
        }
    }
}

#[test]
fn every_bad_field_is_told() {
    check_spoiled(
        &full(),
        parse,
        &[
            ("ref", "`session_id` or `key`", |r| {
                r.r#ref = Some(pb::SessionRef { r#ref: None });
            }),
            ("ref", "`session_id` or `key`", |r| r.r#ref = None),
            ("reason", "19 is no value of EndReason", |r| r.reason = 19),
            ("detail", "4096", |r| r.detail = "x".repeat(4_097)),
            ("mode", "4 is no value", |r| r.mode = 4),
            ("end_grace", "at most 86400 s, got 86401 s", |r| {
                r.end_grace = seconds(86_401);
            }),
            ("end_grace", "more than zero", |r| r.end_grace = seconds(0)),
            ("pending_policy", "3 is no value", |r| r.pending_policy = 3),
            ("successor_id", "256", |r| r.successor_id = "x".repeat(257)),
            ("wait", "at most 60 s", |r| r.wait = seconds(61)),
            ("wait", "more than zero", |r| r.wait = seconds(-5)),
            ("wait_for", "3 is no value", |r| r.wait_for = 3),
            ("request_id", "control", |r| {
                r.request_id = "\u{85}".to_owned()
            }),
        ],
    );
}

#[test]
fn a_caller_waits_for_the_end_unless_it_says_more() {
    for (wait_for, goal) in [
        (pb::WaitFor::Unspecified, EndGoal::Ended),
        (pb::WaitFor::Released, EndGoal::Released),
    ] {
        let request = pb::EndSessionRequest {
            wait_for: wait_for.into(),
            ..full()
        };
        let wait = parse(request).unwrap().wait.expect("it waits");
        assert_eq!(wait.goal, goal);
    }
}

#[test]
fn fields_that_contradict_each_other_are_told() {
    check_spoiled(
        &full(),
        parse,
        &[("end_grace", "IMMEDIATE", |r| {
            r.mode = pb::EndMode::Immediate.into();
        })],
    );
    check_spoiled(
        &full(),
        parse,
        &[("successor_id", "ROTATED", |r| {
            r.reason = pb::EndReason::Completed.into();
        })],
    );
    check_spoiled(
        &full(),
        parse,
        &[("wait_for", "without `wait`", |r| r.wait = None)],
    );
}
