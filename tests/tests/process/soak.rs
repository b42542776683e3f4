//! Memory over many sessions that come and go: what has ended is on disk, and not in memory.
//!
//! The server may use a bounded amount of it: caches of both files, what is not yet in the tables, rows that it knows. Most
//! of that is in use after the warm-up, and the bound leaves room for the rest.

use std::sync::Arc;

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, enqueue, key, open};
use sessiond_tests::scale::Scale;
use tokio::task::JoinSet;

use super::run::{Run, command};

/// Who has sessions at the same time.
const CALLERS: usize = 32;
/// Bytes of a message. What is kept of one in memory for good shows soon.
const PAYLOAD_BYTES: usize = 16 * 1_024;

/// What the server comes to with all its caches in use: 210 MB, as long as it was looked at (400,000 sessions). The warm-up
/// may end below it, for caches fill at their own pace.
pub(super) const PLATEAU: u64 = 200 * 1_024 * 1_024;

/// Bytes by which memory may be above that, or above what it was after the warm-up, whatever the scale: with it less than
/// the payloads of the quick one, and about a KiB a session at the next.
const GROWTH_MAX: u64 = 64 * 1_024 * 1_024;

/// A session from its beginning to its end, with work that is done.
async fn live(caller: &Caller, name: &str, payload: &str) {
    let brought = pb::EnqueueMessagesRequest {
        open_if_missing: Some(open(name)),
        ..enqueue(key(name), &[payload])
    };
    caller.enqueue(brought).await.expect("taken");
    let out = caller.claimed(key(name), name).await;
    assert_eq!(out.len(), 1);
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let over = end(key(name), pb::EndReason::Completed, pb::EndMode::Graceful);
    let over = caller.end(over).await.expect("ended").session;
    assert_eq!(over.expect("a session").state(), pb::SessionState::Ended);
}

/// So many sessions, each of another key.
async fn cycles(caller: &Caller, round: &str, count: usize) {
    let payload: Arc<str> = "x".repeat(PAYLOAD_BYTES).into();
    let mut callers = JoinSet::new();
    for first in 0..CALLERS {
        let (caller, payload) = (caller.clone(), Arc::clone(&payload));
        let round = round.to_owned();
        callers.spawn(async move {
            for at in (first..count).step_by(CALLERS) {
                live(&caller, &format!("{round}-{at}"), &payload).await;
            }
        });
    }
    callers.join_all().await;
}

/// Proves: F85.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_come_and_go_leave_nothing_in_memory() {
    let (warm_up, count) =
        Scale::from_env().pick((6_000, 12_000), (40_000, 60_000), (40_000, 400_000));
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let data = temporary.path().join("data");
    let data = data.to_str().expect("a temporary path is UTF-8");
    let flags = ["--log-level", "error", "--listen", "127.0.0.1:0"];
    let mut run = Run::start(command(&[&flags[..], &["--data-dir", data]].concat()));
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
    cycles(&caller, "first", warm_up).await;
    let before = run.resident_bytes();
    cycles(&caller, "then", count).await;
    let after = run.resident_bytes();
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let cleanup = stats.cleanup.expect("it is told");
    assert_eq!(cleanup.repairs, 0, "nothing was overlooked");
    println!("{before} bytes after {warm_up} sessions, {after} after {count} more");
    assert!(
        after < before.max(PLATEAU) + GROWTH_MAX,
        "{count} sessions took {} bytes for good",
        after - before
    );
}
