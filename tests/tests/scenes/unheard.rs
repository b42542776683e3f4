//! "The memory plugin was down over night, and what it should have kept was gone": what waits for a plugin, and for how long.

use std::time::{Duration, Instant};

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::BookmarkCause as Cause;
use sessiond_proto::v1::event_start::Start;
use sessiond_proto::v1::watch_session_events_request::Start as Watch;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, key, open, span};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::subscription::{ack, consume, create, cut, seek, start, subscription};
use sessiond_tests::watch_stream::{WatchStream, watch_from};
use tonic::Code;

/// The log is looked at every second of the machine's clock.
const PATIENCE: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

async fn oldest(caller: &Caller) -> u64 {
    let info = caller.info(pb::GetServerInfoRequest {}).await;
    info.expect("info").oldest_revision
}

async fn begins_with(caller: &Caller, revision: u64) {
    let began = Instant::now();
    while oldest(caller).await != revision {
        assert!(
            began.elapsed() < PATIENCE,
            "the log does not begin with {revision}"
        );
        caller.a_moment().await;
    }
}

/// Reads all that is there, and answers with its epoch and what it was sent.
async fn read(caller: &Caller, name: &str) -> (u64, Vec<pb::SessionEvent>) {
    let watch = WatchStream::open(caller, consume(name, "run")).await;
    let mut watch = watch.expect("a watch");
    let (events, _) = watch.bookmark(Cause::CaughtUp).await;
    (watch.started.subscription_epoch, events)
}

async fn ended(caller: &Caller, name: &str) -> pb::Session {
    let session = caller.opened(name).await;
    let over = end(key(name), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("it ends");
    session
}

#[tokio::test]
async fn no_event_goes_that_a_plugin_did_not_acknowledge_however_old_it_is() {
    let server = Simulated::start().await;
    let caller = server.caller();
    server.advance(Duration::from_secs(1)).await;
    caller.opened("a").await;
    let patient = pb::CreateSubscriptionRequest {
        max_lag: span(30 * DAY),
        ..create("memory")
    };
    caller.create_subscription(patient).await.expect("made");
    caller.opened("b").await;
    caller.opened("c").await;
    server.advance(8 * DAY).await;
    // What it had behind it when it was made goes, and nothing else.
    begins_with(&caller, 2).await;
    let (epoch, events) = read(&caller, "memory").await;
    let first: Vec<u64> = events.iter().map(|event| event.revision).collect();
    assert_eq!(first[..2], [2, 3], "all of them");
    ack(&caller, "memory", 2, epoch)
        .await
        .expect("acknowledged");
    begins_with(&caller, 3).await;
    ack(&caller, "memory", 3, epoch)
        .await
        .expect("acknowledged");
    begins_with(&caller, 4).await;
}

/// Proves: B10.
#[tokio::test]
async fn a_plugin_that_is_away_for_too_long_is_told_and_loses_nothing_that_is_kept_anyway() {
    let server = Simulated::start().await;
    let caller = server.caller();
    server.advance(Duration::from_secs(1)).await;
    let hasty = pb::CreateSubscriptionRequest {
        max_lag: span(HOUR),
        ..create("memory")
    };
    caller.create_subscription(hasty).await.expect("made");
    let mut told = WatchStream::from_now(&caller).await;
    let reading = WatchStream::open(&caller, consume("memory", "run")).await;
    let reading = reading.expect("a watch");
    let epoch = reading.started.subscription_epoch;
    caller.opened("a").await;
    server.advance(HOUR + Duration::from_millis(1)).await;
    let events = told
        .until(|event| event.r#type() == pb::EventType::SubscriptionStale)
        .await;
    let stale = events.last().expect("it came");
    assert_eq!(stale.namespace, "default");
    assert!(stale.session.is_none());
    assert_eq!(
        stale.actor.as_ref().expect("an actor").kind(),
        pb::ActorKind::Reaper
    );
    let fact = |name: &str| stale.attributes.get(name).map(String::as_str);
    assert_eq!(fact("subscription"), Some("memory"));
    assert_eq!(fact("acked_revision"), Some("0"));
    assert_eq!(fact("lag_ms"), Some("3600001"));
    let over = cut(reading).await;
    let over = over.is(Code::FailedPrecondition, Reason::SubscriptionStale);
    over.with("acked_revision", "0")
        .with("oldest_revision", "1");
    let refused = ack(&caller, "memory", 1, epoch)
        .await
        .expect_err("it is stale");
    refused.is(Code::FailedPrecondition, Reason::SubscriptionStale);
    let refused = WatchStream::open(&caller, consume("memory", "run")).await;
    let refused = refused.expect_err("it is stale");
    refused.is(Code::FailedPrecondition, Reason::SubscriptionStale);
    let shown = subscription(&caller, "memory").await;
    assert_eq!(shown.state(), pb::SubscriptionState::Stale);
    assert!(shown.stale_time.is_some());
    // The log has it yet, so it goes on where it was.
    let back = seek("memory", Start::AfterRevision(shown.acked_revision));
    let active = caller.seek_subscription(back).await.expect("moved");
    let active = active.subscription.expect("it is shown");
    assert_eq!(active.state(), pb::SubscriptionState::Active);
    let (_, events) = read(&caller, "memory").await;
    assert_eq!(events[0].revision, 1);
}

/// Proves: B10.
#[tokio::test]
async fn a_plugin_that_is_too_many_bytes_behind_lets_the_log_go() {
    let server = Simulated::start().await;
    let caller = server.caller();
    let small = pb::CreateSubscriptionRequest {
        max_lag_bytes: Some(64 << 10),
        ..create("memory")
    };
    caller.create_subscription(small).await.expect("made");
    let mut told = WatchStream::from_now(&caller).await;
    for at in 0..12 {
        let label = ("filling".to_owned(), "x".repeat(8_000));
        let request = pb::OpenSessionRequest {
            labels: [label].into(),
            ..open(&format!("s{at}"))
        };
        caller.open(request).await.expect("opened");
    }
    let lag = subscription(&caller, "memory").await.lag.expect("a lag");
    assert!(lag.bytes > 64 << 10, "{lag:?}");
    let meant = |event: &pb::SessionEvent| event.r#type() == pb::EventType::SubscriptionStale;
    told.until(meant).await;
}

/// Proves: B3.
#[tokio::test]
async fn a_session_stays_until_a_required_plugin_has_heard_of_its_end() {
    let server = Simulated::start().await;
    let caller = server.caller();
    server.advance(Duration::from_secs(1)).await;
    for (name, required) in [("memory", true), ("search", false)] {
        let request = pb::CreateSubscriptionRequest {
            required,
            max_lag: span(10 * DAY),
            ..create(name)
        };
        caller.create_subscription(request).await.expect("made");
    }
    let session = ended(&caller, "a").await;
    let purge = pb::PurgeSessionsRequest {
        session_ids: vec![session.session_id.clone()],
        ..pb::PurgeSessionsRequest::default()
    };
    let foreseen = pb::PurgeSessionsRequest {
        validate_only: true,
        ..purge.clone()
    };
    for asked in [foreseen, purge.clone()] {
        let purged = caller.purge(asked).await.expect("an answer");
        let error = purged.results[0].error.as_ref().expect("it stays");
        assert_eq!(error.reason, "SESSION_UNACKNOWLEDGED");
        assert_eq!(error.metadata["subscription"], "memory");
        assert_eq!(error.retry_after, span(DAY));
    }
    let (epoch, events) = read(&caller, "memory").await;
    let last = events.last().expect("its end").revision;
    ack(&caller, "memory", last - 1, epoch)
        .await
        .expect("acknowledged");
    let purged = caller.purge(purge.clone()).await.expect("an answer");
    assert!(purged.results[0].error.is_some(), "not all of it");
    ack(&caller, "memory", last, epoch)
        .await
        .expect("acknowledged");
    let why = explained(&caller, &session.session_id).await;
    assert_eq!(why.holds, [], "nobody is waited for any more");
    let mut told = WatchStream::from_now(&caller).await;
    let purged = caller.purge(purge).await.expect("an answer");
    assert_eq!(purged.results[0].error, None);
    let event = told
        .event(pb::EventType::SessionPurged, &session.session_id)
        .await;
    assert_eq!(event.attributes.get("unacknowledged"), None);
}

async fn explained(caller: &Caller, session: &str) -> pb::ExplainSessionResponse {
    let asked = pb::ExplainSessionRequest {
        r#ref: sessiond_tests::requests::id(session),
    };
    caller.explain(asked).await.expect("an explanation")
}

/// Proves: B3.
#[tokio::test]
async fn a_session_goes_after_a_day_although_nobody_has_heard_of_it_and_says_so() {
    let server = Simulated::start_with(|policy| {
        policy.session_retention =
            sessiond_core::time::Limit::After(sessiond_core::time::Span::seconds(60));
    })
    .await;
    let caller = server.caller();
    server.advance(Duration::from_secs(1)).await;
    let request = pb::CreateSubscriptionRequest {
        required: true,
        max_lag: span(10 * DAY),
        ..create("memory")
    };
    caller.create_subscription(request).await.expect("made");
    let mut told = WatchStream::from_now(&caller).await;
    let session = ended(&caller, "a").await;
    for _ in 0..23 {
        server.advance(HOUR).await;
    }
    let kept = caller.session(sessiond_tests::requests::id(&session.session_id));
    assert_eq!(
        kept.await.state(),
        pb::SessionState::Ended,
        "it is waited for"
    );
    let why = explained(&caller, &session.session_id).await;
    let [hold] = &why.holds[..] else {
        panic!("one thing keeps it: {why:?}");
    };
    assert_eq!(hold.kind(), pb::HoldKind::Subscription);
    assert_eq!((hold.count, hold.detail.as_str()), (1, "memory"));
    assert_eq!(hold.worker, "", "no worker has it");
    let seconds = |time: Option<prost_types::Timestamp>| time.expect("it is known").seconds;
    let waits = seconds(hold.until_time) - seconds(why.time);
    assert!((3_590..=3_600).contains(&waits), "an hour more: {waits}");
    server.advance(HOUR).await;
    server.advance(Duration::from_secs(1)).await;
    let event = told
        .event(pb::EventType::SessionPurged, &session.session_id)
        .await;
    let unheard = event.attributes.get("unacknowledged").map(String::as_str);
    assert_eq!(unheard, Some("memory"));
}

/// Proves: B8.
#[tokio::test]
async fn whoever_watches_is_told_where_it_is_before_events_go() {
    let server = Simulated::start().await;
    let caller = server.caller();
    server.advance(Duration::from_secs(1)).await;
    let request = pb::WatchSessionEventsRequest {
        filter: Some(pb::EventFilter {
            key_glob: "no such key".to_owned(),
            ..pb::EventFilter::default()
        }),
        ..watch_from(Watch::Now(true))
    };
    let mut watch = WatchStream::open(&caller, request).await.expect("a watch");
    let (_, before) = watch.bookmark(Cause::CaughtUp).await;
    assert_eq!(before.revision, 0);
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
    }
    let newest = caller.revision().await;
    server.advance(8 * DAY).await;
    let (_, mark) = watch.bookmark(Cause::BeforeCompaction).await;
    assert!(mark.revision >= newest, "{mark:?}");
    begins_with(&caller, newest + 1).await;
    let resumed = watch_from(Watch::ResumeToken(mark.resume_token));
    let resumed = WatchStream::open(&caller, resumed).await;
    resumed.expect("what it was told is where it can go on");
    let lost = watch_from(Watch::ResumeToken(before.resume_token));
    let lost = WatchStream::open(&caller, lost).await.expect_err("gone");
    lost.is(Code::OutOfRange, Reason::RevisionCompacted);
    let gone = pb::CreateSubscriptionRequest {
        start: start(Start::AfterRevision(1)),
        ..create("memory")
    };
    let refused = caller.create_subscription(gone).await.expect_err("gone");
    refused.is(Code::OutOfRange, Reason::RevisionCompacted);
}
