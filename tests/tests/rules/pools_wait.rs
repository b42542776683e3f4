//! Waiting for a slot: who waits, what may be done meanwhile, who is let in when, and what ends the wait.

use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{after, claim, claim_any, end, enqueue, id, key, millis, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about, types};
use sessiond_tests::work_stream::WorkStream;
use tonic::Code;

/// One slot; whoever wants to wait says so.
const ONE: &str = "[session]\nmax_sessions = 1\n";
/// Longer than any test takes.
const LONG: u64 = 3_600_000;

fn waiting(of: &str, wait: u64) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        wait_for_slot: millis(wait),
        ..open(of)
    }
}

/// Opens a session that has to wait.
async fn queued(caller: &Caller, request: pb::OpenSessionRequest) -> String {
    let opened = caller.open(request).await.expect("opened");
    let session = opened.session.expect("a session");
    assert_eq!(session.state(), pb::SessionState::Queued);
    session.session_id
}

async fn end_now(caller: &Caller, session: Option<pb::SessionRef>) -> pb::Session {
    let request = end(session, pb::EndReason::Completed, pb::EndMode::Immediate);
    let answer = caller.end(request).await.expect("ended");
    answer.session.expect("a session")
}

async fn state(caller: &Caller, of: &str) -> pb::SessionState {
    caller.session(key(of)).await.state()
}

#[tokio::test]
async fn a_full_pool_refuses_whoever_would_not_wait() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let refused = caller.open(open("b")).await.expect_err("no slot");
    refused
        .is(Code::ResourceExhausted, Reason::TooManySessions)
        .with("limit", "1")
        .with("scope", "pool default")
        .retries_within(Duration::from_secs(10));
    let mut with_message = enqueue(key("b"), &["m"]);
    with_message.open_if_missing = Some(open(""));
    let refused = caller.enqueue(with_message).await.expect_err("no slot");
    refused.is(Code::ResourceExhausted, Reason::TooManySessions);
    assert_eq!(caller.revision().await, 1, "nothing was written");
    let unknown = pb::OpenSessionRequest {
        pool: "nowhere".to_owned(),
        ..waiting("b", LONG)
    };
    let refused = caller.open(unknown).await.expect_err("no such pool");
    refused
        .is(Code::NotFound, Reason::PoolNotFound)
        .with("pool", "nowhere");
}

#[tokio::test]
async fn a_session_that_waits_is_answered_at_once_and_is_queued() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut watch = WatchStream::from_now(&caller).await;
    let opened = caller.open(waiting("b", LONG)).await.expect("opened");
    assert!(opened.created);
    let session = opened.session.expect("a session");
    assert_eq!(session.state(), pb::SessionState::Queued);
    assert_eq!(session.waiting_for(), pb::WaitingFor::Slot);
    assert!(session.end.is_none());
    let (created, expires) = (session.create_time.unwrap(), session.expire_time.unwrap());
    let waits = expires.seconds - created.seconds;
    assert!(
        (3_599..=3_601).contains(&waits),
        "the wait ends it: {waits}"
    );
    let batch = watch.batch().await.events;
    let both = [pb::EventType::SessionOpened, pb::EventType::SessionQueued];
    assert_eq!(types(&batch), both, "neighbours in one frame");
    for event in &batch {
        let snapshot = event.session.clone().expect("a session");
        assert_eq!(snapshot.state(), pb::SessionState::Queued);
        assert_eq!(snapshot.waiting_for(), pb::WaitingFor::Slot);
    }
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("counts");
    let sessions = stats.sessions.expect("sessions");
    assert_eq!((sessions.queued, sessions.active), (1, 1));
    let list = pb::ListSessionsRequest {
        filter: Some(pb::SessionFilter {
            states: vec![pb::SessionState::Queued.into()],
            ..pb::SessionFilter::default()
        }),
        ..pb::ListSessionsRequest::default()
    };
    let listed = caller.list(list).await.expect("a list").sessions;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].session_id, session.session_id);
}

/// Proves: F32, G12.
#[tokio::test]
async fn slots_go_to_those_that_wait_in_the_order_of_their_opening() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut watch = WatchStream::from_now(&caller).await;
    let first = queued(&caller, waiting("b", LONG)).await;
    let second = queued(&caller, waiting("c", LONG)).await;
    end_now(&caller, key("a")).await;
    assert_eq!(state(&caller, "b").await, pb::SessionState::Active);
    assert_eq!(state(&caller, "c").await, pb::SessionState::Queued);
    let refused = caller.open(open("d")).await.expect_err("others wait");
    refused.is(Code::ResourceExhausted, Reason::TooManySessions);
    let told = watch.event(pb::EventType::SessionAdmitted, &first).await;
    let snapshot = told.session.expect("a session");
    assert_eq!(snapshot.state(), pb::SessionState::Active);
    assert_eq!(snapshot.waiting_for(), pb::WaitingFor::Unspecified);
    assert_eq!(told.actor.unwrap().kind(), pb::ActorKind::Reaper);
    end_now(&caller, key("b")).await;
    let told = watch.event(pb::EventType::SessionAdmitted, &second).await;
    let end_of_first = watch_end(&caller, &first).await;
    assert_eq!(told.revision, end_of_first + 1, "in the commit of the end");
}

/// The revision of a session's end.
async fn watch_end(caller: &Caller, session_id: &str) -> u64 {
    let mut watch = WatchStream::from_the_start(caller).await;
    let told = watch.event(pb::EventType::SessionEnd, session_id).await;
    told.revision
}

/// Proves: F32, G12.
#[tokio::test]
async fn a_wait_in_vain_ends_with_capacity_and_keeps_what_was_enqueued() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = queued(&caller, waiting("b", 300)).await;
    caller.enqueued(key("b"), &["m"]).await;
    let told = watch.event(pb::EventType::SessionEnd, &session).await;
    let end = told.end.expect("an end");
    assert_eq!(end.reason(), pb::EndReason::Capacity);
    assert_eq!(end.reason_class(), pb::EndReasonClass::Reaped);
    assert_eq!(end.pending_kept, 1);
    assert_eq!(end.actor.unwrap().kind(), pb::ActorKind::Reaper);
    let refused = caller.enqueue(enqueue(id(&session), &["n"])).await;
    refused
        .expect_err("it is over")
        .is(Code::FailedPrecondition, Reason::SessionEnded)
        .with("end_reason", "CAPACITY");
    end_now(&caller, key("a")).await;
    let next = caller.opened("b").await;
    assert_eq!(next.counts.unwrap().pending, 1, "the queue was held");
    assert_eq!(next.predecessor_id, session);
}

#[tokio::test]
async fn a_queued_session_takes_messages_and_hands_out_none_before_its_slot() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let session = queued(&caller, waiting("b", LONG)).await;
    assert_eq!(caller.enqueued(key("b"), &["m", "n"]).await, [1, 2]);
    let refused = caller.claim(claim(key("b"), "w")).await;
    let check = |refused: Refusal| {
        refused
            .is(Code::FailedPrecondition, Reason::SessionQueued)
            .with("session_id", &session)
            .with("waiting_for", "SLOT");
    };
    check(refused.expect_err("it has no slot"));
    let request = pb::ExplainSessionRequest {
        r#ref: id(&session),
    };
    let explained = caller.explain(request).await.expect("explained");
    let stalls: Vec<_> = explained
        .stalls
        .iter()
        .map(|s| (s.reason(), s.messages))
        .collect();
    assert_eq!(stalls, [(pb::StallReason::Queued, 2)]);
    let kinds: Vec<_> = explained
        .deadlines
        .iter()
        .map(pb::SessionDeadline::kind)
        .collect();
    assert_eq!(kinds, [pb::DeadlineKind::Slot]);
    let any = claim_any(pb::SessionFilter::default(), "w");
    let found = caller.claim(any.clone()).await.expect("a claim");
    assert!(found.deliveries.is_empty(), "nothing to be had");
    let request = pb::BeginRequestRequest {
        r#ref: key("b"),
        ..pb::BeginRequestRequest::default()
    };
    check(
        caller
            .begin_request(request)
            .await
            .expect_err("nor may it be used"),
    );
    let mut worker = WorkStream::worker(&caller, "v", 10).await;
    worker.attach(id(&session));
    let failed = worker.attach_failed().await;
    assert_eq!(failed.reason, Reason::SessionQueued.as_str());
    let mut waits = any;
    waits.wait = millis(20_000);
    let (claimed, _) = tokio::join!(caller.claim(waits), end_now(&caller, key("a")));
    let deliveries = claimed.expect("a claim").deliveries;
    assert!(!deliveries.is_empty(), "work goes out with the slot");
    let counts = caller.session(id(&session)).await.counts.unwrap();
    assert_eq!((counts.enqueued, counts.pending + counts.in_flight), (2, 2));
}

/// Proves: G12.
#[tokio::test]
async fn an_owner_that_leaves_takes_its_waiting_session_with_it() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut watch = WatchStream::from_now(&caller).await;
    let request = pb::OpenSessionRequest {
        owner_timeout: after(200),
        idle_timeout: after(50),
        max_lifetime: after(50),
        ..waiting("b", LONG)
    };
    let session = queued(&caller, request).await;
    let told = watch.event(pb::EventType::SessionEnd, &session).await;
    let reason = told.end.unwrap().reason();
    assert_eq!(reason, pb::EndReason::OwnerLost, "the other clocks stand");
}

#[tokio::test]
async fn touch_update_and_end_mean_a_waiting_session_too() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let session = queued(&caller, waiting("b", LONG)).await;
    let touched = caller.touched(key("b")).await;
    assert_eq!(touched.touch_count, 1);
    let update = pb::UpdateSessionRequest {
        r#ref: key("b"),
        project: "p".to_owned(),
        ..pb::UpdateSessionRequest::default()
    };
    let updated = caller.update(update).await.expect("updated").session;
    assert_eq!(updated.unwrap().project, "p");
    let behind = queued(&caller, waiting("c", LONG)).await;
    let request = end(
        id(&session),
        pb::EndReason::Completed,
        pb::EndMode::AfterPending,
    );
    caller.enqueued(key("b"), &["m"]).await;
    let ended = caller.end(request).await.expect("ended");
    assert!(!ended.already_ended);
    let ended = ended.session.unwrap();
    assert_eq!(ended.state(), pb::SessionState::Ended, "whatever the mode");
    let all = pb::EndSessionsRequest {
        filter: Some(pb::SessionFilter {
            states: vec![pb::SessionState::Queued.into()],
            ..pb::SessionFilter::default()
        }),
        mode: pb::EndMode::Graceful.into(),
        ..pb::EndSessionsRequest::default()
    };
    let answer = caller.end_many(all).await.expect("ended");
    let told: Vec<&str> = answer.results.iter().map(|one| &*one.session_id).collect();
    assert_eq!(told, [behind.as_str()]);
    assert_eq!(answer.results[0].outcome(), pb::EndOutcome::Ended);
    assert_eq!(state(&caller, "a").await, pb::SessionState::Active);
}

#[tokio::test]
async fn a_key_is_held_by_the_session_that_waits_under_it() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let session = queued(&caller, waiting("b", 60_000)).await;
    let behind = queued(&caller, waiting("c", LONG)).await;
    let again = caller.open(waiting("b", LONG)).await.expect("opened");
    assert!(!again.created);
    let again = again.session.unwrap();
    assert_eq!(again.session_id, session);
    let waits = again.expire_time.unwrap().seconds - again.create_time.unwrap().seconds;
    assert!(waits > 3_000, "the later end of the wait holds: {waits}");
    let fail = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Fail.into(),
        ..waiting("b", LONG)
    };
    let refused = caller.open(fail).await.expect_err("the key is taken");
    refused
        .is(Code::AlreadyExists, Reason::SessionKeyInUse)
        .with("state", "QUEUED");
    let replace = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..open("b")
    };
    caller.enqueued(key("b"), &["m"]).await;
    let successor = queued(&caller, replace).await;
    let old = caller.session(id(&session)).await;
    assert_eq!(old.end.unwrap().reason(), pb::EndReason::Replaced);
    end_now(&caller, key("a")).await;
    let next = caller.session(id(&successor)).await;
    assert_eq!(next.state(), pb::SessionState::Active, "it kept the turn");
    assert_eq!(next.counts.unwrap().pending, 1, "and the messages");
    let last = caller.session(id(&behind)).await;
    assert_eq!(last.state(), pb::SessionState::Queued);
}

#[tokio::test]
async fn a_full_pool_never_refuses_a_replacement() {
    let server = Server::configured(ONE);
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await.session_id;
    let behind = queued(&caller, waiting("b", LONG)).await;
    let replace = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..open("a")
    };
    let new = caller.opened_as(replace).await;
    assert_eq!(new.state(), pb::SessionState::Active, "the slot is its own");
    assert_eq!(new.predecessor_id, old);
    let waits = caller.session(id(&behind)).await;
    assert_eq!(waits.state(), pb::SessionState::Queued);
    let mut watch = WatchStream::from_the_start(&caller).await;
    let revision = caller.revision().await;
    let events = watch.up_to(revision).await;
    let admitted = events
        .iter()
        .filter(|event| event.r#type() == pb::EventType::SessionAdmitted && about(event) == behind);
    assert_eq!(admitted.count(), 0);
}
