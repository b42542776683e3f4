//! The counters of what the server cleans up: each moves, and they agree with the records.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{after, end, key, open};
use sessiond_tests::simulated::Simulated;

async fn counted(caller: &Caller) -> (pb::CleanupStats, pb::SessionStats) {
    let stats = caller.stats(pb::GetStatsRequest::default()).await;
    let stats = stats.expect("the server counts");
    let cleanup = stats.cleanup.expect("counts of the cleanup");
    (cleanup, stats.sessions.expect("counts of sessions"))
}

/// Proves: F24, F73, F74.
#[tokio::test]
async fn cleanup_runs_without_traffic_and_its_counters_agree_with_the_records() {
    let server = Simulated::start().await;
    let caller = server.caller();
    for at in 0..5 {
        let short = pb::OpenSessionRequest {
            idle_timeout: after(60_000),
            ..open(&format!("s{at}"))
        };
        caller.open(short).await.expect("opened");
    }
    let by_hand = end(key("s0"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(by_hand).await.expect("an end");
    let (before, sessions) = counted(&caller).await;
    assert_eq!((before.sessions_created, before.sessions_cleaned), (5, 0));
    assert_eq!((sessions.active, sessions.ended), (4, 1));
    server.advance(Duration::from_millis(60_001)).await;
    let (after, sessions) = counted(&caller).await;
    assert_eq!((after.sessions_created, after.sessions_cleaned), (5, 4));
    assert_eq!((sessions.active, sessions.ended), (0, 5));
    assert!(after.runs > before.runs, "{before:?} {after:?}");
    assert_eq!(after.errors, 0);
}
