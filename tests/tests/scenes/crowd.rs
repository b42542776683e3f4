//! "One busy conversation starved all others", and "they all timed out at once and the server stood still".

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, enqueue, key, millis, open, payloads};
use sessiond_tests::scale::Scale;
use sessiond_tests::simulated::Simulated;
use sessiond_tests::work_stream::WorkStream;
use tokio::task::JoinSet;

/// Sessions beside the hot one.
const QUIET: usize = 8;

#[tokio::test]
async fn a_hot_session_takes_nothing_from_quiet_ones() {
    let server = Simulated::start().await;
    let caller = server.caller();
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    caller.opened("hot").await;
    worker.attached_to(key("hot")).await;
    let many: Vec<String> = (0..200).map(|at| format!("hot {at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    caller.enqueued(key("hot"), &many).await;
    let mut out = worker.delivered(4).await;
    for at in 0..QUIET {
        let name = format!("quiet {at}");
        caller.opened(&name).await;
        worker.attached_to(key(&name)).await;
        caller.enqueued(key(&name), &[&name]).await;
    }
    // Each message that is settled makes room for one, and whoever waits has its turn before the hot one has its second.
    let mut heard = Vec::new();
    for _ in 0..=QUIET {
        assert_eq!(worker.code(ack(&out.remove(0))).await, pb::SettleCode::Ok);
        let next = worker.delivered(1).await;
        heard.extend(payloads(&next));
        out.extend(next);
    }
    let hot = heard.iter().filter(|one| one.starts_with("hot")).count();
    assert_eq!((heard.len(), hot), (QUIET + 1, 1), "{heard:?}");
}

/// Who sets the crowd up at the same time, so that many share a commit.
const CALLERS: usize = 64;

/// Leases that lapse at once.
fn leases() -> usize {
    Scale::from_env().pick(2_000, 10_000, 100_000)
}

/// A session with a message that is out under a lease of ten seconds.
async fn worked_on(caller: &Caller, at: usize) {
    let name = format!("s{at}");
    let brought = pb::EnqueueMessagesRequest {
        open_if_missing: Some(open(&name)),
        ..enqueue(key(&name), &["m"])
    };
    caller.enqueue(brought).await.expect("taken");
    let asked = pb::ClaimMessagesRequest {
        lease_duration: millis(10_000),
        ..claim(key(&name), &format!("w{at}"))
    };
    let out = caller.claim(asked).await.expect("a claim").deliveries;
    assert_eq!(out.len(), 1);
}

/// So many sessions that are worked on, each by a worker of its own.
async fn crowd(server: &Simulated, leases: usize) {
    let mut callers = JoinSet::new();
    for first in 0..CALLERS {
        let caller = server.caller();
        callers.spawn(async move {
            for at in (first..leases).step_by(CALLERS) {
                worked_on(&caller, at).await;
            }
        });
    }
    callers.join_all().await;
}

async fn message_counts(caller: &Caller) -> (u64, u64) {
    let stats = caller.stats(pb::GetStatsRequest::default()).await;
    let messages = stats.expect("the server counts").messages.expect("counts");
    (messages.in_flight, messages.pending)
}

/// Proves: F84.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_that_lapse_in_one_tick_return_everything_while_others_are_served() {
    const OTHERS: u64 = 50;
    let leases = leases();
    let slots = leases as u64 + 1;
    let server = Simulated::start_with(|policy| policy.all_pools.max_sessions = Some(slots)).await;
    let caller = server.caller();
    crowd(&server, leases).await;
    caller.opened("other").await;
    assert_eq!(message_counts(&caller).await, (leases as u64, 0));
    server.advance(Duration::from_millis(9_999)).await;
    assert_eq!(message_counts(&caller).await, (leases as u64, 0));
    let served = {
        let caller = server.caller();
        tokio::spawn(async move {
            for at in 0..OTHERS {
                caller.enqueued(key("other"), &[&format!("m{at}")]).await;
            }
        })
    };
    server.advance(Duration::from_millis(1)).await;
    served.await.expect("others are served");
    let all = leases as u64 + OTHERS;
    assert_eq!(message_counts(&caller).await, (0, all));
}
