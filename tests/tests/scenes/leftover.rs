//! "Everything was shut down, and one session was left": it had been used in the very instant of the sweep.

use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{id, key, millis, open, span};
use sessiond_tests::simulated::Simulated;
use tonic::Code;

/// Sessions of each manner of use.
const OF_EACH: usize = 25;
/// The least threshold of a sweep, and what a shorter one is rounded up to.
const TICK: Duration = Duration::from_millis(1);

fn touch(name: &str) -> pb::TouchSessionRequest {
    pb::TouchSessionRequest {
        r#ref: key(name),
        usage_delta: None,
    }
}

/// Both limits as tight as this.
fn within(tight: Duration) -> pb::SweepRequest {
    pb::SweepRequest {
        idle_timeout: span(tight),
        max_lifetime: span(tight),
        ..pb::SweepRequest::default()
    }
}

fn all() -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        filter: Some(pb::SessionFilter::default()),
        reason: pb::EndReason::Shutdown.into(),
        ..pb::EndSessionsRequest::default()
    }
}

/// Sessions in all manners of use, every one used in this instant.
async fn in_use(caller: &Caller) -> Vec<String> {
    let mut sessions = Vec::new();
    for at in 0..OF_EACH {
        for manner in ["touched", "pending", "requested", "worked"] {
            let name = format!("{manner}{at}");
            sessions.push(caller.opened(&name).await.session_id);
            match manner {
                "touched" => drop(caller.touch(touch(&name)).await.expect("touched")),
                "pending" => drop(caller.enqueued(key(&name), &["m"]).await),
                "requested" => {
                    let request = pb::BeginRequestRequest {
                        r#ref: key(&name),
                        ..pb::BeginRequestRequest::default()
                    };
                    caller.begin_request(request).await.expect("begun");
                }
                _ => {
                    caller.enqueued(key(&name), &["m"]).await;
                    let out = caller.claimed(key(&name), &format!("w{at}")).await;
                    assert_eq!(out.len(), 1);
                }
            }
        }
    }
    // It waits for a slot, for the pool is full.
    let waits = pb::OpenSessionRequest {
        wait_for_slot: millis(60_000),
        ..open("waits")
    };
    let waits = caller.open(waits).await.expect("opened").session;
    sessions.push(waits.expect("a session").session_id);
    sessions
}

async fn full_of_use() -> (Simulated, Vec<String>) {
    let slots = 4 * OF_EACH as u64;
    let server = Simulated::start_with(|policy| policy.all_pools.max_sessions = Some(slots)).await;
    let sessions = in_use(&server.caller()).await;
    (server, sessions)
}

/// Nobody is left, and a sweep as tight as can be finds nobody to look at.
async fn nobody_is_left(caller: &Caller, sessions: &[String], reason: pb::EndReason) {
    let swept = caller.sweep(within(TICK)).await.expect("a sweep");
    assert_eq!((swept.examined, swept.results.len()), (0, 0));
    for session in sessions {
        let end = caller.session(id(session)).await.end;
        assert_eq!(end.expect("it has ended").reason(), reason);
    }
    let stats = caller.stats(pb::GetStatsRequest::default()).await;
    let left = stats.expect("counts").sessions.expect("counts");
    assert_eq!((left.active, left.draining, left.queued), (0, 0, 0));
}

/// Proves: F23.
#[tokio::test]
async fn an_end_of_all_leaves_none_not_even_one_that_was_used_in_the_same_instant() {
    let (server, sessions) = full_of_use().await;
    let caller = server.caller();
    let at_once = pb::EndSessionsRequest {
        mode: pb::EndMode::Immediate.into(),
        ..all()
    };
    let told = caller.end_many(at_once).await.expect("ended").results;
    assert_eq!(told.len(), sessions.len());
    nobody_is_left(&caller, &sessions, pb::EndReason::Shutdown).await;
}

/// Proves: F23.
#[tokio::test]
async fn all_that_are_ended_by_one_call_have_their_grace_at_the_same_time() {
    const GRACE: Duration = Duration::from_secs(5);
    let (server, sessions) = full_of_use().await;
    let caller = server.caller();
    let graceful = pb::EndSessionsRequest {
        mode: pb::EndMode::Graceful.into(),
        end_grace: span(GRACE),
        ..all()
    };
    let told = caller.end_many(graceful).await.expect("ended").results;
    let drain = told
        .iter()
        .filter(|one| one.outcome() == pb::EndOutcome::Draining);
    assert_eq!(
        drain.count(),
        2 * OF_EACH,
        "those that somebody is at work on"
    );
    server.advance(GRACE - TICK).await;
    let counts = async || {
        let stats = caller.stats(pb::GetStatsRequest::default()).await;
        stats.expect("counts").sessions.expect("counts").draining
    };
    assert_eq!(counts().await, 2 * OF_EACH as u64, "none is hurried");
    server.advance(TICK).await;
    nobody_is_left(&caller, &sessions, pb::EndReason::Shutdown).await;
}

/// Proves: F23.
#[tokio::test]
async fn a_sweep_spares_what_was_used_in_its_instant_and_no_threshold_means_everybody() {
    let server = Simulated::start().await;
    let caller = server.caller();
    caller.opened("a").await;
    server.advance(Duration::from_secs(10)).await;
    caller.touch(touch("a")).await.expect("touched");
    let nothing = within(Duration::ZERO);
    let refused = caller
        .sweep(nothing)
        .await
        .expect_err("an end of all is asked for as one");
    refused.is(Code::InvalidArgument, Reason::FieldInvalid);
    let idle = |tight| pb::SweepRequest {
        max_lifetime: None,
        ..within(tight)
    };
    let found = async |tight| {
        let swept = caller.sweep(idle(tight)).await.expect("a sweep");
        assert_eq!(swept.examined, 1);
        swept.results.len()
    };
    let least = Duration::from_nanos(1);
    assert_eq!(found(least).await, 0, "it was used in this instant");
    server.advance(TICK).await;
    assert_eq!(
        found(least).await,
        0,
        "the least is a millisecond, and that long is not longer"
    );
    server.advance(TICK).await;
    assert_eq!(found(least).await, 1);
    assert_eq!(
        caller.session(key("a")).await.state(),
        pb::SessionState::Ended
    );
}
