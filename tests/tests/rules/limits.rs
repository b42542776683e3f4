//! Limits: what ends a session that nobody ends, and what protects it.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, after, id, in_millis, key, never, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about};

fn idle_after(of: &str, limit: u64) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        idle_timeout: after(limit),
        ..open(of)
    }
}

async fn opened(caller: &Caller, request: pb::OpenSessionRequest) -> String {
    caller.opened_as(request).await.session_id
}

/// How a session ended.
async fn end_of(watch: &mut WatchStream, session_id: &str) -> pb::SessionEnd {
    let told = watch.event(pb::EventType::SessionEnd, session_id).await;
    told.end.expect("an end")
}

/// Proves: F8, F25, B15.
#[tokio::test]
async fn a_session_that_is_idle_for_longer_than_its_limit_is_reaped() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = opened(&caller, idle_after("a", 200)).await;
    let end = end_of(&mut watch, &session).await;
    assert_eq!(end.reason(), pb::EndReason::Idle);
    assert_eq!(end.reason_class(), pb::EndReasonClass::Reaped);
    assert_eq!(end.actor.unwrap().kind(), pb::ActorKind::Reaper);
    assert!(
        in_millis(end.duration) > 200,
        "strictly more: {:?}",
        end.duration
    );
}

/// Proves: F28, G21.
#[tokio::test]
async fn pending_and_open_work_protect_a_session_from_its_idle_limit() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let pending = opened(&caller, idle_after("pending", 100)).await;
    caller.enqueued(key("pending"), &["m"]).await;
    let open_work = opened(&caller, idle_after("open", 100)).await;
    caller.enqueued(key("open"), &["m"]).await;
    let out = caller.claimed(key("open"), "w").await;
    // The limit of both has long passed.
    watch.passed(&caller, 600).await;
    for session in [&pending, &open_work] {
        assert_eq!(
            caller.session(id(session)).await.state(),
            pb::SessionState::Active
        );
    }
    caller.settled(vec![ack(&out[0])]).await;
    let end = end_of(&mut watch, &open_work).await;
    assert_eq!(
        end.reason(),
        pb::EndReason::Idle,
        "the settlement was its last activity"
    );
}

/// Proves: F26, B15.
#[tokio::test]
async fn a_session_reaches_its_greatest_age_although_it_is_not_idle() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let asked = pb::OpenSessionRequest {
        max_lifetime: after(300),
        idle_timeout: never(),
        ..open("a")
    };
    let session = opened(&caller, asked).await;
    let end = end_of(&mut watch, &session).await;
    assert_eq!(end.reason(), pb::EndReason::Expired);
    assert!(in_millis(end.duration) > 300);
}

/// Proves: F26.
#[tokio::test]
async fn greatest_age_is_hard_at_twice_its_value() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let asked = pb::OpenSessionRequest {
        max_lifetime: after(400),
        ..open("a")
    };
    let session = opened(&caller, asked).await;
    caller.enqueued(key("a"), &["m"]).await;
    let out = caller.claimed(key("a"), "w").await;
    let end = end_of(&mut watch, &session).await;
    assert_eq!(end.reason(), pb::EndReason::Expired);
    assert!(
        in_millis(end.duration) > 800,
        "twice the limit: {:?}",
        end.duration
    );
    assert!(
        in_millis(end.duration) < 5_800,
        "and not later: {:?}",
        end.duration
    );
    assert_eq!(
        caller.code(ack(&out[0])).await,
        pb::SettleCode::Ok,
        "still settleable"
    );
}

#[tokio::test]
async fn touch_and_open_renew_the_owner_limit_and_a_get_does_not() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let owned = |of: &str, limit: u64| pb::OpenSessionRequest {
        owner_timeout: after(limit),
        ..open(of)
    };
    let touched = opened(&caller, owned("touched", 1_500)).await;
    let reopened = opened(&caller, owned("reopened", 1_500)).await;
    let read = opened(&caller, owned("read", 1_000)).await;
    // The renewals come later than these were opened.
    watch.passed(&caller, 600).await;
    caller.touched(id(&touched)).await;
    assert!(!caller.open(open("reopened")).await.expect("opened").created);
    caller.session(id(&read)).await;
    let meant = |event: &pb::SessionEvent| {
        event.r#type() == pb::EventType::SessionEnd && about(event) == read
    };
    let before = watch.until(meant).await;
    let ended: Vec<&str> = before
        .iter()
        .filter(|event| event.r#type() == pb::EventType::SessionEnd)
        .map(about)
        .collect();
    assert_eq!(ended, [read.as_str()], "only the one that was merely read");
    for session in [&touched, &reopened] {
        let end = end_of(&mut watch, session).await;
        assert_eq!(end.reason(), pb::EndReason::OwnerLost);
        assert!(
            in_millis(end.duration) > 2_100,
            "from the renewal: {:?}",
            end.duration
        );
    }
}

/// Proves: F7.
#[tokio::test]
async fn touch_is_activity_and_counts_and_takes_no_revision() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let before = caller.opened("a").await;
    let touch = |input: u64, output: u64| pb::TouchSessionRequest {
        r#ref: key("a"),
        usage_delta: Some(pb::Usage {
            input_tokens: input,
            output_tokens: output,
        }),
    };
    caller.touch(touch(1, 2)).await.expect("touched");
    let answer = caller
        .touch(touch(u64::from(u32::MAX), 0))
        .await
        .expect("touched");
    assert_eq!(answer.revision, 1);
    let session = answer.session.unwrap();
    assert_eq!(session.touch_count, 2);
    let usage = session.usage.unwrap();
    assert_eq!(
        (usage.input_tokens, usage.output_tokens),
        (u64::from(u32::MAX) + 1, 2)
    );
    let time = |session: &pb::Session| {
        let time = session.last_activity_time.unwrap();
        (time.seconds, time.nanos)
    };
    assert!(time(&session) >= time(&before));
    assert_eq!(session.revision, before.revision);
}

/// Proves: F7.
#[tokio::test]
async fn concurrent_touches_are_all_counted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut touches = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let caller = caller.clone();
        touches.spawn(async move {
            let touch = pb::TouchSessionRequest {
                r#ref: key("a"),
                usage_delta: Some(pb::Usage {
                    input_tokens: 3,
                    output_tokens: 1,
                }),
            };
            caller.touch(touch).await.expect("touched");
        });
    }
    touches.join_all().await;
    let session = caller.session(key("a")).await;
    assert_eq!(session.touch_count, 100);
    let usage = session.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (300, 100));
}
