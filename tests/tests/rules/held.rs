//! What becomes of messages when their session ends: held, given up, or discarded.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, end, id, in_millis, key, message, open, payloads};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;

async fn ended(caller: &Caller, of: &str, reason: pb::EndReason) -> pb::Session {
    let request = end(key(of), reason, pb::EndMode::Immediate);
    let answer = caller.end(request).await.expect("ended");
    answer.session.unwrap()
}

fn states(messages: &[pb::Message]) -> Vec<pb::MessageState> {
    let state = |message: &pb::Message| message.status.as_ref().unwrap().state();
    messages.iter().map(state).collect()
}

#[tokio::test]
async fn ends_that_are_not_over_hold_the_queue_for_the_next_open_of_the_key() {
    use pb::{EndReason as Reason, EndReasonClass as Class};
    let table = [
        (Reason::Shutdown, Class::Interrupted),
        (Reason::Restart, Class::Interrupted),
        (Reason::Idle, Class::Reaped),
        (Reason::Crashed, Class::Lost),
        (Reason::Reset, Class::Rotated),
        (Reason::Replaced, Class::Rotated),
        (Reason::Compacted, Class::Rotated),
        (Reason::Scheduled, Class::Rotated),
    ];
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for (reason, class) in table {
        let name = reason.as_str_name();
        let old = caller.opened(name).await;
        caller.enqueued(key(name), &["one", "two"]).await;
        let told = ended(&caller, name, reason).await;
        let end = told.end.unwrap();
        assert_eq!((end.reason(), end.reason_class()), (reason, class));
        assert_eq!((end.pending_kept, end.pending_discarded), (2, 0), "{name}");
        let listed = caller.messages_of(id(&old.session_id)).await;
        assert_eq!(
            states(&listed),
            [pb::MessageState::Pending; 2],
            "{name}: held"
        );
        let next = caller.opened(name).await;
        assert_eq!(next.queue_id, old.queue_id, "{name}: adopted");
        assert_eq!(next.predecessor_id, old.session_id);
        assert_eq!(next.counts.unwrap().pending, 2);
        assert_eq!(
            caller.enqueued(key(name), &["three"]).await,
            [3],
            "{name}: seq goes on"
        );
        let claimed = caller.claimed(key(name), "w").await;
        assert_eq!(payloads(&claimed), ["one", "two", "three"], "{name}");
    }
}

#[tokio::test]
async fn what_an_over_end_leaves_becomes_dead_letters_at_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for reason in [
        pb::EndReason::Completed,
        pb::EndReason::Failed,
        pb::EndReason::Deleted,
    ] {
        let name = reason.as_str_name();
        let old = caller.opened(name).await;
        caller.enqueued(key(name), &["one", "two"]).await;
        let told = ended(&caller, name, reason).await;
        assert_eq!(told.counts.unwrap().dead_lettered, 2, "{name}");
        let end = told.end.unwrap();
        assert_eq!(end.reason_class(), pb::EndReasonClass::Over);
        assert_eq!((end.pending_kept, end.pending_discarded), (2, 0));
        let listed = caller.messages_of(id(&old.session_id)).await;
        assert_eq!(
            states(&listed),
            [pb::MessageState::DeadLettered; 2],
            "{name}"
        );
        for message in &listed {
            let status = message.status.as_ref().unwrap();
            assert_eq!(
                status.dead_letter_reason(),
                pb::DeadLetterReason::SessionEnded
            );
            assert!(status.dead_letter_time.is_some());
        }
        let next = caller.opened(name).await;
        assert_ne!(next.queue_id, old.queue_id, "{name}: a new queue");
        assert_eq!(caller.enqueued(key(name), &["new"]).await, [1]);
        assert_eq!(payloads(&caller.claimed(key(name), "w").await), ["new"]);
    }
}

#[tokio::test]
async fn a_session_without_a_key_leaves_dead_letters_whatever_the_reason() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("").await.session_id;
    caller.enqueued(id(&session), &["one"]).await;
    let request = end(
        id(&session),
        pb::EndReason::Shutdown,
        pb::EndMode::Immediate,
    );
    caller.end(request).await.expect("ended");
    let listed = caller.messages_of(id(&session)).await;
    assert_eq!(states(&listed), [pb::MessageState::DeadLettered]);
}

#[tokio::test]
async fn a_key_that_lives_on_leaves_dead_letters_of_the_one_that_drained() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let first = pb::ClaimMessagesRequest {
        max_messages: Some(1),
        ..claim(key("a"), "w")
    };
    let out = caller.claim(first).await.expect("claimed").deliveries;
    let request = end(key("a"), pb::EndReason::Shutdown, pb::EndMode::Graceful);
    caller.end(request).await.expect("draining");
    let next = caller.opened("a").await;
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let over = caller.session(id(&old)).await;
    assert_eq!(over.state(), pb::SessionState::Ended);
    let listed = caller.messages_of(id(&old)).await;
    assert_eq!(states(&listed), [pb::MessageState::DeadLettered]);
    assert_eq!(
        caller.session(key("a")).await.counts,
        next.counts,
        "nothing went over"
    );
}

#[tokio::test]
async fn discard_deletes_and_counts() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let out = caller.claimed(key("a"), "w").await;
    caller.code(ack(&out[0])).await;
    let request = pb::EndSessionRequest {
        pending_policy: pb::PendingPolicy::Discard.into(),
        ..end(key("a"), pb::EndReason::Shutdown, pb::EndMode::Immediate)
    };
    let told = caller.end(request).await.expect("ended").session.unwrap();
    let end = told.end.unwrap();
    assert_eq!((end.pending_kept, end.pending_discarded), (0, 2));
    assert_eq!(told.counts.unwrap().discarded, 2);
    let next = caller.opened("a").await;
    assert_ne!(
        next.queue_id, old.queue_id,
        "a discarded queue is not adopted"
    );
    assert_eq!(next.counts.unwrap().pending, 0);
    assert_eq!(caller.claimed(key("a"), "w").await, []);
    let late = caller.code(ack(&out[1])).await;
    assert!(
        [pb::SettleCode::Ok, pb::SettleCode::AlreadySettled].contains(&late),
        "the deletion may come before the ack: {late:?}"
    );
    let listed = caller.messages_of(id(&old.session_id)).await;
    assert!(
        states(&listed)
            .iter()
            .all(|state| *state != pb::MessageState::DeadLettered)
    );
}

/// Proves: F52.
#[tokio::test]
async fn discarded_messages_are_gone_from_lists_and_stats_and_leave_no_dead_letter() {
    const MESSAGES: usize = 600;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await.session_id;
    for _ in 0..MESSAGES / 200 {
        let messages = vec![message("m"); 200];
        caller.sent(key("a"), messages).await;
    }
    let request = pb::EndSessionRequest {
        pending_policy: pb::PendingPolicy::Discard.into(),
        ..end(key("a"), pb::EndReason::Deleted, pb::EndMode::Immediate)
    };
    let told = caller.end(request).await.expect("ended").session.unwrap();
    assert_eq!(told.end.unwrap().pending_discarded, MESSAGES as u64);
    // The rows go in steps of the server's own; each question is a step of the wait.
    for question in 0.. {
        let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
        let messages = stats.messages.unwrap();
        assert_eq!(messages.dead_lettered, 0, "discarded is not given up");
        if messages == pb::MessageStats::default() {
            break;
        }
        assert!(question < 100_000, "{messages:?} are left");
    }
    assert_eq!(caller.messages_of(id(&old)).await, []);
}

#[tokio::test]
async fn idempotency_keys_belong_to_the_queue_and_go_with_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let keyed = || pb::EnqueueMessagesRequest {
        r#ref: key("a"),
        messages: vec![pb::Message {
            idempotency_key: "tool-1".to_owned(),
            ..message("one")
        }],
        ..pb::EnqueueMessagesRequest::default()
    };
    caller.opened("a").await;
    caller.enqueue(keyed()).await.expect("enqueued");
    ended(&caller, "a", pb::EndReason::Idle).await;
    caller.opened("a").await;
    let again = caller.enqueue(keyed()).await.expect("enqueued").results;
    assert_eq!(
        (again[0].status(), again[0].seq),
        (pb::EnqueueStatus::Duplicate, 1)
    );
    ended(&caller, "a", pb::EndReason::Completed).await;
    caller.opened("a").await;
    let fresh = caller.enqueue(keyed()).await.expect("enqueued").results;
    assert_eq!(
        (fresh[0].status(), fresh[0].seq),
        (pb::EnqueueStatus::Enqueued, 1)
    );
}

#[tokio::test]
async fn an_owner_that_does_not_touch_loses_the_session_and_its_queue_is_held() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let asked = pb::OpenSessionRequest {
        owner_timeout: sessiond_tests::requests::after(300),
        ..open("a")
    };
    let old = caller.opened_as(asked).await;
    caller.enqueued(key("a"), &["one"]).await;
    let told = watch
        .event(pb::EventType::SessionEnd, &old.session_id)
        .await;
    let end = told.end.unwrap();
    assert_eq!(end.reason(), pb::EndReason::OwnerLost);
    assert_eq!(end.reason_class(), pb::EndReasonClass::Lost);
    assert_eq!(end.actor.unwrap().kind(), pb::ActorKind::Reaper);
    assert!(
        in_millis(end.duration) > 300,
        "strictly more than the limit"
    );
    let next = caller.opened("a").await;
    assert_eq!(next.queue_id, old.queue_id);
    assert_eq!(payloads(&caller.claimed(key("a"), "w").await), ["one"]);
}
