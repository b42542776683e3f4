//! Pools across a kill and a start: who waits keeps place and time, and other limits hold from then on.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, id, key, millis, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

const ONE: &str = "[session]\nmax_sessions = 1\n";
const LONG: u64 = 3_600_000;

async fn waiting(caller: &Caller, of: &str) -> pb::Session {
    let request = pb::OpenSessionRequest {
        wait_for_slot: millis(LONG),
        ..open(of)
    };
    let session = caller.opened_as(request).await;
    assert_eq!(session.state(), pb::SessionState::Queued);
    session
}

async fn states(caller: &Caller, sessions: &[&pb::Session]) -> Vec<pb::SessionState> {
    let mut states = Vec::new();
    for session in sessions {
        states.push(caller.session(id(&session.session_id)).await.state());
    }
    states
}

use pb::SessionState::{Active, Ended, Queued};

/// Proves: F32.
#[tokio::test]
async fn whoever_waits_keeps_place_and_time_through_a_kill() {
    let mut server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    let holder = caller.opened("a").await;
    let (first, second) = (waiting(&caller, "b").await, waiting(&caller, "c").await);
    caller.enqueued(key("b"), &["m"]).await;
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let all = [&holder, &first, &second];
    assert_eq!(states(&caller, &all).await, [Active, Queued, Queued]);
    let again = caller.session(id(&first.session_id)).await;
    assert_eq!(again.waiting_for(), pb::WaitingFor::Slot);
    let (before, after) = (first.expire_time.unwrap(), again.expire_time.unwrap());
    assert!(
        (after.seconds, after.nanos) > (before.seconds, before.nanos),
        "the time it was down does not count"
    );
    let request = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(request).await.expect("ended");
    assert_eq!(states(&caller, &all).await, [Ended, Active, Queued]);
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(states(&caller, &all).await, [Ended, Active, Queued]);
    let out = caller.claimed(key("b"), "w").await;
    assert_eq!(out.len(), 1, "what came while it waited goes out");
}

#[tokio::test]
async fn a_start_with_a_higher_limit_lets_in_whoever_waits() {
    let mut server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    let holder = caller.opened("a").await;
    let waiters = [
        &waiting(&caller, "b").await,
        &waiting(&caller, "c").await,
        &waiting(&caller, "d").await,
    ];
    server.kill();
    server.configure("[session]\nmax_sessions = 3\n");
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(states(&caller, &waiters).await, [Active, Active, Queued]);
    let revision = caller.revision().await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    let admitted: Vec<String> = watch
        .up_to(revision)
        .await
        .into_iter()
        .filter(|event| event.r#type() == pb::EventType::SessionAdmitted)
        .map(|event| event.session.unwrap().key)
        .collect();
    assert_eq!(admitted, ["b", "c"], "in their order");
    // A lower one ends nobody and lets nobody in.
    server.kill();
    server.configure(ONE);
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(states(&caller, &waiters).await, [Active, Active, Queued]);
    for session in [&holder, waiters[0]] {
        let request = end(
            id(&session.session_id),
            pb::EndReason::Completed,
            pb::EndMode::Immediate,
        );
        caller.end(request).await.expect("ended");
    }
    assert_eq!(states(&caller, &waiters).await, [Ended, Active, Queued]);
    let refused = caller.open(open("e")).await.expect_err("it is full");
    refused
        .is(Code::ResourceExhausted, Reason::TooManySessions)
        .with("limit", "1");
}

#[tokio::test]
async fn sessions_of_a_pool_that_is_configured_no_more_live_on() {
    let mut server = Server::configured("[pools.old]\nmax_sessions = 1\n");
    let caller = Caller::to(&server).await;
    let old = |of: &str, wait| pb::OpenSessionRequest {
        pool: "old".to_owned(),
        wait_for_slot: wait,
        ..open(of)
    };
    let first = caller.open(old("a", None)).await.expect("opened");
    let second = caller.open(old("b", millis(LONG))).await.expect("opened");
    let sessions = [&first.session.unwrap(), &second.session.unwrap()];
    assert_eq!(states(&caller, &sessions).await, [Active, Queued]);
    server.kill();
    server.configure("");
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(
        states(&caller, &sessions).await,
        [Active, Active],
        "by the limit of other pools"
    );
    let refused = caller.open(old("c", None)).await.expect_err("no such pool");
    refused.is(Code::NotFound, Reason::PoolNotFound);
    let listed = caller.list_pools(pb::ListPoolsRequest {}).await;
    let listed = listed.expect("a list").pools;
    let told: Vec<(&str, bool, u64)> = listed
        .iter()
        .map(|one| (one.pool.as_str(), one.configured, one.live))
        .collect();
    assert_eq!(told, [("default", true, 0), ("old", false, 2)]);
}
