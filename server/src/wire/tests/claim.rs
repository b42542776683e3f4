//! ClaimMessages.

use std::num::NonZeroU32;

use sessiond_core::ids::{SessionId, SessionRef};
use sessiond_core::limits::Policy;
use sessiond_core::presence::SessionFilter;
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::claim_messages_request::Target;

use super::{Spoiled, by_id, check_not_built, check_spoiled, labels, namespace, seconds};
use crate::wire::faults::Invalid;
use crate::wire::parse::claim::{self, ClaimCall, ClaimTarget};

fn parse(request: pb::ClaimMessagesRequest) -> Result<ClaimCall, Invalid> {
    claim::claim(&namespace(), request, &Policy::default())
}

fn selecting(selector: pb::SessionFilter) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        target: Some(Target::Selector(selector)),
        worker: "w".to_owned(),
        ..pb::ClaimMessagesRequest::default()
    }
}

fn filter() -> pb::SessionFilter {
    pb::SessionFilter {
        labels: labels([("team", "blue")]),
        project: "/src".to_owned(),
        key_prefix: "agent:".to_owned(),
        pool: "batch".to_owned(),
        ..pb::SessionFilter::default()
    }
}

#[test]
fn every_field_reaches_the_command() {
    let call = parse(pb::ClaimMessagesRequest {
        target: by_id("s").map(Target::Ref),
        worker: "w".to_owned(),
        instance_id: "i".to_owned(),
        lease_duration: seconds(3_600),
        max_messages: Some(256),
        wait: seconds(60),
    });
    let call = call.unwrap();
    let session = SessionRef::Id(SessionId::parse("s").unwrap());
    assert_eq!(call.target, ClaimTarget::Session(session.clone()));
    assert_eq!(call.wait, Some(Span::seconds(60)));
    assert_eq!(call.instance().as_str(), "i");
    let claim = call.on(session.clone());
    assert_eq!(claim.namespace, namespace());
    assert_eq!(claim.session, session);
    assert_eq!((claim.worker.as_str(), claim.instance.as_str()), ("w", "i"));
    assert_eq!(claim.lease, Span::seconds(3_600));
    assert_eq!(Some(claim.max_messages), NonZeroU32::new(256));
}

#[test]
fn what_is_unset_takes_the_default() {
    let call = parse(pb::ClaimMessagesRequest {
        worker: "w".to_owned(),
        ..pb::ClaimMessagesRequest::default()
    });
    let call = call.unwrap();
    assert_eq!(call.target, ClaimTarget::Any(SessionFilter::default()));
    assert_eq!(call.wait, None);
    let claim = call.on(SessionRef::Id(SessionId::parse("s").unwrap()));
    assert_eq!(claim.instance.as_str(), "w");
    assert_eq!(claim.lease, Policy::default().claim_lease);
    assert_eq!(claim.max_messages, NonZeroU32::MIN);
}

#[test]
fn a_selector_chooses_by_what_a_session_says() {
    let call = parse(selecting(filter())).unwrap();
    let expected = SessionFilter {
        labels: labels([("team", "blue")]),
        project: Some("/src".to_owned()),
        key_prefix: Some("agent:".to_owned()),
        pool: Some("batch".to_owned()),
    };
    assert_eq!(call.target, ClaimTarget::Any(expected));
}

fn selector(request: &mut pb::ClaimMessagesRequest) -> &mut pb::SessionFilter {
    match &mut request.target {
        Some(Target::Selector(selector)) => selector,
        Some(Target::Ref(_)) | None => panic!("the request selects"),
    }
}

#[test]
fn every_bad_field_is_told() {
    check_spoiled(
        &selecting(filter()),
        parse,
        &[
            ("worker", "empty", |r| r.worker.clear()),
            ("worker", "256", |r| r.worker = "x".repeat(257)),
            ("instance_id", "control", |r| {
                r.instance_id = "\n".to_owned()
            }),
            ("lease_duration", "at least 1 s, got 999 ms", |r| {
                r.lease_duration = Some(prost_types::Duration {
                    seconds: 0,
                    nanos: 999_000_000,
                });
            }),
            ("lease_duration", "more than zero", |r| {
                r.lease_duration = seconds(0)
            }),
            ("lease_duration", "at most 3600 s", |r| {
                r.lease_duration = seconds(3_601)
            }),
            ("max_messages", "1 to 256, got 0", |r| {
                r.max_messages = Some(0)
            }),
            ("max_messages", "1 to 256, got 257", |r| {
                r.max_messages = Some(257)
            }),
            ("wait", "at most 60 s", |r| r.wait = seconds(61)),
            ("wait", "more than zero", |r| r.wait = seconds(0)),
            ("selector.project", "4096", |r| {
                selector(r).project = "x".repeat(4_097)
            }),
            ("selector.key_prefix", "256", |r| {
                selector(r).key_prefix = "x".repeat(257)
            }),
            ("selector.pool", "256", |r| {
                selector(r).pool = "x".repeat(257)
            }),
            ("selector.labels", "64", |r| {
                selector(r).labels = super::too_many_labels()
            }),
        ],
    );
}

#[test]
fn a_selector_by_state_is_checked_and_not_built() {
    let unknown: [Spoiled<pb::ClaimMessagesRequest>; 2] = [
        ("selector.states[1]", "7 is no value", |r| {
            selector(r).states = vec![2, 7]
        }),
        ("selector.states[0]", "must name", |r| {
            selector(r).states = vec![0]
        }),
    ];
    for (field, part, spoil) in unknown {
        let mut request = selecting(filter());
        spoil(&mut request);
        let invalid = parse(request).unwrap_err();
        assert_eq!(super::fields(&invalid), [field].into());
        assert!(invalid.violations[0].description.contains(part));
    }
    check_not_built(
        &selecting(filter()),
        parse,
        &[
            ("selector.states", |r| {
                selector(r).states = vec![pb::SessionState::Active.into()];
            }),
            ("selector.ended_after_revision", |r| {
                selector(r).ended_after_revision = Some(0);
            }),
        ],
    );
}
