//! Sweeps on request: which sessions they end and why, what they spare, pages, and dry runs that change nothing.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{after, key, labels, millis, open};
use sessiond_tests::simulated::{STARTS_AT_MS, Simulated};
use sessiond_tests::watch_stream::{WatchStream, about};

fn idle(ms: u64) -> pb::SweepRequest {
    pb::SweepRequest {
        idle_timeout: millis(ms),
        ..pb::SweepRequest::default()
    }
}

fn dry(request: pb::SweepRequest) -> pb::SweepRequest {
    pb::SweepRequest {
        validate_only: true,
        ..request
    }
}

async fn swept(caller: &Caller, request: pb::SweepRequest) -> pb::SweepResponse {
    caller.sweep(request).await.expect("a sweep")
}

/// Whom it found, what for, and what became of them.
fn found(told: &pb::SweepResponse) -> Vec<(&str, pb::EndReason, pb::SweepOutcome)> {
    let results = told.results.iter();
    results
        .map(|one| (one.key.as_str(), one.reason(), one.outcome()))
        .collect()
}

async fn state(caller: &Caller, name: &str) -> pb::SessionState {
    caller.session(key(name)).await.state()
}

/// Proves: F34.
#[tokio::test]
async fn a_sweep_ends_what_has_passed_its_limits_and_says_since_when() {
    let server = Simulated::start().await;
    let caller = server.caller();
    caller.opened("idle").await;
    server.advance(Duration::from_secs(200)).await;
    caller.opened("young").await;
    server.advance(Duration::from_secs(100)).await;
    let told = swept(&caller, idle(300_000)).await;
    assert!(told.results.is_empty(), "exactly the limit is not over it");
    assert_eq!(told.examined, 2);
    server.advance(Duration::from_millis(1)).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let told = swept(&caller, idle(300_000)).await;
    let ended = pb::SweepOutcome::Ended;
    assert_eq!(found(&told), [("idle", pb::EndReason::Idle, ended)]);
    let reached = told.results[0].reach_time.expect("a time");
    let ms = reached.seconds * 1_000 + i64::from(reached.nanos) / 1_000_000;
    assert_eq!(ms, i64::try_from(STARTS_AT_MS).expect("it fits") + 300_000);
    let end = watch
        .event(pb::EventType::SessionEnd, &told.results[0].session_id)
        .await;
    let end = end.end.expect("an end");
    assert_eq!(end.detail, "sweep");
    assert_eq!(end.actor.expect("an actor").kind(), pb::ActorKind::Api);
    assert_eq!(state(&caller, "young").await, pb::SessionState::Active);
    assert!(
        swept(&caller, idle(300_000)).await.results.is_empty(),
        "a repeat is harmless"
    );
}

/// Proves: F34.
#[tokio::test]
async fn a_threshold_tightens_a_limit_and_never_loosens_one() {
    let server = Simulated::start().await;
    let caller = server.caller();
    let short = pb::OpenSessionRequest {
        idle_timeout: after(60_000),
        ..open("short")
    };
    caller.open(short).await.expect("opened");
    caller.opened("old").await;
    server.advance(Duration::from_secs(60)).await;
    caller
        .touch(pb::TouchSessionRequest {
            r#ref: key("old"),
            usage_delta: None,
        })
        .await
        .expect("in use");
    assert!(swept(&caller, idle(600_000)).await.results.is_empty());
    let by_age = pb::SweepRequest {
        max_lifetime: millis(30_000),
        ..idle(600_000)
    };
    let told = swept(&caller, dry(by_age.clone())).await;
    let would = pb::SweepOutcome::WouldEnd;
    let expected = [
        ("short", pb::EndReason::Expired, would),
        ("old", pb::EndReason::Expired, would),
    ];
    assert_eq!(found(&told), expected);
}

/// Proves: F31, F34, G21, B5.
#[tokio::test]
async fn what_is_in_use_or_has_work_is_spared_and_a_dry_run_changes_nothing() {
    let server = Simulated::start().await;
    let caller = server.caller();
    for name in ["pending", "open", "asked", "bare"] {
        caller.opened(name).await;
    }
    caller.enqueued(key("pending"), &["m"]).await;
    caller.enqueued(key("open"), &["m"]).await;
    assert_eq!(caller.claimed(key("open"), "w").await.len(), 1);
    let begin = pb::BeginRequestRequest {
        r#ref: key("asked"),
        ..pb::BeginRequestRequest::default()
    };
    caller.begin_request(begin).await.expect("begun");
    server.advance(Duration::from_secs(10)).await;
    let revision = caller.revision().await;
    let told = swept(&caller, dry(idle(5_000))).await;
    let would = pb::SweepOutcome::WouldEnd;
    assert_eq!(found(&told), [("bare", pb::EndReason::Idle, would)]);
    assert_eq!((told.examined, told.revision), (4, revision));
    assert_eq!(caller.revision().await, revision);
    assert_eq!(state(&caller, "bare").await, pb::SessionState::Active);
    let told = swept(&caller, idle(5_000)).await;
    assert_eq!(told.results.len(), 1);
    assert_eq!(state(&caller, "bare").await, pb::SessionState::Ended);
    for spared in ["pending", "open", "asked"] {
        let state = state(&caller, spared).await;
        assert_eq!(state, pb::SessionState::Active, "{spared}");
    }
}

#[tokio::test]
async fn a_scope_and_pages_choose_whom_to_look_at() {
    let server = Simulated::start().await;
    let caller = server.caller();
    for at in 0..5 {
        let labelled = pb::OpenSessionRequest {
            labels: labels(&[("team", if at < 4 { "a" } else { "b" })]),
            ..open(&format!("s{at}"))
        };
        caller.open(labelled).await.expect("opened");
    }
    server.advance(Duration::from_secs(10)).await;
    let mut request = pb::SweepRequest {
        filter: Some(pb::SessionFilter {
            labels: labels(&[("team", "a")]),
            ..pb::SessionFilter::default()
        }),
        page_size: 3,
        ..idle(5_000)
    };
    let first = swept(&caller, request.clone()).await;
    let keys: Vec<_> = first.results.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["s0", "s1", "s2"]);
    request.page_token.clone_from(&first.next_page_token);
    let last = swept(&caller, request).await;
    let keys: Vec<_> = last.results.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["s3"]);
    assert!(last.next_page_token.is_empty());
    assert_eq!(
        state(&caller, "s4").await,
        pb::SessionState::Active,
        "not of the scope"
    );
}

/// Proves: F34.
#[tokio::test]
async fn sweeps_at_the_same_time_end_each_session_once() {
    let server = Simulated::start().await;
    let caller = server.caller();
    let mut watch = WatchStream::from_now(&caller).await;
    let mut ids = Vec::new();
    for at in 0..20 {
        ids.push(caller.opened(&format!("s{at}")).await.session_id);
    }
    server.advance(Duration::from_secs(10)).await;
    let sweep = || swept(&caller, idle(5_000));
    let told = tokio::join!(sweep(), sweep(), sweep());
    let ended: usize = [told.0, told.1, told.2]
        .iter()
        .map(|told| told.results.len())
        .sum();
    assert_eq!(ended, ids.len(), "each was ended by one of them");
    let fence = caller.opened("fence").await.session_id;
    let events = watch.until(|event| about(event) == fence).await;
    for id in &ids {
        let ends = events
            .iter()
            .filter(|event| about(event) == id && event.r#type() == pb::EventType::SessionEnd);
        assert_eq!(ends.count(), 1);
    }
}
