//! "The disk filled up with what nobody will ever read": how long events are kept, and what whoever was away is told.

use std::time::{Duration, Instant};

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::open;
use sessiond_tests::server::Server;
use sessiond_tests::simulated::Simulated;
use sessiond_tests::watch_stream::{WatchStream, watch_from};
use tokio::task::JoinSet;
use tonic::Code;

/// The log is looked at every second of the machine's clock.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who opens sessions at the same time.
const CALLERS: usize = 32;
/// Bytes of a label: with it a stream's windows are full after some hundreds of events.
const LABEL_BYTES: usize = 4_096;

const DAY: Duration = Duration::from_secs(86_400);

async fn info(caller: &Caller) -> pb::GetServerInfoResponse {
    let info = caller.info(pb::GetServerInfoRequest {}).await;
    info.expect("info")
}

async fn oldest(caller: &Caller) -> u64 {
    info(caller).await.oldest_revision
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

/// Proves: G13.
#[tokio::test]
async fn events_go_after_a_week_and_whoever_was_away_longer_is_told_where_the_log_begins() {
    let mut server = Simulated::start().await;
    let caller = server.caller();
    server.advance(Duration::from_secs(1)).await;
    for of in ["a", "b", "c"] {
        caller.opened(of).await;
    }
    // Their limits are passed meanwhile: the ends are events of the second day.
    server.advance(DAY).await;
    server.advance(6 * DAY).await;
    server.advance(Duration::from_millis(1)).await;
    begins_with(&caller, 4).await;
    let from = |revision| watch_from(Start::AfterRevision(revision));
    let refused = WatchStream::open(&caller, from(2)).await.expect_err("gone");
    assert_eq!(refused.reason, "REVISION_COMPACTED");
    assert_eq!(refused.code, Code::OutOfRange);
    let mut kept = WatchStream::open(&caller, from(3)).await.expect("a watch");
    assert_eq!(kept.started.oldest_revision, 4);
    assert_eq!(kept.batch().await.events[0].revision, 4);
    server.restart().await;
    let caller = server.caller();
    assert_eq!(oldest(&caller).await, 4, "after a restart too");
    // All of them are purged; a week after that nothing is left.
    server.advance(30 * DAY).await;
    server.advance(8 * DAY).await;
    let newest = info(&caller).await.current_revision;
    begins_with(&caller, newest + 1).await;
    let mut empty = WatchStream::open(&caller, from(newest))
        .await
        .expect("a watch");
    caller.opened("d").await;
    assert_eq!(empty.batch().await.events[0].revision, newest + 1);
}

/// Opens so many sessions with labels of some KiB, each an event of that size.
async fn open_many(caller: &Caller, count: usize) {
    let mut callers = JoinSet::new();
    for first in 0..CALLERS {
        let caller = caller.clone();
        callers.spawn(async move {
            for at in (first..count).step_by(CALLERS) {
                let label = ("filling".to_owned(), "x".repeat(LABEL_BYTES));
                let request = pb::OpenSessionRequest {
                    labels: [label].into(),
                    ..open(&format!("s{at}"))
                };
                caller.open(request).await.expect("opened");
            }
        });
    }
    callers.join_all().await;
}

/// Proves: G13.
#[tokio::test]
async fn no_more_events_are_kept_than_may_be_and_whoever_reads_too_slowly_is_told() {
    let kept = 10_000;
    let server = Server::configured(&format!(
        "[events]\nmax_events = {kept}\n[session]\nmax_sessions = 10_000\n"
    ));
    let caller = Caller::to(&server).await;
    // Nobody reads it, so it stands where the windows of its stream are full.
    let mut slow = WatchStream::from_the_start(&caller).await;
    open_many(&caller, 6_000).await;
    let all = pb::EndSessionsRequest {
        filter: Some(pb::SessionFilter::default()),
        mode: pb::EndMode::Immediate.into(),
        reason: pb::EndReason::Completed.into(),
        page_size: 10_000,
        ..pb::EndSessionsRequest::default()
    };
    let ended = caller.end_many(all).await.expect("they end");
    assert_eq!(ended.results.len(), 6_000);
    let newest = info(&caller).await.current_revision;
    assert!(newest >= 12_000);
    begins_with(&caller, newest - kept + 1).await;
    let refused = loop {
        match slow.frame().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended as if all had been told"),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.reason, "REVISION_COMPACTED");
    assert_eq!(
        refused.metadata.get("oldest_revision"),
        Some(&(newest - kept + 1).to_string())
    );
}
