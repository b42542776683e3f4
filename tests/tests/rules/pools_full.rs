//! Making room: the emergency sweep, the eviction of the idlest, and pools that let their callers wait.

use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, id, key, millis, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::{WorkStream, serving};
use tonic::Code;

/// Two slots; the idlest gives way.
const EVICT: &str = "[pools.default]\nmax_sessions = 2\nwhen_full = \"evict\"\nwait = \"never\"\n";

/// The end of a session that has ended.
async fn end_of(caller: &Caller, session: &str) -> pb::SessionEnd {
    let seen = caller.session(id(session)).await;
    assert_eq!(seen.state(), pb::SessionState::Ended, "{session} lives");
    seen.end.expect("an end")
}

async fn is_active(caller: &Caller, session: &str) -> bool {
    caller.session(id(session)).await.state() == pb::SessionState::Active
}

/// Proves: F31.
#[tokio::test]
async fn the_session_that_is_idle_for_longest_gives_its_slot_up() {
    let server = Server::configured(EVICT);
    let caller = Caller::to(&server).await;
    let first = caller.opened("a").await.session_id;
    caller.a_millisecond_later().await;
    let second = caller.opened("b").await.session_id;
    caller.a_millisecond_later().await;
    caller.touched(id(&first)).await;
    caller.enqueued(id(&second), &["m"]).await;
    caller.a_millisecond_later().await;
    caller.touched(id(&first)).await;
    let third = caller.opened("c").await;
    assert_eq!(third.state(), pb::SessionState::Active);
    let end = end_of(&caller, &second).await;
    assert_eq!(end.reason(), pb::EndReason::Evicted);
    assert_eq!(end.reason_class(), pb::EndReasonClass::Reaped);
    assert_eq!(
        end.pending_kept, 1,
        "nobody works on it, and nothing is lost"
    );
    assert!(is_active(&caller, &first).await);
    caller.a_millisecond_later().await;
    let again = caller.opened("b").await;
    assert_eq!(again.counts.unwrap().pending, 1);
    let end = end_of(&caller, &first).await;
    assert_eq!(
        end.reason(),
        pb::EndReason::Evicted,
        "one waiter, one victim"
    );
    assert!(is_active(&caller, &third.session_id).await);
}

/// Proves: F31, G21.
#[tokio::test]
async fn what_is_in_use_is_never_evicted() {
    let server = Server::configured(EVICT);
    let caller = Caller::to(&server).await;
    let worked_on = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let out = caller.claimed(key("a"), "w").await;
    let served = caller.opened("b").await.session_id;
    // A worker that would do the work, and has no room for it.
    let filter = pb::SessionFilter {
        key_prefix: "b".to_owned(),
        ..pb::SessionFilter::default()
    };
    let mut hello = serving("v", 1, filter);
    hello.window.as_mut().unwrap().max_sessions = Some(0);
    let (_worker, _) = WorkStream::greet(&caller, hello).await;
    caller.enqueued(key("b"), &["m"]).await;
    let refused = caller.open(open("c")).await.expect_err("all are in use");
    refused
        .is(Code::ResourceExhausted, Reason::TooManySessions)
        .with("limit", "2")
        .retries_within(Duration::from_secs(10));
    let waits = pb::OpenSessionRequest {
        wait_for_slot: millis(60_000),
        ..open("c")
    };
    let waits = caller.opened_as(waits).await;
    assert_eq!(waits.state(), pb::SessionState::Queued);
    let mut watch = WatchStream::from_now(&caller).await;
    caller.settled(vec![ack(&out[0])]).await;
    // Nothing happens when a session becomes idle: room is looked for at a steady pace.
    let admitted = pb::EventType::SessionAdmitted;
    watch.event(admitted, &waits.session_id).await;
    assert_eq!(
        end_of(&caller, &worked_on).await.reason(),
        pb::EndReason::Evicted
    );
    assert!(is_active(&caller, &served).await);
}

/// Proves: F27, F31, G12.
#[tokio::test]
async fn concurrent_opens_evict_one_each_and_never_exceed_the_limit() {
    const SLOTS: usize = 20;
    let config = format!("[pools.default]\nmax_sessions = {SLOTS}\nwhen_full = \"evict\"\n");
    let server = Server::configured(&config);
    let caller = Caller::to(&server).await;
    let mut opens = tokio::task::JoinSet::new();
    for at in 0..3 * SLOTS {
        let caller = caller.clone();
        opens.spawn(async move { caller.opened(&format!("k{at}")).await });
    }
    let opened = opens.join_all().await;
    assert!(opened.iter().all(|s| s.state() == pb::SessionState::Active));
    let revision = caller.revision().await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    let (mut live, mut evicted) = (0_usize, 0);
    for event in watch.up_to(revision).await {
        match event.r#type() {
            pb::EventType::SessionOpened => live += 1,
            pb::EventType::SessionEnd => {
                assert_eq!(event.end.unwrap().reason(), pb::EndReason::Evicted);
                live -= 1;
                evicted += 1;
            }
            other => panic!("{other:?}"),
        }
        assert!(live <= SLOTS, "at revision {}", event.revision);
    }
    assert_eq!((live, evicted), (SLOTS, 2 * SLOTS));
}

/// Proves: F27, G12.
#[tokio::test]
async fn two_thousand_concurrent_opens_never_exceed_a_limit_of_a_thousand() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut opens = tokio::task::JoinSet::new();
    for at in 0..2_000 {
        let caller = caller.clone();
        opens.spawn(async move { caller.open(open(&format!("k{at}"))).await });
    }
    let answers = opens.join_all().await;
    let opened = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(opened, 1_000);
    for refused in answers.into_iter().filter_map(Result::err) {
        refused
            .is(Code::ResourceExhausted, Reason::TooManySessions)
            .with("limit", "1000");
    }
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("counts");
    assert_eq!(stats.sessions.unwrap().active, 1_000);
    assert_eq!(caller.revision().await, 1_000, "and nothing ended");
}

/// Proves: F27.
#[tokio::test]
async fn sessions_that_are_idle_for_too_long_in_an_emergency_end_when_the_pool_is_full() {
    let config = "[session]\nmax_sessions = 3\nemergency_idle = \"1s\"\n";
    let server = Server::configured(config);
    let caller = Caller::to(&server).await;
    let idle = caller.opened("idle").await.session_id;
    let busy = caller.opened("busy").await.session_id;
    caller.enqueued(key("busy"), &["m"]).await;
    let out = caller.claimed(key("busy"), "w").await;
    let mut watch = WatchStream::from_now(&caller).await;
    watch.passed(&caller, 1_100).await;
    assert!(is_active(&caller, &idle).await, "there was no emergency");
    let filler = caller.opened("filler").await.session_id;
    let fresh = caller.opened("fresh").await;
    assert_eq!(fresh.state(), pb::SessionState::Active);
    let end = end_of(&caller, &idle).await;
    assert_eq!(end.reason(), pb::EndReason::Idle);
    assert!(end.detail.contains("emergency_idle"), "{}", end.detail);
    for session in [&busy, &filler] {
        assert!(is_active(&caller, session).await);
    }
    caller.settled(vec![ack(&out[0])]).await;
    let refused = caller.open(open("late")).await.expect_err("all are fresh");
    refused.is(Code::ResourceExhausted, Reason::TooManySessions);
}

/// Proves: F27.
#[tokio::test]
async fn sessions_that_are_too_old_for_an_emergency_end_when_none_is_idle() {
    let config =
        "[session]\nmax_sessions = 2\nemergency_idle = \"never\"\nemergency_age = \"1s\"\n";
    let server = Server::configured(config);
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let old = caller.opened("old").await.session_id;
    watch.passed(&caller, 1_100).await;
    caller.touched(id(&old)).await;
    let young = caller.opened("young").await.session_id;
    caller.opened("new").await;
    let end = end_of(&caller, &old).await;
    assert_eq!(end.reason(), pb::EndReason::Expired);
    assert!(end.detail.contains("emergency_age"), "{}", end.detail);
    assert!(is_active(&caller, &young).await);
}

#[tokio::test]
async fn a_pool_may_let_its_callers_wait_who_do_not_say_so() {
    let config = "[pools.narrow]\nmax_sessions = 1\nwhen_full = \"wait\"\nwait = \"1h\"\n";
    let server = Server::configured(&format!("{config}\n[namespaces.other]\n"));
    let caller = Caller::to(&server).await;
    let narrow = |of: &str| pb::OpenSessionRequest {
        pool: "narrow".to_owned(),
        ..open(of)
    };
    let first = caller.opened_as(narrow("a")).await;
    let second = caller.opened_as(narrow("b")).await;
    assert_eq!(second.state(), pb::SessionState::Queued);
    assert_eq!(second.pool, "narrow");
    let beside = caller.opened("c").await;
    assert_eq!(beside.state(), pb::SessionState::Active, "another pool");
    let other = caller.in_namespace("other");
    let elsewhere = other.opened_as(narrow("d")).await;
    assert_eq!(
        elsewhere.state(),
        pb::SessionState::Active,
        "another namespace"
    );
    let request = end(
        id(&first.session_id),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(request).await.expect("ended");
    assert!(is_active(&caller, &second.session_id).await);
}
