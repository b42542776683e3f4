//! A start that finds much to do, and is killed in the midst of it, again and again.
//!
//! Invariant: whatever the record says is served after the first start that is let live: every session lives, every
//! message that was acknowledged is there once, what was in a worker's hands comes back uncounted, and ends that were
//! under way end as they were decided. What this deliberately does not do: measure how long a start takes; the benchmark
//! does.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{claim, end, enqueue, id, key, millis, open};
use sessiond_tests::scale::Scale;
use sessiond_tests::seed;
use sessiond_tests::server::Server;

/// Calls under way at once.
const AT_ONCE: usize = 64;

/// Messages of each session.
const MESSAGES: [&str; 2] = ["one", "two"];

/// Starts that are killed before one is let live.
const STILLBORN: u32 = 8;

/// The longest life of a start that is killed: a whole start with some to spare, so that kills fall into all parts of it.
const LIFE_MAX: Duration = Duration::from_millis(400);

/// One session in so many is ending when the server is killed.
const ENDING: usize = 10;

fn name(at: usize) -> String {
    format!("s{at}")
}

/// A session with work, a part of it in a worker's hands; answers with its id.
async fn prepared(caller: &Caller, at: usize) -> String {
    let name = name(at);
    let opened = caller.enqueue(pb::EnqueueMessagesRequest {
        open_if_missing: Some(open(&name)),
        ..enqueue(key(&name), &MESSAGES)
    });
    let session = opened.await.expect("taken").session_id;
    let claimed = caller.claim(pb::ClaimMessagesRequest {
        max_messages: Some(1),
        lease_duration: millis(3_600_000),
        ..claim(key(&name), &format!("w{at}"))
    });
    assert_eq!(claimed.await.expect("a claim").deliveries.len(), 1);
    if at.is_multiple_of(ENDING) {
        let ending = pb::EndSessionRequest {
            end_grace: millis(3_600_000),
            ..end(id(&session), pb::EndReason::Reset, pb::EndMode::Graceful)
        };
        caller.end(ending).await.expect("an end");
    }
    session
}

/// What became of the session.
async fn recovered(caller: &Caller, at: usize, session: &str) {
    let found = caller.session(id(session)).await;
    let expected = if at.is_multiple_of(ENDING) {
        pb::SessionState::Draining
    } else {
        pb::SessionState::Active
    };
    assert_eq!(found.state(), expected, "{session}");
    let counts = found.counts.expect("counts");
    assert_eq!((counts.pending, counts.in_flight), (1, 1), "{session}");
    let lease = found.lease.expect("a lease");
    assert_eq!(lease.worker, format!("w{at}"));
    // The worker that held it asks again, and has what it had.
    if expected == pb::SessionState::Active {
        let again = claim(id(session), &format!("w{at}"));
        let held = caller.claim(again).await.expect("a claim").deliveries;
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].message.as_ref().expect("a message").attempt, 1);
    }
}

/// Proves: F51.
#[tokio::test]
async fn a_start_that_is_killed_again_and_again_loses_nothing() {
    let sessions = Scale::from_env().pick(500, 10_000, 10_000);
    let mut rng = seed::rng("recovery");
    let limit = format!("[session]\nmax_sessions = {sessions}\n");
    let mut server = Server::configured(&limit);
    let caller = Caller::to(&server).await;
    let ids: Vec<String> = stream::iter(0..sessions)
        .map(|at| prepared(&caller, at))
        .buffered(AT_ONCE)
        .collect()
        .await;
    server.kill();
    for _ in 0..STILLBORN {
        server.start_and_kill(LIFE_MAX.mul_f64(rng.f64()));
    }
    server.restart();
    let caller = Caller::to(&server).await;
    stream::iter(ids.iter().enumerate())
        .for_each_concurrent(AT_ONCE, |(at, session)| recovered(&caller, at, session))
        .await;
    let stats = caller.stats(pb::GetStatsRequest::default()).await;
    let stats = stats.expect("counts");
    let messages = stats.messages.expect("counts");
    assert_eq!(messages.pending, sessions as u64);
    assert_eq!(messages.in_flight, sessions as u64);
    let counted = stats.sessions.expect("counts");
    let ending = sessions.div_ceil(ENDING) as u64;
    assert_eq!(
        (counted.active, counted.draining),
        (sessions as u64 - ending, ending)
    );
}
