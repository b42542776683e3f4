//! The table of refusals: what the edge refuses by itself, because the server cannot or the request is wrong.

use sessiond_core::ids::Revision;
use sessiond_core::rejection::Rejection;
use sessiond_proto::reason::Reason;
use tonic::{Code, Status};

use super::status::{Expected, check, session};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::status::Refusal;

#[test]
fn what_the_server_cannot_do_now_says_when_it_may() {
    check(
        Refusal::server_draining(),
        &Expected {
            metadata: &[("scope", "server")],
            retry_ms: Some(1_000),
            ..Expected::of(Reason::ServerDraining, Code::Unavailable)
        },
    );
    check(
        Refusal::store_unavailable(),
        &Expected {
            metadata: &[("scope", "server")],
            retry_ms: Some(5_000),
            ..Expected::of(Reason::StoreUnavailable, Code::Unavailable)
        },
    );
    check(
        Refusal::revision_compacted(Revision(1), Revision(5), Revision(9)),
        &Expected {
            metadata: &[("oldest_revision", "5"), ("current_revision", "9")],
            ..Expected::of(Reason::RevisionCompacted, Code::OutOfRange)
        },
    );
    check(
        Refusal::log_changed("log", Revision(5), Revision(9)),
        &Expected {
            metadata: &[
                ("log_id", "log"),
                ("oldest_revision", "5"),
                ("current_revision", "9"),
            ],
            ..Expected::of(Reason::LogChanged, Code::FailedPrecondition)
        },
    );
    check(
        Refusal::not_built(&["a", "b[1].c"]),
        &Expected {
            metadata: &[("fields", "a, b[1].c")],
            ..Expected::of(Reason::NotBuilt, Code::Unimplemented)
        },
    );
}

#[test]
fn a_session_that_was_not_exported_says_why() {
    let refused = |why: Option<&str>| {
        Refusal::rejected(&Rejection::SessionUnexported {
            session: session(),
            why: why.map(str::to_owned),
        })
    };
    for (why, cause) in [
        (Some("the disk is full"), "the disk is full"),
        (None, "it changed meanwhile"),
    ] {
        check(
            refused(why),
            &Expected {
                metadata: &[("cause", cause), ("session_id", "s-1")],
                ..Expected::of(Reason::ExportFailed, Code::FailedPrecondition)
            },
        );
    }
}

pub(super) fn faulty(record: impl FnOnce(&mut Faults)) -> Invalid {
    let mut faults = Faults::default();
    record(&mut faults);
    faults.finish(Some(())).expect_err("a fault was recorded")
}

#[test]
fn what_is_wrong_with_a_request_is_told_at_once() {
    let wrong = faulty(|faults| {
        faults.not_built("later");
        faults.within_item("list", 3, |faults| {
            faults.too_large("payload", 10, 11, None);
            faults.within("inner", |faults| faults.invalid("", "must be so"));
        });
        faults.invalid("last", "must be different");
    });
    let refusal = Refusal::invalid(&wrong);
    check(
        refusal.clone(),
        &Expected {
            violations: &["list[3].inner", "last", "list[3].payload"],
            ..Expected::of(Reason::FieldInvalid, Code::InvalidArgument)
        },
    );
    let message = Status::from(refusal).message().to_owned();
    assert_eq!(message, "`list[3].inner` must be so, and 2 more");
    let large = faulty(|faults| {
        faults.not_built("later");
        faults.too_large("payload", 10, 11, None);
    });
    check(
        Refusal::invalid(&large),
        &Expected {
            metadata: &[("limit", "10")],
            violations: &["payload"],
            ..Expected::of(Reason::MessageTooLarge, Code::InvalidArgument)
        },
    );
    let later = faulty(|faults| faults.not_built("later"));
    check(
        Refusal::invalid(&later),
        &Expected {
            metadata: &[("fields", "later")],
            ..Expected::of(Reason::NotBuilt, Code::Unimplemented)
        },
    );
    check(
        Refusal::field_invalid("hello", "must be the first frame"),
        &Expected {
            violations: &["hello"],
            ..Expected::of(Reason::FieldInvalid, Code::InvalidArgument)
        },
    );
}
