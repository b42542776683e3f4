//! "Two callers waited, one session was idle, and both ended something", and "the session I was using was evicted".

use std::time::Duration;

use sessiond_core::limits::WhenFull;
use sessiond_core::time::Limit;
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, enqueue, id, key, millis, never, open};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::watch_stream::{WatchStream, about};
use sessiond_tests::work_stream::{WorkStream, serving};
use tonic::Code;

/// A server whose pools have so many slots, which the idlest gives up.
async fn evicting(slots: u64) -> Simulated {
    Simulated::start_with(|policy| {
        policy.all_pools.max_sessions = Some(slots);
        policy.all_pools.when_full = WhenFull::Evict;
        policy.all_pools.emergency_idle = Limit::Never;
        policy.all_pools.emergency_age = Limit::Never;
    })
    .await
}

/// Opens a key that waits for its slot for an hour.
fn patient(name: &str) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        wait_for_slot: millis(3_600_000),
        ..open(name)
    }
}

/// Brings work, and the session that it is for.
async fn brought(caller: &Caller, name: &str) {
    let request = pb::EnqueueMessagesRequest {
        open_if_missing: Some(patient(name)),
        ..enqueue(key(name), &[name])
    };
    caller.enqueue(request).await.expect("taken");
}

fn begin(session: &str) -> pb::BeginRequestRequest {
    pb::BeginRequestRequest {
        r#ref: id(session),
        ..pb::BeginRequestRequest::default()
    }
}

async fn state(caller: &Caller, name: &str) -> pb::SessionState {
    caller.session(key(name)).await.state()
}

/// Why a session ended.
async fn ended_by(caller: &Caller, session: &str) -> pb::EndReason {
    let end = caller.session(id(session)).await.end;
    end.expect("it has ended").reason()
}

/// Proves: F31, G12.
#[tokio::test]
async fn of_two_callers_and_one_idle_session_one_gets_its_slot_and_the_other_the_next() {
    let server = evicting(2).await;
    let caller = server.caller();
    let everything = pb::SessionFilter::default();
    let (mut worker, _) = WorkStream::greet(&caller, serving("w", 8, everything)).await;
    let idle = caller.opened("idle").await.session_id;
    brought(&caller, "busy").await;
    let busy = worker.attached().await.session.expect("a session");
    let out = worker.delivered(1).await;
    server.advance(Duration::from_secs(5)).await;
    let mut watch = WatchStream::from_now(&caller).await;
    tokio::join!(brought(&caller, "one"), brought(&caller, "two"));
    let winner = worker.attached().await.session.expect("a session").key;
    worker.delivered(1).await;
    let loser = if winner == "one" { "two" } else { "one" };
    assert_eq!(state(&caller, &winner).await, pb::SessionState::Active);
    assert_eq!(state(&caller, loser).await, pb::SessionState::Queued);
    assert_eq!(ended_by(&caller, &idle).await, pb::EndReason::Evicted);
    assert_eq!(state(&caller, "busy").await, pb::SessionState::Active);
    // The next slot is there when the work is done, and whoever waits looks for it once a second.
    assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
    server.advance(Duration::from_millis(999)).await;
    assert_eq!(state(&caller, loser).await, pb::SessionState::Queued);
    server.advance(Duration::from_millis(1)).await;
    assert_eq!(state(&caller, loser).await, pb::SessionState::Active);
    let fence = caller.revision().await;
    let mut ends = watch.up_to(fence).await;
    ends.retain(|event| event.r#type() == pb::EventType::SessionEnd);
    let ends: Vec<&str> = ends.iter().map(about).collect();
    assert_eq!(ends, [idle, busy.session_id], "one victim for each");
}

/// Proves: F31, G21.
#[tokio::test]
async fn a_use_that_comes_before_the_eviction_saves_the_victim_and_one_after_it_is_refused() {
    let server = evicting(2).await;
    let caller = server.caller();
    let first = caller.opened("first").await.session_id;
    server.advance(Duration::from_secs(1)).await;
    let second = caller.opened("second").await.session_id;
    server.advance(Duration::from_secs(1)).await;
    // It stands first in the order of idleness until somebody looks.
    caller.begin_request(begin(&first)).await.expect("in use");
    assert_eq!(caller.opened("new").await.state(), pb::SessionState::Active);
    assert_eq!(ended_by(&caller, &second).await, pb::EndReason::Evicted);
    assert_eq!(state(&caller, "first").await, pb::SessionState::Active);
    let late = caller.begin_request(begin(&second)).await;
    late.expect_err("it has ended")
        .is(Code::FailedPrecondition, Reason::SessionEnded)
        .with("end_reason", "EVICTED");
}

/// Proves: F31, G21.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_that_races_the_eviction_either_saves_the_victim_or_is_refused() {
    const ROUNDS: usize = 40;
    let server = evicting(1).await;
    let caller = server.caller();
    for round in 0..ROUNDS {
        let victim = caller.opened(&format!("v{round}")).await.session_id;
        server.advance(Duration::from_millis(1)).await;
        let other = format!("n{round}");
        let user = {
            let (caller, request) = (caller.clone(), begin(&victim));
            tokio::spawn(async move { caller.begin_request(request).await })
        };
        let opened = caller.open(patient(&other)).await.expect("opened");
        let opened = opened.session.expect("a session");
        let begun = user.await.expect("it is answered");
        if opened.state() == pb::SessionState::Active {
            assert_eq!(ended_by(&caller, &victim).await, pb::EndReason::Evicted);
            assert!(begun.is_err(), "round {round}: it was in use and is gone");
        } else {
            assert_eq!(opened.state(), pb::SessionState::Queued, "round {round}");
            begun.expect("it was spared because it is in use");
            let spared = caller.session(id(&victim)).await;
            assert_eq!(spared.state(), pb::SessionState::Active);
            assert_eq!(spared.active_requests, 1);
        }
        for session in [&opened.session_id, &victim] {
            let over = end(
                id(session),
                pb::EndReason::Completed,
                pb::EndMode::Immediate,
            );
            caller.end(over).await.expect("ended");
        }
    }
}

/// The clock of a session stands while it waits, and so does the day for which its pending work keeps it.
///
/// Proves: F28.
#[tokio::test]
async fn work_that_waited_with_its_session_keeps_it_for_a_whole_day_from_its_slot_on() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let server = Simulated::start_with(|policy| policy.all_pools.max_sessions = Some(1)).await;
    let caller = server.caller();
    let holds = pb::OpenSessionRequest {
        idle_timeout: never(),
        max_lifetime: never(),
        ..open("holds")
    };
    caller.open(holds).await.expect("opened");
    let waits = pb::OpenSessionRequest {
        wait_for_slot: millis(24 * 3_600_000),
        max_lifetime: never(),
        ..open("waits")
    };
    caller.open(waits).await.expect("opened");
    caller.enqueued(key("waits"), &["m"]).await;
    server.advance(20 * HOUR).await;
    let over = end(
        key("holds"),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(over).await.expect("ended");
    server.advance(24 * HOUR).await;
    assert_eq!(state(&caller, "waits").await, pb::SessionState::Active);
    server.advance(2 * HOUR).await;
    assert_eq!(state(&caller, "waits").await, pb::SessionState::Ended);
}
