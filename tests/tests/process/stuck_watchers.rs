//! Watches that nobody reads, by the thousand, on a busy log: they cost little, hold nobody up, and are told where to go on.
//!
//! What they cost is memory of the server alone; what a client has that does not read is in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, id, open};
use sessiond_tests::scale::Scale;
use sessiond_tests::watch_stream::{WatchStream, watch_from};
use tokio::task::JoinSet;

use super::run::{Run, command};
use super::soak::PLATEAU;

/// Watches of one connection: a client that drops many more at once is cut off by its own HTTP/2.
const PER_CONNECTION: usize = 100;

/// Who opens and ends sessions at the same time.
const CALLERS: usize = 16;

/// Bytes of a label: with it the windows of a stream are full after some events.
const LABEL_BYTES: usize = 1_024;

/// Events that are kept, the fewest that may be: more are written, so that whoever does not read loses its place.
const KEPT: u64 = 10_000;

/// What one of them may cost, in bytes.
const EACH_MAX: u64 = 40 * 1_024;

/// That bound counts for so many at least: caches move by some MiB whatever is watched.
const COUNTED_MIN: u64 = 1_000;

/// The log is looked at every second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens and ends sessions for so long, and until there are that many events more.
async fn load(caller: &Caller, span: Duration, events: u64) {
    let began = Instant::now();
    let until = caller.revision().await + events;
    let reached = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (caller, reached) = (caller.clone(), Arc::clone(&reached));
        callers.spawn(async move {
            while began.elapsed() < span || reached.load(Ordering::Relaxed) < until {
                let label = ("filling".to_owned(), "x".repeat(LABEL_BYTES));
                let request = pb::OpenSessionRequest {
                    labels: [label].into(),
                    ..open("")
                };
                let opened = caller.open(request).await.expect("it opens").session;
                let session = opened.expect("it is shown").session_id;
                let (reason, mode) = (pb::EndReason::Completed, pb::EndMode::Immediate);
                let over = end(id(&session), reason, mode);
                let over = caller.end(over).await.expect("it ends");
                reached.fetch_max(over.revision, Ordering::Relaxed);
            }
        });
    }
    callers.join_all().await;
}

/// Waits until no more events are kept than may be.
async fn comes_to_rest(caller: &Caller) {
    let began = Instant::now();
    loop {
        let info = caller
            .info(pb::GetServerInfoRequest {})
            .await
            .expect("info");
        if info.current_revision - info.oldest_revision < KEPT {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "more is kept than may be");
        caller.a_moment().await;
    }
}

/// Reads one from where it stood until it is told that its place is gone; answers with the oldest event that is kept.
async fn told_where_to_go_on(mut watch: WatchStream) -> u64 {
    loop {
        match watch.frame().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended as if all had been told"),
            Err(refused) => {
                assert_eq!(refused.reason, "REVISION_COMPACTED");
                let oldest = &refused.metadata["oldest_revision"];
                return oldest.parse().expect("a revision");
            }
        }
    }
}

/// Reads one to its end, and goes on with the oldest that is kept.
async fn goes_on(caller: Caller, watch: WatchStream) {
    let oldest = told_where_to_go_on(watch).await;
    let start = watch_from(Start::AfterRevision(oldest - 1));
    let mut again = WatchStream::open(&caller, start)
        .await
        .expect("it is there");
    let first = again.batch().await.events[0].revision;
    assert_eq!(first, oldest, "without a hole");
}

/// Reads everything without a hole, from an event on up to one of a later time.
async fn healthy(caller: Caller, after: u64, until: tokio::sync::watch::Receiver<u64>) -> u64 {
    let mut watch = WatchStream::open(&caller, watch_from(Start::AfterRevision(after)))
        .await
        .expect("it reads");
    let mut reached = after;
    while reached < *until.borrow() {
        for event in watch.batch().await.events {
            reached += 1;
            assert_eq!(event.revision, reached, "no hole and no repeat");
        }
    }
    reached
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_nobody_reads_cost_little_and_are_told_where_to_go_on() {
    let (count, millis) = Scale::from_env().pick((200, 1_000), (1_000, 10_000), (10_000, 30_000));
    let span = Duration::from_millis(millis);
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let config = temporary.path().join("sessiond.toml");
    let settings = format!("[events]\nmax_events = {KEPT}\n[session]\nmax_sessions = \"never\"\n");
    std::fs::write(&config, settings).expect("a temporary directory can be written to");
    let (config, data) = (config.to_str(), temporary.path().join("data"));
    let (config, data) = (config.expect("UTF-8"), data.to_str().expect("UTF-8"));
    let flags = ["--log-level", "error", "--listen", "127.0.0.1:0"];
    let files = ["--config", config, "--data-dir", data];
    let mut run = Run::start(command(&[&flags[..], &files].concat()));
    let url = format!("http://{}", run.listening());
    let caller = Caller::at(&url).await;
    // What the load itself takes is taken before.
    load(&caller, span, 2 * KEPT).await;
    let before = run.resident_bytes();
    let began_at = caller.revision().await;
    let mut stuck = Vec::new();
    for at in 0..count {
        if at % PER_CONNECTION == 0 {
            stuck.push((Caller::at(&url).await, Vec::new()));
        }
        let (connection, watches) = stuck.last_mut().expect("one was made");
        watches.push(WatchStream::from_now(connection).await);
    }
    let (last, until) = tokio::sync::watch::channel(u64::MAX);
    let reader = tokio::spawn(healthy(Caller::at(&url).await, began_at, until));
    load(&caller, span, 2 * KEPT).await;
    let after = run.resident_bytes();
    let newest = caller.revision().await;
    last.send_replace(newest);
    // One more, so that it looks again.
    caller.opened("last").await;
    assert!(reader.await.expect("it kept up") >= newest);
    let counted = COUNTED_MIN.max(count as u64);
    println!(
        "{before} bytes, {after} after {} events with {count} watches that nobody read",
        newest - began_at
    );
    // The caches of the store fill at their own pace, as in `soak.rs`.
    let most = before.max(PLATEAU) + counted * EACH_MAX;
    assert!(after <= most, "{count} took {} bytes", after - before);
    assert!(newest - began_at > KEPT, "the log went on past all of them");
    comes_to_rest(&caller).await;
    // All at once: what one of them has not read takes room from the others of its connection.
    let mut readers = JoinSet::new();
    for (connection, watches) in stuck {
        for watch in watches {
            readers.spawn(goes_on(connection.clone(), watch));
        }
    }
    readers.join_all().await;
}
