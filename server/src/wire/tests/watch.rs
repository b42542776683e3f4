//! WatchSessionEvents: starts, filters, intervals.

use std::sync::Arc;

use sessiond_core::ids::{InstanceId, Namespace, Revision, SessionId, SubscriptionName};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;

use super::samples::{active, event_row, session_of};
use super::{Spoiled, check_spoiled, labels, namespace, seconds, too_many_labels};
use crate::wire::faults::Invalid;
use crate::wire::parse::watch::{self, InitialState, WatchCall, WatchSource, WatchStart};
use crate::wire::query::EventQuery;
use crate::wire::token::ResumeToken;

fn parse(request: pb::WatchSessionEventsRequest) -> Result<WatchCall, Invalid> {
    watch::watch(&namespace(), request)
}

fn starting(start: Start) -> pb::WatchSessionEventsRequest {
    pb::WatchSessionEventsRequest {
        start: Some(start),
        ..pb::WatchSessionEventsRequest::default()
    }
}

fn filtered(filter: pb::EventFilter) -> pb::WatchSessionEventsRequest {
    pb::WatchSessionEventsRequest {
        filter: Some(filter),
        ..pb::WatchSessionEventsRequest::default()
    }
}

/// What a watch asks for that reads for no subscription.
fn asked(call: WatchCall) -> (WatchStart, EventQuery) {
    let WatchSource::Asked { start, query } = call.source else {
        panic!("it reads for a subscription: {call:?}");
    };
    (start, query)
}

fn query(filter: pb::EventFilter) -> EventQuery {
    asked(parse(filtered(filter)).unwrap()).1
}

#[test]
fn a_watch_starts_where_it_is_told() {
    let token = ResumeToken::new("log-1", Revision(5));
    for (start, expected) in [
        (Start::Now(true), WatchStart::Now),
        (Start::Oldest(true), WatchStart::Oldest),
        (Start::AfterRevision(0), WatchStart::After(Revision(0))),
        (
            Start::AfterRevision(u64::MAX),
            WatchStart::After(Revision(u64::MAX)),
        ),
        (
            Start::ResumeToken(token.encode()),
            WatchStart::Resume(token),
        ),
    ] {
        assert_eq!(asked(parse(starting(start)).unwrap()).0, expected);
    }
    let call = parse(pb::WatchSessionEventsRequest::default()).unwrap();
    assert_eq!(call.initial_state, InitialState::LeftOut);
    assert_eq!(call.bookmark_interval, Span::seconds(15));
    let (start, query) = asked(call);
    assert_eq!(start, WatchStart::Now);
    assert_eq!(query.namespace, Some(namespace()));
    let call = parse(pb::WatchSessionEventsRequest {
        send_initial_state: true,
        bookmark_interval: seconds(2),
        all_namespaces: true,
        ..pb::WatchSessionEventsRequest::default()
    });
    let call = call.unwrap();
    assert_eq!(call.initial_state, InitialState::Sent);
    assert_eq!(call.bookmark_interval, Span::seconds(2));
    assert_eq!(asked(call).1.namespace, None);
}

#[test]
fn every_bad_field_is_told() {
    fn filter(request: &mut pb::WatchSessionEventsRequest) -> &mut pb::EventFilter {
        request.filter.get_or_insert_default()
    }
    check_spoiled(
        &filtered(pb::EventFilter {
            types: (1..=21).collect(),
            session_ids: vec!["s".to_owned(); 1_000],
            ..pb::EventFilter::default()
        }),
        parse,
        &[
            ("now", "must be true", |r| r.start = Some(Start::Now(false))),
            ("take_over", "without `subscription`", |r| {
                r.take_over = true
            }),
            ("consumer", "without `subscription`", |r| {
                r.consumer = "run".to_owned()
            }),
            ("bookmark_interval", "at most 15 s", |r| {
                r.bookmark_interval = seconds(16)
            }),
            ("bookmark_interval", "more than zero", |r| {
                r.bookmark_interval = seconds(0)
            }),
            ("filter.types[3]", "99 is no value of EventType", |r| {
                filter(r).types[3] = 99
            }),
            ("filter.types[4]", "must name", |r| filter(r).types[4] = 0),
            ("filter.session_ids[2]", "empty", |r| {
                filter(r).session_ids[2].clear()
            }),
            ("filter.session_ids", "at most 1000 items, got 1001", |r| {
                filter(r).session_ids.push("s".to_owned());
            }),
            ("filter.key_glob", "256", |r| {
                filter(r).key_glob = "*".repeat(257)
            }),
            ("filter.labels", "64", |r| {
                filter(r).labels = too_many_labels()
            }),
            ("filter.project", "4096", |r| {
                filter(r).project = "x".repeat(4_097)
            }),
        ],
    );
}

#[test]
fn every_bad_start_is_told() {
    let spoiled: [Spoiled<pb::WatchSessionEventsRequest>; 5] = [
        ("filter.types", "at most 64 items, got 65", |r| {
            r.filter.get_or_insert_default().types = vec![1; 65];
        }),
        ("oldest", "must be true", |r| {
            r.start = Some(Start::Oldest(false))
        }),
        ("resume_token", "unchanged", |r| {
            r.start = Some(Start::ResumeToken(String::new()));
        }),
        ("resume_token", "unchanged", |r| {
            r.start = Some(Start::ResumeToken("ü".repeat(50)));
        }),
        ("resume_token", "unchanged", |r| {
            let mut token = ResumeToken::new("log", Revision(1)).encode();
            token.replace_range(0..2, "02");
            r.start = Some(Start::ResumeToken(token));
        }),
    ];
    for way in spoiled {
        check_spoiled(&starting(Start::Now(true)), parse, &[way]);
    }
}

#[test]
fn a_watch_reads_for_a_subscription() {
    let request = pb::WatchSessionEventsRequest {
        take_over: true,
        consumer: "run-1".to_owned(),
        send_initial_state: true,
        ..starting(Start::Subscription("plugin".to_owned()))
    };
    let call = parse(request.clone()).unwrap();
    let expected = WatchSource::Subscription {
        name: SubscriptionName::parse("plugin").unwrap(),
        consumer: InstanceId::parse("run-1").ok(),
        take_over: true,
    };
    assert_eq!(call.source, expected);
    assert_eq!(call.initial_state, InitialState::Sent);
    let anybody = parse(starting(Start::Subscription("plugin".to_owned())));
    let expected = WatchSource::Subscription {
        name: SubscriptionName::parse("plugin").unwrap(),
        consumer: None,
        take_over: false,
    };
    assert_eq!(anybody.unwrap().source, expected);
    check_spoiled(
        &request,
        parse,
        &[
            ("subscription", "empty", |r| {
                r.start = Some(Start::Subscription(String::new()));
            }),
            ("consumer", "256", |r| r.consumer = "x".repeat(257)),
            ("filter", "which has one", |r| {
                r.filter = Some(pb::EventFilter::default());
            }),
            ("all_namespaces", "one namespace", |r| {
                r.all_namespaces = true;
            }),
        ],
    );
}

/// Whether a filter shows an end, and whether it shows a session of the initial state.
fn shown(set: impl FnOnce(&mut pb::EventFilter)) -> (bool, bool) {
    let mut filter = pb::EventFilter::default();
    set(&mut filter);
    let query = query(filter);
    (
        query.matches(&event_row()),
        query.matches_session(&active().session),
    )
}

#[test]
fn an_event_filter_matches_what_meets_every_condition() {
    let ended = pb::EventType::SessionEnd.into();
    let opened = pb::EventType::SessionOpened.into();
    let (both, neither) = ((true, true), (false, false));
    assert_eq!(shown(|_| {}), both);
    assert_eq!(shown(|f| f.types = vec![opened, ended]), both);
    // A session of the initial state is no event, so types do not choose among sessions.
    assert_eq!(shown(|f| f.types = vec![opened]), (false, true));
    let ids = |id: &str| vec!["none".to_owned(), id.to_owned()];
    assert_eq!(shown(|f| f.session_ids = ids("s-1")), both);
    assert_eq!(shown(|f| f.session_ids = ids("s-2")), neither);
    assert_eq!(shown(|f| f.key_glob = "agent:*".to_owned()), both);
    assert_eq!(shown(|f| f.key_glob = "agent".to_owned()), neither);
    assert_eq!(shown(|f| f.project = "/src".to_owned()), both);
    assert_eq!(shown(|f| f.project = "/other".to_owned()), neither);
    assert_eq!(shown(|f| f.labels = labels([("team", "blue")])), both);
    assert_eq!(shown(|f| f.labels = labels([("none", "")])), neither);
}

#[test]
fn a_filter_without_a_glob_takes_sessions_without_a_key() {
    let mut keyless = Arc::unwrap_or_clone(active().session);
    keyless.key = None;
    keyless.id = SessionId::parse("s-9").unwrap();
    assert!(query(pb::EventFilter::default()).matches_session(&keyless));
    let any_key = pb::EventFilter {
        key_glob: "*".to_owned(),
        ..pb::EventFilter::default()
    };
    assert!(!query(any_key).matches_session(&keyless));
}

#[test]
fn only_a_watch_of_all_namespaces_sees_another() {
    let mut elsewhere = event_row();
    session_of(&mut elsewhere).namespace = Namespace::parse("other").unwrap();
    assert!(!query(pb::EventFilter::default()).matches(&elsewhere));
    let all = pb::WatchSessionEventsRequest {
        all_namespaces: true,
        ..pb::WatchSessionEventsRequest::default()
    };
    assert!(asked(parse(all).unwrap()).1.matches(&elsewhere));
}
