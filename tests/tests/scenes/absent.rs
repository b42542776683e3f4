//! "The worker was down for a day, the pool was full of its sessions, and nobody could open anything", without losing what
//! they had to do.

use std::time::Duration;

use sessiond_core::limits::{PoolPolicy, WhenFull};
use sessiond_core::time::Limit;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, id, key, payloads};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::work_stream::{WorkStream, serving};

/// Slots of the pool, all of them with work for the worker that is away.
const SLOTS: usize = 8;
/// Messages of each session.
const MESSAGES: usize = 4;
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn own(at: usize) -> String {
    format!("own{at}")
}

fn work(at: usize) -> Vec<String> {
    let numbers = 0..MESSAGES;
    numbers.map(|number| format!("{at}:{number}")).collect()
}

/// Serves those of its own, one message at a time.
async fn worker(caller: &Caller) -> WorkStream {
    let own = pb::SessionFilter {
        key_prefix: "own".to_owned(),
        ..pb::SessionFilter::default()
    };
    WorkStream::greet(caller, serving("w", 1, own)).await.0
}

/// A full pool of sessions with work, the first message of which is out when the worker goes.
async fn fill(caller: &Caller) -> Vec<String> {
    let mut gone = worker(caller).await;
    let mut sessions = Vec::new();
    for at in 0..SLOTS {
        sessions.push(caller.opened(&own(at)).await.session_id);
        let work = work(at);
        let work: Vec<&str> = work.iter().map(String::as_str).collect();
        caller.enqueued(key(&own(at)), &work).await;
    }
    gone.attached().await;
    let out = gone.delivered(1).await;
    assert_eq!(payloads(&out), ["0:0"]);
    sessions
}

/// Everything that a worker which is back is given, in its order.
async fn done(caller: &Caller) -> Vec<String> {
    let mut worker = worker(caller).await;
    let mut heard = Vec::new();
    while heard.len() < SLOTS * MESSAGES {
        let pb::work_response::Frame::Delivery(batch) = worker.next().await else {
            continue;
        };
        heard.extend(payloads(&batch.deliveries));
        for delivery in &batch.deliveries {
            // What comes of it is read with the next frames.
            let settlements = vec![ack(delivery)];
            worker.say(pb::work_request::Frame::Settle(pb::Settle { settlements }));
        }
    }
    heard
}

async fn a_day_without_the_worker(pools: impl FnOnce(&mut PoolPolicy), reason: pb::EndReason) {
    let server = Simulated::start_with(|policy| pools(&mut policy.all_pools)).await;
    let caller = server.caller();
    let sessions = fill(&caller).await;
    server.advance(DAY).await;
    for session in &sessions {
        let session = caller.session(id(session)).await;
        assert_eq!(session.state(), pb::SessionState::Active, "no emergency");
        assert_eq!(session.counts.expect("counts").pending, MESSAGES as u64);
    }
    for at in 0..SLOTS {
        let opened = caller.opened(&format!("new{at}")).await;
        assert_eq!(opened.state(), pb::SessionState::Active);
    }
    for session in &sessions {
        let end = caller.session(id(session)).await.end.expect("an end");
        assert_eq!(end.reason(), reason);
        assert_eq!(end.pending_kept, MESSAGES as u64, "its queue is held");
    }
    assert!(caller.dead_letters_of(None).await.is_empty());
    // Those that came meanwhile are done with after a while.
    server.advance(Duration::from_secs(301)).await;
    for (at, before) in sessions.iter().enumerate() {
        let again = caller.opened(&own(at)).await;
        assert_eq!(again.state(), pb::SessionState::Active);
        assert_eq!(&again.predecessor_id, before);
        assert_eq!(again.counts.expect("counts").pending, MESSAGES as u64);
    }
    let heard = done(&caller).await;
    for at in 0..SLOTS {
        let of_one = format!("{at}:");
        let of_one = heard.iter().filter(|one| one.starts_with(&of_one));
        assert!(work(at).iter().eq(of_one), "in order: {heard:?}");
    }
    assert_eq!(heard.len(), SLOTS * MESSAGES, "and each once");
}

/// Proves: F27.
#[tokio::test]
async fn a_full_pool_sweeps_what_waits_for_a_worker_that_is_away_and_nothing_is_lost() {
    let sweeps = |pools: &mut PoolPolicy| pools.max_sessions = Some(SLOTS as u64);
    a_day_without_the_worker(sweeps, pb::EndReason::Idle).await;
}

/// Proves: F31.
#[tokio::test]
async fn a_full_pool_evicts_what_waits_for_a_worker_that_is_away_and_nothing_is_lost() {
    let evicts = |pools: &mut PoolPolicy| {
        pools.max_sessions = Some(SLOTS as u64);
        pools.when_full = WhenFull::Evict;
        pools.emergency_idle = Limit::Never;
        pools.emergency_age = Limit::Never;
    };
    a_day_without_the_worker(evicts, pb::EndReason::Evicted).await;
}
