//! Leases: taken, renewed, lapsed and given back; what they cost is the lease and never the session.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, attempts, claim, claim_within, extend, id, key, millis, payloads,
};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about, types};

fn short(worker: &str, max: u32) -> pb::ClaimMessagesRequest {
    pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        max_messages: Some(max),
        ..claim(key("a"), worker)
    }
}

/// Proves: F47, G8, B15.
#[tokio::test]
async fn a_lease_that_nobody_renews_lapses_and_its_deliveries_return_counted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let first = caller.claim(short("w", 2)).await.expect("claimed");
    let mut watch = WatchStream::from_now(&caller).await;
    let waits = claim_within(None, "other", 20_000);
    let again = caller.claim(waits).await.expect("claimed");
    assert_eq!(payloads(&again.deliveries), ["one", "two"]);
    assert_eq!(attempts(&again.deliveries), [2, 2]);
    let epoch = again.lease.unwrap().epoch;
    assert!(epoch > first.lease.unwrap().epoch, "a new fencing token");
    let lost = watch.event(pb::EventType::WorkerLost, &session).await;
    assert_eq!(lost.actor.unwrap().kind(), pb::ActorKind::Reaper);
    assert_eq!(
        lost.attributes.get("instance_id").map(String::as_str),
        Some("w")
    );
    assert!(lost.session.unwrap().lease.is_none());
    let state = caller.session(id(&session)).await.state();
    assert_eq!(
        state,
        pb::SessionState::Active,
        "it costs the lease, not the session"
    );
}

#[tokio::test]
async fn a_lease_without_open_deliveries_lapses_as_a_detach() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one"]).await;
    let out = caller
        .claim(short("w", 1))
        .await
        .expect("claimed")
        .deliveries;
    caller.code(ack(&out[0])).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let told = watch.event(pb::EventType::WorkerDetached, &session).await;
    assert!(told.session.unwrap().lease.is_none());
}

/// Proves: F47, G8.
#[tokio::test]
async fn claims_and_extends_renew_a_lease() {
    const LEASE_MS: u64 = 2_000;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.opened("idle").await;
    caller.enqueued(key("a"), &["one"]).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let claims = || pb::ClaimMessagesRequest {
        lease_duration: millis(LEASE_MS),
        ..claim(key("a"), "w")
    };
    let first = caller.claim(claims()).await.expect("claimed");
    let epoch = first.lease.unwrap().epoch;
    // Two leases' time, told by the server: a wait for work that does not come.
    for round in 0..2 * LEASE_MS / 500 {
        let idle = claim_within(key("idle"), "clock", 500);
        assert_eq!(caller.claim(idle).await.expect("OK").deliveries, []);
        if round % 2 == 0 {
            let again = caller.claim(claims()).await.expect("claimed");
            assert_eq!(again.lease.unwrap().epoch, epoch);
            assert_eq!(attempts(&again.deliveries), [1]);
        } else {
            let told = caller
                .settled(vec![extend(&first.deliveries[0], LEASE_MS)])
                .await;
            assert_eq!(told[0].code(), pb::SettleCode::Ok);
        }
    }
    // Nobody renews it from here on.
    let lost = watch
        .until(|event| event.r#type() == pb::EventType::WorkerLost)
        .await;
    let told = [pb::EventType::WorkerAttached, pb::EventType::WorkerLost];
    assert_eq!(types(&lost), told, "once, and not before");
    assert_eq!(about(&lost[1]), session);
}

/// Proves: G4.
#[tokio::test]
async fn epochs_only_grow_over_all_sessions() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut newest = 0;
    for at in 0..20 {
        let name = format!("k{}", at % 4);
        caller.opened(&name).await;
        caller.enqueued(key(&name), &["m"]).await;
        let answer = caller.claim(claim(key(&name), "w")).await.expect("claimed");
        let lease = answer.lease.unwrap();
        if at < 4 {
            assert!(lease.epoch > newest, "each session its own");
            newest = lease.epoch;
        } else {
            assert!(lease.epoch <= newest, "kept while it is renewed");
        }
        caller
            .settled(answer.deliveries.iter().map(ack).collect())
            .await;
    }
}

#[tokio::test]
async fn a_lease_is_shown_with_the_moment_it_lapses() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let lease = caller
        .claim(claim(key("a"), "w"))
        .await
        .expect("claimed")
        .lease
        .unwrap();
    let shown = caller.session(key("a")).await.lease.unwrap();
    assert_eq!(
        (shown.epoch, shown.acquire_time),
        (lease.epoch, lease.acquire_time)
    );
    let lapses = |lease: &pb::Lease| {
        let time = lease.expire_time.unwrap();
        time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000
    };
    // Two clocks make it: what lapses is on one, what is shown on the other.
    assert!(
        (lapses(&shown) - lapses(&lease)).abs() <= 2,
        "{shown:?} {lease:?}"
    );
    let span = lease.expire_time.unwrap().seconds - lease.acquire_time.unwrap().seconds;
    assert!((59..=61).contains(&span), "60 s by default: {span}");
    let longer = pb::ClaimMessagesRequest {
        lease_duration: millis(3_600_000),
        ..claim(key("a"), "w")
    };
    let renewed = caller.claim(longer).await.expect("claimed").lease.unwrap();
    assert_eq!(renewed.epoch, lease.epoch);
    assert!(renewed.expire_time.unwrap().seconds >= lease.expire_time.unwrap().seconds + 3_500);
}
