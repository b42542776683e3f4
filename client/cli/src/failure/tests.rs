//! Exit codes and the three lines, for every kind of failure.
//!
//! Invariant: refusals are made as the server's answers are, from the wire. What it deliberately
//! does not do: call a server.

use clap::Parser as _;
use sessiond_client::pb;

use super::*;
use crate::args::Cli;

const NOT_FOUND: i32 = 5;
const ALREADY_EXISTS: i32 = 6;
const FAILED_PRECONDITION: i32 = 9;
const UNAVAILABLE: i32 = 14;

fn refusal(code: i32, reason: &str) -> Error {
    Error::from(&pb::RefusalStatus {
        code,
        message: "no such thing".to_owned(),
        reason: reason.to_owned(),
        ..Default::default()
    })
}

fn target() -> Target {
    crate::args::parse(["sessionctl", "--addr", "h:1", "stats"])
        .expect("valid arguments")
        .1
}

#[test]
fn every_reason_has_the_exit_code_of_its_remedy() {
    for (reason, code, exit) in [
        ("SESSION_NOT_FOUND", NOT_FOUND, Exit::NotFound),
        ("NAMESPACE_NOT_FOUND", NOT_FOUND, Exit::NotFound),
        ("SESSION_KEY_IN_USE", ALREADY_EXISTS, Exit::Conflict),
        ("SESSION_ENDED", FAILED_PRECONDITION, Exit::Conflict),
        ("SESSION_DRAINING", FAILED_PRECONDITION, Exit::Conflict),
        ("SESSION_ACTIVE", FAILED_PRECONDITION, Exit::Conflict),
        ("QUEUE_HELD", FAILED_PRECONDITION, Exit::Conflict),
        ("RESOURCE_RELEASED", FAILED_PRECONDITION, Exit::Conflict),
        ("RESOURCES_UNRELEASED", FAILED_PRECONDITION, Exit::Conflict),
        ("EXPORT_FAILED", FAILED_PRECONDITION, Exit::Conflict),
        ("LEASE_HELD", FAILED_PRECONDITION, Exit::Conflict),
        ("LEASE_FENCED", FAILED_PRECONDITION, Exit::Conflict),
        ("ETAG_MISMATCH", 10, Exit::Conflict),
        ("REVISION_COMPACTED", 11, Exit::Conflict),
        ("LOG_CHANGED", FAILED_PRECONDITION, Exit::Conflict),
        ("UNAUTHENTICATED", 16, Exit::Auth),
        ("PERMISSION_DENIED", 7, Exit::Auth),
        ("NOT_BUILT", 12, Exit::Other),
        ("QUEUE_FULL", 8, Exit::Other),
        ("SERVER_DRAINING", UNAVAILABLE, Exit::Draining),
        ("STORE_UNAVAILABLE", UNAVAILABLE, Exit::CannotConnect),
        ("FIELD_INVALID", 3, Exit::Usage),
        ("", UNAVAILABLE, Exit::CannotConnect),
        ("", 4, Exit::Deadline),
        ("", 13, Exit::Other),
        ("A_LATER_REASON", NOT_FOUND, Exit::NotFound),
    ] {
        let failure = Failure::from(refusal(code, reason));
        assert_eq!(failure.exit(), exit, "{reason} {code}");
    }
}

#[test]
fn codes_are_the_documented_ones() {
    let codes: Vec<u8> = Exit::ALL.into_iter().map(Exit::code).collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    assert_eq!(Failure::Interrupted.exit().code(), 130);
    assert_eq!(Failure::NobodyReads.exit().code(), 0);
    let help = Cli::try_parse_from(["sessionctl", "--help"]).expect_err("help is no command");
    let help = help.to_string();
    for line in Exit::table().lines() {
        assert!(help.contains(line.trim()), "{line} is not in {help}");
    }
}

#[test]
fn a_refusal_is_told_in_three_lines() {
    let failure = Failure::from(refusal(NOT_FOUND, "SESSION_NOT_FOUND"));
    let expected = format!(
        "error: not found: no such thing\n  reason: SESSION_NOT_FOUND\n  hint: {}\n",
        Reason::SessionNotFound.hint()
    );
    assert_eq!(failure.report(&target()), expected);
}

#[test]
fn the_first_refusal_stands_for_all_of_a_command() {
    let failure = Failure::Some {
        failed: 2,
        asked: 5,
        first: Box::new(refusal(NOT_FOUND, "SESSION_NOT_FOUND")),
    };
    assert_eq!(failure.exit(), Exit::NotFound);
    let report = failure.report(&target());
    let said = "error: 2 of 5 were refused, the first one with: not found: no such thing\n  \
                reason: SESSION_NOT_FOUND\n";
    assert!(report.starts_with(said), "{report}");
}

#[test]
fn facts_stand_behind_the_reason() {
    let error = Error::from(&pb::RefusalStatus {
        code: FAILED_PRECONDITION,
        message: "ended".to_owned(),
        reason: "SESSION_ENDED".to_owned(),
        metadata: [("successor_id".to_owned(), "s2\n".to_owned())].into(),
        ..Default::default()
    });
    let report = Failure::from(error).report(&target());
    assert!(
        report.contains("reason: SESSION_ENDED  successor_id: s2\\n\n"),
        "{report}"
    );
    assert_eq!(report.lines().count(), 3);
}

#[test]
fn a_full_disk_is_told_with_its_numbers_and_the_wait() {
    let facts = [("free", "943718400"), ("limit", "1073741824")];
    let error = Error::from(&pb::RefusalStatus {
        code: 8,
        message: "the disk of the server has 900 MiB free".to_owned(),
        reason: "STORE_FULL".to_owned(),
        metadata: facts
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        retry_after: Some(prost_types::Duration {
            seconds: 10,
            nanos: 0,
        }),
        ..Default::default()
    });
    let failure = Failure::from(error);
    assert_eq!(failure.exit(), Exit::Other);
    assert_eq!(
        failure.report(&target()),
        "error: resource exhausted: the disk of the server has 900 MiB free\n  \
         reason: STORE_FULL  free: 943718400  limit: 1073741824  retry_after: 10s\n  \
         hint: Back off and free disk space; reads, settlements and ends still work.\n"
    );
}

#[test]
fn who_cannot_connect_learns_where_and_what_to_do() {
    let report = Failure::from(refusal(UNAVAILABLE, "")).report(&target());
    let hint = "  hint: h:1 (from --addr): is sessiond running? start one with: sessiond\n";
    assert!(report.ends_with(hint), "{report}");
}

#[test]
fn silence_where_nothing_is_to_be_told() {
    assert_eq!(Failure::Interrupted.report(&target()), "");
    assert_eq!(Failure::NobodyReads.report(&target()), "");
}
