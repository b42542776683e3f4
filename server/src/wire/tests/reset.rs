//! ResetSession: every field, and what is shown of a reset.

use std::num::NonZeroU32;

use sessiond_core::command::{Carry, NewSessionId, Reset, TimeoutOverrides};
use sessiond_core::ids::{Revision, SessionId, SessionRef};
use sessiond_core::reply::Reply;
use sessiond_core::session::{EndReason, Ordering, Profile};
use sessiond_core::time::{Limit, Span};
use sessiond_proto::v1 as pb;

use super::samples::{self, NOW};
use super::{after, by_id, by_key, caller, check_spoiled, drawn, labels, namespace, never};
use crate::wire::faults::Invalid;
use crate::wire::parse::reset;
use crate::wire::show::reply::{Shown, reset as shown};

fn parse(request: pb::ResetSessionRequest) -> Result<Reset, Invalid> {
    reset::reset(&namespace(), request, drawn(), caller())
}

fn full() -> pb::ResetSessionRequest {
    pb::ResetSessionRequest {
        r#ref: by_id("s"),
        reason: pb::EndReason::Compacted.into(),
        detail: "full".to_owned(),
        new_session_id: "next".to_owned(),
        carry: pb::Carry::Keep.into(),
        etag: "1a".to_owned(),
        project: "/src".to_owned(),
        source: "hook".to_owned(),
        agent_id: "a-1".to_owned(),
        labels: labels([("team", "blue")]),
        prompt: "one\ntwo".to_owned(),
        prompt_number: Some(0),
        transcript_path: "/t".to_owned(),
        idle_timeout: after(60),
        max_lifetime: never(true),
        owner_timeout: after(70),
        ordering: pb::Ordering::Relaxed.into(),
        max_in_flight: Some(512),
        parent_session_id: "parent".to_owned(),
        request_id: "r-1".to_owned(),
    }
}

#[test]
fn every_field_reaches_the_command() {
    let reset = parse(full()).unwrap();
    let tag = reset.request.clone().unwrap();
    assert_eq!(tag.id.as_str(), "r-1");
    let id = |text: &str| SessionId::parse(text).unwrap();
    let expected = Reset {
        namespace: namespace(),
        session: SessionRef::Id(id("s")),
        reason: EndReason::Compacted,
        detail: "full".to_owned(),
        id: NewSessionId::Brought(id("next")),
        carry: Carry::Keep,
        profile: Profile {
            project: "/src".to_owned(),
            source: "hook".to_owned(),
            agent_id: "a-1".to_owned(),
            labels: labels([("team", "blue")]),
            prompt: "one\ntwo".to_owned(),
            transcript_path: "/t".to_owned(),
        },
        prompt_number: Some(0),
        timeouts: TimeoutOverrides {
            idle: Some(Limit::After(Span::seconds(60))),
            lifetime: Some(Limit::Never),
            owner: Some(Limit::After(Span::seconds(70))),
        },
        ordering: Some(Ordering::Relaxed),
        max_in_flight: NonZeroU32::new(512),
        parent: Some(id("parent")),
        etag: Some("1a".to_owned()),
        request: Some(tag),
        actor: caller(),
    };
    assert_eq!(reset, expected);
}

#[test]
fn a_bare_reset_moves_everything_to_a_session_with_a_drawn_id() {
    let bare = pb::ResetSessionRequest {
        r#ref: by_key("k"),
        ..pb::ResetSessionRequest::default()
    };
    let reset = parse(bare).unwrap();
    assert_eq!(reset.id, NewSessionId::Drawn(drawn()));
    assert_eq!((reset.reason, reset.carry), (EndReason::Reset, Carry::Move));
    assert_eq!(reset.profile, Profile::default());
    assert_eq!(reset.timeouts, TimeoutOverrides::default());
    assert!(reset.etag.is_none() && reset.request.is_none() && reset.parent.is_none());
}

#[test]
fn the_body_of_a_repeat_is_every_field_but_the_id() {
    let body = |request| parse(request).unwrap().request.unwrap().body;
    let first = body(full());
    let renamed = pb::ResetSessionRequest {
        request_id: "r-2".to_owned(),
        ..full()
    };
    assert_eq!(body(renamed), first);
    let other = pb::ResetSessionRequest {
        carry: pb::Carry::Move.into(),
        ..full()
    };
    assert_ne!(body(other), first);
}

#[test]
fn bad_fields_are_named_together() {
    check_spoiled(
        &full(),
        parse,
        &[
            ("ref", "must name a session", |r| r.r#ref = None),
            ("reason", "must be RESET", |r| {
                r.reason = pb::EndReason::Idle.into();
            }),
            ("new_session_id", "control", |r| {
                r.new_session_id = "\n".to_owned();
            }),
            ("carry", "Carry", |r| r.carry = 9),
            ("etag", "got 257", |r| r.etag = "x".repeat(257)),
            ("idle_timeout.after", "more than zero", |r| {
                r.idle_timeout = after(0);
            }),
            ("max_in_flight", "0", |r| r.max_in_flight = Some(0)),
            ("request_id", "control", |r| r.request_id = "\n".to_owned()),
        ],
    );
}

#[test]
fn both_sessions_are_shown_or_only_the_successor() {
    let at = Shown {
        revision: Revision(9),
        now: NOW,
    };
    let reply = |ended| Reply::Reset {
        ended,
        successor: Box::new(samples::active()),
        duplicate: true,
    };
    let both = shown(reply(Some(Box::new(samples::ended()))), at);
    let ended = both.ended.unwrap();
    let successor = both.successor.unwrap();
    assert_eq!(ended.state(), pb::SessionState::Ended);
    assert_eq!(successor.state(), pb::SessionState::Active);
    assert_eq!((both.duplicate, both.revision), (true, 9));
    let alone = shown(reply(None), at);
    assert_eq!(alone.ended, None);
    assert_eq!(alone.successor, Some(successor));
}
