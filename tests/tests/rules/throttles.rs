//! Refusals for want of room: each names what is full, how much it takes and of whom, and when to ask again.

use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{claim, enqueue, key, millis, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

/// Everything as narrow as can be.
const NARROW: &str = "[session]\nmax_sessions = 2\n\n[pools.default]\nmax_attached = 1\n\n\
                      [queue]\nmax_messages = 1\n\n[workers]\nrestart_limit = 1\n\n[pools.wide]\n";

/// Nothing has room: two sessions of the default pool, one of them held, and a queue of another one full.
async fn nothing_has_room() -> (Server, Caller) {
    let server = Server::configured(NARROW);
    let caller = Caller::to(&server).await;
    for name in ["held", "idle"] {
        caller.with_work(open(name)).await;
    }
    assert_eq!(caller.claimed(key("held"), "w").await.len(), 1);
    (server, caller)
}

/// Checks what every such refusal says.
#[track_caller]
fn full(refused: Refusal, reason: Reason, scope: &str, limit: &str) -> Refusal {
    refused
        .is(Code::ResourceExhausted, reason)
        .with("scope", scope)
        .with("limit", limit)
        // Each of them is full to the last place.
        .with("used", limit)
        .retries_within(Duration::from_secs(10))
}

/// Proves: B18, G13.
#[tokio::test]
async fn whoever_is_refused_for_want_of_room_is_told_what_is_full_and_when_to_ask_again() {
    let (_server, caller) = nothing_has_room().await;
    let refused = caller.open(open("new")).await.expect_err("no slot");
    full(refused, Reason::TooManySessions, "pool default", "2").with("namespace", "default");
    let refused = caller.enqueue(enqueue(key("idle"), &["m"])).await;
    let refused = refused.expect_err("no place in the queue");
    let idle = caller.session(key("idle")).await.session_id;
    full(refused, Reason::QueueFull, "messages of a queue", "1").with("session_id", &idle);
    let refused = caller.claim(claim(key("idle"), "v")).await;
    let refused = refused.expect_err("workers hold one");
    let scope = "attached sessions of pool default";
    full(refused, Reason::QuotaExceeded, scope, "1").with("namespace", "default");
    let begin = pb::BeginRequestRequest {
        r#ref: key("idle"),
        ..pb::BeginRequestRequest::default()
    };
    for _ in 0..128 {
        caller.begin_request(begin.clone()).await.expect("begun");
    }
    let refused = caller.begin_request(begin).await.expect_err("one too many");
    full(
        refused,
        Reason::QuotaExceeded,
        "requests of a session",
        "128",
    )
    .with("session_id", &idle);
}

/// Proves: B18.
#[tokio::test]
async fn whoever_is_refused_for_what_passes_with_time_is_told_when() {
    let (_server, caller) = nothing_has_room().await;
    let held = caller.session(key("held")).await.session_id;
    let refused = caller.claim(claim(key("held"), "v")).await;
    refused
        .expect_err("another worker has it")
        .is(Code::FailedPrecondition, Reason::LeaseHeld)
        .with("session_id", &held)
        .with("holder", "w")
        .retries_within(Duration::from_secs(60));
    let weak = pb::OpenSessionRequest {
        pool: "wide".to_owned(),
        ..open("weak")
    };
    caller.with_work(weak).await;
    let weak = caller.session(key("weak")).await.session_id;
    let brief = pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        ..claim(key("weak"), "dies")
    };
    let mut watch = WatchStream::from_now(&caller).await;
    for _ in 0..2 {
        caller.claim(brief.clone()).await.expect("a claim");
        watch.event(pb::EventType::WorkerLost, &weak).await;
    }
    let refused = caller.claim(brief).await.expect_err("suspended");
    refused
        .is(Code::FailedPrecondition, Reason::RestartLimited)
        .with("session_id", &weak)
        .with("failures", "2")
        .retries_within(Duration::from_secs(600));
}
