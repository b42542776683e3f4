//! OpenSession: what is built of each field, and every way to get one wrong.

use std::num::NonZeroU32;

use sessiond_core::command::{ConflictPolicy, NewSessionId, Open, TimeoutOverrides};
use sessiond_core::ids::{PoolName, SessionId, SessionKey};
use sessiond_core::session::{Ordering, Profile};
use sessiond_core::time::{Limit, Span};
use sessiond_proto::v1 as pb;

use super::{
    after, caller, check_spoiled, drawn, labels, namespace, never, seconds, too_many_labels,
};
use crate::wire::faults::Invalid;
use crate::wire::parse::open;

fn parse(request: pb::OpenSessionRequest) -> Result<Open, Invalid> {
    open::open(&namespace(), request, drawn(), caller())
}

fn full() -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        key: "agent:main:main".to_owned(),
        session_id: "brought".to_owned(),
        pool: "batch".to_owned(),
        project: "/src".to_owned(),
        source: "hook".to_owned(),
        agent_id: "a-1".to_owned(),
        labels: labels([("team", "blue")]),
        prompt: "line one\nline two".to_owned(),
        prompt_number: Some(0),
        transcript_path: "/t".to_owned(),
        idle_timeout: after(60),
        max_lifetime: never(true),
        owner_timeout: after(10 * 365 * 86_400),
        conflict_policy: pb::ConflictPolicy::Fail.into(),
        wait_for_slot: seconds(7),
        ordering: pb::Ordering::Relaxed.into(),
        max_in_flight: Some(512),
        parent_session_id: "parent".to_owned(),
        request_id: "r-1".to_owned(),
    }
}

#[test]
fn every_field_reaches_the_command() {
    let open = parse(full()).unwrap();
    let tag = open.request.clone().unwrap();
    assert_eq!(tag.id.as_str(), "r-1");
    let expected = Open {
        namespace: namespace(),
        key: Some(SessionKey::parse("agent:main:main").unwrap()),
        id: NewSessionId::Brought(SessionId::parse("brought").unwrap()),
        pool: Some(PoolName::parse("batch").unwrap()),
        profile: Profile {
            project: "/src".to_owned(),
            source: "hook".to_owned(),
            agent_id: "a-1".to_owned(),
            labels: labels([("team", "blue")]),
            prompt: "line one\nline two".to_owned(),
            transcript_path: "/t".to_owned(),
        },
        prompt_number: Some(0),
        timeouts: TimeoutOverrides {
            idle: Some(Limit::After(Span::seconds(60))),
            lifetime: Some(Limit::Never),
            owner: Some(Limit::After(Span::seconds(10 * 365 * 86_400))),
        },
        conflict: ConflictPolicy::Fail,
        wait: Some(Span::seconds(7)),
        ordering: Some(Ordering::Relaxed),
        max_in_flight: NonZeroU32::new(512),
        parent: Some(SessionId::parse("parent").unwrap()),
        request: Some(tag),
        actor: caller(),
    };
    assert_eq!(open, expected);
}

#[test]
fn an_empty_request_opens_with_defaults() {
    let open = parse(pb::OpenSessionRequest::default()).unwrap();
    let expected = Open {
        namespace: namespace(),
        key: None,
        id: NewSessionId::Drawn(drawn()),
        pool: None,
        profile: Profile::default(),
        prompt_number: None,
        timeouts: TimeoutOverrides::default(),
        conflict: ConflictPolicy::UseExisting,
        wait: None,
        ordering: None,
        max_in_flight: None,
        parent: None,
        request: None,
        actor: caller(),
    };
    assert_eq!(open, expected);
}

#[test]
fn every_bad_field_is_told() {
    let long = |bytes: usize| "x".repeat(bytes);
    assert!(
        parse(pb::OpenSessionRequest {
            key: long(256),
            ..full()
        })
        .is_ok()
    );
    check_spoiled(
        &full(),
        parse,
        &[
            ("key", "at most 256 bytes, got 257", |r| {
                r.key = "x".repeat(257)
            }),
            ("key", "control", |r| r.key = "a\u{7}b".to_owned()),
            ("session_id", "control", |r| {
                r.session_id = "a\nb".to_owned()
            }),
            ("pool", "256", |r| r.pool = "ü".repeat(129)),
            ("project", "4096", |r| r.project = "x".repeat(4_097)),
            ("source", "256", |r| r.source = "x".repeat(257)),
            ("agent_id", "256", |r| r.agent_id = "x".repeat(257)),
            ("agent_id", "control", |r| {
                r.agent_id = "\u{1b}[31m".to_owned()
            }),
            ("labels", "64 entries, got 65", |r| {
                r.labels = too_many_labels()
            }),
            ("labels", "8192 bytes", |r| {
                r.labels = labels([("k", &"x".repeat(8_192))]);
            }),
            ("prompt", "65536", |r| r.prompt = "x".repeat(65_537)),
            ("transcript_path", "4096", |r| {
                r.transcript_path = "x".repeat(4_097);
            }),
            ("idle_timeout.after", "more than zero", |r| {
                r.idle_timeout = after(0)
            }),
            ("idle_timeout.after", "more than zero", |r| {
                r.idle_timeout = after(-1)
            }),
            ("idle_timeout.after", "at most 315360000 s", |r| {
                r.idle_timeout = after(10 * 365 * 86_400 + 1);
            }),
            ("idle_timeout.after", "at most", |r| {
                r.idle_timeout = after(i64::MAX)
            }),
            ("max_lifetime.never", "must be true", |r| {
                r.max_lifetime = never(false)
            }),
            ("owner_timeout", "`after` or `never`", |r| {
                r.owner_timeout = Some(pb::Limit { bound: None });
            }),
        ],
    );
}

#[test]
fn every_bad_choice_is_told() {
    check_spoiled(
        &full(),
        parse,
        &[
            ("conflict_policy", "99 is no value of ConflictPolicy", |r| {
                r.conflict_policy = 99;
            }),
            ("ordering", "-1 is no value of Ordering", |r| {
                r.ordering = -1
            }),
            ("max_in_flight", "1 to 512, got 0", |r| {
                r.max_in_flight = Some(0)
            }),
            ("max_in_flight", "1 to 512, got 513", |r| {
                r.max_in_flight = Some(513)
            }),
            ("max_in_flight", "1 to 1, got 512", |r| {
                r.ordering = pb::Ordering::Serial.into();
            }),
            ("parent_session_id", "256", |r| {
                r.parent_session_id = "x".repeat(257);
            }),
            ("request_id", "control", |r| r.request_id = "\0".to_owned()),
        ],
    );
}

#[test]
fn durations_out_of_form_are_told_and_fractions_rounded_up() {
    let idle = |seconds, nanos| {
        let duration = prost_types::Duration { seconds, nanos };
        let limit = pb::Limit {
            bound: Some(pb::limit::Bound::After(duration)),
        };
        let request = pb::OpenSessionRequest {
            idle_timeout: Some(limit),
            ..pb::OpenSessionRequest::default()
        };
        parse(request).map(|open| open.timeouts.idle)
    };
    for (seconds, nanos, part) in [
        (1, 1_000_000_000, "under one second"),
        (0, i32::MIN, "under one second"),
        (1, -1, "same sign"),
        (-1, 1, "same sign"),
        (0, -1, "more than zero"),
        (0, 0, "more than zero"),
        (i64::MIN, i32::MIN, "under one second"),
        (i64::MIN, 0, "more than zero"),
    ] {
        let invalid = idle(seconds, nanos).unwrap_err();
        let told = &invalid.violations[0].description;
        assert!(told.contains(part), "{seconds} {nanos}: {told}");
    }
    for (seconds, nanos, millis) in [(0, 1, 1), (0, 999_999_999, 1_000), (2, 1_500_000, 2_002)] {
        let limit = idle(seconds, nanos).unwrap();
        assert_eq!(limit, Some(Limit::After(Span(millis))), "{seconds} {nanos}");
    }
}

#[test]
fn a_wait_for_a_slot_is_a_span_of_at_most_a_day() {
    let wait = |span| {
        let request = pb::OpenSessionRequest {
            wait_for_slot: span,
            ..full()
        };
        parse(request).map(|open| open.wait)
    };
    assert_eq!(wait(None).unwrap(), None);
    let day = 24 * 3_600;
    assert_eq!(wait(seconds(day)).unwrap(), Some(Span::seconds(86_400)));
    for bad in [seconds(0), seconds(-1), seconds(day + 1)] {
        let invalid = wait(bad).unwrap_err();
        assert_eq!(invalid.violations[0].field, "wait_for_slot");
    }
}

#[test]
fn a_repeat_has_the_same_tag_and_nothing_else_has() {
    let tag = |request| parse(request).unwrap().request.unwrap();
    let first = tag(full());
    assert_eq!(first, tag(full()));
    let renamed = tag(pb::OpenSessionRequest {
        request_id: "r-2".to_owned(),
        ..full()
    });
    assert_eq!(first.body, renamed.body, "the id is no part of the body");
    for other in [
        pb::OpenSessionRequest {
            prompt: "other".to_owned(),
            ..full()
        },
        pb::OpenSessionRequest {
            labels: labels([]),
            ..full()
        },
        pb::OpenSessionRequest {
            prompt_number: None,
            ..full()
        },
    ] {
        assert_ne!(first.body, tag(other).body);
    }
    let of_end = super::super::parse::end::end(
        &namespace(),
        pb::EndSessionRequest {
            r#ref: super::by_key("k"),
            request_id: "r-1".to_owned(),
            ..pb::EndSessionRequest::default()
        },
        caller(),
    );
    let of_touch_like_open = parse(pb::OpenSessionRequest {
        request_id: "r-1".to_owned(),
        ..pb::OpenSessionRequest::default()
    });
    assert_ne!(
        of_end.unwrap().end.request.unwrap().body,
        of_touch_like_open.unwrap().request.unwrap().body
    );
}
