//! Subscriptions: what their calls may say, how one is shown, and what refusals tell.

use bytes::Bytes;
use prost::Message;
use sessiond_core::ids::{Epoch, InstanceId, Revision, SubscriptionName};
use sessiond_core::rows::Counters;
use sessiond_core::subscription::{
    MaxLag, SubscriptionRejection, SubscriptionRow, SubscriptionSettings, SubscriptionStanding,
};
use sessiond_core::time::{EngineTime, Span, WallTime};
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use tonic::Code;

use super::samples::event_row;
use super::show_session::millis;
use super::status::{Expected, check, session};
use super::{check_spoiled, namespace, seconds};
use crate::wire::faults::Invalid;
use crate::wire::parse::subscription::{self, AckCall, CreateCall};
use crate::wire::parse::watch::WatchStart;
use crate::wire::show::subscription::{Around, subscription as shown};
use crate::wire::status::Refusal;

fn create(request: pb::CreateSubscriptionRequest) -> Result<CreateCall, Invalid> {
    subscription::create(&namespace(), request)
}

fn named() -> pb::CreateSubscriptionRequest {
    pb::CreateSubscriptionRequest {
        name: "memory".to_owned(),
        ..pb::CreateSubscriptionRequest::default()
    }
}

fn name() -> SubscriptionName {
    SubscriptionName::parse("memory").unwrap()
}

#[test]
fn a_subscription_that_says_no_more_than_its_name_gets_the_defaults() {
    let call = create(named()).unwrap();
    assert_eq!(call.name, name());
    assert_eq!(call.start, WatchStart::Now);
    assert_eq!(call.request, None);
    let expected = SubscriptionSettings {
        filter: Bytes::new(),
        required: false,
        max_lag: MaxLag {
            age: Span::seconds(86_400),
            bytes: 1 << 30,
        },
    };
    assert_eq!(call.settings, expected);
}

#[test]
fn the_same_filter_said_otherwise_is_the_same() {
    let filtered = |types: Vec<i32>, session_ids: &[&str]| {
        let filter = pb::EventFilter {
            types,
            session_ids: session_ids.iter().map(|id| (*id).to_owned()).collect(),
            ..pb::EventFilter::default()
        };
        let request = pb::CreateSubscriptionRequest {
            filter: Some(filter),
            ..named()
        };
        create(request).unwrap().settings.filter
    };
    let one = filtered(vec![6, 1], &["b", "a"]);
    assert_eq!(one, filtered(vec![1, 6, 1], &["a", "b", "a"]));
    assert_ne!(one, filtered(vec![1, 6], &["a"]));
    assert_eq!(filtered(vec![], &[]), Bytes::new(), "none is unset");
}

#[test]
fn every_bad_field_of_a_new_subscription_is_told() {
    check_spoiled(
        &named(),
        create,
        &[
            ("name", "empty", |r| r.name.clear()),
            ("filter.types[0]", "99 is no value", |r| {
                r.filter.get_or_insert_default().types = vec![99];
            }),
            ("start.oldest", "must be true", |r| {
                r.start = Some(start(pb::event_start::Start::Oldest(false)));
            }),
            ("max_lag", "at least 1 s", |r| r.max_lag = millis_of(999)),
            ("max_lag", "at most 2592000 s", |r| {
                r.max_lag = seconds(30 * 86_400 + 1);
            }),
            ("max_lag_bytes", "65536 to 1099511627776, got 0", |r| {
                r.max_lag_bytes = Some(0);
            }),
            ("request_id", "256", |r| r.request_id = "r".repeat(257)),
        ],
    );
}

fn start(start: pb::event_start::Start) -> pb::EventStart {
    pb::EventStart { start: Some(start) }
}

fn millis_of(millis: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: 0,
        nanos: millis * 1_000_000,
    })
}

#[test]
fn an_acknowledgement_names_all_of_its_parts() {
    let request = pb::AckEventsRequest {
        name: "memory".to_owned(),
        revision: 7,
        epoch: 3,
    };
    let expected = AckCall {
        name: name(),
        revision: Revision(7),
        epoch: Epoch(3),
    };
    assert_eq!(subscription::ack(request.clone()).unwrap(), expected);
    check_spoiled(
        &request,
        subscription::ack,
        &[
            ("name", "empty", |r| r.name.clear()),
            ("revision", "must be set", |r| r.revision = 0),
            ("epoch", "must be set", |r| r.epoch = 0),
        ],
    );
}

#[test]
fn whoever_moves_or_deletes_one_names_it() {
    let seek = pb::SeekSubscriptionRequest {
        name: "memory".to_owned(),
        start: Some(start(pb::event_start::Start::AfterRevision(4))),
        request_id: "once".to_owned(),
    };
    let call = subscription::seek(seek.clone()).unwrap();
    assert_eq!(
        (call.name, call.start),
        (name(), WatchStart::After(Revision(4)))
    );
    assert_eq!(call.request.unwrap().id.as_str(), "once");
    check_spoiled(
        &seek,
        subscription::seek,
        &[
            ("name", "empty", |r| r.name.clear()),
            ("start.resume_token", "unchanged", |r| {
                let token = pb::event_start::Start::ResumeToken("no".to_owned());
                r.start = Some(start(token));
            }),
        ],
    );
    let delete = pb::DeleteSubscriptionRequest {
        name: "memory".to_owned(),
        request_id: String::new(),
    };
    assert_eq!(
        subscription::delete(delete.clone()).unwrap(),
        (name(), None)
    );
    check_spoiled(
        &delete,
        subscription::delete,
        &[("name", "empty", |r| r.name.clear())],
    );
}

fn row() -> SubscriptionRow {
    let filter = pb::EventFilter {
        types: vec![6],
        ..pb::EventFilter::default()
    };
    SubscriptionRow {
        namespace: namespace(),
        name: name(),
        settings: SubscriptionSettings {
            filter: filter.encode_to_vec().into(),
            required: true,
            max_lag: MaxLag {
                age: Span::seconds(5),
                bytes: 99_000,
            },
        },
        acked: Revision(40),
        holds_after: Revision(38),
        standing: SubscriptionStanding::Stale {
            time: WallTime(1_000_777),
        },
        epoch: Epoch(12),
        consumer: InstanceId::parse("run-1").ok(),
        create_time: WallTime(1_000_111),
    }
}

#[test]
fn every_field_of_a_subscription_is_shown() {
    let counters = Counters {
        revision: Revision(256),
        log_bytes: 10_000,
        ..Counters::default()
    };
    let mut first = event_row();
    (first.at, first.offset) = (EngineTime(90_000), 9_000);
    let around = Around {
        connected: true,
        delivered: Revision(44),
        counters: &counters,
        first: Some(&first),
        now: EngineTime(100_000),
    };
    let expected = pb::Subscription {
        name: "memory".to_owned(),
        namespace: namespace().to_string(),
        filter: Some(pb::EventFilter {
            types: vec![6],
            ..pb::EventFilter::default()
        }),
        required: true,
        max_lag: seconds(5),
        max_lag_bytes: 99_000,
        state: pb::SubscriptionState::Stale.into(),
        stale_time: millis(1_000_777),
        acked_revision: 40,
        epoch: 12,
        consumer: "run-1".to_owned(),
        connected: true,
        delivered_revision: 44,
        lag: Some(pb::SubscriptionLag {
            events: 216,
            bytes: 1_000,
            age: seconds(10),
        }),
        create_time: millis(1_000_111),
    };
    assert_eq!(shown(&row(), &around), expected);
    let caught_up = SubscriptionRow {
        acked: Revision(256),
        standing: SubscriptionStanding::Active,
        consumer: None,
        ..row()
    };
    let around = Around {
        connected: false,
        first: None,
        ..around
    };
    let shown = shown(&caught_up, &around);
    assert_eq!(shown.state(), pb::SubscriptionState::Active);
    assert_eq!((shown.stale_time, shown.consumer.as_str()), (None, ""));
    assert_eq!(
        shown.delivered_revision, 256,
        "never below what is acknowledged"
    );
    assert_eq!(shown.lag, Some(pb::SubscriptionLag::default()));
}

#[test]
fn refusals_about_subscriptions_say_what_to_branch_on() {
    let refused = |rejection: SubscriptionRejection| Refusal::rejected(&rejection.into());
    let of = ("subscription", "memory");
    let named = Some(("subscription", "memory"));
    check(
        refused(SubscriptionRejection::NotFound { name: name() }),
        &Expected {
            metadata: &[of],
            resource: named,
            ..Expected::of(Reason::SubscriptionNotFound, Code::NotFound)
        },
    );
    check(
        refused(SubscriptionRejection::Exists {
            name: name(),
            differing: vec!["filter", "max_lag"],
        }),
        &Expected {
            metadata: &[of, ("fields", "filter, max_lag")],
            resource: named,
            ..Expected::of(Reason::SubscriptionExists, Code::AlreadyExists)
        },
    );
    check(
        refused(SubscriptionRejection::Held {
            name: name(),
            holder: InstanceId::parse("run-1").unwrap(),
            epoch: Epoch(4),
        }),
        &Expected {
            metadata: &[of, ("holder", "run-1"), ("epoch", "4")],
            retry_ms: Some(1_000),
            ..Expected::of(Reason::LeaseHeld, Code::FailedPrecondition)
        },
    );
    check(
        refused(SubscriptionRejection::Fenced {
            name: name(),
            given: Epoch(4),
            current: Epoch(9),
        }),
        &Expected {
            metadata: &[of, ("epoch", "4"), ("current_epoch", "9")],
            ..Expected::of(Reason::LeaseFenced, Code::FailedPrecondition)
        },
    );
    check(
        refused(SubscriptionRejection::Stale {
            name: name(),
            acked: Revision(2),
            oldest: Revision(8),
        }),
        &Expected {
            metadata: &[of, ("acked_revision", "2"), ("oldest_revision", "8")],
            ..Expected::of(Reason::SubscriptionStale, Code::FailedPrecondition)
        },
    );
}

#[test]
fn refusals_about_where_one_stands_say_where_that_may_be() {
    let refused = |rejection: SubscriptionRejection| Refusal::rejected(&rejection.into());
    check(
        refused(SubscriptionRejection::NotDelivered {
            revision: Revision(9),
            delivered: Revision(7),
        }),
        &Expected {
            violations: &["revision"],
            ..Expected::of(Reason::FieldInvalid, Code::InvalidArgument)
        },
    );
    let bounds = [("current_revision", "9"), ("oldest_revision", "3")];
    check(
        refused(SubscriptionRejection::Compacted {
            after: Revision(1),
            oldest: Revision(3),
            newest: Revision(9),
        }),
        &Expected {
            metadata: &bounds,
            ..Expected::of(Reason::RevisionCompacted, Code::OutOfRange)
        },
    );
    check(
        refused(SubscriptionRejection::Ahead {
            oldest: Revision(3),
            newest: Revision(9),
        }),
        &Expected {
            metadata: &bounds,
            ..Expected::of(Reason::LogChanged, Code::FailedPrecondition)
        },
    );
    let id = session();
    check(
        refused(SubscriptionRejection::Unheard {
            session: session(),
            name: name(),
            waits: Span::seconds(60),
        }),
        &Expected {
            metadata: &[("session_id", id.as_str()), ("subscription", "memory")],
            retry_ms: Some(60_000),
            ..Expected::of(Reason::SessionUnacknowledged, Code::FailedPrecondition)
        },
    );
}
