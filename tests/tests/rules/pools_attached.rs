//! How many sessions of a pool workers hold at once: who is refused, who waits, and who is served when one is given back.

use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, claim, claim_any, claim_within, id, key, millis, open, payloads,
};
use sessiond_tests::server::Server;
use sessiond_tests::work_stream::{WorkStream, serving};
use tonic::Code;

/// One session of the default pool at a time.
const ONE: &str = "[pools.default]\nmax_attached = 1\n\n[pools.wide]\n";

async fn pools(caller: &Caller) -> Vec<pb::PoolInfo> {
    let answer = caller.list_pools(pb::ListPoolsRequest {}).await;
    answer.expect("a list").pools
}

async fn attached(caller: &Caller, pool: &str) -> u64 {
    let pools = pools(caller).await;
    let found = pools.iter().find(|one| one.pool == pool);
    found.expect("the pool is listed").attached
}

#[tokio::test]
async fn a_worker_that_asks_for_one_more_is_refused_and_told_why() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    for name in ["a", "b"] {
        caller.with_work(open(name)).await;
    }
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(attached(&caller, "default").await, 1);
    let check = |refused: sessiond_tests::refusal::Refusal| {
        refused
            .is(Code::ResourceExhausted, Reason::QuotaExceeded)
            .with("limit", "1")
            .with("scope", "attached sessions of pool default")
            .retries_within(Duration::from_secs(10));
    };
    let refused = caller.claim(claim(key("b"), "v")).await;
    check(refused.expect_err("workers hold one"));
    let again = caller.claimed(key("a"), "w").await;
    assert_eq!(payloads(&again), payloads(&out), "what it holds it keeps");
    let mut worker = WorkStream::worker(&caller, "u", 10).await;
    let second = caller.session(key("b")).await.session_id;
    worker.attach(id(&second));
    let failed = worker.attach_failed().await;
    assert_eq!(failed.reason, Reason::QuotaExceeded.as_str());
    let wide = pb::OpenSessionRequest {
        pool: "wide".to_owned(),
        ..open("c")
    };
    caller.with_work(wide).await;
    worker.attached_to(key("c")).await;
    assert_eq!(attached(&caller, "wide").await, 1, "another pool");
}

/// Proves: F32.
#[tokio::test]
async fn whoever_waits_for_work_is_served_when_a_session_is_given_back() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    for name in ["a", "b", "c"] {
        caller.with_work(open(name)).await;
        caller.a_millisecond_later().await;
    }
    let (mut first, _) =
        WorkStream::greet(&caller, serving("w", 10, pb::SessionFilter::default())).await;
    let held = first.attached().await.session.unwrap();
    assert_eq!(held.key, "a", "oldest work first, and one at a time");
    let deliveries = first.deliveries().await;
    let (mut second, _) =
        WorkStream::greet(&caller, serving("v", 10, pb::SessionFilter::default())).await;
    second.is_quiet().await;
    let any = claim_any(pb::SessionFilter::default(), "u");
    let nothing = caller.claim(any).await.expect("a claim").deliveries;
    assert!(nothing.is_empty(), "it may not have one more either");
    let waits = claim_within(key("c"), "u", 25_000);
    let patient = {
        let caller = caller.clone();
        tokio::spawn(async move { caller.claim(waits).await })
    };
    first.settle(vec![ack(&deliveries[0])]).await;
    first.say(Said::Goodbye(pb::Goodbye::default()));
    let next = second.attached().await.session.unwrap();
    assert_eq!(next.key, "b");
    let out = second.deliveries().await;
    second.settle(vec![ack(&out[0])]).await;
    second.say(Said::Goodbye(pb::Goodbye::default()));
    let served = patient.await.expect("it ends").expect("a claim");
    assert_eq!(payloads(&served.deliveries), ["c"]);
}

#[tokio::test]
async fn pools_are_listed_with_their_limits_and_how_full_they_are() {
    let config = "[session]\nmax_sessions = 7\n\n[pools.default]\nmax_attached = 3\n\n\
                  [pools.narrow]\nmax_sessions = 1\nwhen_full = \"wait\"\nwait = \"90s\"\n\
                  emergency_idle = \"never\"\n\n[pools.open]\nmax_sessions = \"never\"\n\
                  when_full = \"evict\"\n";
    let server = Server::configured(config);
    let caller = Caller::to(&server).await;
    let narrow = |of: &str| pb::OpenSessionRequest {
        pool: "narrow".to_owned(),
        ..open(of)
    };
    let names = ["a", "b", "c"];
    let mut opened = Vec::new();
    for name in names {
        opened.push(caller.open(narrow(name)).await.expect("opened"));
    }
    let listed = pools(&caller).await;
    let names: Vec<&str> = listed.iter().map(|one| one.pool.as_str()).collect();
    assert_eq!(names, ["default", "narrow", "open"]);
    assert!(listed.iter().all(|one| one.configured));
    let [default, narrow, open] = &listed[..] else {
        panic!("three pools: {listed:?}");
    };
    assert_eq!(
        (default.max_sessions, default.max_attached),
        (Some(7), Some(3))
    );
    assert_eq!(default.when_full(), pb::WhenFull::Reject);
    assert_eq!((default.live, default.queued), (0, 0));
    assert_eq!(default.default_wait, None);
    assert_eq!(default.oldest_waiting_time, None);
    assert_eq!((narrow.max_sessions, narrow.max_attached), (Some(1), None));
    assert_eq!((narrow.live, narrow.queued, narrow.draining), (1, 2, 0));
    assert_eq!(narrow.when_full(), pb::WhenFull::Wait);
    assert_eq!(narrow.default_wait, millis(90_000));
    assert_eq!(narrow.emergency_idle, sessiond_tests::requests::never());
    let next = opened[1].session.as_ref().unwrap();
    assert_eq!(narrow.oldest_waiting_id, next.session_id);
    assert_eq!(narrow.oldest_waiting_time, next.create_time);
    assert_eq!((open.max_sessions, open.live), (None, 0));
    assert_eq!(open.when_full(), pb::WhenFull::Evict);
    let info = caller.info(pb::GetServerInfoRequest {}).await;
    assert_eq!(info.expect("an answer").limits.unwrap().max_sessions, 7);
}
