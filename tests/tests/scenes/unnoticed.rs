//! "Everything answered, and nothing was done": what an operator is told when work waits for a worker, or stands still.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, key, millis};
use sessiond_tests::simulated::{STARTS_AT_MS, Simulated};

/// What is told of the work, with times as seconds since the test began.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    unserved: Option<(i64, String)>,
    acked: u64,
    last_ack: Option<i64>,
    /// Held, working, stalled.
    leases: [u64; 3],
    silent: Option<(i64, String)>,
}

async fn told(caller: &Caller) -> Told {
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let work = stats.work.expect("the work is told of");
    let began = i64::try_from(STARTS_AT_MS / 1_000).expect("a time of today");
    let second = |time: prost_types::Timestamp| time.seconds - began;
    let named = |time: Option<prost_types::Timestamp>, session: String| {
        assert_eq!(
            time.is_some(),
            !session.is_empty(),
            "a time has its session"
        );
        time.map(|time| (second(time), session))
    };
    Told {
        unserved: named(work.oldest_unserved_time, work.oldest_unserved_session_id),
        acked: work.acked,
        last_ack: work.last_ack_time.map(second),
        leases: [work.leases, work.leases_working, work.leases_stalled]
            .map(|count| count.expect("the engine says so")),
        silent: named(work.oldest_progress_time, work.oldest_progress_session_id),
    }
}

async fn pass(server: &Simulated, seconds: u64) {
    server.advance(Duration::from_secs(seconds)).await;
}

fn claim_for_an_hour(of: &str) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        lease_duration: millis(3_600_000),
        max_messages: Some(1),
        ..claim(key(of), "w")
    }
}

/// Proves: G16.
#[tokio::test]
async fn work_that_no_worker_takes_is_told_with_its_age_and_session() {
    let server = Simulated::start().await;
    let caller = server.caller();
    let quiet = Told {
        unserved: None,
        acked: 0,
        last_ack: None,
        leases: [0; 3],
        silent: None,
    };
    assert_eq!(told(&caller).await, quiet, "there is none");
    let a = caller.opened("a").await.session_id;
    let b = caller.opened("b").await.session_id;
    pass(&server, 10).await;
    caller.enqueued(key("a"), &["first"]).await;
    pass(&server, 10).await;
    caller.enqueued(key("b"), &["second"]).await;
    assert_eq!(told(&caller).await.unserved, Some((10, a)), "the oldest");
    let out = caller.claim(claim_for_an_hour("a")).await.expect("a claim");
    assert_eq!(
        told(&caller).await.unserved,
        Some((20, b.clone())),
        "the other one has a worker"
    );
    pass(&server, 5).await;
    caller.settled(vec![ack(&out.deliveries[0])]).await;
    let after = told(&caller).await;
    assert_eq!((after.acked, after.last_ack), (1, Some(25)));
    assert_eq!(after.unserved, Some((20, b)), "and it still waits");
}

/// Proves: G16.
#[tokio::test]
async fn work_that_was_taken_and_stands_still_is_told_until_something_of_it_moves() {
    let mut server = Simulated::start().await;
    let caller = server.caller();
    let slow = caller.opened("slow").await.session_id;
    caller.opened("quick").await;
    for of in ["slow", "quick"] {
        caller.enqueued(key(of), &["m", "n"]).await;
    }
    let stands = caller
        .claim(claim_for_an_hour("slow"))
        .await
        .expect("a claim");
    pass(&server, 1).await;
    let moves = caller
        .claim(claim_for_an_hour("quick"))
        .await
        .expect("a claim");
    pass(&server, 58).await;
    let before = told(&caller).await;
    assert_eq!(before.leases, [2, 2, 0], "59 s are no minute");
    assert_eq!(before.silent, Some((0, slow.clone())));
    pass(&server, 1).await;
    assert_eq!(told(&caller).await.leases, [2, 2, 1]);
    caller.settled(vec![ack(&moves.deliveries[0])]).await;
    let settled = told(&caller).await;
    assert_eq!(
        settled.leases,
        [2, 1, 1],
        "one has nothing left to get on with"
    );
    assert_eq!(settled.silent, Some((0, slow.clone())));
    server.restart().await;
    let caller = server.caller();
    let anew = told(&caller).await;
    assert_eq!(anew.leases, [2, 1, 0], "a restart makes nobody slow");
    assert_eq!(anew.silent, Some((60, slow.clone())));
    assert_eq!((anew.acked, anew.last_ack), (0, None), "of this process");
    pass(&server, 60).await;
    assert_eq!(told(&caller).await.leases, [2, 1, 1]);
    caller.settled(vec![ack(&stands.deliveries[0])]).await;
    let done = told(&caller).await;
    assert_eq!((done.leases, done.silent), ([2, 0, 0], None));
    assert_eq!(done.last_ack, Some(120));
}
